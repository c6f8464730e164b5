"""Where a leaderboard lies, and what `leaderboard.json` says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from layerscope.faithfulness.measures import MEASURES
from layerscope.models.model import VisionModel
from layerscope.records import write_whole
from layerscope.studies.manifest import known, network_facts, opening

SCHEMA = 1
MANIFEST = "leaderboard.json"


def known_methods(folder: Path) -> list[str]:
    """The methods that the leaderboard of this folder was asked for before; none where there is none."""
    names = known(folder / MANIFEST).get("methods")
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def manifest_of(
    model: VisionModel,
    key: str,
    *,
    scenes: Mapping[str, Any],
    seed: int,
    methods: Sequence[str],
    whole: bool,
    refused: Sequence[Mapping[str, Any]],
    rows: Sequence[Mapping[str, Any]],
    reading: Sequence[str],
    complete: bool,
) -> dict[str, Any]:
    """What `leaderboard.json` says. whole: whether the methods are all that there are."""
    return {
        "schema": SCHEMA,
        "kind": "leaderboard",
        "layerscope": version("layerscope"),
        "key": key,
        "network": network_facts(model),
        "scenes": dict(scenes),
        "seed": seed,
        "methods": list(methods),
        "measures": [asdict(measure) for measure in MEASURES.values()],
        "rows": [dict(row) for row in rows],
        "refused": [dict(one) for one in refused],
        "reading": list(reading),
        "complete": complete,
        "command": _command(model, None if whole else list(methods), scenes["asked"], seed),
    }


def write_manifest(folder: Path, facts: Mapping[str, Any]) -> None:
    """Raises StorageError where it cannot be written."""
    write_whole(folder / MANIFEST, json.dumps(facts, indent=1, allow_nan=False).encode())


def _command(model: VisionModel, methods: list[str] | None, scenes: int, seed: int) -> str:
    """The line of Python that makes it again."""
    return f"import layerscope as ls; ls.leaderboard({opening(model)}, {methods=}, {scenes=}, {seed=})"
