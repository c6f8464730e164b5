"""The layers that tell the story of a forward pass: the last of each size of map, in the order of the network."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from math import prod

from layerscope.attribution.kinds import RECTIFIERS
from layerscope.capture.layers import Layer
from layerscope.models.model import VisionModel

MOST = 8
_NOT_TOLD = ("Pool", "Flatten", "Dropout", "Norm", "Identity", "Softmax", "Permute", "Upsample", "Padding")
"""Kinds of layers that only pass on, thin out or rescale what others found."""


def main_layers(model: VisionModel, most: int = MOST) -> tuple[Layer, ...]:
    """At most `most` layers, without the output: of each size of map the last block or activation, and as many of the
    other activations as there is room for. Of a transformer, whose maps are all of one size, blocks evenly spaced. None
    of a network that has no parts."""
    layers = model.layers()
    if not layers:
        return ()
    inner = [layer for layer in _outermost(layers) if layer.shape != layers[-1].shape]  # the output has that shape
    candidates = [layer for layer in inner if layer.units > 1 and not _thins_out(layer)]
    last = {_map(layer): layer for layer in candidates}
    stages = [layer for layer in candidates if last[_map(layer)] is layer]
    if len(stages) < 3 and (blocks := _blocks(layers)):
        return tuple(_spread(blocks, most))
    others = [layer for layer in candidates if layer not in stages and _is_activation(layer)]
    chosen = stages[-most:] + _spread(others, most - len(stages))
    return tuple(layer for layer in candidates if layer in chosen)


def before_rectifier(model: VisionModel, layer: Layer) -> str:
    """The layer with the same units before the rectifier that `layer` is or ends with; itself where there is none.

    After a rectifier, random filters look more selective than true edge detectors.
    """
    layers = model.layers(functions=True)
    names = [one.name for one in layers]
    rectified = False
    for one in reversed(layers[: names.index(layer.name) + 1] if layer.name in names else ()):
        if _is_activation(one):
            rectified = True
        elif not _parts(one, layers):
            same = (one.shape, one.unit_axis) == (layer.shape, layer.unit_axis)
            return one.name if rectified and same else layer.name
    return layer.name


def same_units(model: VisionModel, layer: Layer) -> tuple[str, ...]:
    """The layers right before `layer` whose maps have its shape, the nearest first: what it is the activation of.

    A gallery draws units of a convolution, a report measures them after the rectifier: unit 5 of both is one unit.
    """
    layers = model.layers()
    before = reversed(layers[: layers.index(layer)]) if layer in layers else ()
    return tuple(other.name for other in takewhile(lambda other: other.shape == layer.shape, before))


def _outermost(layers: Sequence[Layer]) -> list[Layer]:
    """Those that stand in no other, but for such as hold much of the network, or its output."""
    output = layers[-1]
    frames = {one.name for one in layers if _sizes(one, layers) > 2 or output in (one, *_parts(one, layers))}
    return [layer for layer in layers if layer.name not in frames and _parents(layer, layers) <= frames]


def _parents(layer: Layer, layers: Sequence[Layer]) -> set[str]:
    return {other.name for other in layers if layer.name.startswith(f"{other.name}.")}


def _parts(layer: Layer, layers: Sequence[Layer]) -> list[Layer]:
    return [other for other in layers if other.name.startswith(f"{layer.name}.")]


def _sizes(layer: Layer, layers: Sequence[Layer]) -> int:
    """How many sizes of maps its parts have, those of a single position aside."""
    return len({_map(part) for part in _parts(layer, layers) if prod(_map(part)) > 1})


def _map(layer: Layer) -> tuple[int, ...]:
    return tuple(size for axis, size in enumerate(layer.shape, start=1) if axis != layer.unit_axis)


def _thins_out(layer: Layer) -> bool:
    return any(word in layer.kind for word in _NOT_TOLD)


def _is_activation(layer: Layer) -> bool:
    return layer.kind.lower() in RECTIFIERS


def _blocks(layers: Sequence[Layer]) -> list[Layer]:
    """The most numerous brothers among the layers that have parts."""
    brothers: dict[str, list[Layer]] = {}
    for layer in layers:
        if _parts(layer, layers):
            brothers.setdefault(layer.name.rpartition(".")[0], []).append(layer)
    found = max(brothers.values(), key=len, default=[])
    return found if len(found) > 2 else []


def _spread(layers: Sequence[Layer], most: int) -> list[Layer]:
    """Evenly spaced, the last one among them."""
    if len(layers) <= most or most < 2:
        return list(layers[: max(most, 0)])
    return [layers[round(place * (len(layers) - 1) / (most - 1))] for place in range(most)]
