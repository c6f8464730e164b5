"""Chunks of a gallery: whole batches, no more than four, and enough chunks for all workers."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from small_nets import small_network

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
