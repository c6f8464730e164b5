"""Small made-up galleries, as the gallery study writes them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from PIL import Image

from layerscope.records import Store, content_key, write_whole

MakeGallery = Callable[..., Path]
CLASSES = ("owl", "zebra", "turtle", "house")
EXEMPLARS = 3
HOSTILE = (
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    "../../../etc/passwd",
    '"onmouseover="alert(1)',
    "\u202egnp.exe\u202d",
    "a" * 4000,
    "owl 🦉 \u0000 \ud800",
    "C:\\con",
    "",
    "..",
    "{{ 7 * 7 }}",
    "</title>&amp;\u2028`${1}`",
)


def picture(index: int, side: int = 16) -> np.ndarray:
    """A picture that no other index shares, in colours that survive a look at its middle."""
    grey = np.linspace(0, 255, side, dtype=np.uint8)
    return np.stack(
        [np.tile(grey, (side, 1)), np.full((side, side), 37 * index % 256), np.full((side, side), 91 * index % 256)], 2
    ).astype(np.uint8)


def strip(index: int, side: int = 12) -> np.ndarray:
    """Natural crops side by side, encoded as the gallery encodes them."""
    file = io.BytesIO()
    crops = [picture(index + 7 * turn, side) for turn in range(EXEMPLARS)]
    Image.fromarray(np.concatenate(crops, 1)).save(file, "WEBP", lossless=True)
    return np.frombuffer(file.getvalue(), np.uint8)


def exemplar(index: int, turn: int) -> dict[str, Any]:
    label = CLASSES[(index + turn) % len(CLASSES)]
    return {"image": 10 * index + turn, "label": label, "row": 1, "column": 2, "score": 2 - turn / 8}


def unit_facts(network: str, layer: str, index: int, label: str | None) -> dict[str, Any]:
    """Numbers that differ from unit to unit: ratio 0.5, 0.7, 0.9, ...; every fourth unit weak, every seventh dead."""
    ratio = round(0.5 + 0.2 * index, 3)
    status = "dead" if index % 7 == 6 else "weak" if index % 4 == 3 else "converged"
    return {
        "schema": 1,
        "kind": "unit",
        "network": network,
        "layer": layer,
        "unit": index,
        "label": label,
        "objective": f"logit {label}" if label else f"channel {layer}:{index}",
        "score": 2.0 * ratio,
        "control": 0.25,
        "natural": 2.0,
        "ratio": ratio,
        "saturated": 0.01 * (20 - index),
        "status": status,
        "note": "" if status == "converged" else f"why it is {status}",
        "recipe": {"name": "standard early", "steps": 40, "lr": 0.05},
        "seed": 3,
        "exemplars": [exemplar(index, turn) for turn in range(EXEMPLARS)],
    }


def write_unit(store: Store, key: str, facts: dict[str, Any], natural: bool) -> None:
    if not natural:
        facts = {**facts, "natural": None, "ratio": None, "exemplars": []}
    index = facts["unit"]
    trace = facts["score"] * (1 - np.exp(-np.arange(40, dtype=np.float32) / 8))
    exemplars = strip(index) if natural else np.zeros(0, np.uint8)
    store.write(key, facts, {"picture": picture(index), "trace": trace.astype(np.float32), "exemplars": exemplars})


def gallery_facts(network: str, layers: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "schema": 1,
        "kind": "gallery",
        "layerscope": "0.1.0",
        "network": {
            "name": network,
            "spec": network,
            "fingerprint": "0f" * 32,
            "input_size": 32,
            "class_names": list(CLASSES),
            "card": {
                "accuracy": 0.991,
                "robust_accuracy": {"linf 4/255": 0.5},
                "recall": {"owl": 1.0, "zebra": 0.5, "<i>": 0.75},
            },
        },
        "recipe": "standard",
        "seed": 3,
        "probe": {"name": "menagerie", "images": 64, "classes": 4},
        "layers": layers,
        "command": f"import layerscope as ls; ls.gallery(ls.load_model({network!r}), seed=3)",
    }


def write_gallery(
    out: Path,
    network: str = "menagerie",
    *,
    folder: str | None = None,
    layers: Sequence[str] = ("conv1", "conv2"),
    units: int = 10,
    made: Callable[[int], bool] = lambda index: True,
    labels: Sequence[str] = CLASSES,
    natural: bool = True,
    facts: Mapping[str, Any] = MappingProxyType({}),
) -> Path:
    """Write one gallery to `<out>/<folder>` and return `out`; the `layers` are followed by "fc" with the `labels`."""
    home = out / (folder or network.replace(":", "-"))
    entries = []
    for layer in [*layers, "fc"]:
        named = labels if layer == "fc" else (None,) * units
        keys = [content_key(network=network, layer=layer, unit=index) for index in range(len(named))]
        for index, (key, label) in enumerate(zip(keys, named, strict=True)):
            if made(index):
                write_unit(Store(home), key, unit_facts(network, layer, index, label), natural)
        entries.append({**layer_facts(layer, len(named)), "keys": keys, "indices": list(range(len(named)))})
    header = {**gallery_facts(network, entries), **facts}
    write_whole(home / "gallery.json", json.dumps(header).encode())
    return out


def layer_facts(layer: str, units: int) -> dict[str, Any]:
    if layer == "fc":
        return {
            "name": layer,
            "kind": "Linear",
            "shape": [units],
            "units": units,
            "stride": None,
            "receptive_field": None,
        }
    return {"name": layer, "kind": "Conv2d", "shape": [units, 8, 8], "units": units, "stride": 4, "receptive_field": 11}
