"""What is explained: one number per image, read from a network. A class, a margin, a unit or any objective."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Integral

import torch
from torch import Tensor, nn

from layerscope.capture.hooks import capture
from layerscope.capture.sites import leaves
from layerscope.capture.units import Unit
from layerscope.errors import CaptureError, InputError
from layerscope.models.model import VisionModel
from layerscope.objectives import OUTPUT, Activations, Objective, Scores, logit, margin, neuron
from layerscope.objectives.units import channel
from layerscope.types import Images

Target = str | int | Unit | Objective
"""A class by name or index, "owl versus cat", a unit ("layer:channel"), or any objective."""

_VERSUS = " versus "


@dataclass(frozen=True, eq=False)
class Score:
    """A bound objective of a network as a function of images; differentiable, and read again after a change.

    layout: the order of memory in which the network gets several images at once.
    """

    model: VisionModel
    objective: Objective
    layout: torch.memory_format = torch.contiguous_format

    def __call__(self, images: Images) -> Scores:
        """[batch] scores of images [batch, channel, height, width] in [0, 1]."""
        return self.of_inputs(self.model.normalise(images))

    def of_inputs(self, inputs: Tensor) -> Scores:
        """[batch] scores of what the network itself gets: images less mean, over std."""
        # for one image a change costs more than it saves; called all the same, since heads replay what is called
        order = self.layout if len(inputs) > 1 else torch.contiguous_format
        inputs = inputs.contiguous(memory_format=order)
        return self.objective(self.activations(inputs))

    def activations(self, inputs: Tensor) -> Activations:
        """What the objective reads, as part of the graph, in a forward that goes no further than that."""
        module, layers = self.model.module, self.objective.layers
        if layers == (OUTPUT,):
            return {OUTPUT: first_output(module(inputs))}
        with capture(module, layers, detach=False) as activations:
            module(inputs)
        return dict(activations)

    def on(self, module: nn.Module) -> Score:
        """The same objective, read from another network of the same layers: a private copy, a redrawn one."""
        return replace(self, model=replace(self.model, module=module))

    def __str__(self) -> str:
        return str(self.objective)


def as_objective(model: VisionModel, target: Target) -> Objective:
    """The bound objective that a target means.

    "owl" and 3 are logits, "owl versus cat" is a difference of logits; "layer:channel" is the mean of a unit over its
    map, "layer:channel@row,column" one position of it. A class of that name comes before a unit.
    Raises UnknownNameError for what does not exist, InputError for a target that is none of these.
    """
    if isinstance(target, Objective):
        if target.grouped:
            raise InputError(f"{str(target)!r} compares images with each other, so it is no score of one; leave it out")
        return target.bind(model)
    if isinstance(target, Unit):
        return (neuron(target) if target.position else channel(target)).bind(model)
    if isinstance(target, Integral) and not isinstance(target, bool):
        target = int(target)  # of numpy too
    if isinstance(target, bool) or not isinstance(target, str | int):
        raise InputError(
            f"target {target!r} is a {type(target).__name__}; give a class, 'owl versus cat', a unit or an objective"
        )
    if isinstance(target, str) and not _is_class(model, target):
        first, versus, second = target.partition(_VERSUS)
        if versus:
            return margin(first.strip(), second.strip()).bind(model)
        if ":" in target:
            return as_objective(model, Unit.parse(target))
    return logit(target).bind(model)


def predicted(model: VisionModel, images: Images) -> Tensor:
    """[batch] the class with the largest logit of each image. InputError for a network without [batch, classes]."""
    with torch.no_grad():
        logits = first_output(model(images))
    if logits.ndim != 2:
        raise InputError(
            f"{model.name!r} puts out {tuple(logits.shape)}, not [batch, classes]: it predicts no class; give target="
        )
    return logits.argmax(1)


def distinct(objectives: Sequence[Objective]) -> list[tuple[Objective, list[int]]]:
    """Each objective with the numbers of the images that it is meant for."""
    groups: list[tuple[Objective, list[int]]] = []
    of_text: dict[str, list[tuple[Objective, list[int]]]] = {}
    for number, objective in enumerate(objectives):
        alike = of_text.setdefault(str(objective), [])
        group = next((one for one in alike if _equal(one[0], objective)), None)
        if group is None:
            group = (objective, [])
            alike.append(group)
            groups.append(group)
        group[1].append(number)
    return groups


def _equal(one: Objective, other: Objective) -> bool:
    """Texts of different objectives may be equal, those of a user's own above all."""
    try:
        return one is other or bool(one == other)
    except RuntimeError:  # tensors inside
        return False


def first_output(output: object) -> Tensor:
    """The first tensor of an output, as capture takes "" to mean."""
    tensor = next((tensor for _, tensor in leaves(output)), None)
    if tensor is None:
        raise CaptureError(f"the network puts out a {type(output).__name__} without a tensor in it")
    return tensor


def _is_class(model: VisionModel, text: str) -> bool:
    try:
        model.class_index(text)
    except InputError:
        return False
    return True
