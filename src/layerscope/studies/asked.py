"""What `explain` is asked of a network: checked before any work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from layerscope.attribution.baselines import BASELINES
from layerscope.attribution.memory import budget_of
from layerscope.attribution.methods import METHODS
from layerscope.attribution.score import Score, Target, as_objective, first_output
from layerscope.attribution.task import count
from layerscope.capture.evaluating import evaluating
from layerscope.errors import InputError, UnknownNameError
from layerscope.faithfulness.scoring import as_taken
from layerscope.models.model import VisionModel
from layerscope.objectives import Objective
from layerscope.objectives.classes import class_of

DEFAULT_METHODS = (
    "deeplift",
    "integrated_gradients",
    "lrp",
    "occlusion",
    "saliency",
    "smoothgrad",
    "guided_backprop",
    "grad_cam",
)


@dataclass(frozen=True)
class Asked:
    """One question, whatever the image.

    Attributes:
        target: bound; None: the class that the network predicts.
        written: the target as a line of Python gives it again.
        versus: number of the class that it is set against; None: the runner-up.
        methods, layer, baseline, seed, memory: see `explain`.
    """

    target: Objective | None
    written: str | int | None
    versus: int | None
    methods: tuple[str, ...]
    layer: str | None
    baseline: str
    seed: int
    memory: float | str

    def arguments(self, probe: str | None) -> list[str]:
        """The keywords of `explain` that ask the same again, as Python."""
        given = {
            "target": self.written,
            "versus": self.versus,
            "methods": None if self.methods == DEFAULT_METHODS else list(self.methods),
            "layer": self.layer,
            "probe": probe,
            "baseline": None if self.baseline == "blur" else self.baseline,
            "seed": self.seed or None,
        }
        return [f"{name}={value!r}" for name, value in given.items() if value is not None]


def ask(
    model: VisionModel,
    *,
    target: Target | None,
    versus: str | int | None,
    methods: Sequence[str],
    layer: str | None,
    baseline: str,
    seed: int,
    memory: float | str,
) -> Asked:
    """The question, checked against the network; costs two forwards of a grey image.

    Raises UnknownNameError for methods, classes, layers and baselines that do not exist, InputError for a target or a
    rival that this network cannot be asked about, and for numbers that are none.
    """
    _check_methods(methods)
    if baseline not in BASELINES:
        raise UnknownNameError.among("baseline", baseline, BASELINES)
    budget_of(memory)
    objective = None if target is None else as_objective(model, target)
    rival = None if versus is None else model.class_index(versus)
    _check_target(model, objective, rival)
    return Asked(
        target=objective,
        written=target if target is None or isinstance(target, str | int) else str(objective),
        versus=rival,
        methods=tuple(dict.fromkeys(methods)),
        layer=None if layer is None else model.layer(layer).name,
        baseline=baseline,
        seed=count("seed", seed, least=0),
        memory=memory,
    )


def _check_methods(methods: Sequence[str]) -> None:
    if isinstance(methods, str):
        raise InputError(f"methods={methods!r} is one text; give a list of names, as [{methods!r}]")
    pictured = [name for name, one in METHODS.items() if not one.layered]
    for method in methods:
        if method not in pictured:
            raise UnknownNameError.among("method that draws maps of images:", method, pictured)
    if not methods:
        raise InputError(f"no methods asked for; give some of {', '.join(DEFAULT_METHODS)}")


def _check_target(model: VisionModel, target: Objective | None, versus: int | None) -> None:
    """Raise for a class that the network does not have, and for what can not be set against each other."""
    side = (model.input_size, model.input_size)
    grey = as_taken(model, torch.full((1, model.channels, *side), 0.5))
    with evaluating(model.module):
        output = first_output(model(grey))
        for objective in (target, None if versus is None else as_objective(model, versus)):
            if objective is not None:
                Score(model, objective)(grey)
    if output.ndim != 2 and target is None:
        raise InputError(f"{model.name!r} predicts no class; give a target, as a unit 'layer:channel'")
    if versus is None:
        return
    if output.ndim != 2 or output.shape[1] < 2:
        raise InputError(
            f"versus needs a network that puts out [batch, classes], at least two of them; {model.name!r} puts out "
            f"{tuple(output.shape)}: leave versus out"
        )
    if target is not None and class_of(target) in (None, versus):
        raise InputError(f"versus needs a class as target, and another one than it; the target is {str(target)!r}")
