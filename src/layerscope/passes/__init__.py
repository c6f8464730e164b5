"""One sweep over many images, many accumulators: the strongest images of each unit, and how strong they are."""
