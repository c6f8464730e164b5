"""One cell of the matrix: what one tool gave for one method on one network, judged by a reference."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor, nn

from layerscope.conformance.conform import in_one_line
from layerscope.conformance.trace import differences, state_of
from layerscope.errors import InputError

State = Literal["ok", "wrong", "refused", "error", "absent"]


@dataclass(frozen=True, eq=False)
class Given:
    """What a tool gave.

    values: [batch, ...]. totals: [batch] their sums. seen: what the network got meanwhile, in all its forwards
    [inputs, channel, height, width], so that a reference can go by the draws that the tool made. All in float64.
    """

    values: Tensor
    totals: Tensor
    seen: Tensor = field(default_factory=lambda: torch.empty(0))

    @classmethod
    def of(cls, values: Tensor) -> Given:
        exact = values.detach().double()
        return cls(exact, exact.flatten(1).sum(1))


Judge = Callable[[Given], float]
"""The worst relative error of what a tool gave, over the images; not a number where it is not finite."""


@dataclass(frozen=True)
class Cell:
    """state: "ok", "wrong", "refused" (it says that it cannot), "error" (it fails), "absent" (nothing to compare).

    error: the worst relative error. words: the operation that was refused, or the error. traces: things on the network
    or in the process that are not as they were.
    """

    state: State
    error: float | None = None
    words: str = ""
    traces: int = 0

    def __str__(self) -> str:
        if self.error is not None:
            return f"{'ok' if self.state == 'ok' else 'WRONG'} {self.error:.0e}"
        return {"absent": "-", "refused": f"refused: {self.words}"}.get(
            self.state, f"error: {self.words.split(':')[0]}"
        )


ABSENT = Cell("absent")


def cell_of(
    tool: Callable[[], Given], judge: Judge, tolerance: float, module: nn.Module, watched: bool = False
) -> Cell:
    """Run a tool on `module` and judge what it gives. Nothing is raised: an exception is a state of the cell.

    watched: whether the judge has to know what the network got.
    """
    before = state_of(module, content=False)
    error, words = None, ""
    state: State
    try:
        with warnings.catch_warnings(), _witness(module, watched) as seen:
            warnings.simplefilter("ignore")
            given = tool()
        error = judge(replace(given, seen=torch.cat(seen)) if seen else given)
        state = "ok" if error <= tolerance else "wrong"
    except InputError as refusal:
        state, words = "refused", _operation(str(refusal))
    except Exception as failure:
        state, words = "error", in_one_line(failure)
    return Cell(state, error, words, len(differences(before, state_of(module, content=False))))


@contextmanager
def _witness(module: nn.Module, watched: bool) -> Iterator[list[Tensor]]:
    """The inputs of the network, and of copies that a tool makes of it."""
    seen: list[Tensor] = []
    if not watched:
        yield seen
        return
    handle = module.register_forward_pre_hook(lambda part, inputs: seen.append(inputs[0].detach().double().clone()))
    try:
        yield seen
    finally:
        handle.remove()


def same_as(reference: Tensor) -> Judge:
    """Judge values by those of a reference [batch, ...]: the largest difference over the largest value of the image."""
    return lambda given: _worst(given.values, reference.detach().double())


def adds_up_to(expected: Tensor, least: Tensor | float = 0.0) -> Judge:
    """Judge the sums of values by what they have to be [batch].

    least: errors are relative to no less than that [batch], where `expected` is a small difference of large numbers.
    """
    wanted = expected.detach().double()[:, None]
    return lambda given: _worst(given.totals[:, None], wanted, torch.as_tensor(least).double())


def _worst(found: Tensor, wanted: Tensor, least: Tensor | None = None) -> float:
    if found.shape != wanted.shape:
        raise ValueError(f"it gave {tuple(found.shape)} and not {tuple(wanted.shape)}")
    scale = wanted.abs().flatten(1).amax(1).clamp(min=torch.finfo(torch.float64).tiny)
    scale = scale if least is None else torch.maximum(scale, least)
    return float(((found - wanted).abs().flatten(1).amax(1) / scale).amax())  # amax passes on what is not a number


def _operation(refusal: str) -> str:
    """The operation that a refusal names, otherwise what it says first."""
    named = re.search(r"operation '([^']+)'", refusal)
    return named.group(1) if named else re.split(r"[,;:(]", refusal, maxsplit=1)[0].strip()
