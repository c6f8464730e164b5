"""The line of Python that makes one picture again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any


def line(gallery: Mapping[str, Any], unit: Mapping[str, Any]) -> str:
    """Return one line that makes the picture of `unit` again, from the facts of its gallery and of its record."""
    model = _model(gallery["network"])
    imports, recipe = _recipe(gallery, unit)
    options = f"recipe={recipe}, seed={unit.get('seed', 0)!r}"
    objective = _objective(unit)
    if objective is None:  # a combination of several: the gallery makes it by itself
        return f"{imports}; ls.gallery({model}, units={_address(unit)!r}, {options})"
    return f"{imports}; ls.maximise({model}, [{objective}], {options}).images[0]"


def _model(network: Mapping[str, Any]) -> str:
    spec, weights = network.get("spec"), network.get("weights")
    if not spec:
        return "model"
    return f"ls.load_model({spec!r}, weights={weights!r})" if weights else f"ls.load_model({spec!r})"


def _objective(unit: Mapping[str, Any]) -> str | None:
    kind, _, argument = str(unit.get("objective")).partition(" ")
    if kind == "logit":
        return f"ls.logit({unit['unit']!r})"  # not its name: a class may be called by another one's number
    plain = re.fullmatch(re.escape(_address(unit)) + r"(@\d+,\d+)?", argument)
    return f"ls.{kind}({argument!r})" if kind in ("channel", "excitation", "neuron") and plain else None


def _address(unit: Mapping[str, Any]) -> str:
    return f"{unit['layer']}:{unit['unit']}"


def _recipe(gallery: Mapping[str, Any], unit: Mapping[str, Any]) -> tuple[str, str]:
    """The imports, and the recipe by its name or, where the user made one up, with all its values."""
    name = gallery.get("recipe")
    if isinstance(name, str):
        return "import layerscope as ls", repr(name)
    return "import layerscope as ls; from layerscope.synthesis.recipes import Recipe", f"Recipe(**{unit['recipe']!r})"
