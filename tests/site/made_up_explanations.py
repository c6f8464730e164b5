"""Small made-up explanations, as the explain study writes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from made_up import CLASSES, gallery_facts, picture

from layerscope.records import Store, content_key, write_whole

MakeExplanation = Callable[..., Path]
SIDE = 16
METHODS = ("deeplift", "gradcam", "layercam", "kernelshap")
"""The first two have maps, the third an empty one, and the last refuses."""


def evidence(place: int) -> np.ndarray:
    """A map that no other place shares: for on its left side, against on its right, the largest size at the corners."""
    row = np.linspace(1, -1, SIDE, dtype=np.float32)
    return np.float32(0.01 * (place + 1)) * np.tile(row, (SIDE, 1))


def method_facts(method: str, question: str) -> dict[str, Any]:
    """Numbers that differ from method to method."""
    place = METHODS.index(method)
    facts: dict[str, Any] = {
        "method": method,
        "title": method.title(),
        "about": f"What {method} does.",
        "source": "Somebody et al. 2017",
        "question": question,
        "cost": "1 backward pass",
        "error": None,
        "map": f"map/{question}/{method}",
        "scale": 0.01 * (place + 1),
        "signed": True,
        "checks": {
            "score": 3.0,
            "total": 2.5,
            "expected": 2.5,
            "gap": 0.02,
            "finite": True,
            "positive": 0.6,
            "negative": 0.4,
            "redrawn": 0.25,
            "noise": 0.875,
            "seconds": 0.5,
            "covered": {"relu": 8},
            "approximated": {"silu": "by its secant"},
            "notes": ["the baseline is blurred"],
        },
        "verdicts": [
            {"check": "complete", "mark": "good", "words": "adds up to the score difference within 2%"},
            {"check": "redrawn", "mark": "poor" if place else "good", "words": "notices the top layers"},
            {"check": "noise", "mark": "open", "words": "was not measured under noise"},
        ],
        "deletion": 0.21 + place / 10,
        "insertion": 0.72 - place / 10,
        "part_rank": 0.9 - place / 2,
        "part_cosine": 0.8,
    }
    if method == "layercam":
        facts |= {"scale": 0.0, "part_rank": None, "deletion": None, "insertion": None}
        facts["verdicts"] = [{"check": "empty", "mark": "poor", "words": "all evidence is negative"}]
    if method == "kernelshap":
        facts |= {"error": "kernelshap needs more passes than there is time for", "checks": None, "verdicts": []}
        facts |= {"map": None, "scale": None, "deletion": None, "insertion": None, "part_rank": None}
    return facts


def curve_facts() -> dict[str, Any]:
    shares = [0.0, 0.5, 1.0]
    named = {"deeplift": "method", "gradcam": "method", "random": "control", "edges": "control", "centre": "control"}
    maps = [
        {
            "name": name,
            "kind": kind,
            "deletion": [0.9, 0.5 + place / 20, 0.1],
            "insertion": [0.1, 0.8 - place / 20, 0.9],
            "deletion_area": 0.21 + place / 10,
            "insertion_area": 0.72 - place / 10,
        }
        for place, (name, kind) in enumerate(named.items())
    ]
    return {
        "shares": shares,
        "fill": "blur",
        "of": "probability of owl",
        "start": 0.9,
        "end": 0.1,
        "note": "",
        "maps": maps,
    }


def story_facts(picture_of: Callable[[str, int], str | None]) -> dict[str, Any]:
    def shown(layer: str, unit: int) -> dict[str, Any]:
        return {
            "unit": unit,
            "contribution": 0.8,
            "predicted": -0.8,
            "true": -0.75 + unit,
            "label": None,
            "fired": f"fired/{layer}/{unit}",
            "peak": [1, 2],
            "picture": picture_of(layer, unit),
            "ratio": 1.3,
            "status": "converged",
            "gallery_layer": "conv1" if layer == "relu1" else None,
        }

    layers = [
        {
            "layer": layer,
            "kind": "ReLU",
            "units": 8,
            "reach": "17 px",
            "agreement": 0.93,
            "within": 0.8,
            "shown": [shown(layer, unit) for unit in (0, 3)],
        }
        for layer in ("relu1", "relu2")
    ]
    return {"words": "Each unit was set to its mean.", "layers": layers}


def explanation_facts(network: str, image: Mapping[str, Any], classes: Sequence[str], scene: bool) -> dict[str, Any]:
    """The facts of a record: a scene with parts, or a photograph without causes."""
    top, second = classes[:2]
    labels = [
        {
            "class": name,
            "index": place,
            "logit": 3.0 - place,
            "probability": 0.9 / 4**place,
            "calibrated": 0.8 / 4**place,
        }
        for place, name in enumerate(classes)
    ]
    parts = [
        {"part": "wing", "pixels": 31, "effect": 2.1, "shapley": 1.9, "picture": "part/wing"},
        {"part": "eye", "pixels": 1, "effect": -0.3, "shapley": None, "picture": "part/eye"},
    ]
    return {
        "schema": 1,
        "kind": "explanation",
        "network": network,
        "image": image,
        "seed": 3,
        "seconds": 31.2,
        "truth": top if scene else None,
        "familiar": {
            "checked": True,
            "unlike": not scene,
            "words": "It is like the probe set." if scene else "It is unlike it.",
            "probe": "menagerie",
            "layers": [{"layer": "relu1", "distance": 1.2, "limit": 2.9}],
        },
        "labels": labels,
        "temperature": 1.3,
        "calibration": "Fitted on held-out images.",
        "target": {"text": f"logit {top}", "label": top, "index": 0, "score": 3.0, "predicted": True},
        "versus": {
            "text": f"logit {top} - logit {second}",
            "label": second,
            "index": 1,
            "margin": 1.0,
            "calibrated": 0.77,
            "percentile": 0.34,
        },
        "versus_note": None,
        "layer": {"name": "relu2", "chosen": True, "positions": [4, 4]},
        "questions": ["target", "versus"],
        "methods": [method_facts(method, question) for question in ("target", "versus") for method in METHODS],
        "agreement": {
            question: {"methods": ["deeplift", "gradcam"], "matrix": [[1.0, -0.25], [-0.25, 1.0]]}
            for question in ("target", "versus")
        },
        "curves": {"target": curve_facts(), "versus": curve_facts()},
        "story": story_facts(lambda layer, unit: None if layer == "relu2" else f"unit/{layer}/{unit}"),
        "causes": {"parts": parts, "background": -0.1, "distractors": 0.05, "note": "Re-rendered."} if scene else None,
        "flip": {
            "found": True,
            "words": "without wing and eye",
            "label": second,
            "probability": 0.7,
            "tried": 57,
            "complete": True,
            "picture": "flip",
        }
        if scene
        else None,
    }


def explanation_arrays(facts: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The arrays that the facts name."""
    arrays = {"image": picture(1, SIDE)}
    for place, method in enumerate(facts["methods"]):
        if method["map"] is not None:
            arrays[method["map"]] = evidence(place % len(METHODS)) * bool(method["scale"])
    for layer in facts["story"]["layers"]:
        for unit in layer["shown"]:
            arrays[unit["fired"]] = np.arange(16, dtype=np.float32).reshape(4, 4)
            if unit["picture"] is not None:
                arrays[unit["picture"]] = picture(10 + unit["unit"])
    if facts["causes"] is not None:
        arrays |= {part["picture"]: picture(20 + place) for place, part in enumerate(facts["causes"]["parts"])}
    if facts["flip"] is not None:
        arrays["flip"] = picture(30)
    return arrays


