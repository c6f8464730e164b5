"""Twins of a network with random weights: the same architecture, nothing learned (Adebayo et al. 2018).

A twin must be alive to be a fair opponent. BatchNorm statistics are estimated anew on images; a network without
BatchNorm has each convolution and linear layer brought to the trained one's mean and deviation per unit instead (as
Mishkin and Matas 2016 start theirs), since torch's own initial weights shrink activations by a factor of about 2.4 per
layer, to rounding noise in a deep one. A network whose own statistics were never estimated gets twins as raw as it is.
"""

from __future__ import annotations

import copy
import inspect
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from layerscope.errors import InputError
from layerscope.models.model import VisionModel
from layerscope.types import Images

_Scaled = _ConvNd | nn.Linear
Moments = tuple[Tensor, Tensor]
"""Mean and standard deviation per unit, float64 [units]."""


def random_twin(model: VisionModel, images: Images, seed: int = 0, batch_size: int = 64) -> VisionModel:
    """A copy of the network whose weights are drawn anew, with statistics estimated on `images`; yours stays as it is.

    Each part that has `reset_parameters` is drawn by it; weights that it leaves as they were (or of parts without it)
    are drawn from a normal distribution with the tensor's own mean and deviation. Depends on the architecture, the
    images and the seed, and where there are such other weights, or no BatchNorm, on those moments.

    `images`: [n, channel, height, width] in [0, 1], at least 2. The twin is in eval mode and takes no gradients.
    Raises InputError for fewer images, or a network without weights.
    """
    if len(images) < 2 or batch_size < 2:
        raise InputError(f"{len(images)} images in batches of {batch_size}; statistics need at least 2 images in each")
    module = copy.deepcopy(model.module).eval().requires_grad_(False)
    for parameter in module.parameters():
        parameter.grad = None
    if next(module.parameters(), None) is None:
        raise InputError(f"{model.name!r} has no weights, so it has no random twin; give a network with weights")
    _thaw(module)
    twin = replace(model, module=module, name=f"{model.name}, random twin {seed}", card={}, spec=None, weights=None)
    batches = images.tensor_split(max(1, len(images) // batch_size))
    norms = [part for part in module.modules() if isinstance(part, _BatchNorm) and part.running_mean is not None]
    estimated = [norm for norm in norms if not _never_estimated(norm)]
    with torch.no_grad():
        targets = {} if norms else _moments_of_parts(twin, batches[0])
        _redraw(module, seed)
        if estimated:
            _estimate(twin, estimated, batches)
        elif not norms:
            _match(twin, targets, batches[0])
    return twin


def _thaw(module: nn.Module) -> None:
    """BatchNorm frozen into buffers, as in detectors, was learned: a twin gets one that can be drawn anew."""
    for parent in list(module.modules()):
        for name, part in list(parent.named_children()):
            buffers = dict(part.named_buffers(recurse=False))
            if set(buffers) == {"weight", "bias", "running_mean", "running_var"} and not isinstance(part, _BatchNorm):
                thawed = nn.BatchNorm2d(
                    len(buffers["weight"]), eps=getattr(part, "eps", 1e-5), device=buffers["weight"].device
                )
                thawed.load_state_dict(buffers, strict=False)
                setattr(parent, name, thawed.eval().requires_grad_(False))


def _never_estimated(norm: _BatchNorm) -> bool:
    """Whether its statistics are those that it began with."""
    mean, variance = norm.running_mean, norm.running_var
    return mean is not None and variance is not None and not bool(mean.any()) and bool((variance == 1).all())


def _redraw(module: nn.Module, seed: int) -> None:
    """Parts before what contains them, whose author has the last word."""
    before = [(parameter, parameter.clone()) for parameter in module.parameters()]
    with _seeded(seed):
        device = before[0][0].device
        module.cpu()  # so that a seed gives the same twin on every device
        for part in reversed(list(module.modules())):
            reset = getattr(part, "reset_parameters", None)
            if callable(reset) and _needs_nothing(reset):
                reset()
        for parameter, old in before:
            if torch.equal(parameter, old.cpu()) and parameter.is_floating_point():
                _draw_alike(parameter)
        module.to(device)


def _draw_alike(parameter: Tensor) -> None:
    """Constant tensors stay as they are."""
    values = parameter.double()
    drawn = torch.randn(values.shape, dtype=torch.float64) * values.std(correction=0) + values.mean()
    parameter.copy_(drawn)


def _needs_nothing(function: Callable[..., object]) -> bool:
    try:
        inspect.signature(function).bind()
    except TypeError:
        return False
    return True


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """`reset_parameters` draws from global random states: they are seeded inside, and as they were afterwards."""
    plain, of_numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would reach devices, too
        random.seed(seed)
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            random.setstate(plain)
            np.random.set_state(of_numpy)


def _estimate(twin: VisionModel, norms: list[_BatchNorm], batches: tuple[Tensor, ...]) -> None:
    """Statistics of BatchNorm as the mean of those of the batches; all other parts stay in eval mode."""
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.training, norm.momentum = True, None
    for batch in batches:
        twin(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.training, norm.momentum = False, momentum


def _moments_of_parts(twin: VisionModel, images: Images) -> dict[str, Moments]:
    """Of what each convolution and linear layer gives for the images, at its first call."""
    found: dict[str, Moments] = {}

    def hook_of(name: str, part: _Scaled) -> Callable[[nn.Module, object, Tensor], None]:
        def hook(module: nn.Module, inputs: object, output: Tensor) -> None:
            if name not in found:
                found[name] = _moments(_units_last(part, output))

        return hook

    _run(twin, images, {part: hook_of(name, part) for name, part in _scaled(twin.module)})
    return found


def _match(twin: VisionModel, targets: dict[str, Moments], images: Images) -> None:
    """Scale and shift each part at its first call, so that what follows it already sees what it gives from now on."""
    done: set[str] = set()

    def hook_of(name: str, part: _Scaled) -> Callable[[nn.Module, object, Tensor], Tensor | None]:
        def hook(module: nn.Module, inputs: object, output: Tensor) -> Tensor | None:
            if name in done or name not in targets:
                return None
            done.add(name)
            return _rescaled(part, output, targets[name])

        return hook

    _run(twin, images, {part: hook_of(name, part) for name, part in _scaled(twin.module)})


def _rescaled(part: _Scaled, output: Tensor, target: Moments) -> Tensor:
    """Change the part, and give its output as it is now. Without a bias, the mean stays what the weights make it."""
    mean, deviation = _moments(_units_last(part, output))
    alive = (deviation > 1e-6 * mean.abs()) & (deviation > 0)
    factor = torch.where(alive, target[1] / deviation.where(alive, 1), 1)
    shift = target[0] - factor * mean if part.bias is not None else torch.zeros_like(mean)
    axis = 0
    if isinstance(part, _ConvNd) and part.transposed:
        if part.groups > 1:
            return output  # its units are no axis of the weights
        axis = 1
    _scale_along(part.weight, axis, factor)
    if part.bias is not None:
        part.bias.mul_(factor.to(part.bias)).add_(shift.to(part.bias))
    last = _units_last(part, output)
    changed = last * factor.to(last) + shift.to(last)
    return changed.movedim(-1, _unit_axis(part, output))


def _scale_along(weight: Tensor, axis: int, factor: Tensor) -> None:
    weight.mul_(factor.to(weight).reshape([-1 if at == axis else 1 for at in range(weight.ndim)]))


def _scaled(module: nn.Module) -> list[tuple[str, _Scaled]]:
    """Those whose weights may be scaled: plain tensors, not results of a parametrisation or shared with others."""
    owners: dict[int, int] = {}
    for part in module.modules():
        for weight in part.parameters(recurse=False):
            owners[id(weight)] = owners.get(id(weight), 0) + 1
    return [
        (name, part)
        for name, part in module.named_modules()
        if isinstance(part, _ConvNd | nn.Linear) and owners.get(id(part.weight)) == 1
    ]


def _run(twin: VisionModel, images: Images, hooks: dict[nn.Module, Callable[..., Tensor | None]]) -> None:
    with ExitStack() as stack:
        for part, hook in hooks.items():
            stack.callback(part.register_forward_hook(hook, prepend=True).remove)  # before hooks that change outputs
        twin(images)


def _unit_axis(part: nn.Module, output: Tensor) -> int:
    """Convolutions may have been given one image without a batch axis."""
    return output.ndim - 1 - len(part.kernel_size) if isinstance(part, _ConvNd) else output.ndim - 1


def _units_last(part: nn.Module, output: Tensor) -> Tensor:
    return output.movedim(_unit_axis(part, output), -1)


def _moments(units_last: Tensor) -> Moments:
    flat = units_last.flatten(0, -2).double()
    return flat.mean(0).cpu(), flat.std(0, correction=0).cpu()
