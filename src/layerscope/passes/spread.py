"""A sweep over a data set that any executor may do, in shards; the result is the same to the last bit, whoever does it.

Shards have a fixed number of images, each begins with empty accumulators, and their states are joined in the order of
the images: neither the executor nor its number of workers changes what is added to what.
"""

from __future__ import annotations

import copy
import itertools
import pickle
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from layerscope.errors import InputError
from layerscope.passes.elsewhere import Shared, received, send, slots_of
from layerscope.passes.shards import Accumulators, Shard, restored, saved
from layerscope.passes.sweep import sweep
from layerscope.types import Images, Progress, no_progress

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


@runtime_checkable
class Rendered(Protocol):
    """A set of images that are made where they are swept, a batch at a time; it travels whole, so it has to be small.

    An image depends on its number alone.
    """

    def __len__(self) -> int: ...

    def render(self, numbers: NDArray[np.int64], /) -> Images:
        """Float in [0, 1], on the CPU."""
        ...


@dataclass(frozen=True)
class Workers:
    """Who sweeps: the workers of an executor, as they get the network; this process by default."""

    executor: Executor | None = None
    network: Shared | None = None

    @staticmethod
    def of(model: VisionModel, executor: Executor | None) -> Workers:
        """Of an executor, to whose workers the network is sent. InputError where it cannot be."""
        return Workers(executor, None if executor is None else send(model, executor))


HERE = Workers()


@dataclass(frozen=True)
class Kept:
    """Where the shards of a sweep are recorded, so that one that was stopped goes on from there.

    data: what the set of images is known by, as a content key.
    """

    store: Store
    data: str


def sweep_over(
    model: VisionModel,
    images: Pixels | Rendered,
    accumulators: Accumulators,
    *,
    workers: Workers = HERE,
    shard: int = SHARD,
    batch_size: int = 64,
    kept: Kept | None = None,
    on_progress: Progress = no_progress,
) -> int:
    """As `sweep`, in shards that workers sweep; gives how many images were seen.

    `images`: [n, channel, height, width], uint8 in 0-255 or float in [0, 1], or what renders them; the network gets
    them where its weights are, and in their number format. What the accumulators had seen before is forgotten.
    `workers`: of this network. `kept`: records each shard as soon as it is swept, and takes those that are there.
    Raises InputError for no images and sizes below 1; WorkerError where workers end again and again; StorageError where
    a record cannot be written; and as `sweep` does.
    """
    if not len(images) or min(shard, batch_size) < 1:
        raise InputError(f"{len(images)} images, shard={shard}, batch_size={batch_size}; at least 1 of each is needed")
    for accumulator in _all(accumulators):
        accumulator.restore({})
    stretches = [(first, min(first + shard, len(images))) for first in range(0, len(images), shard)]
    archive = None if kept is None else _Archive(kept, model, _empty(accumulators))
    todo = dict.fromkeys(stretch for stretch in stretches if archive is None or archive.find(*stretch) is None)
    sweep_of = partial(_swept, workers, model, images, _empty(accumulators), batch_size)
    swept = sweep_of(todo)  # whatever others record meanwhile
    for first, stop in stretches:
        waiting = (first, stop) in todo
        states = archive.find(first, stop) if archive and not waiting else None
        if states is None:
            states = next(swept if waiting else sweep_of([(first, stop)]))  # its record was there, and went
            if archive:
                archive.write(first, stop, states)
        for accumulator, state in zip(_all(accumulators), _all(states), strict=True):
            accumulator.absorb(state)
        on_progress(stop, len(images), "images")
    return len(images)


def _swept(
    workers: Workers,
    model: VisionModel,
    images: Pixels | Rendered,
    empty: Accumulators,
    batch_size: int,
    stretches: Collection[tuple[int, int]],
) -> Iterator[States]:
    """What empty accumulators see of each stretch, one after the other."""
    executor, network = workers.executor, workers.network
    if executor is None or network is None:
        for first, stop in stretches:
            some = images if isinstance(images, Rendered) else images[first:stop]
            yield sweep_stretch(model, _packed(empty, first, stop), some, stop, first, batch_size)
        return
    tasks = (
        partial(executor.submit, _elsewhere, network, _packed(empty, first, stop), some, stop, first, batch_size)
        for first, stop in stretches
        for some in [images if isinstance(images, Rendered) else images[first:stop].numpy()]
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


def sweep_stretch(
    model: VisionModel, packed: bytes, images: Tensor | Rendered, stop: int, first: int, batch_size: int
) -> States:
    """What empty accumulators, pickled, have seen after a sweep over images number `first` up to and without `stop`.

    `images`: these, or what renders them.
    """
    accumulators: Accumulators = pickle.loads(packed)
    sweep(model, as_the_network_takes_them(model, _batches(images, first, stop, batch_size)), accumulators, first=first)
    return {layer: [accumulator.state() for accumulator in some] for layer, some in accumulators.items()}


def _batches(images: Tensor | Rendered, first: int, stop: int, batch_size: int) -> Iterator[Images]:
    if isinstance(images, Rendered):
        numbers = np.arange(first, stop)
        yield from (images.render(numbers[at : at + batch_size]) for at in range(0, len(numbers), batch_size))
    else:
        yield from (batch.float() / 255 if batch.dtype == torch.uint8 else batch for batch in images.split(batch_size))


def as_the_network_takes_them(model: VisionModel, batches: Iterable[Images]) -> Iterator[Images]:
    """Batches on the network's device, in its precision and in the order of memory that it is fastest with."""
    weights = (weight for weight in model.module.parameters() if weight.is_floating_point())
    weight = next(weights, torch.empty(0, dtype=torch.float32))
    layout = model.layout
    return (batch.to(weight.device, weight.dtype, memory_format=layout) for batch in batches)


def _elsewhere(
    network: Shared, packed: bytes, images: NDArray[Any] | Rendered, stop: int, first: int, batch_size: int
) -> States:
    """What a worker does."""
    some = images if isinstance(images, Rendered) else torch.from_numpy(np.array(images))
    return sweep_stretch(received(network), packed, some, stop, first, batch_size)


def _empty(accumulators: Accumulators) -> Accumulators:
    """Accumulators made alike that have seen nothing."""
    found = {layer: [copy.copy(accumulator) for accumulator in some] for layer, some in accumulators.items()}
    for accumulator in _all(found):
        accumulator.restore({})
    return found


def _packed(empty: Accumulators, first: int, stop: int) -> bytes:
    """What those need to know who see the images of this stretch."""
    return pickle.dumps({layer: [each.for_images(first, stop) for each in some] for layer, some in empty.items()})


class _Archive:
    """The records of a sweep's shards."""

    def __init__(self, kept: Kept, model: VisionModel, empty: Accumulators) -> None:
        self._kept, self._network = kept, model.fingerprint
        self._accumulators = empty

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
