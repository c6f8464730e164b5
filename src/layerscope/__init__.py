"""See what a convolutional network has learned, and how far each picture of it can be trusted."""

import lazy_loader

import layerscope.capture

# `layerscope.capture` is a folder and, for users, a function. The folder is imported first, so that no later import
# binds it here again; the name is then free for the function, which is loaded on first use like every public name.
del layerscope.capture
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
