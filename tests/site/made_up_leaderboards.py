"""Small made-up leaderboards, as the leaderboard study writes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from layerscope.names import slug
from layerscope.records import write_whole

MakeLeaderboard = Callable[..., Path]
MEASURES = (
    ("part_rank", "part rank", "high"),
    ("deletion", "deletion", "low"),
    ("seconds", "seconds", "low"),
)
CONTROLS = {
    "random": (0.0, 0.6),
    "centre": (0.3, 0.4),
    "edges": (0.4, 0.5),
    "inverted": (-1.0, 0.9),
    "exact": (1.0, 0.3),
}
METHODS = {"deeplift": (0.8, 0.5, 0.02), "kernelshap": (0.5, 0.3, 1.5), "gradcam": (-0.4, 0.4, 0.004)}
"""Part rank, deletion and seconds; the best by each is another one."""


def interval(value: float, spread: float = 0.05) -> dict[str, Any]:
    return {"value": value, "low": value - spread, "high": value + spread, "images": 90}


def rows(network: str, methods: Mapping[str, tuple[float, float, float]]) -> list[dict[str, Any]]:
    ranked = sorted(methods, key=lambda name: -methods[name][0])
    found: list[dict[str, Any]] = [
        {
            "method": name,
            "title": name.title(),
            "network": network,
            "control": False,
            "rank": place + 1,
            "against_random": "better" if methods[name][0] > 0.1 else "worse",
            "beats_controls": methods[name][0] > 0.5,
            "part_rank": interval(methods[name][0]),
            "deletion": interval(methods[name][1]),
            "seconds": methods[name][2],
        }
        for place, name in enumerate(ranked)
    ]
    return found + [
        {
            "method": name,
            "title": f"{name} map",
            "network": network,
            "control": True,
            "rank": None,
            "against_random": None,
            "beats_controls": None,
            "seconds": None,
            "part_rank": interval(part_rank),
            "deletion": interval(deletion),
        }
        for name, (part_rank, deletion) in CONTROLS.items()
    ]


def leaderboard_facts(name: str = "resnet18", **changes: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "schema": 1,
        "kind": "leaderboard",
        "layerscope": "0.1.0",
        "key": "0" * 64,
        "network": {"name": name, "spec": f"torchvision:{name}", "fingerprint": f"fingerprint of {name}"},
        "scenes": {"asked": 100, "first": 10_000_000, "telling": 90, "accuracy": 0.97},
        "seed": 3,
        "methods": list(METHODS),
        "measures": [
            {"name": key, "title": title, "better": better, "words": f"What {title} is.", "causal": False}
            for key, title, better in MEASURES
        ],
        "rows": rows(name, METHODS),
        "refused": [],
        "reading": ["Deeplift comes first.", "Deletion says otherwise."],
        "complete": True,
        "command": f"import layerscope as ls; ls.leaderboard(ls.load_model('torchvision:{name}'), scenes=100, seed=3)",
    }
    return {**facts, **changes}


def write_leaderboard(root: Path, name: str = "resnet18", folder: str | None = None, **changes: Any) -> Path:
    """Write one leaderboard below `root` and return `root`."""
    path = root / "leaderboard" / (folder or slug(name)) / "leaderboard.json"
    write_whole(path, json.dumps(leaderboard_facts(name, **changes)).encode())
    return root
