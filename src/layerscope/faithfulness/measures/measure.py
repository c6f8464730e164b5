"""What a measure is: a name, the direction that is better, what it needs, how it is taken of the answers to a case."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from layerscope.faithfulness.cases import ASKED, Case

Better = Literal["high", "low"]
Truth = Literal["causes", "masks", "nothing"]
Answers = Mapping[str, Tensor]
"""By question, a signed map [height, width]; questions without an answer are missing."""
Values = Mapping[str, float]
"""By measure; NaN where it cannot be taken of this case."""


@dataclass(frozen=True)
class Measure:
    """One measure, as data.

    Attributes:
        name: its key in rows and records.
        title: as tables call it, in a few letters.
        better: which way is better.
        words: what it is, and what its ends mean, in one or two sentences, with its source.
        needs: the true causes of a rendered scene, masks of things, or nothing but image and network.
        questions: that it needs answered.
    """

    name: str
    title: str
    better: Better
    words: str
    needs: Truth = "nothing"
    questions: tuple[str, ...] = field(default=(ASKED,))


Judge = Callable[[Case, Answers], Values]
"""Takes some measures of the answers to one case. A measure whose questions are not answered is missing or NaN."""