def write_explanation(
    out: Path,
    image: str = "owl 7",
    *,
    network: str = "menagerie",
    folder: str | None = None,
    classes: Sequence[str] = CLASSES,
    scene: bool = True,
    header: Mapping[str, Any] = MappingProxyType({}),
    facts: Mapping[str, Any] = MappingProxyType({}),
) -> Path:
    """Write one explanation to `<out>/<folder>` and return `out`; `header` and `facts` replace what it would hold."""
    home = out / (folder or f"explain/{network}/{image.replace(' ', '-')}")
    shown = {
        "name": image,
        "source": f"scene:{image}",
        "sha256": "ab" * 32,
        "original": [640, 480],
        "crop": [80.3, 0, 560.1, 480],
        "notes": ["turned as its EXIF says"],
        "scene": {"thing": "owl", "seed": 7},
    }
    held = explanation_facts(network, shown, classes, scene)
    key = content_key(network=network, image=image, folder=str(folder))
    Store(home).write(key, {**held, **facts}, explanation_arrays(held))
    told = {
        "schema": 1,
        "kind": "explanation",
        "layerscope": "0.1.0",
        "key": key,
        "image": shown,
        "network": gallery_facts(network, [])["network"],
        "question": f"why {held['target']['label']} and not {held['versus']['label']}",
        "command": f"import layerscope as ls; ls.explain(ls.load_model({network!r}), {image!r}, seed=3)",
    }
    write_whole(home / "explanation.json", json.dumps({**told, **header}).encode())
    return out
