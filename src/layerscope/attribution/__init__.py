"""Why a network gives a score: the share of each pixel or unit in it, with checks that say how far to trust that."""
