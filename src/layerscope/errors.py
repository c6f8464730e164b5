"""The words Layerscope uses when something is wrong.

LayerscopeError
└── InputError                the input is at fault; the command line exits with 2
    ├── UnknownNameError      a model, layer, unit, class or option that does not exist; names the nearest that do
    ├── CheckpointError       a weights file that cannot be read or does not fit the network
    ├── CaptureError          a layer that never fired, or that holds no tensor
    ├── MissingPackageError   a package that is missing or broken, and the command that mends it
    ├── StorageError          a folder or disk that cannot be written
    └── WorkerError           a process or machine that works for this one, and is lost again and again

Each message is one line: what was given, what there is, what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LayerscopeError(Exception):
    """Base of every error that Layerscope raises on purpose."""


class InputError(LayerscopeError, ValueError):
    """The input is at fault: the message says what was given, what there is, and what to do."""


class UnknownNameError(InputError):
    """A name that does not exist here."""

    @classmethod
    def among(cls, kind: str, given: object, known: Iterable[object], advice: str = "") -> UnknownNameError:
        """Build the message: the `given` name of a `kind`, the nearest of the `known` ones, and `advice`."""
        names = [str(name) for name in known]
        return cls(f"no {kind} {str(given)!r}; {_there_is(str(given), names)}{'; ' + advice if advice else ''}")


class CheckpointError(InputError):
    """A weights file that cannot be read or does not fit the network."""


class CaptureError(InputError):
    """A requested layer never fired, or its output holds no tensor."""


class MissingPackageError(InputError):
    """A package is missing or broken; the message holds the command that mends it."""


class StorageError(InputError):
    """A folder or disk that cannot be written."""


class WorkerError(InputError):
    """A worker process ended each time in the middle of the same task, or the machines it runs on were lost."""


def _there_is(given: str, known: list[str], most: int = 5) -> str:
    if not known:
        return "there are none"
    nearest = difflib.get_close_matches(given, known, n=most, cutoff=0.5)
    if nearest:
        return "nearest: " + ", ".join(nearest)
    shown = ", ".join(known[:most])
    return f"there are: {shown}" + (f", … ({len(known)} in all)" if len(known) > most else "")
