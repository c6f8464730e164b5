"""One attribution to make, and what a method gives back: the contract between `attribute` and its methods."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from layerscope.attribution.score import Score
from layerscope.capture.layers import Layer
from layerscope.errors import InputError, UnknownNameError
from layerscope.types import Images

Need = Literal["layer", "baseline"]
Claim = Literal["difference", "score"]


_LIGHTER = 2  # where activations are let go they take a tenth of the memory; more at once is no faster


@dataclass(frozen=True, eq=False)
class Task:
    """What a method is asked. The network is in eval mode and gradients are on while it works.

    Attributes:
        score: what is explained; `score(images)` gives [batch], `score.model` is the network.
        images: [batch, channel, height, width] in [0, 1], in the dtype and on the device of the network.
        baseline: of the same shape: what the images are compared with. None for methods that need none.
        layer: whose activations are explained, or read. None for methods that need none.
        seed: of everything random.
        batch: most images to run at once; a method that runs many variants of an image cuts them into such batches.
            `light`: the same where nothing is kept for a backward.
    """

    score: Score
    images: Images
    baseline: Images | None = None
    layer: Layer | None = None
    seed: int = 0
    batch: int = 16

    @property
    def light(self) -> int:
        return _LIGHTER * self.batch

    @property
    def references(self) -> Images:
        """The baseline of a method that needs one."""
        assert self.baseline is not None  # `attribute` gives one to every method that needs it
        return self.baseline

    @property
    def site(self) -> Layer:
        """The layer of a method that needs one."""
        assert self.layer is not None  # `attribute` gives one to every method that needs it
        return self.layer

    def generator(self) -> torch.Generator:
        """A new generator on the CPU, from the seed."""
        return torch.Generator().manual_seed(self.seed)


@dataclass(frozen=True, eq=False)
class Found:
    """What a method found.

    Attributes:
        values: [batch, channel, height, width] of the images, or of the shape of the layer's activation, with sign and
            scale. A map without colours has one channel.
        expected: [batch], what the values of an image have to add up to, NaN where there is no such thing; None where
            the method claims none.
        covered: operations of the network that were given rules of their own, with the number of times.
        approximated: operations whose rule is an extension of the published one, with how.
        notes: what a reader has to know, each one sentence.
        own_notes: the same for each image; empty where there are none.
    """

    values: Tensor
    expected: Tensor | None = None
    covered: Mapping[str, int] = field(default_factory=dict)
    approximated: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    own_notes: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Method:
    """One attribution method, as data.

    Attributes:
        name: as `attribute(method=...)` takes it.
        title: as pages call it.
        about: what it computes, in one sentence.
        source: the paper.
        run: takes a Task and the method's own options as keywords.
        needs: a layer, a baseline, both or nothing.
        cost: in forwards and backwards of the network.
        claims: what the values of an image add up to: the "difference" of the scores of image and baseline, the
            "score" itself, or None.
        layered: whether values have the shape of the layer's activation rather than that of the images.
        signed: whether its values can speak against the score.
    """

    name: str
    title: str
    about: str
    source: str
    run: Callable[..., Found]
    needs: tuple[Need, ...] = ()
    cost: str = "1 forward, 1 backward"
    claims: Claim | None = None
    layered: bool = False
    signed: bool = True

    def options(self) -> dict[str, object]:
        """Its own options with their defaults."""
        parameters = inspect.signature(self.run).parameters.values()
        return {one.name: one.default for one in parameters if one.kind is one.KEYWORD_ONLY}

    def check(self, options: Mapping[str, object]) -> None:
        """Raise UnknownNameError for an option that this method does not have."""
        known = self.options()
        for name in options:
            if name not in known:
                raise UnknownNameError.among(f"option of {self.name!r}:", name, known)


class Methods(dict[str, Method]):
    """Methods by name, which notebooks show as a table."""

    def __repr__(self) -> str:
        return f"{len(self)} attribution methods: {', '.join(self)}"

    def _repr_html_(self) -> str:
        from layerscope.figures.value_cards import table_card

        heads = ("name", "title", "what it computes", "source", "needs", "cost", "adds up to")
        rows = [
            [one.name, one.title, one.about, one.source, ", ".join(one.needs), one.cost, one.claims or "–"]
            for one in self.values()
        ]
        return table_card(f"{len(self)} attribution methods", {}, heads, rows)


def at_least(name: str, value: float, least: float) -> None:
    """Raise InputError where an option is no number, below its least value, or infinite where that means nothing."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not value >= least or (value == math.inf and name != "tolerance"):
        raise InputError(f"{name}={_shown(value)}; it has to be a number of at least {least}")


def count(name: str, value: int, least: int = 1) -> int:
    """The value of an option that is a whole number. Raises InputError for another one, or below its least value."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"{name}={_shown(value)}; it has to be a whole number of at least {least}")
    return value


def _shown(value: object) -> str:
    """In one line."""
    return repr(value) if isinstance(value, bool | int | float | str) else f"a {type(value).__name__}"
