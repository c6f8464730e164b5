"""The lines of Python that make again what the pages show: a picture, a map, a figure, a whole gallery or report.

A line that differs from unit to unit in nothing but the unit's number is given once, as its two halves around it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any

from layerscope.attribution.methods import METHODS
from layerscope.studies.evidence import OPTIONS

_IMPORT = "import layerscope as ls"
Facts = Mapping[str, Any]
Halves = tuple[str, str]


def line(gallery: Facts, unit: Facts) -> str:
    """Return one line that makes the picture of `unit` again, from the facts of its gallery and of its record."""
    model = _model(gallery["network"])
    imports, recipe = _recipe(gallery, unit)
    options = f"recipe={recipe}, seed={unit.get('seed', 0)!r}"
    objective = _objective(unit)
    if objective is None:  # a combination of several: the gallery makes it by itself
        return f"{imports}; ls.gallery({model}, units={_address(unit)!r}, {options})"
    return f"{imports}; ls.maximise({model}, [{objective}], {options}).images[0]"


def figure(name: str, home: str, *arguments: str) -> str:
    """The line that draws `ls.figures.<name>` from the results in the folder `home`, relative to that of the site."""
    return f"{_IMPORT}; ls.figures.{name}({', '.join(map(repr, (home, *arguments)))})"


def of_network(home: str) -> dict[str, str]:
    """The lines of a gallery's page."""
    return {"sheet": figure("sheet", home)}


def of_layer(gallery: Facts, layer: str, home: str) -> dict[str, Any]:
    """The lines of one layer of a gallery; "unit" in two halves, between which a unit's number stands."""
    return {
        "gallery": _again(gallery.get("command"), "gallery", units=layer),
        "layer": figure("layer", home, layer),
        "ratios": figure("ratios", home, layer),
        "unit": _of_unit("unit", home, layer),
    }


def of_explanation(header: Facts, facts: Facts, home: str) -> dict[str, Any]:
    """The lines of an image's page, from what its `explanation.json` and its record say."""
    drawn = ["maps"]
    drawn += ["labels"] if facts["labels"] else []
    drawn += ["curves"] if facts["curves"].get("target") else []
    drawn += [name for name in ("agreement", "causes", "flip") if facts[name]]
    drawn += ["units_that_mattered"] if facts["story"] else []
    return {"explain": header.get("command"), **{name: figure(name, home) for name in drawn}}


def of_map(header: Facts, facts: Facts, method: Facts) -> str | None:
    """The line that attributes again; None where nobody can say how the picture is got or what it is asked."""
    image, target = _image(header, facts["image"]), _target(facts, method["question"])
    if image is None or target is None or method["method"] not in METHODS:
        return None
    imports, pixels = image
    needs = METHODS[method["method"]].needs
    given = [(name, method.get(name)) for name in ("layer", "baseline") if name in needs]
    options: dict[str, Any] = {"method": method["method"], **dict(given), "seed": facts.get("seed") or 0}
    options |= OPTIONS.get(method["method"], {})
    words = ", ".join(f"{name}={value!r}" for name, value in options.items() if value is not None)
    opened = f"{imports}; model = {_model(header['network'])}" if header["network"].get("spec") else imports
    return f"{opened}; images = {pixels}; ls.attribute(model, images, {target}, {words})"


def of_report(command: str | None, home: str) -> dict[str, Any]:
    """The lines of a hierarchy report's page."""
    names = ("hierarchy", "shares", "beyond_twins", "readers", "similarity")
    return {"report": command, **{name: figure(name, home) for name in names}}


def of_report_layer(header: Facts, facts: Facts, layer: str, home: str) -> dict[str, Any]:
    """The lines of one layer of a report; those of its units in two halves, between which a unit's number stands."""
    opened = f"model = {_model(header['network'])}; " if header["network"].get("spec") else ""
    options = f"recipe={facts.get('recipe') or 'standard'!r}, seed={header.get('seed') or 0!r}"
    return {
        "preferences": figure("preferences", home, layer),
        "tuning": _of_unit("tuning", home, layer),
        "measures": _of_unit("measures", home, layer),
        "picture": _around(
            f"{_IMPORT}; from layerscope.synthesis.recipes import default_objective; {opened}"
            "ls.maximise(model, [default_objective(ls.Unit.parse(",
            f"{layer}:",
            f"), model)], {options}).images[0]",
        ),
    }


