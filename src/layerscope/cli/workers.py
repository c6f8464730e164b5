"""Workers that are started, or called, when there is work for them, and not before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import ExitStack, contextmanager
from typing import ParamSpec, TypeVar

from layerscope.engine import open_engine, parse_engine
from layerscope.passes.elsewhere import Shared, share, slots_of

P = ParamSpec("P")
T = TypeVar("T")


@contextmanager
def workers(spec: str) -> Iterator[Executor | None]:
    """The executor of an engine, as `open_engine` gives it, but opened with the first task.

    Raises UnknownNameError and InputError for what is no engine.
    """
    if parse_engine(spec)[0] == "local":
        yield None
        return
    with ExitStack() as stack:
        yield _WhenNeeded(spec, stack)


class _WhenNeeded(Executor):
    def __init__(self, spec: str, stack: ExitStack) -> None:
        self._spec, self._stack = spec, stack
        self._pool: Executor | None = None

    @property
    def slots(self) -> int:
        return slots_of(self._opened())

    def submit(self, task: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        return self._opened().submit(task, *args, **kwargs)

    def share(self, data: bytes) -> Shared:
        return share(self._opened(), data)

    def _opened(self) -> Executor:
        if self._pool is None:
            self._pool = self._stack.enter_context(open_engine(self._spec))
        if self._pool is None:
            raise RuntimeError(f"the engine {self._spec!r} has no workers")
        return self._pool
