"""Who answers the questions of cases with maps: attribution methods, and pinned controls beside them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from layerscope.attribution.methods import attribute
from layerscope.errors import UnknownNameError
from layerscope.faithfulness.cases import Question
from layerscope.faithfulness.controls import controls
from layerscope.faithfulness.scoring import as_taken

Explain = Callable[[Sequence[Question]], list[Tensor | None]]
"""Questions -> for each a signed map [height, width], or None where it has no answer."""

CONTROLS = {
    "random": "Random map",
    "centre": "Centre blob",
    "edges": "Edge detector",
    "even": "Even map",
    "inverted": "Exact, sign flipped",
    "shares": "Exact Shapley values",
    "exact": "Exact answer",
}
"""The pinned rows. The first four know nothing of any network; an even map tells what the sizes of regions do alone."""
EXACT = ("exact", "shares")
KNOWING_NOTHING = ("random", "centre", "edges", "even")


def of_method(name: str, *, seed: int = 0, batch: int = 8, **options: Any) -> Explain:
    """The attribution method of this name in METHODS, `batch` questions about one network at once."""

    def explain(questions: Sequence[Question]) -> list[Tensor | None]:
        answers: list[Tensor | None] = [None] * len(questions)
        for model in {id(one.model): one.model for one in questions}.values():
            about = [number for number, one in enumerate(questions) if one.model is model]
            for start in range(0, len(about), batch):
                some = about[start : start + batch]
                images = as_taken(model, torch.stack([questions[number].image for number in some]))
                targets = [questions[number].target for number in some]
                made = attribute(model, images, targets, name, seed=seed, checks=False, **options)
                for number, values in zip(some, made.maps, strict=True):
                    answers[number] = values
        return answers

    return explain


def of_control(name: str) -> Explain:
    """A pinned control; UnknownNameError for another name. A random map is another one for each question."""
    if name not in CONTROLS:
        raise UnknownNameError.among("control", name, CONTROLS)

    def answer(question: Question) -> Tensor | None:
        if name in ("exact", "inverted"):
            exact = question.exact
            return exact if exact is None or name == "exact" else -exact
        if name == "shares":
            return question.shares
        if name == "even":
            return torch.ones(question.image.shape[-2:])
        return controls(question.image, _seed_of(question))[name]

    return lambda questions: [answer(question) for question in questions]


def _seed_of(question: Question) -> int:
    """Of image, class and network: another question gets another random map, the same question the same."""
    text = f"{question.model.fingerprint} {question.target}".encode()
    return zlib.crc32(question.image.contiguous().numpy().tobytes(), zlib.crc32(text))
