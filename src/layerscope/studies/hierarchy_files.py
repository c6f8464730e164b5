"""Where a hierarchy report lies, and what `hierarchy.json` says of it before anything else is read."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from layerscope.dissection.pictures import Pictures
from layerscope.dissection.stimuli.colours import chromatic_axes
from layerscope.given import path_to, whole_number
from layerscope.models.model import VisionModel
from layerscope.names import slug
from layerscope.records import check_writable, write_whole
from layerscope.studies.hierarchy_networks import SCHEMA
from layerscope.studies.manifest import known, network_facts, opening
from layerscope.studies.probe import LARGEST_SEED

MANIFEST = "hierarchy.json"
FIGURE = "hierarchy"
OUTPUTS = ("layers.csv", "units.csv", "report.json", f"{FIGURE}.png", f"{FIGURE}.svg")
"""What lies beside the manifest of a whole report."""


def checked_place(model: VisionModel, out: str | Path, seed: int) -> tuple[Path, int]:
    """The folder below which a report goes, and its seed.

    Raises InputError for what is none, StorageError where no report can be written there and none lies there whole,
    which may be the one that is asked for.
    """
    seed, out = whole_number("seed", seed, 0, LARGEST_SEED), path_to("out", out)
    place = out / slug(model.name) / MANIFEST
    if not known(place).get("complete"):
        check_writable(place)
    return out, seed


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
    before = known(folder / MANIFEST)
    there = all((folder / name).is_file() for name in OUTPUTS)
    return bool(before.get("complete")) and before.get("key") == key and there


def _skipped(model: VisionModel, pictures: Pictures) -> list[str]:
    found = []
    if not chromatic_axes(model.channels):
        found.append("colours: the network takes images without hues, so there is no test for them")
    if pictures.masks is None:
        found.append("parts: the folder has no masks, so there is no test for them")
    return found


def _command(model: VisionModel, probe: str, profile: str, seed: int) -> str:
    """The line of Python that makes the report again."""
    return f"import layerscope as ls; ls.hierarchy({opening(model)}, {probe=}, {profile=}, {seed=})"
