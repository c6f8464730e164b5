"""How the processes of the command line and of engines keep their memory."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of mallopt, in malloc.h
_MOST = 32 << 20  # bytes; glibc takes no larger threshold


def keep_freed_memory() -> None:
    """Let the C library keep what is freed for what is asked for next, instead of giving it back to the system.

    A network's activations are asked for and freed at each step, and the system fills every page anew with zeros. For
    processes of our own only, not inside other people's programs; does nothing without glibc.
    """
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        library.mallopt(_MMAP_THRESHOLD, _MOST)
        library.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
