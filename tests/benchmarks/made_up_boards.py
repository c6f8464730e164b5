"""A leaderboard of three rows, as the study tells it."""

from __future__ import annotations

from typing import Any

from layerscope.faithfulness.measures.catalogue import MEASURES

SHOWN = ("part_rank", "redrawn", "seconds")
INTERVAL = {"value": 0.5, "low": 0.4, "high": 0.6, "images": 9}


def facts_of(network: str) -> dict[str, Any]:
    def row(method: str, title: str, **more: Any) -> dict[str, Any]:
        measured = {name: INTERVAL for name in MEASURES if name != "seconds"}
        told = {
            "against": {"part_rank": {"random": "better"}},
            "control": False,
            "rank": 1,
            "against_random": "better",
            "beats_controls": False,
            "seconds": 0.25,
        }
        return {"method": method, "title": title, "network": network, **told, **measured, **more}

    return {
        "network": {"name": network, "fingerprint": "f"},
        "networks": [{"name": network, "fingerprint": "f", "accuracy": 1.0}],
        "truth": True,
        "scenes": {"asked": 10, "telling": 9, "first": 1, "accuracy": 1.0, "source": "menagerie", "masks": "scenes"},
        "methods": ["deeplift", "saliency"],
        "measures": [
            {"name": name, "title": one.title, "better": one.better, "headline": name in SHOWN}
            for name, one in MEASURES.items()
        ],
        "meta": [],
        "familiar": [],
        "tiers": [
            {
                "tier": "linear",
                "title": "Linear",
                "words": "A sum.",
                "cases": 4,
                "measure": "part_rank",
                "rows": [{"method": "deeplift", "title": "DeepLift", "control": False, "right": INTERVAL}],
            }
        ],
        "seed": 0,
        "refused": [{"method": "rise", "title": "Rise", "error": "no rule"}],
        "reading": ["A reading."],
        "complete": True,
        "rows": [
            row("deeplift", "DeepLift"),
            row("saliency", "Saliency", redrawn=None),
            row("random", "Random map", control=True, rank=None, against_random=None, seconds=None),
        ],
    }
