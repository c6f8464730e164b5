"""Sweeps that may be interrupted, or be divided among processes: what was seen is kept in records.

A shard is a stretch of images of a set. Its record is named by the network, the set, the stretch and the accumulators,
and says so in its facts; it grows block by block, and is whole when all its images have been seen.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

from layerscope.errors import InputError
from layerscope.passes.base import Accumulator
from layerscope.passes.sweep import sweep
from layerscope.records import Record, Store, content_key
from layerscope.types import Images, Progress, Steps, no_progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from layerscope.models.model import VisionModel

Accumulators = Mapping[str, Sequence[Accumulator[Any]]]
"""By layer name, as `sweep` takes them."""


class Pictures(Protocol):
    """A set of images: a tensor, or anything that gives a slice of one when asked."""

    def __len__(self) -> int: ...

    def __getitem__(self, images: slice, /) -> Images: ...


@dataclass(frozen=True)
class Shard:
    """What a sweep goes over.

    Attributes:
        network: fingerprint of the network.
        data: what the set of images is known by, labels and masks included, as a content key.
        first, stop: the numbers of the images, from `first` up to and without `stop`.
    """

    network: str
    data: str
    first: int
    stop: int

    def key(self, accumulators: Accumulators) -> str:
        """The key of the record that keeps what the accumulators have seen of this shard."""
        return content_key(sweep=asdict(self), accumulators=_facts(accumulators))


def saved(store: Store, shard: Shard, accumulators: Accumulators, seen: int) -> Record:
    """Record what the accumulators have seen of the first `seen` images of the shard."""
    arrays = {
        f"{layer}/{number}/{name}": array
        for layer, number, accumulator in _each(accumulators)
        for name, array in accumulator.state().items()
    }
    facts = {"sweep": asdict(shard), "accumulators": _facts(accumulators), "seen": seen}
    return store.write(shard.key(accumulators), facts, arrays)


def restored(record: Record, shard: Shard, accumulators: Accumulators) -> int:
    """Let the accumulators go on from a record; gives how many images of the shard they have seen.

    Raises InputError, and changes nothing, where it is the record of another network, set, stretch or accumulators.
    """
    _check(record, shard, accumulators)
    for layer, number, accumulator in _each(accumulators):
        accumulator.restore(_arrays(record, layer, number))
    return int(record.facts["seen"])


def sweep_shard(
    model: VisionModel,
    images: Pictures,
    accumulators: Accumulators,
    store: Store,
    *,
    data: str,
    first: int = 0,
    stop: int | None = None,
    batch_size: int = 64,
    block: int = 1024,
    on_progress: Progress = no_progress,
) -> Shard:
    """As `sweep`, over images `first` to `stop` of a set, from where an earlier run was interrupted; gives the shard.

    `images` are those of the whole set, values in [0, 1]; `data` is what it is known by. After each `block` of images
    the record is written. What the accumulators had seen before is forgotten. Raises InputError for an empty stretch,
    StorageError where the record cannot be written, and as `sweep` does.
    """
    stop = len(images) if stop is None else stop
    if not (0 <= first < stop <= len(images)) or min(batch_size, block) < 1:
        raise InputError(
            f"images {first} to {stop} of {len(images)}, batch_size={batch_size}, block={block}; "
            "give a stretch that is not empty, and at least 1 of each"
        )
    shard = Shard(model.fingerprint, data, first, stop)
    record = store.find(shard.key(accumulators))
    for _, _, accumulator in _each(accumulators):
        accumulator.restore({})
    start = first + (restored(record, shard, accumulators) if record else 0)
    step = Steps(on_progress, stop - first)
    step.on(start - first)
    step(0, 0, "images")
    for begin in range(start, stop, block):
        end = min(begin + block, stop)
        batches = (images[at : min(at + batch_size, end)] for at in range(begin, end, batch_size))
        sweep(model, batches, accumulators, first=begin, on_progress=step)
        step.on(end - begin)
        saved(store, shard, accumulators, end - first)
    return shard


def merged(store: Store, shards: Sequence[Shard], accumulators: Accumulators) -> int:
    """Let the accumulators take in the records of all shards of a set, in any order; gives how many images they saw.

    What they had seen before is forgotten. Raises InputError for a shard whose record is missing, damaged or not
    whole, for shards of different networks or sets, and for such as share images.
    """
    _check_disjoint(shards)
    for _, _, accumulator in _each(accumulators):
        accumulator.restore({})
    for shard in shards:
        record = store.find(shard.key(accumulators))
        seen = record.facts["seen"] if record else 0
        if record is None or seen < shard.stop - shard.first:
            raise InputError(
                f"images {shard.first} to {shard.stop}: {seen} of {shard.stop - shard.first} seen in "
                f"{str(store.folder)!r}; run this shard to its end first"
            )
        for layer, number, accumulator in _each(accumulators):
            accumulator.absorb(_arrays(record, layer, number))
    return sum(shard.stop - shard.first for shard in shards)


def _check_disjoint(shards: Sequence[Shard]) -> None:
    if len({(shard.network, shard.data) for shard in shards}) != 1:
        raise InputError(
            f"{len(shards)} shards, not of one network and one set of images; merge those that belong together"
        )
    ordered = sorted(shards, key=lambda shard: shard.first)
    for one, other in itertools.pairwise(ordered):
        if other.first < one.stop:
            raise InputError(
                f"images {other.first} to {min(one.stop, other.stop)} are in two shards; give each image once"
            )


def _check(record: Record, shard: Shard, accumulators: Accumulators) -> None:
    """Raise InputError where the record is of another sweep: with the first thing in which they differ."""
    wanted = {**asdict(shard), **_by_place(_facts(accumulators))}
    given = {**record.facts.get("sweep", {}), **_by_place(record.facts.get("accumulators", {}))}
    for name in dict.fromkeys([*wanted, *given]):
        if wanted.get(name) != given.get(name):
            raise InputError(
                f"this record is of another sweep: {name} is {_short(given.get(name))} there and "
                f"{_short(wanted.get(name))} here; sweep again, or give what it was made with"
            )


def _short(fact: object) -> str:
    """A fact in the words of a message: of a digest its beginning."""
    if isinstance(fact, dict):
        return (
            f"{fact['kind']}({', '.join(f'{name}={_short(value)}' for name, value in fact.items() if name != 'kind')})"
        )
    return "nothing" if fact is None else str(fact)[:12]


def _facts(accumulators: Accumulators) -> dict[str, list[dict[str, Any]]]:
    return {layer: [accumulator.facts() for accumulator in some] for layer, some in accumulators.items()}


def _by_place(facts: Mapping[str, list[dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    return {
        f"accumulator {number} of {layer!r}": fact for layer, some in facts.items() for number, fact in enumerate(some)
    }


def _each(accumulators: Accumulators) -> Iterator[tuple[str, int, Accumulator[Any]]]:
    """All accumulators, with their layers and places."""
    for layer, some in accumulators.items():
        for number, accumulator in enumerate(some):
            yield layer, number, accumulator


def _arrays(record: Record, layer: str, number: int) -> dict[str, NDArray[Any]]:
    start = f"{layer}/{number}/"
    return {name.removeprefix(start): array for name, array in record.arrays.items() if name.startswith(start)}
