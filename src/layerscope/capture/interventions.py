"""Change what layers or units put out, for a while: whether a unit matters shows in its absence."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from layerscope.capture.evaluating import evaluating
from layerscope.capture.forward import tensors_in, watched, watched_anew
from layerscope.capture.hooks import capture
from layerscope.capture.layers import Layer, list_layers, units_first
from layerscope.capture.positions import Units, at_position
from layerscope.capture.sites import Place, first_name, leaves, with_leaves
from layerscope.capture.taps import Tap
from layerscope.capture.units import Unit
from layerscope.errors import CaptureError, InputError, UnknownNameError
from layerscope.types import HasModule

Edit = Callable[[Tensor], Tensor]
"""From an activation to the one that the network goes on with. It must not change its argument."""

Level = Literal["zero", "mean"] | float | Tensor
"""What ablated units are set to."""


@contextmanager
def replace(
    model: HasModule | nn.Module, values: Mapping[str, Tensor | Edit], *, batch_statistics: bool = False
) -> Iterator[None]:
    """Let `model` go on with other activations inside the `with`.

    Args:
        values: by layer, as `capture` names them (calls, functions, patterns and tensors of a tuple too): the tensor
            to go on with, of the shape of the activation or of one that broadcasts to it, or a function that makes it
            from the activation. It may be differentiable; the activation itself stays as it is.
        batch_statistics: as in `capture`.

    A capture sees the new values, whichever of the two was entered first. Nothing stays on the model afterwards.
    What a network runs only for its effect on a tensor (`x.mul_(2)`, `self.relu(x)`, without using what it returns) is
    not changed, but for functions in a forward without gradients (and outside of inference mode). Of several
    interventions at one site the one that was entered last has the last word.
    Raises UnknownNameError and CaptureError as `capture` does, in the forward too where a layer is not reached;
    CaptureError for a replacement of another shape, dtype or device.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"{type(values).__name__} is no mapping; give {{layer: tensor or function}}")
    edits = {name: _edit(name, value) for name, value in values.items()}
    with watched(model, _Intervention(model, edits, batch_statistics)):
        yield


@contextmanager
def ablate(
    model: HasModule | nn.Module,
    units: Unit | str | Iterable[Unit | str],
    to: Level = "zero",
    *,
    reference: Tensor | None = None,
    batch_statistics: bool = False,
) -> Iterator[None]:
    """Set units of `model` to a constant inside the `with`, so that it shows what depends on them.

    Args:
        units: a unit or several, as `Unit` or as text: "layer4.1.conv2:37" at all positions, "conv2:37@3,4" at one.
        to: "zero"; "mean", the mean of each unit over images and positions; a number; or a tensor: a scalar, one
            value per unit of the layer, or what broadcasts to [batch, units of the layer, *positions].
        reference: images (as `model` takes them) to take "mean" over. Otherwise it is taken over the batch that runs,
            so that what happens to one image depends on the others.
        batch_statistics: as in `capture`.

    Units are counted along the unit axis of their layer (`list_layers`), which is measured at the first forward where
    `model` is a bare module. Otherwise as `replace`. Raises InputError for units that do not parse, or whose index or
    position does not exist, and for a `to` that does not fit them; UnknownNameError for layers that do not exist.
    """
    given = [units] if isinstance(units, (str, Unit)) or not isinstance(units, Iterable) else list(units)
    if not given or not all(isinstance(unit, (str, Unit)) for unit in given):
        raise InputError(f"units={units!r}; give a unit or several, as 'layer4.1.conv2:37'")
    if not isinstance(to, (str, float, int, Tensor)):
        raise InputError(f"to={to!r}; give 'zero', 'mean', a number or a tensor")
    if reference is not None and (isinstance(to, Tensor) or to != "mean"):
        raise InputError("reference= is what to='mean' takes the mean over; give to='mean' with it")
    if isinstance(to, str) and to not in ("zero", "mean"):
        raise UnknownNameError.among("level to ablate to:", to, ("zero", "mean"), "or give a number or a tensor")
    parsed = [Unit.parse(unit) if isinstance(unit, str) else unit for unit in given]
    ablation = _Ablation(model, parsed, to, batch_statistics)
    if reference is not None:
        ablation.take_means(reference)
    with watched(model, ablation):
        yield


