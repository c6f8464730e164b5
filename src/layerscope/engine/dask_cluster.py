"""The workers of a Dask cluster.

Dask itself does a task again whose worker died, and gives it up after some deaths ("allowed-failures"). It counts the
deaths of whatever was on the worker, so a task that is given up may only have been beside the one that did it: those
are done once more, one after the other, and again where tasks that were not given up yet ran beside them.
"""

from __future__ import annotations

import gc
import importlib
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from layerscope.engine.tasks import Parcel, brought, check_setup, hand_on, packed, run_alike, setup_here
from layerscope.errors import InputError, MissingPackageError, WorkerError
from layerscope.passes.elsewhere import Shared, digest_of

P = ParamSpec("P")
T = TypeVar("T")

TRIES = 2
"""How often a task that was given up is done once more beside others."""
PATIENCE = 5.0
"""Seconds in which a scheduler has to answer, and to have a worker."""


@contextmanager
def open_dask(address: str) -> Iterator[Executor]:
    """An executor of the cluster whose scheduler has this address, or this scheduler file.

    On an error or an interrupt, tasks that have not begun are dropped, and the results of others. Raises
    MissingPackageError, and InputError for a scheduler that does not answer, has no workers, or some of other versions.
    """
    try:
        distributed: Any = importlib.import_module("distributed")
    except ModuleNotFoundError:
        raise MissingPackageError("distributed is not installed; run: pip install 'layerscope[dask]'") from None
    client = _connected(distributed, address)
    try:
        executor = DaskExecutor(distributed, client, _slots(client, address))
        try:
            yield executor
        except BaseException:
            executor.abandon()
            raise
        finally:
            executor.shutdown(cancel_futures=True)
    finally:
        client.close()


class DaskExecutor(Executor):
    """Tasks of a Dask client. slots: threads of all workers when it was opened; later ones are used, too."""

    def __init__(self, distributed: Any, client: Any, slots: int) -> None:
        self.slots = slots
        self._distributed, self._client = distributed, client
        self._inner = client.get_executor(pure=False)
        self._parcels: dict[str, Any] = {}
        self._untried: set[Future[bytes]] = set()  # tasks that may be what ends workers
        self._alone = ThreadPoolExecutor(1, thread_name_prefix="layerscope-dask")

    def submit(self, task: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        payload = packed(task, args, kwargs)
        submit = partial(self._submit, payload, list(brought(args)))
        inner, outer = submit(), Future[T]()
        self._untried.add(inner)
        inner.add_done_callback(partial(self._settled, outer=outer, again=submit))
        outer.add_done_callback(lambda outer: outer.cancelled() and inner.cancel())
        return outer

    def share(self, data: bytes) -> Shared:
        """Make the bytes a task of their own: its result goes from worker to worker, and is made again if lost."""
        shared = Shared(digest_of(data))
        if shared.digest not in self._parcels:
            key = f"layerscope-parcel-{uuid.uuid4().hex}"  # another client's would be lost together with it
            with self._large_allowed():
                self._parcels[shared.digest] = self._client.submit(Parcel, shared.digest, data, key=key)
        return shared

    def abandon(self) -> None:
        """Nobody waits for what is under way any longer."""
        self._inner.shutdown(wait=False)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        if cancel_futures:
            self._inner.shutdown(wait=False)
        self._alone.shutdown(wait, cancel_futures=cancel_futures)

    def _submit(self, payload: bytes, digests: list[str]) -> Future[bytes]:
        parcels = [self._parcels[digest] for digest in digests]
        for parcel in parcels:
            if parcel.status == "error":  # given up as a task is, with workers that others ended
                parcel.retry()
        with self._large_allowed():
            inner: Future[bytes] = self._inner.submit(run_alike, setup_here(), payload, *parcels)
        return inner

    def _settled(self, inner: Future[bytes], outer: Future[Any], again: Callable[[], Future[bytes]]) -> None:
        """In the client's own thread, which may not wait."""
        self._untried.discard(inner)
        if not inner.cancelled() and isinstance(inner.exception(), self._distributed.KilledWorker):
            self._alone.submit(self._once_more, again, outer)
        else:
            hand_on(inner, outer, self._translated)

    def _once_more(self, again: Callable[[], Future[bytes]], outer: Future[Any]) -> None:
        try:
            for _ in range(TRIES):
                beside = bool(self._untried)
                inner = again()
                if not (isinstance(inner.exception(), self._distributed.KilledWorker) and beside):
                    break
        except BaseException as error:  # it belongs to whoever waits for the task
            inner = Future()
            inner.set_exception(error)
        hand_on(inner, outer, self._translated)

    def _translated(self, error: BaseException) -> BaseException:
        if isinstance(error, self._distributed.KilledWorker):
            return WorkerError(
                "its workers died each time in the middle of it, as where memory runs out; give the Dask workers more "
                "memory, or fewer threads"
            )
        if isinstance(error, CancelledError):
            return WorkerError("the Dask cluster was lost; the same command goes on from what was made")
        return error

    def _large_allowed(self) -> Any:
        """Dask warns of large arguments and says to scatter them; but what is scattered is lost with its workers."""
        return importlib.import_module("dask.config").set({"distributed.admin.large-graph-warning-threshold": "1TB"})


def _connected(distributed: Any, address: str) -> Any:
    """A client, not the default one of this process."""
    file = Path(address).expanduser()
    where = {"scheduler_file": str(file)} if file.is_file() else {"address": address}
    if "/" in address and "://" not in address and not file.is_file():
        raise InputError(f"no scheduler file {address!r}; give the one that 'dask scheduler --scheduler-file' wrote")
    try:
        with _nothing_collected():
            return distributed.Client(**where, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        said = " ".join(str(error).split())[:160]
    gc.collect()  # it closes itself now
    raise InputError(
        f"no Dask scheduler answers at {address!r} ({said}); start one with 'dask scheduler', and give its address as "
        "dask:tcp://HOST:PORT"
    )


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """No garbage collection meanwhile. A client that could not connect closes itself when it is collected; if that
    falls into the start of another client, which holds the lock that closing asks for, both wait for ever."""
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _slots(client: Any, address: str) -> int:
    """Threads of all workers, which are seen to have the same versions as there are here."""
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
    except TimeoutError:
        raise InputError(
            f"the Dask scheduler at {address!r} has no workers; start some with 'dask worker {address} --nthreads 1'"
        ) from None
    wanted = setup_here()
    for worker, found in client.run(setup_here, on_error="return").items():
        if isinstance(found, BaseException):
            raise InputError(f"worker {worker} cannot run Layerscope ({found}); install layerscope there, too")
        check_setup(wanted, found, worker)
    threads: int = sum(client.nthreads().values())
    return threads
