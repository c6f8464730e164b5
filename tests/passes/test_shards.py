"""Sweeps that are interrupted, divided and merged give what one sweep gives; and what does not fit is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from seen_units import assert_same
from small_nets import small_model
from torch import Tensor

from layerscope.errors import InputError
from layerscope.passes.accumulators import ImageMeans, TopK
from layerscope.passes.base import Accumulator
from layerscope.passes.class_sums import ClassSums
from layerscope.passes.histogram import Histogram
from layerscope.passes.moments import Moments
from layerscope.passes.shards import Shard, merged, restored, saved, sweep_shard
from layerscope.passes.sweep import sweep
from layerscope.records import Store, content_key

MODEL = small_model()
IMAGES = torch.rand(23, 3, 32, 32, generator=torch.Generator().manual_seed(1))
LABELS = torch.arange(23) % 4
DATA = content_key(images="23 of seed 1")


def made(k: int = 3) -> dict[str, list[Accumulator[Any]]]:
    low, high = torch.full((8,), -3.0), torch.full((8,), 3.0)
    conv1 = [TopK(k), Moments(), Histogram(low, high, bins=16)]
    return {"conv1": conv1, "conv3": [ClassSums(LABELS), ImageMeans()], "": [TopK(2)]}


def results(accumulators: dict[str, list[Accumulator[Any]]]) -> list[Any]:
    return [accumulator.compute() for some in accumulators.values() for accumulator in some]


@pytest.fixture(scope="module")
def whole() -> list[Any]:
    accumulators = made()
    sweep(MODEL, IMAGES, accumulators, batch_size=4)
    return results(accumulators)


def assert_all_same(found: dict[str, list[Accumulator[Any]]], whole: list[Any]) -> None:
    for one, other in zip(results(found), whole, strict=True):
        assert_same(one, other)


class Interrupted:
    """Images of which the process is killed when it asks for those after `limit`; counts what it is asked for."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.asked: list[int] = []

    def __len__(self) -> int:
        return len(IMAGES)

    def __getitem__(self, images: slice, /) -> Tensor:
        if images.stop > self.limit:
            raise KeyboardInterrupt
        self.asked.extend(range(images.start, images.stop))
        return IMAGES[images]


def test_an_interrupted_sweep_goes_on_where_it_was(tmp_path: Path, whole: list[Any]) -> None:
    pictures, store = Interrupted(14), Store(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        sweep_shard(MODEL, pictures, made(), store, data=DATA, batch_size=4, block=8)
    again, told, accumulators = Interrupted(99), [], made()
    sweep_shard(
        MODEL, again, accumulators, store, data=DATA, batch_size=4, block=8, on_progress=lambda *now: told.append(now)
    )
    assert pictures.asked == list(range(12))
    assert again.asked == list(range(8, 23))  # the block that was whole is not seen again
    assert_all_same(accumulators, whole)
    assert [now[0] for now in told] == [8, 12, 16, 20, 23]
    assert {now[1:] for now in told} == {(23, "images")}
    finished, found = Interrupted(0), made()
    sweep_shard(MODEL, finished, found, store, data=DATA)
    assert finished.asked == []
    assert_all_same(found, whole)
    assert len(store.keys()) == 1


def test_what_an_accumulator_saw_before_does_not_count(tmp_path: Path, whole: list[Any]) -> None:
    accumulators = made()
    sweep(MODEL, IMAGES[:5] / 2, accumulators)
    sweep_shard(MODEL, IMAGES, accumulators, Store(tmp_path), data=DATA, batch_size=4)
    assert_all_same(accumulators, whole)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_shards_are_merged_in_any_order(tmp_path: Path, whole: list[Any], order: tuple[int, ...]) -> None:
    edges, store = [(0, 8), (8, 12), (12, 23)], Store(tmp_path)
    shards = [
        sweep_shard(MODEL, IMAGES, made(), store, data=DATA, first=first, stop=stop, batch_size=4)
        for first, stop in edges
    ]
    accumulators = made()
    sweep(MODEL, IMAGES[:5] / 2, accumulators)  # is forgotten
    assert merged(store, [shards[number] for number in order], accumulators) == 23
    assert_all_same(accumulators, whole)


def shard_of(first: int = 0, stop: int = 4, **others: str) -> Shard:
    return Shard(**{"network": MODEL.fingerprint, "data": DATA, **others}, first=first, stop=stop)


def wrongs() -> Iterator[tuple[Shard, dict[str, list[Accumulator[Any]]], str]]:
    yield shard_of(network="a" * 64), made(), "network is {network} there and aaaaaaaaaaaa here"
    yield shard_of(data="b" * 64), made(), "data is {data} there and bbbbbbbbbbbb here"
    yield shard_of(stop=5), made(), "stop is 4 there and 5 here"
    yield shard_of(), made(k=5), "accumulator 0 of 'conv1' is TopK(k=3) there and TopK(k=5) here"
    yield shard_of(), {"conv1": made()["conv1"]}, "accumulator 0 of '' is TopK(k=2) there and nothing here"
    yield shard_of(), {**made(), "fc": [TopK(1)]}, "accumulator 0 of 'fc' is nothing there and TopK(k=1) here"


@pytest.mark.parametrize("case", range(6))
def test_the_record_of_another_sweep_is_refused_in_words(tmp_path: Path, case: int) -> None:
    shard, accumulators, words = list(wrongs())[case]
    before = made()
    sweep(MODEL, IMAGES[:4], before)
    record = saved(Store(tmp_path), shard_of(), before, 4)
    words = words.format(network=MODEL.fingerprint[:12], data=DATA[:12])
    with pytest.raises(InputError, match=f"this record is of another sweep: {re.escape(words)}") as refused:
        restored(record, shard, accumulators)
    assert "\n" not in str(refused.value)
    assert all(not accumulator.state() for some in accumulators.values() for accumulator in some)
    found = made()
    assert restored(record, shard_of(), found) == 4
    assert_all_same(found, results(before))


def test_another_network_or_set_starts_anew(tmp_path: Path) -> None:
    store, pictures = Store(tmp_path), Interrupted(99)
    for data in (DATA, content_key(images="others")):
        sweep_shard(MODEL, pictures, made(), store, data=data)
    assert len(pictures.asked) == 46
    assert len(store.keys()) == 2


def test_shards_that_do_not_make_a_whole_are_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(InputError, match=r"images 0 to 4: 0 of 4 seen in .*; run this shard to its end first"):
        merged(store, [shard_of()], made())
    accumulators = made()
    sweep(MODEL, IMAGES[:3], accumulators)
    saved(store, shard_of(), accumulators, 3)
    with pytest.raises(InputError, match="images 0 to 4: 3 of 4 seen"):
        merged(store, [shard_of()], made())
    with pytest.raises(InputError, match="images 2 to 4 are in two shards; give each image once"):
        merged(store, [shard_of(2, 9), shard_of()], made())
    for others in ([], [shard_of(), shard_of(4, 9, data="b" * 64)]):
        with pytest.raises(InputError, match="shards, not of one network and one set of images"):
            merged(store, others, made())


def test_stretches_that_cannot_be_are_refused(tmp_path: Path) -> None:
    for first, stop in ((0, 24), (5, 5), (-1, 4)):
        with pytest.raises(InputError, match=f"images {first} to {stop} of 23, .*give a stretch that is not empty"):
            sweep_shard(MODEL, IMAGES, made(), Store(tmp_path), data=DATA, first=first, stop=stop)
    with pytest.raises(InputError, match="block=0"):
        sweep_shard(MODEL, IMAGES, made(), Store(tmp_path), data=DATA, block=0)
