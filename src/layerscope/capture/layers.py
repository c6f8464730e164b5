"""The layers of a network: what each puts out, where its units are, and what of the image one position sees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from layerscope.capture.fields.arrangement import central
from layerscope.capture.fields.field import Field
from layerscope.capture.fields.receptive_field import FieldTracker
from layerscope.capture.forward import bare_module, eager, tensors_in, unwatched
from layerscope.capture.functions import FunctionSites
from layerscope.capture.probe_forward import as_it_came, black_images
from layerscope.capture.sites import leaves
from layerscope.figures.words import plural
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
        offset: the pixel at the centre of what position 0 sees; 0 is the centre of the first pixel. What position p
            sees lies within receptive_field / 2 of offset + p * stride.
        status: how far receptive_field is to be trusted.
            "exact": some position sees both ends of that square (all of it, but for holes of dilated convolutions).
            "upper bound": no position sees more, some or all see less (after resizing, transposed convolution, uneven
                pooling, or with a part of the units of several branches).
            "whole image": all positions were mixed (global pooling, squeeze-and-excitation, attention over all tokens,
                a linear map of a flattened map; where the map was cropped before, all that were left); receptive_field
                is None.
            "unknown": which axes are rows and columns was lost (beside a class token), or something was done to them
                that Layerscope does not know; or positions see a part of the image that is not worked out, as in
                windowed attention, pooling over rows alone, cyclic shifts and space-to-depth by reshaping; or each unit
                stands for a place of its own (flattening). Also whatever is computed after values that depend on the
                image became numbers of Python or NumPy. receptive_field is None.

    The image is taken to go on beyond its border, also where padding mirrors it.
    stride and offset are None without a receptive field, where rows and columns differ, and where they are split
    into windows or merged into tokens; stride also where it is no whole number of pixels.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    unit_axis: int
    units: int
    stride: int | None
    receptive_field: int | None
    offset: float | None
    status: str


class Layers(tuple[Layer, ...]):
    """Layers in the order of the network: a tuple that notebooks show as a table."""

    __slots__ = ()

    def __repr__(self) -> str:
        names = [layer.name for layer in self]
        shown = names if len(names) <= 6 else [*names[:3], "…", *names[-2:]]
        return f"{plural(len(names), 'layer')}: {', '.join(shown)}"

    def _repr_html_(self) -> str:
        from layerscope.figures.value_cards import table_card

        return table_card(plural(len(self), "layer"), {}, LAYER_HEADS, layer_cells(self), (3, 4, 5))


LAYER_HEADS = ("layer", "kind", "shape", "units", "sees", "stride")
"""What `layer_cells` tells of each layer."""


def layer_cells(layers: Iterable[Layer]) -> list[list[str]]:
    """Rows of a table: what each layer is, puts out and sees of the image."""
    from layerscope.figures.words import NOTHING, short, sizes

    def seen(layer: Layer) -> str:
        at_most = "at most " if layer.status == "upper bound" else ""
        return layer.status if layer.receptive_field is None else f"{at_most}{layer.receptive_field} px"

    return [
        [
            short(one.name, 80),
            short(one.kind, 40),
            sizes(one.shape),
            f"{one.units:,}",
            seen(one),
            str(one.stride or NOTHING),
        ]
        for one in layers
    ]


class TracedLayer(NamedTuple):
    """A layer, and `centre`: the index of its central row and column along each axis of the activation.

    None along the axes of units and of the batch; no centre at all where rows and columns have no places of their own.
    """

    layer: Layer
    centre: tuple[int | None, ...] | None


def list_layers(
    module: HasModule | nn.Module, input_shape: tuple[int, int, int], functions: bool = False
) -> tuple[Layer, ...]:
    """All layers that put out tensors with one entry per image, in the order in which they finish.

    A container comes after its parts. Of a layer that puts out several tensors each is listed, as `name[0]`,
    `name[key]`, `name[aux][0]`. With `functions`, also the results of what modules compute between their parts, such
    as "layer4.0/add", as far as they depend on the image (a leaf of torch.nn counts as one function).

    Runs one black image of `input_shape` (channel, height, width) through the network in eval mode; without any data
    where the network is on the meta device. Flags, buffers and random state are put back. The network itself ("") is
    not listed, nor are modules that are never called. Errors of the network, as for an image that is too small, pass
    through. CaptureError for a scripted module.
    """
    return Layers(traced.layer for traced in trace_layers(module, input_shape, functions))


def trace_layers(
    module: HasModule | nn.Module, input_shape: tuple[int, int, int], functions: bool = False
) -> tuple[TracedLayer, ...]:
    """As `list_layers`, and where the centre of each layer is."""
    module = bare_module(module)
    trace = _Trace(module, FieldTracker(black_images(module, input_shape)))
    with ExitStack() as undo:
        undo.enter_context(as_it_came(module, training=False))
        undo.enter_context(eager(module))
        undo.enter_context(unwatched(module))
        undo.enter_context(torch.no_grad())
        if functions:
            undo.enter_context(FunctionSites(module, trace.note_function, lambda: True))
        undo.enter_context(trace.tracker)
        for name, part in module.named_modules():
            if name and not isinstance(part, torch.jit.ScriptModule):  # hooks do not fire there: `uncalled` says so
                undo.callback(part.register_forward_hook(trace.hook(name), with_kwargs=True).remove)
        module(trace.tracker.images)
    return trace.layers()


def units_first(activation: Tensor, unit_axis: int) -> Tensor:
    """Move the units to axis 1: [batch, units, *positions]. A view."""
    return activation.movedim(unit_axis, 1)


class _Trace:
    """What modules, and the functions between them, put out in one forward."""

    def __init__(self, module: nn.Module, tracker: FieldTracker) -> None:
        self.tracker = tracker
        self._calls: Counter[str] = Counter()
        self._outputs: list[tuple[str, int, str, TracedLayer]] = []  # name, call, path, layer
        self._unit_axes: WeakIdKeyDictionary = WeakIdKeyDictionary()
        self._parts = dict(module.named_modules())

    def hook(self, name: str) -> Callable[..., None]:
        """A forward hook that notes each tensor of each output."""

        def note(part: nn.Module, args: object, kwargs: object, output: object) -> None:
            self._note(name, type(part).__name__, isinstance(part, (nn.Linear, nn.LayerNorm)), output, (args, kwargs))

        return note

    def note_function(self, name: str, output: object, inputs: object) -> object:
        """Note each tensor of the result of a function that depends on the image, under the first name of its part."""
        part, _, function = name.rpartition("/")
        inside = self._parts.get(part)
        if inside is None:
            return output
        if next(inside.children(), None) is None and type(inside).__module__.startswith("torch.nn."):
            return output
        if any(self.tracker.field(tensor) is not None for tensor in tensors_in(output)):
            self._note(name, function, function in ("linear", "layer_norm"), output, inputs)
        else:
            self._calls[name] += 1
        return output

    def layers(self) -> tuple[TracedLayer, ...]:
        """With the names of `list_layers`: calls are numbered where a module was called several times."""
        named = []
        for name, call, path, (layer, centre) in self._outputs:
            number = f"#{call}" if self._calls[name] > 1 else ""
            named.append(TracedLayer(replace(layer, name=f"{name}{number}{path}"), centre))
        return tuple(named)

    def _note(self, name: str, kind: str, last: bool, output: object, inputs: object) -> None:
        given = list(tensors_in(inputs))
        for path, tensor in leaves(output):
            if tensor.ndim > 1 and len(tensor) == 1:
                self._outputs.append((name, self._calls[name], path, self._traced(kind, last, tensor, given)))
        self._calls[name] += 1

    def _traced(self, kind: str, last: bool, output: Tensor, inputs: list[Tensor]) -> TracedLayer:
        field = self.tracker.arrange(output, inputs)
        axis, shape = self._unit_axis(last, output, inputs, field), tuple(output.shape)
        reach = (field.stride, field.size, field.offset, field.status)
        return TracedLayer(Layer("", kind, shape[1:], axis, shape[axis], *reach), central(field.axes))

    def _unit_axis(self, last: bool, output: Tensor, inputs: list[Tensor], field: Field) -> int:
        """By arrangement or module; otherwise that of a tensor of this shape that went in, or the usual one."""
        like = [tensor for tensor in (output, *inputs) if tensor.shape == output.shape]
        before = (axis for tensor in like if (axis := self._unit_axes.get(tensor)) is not None)
        axis = _arranged_unit_axis(last, output, field) or next(before, 2 if output.ndim == 3 else 1)
        self._unit_axes[output] = axis
        return axis


def _arranged_unit_axis(last: bool, output: Tensor, field: Field) -> int | None:
    """The axis that is neither batch nor rows nor columns; None where those are not known. last: units come last."""
    every = range(1, output.ndim)
    free = [axis for axis in every if not field.labelled(axis)]
    if len(free) == len(every):
        return every[-1] if last else None
    several = [axis for axis in free if output.shape[axis] > 1] or free
    shared = [axis for axis in every if field.axes is not None and not all(factor.label for factor in field.axes[axis])]
    return (several or shared or [1])[-1 if last else 0]
