"""A sweep over a data set that any executor may do, in shards; the result is the same to the last bit, whoever does it.

Shards have a fixed number of images, each begins with empty accumulators, and their states are joined in the order of
the images: neither the executor nor its number of workers changes what is added to what.
"""

from __future__ import annotations

import itertools
import pickle
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor

from layerscope.errors import InputError
from layerscope.passes.elsewhere import Shared, received, send, slots_of
from layerscope.passes.shards import Accumulators, Shard, restored, saved
from layerscope.passes.sweep import sweep
from layerscope.types import Progress, no_progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from layerscope.models.model import VisionModel
    from layerscope.records import Store

    States = dict[str, list[dict[str, NDArray[Any]]]]

SHARD = 128
"""Images that are swept in one go: what a killed sweep, or a worker that dies, loses at most."""


class Pixels(Protocol):
    """A set of images: a tensor, or anything that gives a slice of one when asked: uint8, or float in [0, 1]."""

    def __len__(self) -> int: ...

    def __getitem__(self, images: slice, /) -> Tensor: ...


@dataclass(frozen=True)
class Kept:
    """Where the shards of a sweep are recorded, so that one that was stopped goes on from there.

    data: what the set of images is known by, as a content key.
    """

    store: Store
    data: str


def sweep_over(
    executor: Executor | None,
    model: VisionModel,
    images: Pixels,
    accumulators: Accumulators,
    *,
    network: Shared | None = None,
    shard: int = SHARD,
    batch_size: int = 64,
    kept: Kept | None = None,
    on_progress: Progress = no_progress,
) -> int:
    """As `sweep`, in shards on the workers of an executor (None: here); gives how many images were seen.

    `images`: [n, channel, height, width], uint8 in 0-255 or float in [0, 1]. What the accumulators had seen before is
    forgotten. `network`: what `send` gave for this executor, where the network was sent already. `kept`: records each
    shard as soon as it is swept, and takes those that are there. Raises InputError for no images, sizes below 1, and
    networks that cannot be sent; WorkerError where workers end again and again; StorageError where a record cannot be
    written; and as `sweep` does.
    """
    if not len(images) or min(shard, batch_size) < 1:
        raise InputError(f"{len(images)} images, shard={shard}, batch_size={batch_size}; at least 1 of each is needed")
    for accumulator in _all(accumulators):
        accumulator.restore({})
    stretches = [(first, min(first + shard, len(images))) for first in range(0, len(images), shard)]
    empty = pickle.dumps(accumulators)
    archive = None if kept is None else _Archive(kept, model, empty)
    todo = [stretch for stretch in stretches if archive is None or archive.find(*stretch) is None]
    swept = _swept(executor, model, images, empty, todo, network, batch_size)
    for first, stop in stretches:
        states = archive.find(first, stop) if archive else None
        if states is None:
            states = next(swept)
            if archive:
                archive.write(first, stop, states)
        for accumulator, state in zip(_all(accumulators), _all(states), strict=True):
            accumulator.absorb(state)
        on_progress(stop, len(images), "images")
    return len(images)


def _swept(
    executor: Executor | None,
    model: VisionModel,
    images: Pixels,
    empty: bytes,
    stretches: Sequence[tuple[int, int]],
    network: Shared | None,
    batch_size: int,
) -> Iterator[States]:
    """What pickled, empty accumulators see of each stretch, one after the other."""
    if not stretches:
        return
    if executor is None:
        for first, stop in stretches:
            yield sweep_stretch(model, empty, images[first:stop], first, batch_size)
        return
    sent = network or send(model, executor)
    tasks = (
        partial(executor.submit, _elsewhere, sent, empty, images[first:stop].numpy(), first, batch_size)
        for first, stop in stretches
    )
    yield from _in_order(tasks, ahead=2 * slots_of(executor))


def _in_order(tasks: Iterable[partial[Future[States]]], ahead: int) -> Iterator[States]:
    """Results in the order of the tasks; never more than `ahead` of them are submitted before they are asked for."""
    waiting: deque[Future[States]] = deque()
    rest = iter(tasks)
    try:
        while True:
            waiting.extend(task() for task in itertools.islice(rest, ahead - len(waiting)))
            if not waiting:
                return
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def sweep_stretch(model: VisionModel, empty: bytes, pixels: Tensor, first: int, batch_size: int) -> States:
    """What pickled, empty accumulators have seen after a sweep over `pixels`, whose first image has this number."""
    accumulators: Accumulators = pickle.loads(empty)
    batches = (batch.float() / 255 if batch.dtype == torch.uint8 else batch for batch in pixels.split(batch_size))
    sweep(model, batches, accumulators, first=first)
    return {layer: [accumulator.state() for accumulator in some] for layer, some in accumulators.items()}


def _elsewhere(network: Shared, empty: bytes, pixels: NDArray[Any], first: int, batch_size: int) -> States:
    """What a worker does."""
    return sweep_stretch(received(network), empty, torch.from_numpy(np.array(pixels)), first, batch_size)


class _Archive:
    """The records of a sweep's shards."""

    def __init__(self, kept: Kept, model: VisionModel, empty: bytes) -> None:
        self._kept, self._network = kept, model.fingerprint
        self._accumulators: Accumulators = pickle.loads(empty)

    def find(self, first: int, stop: int) -> States | None:
        """What was recorded of a shard that was swept to its end."""
        shard = self._shard(first, stop)
        record = self._kept.store.find(shard.key(self._accumulators))
        if record is None or restored(record, shard, self._accumulators) < stop - first:
            return None
        return {layer: [each.state() for each in some] for layer, some in self._accumulators.items()}

    def write(self, first: int, stop: int, states: States) -> None:
        for accumulator, state in zip(_all(self._accumulators), _all(states), strict=True):
            accumulator.restore(state)
        saved(self._kept.store, self._shard(first, stop), self._accumulators, stop - first)

    def _shard(self, first: int, stop: int) -> Shard:
        return Shard(self._network, self._kept.data, first, stop)


def _all(by_layer: Any) -> Iterator[Any]:
    """The accumulators of all layers, or what belongs to each of them, in their order."""
    return itertools.chain.from_iterable(by_layer.values())
