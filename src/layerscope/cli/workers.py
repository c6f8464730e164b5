"""Processes that are started when there is work for them, and not before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import ExitStack, contextmanager
from typing import ParamSpec, TypeVar

from layerscope.engine import open_engine, processes_of

P = ParamSpec("P")
T = TypeVar("T")


@contextmanager
def workers(spec: str) -> Iterator[Executor | None]:
    """The executor of an engine, as `open_engine` gives it, but that its processes start with the first task.

    Raises UnknownNameError and InputError for what is no engine.
    """
    if processes_of(spec) is None:
        yield None
        return
    with ExitStack() as stack:
        yield _WhenNeeded(spec, stack)


class _WhenNeeded(Executor):
    def __init__(self, spec: str, stack: ExitStack) -> None:
        self._spec, self._stack = spec, stack
        self._pool: Executor | None = None

    def submit(self, task: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        if self._pool is None:
            self._pool = self._stack.enter_context(open_engine(self._spec))
        if self._pool is None:
            raise RuntimeError(f"the engine {self._spec!r} has no processes")
        return self._pool.submit(task, *args, **kwargs)
