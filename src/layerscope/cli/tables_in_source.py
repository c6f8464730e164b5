"""Names that tables of Layerscope and torchvision hold, read from their source, since importing them loads torch.

Loading torch takes seconds, and somebody who presses the tab key waits for it. The tests compare each with its table.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_REGISTERED = re.compile(r"^@register_model\((?:name=)?(?:[\"'](\w+)[\"'])?\)$(?:\n@.*)*\ndef (\w+)", re.MULTILINE)


def keys_of(module: str, table: str) -> tuple[str, ...]:
    """The keys of the dict literal `table` of a module of Layerscope, as "models.zoo"; none where it is no literal."""
    for node in _parsed(module).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and target.id == table and isinstance(node, ast.Assign | ast.AnnAssign):
            keys = node.value.keys if isinstance(node.value, ast.Dict) else []
            return tuple(str(ast.literal_eval(key)) for key in keys if key is not None)
    return ()


def bundled_networks() -> tuple[str, ...]:
    """The specs of the bundled networks."""
    return keys_of("models.zoo", "NAMES")


@cache
def bundled_card() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Class names of the bundled networks, and the layers with weights, in order."""
    path = files("layerscope.models") / "weights" / "menagerie.safetensors"
    with path.open("rb") as file:
        header: dict[str, Any] = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    card = json.loads(header.pop("__metadata__")["card"])
    layers = {key.rpartition(".")[0] for key in header}
    return tuple(card["class_names"]), tuple(sorted(layers, key=lambda name: (name == "logits", name)))


def torchvision_names() -> tuple[str, ...]:
    """The classifiers of torchvision, sorted; none where it is not installed."""
    found = find_spec("torchvision")
    if found is None or not found.submodule_search_locations:
        return ()
    models = Path(found.submodule_search_locations[0]) / "models"
    names = [named or made for path in models.glob("*.py") for named, made in _REGISTERED.findall(_read(path))]
    return tuple(sorted(names))


def attribution_methods() -> tuple[str, ...]:
    """The attribution methods that draw maps of images, sorted."""
    names: set[str] = set()
    for path in (files("layerscope") / "attribution").iterdir():
        if path.name.endswith(".py") and "Method(" in (text := path.read_text(encoding="utf-8")):
            names.update(_methods_in(ast.parse(text)))
    return tuple(sorted(names))


def figure_names() -> tuple[str, ...]:
    """The figures for papers, sorted."""
    stub = (files("layerscope.figures") / "__init__.pyi").read_text(encoding="utf-8")
    return tuple(sorted(set(re.findall(r"import (\w+) as", stub)) - {"save"}))


def _methods_in(source: ast.Module) -> Iterator[str]:
    """The names of the calls `Method(...)`, but for methods of layers."""
    for node in ast.walk(source):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Method":
            given = {keyword.arg: keyword.value for keyword in node.keywords}
            name = node.args[0] if node.args else given.get("name")
            layered = given.get("layered")
            if isinstance(name, ast.Constant) and not (isinstance(layered, ast.Constant) and layered.value):
                yield str(name.value)


def _parsed(module: str) -> ast.Module:
    *folders, name = module.split(".")
    return ast.parse(files("layerscope").joinpath(*folders, f"{name}.py").read_text(encoding="utf-8"))


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
