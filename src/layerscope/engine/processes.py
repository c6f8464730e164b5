"""Several processes of this machine, each a pool of its own: one that dies takes no other with it."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import queue
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from layerscope.engine.heap import keep_freed_memory
from layerscope.engine.tasks import ATTEMPTS, Parcel, brought, packed, run
from layerscope.errors import WorkerError
from layerscope.passes.elsewhere import Shared, digest_of
from layerscope.records import write_whole

P = ParamSpec("P")
T = TypeVar("T")


@contextmanager
def open_processes(count: int) -> Iterator[Executor]:
    """An executor of so many processes; they end with the `with`, at once on an error or an interrupt."""
    with tempfile.TemporaryDirectory(prefix="layerscope-", ignore_cleanup_errors=True) as folder:
        executor = Processes(count, Path(folder))
        try:
            executor.start()
            yield executor
        except BaseException:
            executor.abandon()
            raise
        finally:
            executor.shutdown(cancel_futures=True)


class Processes(Executor):
    """Each task is waited for by a thread, which starts the worker again that died, and the task with it.

    A task that ends its worker three times in a row raises WorkerError; all others go on meanwhile. folder: for what is
    shared; workers remove it when the parent dies.
    """

    def __init__(self, count: int, folder: Path) -> None:
        self.slots = count
        self._folder = folder
        # Spawned, not forked: a forked child inherits torch's thread pool in a state that may hang.
        context = multiprocessing.get_context("spawn")
        leash, self._held = context.Pipe(duplex=False)

        def pool() -> ProcessPoolExecutor:
            return ProcessPoolExecutor(1, context, initializer=_begin, initargs=(leash, str(folder)))

        self._workers = [_Worker(pool) for _ in range(count)]
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="layerscope-processes")
        self._abandoned = False

    def start(self) -> None:
        """Start all processes, without waiting for them."""
        for worker in self._workers:
            worker.start()
            self._idle.put(worker)

    def submit(self, task: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        payload = packed(task, args, kwargs)
        parcels = [Parcel(digest, self._folder / digest) for digest in brought(args)]
        return self._threads.submit(self._done, payload, parcels)

    def share(self, data: bytes) -> Shared:
        """Put the bytes into a file, from which each worker reads them once."""
        shared = Shared(digest_of(data))
        path = self._folder / shared.digest
        if not path.exists():
            write_whole(path, data)
        return shared

    def abandon(self) -> None:
        """Workers in the middle of a task stop at once."""
        self._abandoned = True
        self._held.close()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._threads.shutdown(wait, cancel_futures=cancel_futures)
        for worker in self._workers:
            worker.stop()
        self._held.close()

    def _done(self, payload: bytes, parcels: list[Parcel]) -> Any:
        worker = self._idle.get()
        try:
            for _ in range(ATTEMPTS):
                try:
                    return pickle.loads(worker.run(payload, parcels))
                except BrokenProcessPool:
                    if self._abandoned:
                        raise
                    worker.start()
            raise worker.error()
        finally:
            self._idle.put(worker)


class _Worker:
    """One process, and the one after it when it has died."""

    def __init__(self, pool: Callable[[], ProcessPoolExecutor]) -> None:
        self._make, self._begun = pool, False
        self._pool: ProcessPoolExecutor | None = None

    def start(self) -> None:
        """A new process, instead of the one before."""
        self.stop()
        pool = self._pool = self._make()
        with _deaf_to_interrupts():
            pool.submit(os.getpid).add_done_callback(self._answered)

    def run(self, payload: bytes, parcels: list[Parcel]) -> bytes:
        """What `tasks.run` gives there. Raises BrokenProcessPool where the process dies meanwhile."""
        try:
            future = self._submit(payload, parcels)
        except BrokenProcessPool:  # it died between two tasks, which is not this one's doing
            self.start()
            future = self._submit(payload, parcels)
        return future.result()

    def stop(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def error(self) -> WorkerError:
        """What to say when it died too often."""
        if self._begun:
            return WorkerError(
                f"its worker process died {ATTEMPTS} times in the middle of it, as where memory runs out; "
                "give the engine fewer processes"
            )
        return WorkerError(
            "worker processes die before their first task; where a script opens the engine, put its lines below "
            "if __name__ == '__main__':"
        )

    def _submit(self, payload: bytes, parcels: list[Parcel]) -> Future[bytes]:
        if self._pool is None:
            raise RuntimeError("this worker has not been started")
        return self._pool.submit(run, payload, *parcels)

    def _answered(self, first: Future[int]) -> None:
        self._begun = self._begun or (not first.cancelled() and first.exception() is None)


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Processes started meanwhile never hear Ctrl-C, which a terminal sends to all: only the parent is to react.

    They inherit what this thread blocks; it hears of a Ctrl-C that came meanwhile when it blocks it no longer.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield  # workers ignore it themselves as soon as they have begun
        return
    resource_tracker.ensure_running()  # started with the first process, it would lift the block
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(leash: Connection, folder: str) -> None:
    """One thread each, since the processes share the cores; and an end as soon as the parent lets go of the leash."""
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    keep_freed_memory()
    threading.Thread(target=_end_with, args=(leash, folder), daemon=True).start()


def _end_with(leash: Connection, folder: str) -> None:
    """The other end is closed by the parent, or by its death, however that came."""
    leash.poll(None)
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)
