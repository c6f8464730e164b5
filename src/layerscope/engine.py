"""Where the work runs: in this process, or on several processes of this machine.

Studies take any `concurrent.futures.Executor`; an engine is a name for one.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager

from layerscope.errors import InputError, UnknownNameError

FORMS = ("local", "processes:N")


@contextmanager
def open_engine(spec: str) -> Iterator[Executor | None]:
    """The executor of "local" (None: work is done in place) or "processes:N", N processes of one thread each.

    On an error or an interrupt, chunks that have not begun are dropped. Raises UnknownNameError and InputError.
    """
    kind, _, argument = spec.partition(":")
    if spec == "local":
        yield None
        return
    if kind != "processes":
        raise UnknownNameError.among("engine", spec, FORMS)
    if not argument.isdecimal() or int(argument) < 1:
        raise InputError(f"engine {spec!r} has no number of processes; write for example 'processes:{usable_cores()}'")
    # Spawned, not forked: a forked child inherits torch's thread pool in a state that may hang.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(int(argument), context, initializer=_one_thread)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _one_thread() -> None:
    """Processes that share the cores must not each start a thread per core."""
    import torch

    torch.set_num_threads(1)
