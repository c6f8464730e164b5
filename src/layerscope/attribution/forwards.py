"""The score of very many images without gradients, for the methods that change an image and look again."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from layerscope.attribution.locality import RULES, variants_of
from layerscope.attribution.score import Score
from layerscope.attribution.task import Found, Task
from layerscope.attribution.variants import Run
from layerscope.errors import InputError, UnknownNameError
from layerscope.models.private_copy import private_copy
from layerscope.objectives import Scores
from layerscope.types import Images

PRECISIONS = ("full", "bfloat16")

WORTH = 100
"""Images that have to be run for a copy to pay: it costs as much as three to four forwards."""


class Forwards:
    """The score of a task as a function of images, forward only and a batch at a time.

    Args:
        task: whose score, and how many images to run at once.
        precision: "full", that of the network; or "bfloat16", of 3 digits, which some processors compute at twice the
            speed or more. How far that moves the scores of the task's images is noted.
        runs: how many images are going to be run. From WORTH on a private copy with BatchNorm folded runs, which saves
            a twentieth of each; otherwise, and where it is not float32 or cannot be copied, the network itself.

    Attributes:
        batch: most images that run at once.

    Raises UnknownNameError for a precision that does not exist; InputError for bfloat16 where there is no copy.
    """

    def __init__(self, task: Task, precision: str = "full", runs: int = 0) -> None:
        if precision not in PRECISIONS:
            raise UnknownNameError.among("precision", precision, PRECISIONS)
        self._task, self._score, self._dtype = task, task.score, task.images.dtype
        self._notes: tuple[str, ...] = ()
        self.batch = task.light
        if precision == "bfloat16":
            self._score, self._dtype = task.score.on(_copy_to_round(task).bfloat16()), torch.bfloat16
            self._notes = (self._error(),)
        elif runs >= WORTH and _single(task):
            self._score = _copied(task)

    def __call__(self, images: Images) -> Scores:
        """[batch] scores of images [batch, channel, height, width] in [0, 1]."""
        return self._in_batches(images, self._inputs)

    def near(self, image: Images) -> Callable[[Images], Scores]:
        """The same for variants of one image [1, ...] that each differ from it in one place: only that place is run.

        So on the CPU, where no hooks of others look on; otherwise as in a call.
        """
        if image.device.type != "cpu" or _hooked(self._score):
            return self
        original, run, local = self._inputs(image), Run(RULES), True

        def scores(variants: Images) -> Scores:
            nonlocal local
            if local:
                try:
                    return self._in_batches(variants, lambda part: variants_of(original, self._inputs(part), run))
                except Exception:  # the network does more with its input than operations of torch
                    local = False  # what is wrong with the network itself is raised below
            return self(variants)

        return scores

    def found(self, values: Tensor, expected: Tensor | None = None) -> Found:
        """What a method found through these forwards, with how exact they were."""
        rough = {"all": "computed in bfloat16"} if self._dtype == torch.bfloat16 else {}
        return Found(values, expected, approximated=rough, notes=self._notes)

    def _in_batches(self, images: Images, inputs: Callable[[Images], Tensor]) -> Scores:
        with torch.no_grad():
            scores = [self._score.of_inputs(inputs(part)) for part in images.split(self.batch)]
        return torch.cat(scores).to(images.dtype)

    def _inputs(self, images: Images) -> Tensor:
        """What the network gets: a new tensor, which it may change."""
        normalised = self._task.score.model.normalise(images)
        return normalised.to(self._dtype, memory_format=self._score.layout)

    def _error(self) -> str:
        with torch.no_grad():
            exact = torch.cat([self._task.score(part) for part in self._task.images.split(self.batch)])
        off = (self(self._task.images) - exact).abs().max()
        return f"Computed in bfloat16, which moves the scores of the images by up to {float(off):.2g}."


def _hooked(score: Score) -> bool:
    parts = score.model.module.modules()
    return any(part._forward_hooks or part._forward_pre_hooks for part in parts)


def _single(task: Task) -> bool:
    weights = task.score.model.module.parameters()
    return all(tensor.dtype == torch.float32 for tensor in (task.images, *weights))


def _copied(task: Task) -> Score:
    try:
        return task.score.on(_copy(task))
    except Exception:  # a network that cannot be copied runs itself, and what is wrong with it is raised there
        return task.score


def _copy_to_round(task: Task) -> nn.Module:
    if not _single(task):
        raise InputError(
            f"precision='bfloat16' is for float32 networks; {task.score.model.name!r} is none, leave it out"
        )
    try:
        return _copy(task)
    except Exception as cause:
        raise InputError(
            f"precision='bfloat16' needs a copy of {task.score.model.name!r}, which fails ({cause}); leave it out"
        ) from cause


def _copy(task: Task) -> nn.Module:
    layers = [layer for layer in task.score.objective.layers if layer]
    return private_copy(task.score.model.module, task.score.model.normalise(task.images[:1]), layers, leak=0.0)
