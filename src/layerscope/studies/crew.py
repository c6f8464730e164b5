"""Whoever does the work of a study that needs the network: this process, or the workers of an executor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass
from typing import Any, TypeVar

from layerscope.errors import WorkerError
from layerscope.figures.words import plural
from layerscope.given import whole_number
from layerscope.models.model import VisionModel
from layerscope.passes.elsewhere import Shared, received, slots_of
from layerscope.passes.spread import HERE, Workers

Key = TypeVar("Key")
AHEAD = 2
"""Tasks that are handed out for each of those that run at a time: enough that none waits for this process."""


@dataclass(frozen=True)
class Crew:
    """workers: who sweeps its data sets and does its tasks; this process by default."""

    model: VisionModel
    workers: Workers = HERE

    @staticmethod
    def of(model: VisionModel, executor: Executor | None) -> Crew:
        """Of an executor, to whose workers the network is sent. InputError where it cannot be."""
        return Crew(model, Workers.of(model, executor))

    @property
    def size(self) -> int | None:
        """How many tasks are done at a time; None: this process does one after the other."""
        return None if self.workers.executor is None else slots_of(self.workers.executor)

    def each(
        self, task: Callable[..., Any], work: Iterable[tuple[Key, tuple[Any, ...]]]
    ) -> Iterator[tuple[Key, Future[Any]]]:
        """`task(model, *arguments)` for each key and its arguments, as they are done; only values travel to workers.

        `work` is asked for no more than AHEAD of what can be done, so that it may be made on the way.
        """
        executor, network = self.workers.executor, self.workers.network
        if executor is None or network is None:
            for key, arguments in work:
                done: Future[Any] = Future()
                done.set_result(task(self.model, *arguments))
                yield key, done
            return
        waiting, most = dict[Future[Any], Key](), AHEAD * slots_of(executor)
        try:
            for key, arguments in work:
                waiting[executor.submit(_elsewhere, network, task, arguments)] = key
                if len(waiting) >= most:
                    yield from _ready(waiting)
            while waiting:
                yield from _ready(waiting)
        finally:  # also where whoever reads this has stopped
            for future in waiting:
                future.cancel()

    def all_made(
        self,
        task: Callable[..., Any],
        work: Iterable[tuple[Key, tuple[Any, ...]]],
        named: Callable[[Key], str],
        lost: Sequence[tuple[Key, WorkerError]] = (),
    ) -> Iterator[tuple[Key, Any]]:
        """What `each` comes to. WorkerError, after all others, for what was given up, as `named`.

        lost: what `work` itself has given up, as it is when `work` is at its end.
        """
        given_up = list[tuple[Key, WorkerError]]()
        for key, done in self.each(task, work):
            try:
                made = done.result()
            except WorkerError as error:
                given_up.append((key, error))
            else:
                yield key, made
        given_up = [*lost, *given_up]
        if given_up:
            missing = [named(key) for key, _ in given_up]
            more = f" and {plural(len(missing) - 3, 'more chunk')}" if len(missing) > 3 else ""
            why = given_up[0][1]
            raise WorkerError(f"{', '.join(missing[:3])}{more} could not be made: {why}; all others are kept")


def checked_workers(count: int | None) -> int | None:
    """How many workers a plan is for; None: this process alone."""
    if count is None:
        return None
    return whole_number("workers", count, 1, advice="a whole number of at least 1, or None for this process")


def _ready(waiting: dict[Future[Any], Key]) -> Iterator[tuple[Key, Future[Any]]]:
    """At least one that is done, in the order in which they were handed out.

    What it came to is not kept any longer than its reader needs it.
    """
    done = wait(waiting, return_when=FIRST_COMPLETED).done
    for future in [one for one in waiting if one in done]:
        yield waiting.pop(future), future


def _elsewhere(network: Shared, task: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    return task(received(network), *arguments)
