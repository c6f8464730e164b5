"""Whoever does the work of a study that needs the network: this process, or the workers of an executor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass
from typing import Any, TypeVar

from layerscope.given import whole_number
from layerscope.models.model import VisionModel
from layerscope.passes.elsewhere import Shared, received, send, slots_of
from layerscope.passes.spread import Workers

Key = TypeVar("Key")
AHEAD = 2
"""Tasks that are handed out for each of those that run at a time: enough that none waits for this process."""


@dataclass(frozen=True)
class Crew:
    """network: as the workers get it; None where all is done here."""

    model: VisionModel
    executor: Executor | None = None
    network: Shared | None = None

    @staticmethod
    def of(model: VisionModel, executor: Executor | None) -> Crew:
        """Of an executor, to whose workers the network is sent. InputError where it cannot be."""
        return Crew(model, executor, None if executor is None else send(model, executor))

    @property
    def workers(self) -> Workers:
        """The same, for sweeps over data sets."""
        return Workers(self.executor, self.network)

    @property
    def size(self) -> int | None:
        """How many tasks are done at a time; None: this process does one after the other."""
        return None if self.executor is None else slots_of(self.executor)

    def each(
        self, task: Callable[..., Any], work: Iterable[tuple[Key, tuple[Any, ...]]]
    ) -> Iterator[tuple[Key, Future[Any]]]:
        """`task(model, *arguments)` for each key and its arguments, as they are done; only values travel to workers.

        `work` is asked for no more than AHEAD of what can be done, so that it may be made on the way.
        """
        if self.executor is None or self.network is None:
            for key, arguments in work:
                done: Future[Any] = Future()
                done.set_result(task(self.model, *arguments))
                yield key, done
            return
        waiting, most = dict[Future[Any], Key](), AHEAD * slots_of(self.executor)
        for key, arguments in work:
            waiting[self.executor.submit(_elsewhere, self.network, task, arguments)] = key
            if len(waiting) >= most:
                yield from _ready(waiting)
        while waiting:
            yield from _ready(waiting)


def checked_workers(count: int | None) -> int | None:
    """How many workers a plan is for; None: this process alone."""
    if count is None:
        return None
    return whole_number("workers", count, 1, advice="a whole number of at least 1, or None for this process")


def _ready(waiting: dict[Future[Any], Key]) -> Iterator[tuple[Key, Future[Any]]]:
    """At least one that is done; what it came to is not kept any longer than its reader needs it."""
    for future in wait(waiting, return_when=FIRST_COMPLETED).done:
        yield waiting.pop(future), future


def _elsewhere(network: Shared, task: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    return task(received(network), *arguments)
