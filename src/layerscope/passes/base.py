"""What every accumulator can: its arrays go by name, so that it can be saved, restored, and merged across processes."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, MutableMapping
from functools import cached_property
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from layerscope.capture.positions import Units
from layerscope.errors import InputError

Result = TypeVar("Result")
Arrays = dict[str, Tensor]
_PIECE = 2**18  # numbers: 1 MiB in float32, which the nearest caches hold


class Accumulator(ABC, Generic[Result]):
    """Sees all activations of one layer, batch by batch, and keeps what it needs of them, on the CPU."""

    KEPT: ClassVar[Mapping[str, int | None]]
    """The names of the arrays that it keeps, and on which of their axes the units are."""

    def __init__(self) -> None:
        self._kept: Arrays = {}

    @abstractmethod
    def update(self, units: Units, first: int) -> None:
        """Take in a batch of activations, units first; `first` is the number of its first image in the whole set.

        The activations are the network's own memory: they are neither changed nor kept.
        """

    @abstractmethod
    def compute(self) -> Result:
        """The result so far. Raises InputError before the first update."""

    @abstractmethod
    def _join(self, other: Arrays) -> None:
        """Take arrays like its own into its own, neither being empty. `other` is not changed."""

    def merge(self, other: Self) -> None:
        """Take in what `other` has seen of other images. Raises InputError where it was made in another way."""
        if other.facts() != self.facts():
            raise InputError(f"{_worded(other.facts())} cannot be merged into {_worded(self.facts())}; make both alike")
        self._take(other._arrays())

    def state(self) -> dict[str, NDArray[Any]]:
        """What it has seen so far, as copies; nothing before the first update."""
        return {name: tensor.numpy().copy() for name, tensor in self._arrays().items()}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what `state` gave, and forget all else. Raises InputError for arrays of another accumulator."""
        self._kept = self._checked(state)

    def absorb(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take in what another one of the same facts has seen of other images, from what its `state` gave."""
        self._take(self._checked(state))

    def facts(self) -> dict[str, Any]:
        """How it was made, as JSON. Only those of equal facts keep comparable arrays."""
        return {"kind": type(self).__name__, **self._settings()}

    def for_images(self, first: int, stop: int) -> Self:
        """What is sent, while it is empty, to whoever shows it images `first` up to and without `stop` only.

        Made in the same way; itself, unless it holds much that is of other images.
        """
        return self

    @property
    def nbytes(self) -> int:
        """Bytes of memory of what it keeps now."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self._arrays().values())

    def _settings(self) -> dict[str, Any]:
        return {}

    def _arrays(self) -> Arrays:
        return self._kept

    def _take(self, new: Arrays) -> None:
        if new and self._kept:
            self._check_units(self._units(new))
            self._join(new)
        elif new:  # memory of its own: arrays are added to in place
            self._kept = {name: tensor.clone() for name, tensor in new.items()}

    def _check_units(self, given: int) -> None:
        if self._kept and self._units(self._kept) != given:
            raise InputError(
                f"{type(self).__name__} has seen {self._units(self._kept)} units and is now given {given}; "
                "give each layer an accumulator of its own"
            )

    def _units(self, arrays: Arrays) -> int:
        return next(arrays[name].shape[axis] for name, axis in self.KEPT.items() if axis is not None)

    def _checked(self, state: Mapping[str, NDArray[Any]]) -> Arrays:
        if state and set(state) != set(self.KEPT):
            raise InputError(
                f"a state of {', '.join(sorted(state))}; {type(self).__name__} keeps {', '.join(sorted(self.KEPT))}: "
                "give the state of an accumulator of the same kind"
            )
        return {name: torch.from_numpy(np.array(state[name])) for name in self.KEPT if state}

    def _seen(self) -> Arrays:
        """Its arrays. Raises InputError before the first update."""
        arrays = self._arrays()
        if not arrays:
            raise InputError("this accumulator has seen no images; sweep some first")
        return arrays


class Flat:
    """The activations of a batch, [batch, units, positions], with what several accumulators need of them."""

    def __init__(self, units: Units) -> None:
        flat = units.detach().reshape(*units.shape[:2], -1)
        self.values = flat.to(torch.promote_types(flat.dtype, torch.float32))

    @cached_property
    def means(self) -> Tensor:
        """Over positions: [batch, units]."""
        return self.values.mean(2)

    @cached_property
    def maxima(self) -> Tensor:
        """Over positions: [batch, units]."""
        return self.values.amax(2)


_Known = tuple[int, Flat]
_KNOWN: MutableMapping[Tensor, _Known] = WeakIdKeyDictionary()


def flattened(units: Units) -> Flat:
    """Without a graph, in float32 or float64; for all accumulators of the same tensor only once, while it lives."""
    version = -1 if units.is_inference() else units._version
    known = _KNOWN.get(units)
    if known is None or known[0] != version:
        known = _KNOWN[units] = (version, Flat(units))
    return known[1]


def pieces(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """The same rows of each tensor, a few at a time, so that several steps over the first find it in the caches."""
    size = max(1, _PIECE // max(1, tensors[0][0].numel()))
    yield from zip(*(tensor.split(size) for tensor in tensors), strict=True)


def digest(tensor: Tensor) -> str:
    """sha256 (hex) of dtype, shape and values: what facts say of a tensor."""
    array = tensor.detach().cpu().contiguous().numpy()
    return hashlib.sha256(f"{array.dtype.str} {array.shape} ".encode() + array.tobytes()).hexdigest()


def _worded(facts: Mapping[str, Any]) -> str:
    """Facts in the words of a message; of a digest its beginning."""
    told = ", ".join(f"{name}={str(value)[:12]}" for name, value in facts.items() if name != "kind")
    return f"{facts['kind']}({told})"