class _Intervention(Tap):
    """Changes what the network goes on with at its sites."""

    first = True

    def __init__(self, model: HasModule | nn.Module, edits: Mapping[str, Edit], batch_statistics: bool) -> None:
        super().__init__(model, list(edits), batch_statistics)
        self._edits = edits
        firsts = {name for name, _ in self._module.named_modules()}  # a pattern means each module once
        for found in self._patterns.values():
            found[:] = [
                dataclasses.replace(one, names=tuple(name for name in one.names if name in firsts)) for one in found
            ]

    def outside(self, name: str) -> None:
        """Raise CaptureError: calls cannot be counted there, so that the wrong one might be changed."""
        raise CaptureError(
            f"{name!r} ran outside of a forward of the whole network (called by itself, or recomputed by "
            "checkpointing), where an intervention does not reach; turn checkpointing off, or intervene on the part"
        )

    def done(self) -> bool:
        """What comes after the last site of a capture does not matter to it."""
        return True

    def finish(self, inputs: object, output: object, stopped: bool) -> None:
        """Raise CaptureError for a layer that was not reached, and so not changed."""
        if not stopped:
            self._check(inputs)

    def visit(self, place: Place, output: object, inputs: object) -> object:
        """Apply the edits of this site."""
        changed = output
        paths = [path for path, _ in leaves(output)]
        for wanted in self._asking(*place):
            chosen = [wanted.path or paths[0]] if wanted.exact and paths else paths
            changed = with_leaves(changed, dict.fromkeys(chosen, partial(self._edited, wanted.asked)))
        return changed

    def _edited(self, asked: str, activation: Tensor) -> Tensor:
        value = self._edits[asked](activation)
        if not isinstance(value, Tensor):
            raise CaptureError(f"the replacement of {asked!r} is a {type(value).__name__}; it has to be a tensor")
        if (value.dtype, value.device) != (activation.dtype, activation.device):
            raise CaptureError(
                f"the replacement of {asked!r} is {value.dtype} on {value.device}, and the activation "
                f"{activation.dtype} on {activation.device}; convert it with .to(activation)"
            )
        try:
            return value.expand(activation.shape).clone()  # the network may overwrite it
        except RuntimeError:
            raise CaptureError(
                f"the replacement of {asked!r} has shape {tuple(value.shape)}, which does not broadcast to that of the "
                f"activation, {tuple(activation.shape)}"
            ) from None


@runtime_checkable
class _Layered(Protocol):
    """A model that has measured its layers."""

    def layer(self, name: str) -> Layer: ...


