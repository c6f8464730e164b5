"""Where the work runs: in this process, or on several processes of this machine.

Studies take any `concurrent.futures.Executor`; an engine is a name for one.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection

from layerscope.errors import InputError, UnknownNameError

FORMS = ("local", "processes:N")
_MOST_PER_CORE = 8
"""More processes only take memory: each loads torch."""


def processes_of(spec: str) -> int | None:
    """How many processes an engine has; None for "local". Raises UnknownNameError and InputError."""
    kind, _, argument = spec.partition(":")
    if spec == "local":
        return None
    if kind != "processes":
        raise UnknownNameError.among("engine", spec, FORMS)
    if not argument.isdecimal() or int(argument) < 1:
        raise InputError(f"engine {spec!r} has no number of processes; write for example 'processes:{usable_cores()}'")
    most = _MOST_PER_CORE * usable_cores()
    if int(argument) > most:
        raise InputError(f"engine {spec!r} has more processes than help on {usable_cores()} cores; give {most} at most")
    return int(argument)


@contextmanager
def open_engine(spec: str) -> Iterator[Executor | None]:
    """The executor of "local" (None: work is done in place) or "processes:N", N processes of one thread each.

    On an error or an interrupt, what is under way is dropped at once. Raises UnknownNameError and InputError.
    """
    count = processes_of(spec)
    if count is None:
        yield None
        return
    # Spawned, not forked: a forked child inherits torch's thread pool in a state that may hang.
    context = multiprocessing.get_context("spawn")
    leash, held = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(count, context, initializer=_begin, initargs=(leash,))
    try:
        with _deaf_to_interrupts():
            for _ in range(count):  # start all workers now, while they inherit the deafness
                pool.submit(os.getpid)
        yield pool
    except BaseException:
        held.close()  # workers in the middle of a chunk stop at once
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        held.close()


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Processes started meanwhile ignore Ctrl-C, which a terminal sends to all: only the parent is to react."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may change signal handlers
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _begin(leash: Connection) -> None:
    """One thread each, since the processes share the cores; and an end as soon as the parent lets go of the leash."""
    import torch

    torch.set_num_threads(1)
    threading.Thread(target=_end_with, args=(leash,), daemon=True).start()


def _end_with(leash: Connection) -> None:
    """The other end is closed by the parent, or by its death, however that came."""
    leash.poll(None)
    os._exit(1)
