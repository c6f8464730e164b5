"""Where a hierarchy report lies, and what `hierarchy.json` says of it before anything else is read."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from layerscope.dissection.pictures import Pictures
from layerscope.dissection.stimuli.colours import chromatic_axes
from layerscope.models.model import VisionModel
from layerscope.names import slug
from layerscope.records import write_whole
from layerscope.studies.hierarchy_networks import SCHEMA
from layerscope.studies.manifest import network_facts

MANIFEST = "hierarchy.json"
FIGURE = "hierarchy"
OUTPUTS = ("layers.csv", "units.csv", "report.json", f"{FIGURE}.png", f"{FIGURE}.svg")
"""What lies beside the manifest of a whole report."""


def folder_of(out: Path, model: VisionModel, key: str) -> Path:
    """One folder per network; another report under the same name gets one of its own."""
    folder = out / slug(model.name)
    known = _read(folder).get("key")
    return folder if not isinstance(known, str) or known == key else folder.with_name(f"{folder.name}-{key[:8]}")


def manifest_of(
    model: VisionModel, key: str, probe: str, profile: str, twins: int, pictures: Pictures, seed: int
) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "kind": "hierarchy",
        "layerscope": version("layerscope"),
        "key": key,
        "network": network_facts(model),
        "probe": {
            "name": pictures.name,
            "images": len(pictures),
            "classes": list(pictures.class_names),
            "masks": pictures.masks is not None,
            "controls": [control.name for control in pictures.controls],
        },
        "profile": profile,
        "twins": twins,
        "seed": seed,
        "skipped": _skipped(model, pictures),
        "command": _command(model, probe, profile, seed),
    }


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    write_whole(folder / MANIFEST, json.dumps(manifest, indent=1, sort_keys=True).encode())


def is_complete(folder: Path, key: str) -> bool:
    """Whether the manifest of this report says so, and its tables and figures are there."""
    known = _read(folder)
    there = all((folder / name).is_file() for name in OUTPUTS)
    return bool(known.get("complete")) and known.get("key") == key and there


def _skipped(model: VisionModel, pictures: Pictures) -> list[str]:
    found = []
    if not chromatic_axes(model.channels):
        found.append("colours: the network takes images without hues, so there is no test for them")
    if pictures.masks is None:
        found.append("parts: the folder has no masks, so there is no test for them")
    return found


def _command(model: VisionModel, probe: str, profile: str, seed: int) -> str:
    """The line of Python that makes the report again, where `load_model` can open the network."""
    weights = f", weights={model.weights!r}" if model.weights else ""
    opening = "model" if model.spec is None else f"ls.load_model({model.spec!r}{weights})"
    return f"import layerscope as ls; ls.hierarchy({opening}, {probe=}, {profile=}, {seed=})"


def _read(folder: Path) -> dict[str, Any]:
    """A manifest that was written here before; a damaged one counts as none."""
    try:
        facts = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}