class _Ablation(_Intervention):
    """Sets units to a constant, along the unit axes of their layers."""

    def __init__(
        self, model: HasModule | nn.Module, units: Sequence[Unit], level: Level, batch_statistics: bool
    ) -> None:
        self._units: defaultdict[str, list[Unit]] = defaultdict(list)
        for unit in units:
            self._units[unit.layer].append(unit)
        super().__init__(model, {name: partial(self._ablated, name) for name in self._units}, batch_statistics)
        self._levels: dict[str, Level] = dict.fromkeys(self._units, level)
        self._axes: dict[str, int] = {"": 1}
        if isinstance(model, _Layered) and not isinstance(model, nn.Module):
            self._measure({name: model.layer(name) for name in self._units if name})

    def begin(self, inputs: object) -> None:
        """A forward begins: the unit axes of a bare module are measured for images of the shape that it gets."""
        super().begin(inputs)
        self._measure_bare(inputs)

    def take_means(self, reference: Tensor) -> None:
        """Set each unit to its mean over the images and positions of a batch."""
        self._measure_bare(reference)
        run = self._model if callable(self._model) else self._module
        with watched_anew(self._module), evaluating(self._module), capture(self._model, [*self._units]) as activations:
            run(reference)
        for name, chosen in self._units.items():
            means = units_first(activations[name], self._axes[name]).transpose(0, 1).flatten(1).mean(1)
            self._levels[name] = means[[unit.index for unit in chosen]]

    def _measure_bare(self, inputs: object) -> None:
        missing = [name for name in self._units if name not in self._axes]
        if not missing:
            return
        images = next((tensor for tensor in tensors_in(inputs) if tensor.ndim == 4), None)
        if images is None:
            raise CaptureError("no images [batch, channel, height, width] in this forward to find the units with")
        _, channels, height, width = images.shape
        try:
            layers = list_layers(self._module, (channels, height, width), self.functions)
        except Exception as error:
            raise CaptureError(
                f"no units can be counted in {type(self._module).__name__}: a single image {channels} x {height} x "
                f"{width} does not run through it ({type(error).__name__}: {str(error).partition(chr(10))[0]})"
            ) from error
        listed = {layer.name: layer for layer in layers}
        self._measure({name: _named(first_name(self._module, name), listed) for name in missing})

    def _measure(self, layers: Mapping[str, Layer]) -> None:
        for name, layer in layers.items():
            self._axes[name] = layer.unit_axis
            for unit in self._units[name]:  # their positions depend on the size of the images that will run
                _check_index(unit, layer.units)

    def _ablated(self, name: str, activation: Tensor) -> Tensor:
        chosen, axis = self._units[name], self._axes[name]
        changed = activation.clone()
        units = units_first(changed, axis)
        for unit in chosen:
            _check(unit, units)
        values = _values(self._levels[name], units, chosen)
        for place, unit in enumerate(chosen):
            value = values[:, place]
            if unit.position is None:
                units[:, unit.index] = value
            else:
                at_position(units, unit.position)[:, unit.index] = at_position(values, unit.position)[:, place]
        return changed


def _values(level: Level, units: Units, chosen: Sequence[Unit]) -> Units:
    """What the chosen units are set to: [batch, chosen, *positions]."""
    target = units[:, [unit.index for unit in chosen]]
    if isinstance(level, str):
        return torch.zeros_like(target) if level == "zero" else _means(target)
    value = torch.as_tensor(level).to(target)
    shape = (len(chosen),) + (1,) * (target.ndim - 2) if value.ndim == 1 else value.shape
    try:
        return value.reshape(shape).expand(target.shape)
    except RuntimeError:
        raise InputError(
            f"to= has shape {tuple(value.shape)}; {len(chosen)} units of {chosen[0].layer!r} take a scalar, "
            f"({len(chosen)},), or what broadcasts to {tuple(target.shape)}"
        ) from None


def _means(target: Units) -> Units:
    if target[:, :1].numel() == 1:
        raise InputError("the mean of one value is that value; give reference= images to take the mean over")
    return target.mean([axis for axis in range(target.ndim) if axis != 1], keepdim=True).expand(target.shape)


def _check(unit: Unit, units: Units) -> None:
    """Raise InputError where a layer has no such unit."""
    _check_index(unit, units.shape[1])
    if unit.position is not None:
        at_position(units, unit.position)


def _check_index(unit: Unit, count: int) -> None:
    if unit.index >= count:
        raise InputError(f"no unit {str(unit)!r}; {unit.layer!r} has units 0 to {count - 1}")


def _named(name: str, listed: Mapping[str, Layer]) -> Layer:
    for spelling in (name, f"{name}#0", name.removesuffix("#0")):
        if spelling in listed:
            return listed[spelling]
    raise UnknownNameError.among("layer with units", name, listed)


def _edit(name: str, value: Tensor | Edit) -> Edit:
    if isinstance(value, Tensor):
        return lambda activation: value
    if not callable(value):
        raise InputError(f"the replacement of {name!r} is {value!r}; give a tensor, or a function of the activation")
    return value
