"""Chunks of a gallery: whole batches, no more than four, and enough chunks for all workers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from lost_work import Deadly
from small_nets import small_network

from layerscope.errors import WorkerError
from layerscope.passes.elsewhere import Shared
from layerscope.studies.chunks import batches_of, in_chunks
from layerscope.studies.crew import AHEAD, Crew


@pytest.mark.parametrize(
    ("layers", "workers", "batches"),
    [
        ([(512, 32)], None, 4),  # 4 chunks, by this process
        ([(512, 32)], 2, 4),
        ([(512, 32)], 3, 3),  # 4 chunks of 128 pictures, 6 of 96
        ([(512, 32)], 9, 1),
        ([(64, 32), (2048, 8)], 32, 4),
        ([(64, 32), (2048, 8)], 33, 3),
        ([], 4, 1),
    ],
)
def test_chunks_are_four_batches_or_fewer_where_workers_would_idle(layers, workers, batches):
    assert batches_of(layers, workers) == batches


def test_chunks_are_of_one_layer_each_and_keep_the_order():
    items = ["a1", "b1", "a2", "a3", "b2", "c1"]
    sizes = {"a": 2, "b": 5, "c": 1}
    assert list(in_chunks(items, lambda one: one[0], lambda one: sizes[one[0]])) == [
        ["a1", "a2"],
        ["a3"],
        ["b1", "b2"],
        ["c1"],
    ]


def _doubled(model, number: int) -> int:
    return 2 * number


class _Slow(ThreadPoolExecutor):
    """Says how many tasks were handed out and not read."""

    slots, most, open = 2, 0, 0

    def share(self, data: bytes) -> Shared:
        return Shared("0" * 64, data)

    def submit(self, *args, **kwargs) -> Future:
        self.open += 1
        self.most = max(self.most, self.open)
        return super().submit(*args, **kwargs)


def test_work_is_handed_out_a_few_tasks_at_a_time():
    model = small_network()
    with _Slow(2) as executor:
        crew, found = Crew.of(model, executor), {}
        for key, done in crew.each(_doubled, ((number, (number,)) for number in range(20))):
            executor.open -= 1
            found[key] = done.result()
    assert found == {number: 2 * number for number in range(20)}
    assert executor.most == AHEAD * 2
    assert [(key, done.result()) for key, done in Crew(model).each(_doubled, [(1, (3,))])] == [(1, 6)]


def _after(model, gate: threading.Event, number: int) -> int:
    gate.wait()
    return number


@pytest.mark.parametrize("raises", ["reader", "work"])
def test_what_waits_is_cancelled_where_the_work_ends_early(raises):
    gate, asked = threading.Event(), list[Future]()

    class Recorded(_Slow):
        def submit(self, *args, **kwargs) -> Future:
            asked.append(super().submit(*args, **kwargs))
            return asked[-1]

    def work():
        opened = threading.Event()
        opened.set()
        yield 0, (opened, 0)
        for number in range(1, 9):
            yield number, (gate, number)
            if raises == "work" and number == 3:
                raise KeyboardInterrupt

    with Recorded(2) as executor:
        try:
            with pytest.raises(KeyboardInterrupt):
                _interrupted(Crew.of(small_network(), executor).each(_after, work()))
            cancelled = [future.cancelled() for future in asked]
        finally:
            gate.set()
    assert len(cancelled) == AHEAD * 2
    assert not cancelled[0]
    assert cancelled.count(False) <= 3  # one was read, two may be under way


def _interrupted(found) -> None:
    for _ in found:
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("dead", "early", "words"),
    [
        ({1}, 0, "one could not be made: its worker died; all others are kept"),
        ({1, 2, 3, 4}, 0, "one, two, three and 1 more chunk could not be made: its worker died; all others are kept"),
        ({3}, 4, "zero, zero, zero and 2 more chunks could not be made: not tried; all others are kept"),
    ],
)
def test_work_that_is_given_up_is_told_after_all_others(dead, early, words):
    names: Callable[[int], str] = ["zero", "one", "two", "three", "four", "five"].__getitem__
    found = {}
    with Deadly(lambda task, number: number in dead) as executor:
        crew, lost = Crew.of(small_network(), executor), [(0, WorkerError("not tried"))] * early
        made = crew.all_made(_doubled, ((number, (number,)) for number in range(6)), names, lost)
        with pytest.raises(WorkerError) as error:
            found.update(made)
    assert found == {number: 2 * number for number in range(6) if number not in dead}
    assert str(error.value) == words
    assert list(Crew(small_network()).all_made(_doubled, [(1, (3,))], names)) == [(1, 6)]
