"""A column of the matrix: a method with its options, its reference, and the same of Captum."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from layerscope.benchmarks.attribution.case import Case
from layerscope.benchmarks.attribution.cells import Judge, adds_up_to, same_as

Reference = Callable[[Case], Judge | None]
"""A judge of what tools give for a case; None where there is nothing to compare with."""

EXACT = 1e-6
"""Values come as float32, whatever the network computes in: this is 16 times their rounding."""


@dataclass(frozen=True)
class Column:
    """One method and how it is judged.

    Attributes:
        table: the table that it is printed in.
        method: as `attribute` takes it, with `options`.
        reference: gives the judge.
        captum: Captum's way, on a copy of the network; None where it has none.
        captum_reference: where Captum computes by another formula; None: the same.
        tolerance: largest relative error; `captum_tolerance` where Captum's is another one.
        case: which form of the case: "double" (float64), "single" (of these the first image alone), "float" (float32),
            or "unbiased" (float32, without biases).
        layer: "default", "overwritten", or None for methods that need none.
        cells: of pieces along each side, for methods of pieces of the image; 0 for others.
        drawn: whether the reference goes by the points that the tool drew, which are then recorded.
        title: of the column, where the method alone does not say it.
    """

    table: str
    method: str
    reference: Reference
    captum: Callable[[Case], Tensor] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    captum_reference: Reference | None = None
    tolerance: float = EXACT
    captum_tolerance: float | None = None
    case: Literal["double", "single", "float", "unbiased"] = "double"
    layer: Literal["default", "overwritten"] | None = None
    cells: int = 0
    drawn: bool = False
    title: str = ""

    @property
    def name(self) -> str:
        return self.title or self.method

    def of(self, case: Case) -> Case:
        """The case in the form that this column takes."""
        if self.case == "float":
            return case
        form: Case = getattr(case, {"double": "doubled"}.get(self.case, self.case))
        return form


def equal(values: Callable[[Case], Tensor | None]) -> Reference:
    """Values have to be those of a reference."""

    def judge(case: Case) -> Judge | None:
        reference = values(case)
        return None if reference is None else same_as(reference)

    return judge


def complete(case: Case) -> Judge:
    """Values have to add up to the difference of the scores of image and baseline."""
    return adds_up_to(case.difference)


def conserved(case: Case) -> Judge:
    """Values have to add up to the score."""
    with torch.no_grad():
        return adds_up_to(case.scores(case.images))
