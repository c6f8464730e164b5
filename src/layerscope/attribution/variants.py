"""Activations of many variants of one image as one tensor: those of the image, and what differs in each variant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from layerscope.attribution.spans import Span

Rule = Callable[..., Any]
"""From an operation and its arguments to its result, or NotImplemented where it needs the activations in full."""


class Run:
    """What activations on their way through a network share: the rules, and what was computed for the image itself.

    It is remembered by operation and arguments, for the next variants of the same image, until a forward does not ask.
    """

    def __init__(self, rules: Mapping[Any, Rule]) -> None:
        self.rules = rules
        self._now: dict[Any, tuple[Any, Any]] = {}
        self._before: dict[Any, tuple[Any, Any]] = {}

    def begin(self) -> None:
        """Begin a forward."""
        self._before, self._now = self._now, {}

    def for_image(self, operation: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """The result of an operation on activations of the image."""
        key = (operation, _hashable(args), _hashable(tuple(kwargs.items())))
        if key not in self._now:
            # the arguments are kept with the result: an id means nothing once its tensor is gone
            self._now[key] = self._before.get(key) or (operation(*args, **kwargs), args)
        return self._now[key][0]


class Variants(Tensor):
    """Activations [variant, channel, height, width] of variants of an image, for a network that need not know it.

    An operation without a rule gets the activations in full.

    Attributes:
        image: [1, channel, height, width], the activation of the image; never changed in place.
        patch: [variant, channel, rows.size, columns.size], the activations of the variants at `rows` and `columns`;
            elsewhere they are those of the image.
        run: shared by all activations of one image.
        full: all activations, once they were needed. From then on they count: a view of them that the network changes
            in place changes them.
    """

    image: Tensor
    patch: Tensor
    rows: Span
    columns: Span
    run: Run
    full: Tensor | None

    @staticmethod
    def __new__(cls, image: Tensor, patch: Tensor, rows: Span, columns: Span, run: Run) -> Variants:
        like = torch.empty_like(image.expand(len(patch), -1, -1, -1), device="meta", memory_format=layout(image))
        made: Variants = Tensor._make_wrapper_subclass(
            cls, like.shape, strides=like.stride(), dtype=image.dtype, device=image.device
        )
        made.image, made.patch, made.rows, made.columns, made.run, made.full = image, patch, rows, columns, run, None
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, operation: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs, some = kwargs or {}, variants_among(args)
        result = NotImplemented
        if some and all(one.full is None for one in some) and operation in some[0].run.rules:
            result = some[0].run.rules[operation](operation, *args, **kwargs)
        if result is NotImplemented:
            result = operation(*tree_map(_in_full, args), **tree_map(_in_full, dict(kwargs)))
        return result

    def become(self, other: Variants) -> Variants:
        """Take over the values of another, as an operation in place does."""
        self.image, self.patch, self.rows, self.columns = other.image, other.patch, other.rows, other.columns
        return self

    def read(self, rows: Span, columns: Span, outside: float = 0.0) -> Tensor:
        """[variant, channel, rows.size, columns.size]: the activations there, and `outside` beyond the map."""
        shape = (*self.patch.shape[:2], rows.size, columns.size)
        values = torch.empty(shape, dtype=self.dtype, device=self.device, memory_format=layout(self.image))
        if rows.beyond(self.image.shape[2]) or columns.beyond(self.image.shape[3]):
            values.fill_(outside)
        for number, (row, column) in enumerate(zip(rows.starts, columns.starts, strict=True)):
            _paste(self.image[0], values[number], -row, -column)
            _paste(
                self.patch[number], values[number], self.rows.starts[number] - row, self.columns.starts[number] - column
            )
        return values


def variants_among(args: Any) -> list[Variants]:
    """Those among arguments, and among the entries of lists there."""
    inner = [one for arg in args for one in (arg if isinstance(arg, (list, tuple)) else (arg,))]
    return [one for one in inner if isinstance(one, Variants)]


def layout(tensor: Tensor) -> torch.memory_format:
    """channels_last where the tensor is."""
    last = tensor.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format


def _in_full(value: Any) -> Any:
    if not isinstance(value, Variants):
        return value
    if value.full is None:
        every = (0,) * len(value.patch)
        value.full = value.read(Span(value.image.shape[2], every), Span(value.image.shape[3], every))
    return value.full


def _paste(source: Tensor, onto: Tensor, row: int, column: int) -> None:
    """Write [channel, height, width] at this place, as far as it lies inside."""
    top, left = max(row, 0), max(column, 0)
    bottom, right = min(row + source.shape[1], onto.shape[1]), min(column + source.shape[2], onto.shape[2])
    if top < bottom and left < right:
        onto[:, top:bottom, left:right] = source[:, top - row : bottom - row, left - column : right - column]


def _hashable(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(_hashable(one) for one in value)
    return id(value) if isinstance(value, Tensor) else value
