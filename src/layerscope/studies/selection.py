"""Which units a study is about: patterns, layer names and unit names become layers and unit numbers."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence

from layerscope.capture.layers import Layer
from layerscope.capture.units import Unit
from layerscope.errors import InputError, UnknownNameError
from layerscope.given import shown
from layerscope.models.model import VisionModel


def asked_for(units: str | Sequence[str], name: str = "units") -> list[str]:
    """What a study is asked for, as a list. Raises InputError for what is no text, and no list of texts."""
    found = [units] if isinstance(units, str) else list(units) if isinstance(units, Iterable) else [units]
    for one in found:
        if not isinstance(one, str):
            raise InputError(
                f"{name}={shown(units)} names no units; give texts, as 'layer4.*' for layers or 'layer4.1.conv2:37'"
            )
    return found


def choose_units(model: VisionModel, patterns: Sequence[str]) -> list[tuple[Layer, list[int]]]:
    """The layers and units that patterns, layer names and unit names ask for, in the order of the network."""
    layers = {layer.name: layer for layer in model.layers(functions=any("/" in pattern for pattern in patterns))}
    chosen: dict[str, set[int]] = {}
    for pattern in patterns:
        if ":" in pattern:
            unit = Unit.parse(pattern)
            layer = model.layer(unit.layer)
            if unit.position is not None:
                raise InputError(f"{pattern!r} names a position, a gallery shows whole channels; use maximise for it")
            if unit.index >= layer.units:
                raise UnknownNameError(f"no unit {pattern!r}; {layer.name} has units 0 to {layer.units - 1}")
            chosen.setdefault(layer.name, set()).add(unit.index)
            continue
        for name in _matching(list(layers.values()), pattern):
            chosen.setdefault(name, set()).update(range(layers[name].units))
    if not chosen:
        raise InputError(
            "no units asked for; give a layer pattern such as 'layer4.*' or a unit such as 'layer4.1.conv2:37'"
        )
    return [(layer, sorted(chosen[name])) for name, layer in layers.items() if name in chosen]


def _matching(layers: list[Layer], pattern: str) -> list[str]:
    """Functions between modules where the pattern has a "/" in it, else modules alone."""
    layers = [layer for layer in layers if ("/" in layer.name) == ("/" in pattern)]
    names = [layer.name for layer in layers]
    if pattern in names:
        return [pattern]
    matched = [layer for layer in layers if fnmatch.fnmatchcase(layer.name, pattern)]
    if not matched:
        raise UnknownNameError.among("layer", pattern, names, "patterns take * and ?, as in 'layer4.*'")
    output = layers[-1] if layers[-1].kind == "Linear" else None
    preferred = [layer.name for layer in matched if layer.kind == "Conv2d" or layer is output]
    return preferred or [layer.name for layer in matched]
