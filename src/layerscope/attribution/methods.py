"""`attribute`: one function for all methods, and METHODS, which lists them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from layerscope.attribution import (
    cams,
    coalitions,
    deeplift,
    gradients,
    guided,
    layers,
    lrp,
    perturbations,
    rise,
    score_cams,
)
from layerscope.attribution.answers import Question, answer, joined
from layerscope.attribution.baselines import Baseline, baseline_images
from layerscope.attribution.choice import default_layer
from layerscope.attribution.memory import batch_within
from layerscope.attribution.result import Attribution
from layerscope.attribution.score import Score, Target, as_objective, distinct, predicted
from layerscope.attribution.task import Method, Methods, Task
from layerscope.capture.evaluating import undisturbed
from layerscope.capture.forward import bare_module
from layerscope.capture.layers import Layer
from layerscope.capture.taps import refuse_batch_statistics
from layerscope.errors import InputError, UnknownNameError
from layerscope.models.model import VisionModel
from layerscope.objectives import Objective, logit
from layerscope.types import Images

METHODS = Methods(
    (method.name, method)
    for family in (gradients, deeplift, lrp, guided, cams, score_cams, layers, perturbations, coalitions, rise)
    for method in family.METHODS
)
"""All attribution methods by name: what each is, its source, what it needs and costs, what it claims."""


def attribute(
    model: VisionModel,
    images: Images,
    target: Target | Sequence[Target] | Tensor | None = None,
    method: str = "deeplift",
    *,
    layer: str | None = None,
    baseline: Baseline | None = None,
    seed: int = 0,
    memory: float | str = "1 GiB",
    checks: bool = True,
    **options: Any,
) -> Attribution:
    """Find what in each image speaks for its score, and what against it, and how far that can be trusted.

    Args:
        model: from `load_model` or `wrap`. It is explained in eval mode, and left as it was.
        images: [batch, channel, height, width], values in [0, 1].
        target: what is explained: a class ("owl", 3), a margin ("owl versus cat"), a unit ("conv3:5", "conv3:5@2,4"),
            any objective; or one of these per image, also as a tensor of classes [batch]. None: the class that the
            network predicts for each image.
        method: a name in METHODS.
        layer: whose activations are explained (layer methods) or drawn (class activation maps), as `capture` names it;
            by default the last one with several positions that the score depends on.
        baseline: what the images are compared with: "blur" (default), "black", "white", "mean" (the colour that
            normalisation turns into zero), "own mean", or images.
        seed: of everything random. The values of an image depend on it, not on the other images.
        memory: about how much the activations of images run at once may take, as a number of bytes or as "1 GiB".
        checks: also measure how the map changes under noise and with redrawn top layers, which costs the method twice
            more for each image. The other checks are always made.
        options: of the method, as `METHODS[method].options()` lists them.

    Raises UnknownNameError for a method, class, layer, unit or option that does not exist; InputError for images that
    do not fit or are not finite, for a layer or a baseline that the method does not use, and where the score does not
    depend on the layer; UnsupportedOperationError (an InputError) where the method has no rule for an operation of the
    network, which it names.
    """
    chosen = _method(method, options, layer, baseline)
    _check_kinds(model, layer, seed)
    with undisturbed(model.module):
        refuse_batch_statistics(bare_module(model))
        given = _images(model, images)
        batch = batch_within(model, given, memory)
        objectives = _objectives(model, given, target, batch)
        task = Task(Score(model, objectives[0], model.layout), given, seed=seed, batch=batch)
        compared = "blur" if baseline is None else baseline
        common = _with_needs(task, chosen, objectives, layer, compared)
        asked = Question(chosen, options, checks)
        made = joined([answer(asked, task, numbers) for numbers, task in _tasks(common, objectives)])
    return Attribution(
        values=made.values,
        checks=made.checks,
        method=chosen.name,
        targets=tuple(str(objective) for objective in objectives),
        scores=made.scores,
        layer=None if common.layer is None else common.layer.name,
        chosen=layer is None and common.layer is not None,
        baseline=None if common.baseline is None else compared if isinstance(compared, str) else "given",
        seconds=made.seconds,
    )


def _with_needs(
    task: Task, method: Method, objectives: Sequence[Objective], layer: str | None, baseline: Baseline
) -> Task:
    """The task with the baseline and the layer that the method needs."""
    model = task.score.model
    if "baseline" in method.needs:
        task = replace(task, baseline=baseline_images(task.images, model, baseline))
    if "layer" in method.needs:
        task = replace(task, layer=_layer(task, objectives) if layer is None else model.layer(layer))
    return task


def _method(name: str, options: Mapping[str, object], layer: object, baseline: object) -> Method:
    """The method of this name, which has these options and uses the layer and the baseline that are given."""
    if not isinstance(name, str) or name not in METHODS:
        raise UnknownNameError.among("attribution method", name, METHODS)
    method = METHODS[name]
    method.check(options)
    for need, given in (("layer", layer), ("baseline", baseline)):
        if given is not None and need not in method.needs:
            raise InputError(f"{name!r} uses no {need}; leave {need}= out")
    return method


def _check_kinds(model: VisionModel, layer: str | None, seed: int) -> None:
    """Raise InputError for what is of another type than it has to be."""
    if not isinstance(model, VisionModel):
        raise InputError(f"model is a {type(model).__name__}; give what layerscope.load_model or layerscope.wrap makes")
    if layer is not None and not isinstance(layer, str):
        raise InputError(f"layer is a {type(layer).__name__}; give its name, as model.layers() lists it")
    if isinstance(seed, bool) or not isinstance(seed, int) or not -(2**63) <= seed < 2**63:
        raise InputError(f"seed={seed!r}; give a whole number of at most 63 bits")


def _images(model: VisionModel, images: Images) -> Images:
    model.normalise(images)  # raises for what does not fit
    if not images.numel():
        raise InputError(f"images of shape {tuple(images.shape)}, without a pixel to explain; give at least one image")
    device = next((weight.device for weight in model.module.parameters()), images.device)
    if images.device != device:
        raise InputError(
            f"images are on {images.device} and {model.name!r} on {device}; pass images.to({str(device)!r})"
        )
    given = images.detach().clone(memory_format=torch.contiguous_format)
    if not given.isfinite().all():
        raise InputError("the images hold values that are not finite; give values in [0, 1]")
    if given.amin() < -1e-3 or given.amax() > 1 + 1e-3:
        raise InputError(
            f"the images hold values from {given.amin():.3g} to {given.amax():.3g}; give values in [0, 1], not "
            "normalised: the model normalises them"
        )
    return given


def _objectives(
    model: VisionModel, images: Images, target: Target | Sequence[Target] | Tensor | None, batch: int
) -> list[Objective]:
    """One bound objective per image."""
    if isinstance(target, Tensor):
        if target.ndim > 1:
            raise InputError(f"targets of shape {tuple(target.shape)}; give one class, or one per image, [batch]")
        target = target.tolist()
    if isinstance(target, Sequence) and not isinstance(target, str):
        target = [one.item() if isinstance(one, Tensor) and one.numel() == 1 else one for one in target]
    if target is None:
        classes = [index for part in images.split(batch) for index in predicted(model, part).tolist()]
        return [logit(index).bind(model) for index in classes]
    if isinstance(target, Sequence) and not isinstance(target, str):
        if len(target) != len(images):
            raise InputError(f"{len(target)} targets for {len(images)} images; give one, or one per image")
        return [as_objective(model, one) for one in target]
    return [as_objective(model, target)] * len(images)


def _layer(common: Task, objectives: Sequence[Objective]) -> Layer:
    """The default layer of all objectives. Raises InputError where they have several."""
    found = {}
    for objective, numbers in distinct(objectives):
        layer = default_layer(Score(common.score.model, objective), common.images[numbers])
        found[layer.name] = layer
    if len(found) > 1:
        raise InputError(
            f"the layer would be another one from target to target ({', '.join(found)}); name one with layer=, or "
            "explain the targets one by one"
        )
    return next(iter(found.values()))


def _tasks(common: Task, objectives: Sequence[Objective]) -> Iterator[tuple[list[int], Task]]:
    """The numbers of images that share an objective, at most a batch of them at once, and the task for these."""
    for objective, numbers in distinct(objectives):
        score = replace(common.score, objective=objective)
        for start in range(0, len(numbers), common.batch):
            some = numbers[start : start + common.batch]
            baseline = None if common.baseline is None else common.baseline[some]
            yield some, replace(common, score=score, images=common.images[some], baseline=baseline)
