"""A question put to one method, and its answers: what it finds for some images at once, with the checks on that."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from layerscope.attribution.checks import checks_of, redrawn, with_noise
from layerscope.attribution.result import Checks
from layerscope.attribution.score import Score
from layerscope.attribution.task import Found, Method, Task
from layerscope.capture.forward import bare_module
from layerscope.errors import InputError
from layerscope.models.model import VisionModel
from layerscope.objectives import Scores
from layerscope.types import Images


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked of all images alike.

    Attributes:
        method: with its `options`.
        noise: whether to ask again for the images under noise.
        control: the network with its top layers drawn anew, to ask again; None where that is not wanted, or impossible.
        notes: what a reader has to know of the question.
    """

    method: Method
    options: Mapping[str, Any]
    noise: bool = False
    control: nn.Module | None = None
    notes: tuple[str, ...] = ()

    def found(self, task: Task) -> Found:
        """What the method finds, detached and on the CPU."""
        found = self.method.run(task, **self.options)
        expected = None if found.expected is None else found.expected.detach().cpu()
        return replace(found, values=found.values.detach().cpu(), expected=expected)


@dataclass(frozen=True, eq=False)
class Overheard(Score):
    """A score that notes what it gives for `images`, which most methods ask for anyway: no forward for that alone."""

    images: Images
    _noted: list[tuple[Images, Scores]] = field(default_factory=list)

    def __call__(self, images: Images) -> Scores:
        scores = super().__call__(images)
        if not self._noted and images.shape == self.images.shape:
            self._noted.append((images, scores))  # compared later: nothing may be added to what a method watches
        return scores

    def on(self, module: nn.Module) -> Score:
        """Of another network nothing is noted."""
        return Score(self.model, self.objective).on(module)

    @property
    def scores(self) -> Scores:
        """[batch] of the images."""
        for images, scores in self._noted:
            if torch.equal(images.detach(), self.images):
                return scores.detach()
        with torch.no_grad():
            return super().__call__(self.images)


@dataclass(frozen=True, eq=False)
class Answer:
    """To one question, for the images of these numbers: values float32 and scores float32, on the CPU, and checks."""

    numbers: Sequence[int]
    values: Tensor
    scores: Scores
    checks: tuple[Checks, ...]
    seconds: float


def question(method: Method, options: Mapping[str, Any], model: VisionModel, checks: bool, seed: int) -> Question:
    """With the checks that ask the method again, or without. Where the network cannot be copied, that is noted."""
    if not checks:
        return Question(method, options)
    asked = Question(method, options, noise=True)
    try:
        return replace(asked, control=redrawn(bare_module(model), seed))
    except Exception as error:  # what a network holds need not be copyable: locks, files, tensors of a graph
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        return replace(asked, notes=(f"The network's top layers cannot be drawn anew: {reason}",))


def answer(question: Question, task: Task, numbers: Sequence[int]) -> Answer:
    """What the method finds for the images of a task, measured."""
    began, heard = time.perf_counter(), Overheard(task.score.model, task.score.objective, task.images)
    found = question.found(replace(task, score=heard))
    seconds = time.perf_counter() - began
    scores = heard.scores.cpu()
    others, notes = _others(question, task)
    checks = checks_of(replace(found, notes=found.notes + question.notes + notes), scores, seconds, others)
    return Answer(numbers, found.values.float(), scores.float(), checks, seconds)


def joined(answers: Sequence[Answer]) -> Answer:
    """All answers as one, in the order of the numbers."""
    numbers = [number for one in answers for number in one.numbers]
    order = sorted(range(len(numbers)), key=numbers.__getitem__)
    checks = [check for one in answers for check in one.checks]
    return Answer(
        numbers=[numbers[place] for place in order],
        values=torch.cat([one.values for one in answers])[order],
        scores=torch.cat([one.scores for one in answers])[order],
        checks=tuple(checks[place] for place in order),
        seconds=sum(one.seconds for one in answers),
    )


def _others(question: Question, task: Task) -> tuple[list[Tensor | None], tuple[str, ...]]:
    """The values with redrawn top layers and under noise, as far as they are asked for; and notes on them."""
    drawn: Tensor | None = None
    noisy: Tensor | None = None
    notes: tuple[str, ...] = ()
    if question.control is not None:
        other = replace(task, score=task.score.on(question.control))
        drawn, notes = _again(question, other, "the network with its top layers drawn anew")
    if question.noise:
        other = replace(task, images=with_noise(task.images, task.seed))
        noisy, more = _again(question, other, "the image under noise")
        notes += more
    return [drawn, noisy], notes


def _again(question: Question, task: Task, where: str) -> tuple[Tensor | None, tuple[str, ...]]:
    """The values of another task; None, with a note, where the method refuses that one."""
    try:
        return replace(question, options=_quickly(question)).found(task).values, ()
    except InputError as refusal:
        return None, (f"Not compared with {where}: {refusal}",)


def _quickly(question: Question) -> Mapping[str, Any]:
    """The options for a comparison of ranks: what is refined until it adds up stays as it first comes."""
    refined = "tolerance" in question.method.options()
    return {**question.options, "tolerance": math.inf} if refined else question.options
