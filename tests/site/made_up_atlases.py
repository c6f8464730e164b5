"""Small made-up atlases, as the atlas study writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from made_up import CLASSES, picture, strip

from layerscope.records import Store, content_key, write_whole

PLACES = ((0, 1), (0, 2), (1, 0), (1, 2), (3, 1), (3, 3))
CROPS = 3


def cell_facts(at: int, row: int, column: int, labels: Sequence[str] = CLASSES) -> dict[str, Any]:
    """Numbers that differ from cell to cell; every third picture is more like another cell, the last excites nothing."""
    dead = at == len(PLACES) - 1
    first, second = labels[at % len(labels)], labels[(at + 1) % len(labels)]
    return {
        "schema": 1,
        "kind": "cell",
        "network": "menagerie",
        "layer": "conv2",
        "row": row,
        "column": column,
        "activations": 10 + at,
        "objective": "direction conv2 (8 values, 01234567)",
        "score": 2.0 + at,
        "control": 0.25,
        "cosine": None if dead else round(0.9 - 0.05 * at, 3),
        "other": None if dead else 0.3,
        "rank": None if dead else 3 if at % 3 == 2 else 1,
        "of": len(PLACES),
        "classes": [[first, 7 + at], [second, 3]],
        "attributed": [[first, 4.5], [second, -1.25]] if at == 0 else [],
        "crops": [first] * CROPS,
        "saturated": 0.01,
        "status": "dead" if dead else "converged",
        "note": "no gradient reaches it" if dead else "",
        "recipe": {"name": "draft texture", "steps": 40},
        "seed": 3,
    }


def write_atlas(
    out: Path,
    network: str = "menagerie",
    layer: str = "conv2",
    *,
    folder: str | None = None,
    made: int = len(PLACES),
    labels: Sequence[str] = CLASSES,
    header: Mapping[str, Any] = MappingProxyType({}),
) -> Path:
    """Write one atlas to `<out>/<folder>`, the first `made` of its cells with records, and return `out`."""
    home = out / (folder or f"atlas/{network.replace(':', '-')}/{layer}")
    store, key = Store(home), content_key(network=network, layer=layer, kind="atlas")
    layout = {"method": "umap", "neighbours": 15, "vectors": 100, "silent": 2}
    layout |= {"kept": 0.61, "kept_shuffled": 0.014, "trust": 0.96, "trust_shuffled": 0.5}
    listed = [[row, column, 10 + at] for at, (row, column) in enumerate(PLACES)]
    told = {
        "schema": 1,
        "kind": "atlas",
        "network": network,
        "layer": layer,
        "layout": layout,
        "cells": listed,
        "shown": 75,
    }
    store.write(key, told, {"points": np.zeros((100, 2), np.float32)})
    cells = []
    for at, (row, column) in enumerate(PLACES):
        one = content_key(atlas=key, place=at)
        if at < made:
            facts = {**cell_facts(at, row, column, labels), "network": network, "layer": layer}
            store.write(one, facts, {"picture": picture(at), "exemplars": strip(at)})
        cells.append({"row": row, "column": column, "activations": 10 + at, "key": one})
    facts = {
        "schema": 1,
        "kind": "atlas",
        "layerscope": "0.1.0",
        "key": key,
        "cells": cells,
        "layout": layout,
        "shown": 75,
        "network": {"name": network, "spec": network, "fingerprint": "0f" * 32, "class_names": list(labels)},
        "layer": {"name": layer, "kind": "Conv2d", "units": 8, "shape": [8, 8, 8]},
        "probe": {"name": "menagerie", "images": 102},
        "grid": 4,
        "least": 5,
        "recipe": "draft",
        "seed": 3,
        "command": f"import layerscope as ls; ls.atlas(ls.load_model({network!r}), {layer!r}, grid=4)",
        **header,
    }
    write_whole(home / "atlas.json", json.dumps(facts).encode())
    return out
