"""Sweeps in shards on any executor: the same bytes as here, resumable, and what travels is small."""

from __future__ import annotations

import pickle
import random
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from seen_units import assert_same
from small_nets import small_network
from torch import Tensor

from layerscope.engine import open_engine
from layerscope.errors import InputError, UnknownNameError
from layerscope.passes.accumulators import ImageMaxima, ImageMeans, Peak, TopK
from layerscope.passes.base import Accumulator
from layerscope.passes.class_sums import ClassSums
from layerscope.passes.elsewhere import Shared, received, send
from layerscope.passes.histogram import Histogram
from layerscope.passes.masks import ConceptMasks
from layerscope.passes.moments import Moments
from layerscope.passes.overlap import Overlap
from layerscope.passes.ranges import Range
from layerscope.passes.spread import Kept, Workers, sweep_over
from layerscope.passes.sweep import sweep
from layerscope.records import Store, content_key

COUNT = 23
PIXELS = torch.randint(0, 256, (COUNT, 3, 32, 32), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
DATA = content_key(images="23 of seed 1")


def made(first: str = "0", last: str = "6") -> dict[str, list[Accumulator[Any]]]:
    """Every accumulator that there is, on the layers of the small network."""
    masks = ConceptMasks(torch.rand(COUNT, 2, 32, 32, generator=torch.Generator().manual_seed(2)) > 0.5)
    thresholds = torch.linspace(-0.2, 0.2, 18).reshape(6, 3)
    return {
        first: [TopK(3), Peak(), Moments(), Range(), Overlap(masks, thresholds), Histogram(torch.full((6,), -2.0), torch.full((6,), 2.0), 16)],
        last: [ImageMeans(), ImageMaxima(), ClassSums(torch.arange(COUNT) % 4)],
    }  # fmt: skip


def states(accumulators: dict[str, list[Accumulator[Any]]]) -> list[bytes]:
    """All that they keep, to the last bit."""
    return [
        name.encode() + str(array.dtype).encode() + array.tobytes()
        for some in accumulators.values()
        for accumulator in some
        for name, array in sorted(accumulator.state().items())
    ]


def swept(executor: Executor | None, images: Any = PIXELS, **options: Any) -> list[bytes]:
    accumulators, network = made(), small_network()
    workers = Workers.of(network, executor)
    assert sweep_over(network, images, accumulators, workers=workers, shard=4, batch_size=3, **options) == COUNT
    return states(accumulators)


class Shuffled(ThreadPoolExecutor):
    """Does tasks with delays, so that they are done in another order than asked for."""

    def submit(self, task: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        delay = random.Random(args[-2]).random() / 20
        return super().submit(lambda: (time.sleep(delay), task(*args, **kwargs))[1])


@pytest.fixture(scope="module")
def processes() -> Iterator[Executor]:
    with open_engine("processes:2") as executor:
        assert executor is not None
        yield executor


def test_a_sweep_in_shards_sees_what_one_sweep_sees():
    whole, found = made(), made()
    images = (PIXELS.float() / 255).contiguous(memory_format=small_network().layout)
    sweep(small_network(), images, whole, batch_size=3)
    sweep_over(small_network(), PIXELS, found, shard=6, batch_size=3)
    for layer, some in whole.items():
        for one, other in zip(some, found[layer], strict=True):
            assert_same(other.compute(), one.compute())


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_any_number_of_workers_gives_the_same_bytes(workers):
    with Shuffled(workers) as executor:
        assert swept(executor) == swept(None)


def test_processes_give_the_same_bytes(processes):
    assert swept(processes) == swept(None)


def test_a_set_that_gives_slices_when_asked_is_swept_too():
    class Images:
        def __len__(self) -> int:
            return COUNT

        def __getitem__(self, images: slice) -> Tensor:
            return PIXELS[images].float() / 255

    assert swept(None, Images()) == swept(None)


class Stripes:
    """Rendered from their numbers: of each image a stripe, somewhere."""

    def __len__(self) -> int:
        return COUNT

    def render(self, numbers: NDArray[np.int64]) -> Tensor:
        at = torch.arange(32) - torch.from_numpy(numbers)[:, None]
        return (0.5 + at.sin() / 2)[:, None, None].expand(-1, 3, 32, -1).contiguous()


def test_images_are_rendered_where_they_are_swept():
    pixels = Stripes().render(np.arange(COUNT))
    travelled: list[int] = []

    class Weighing(ThreadPoolExecutor):
        def submit(self, task: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            travelled.append(len(pickle.dumps(args[2])))
            return super().submit(task, *args, **kwargs)

    assert swept(None, Stripes()) == swept(None, pixels)
    with Weighing(2) as executor:
        assert swept(executor, Stripes()) == swept(None, pixels)
    assert len(travelled) == 6
    assert max(travelled) < 100


def test_networks_get_images_in_their_own_number_format():
    model = small_network()
    model.module.double()
    found, wanted = {"6": [ImageMeans()]}, {"6": [ImageMeans()]}
    sweep_over(model, PIXELS, found, shard=4)
    sweep(model, PIXELS.double() / 255, wanted)
    torch.testing.assert_close(found["6"][0].compute(), wanted["6"][0].compute(), rtol=1e-5, atol=1e-6)


def test_a_sweep_that_was_stopped_goes_on_from_its_shards(tmp_path):
    class Stopped:
        def __init__(self, limit: int) -> None:
            self.limit, self.asked = limit, list[int]()

        def __len__(self) -> int:
            return COUNT

        def __getitem__(self, images: slice) -> Tensor:
            if images.start >= self.limit:
                raise KeyboardInterrupt
            self.asked.append(images.start)
            return PIXELS[images]

    kept = Kept(Store(tmp_path), DATA)
    with pytest.raises(KeyboardInterrupt):
        swept(None, Stopped(12), kept=kept)
    again = Stopped(COUNT)
    assert swept(None, again, kept=kept) == swept(None)
    assert again.asked == [12, 16, 20]
    nothing = Stopped(0)
    assert swept(None, nothing, kept=kept) == swept(None)


def test_two_sweeps_may_share_their_records(tmp_path):
    kept = Kept(Store(tmp_path), DATA)

    def ahead(done: int, total: int, what: str) -> None:
        """Another process, which was faster by one shard, and is then stopped."""
        if done == 8:
            with pytest.raises(KeyboardInterrupt):
                swept(None, on_progress=stopped, kept=kept)

    def stopped(done: int, total: int, what: str) -> None:
        if done == 12:
            raise KeyboardInterrupt

    alone = swept(None)
    assert swept(None, kept=kept, on_progress=ahead) == alone
    assert swept(None, kept=kept) == alone


@pytest.mark.parametrize("workers", [None, 2])
def test_a_shard_whose_record_went_meanwhile_is_swept_again(tmp_path, workers):
    kept = Kept(Store(tmp_path), DATA)
    alone = swept(None, kept=kept)

    def gone(done: int, total: int, what: str) -> None:
        if done == 8:
            there = kept.store.keys()
            for key in there:
                kept.store.remove(key)

    with ThreadPoolExecutor(workers or 1) as executor:
        assert swept(executor if workers else None, kept=kept, on_progress=gone) == alone
    assert len(kept.store.keys()) == 4


def test_never_many_more_shards_are_under_way_than_workers():
    class Counting(ThreadPoolExecutor):
        slots = 1
        most = waiting = 0

        def share(self, data: bytes) -> Shared:
            return Shared("0", data)

        def submit(self, task: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            self.waiting += 1
            self.most = max(self.most, self.waiting)
            future = super().submit(task, *args, **kwargs)
            return future

    with Counting(1) as executor:
        seen: list[int] = []

        def progress(done: int, total: int, what: str) -> None:
            executor.waiting -= 1
            seen.append(done)

        swept(executor, on_progress=progress)
    assert executor.most == 2
    assert seen == [4, 8, 12, 16, 20, 23]


def test_a_thread_unpacks_a_network_once_and_no_two_threads_share_one():
    model = small_network()

    def network(shared: Shared) -> int:
        time.sleep(0.02)
        return id(received(shared))

    with ThreadPoolExecutor(2) as executor:
        shared = send(model, executor)
        found = {future.result() for future in [executor.submit(network, shared) for _ in range(20)]}
    assert len(found) == 2
    assert id(model) not in found


def test_only_the_pixels_of_its_shard_travel_with_a_task():
    sizes: list[int] = []

    class Weighing(ThreadPoolExecutor):
        def submit(self, task: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            sizes.extend(len(pickle.dumps(given)) for given in args if hasattr(given, "shape"))
            return super().submit(task, *args, **kwargs)

    with Weighing(2) as executor:
        swept(executor)
    assert max(sizes) < 4 * 3 * 32 * 32 + 300
    assert sum(sizes) < PIXELS.numel() + 6 * 300


def test_bad_sweeps_are_said():
    with pytest.raises(InputError, match="0 images, shard=128, batch_size=64; at least 1 of each is needed"):
        sweep_over(small_network(), PIXELS[:0], made())
    with pytest.raises(InputError, match="23 images, shard=0"):
        sweep_over(small_network(), PIXELS, made(), shard=0)
    with ThreadPoolExecutor(1) as executor, pytest.raises(UnknownNameError, match="no layer 'nowhere'"):
        sweep_over(small_network(), PIXELS, {"nowhere": [TopK(1)]}, workers=Workers.of(small_network(), executor))