def _of_unit(name: str, home: str, layer: str) -> Halves:
    return _around(f"{_IMPORT}; ls.figures.{name}({home!r}, ", f"{layer}:", ")")


def _around(before: str, address: str, after: str) -> Halves:
    """A line in two halves, between which the number belongs that ends the quoted `address`."""
    quoted = repr(address)
    return before + quoted[:-1], quoted[-1] + after


def _again(command: str | None, function: str, **changed: str) -> str | None:
    """The line that made something, with other arguments; None where it is no such line."""
    call = _call(command, function)
    if call is None:
        return None
    kept = [keyword for keyword in call.keywords if keyword.arg not in changed]
    new = [ast.keyword(name, ast.Constant(value)) for name, value in changed.items()]
    return f"{_IMPORT}; {ast.unparse(ast.Call(call.func, call.args, [*new, *kept]))}"


def _call(command: str | None, function: str) -> ast.Call | None:
    """The call of `ls.<function>` that ends a line of Python; None where it ends in something else."""
    try:
        body = ast.parse(command or "").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    last = body[-1].value if body and isinstance(body[-1], ast.Expr) else None
    named = isinstance(last, ast.Call) and ast.unparse(last.func) == f"ls.{function}"
    return last if named and isinstance(last, ast.Call) else None


def _image(header: Facts, image: Facts) -> Halves | None:
    """The imports, and the expression for the picture [1, channels, size, size] that was explained."""
    scene = image.get("scene")
    if scene:
        size = header["network"].get("input_size") or "model.input_size"
        return _IMPORT, f"ls.world.render(1, seed={scene['seed']!r}, size={size}, things={scene['thing']!r}).images"
    call = _call(header.get("command"), "explain")
    source = call.args[1] if call and len(call.args) > 1 else None
    if not isinstance(source, ast.Constant):
        return None
    reading = f"read_photo({source.value!r}, model.input_size, model.channels)"
    return f"{_IMPORT}; from layerscope.models.photos import read_photo", f"{reading}.pixels[None] / 255"


def _target(facts: Facts, question: str) -> str | None:
    target, versus = facts["target"], facts["versus"]
    if question == "versus":
        return f"ls.margin({target['index']!r}, {versus['index']!r})" if versus else None
    if target["index"] is not None:
        return repr(target["index"])  # not its name: a class may be called by another one's number
    kind, _, argument = str(target["text"]).partition(" ")
    return f"ls.{kind}({argument!r})" if kind in ("channel", "neuron") and ":" in argument else None


def _model(network: Facts) -> str:
    spec, weights = network.get("spec"), network.get("weights")
    if not spec:
        return "model"
    return f"ls.load_model({spec!r}, weights={weights!r})" if weights else f"ls.load_model({spec!r})"


def _objective(unit: Facts) -> str | None:
    kind, _, argument = str(unit.get("objective")).partition(" ")
    if kind == "logit":
        return f"ls.logit({unit['unit']!r})"  # not its name: a class may be called by another one's number
    plain = re.fullmatch(re.escape(_address(unit)) + r"(@\d+,\d+)?", argument)
    return f"ls.{kind}({argument!r})" if kind in ("channel", "excitation", "neuron") and plain else None


def _address(unit: Facts) -> str:
    return f"{unit['layer']}:{unit['unit']}"


def _recipe(gallery: Facts, unit: Facts) -> Halves:
    """The imports, and the recipe by its name or, where the user made one up, with all its values."""
    name = gallery.get("recipe")
    if isinstance(name, str):
        return _IMPORT, repr(name)
    return f"{_IMPORT}; from layerscope.synthesis.recipes import Recipe", f"Recipe(**{unit['recipe']!r})"
