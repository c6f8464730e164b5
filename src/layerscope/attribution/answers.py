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
from layerscope.objectives import Scores
from layerscope.types import Images


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked of all images alike.

    Attributes:
        method: with its `options`.
        checks: whether to ask again, for the images under noise and of the network with its top layers drawn anew.
    """

    method: Method
    options: Mapping[str, Any]
    checks: bool = True
    _controls: dict[tuple[str, ...], nn.Module | str] = field(default_factory=dict)

    def found(self, task: Task) -> Found:
        """What the method finds, detached and on the CPU; the same for the same seed, whatever the network draws."""
        generators = _generators(task.images.device)
        for generator in generators:
            generator.manual_seed(task.seed)
        before = [generator.get_state() for generator in generators]
        found = self._found(task)
        after = [generator.get_state() for generator in generators]
        expected = None if found.expected is None else found.expected.detach().cpu()
        notes = found.notes if all(map(torch.equal, before, after)) else (*found.notes, _DRAWS)
        return replace(found, values=found.values.detach().cpu(), expected=expected, notes=notes)

    def control(self, score: Score, seed: int) -> nn.Module | str:
        """The network with its top layers drawn anew, among those that the score depends on; or why there is none."""
        layers = score.objective.layers
        if layers not in self._controls:
            try:
                self._controls[layers] = redrawn(bare_module(score.model), seed, layers)
            except Exception as error:  # what a network holds need not be copyable: locks, files, tensors of a graph
                self._controls[layers] = f"The network's top layers cannot be drawn anew: {_in_one_line(error)}"
        return self._controls[layers]

    def _found(self, task: Task) -> Found:
        try:
            return self.method.run(task, **self.options)
        except RuntimeError as error:
            if not str(error).startswith("Inference tensors"):
                raise
            raise InputError(
                f"{task.score.model.name!r} was made in torch.inference_mode(), so that its weights take no part in "
                "gradients; make or load it outside of that"
            ) from None


_DRAWS = "The network draws at random when it runs: other seeds give other maps, and other images at once may too."


@dataclass(frozen=True, eq=False)
class Overheard(Score):
    """A score that notes what it gives for `images`, which most methods ask for anyway: no forward for that alone."""

    images: Images = field(kw_only=True)
    _noted: list[tuple[Images, Scores]] = field(default_factory=list, kw_only=True)

    def __call__(self, images: Images) -> Scores:
        scores = super().__call__(images)
        if not self._noted and images.shape == self.images.shape:
            self._noted.append((images, scores))  # compared later: nothing may be added to what a method watches
        return scores

    def on(self, module: nn.Module) -> Score:
        """Of another network nothing is noted."""
        return Score(self.model, self.objective, self.layout).on(module)

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


def answer(question: Question, task: Task, numbers: Sequence[int]) -> Answer:
    """What the method finds for the images of a task, measured."""
    began, score = time.perf_counter(), task.score
    heard = Overheard(score.model, score.objective, score.layout, images=task.images)
    found = question.found(replace(task, score=heard))
    seconds = time.perf_counter() - began
    scores = heard.scores.cpu()
    others, notes = _others(question, task)
    checks = checks_of(replace(found, notes=found.notes + notes), scores, seconds, others)
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
    if not question.checks:
        return [None, None], ()
    drawn: Tensor | None = None
    control = question.control(task.score, task.seed)
    if isinstance(control, str):
        notes: tuple[str, ...] = (control,)
    else:
        other = replace(task, score=task.score.on(control))
        # a network of other weights may fail where this one does not: it checks its values, or overflows
        drawn, notes = _again(question, other, "the network with its top layers drawn anew", Exception)
    noisy, more = _again(question, replace(task, images=with_noise(task.images, task.seed)), "the image under noise")
    return [drawn, noisy], notes + more


def _again(
    question: Question, task: Task, where: str, refusal: type[Exception] = InputError
) -> tuple[Tensor | None, tuple[str, ...]]:
    """The values of another task; None, with a note, where the method refuses that one."""
    try:
        return replace(question, options=_quickly(question)).found(task).values, ()
    except refusal as error:
        return None, (f"Not compared with {where}: {_in_one_line(error)}",)


def _quickly(question: Question) -> Mapping[str, Any]:
    """The options for a comparison of ranks: what is refined until it adds up stays as it first comes."""
    refined = "tolerance" in question.method.options()
    return {**question.options, "tolerance": math.inf} if refined else question.options


def _generators(device: torch.device) -> list[torch.Generator]:
    """Those that networks on a device draw from."""
    cuda = [torch.cuda.default_generators[device.index or 0]] if device.type == "cuda" else []
    return [torch.default_generator, *cuda]


def _in_one_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
