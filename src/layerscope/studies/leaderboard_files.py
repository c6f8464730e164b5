"""Where a leaderboard lies, and what `leaderboard.json` says."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from layerscope.faithfulness.measures.catalogue import MEASURES, SECONDS
from layerscope.models.model import VisionModel
from layerscope.records import write_whole
from layerscope.studies.leaderboard_rows import HEADLINES
from layerscope.studies.manifest import known, network_facts

SCHEMA = 2
MANIFEST = "leaderboard.json"


def known_methods(folder: Path) -> list[str]:
    """The methods that the leaderboard of this folder was asked for before; none where there is none."""
    names = known(folder / MANIFEST).get("methods")
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def head_of(models: Sequence[VisionModel], key: str, accuracy: Sequence[float | None]) -> dict[str, Any]:
    """What is known of the networks. accuracy: of each, None where it is not known, or not yet."""
    return {
        "schema": SCHEMA,
        "kind": "leaderboard",
        "layerscope": version("layerscope"),
        "key": key,
        "network": network_facts(models[0]),
        "networks": [
            {"name": model.name, "fingerprint": model.fingerprint, "accuracy": share}
            for model, share in zip(models, accuracy, strict=True)
        ],
    }


def measure_facts(rows: Sequence[Mapping[str, Any]], failing: Collection[str]) -> list[dict[str, Any]]:
    """Of each measure, those of a first table first: what it is, and whether it belongs there, having values and not
    failing its check."""
    told = {name for row in rows for name in MEASURES if row.get(name) is not None}
    ordered = [*HEADLINES, *(name for name in MEASURES if name not in HEADLINES)]
    return [
        {
            **asdict(measure),
            "headline": name == SECONDS.name or (name in HEADLINES and name in told and name not in failing),
        }
        for name, measure in ((name, MEASURES[name]) for name in ordered)
        if name in told or not rows
    ]


def write_manifest(folder: Path, facts: Mapping[str, Any]) -> None:
    """Raises StorageError where it cannot be written."""
    write_whole(folder / MANIFEST, json.dumps(facts, indent=1, allow_nan=False).encode())
