"""The list of what a gallery shows: `gallery.json` beside the records.

A gallery that is asked for more units grows; one of another network, recipe, seed or probe gets a folder of its own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from layerscope.capture.layers import Layer
from layerscope.models.model import VisionModel
from layerscope.names import slug
from layerscope.records import check_writable, write_whole
from layerscope.studies.probe import Probe

SCHEMA = 1
_IDENTITY = ("schema", "layerscope", "network", "recipe", "seed", "seeds", "probe")


def manifest_of(
    model: VisionModel,
    shown: Iterable[tuple[Layer, int, str]],
    *,
    asked: list[str],
    recipe: str,
    seed: int,
    seeds: int,
    probe: Probe | None,
    probe_spec: str | None,
) -> dict[str, Any]:
    """What `gallery.json` says; `shown` gives layer, unit number and record key of each unit."""
    layers: dict[str, dict[str, Any]] = {}
    for layer, index, key in shown:
        told = ("name", "kind", "units", "stride", "receptive_field", "status")
        facts = {name: getattr(layer, name) for name in told}
        entry = layers.setdefault(layer.name, {**facts, "shape": list(layer.shape), "keys": [], "indices": []})
        entry["keys"].append(key)
        entry["indices"].append(index)
    seen = {"name": probe.name, "images": len(probe.data), "fingerprint": probe.fingerprint} if probe else None
    return {
        "schema": SCHEMA,
        "kind": "gallery",
        "layerscope": version("layerscope"),
        "network": network_facts(model),
        "recipe": recipe,
        "seed": seed,
        "seeds": seeds,
        "probe": seen,
        "order": [layer.name for layer in model.layers(functions=any("/" in name for name in layers))],
        "layers": list(layers.values()),
        "asked": asked,
        "command": _command(model, asked, recipe, seed, seeds, probe_spec),
    }


def network_facts(model: VisionModel) -> dict[str, Any]:
    """What manifests say of the network."""
    return {
        "name": model.name,
        "spec": model.spec,
        "weights": model.weights,
        "fingerprint": model.fingerprint,
        "input_size": model.input_size,
        "class_names": list(model.class_names) if model.class_names else None,
        "card": json.loads(json.dumps(dict(model.card), default=str)),
    }


def check_place(out: Path, network: str) -> None:
    """Raise StorageError, before any work, where no manifest of this network can be written."""
    check_writable(out / slug(network) / "gallery.json")


def write_manifest(out: Path, facts: dict[str, Any]) -> Path:
    """Write the manifest into `<out>/<network>`, joined with what the gallery showed before; returns the folder."""
    identity = {name: facts[name] for name in _IDENTITY}
    folder = out / slug(facts["network"]["name"])
    before = known(folder / "gallery.json")
    if before and {name: before.get(name) for name in _IDENTITY} != identity:
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
        folder = folder.with_name(f"{folder.name}-{digest[:8]}")
        before = known(folder / "gallery.json")
    joined = _joined(before, facts) if before else facts
    write_whole(folder / "gallery.json", json.dumps(joined, indent=1, sort_keys=True).encode())
    return folder


def known(path: Path) -> dict[str, Any]:
    """A manifest that was written here before; empty where there is none, or a damaged one."""
    try:
        facts = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def folder_of(out: Path, model: VisionModel, key: str, manifest: str) -> Path:
    """One folder per network below `out`; where its manifest names another key, one with the key in its name."""
    folder = out / slug(model.name)
    before = known(folder / manifest).get("key")
    return folder if not isinstance(before, str) or before == key else folder.with_name(f"{folder.name}-{key[:8]}")


def opening(model: VisionModel) -> str:
    """How a line of Python opens the network; "model" where `load_model` cannot."""
    weights = f", weights={model.weights!r}" if model.weights else ""
    return "model" if model.spec is None else f"ls.load_model({model.spec!r}{weights})"


def _joined(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    layers = {layer["name"]: dict(zip(layer["indices"], layer["keys"], strict=True)) for layer in before["layers"]}
    entries = {layer["name"]: layer for layer in [*before["layers"], *now["layers"]]}
    for layer in now["layers"]:
        layers.setdefault(layer["name"], {}).update(zip(layer["indices"], layer["keys"], strict=True))
    order = dict.fromkeys([*now["order"], *layers])  # functions shown before stand in no order of modules
    whole = [
        {
            **entries[name],
            "indices": sorted(layers[name]),
            "keys": [layers[name][index] for index in sorted(layers[name])],
        }
        for name in order
        if name in layers
    ]
    asked = list(dict.fromkeys([*before["asked"], *now["asked"]]))
    command = now["command"].replace(f"units={now['asked']!r}", f"units={asked!r}")
    return {**now, "layers": whole, "asked": asked, "command": command}


def _command(model: VisionModel, units: list[str], recipe: str, seed: int, seeds: int, probe: str | None) -> str:
    """The line of Python that makes the gallery again."""
    return f"import layerscope as ls; ls.gallery({opening(model)}, {units=}, {recipe=}, {seed=}, {probe=}, {seeds=})"
