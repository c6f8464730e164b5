"""The workers of a Ray cluster, or of a Ray that is started on this machine for as long as it is needed."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, ParamSpec, TypeVar
from urllib.parse import urlsplit

import numpy as np

from layerscope.engine.tasks import ATTEMPTS, Parcel, brought, check_setup, hand_on, packed, run_alike, setup_here
from layerscope.errors import InputError, MissingPackageError, WorkerError
from layerscope.passes.elsewhere import Shared, digest_of

P = ParamSpec("P")
T = TypeVar("T")

PATIENCE = 5.0
"""Seconds in which the head of a cluster has to answer."""
_BEGINNING = 120.0
"""Seconds in which each machine has to start a first worker, which loads torch."""
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
"""A Ray that is started here neither reports to its makers nor hides the graphics cards from tasks."""


@contextmanager
def open_ray(address: str) -> Iterator[Executor]:
    """An executor of the cluster at this address; of the one on this machine, where it is empty.

    A Ray that this process is connected to already is used, and left connected. Raises MissingPackageError, and
    InputError for a cluster that does not answer, or has workers of other versions.
    """
    try:
        ray: Any = importlib.import_module("ray")
    except ModuleNotFoundError:
        raise MissingPackageError("ray is not installed; run: pip install 'layerscope[ray]'") from None
    with ExitStack() as stack:
        if not ray.is_initialized():
            stack.enter_context(_connection(ray, address))
        executor = RayExecutor(ray, _slots(ray))
        try:
            yield executor
        finally:
            executor.shutdown(cancel_futures=True)


class RayExecutor(Executor):
    """Tasks of Ray, on one processor core each. slots: cores of all machines when it was opened."""

    def __init__(self, ray: Any, slots: int) -> None:
        self.slots = slots
        self._ray = ray
        # Ray does a task again whose worker died, and only then.
        self._run = ray.remote(run_alike).options(num_cpus=1, max_retries=ATTEMPTS - 1, retry_exceptions=False)
        self._parcels: dict[str, Any] = {}
        self._under_way: dict[Future[Any], Any] = {}

    def submit(self, task: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        parcels = [self._parcels[digest] for digest in brought(args)]
        task_of_ray = self._run.remote(setup_here(), packed(task, args, kwargs), *parcels)
        outer = Future[T]()
        self._under_way[outer] = task_of_ray
        outer.add_done_callback(self._over)
        task_of_ray.future().add_done_callback(partial(hand_on, outer=outer, translated=self._translated))
        return outer

    def share(self, data: bytes) -> Shared:
        """Put the bytes into Ray's store: once on each machine, where all its workers read the same memory."""
        shared = Shared(digest_of(data))
        if shared.digest not in self._parcels:
            parcel = Parcel(shared.digest, np.frombuffer(data, dtype=np.uint8))
            self._parcels[shared.digest] = self._ray.put(parcel)
        return shared

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        under_way = dict(self._under_way)
        for outer, task_of_ray in under_way.items():
            if cancel_futures and not outer.cancel():
                self._ray.cancel(task_of_ray, force=True)
        if wait and not cancel_futures:
            self._ray.wait(list(under_way.values()), num_returns=len(under_way))

    def _over(self, outer: Future[Any]) -> None:
        task_of_ray = self._under_way.pop(outer)
        if outer.cancelled():
            self._ray.cancel(task_of_ray, force=True)

    def _translated(self, error: BaseException) -> BaseException:
        errors = self._ray.exceptions
        if isinstance(error, errors.RayTaskError):
            cause: BaseException = error.cause  # what the task raised, without Ray's report around it
            return cause
        if isinstance(error, (errors.WorkerCrashedError, errors.OutOfMemoryError, errors.NodeDiedError)):
            return WorkerError(
                f"its workers died {ATTEMPTS} times in the middle of it, as where memory runs out; give Ray fewer cores"
            )
        if isinstance(error, errors.RayError):
            return WorkerError(
                f"Ray lost it ({' '.join(str(error).split())[:160]}); the same command goes on from there"
            )
        return error


@contextmanager
def _connection(ray: Any, address: str) -> Iterator[None]:
    """Join the cluster, or start one; leave it, or end it, afterwards. The process is as it was before."""
    if address:
        _check_reached(address)
    with _as_before():
        try:
            with _own_signals():
                ray.init(address or None, include_dashboard=False, log_to_driver=False, configure_logging=False)
        except (ConnectionError, RuntimeError, ValueError) as error:
            ray.shutdown()
            said = " ".join(str(error).split())[:200]
            raise InputError(
                f"no Ray at {address or 'this machine'!r} ({said}); start one with 'ray start --head'"
            ) from None
        try:
            yield
        finally:
            ray.shutdown()


def _check_reached(address: str) -> None:
    """Raise InputError where nobody listens; Ray itself would try for minutes."""
    place = urlsplit(address if "://" in address else f"ray://{address}")
    try:
        host, port = place.hostname, place.port
    except ValueError:
        host, port = None, None
    if not host or not port:
        raise InputError(
            f"{address!r} is no address of a Ray cluster; write ray:HOST:PORT, as 'ray start --head' says it"
        )
    try:
        socket.create_connection((host, port), timeout=PATIENCE).close()
    except OSError as error:
        raise InputError(
            f"no Ray answers at {address!r} ({error}); start one with 'ray start --head', and give its address as "
            "ray:HOST:PORT"
        ) from None


def _slots(ray: Any) -> int:
    """Cores of all machines, which are seen to have the same versions as there are here."""
    strategies: Any = importlib.import_module("ray.util.scheduling_strategies")
    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
    if not nodes:
        raise InputError("this Ray has no cores for tasks; start a machine of it with at least one")
    asked = ray.remote(setup_here)
    there = [strategies.NodeAffinitySchedulingStrategy(node["NodeID"], soft=False) for node in nodes]
    answers = [asked.options(scheduling_strategy=place).remote() for place in there]
    wanted = setup_here()
    for node, answer in zip(nodes, answers, strict=True):
        name = node["NodeManagerHostname"]
        try:
            found = ray.get(answer, timeout=_BEGINNING)
        except ray.exceptions.RayError as error:
            said = " ".join(str(getattr(error, "cause", error)).split())[:160]
            raise InputError(f"worker {name} cannot run Layerscope ({said}); install layerscope there, too") from None
        check_setup(wanted, found, name)
    return int(sum(node["Resources"]["CPU"] for node in nodes))


@contextmanager
def _as_before() -> Iterator[None]:
    """Ray's quiet inside; the environment, the log level and the hook for errors as they were, outside."""
    logger, environment, hook = logging.getLogger("ray"), dict(os.environ), sys.excepthook
    level = logger.level
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
        sys.excepthook = hook
        for name in set(os.environ) - set(environment):
            del os.environ[name]
        os.environ.update(environment)


@contextmanager
def _own_signals() -> Iterator[None]:
    """Ray takes over what happens on SIGTERM; afterwards it is as before."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():  # others may not change it, and Ray did not then
            signal.signal(signal.SIGTERM, before)
