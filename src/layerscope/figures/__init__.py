"""Every plot of the pages as a matplotlib figure for papers: `ls.figures.shares("outputs/hierarchy/menagerie")`.

A source is a result, or the folder that holds one. `save(figure, "figure.pdf")` writes PDF, SVG or PNG, with seed, key
and command in the file's metadata. Text is drawn in the fonts of matplotlib's rcParams.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
