"""The layers of a network: what each puts out, where its units are, and what of the image one position sees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from layerscope.capture.field import Field
from layerscope.capture.forward import bare_module, eager, tensors_in
from layerscope.capture.receptive_field import FieldTracker
from layerscope.errors import CaptureError
from layerscope.types import HasModule


@dataclass(frozen=True)
class Layer:
    """One layer: the output of one call of a module, leaf or container.

    Attributes:
        name: the dotted name of the module; "relu#0", "relu#1" for the calls of a module that is called several times.
        kind: the class of the module ("Conv2d").
        shape: of the output, without the batch axis.
        unit_axis: the axis of the units, counted with the batch axis: 1 for [batch, channel, row, column].
        units: how many there are.
        stride: pixels of the image from one position to the next.
        receptive_field: side in pixels of the square of the image that one position can see, where that square is not
            clipped to the image. The largest branch counts.
        offset: the pixel at the centre of what position 0 sees; 0 is the centre of the first pixel.
        The last three are None where positions see the whole image (after global pooling, squeeze-and-excitation,
        attention, flattening) or where there is no single window (uneven pooling, resizing).
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    unit_axis: int
    units: int
    stride: int | None
    receptive_field: int | None
    offset: float | None


def list_layers(module: HasModule | nn.Module, input_shape: tuple[int, int, int]) -> tuple[Layer, ...]:
    """All layers that put out one tensor per image, in the order in which they finish (a container after its parts).

    Runs one black image of `input_shape` (channel, height, width) through the network in eval mode. Flags, buffers
    and random state are put back. The network itself ("") is not listed, nor are modules that are never called.
    Errors of the network, as for an image that is too small, pass through. CaptureError for a scripted module.
    """
    module = bare_module(module)
    image = _black_image(module, input_shape)
    calls: list[Layer] = []
    with ExitStack() as undo:
        undo.enter_context(_untouched(module))
        undo.enter_context(eager(module))
        undo.enter_context(torch.no_grad())
        tracker = undo.enter_context(FieldTracker(image))
        for name, part in module.named_modules():
            if name:
                hook = part.register_forward_hook(_noting(name, tracker, calls), with_kwargs=True)
                undo.callback(hook.remove)
        module(image)
    return _numbered(calls)


def units_first(activation: Tensor, unit_axis: int) -> Tensor:
    """Move the units to axis 1: [batch, units, *positions]. A view."""
    return activation.movedim(unit_axis, 1)


def _noting(name: str, tracker: FieldTracker, calls: list[Layer]) -> Callable[..., None]:
    def hook(part: nn.Module, args: object, kwargs: object, output: object) -> None:
        tensors = list(tensors_in(output))
        if len(tensors) == 1 and tensors[0].ndim > 1 and len(tensors[0]) == 1:
            inputs = list(tensors_in((args, kwargs)))
            calls.append(_layer(name, part, tensors[0], inputs, tracker))

    return hook


def _layer(name: str, part: nn.Module, output: Tensor, inputs: list[Tensor], tracker: FieldTracker) -> Layer:
    field = tracker.arrange(output, inputs)
    axis, shape = _unit_axis(part, output, field), tuple(output.shape)
    return Layer(name, type(part).__name__, shape[1:], axis, shape[axis], field.stride, field.size, field.offset)


def _unit_axis(part: nn.Module, output: Tensor, field: Field) -> int:
    """The axis that is neither batch nor rows nor columns; where those are not known, the habit of the module."""
    free = [axis for axis in range(1, output.ndim) if not field.labelled(axis)]
    if len(free) < output.ndim - 1:
        return free[0] if free else 1
    last = output.ndim == 3 or isinstance(part, (nn.Linear, nn.LayerNorm))
    return output.ndim - 1 if last else 1


def _numbered(calls: list[Layer]) -> tuple[Layer, ...]:
    """Number the calls of modules that were called several times."""
    total = Counter(layer.name for layer in calls)
    seen: Counter[str] = Counter()
    layers = []
    for layer in calls:
        layers.append(layer if total[layer.name] == 1 else replace(layer, name=f"{layer.name}#{seen[layer.name]}"))
        seen[layer.name] += 1
    return tuple(layers)


def _black_image(module: nn.Module, input_shape: tuple[int, int, int]) -> Tensor:
    if len(input_shape) != 3 or min(input_shape) < 1:
        raise CaptureError(f"input shape {input_shape} is not (channel, height, width)")
    weight = next((weight for weight in module.parameters() if weight.is_floating_point()), torch.empty(0))
    return torch.zeros(1, *input_shape, dtype=weight.dtype, device=weight.device)


@contextmanager
def _untouched(module: nn.Module) -> Iterator[None]:
    """Eval mode for a while; then flags, buffers and random state are as before."""
    flags = [(part, part.training) for part in module.modules()]
    buffers = [(buffer, buffer.clone()) for buffer in module.buffers()]
    devices = {buffer.device for buffer in (*module.parameters(), *module.buffers()) if buffer.is_cuda}
    try:
        with torch.random.fork_rng(devices=list(devices)):
            for part, _ in flags:
                part.training = False
            yield
    finally:
        for part, flag in flags:
            part.training = flag
        with torch.no_grad():
            for buffer, before in buffers:
                if not torch.equal(buffer, before):
                    buffer.copy_(before)
