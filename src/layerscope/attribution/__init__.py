"""Why a network gives a score: the share of each pixel or unit in it, with checks that say how far to trust that."""

import warnings

with warnings.catch_warnings():
    # Captum's progress bars, which are never shown here, complain in notebooks that have no widgets
    warnings.filterwarnings("ignore", message="IProgress not found")
    import captum.attr  # noqa: F401
