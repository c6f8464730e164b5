"""The names of engines."""

from __future__ import annotations

import os

from layerscope.errors import InputError, UnknownNameError

FORMS = ("local", "processes:N", "dask:ADDRESS", "ray", "ray:ADDRESS")
_MOST_PER_CORE = 8
"""More processes only take memory: each loads torch."""


def parse_engine(spec: str) -> tuple[str, str]:
    """Its kind and what follows the colon; the argument is empty for "local" and "ray".

    Raises UnknownNameError and InputError.
    """
    kind, colon, argument = spec.partition(":")
    if kind == "processes":
        _check_count(spec, argument)
    elif kind == "dask" and not argument:
        raise InputError(
            f"engine {spec!r} has no address; write 'dask:tcp://HOST:PORT' of a scheduler, or 'dask:PATH' of its "
            "scheduler file"
        )
    elif kind == "ray" and colon and not argument:
        raise InputError(f"engine {spec!r} has no address; write 'ray:HOST:PORT', or 'ray' for one on this machine")
    elif spec != "local" and kind not in ("dask", "ray"):
        raise UnknownNameError.among("engine", spec, FORMS)
    return kind, argument


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _check_count(spec: str, argument: str) -> None:
    if not argument.isdecimal() or int(argument) < 1:
        raise InputError(f"engine {spec!r} has no number of processes; write for example 'processes:{usable_cores()}'")
    most = _MOST_PER_CORE * usable_cores()
    if int(argument) > most:
        raise InputError(f"engine {spec!r} has more processes than help on {usable_cores()} cores; give {most} at most")
