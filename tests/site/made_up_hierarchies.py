"""Small made-up hierarchy reports, as the hierarchy study writes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from made_up import CLASSES, gallery_facts, picture

from layerscope.records import Store, content_key, write_whole

MakeHierarchy = Callable[..., Path]
SIDE, PROBE, EXEMPLARS = 24, 12, 9
CODED = ("edge", "colour-edge", "colour", "texture", "part", "object")
CATEGORIES = (*CODED, "none", "dead")
TESTS = ("object", "part", "texture", "colour", "edge")
TASKS = {
    "edge": "the orientation of most edges",
    "texture": "the family of a texture",
    "shape": "the class of a silhouette",
    "object": "the class of a picture",
    "configuration": "pictures against the same parts scattered",
}
TELLING, SAMPLE = [1, 2], [0, 7]
WORDS = {
    True: "A hierarchy is shown: deeper layers code more demanding things (rank correlation 1.00).",
    False: "No hierarchy shown: 0 of 4 layers code anything beyond their random twins, and a trend needs 4.",
}


def interval(value: float, half: float) -> dict[str, float]:
    return {"value": value, "low": value - half, "high": value + half}


def label_of(unit: int) -> str:
    """Unit 0 is dead, 1 an edge, ... 6 an object, 7 nothing, and so on; so that every label is there."""
    return ("dead", *CODED, "none")[unit % 8]


def unit_rows(layer: str, units: int, classes: Sequence[str], hues: bool, masks: bool) -> list[dict[str, Any]]:
    """Numbers that differ from unit to unit: confidence 0.5, 0.51, ...; evidence 1 + unit for what is passed."""
    rows = []
    for unit in range(units):
        label = label_of(unit)
        dead = label == "dead"
        row: dict[str, Any] = {
            "layer": layer,
            "unit": unit,
            "label": label,
            "confidence": min(1.0, 0.5 + unit / 100),
            "runner_up": None if dead else "edge" if label != "edge" else "texture",
            "runner_up_passed": unit % 2 == 0,
            "polysemantic": unit == 5,
            "active": 0.0 if dead else 0.25,
        }
        for test in TESTS if masks else ("object", "texture", "colour", "edge"):
            passed = test in label.split("-")
            row |= {f"{test}_evidence": 1.0 + unit if passed else -0.5, f"{test}_passed": passed}
            row |= {f"{test}_beyond_twins": passed}
            if test not in ("edge", "colour"):
                row[f"{test}_responds"] = passed
        known = None if dead else 1.0
        row |= {
            "grating_drive": 3.0,
            "orientation_selectivity": 0.0 if dead else 0.4,
            "orientation": known and 22.5 * (unit % 8),
            "orientation_low": known and 22.5 * (unit % 8) - 3,
            "orientation_high": known and 22.5 * (unit % 8) + 3,
            "frequency": known and 0.125,
            "frequency_low": known and 0.1,
            "frequency_high": known and 0.15,
            "bandwidth": None,
            "phase": known and 90.0,
            "modulation": known and 1.2,
        }
        if hues:
            row |= {"colour_drive": 2.0, "colour_index": 0.25, "hue": known and 45.0 * (unit % 8)}
            row |= {"hue_low": known and 45.0 * (unit % 8) - 10, "hue_high": known and 45.0 * (unit % 8) + 10}
        row |= {
            "texture": "stripes",
            "texture_modulation": 0.31,
            "texture_low": 0.21,
            "texture_high": 0.41,
            "texture_p": 0.004,
            "texture_selectivity": 1.5,
            "class": classes[unit % len(classes)],
            "class_auc": 0.875,
            "selective_class": classes[0],
            "class_selectivity": 0.5,
            "class_selectivity_p": 0.02,
            "hit_rate": 0.35,
        }
        for control in ("scattered", "silhouette", "texture_swapped"):
            row |= {f"versus_{control}_auc": 0.75, f"versus_{control}_low": 0.625, f"versus_{control}_high": 0.85}
            row[f"versus_{control}_p"] = 0.01
        for category, concept in (("part", "wing"), ("object", "owl"), ("colour", "green")) if masks else ():
            row |= {f"{category}_concept": concept, f"{category}_iou": 0.2, f"{category}_iou_ceiling": 0.8}
            row[f"{category}_rate"] = 0.04
        if masks:
            row["part_iou_lasting"] = 0.15
        rows.append(row)
    return rows


def layer_row(name: str, place: int, units: int, shown: bool) -> dict[str, Any]:
    """Layer 0 codes edges, 1 textures, 2 parts, 3 objects, each to three quarters; the twins next to nothing."""
    best = ("edge", "texture", "part", "object")[place % 4]
    shares = {one: {"units": 0, "share": 0.0, "twins": 0.0} for one in CATEGORIES}
    if shown:
        shares[best] = {"units": 3 * units // 4, "share": 0.75, "twins": 0.03125}
    rest = 0.25 if shown else 1.0
    shares["none"] = {"units": round(units * rest), "share": rest, "twins": 0.96875 if shown else 1.0}
    beyond = 0.74 if shown else 0.0
    net = {one: interval(beyond if one == best else 0.0, 0.125) for one in CODED}
    made = {"score": 3.0, "natural": 2.0, "ratio": 1.5, "control": 0.25, "status": "converged", "note": ""}
    dead = {"score": 0.0, "natural": 0.0, "ratio": None, "control": 0.0, "status": "dead", "note": "dead"}
    told = sorted({*TELLING, *SAMPLE})
    return {
        "name": name,
        "kind": "ReLU",
        "units": units,
        "stride": 2 * (place + 1),
        "receptive_field": 5 * (place + 1),
        "effective_field": 4.25 * (place + 1) if place < 3 else None,
        "status": "exact",
        "shape": [units, 16 // (place + 1), 16 // (place + 1)],
        "before_rectifier": f"norm{place}",
        "same_units": [name.replace("relu", "norm"), name.replace("relu", "conv")] if "relu" in name else [],
        "shares": shares,
        "net": {**net, "any": interval(beyond, 0.125)},
        "counts_of_twins": [{one: units if one == "none" else 0 for one in CATEGORIES}] * 5,
        "false_rate": 0.03125 if shown else 0.0,
        "polysemantic": 1,
        "dead": 0.125,
        "depth": interval(float(min(place, 3)), 0.25) if shown else None,
        "decodability": {task: decoding(place, task, shown) for task in TASKS},
        "telling": TELLING if shown else [],
        "sample": SAMPLE,
        "pictures": {str(unit): dead if label_of(unit) == "dead" else made for unit in (told if shown else SAMPLE)},
    }


def decoding(place: int, task: str, shown: bool) -> dict[str, Any]:
    gain = 0.1 * min(place, 4) if shown else 0.0
    compared = task != "texture"
    return {
        "accuracy": interval(0.5 + gain, 0.04),
        "shuffled": interval(0.49, 0.04),
        "beyond_shuffled": interval(0.01 + gain, 0.05),
        "beyond_twins": interval(gain, 0.05) if compared else None,
        "twins": [0.5, 0.48, 0.52] if compared else [],
        "chance": 0.5,
    }


def hierarchy_facts(
    layers: Sequence[str], units: int, classes: Sequence[str], shown: bool, hues: bool, masks: bool
) -> dict[str, Any]:
    rows = [row for layer in layers for row in unit_rows(layer, units, classes, hues, masks)]
    return {
        "shown": shown,
        "words": WORDS[shown],
        "false_rate": 0.03125 if shown else 0.0,
        "trend": interval(1.0 if shown else 0.0, 0.0),
        "trend_p": 0.04 if shown else 1.0,
        "together": 0.95,
        "tasks": TASKS,
        "recipe": "standard",
        "stimuli": {
            "orientations": [22.5 * place for place in range(8)],
            "frequencies": [0.02, 0.05, 0.125, 0.3],
            "hues": [45.0 * place for place in range(8)] if hues else None,
        },
        "layers": [layer_row(layer, place, units, shown) for place, layer in enumerate(layers)],
        "units": {name: [row.get(name) for row in rows] for name in rows[0]},
    }


def hierarchy_arrays(facts: Mapping[str, Any], units: int, channels: int) -> dict[str, np.ndarray]:
    """Exemplar `turn` of unit `u` is picture (u + turn) % PROBE; what is seen there is a quarter of its area."""
    layers = [layer["name"] for layer in facts["layers"]]
    near = np.abs(np.subtract.outer(np.arange(len(layers)), np.arange(len(layers))))
    arrays = {
        "cka": 1.0 - 0.25 * near.astype(np.float64),
        "cka_twins": 0.1 - 0.125 * near.astype(np.float64),
        "probe": np.stack([picture(index, SIDE)[..., :channels] for index in range(PROBE)]),
    }
    for layer in facts["layers"]:
        name = layer["name"]
        turn = np.arange(EXEMPLARS)
        arrays[f"exemplars/{name}"] = ((np.arange(units)[:, None] + turn) % PROBE).astype(np.int32)
        arrays[f"exemplar_scores/{name}"] = np.tile(9.0 - turn, (units, 1)).astype(np.float32)
        arrays[f"exemplar_boxes/{name}"] = np.tile(np.array([0.25, 0.5, 0.5], np.float32), (units, EXEMPLARS, 1))
        for kind, values in facts["stimuli"].items():
            if values is not None:
                curves = 1.0 + np.cos(np.arange(len(values)) + np.arange(units)[:, None])
                curves[[unit for unit in range(units) if label_of(unit) == "dead"]] = np.nan
                arrays[f"tuning/{name}/{kind.removesuffix('s').replace('frequencie', 'frequency')}"] = curves.astype(
                    np.float32
                )
        for unit in layer["pictures"]:
            if label_of(int(unit)) != "dead":
                arrays[f"pictures/{name}/{unit}"] = picture(40 + int(unit))
    return arrays


def write_hierarchy(
    out: Path,
    network: str = "menagerie",
    *,
    folder: str | None = None,
    layers: Sequence[str] = ("conv1", "conv2", "conv3", "conv4"),
    units: int = 16,
    classes: Sequence[str] = CLASSES,
    shown: bool = True,
    hues: bool = True,
    masks: bool = True,
    channels: int = 3,
    complete: bool = True,
    tables: bool = True,
    header: Mapping[str, Any] = MappingProxyType({}),
    facts: Mapping[str, Any] = MappingProxyType({}),
    arrays: Mapping[str, np.ndarray | None] = MappingProxyType({}),
) -> Path:
    """Write one report to `<out>/<folder>` and return `out`; `header`, `facts` and `arrays` replace what it would hold."""
    home = out / (folder or "hierarchy/" + network.replace(":", "-"))
    held = hierarchy_facts(layers, units, classes, shown, hues, masks)
    key = content_key(network=network, folder=str(folder), shown=shown)
    told = {
        "schema": 1,
        "kind": "hierarchy",
        "layerscope": "0.1.0",
        "key": key,
        "network": gallery_facts(network, [])["network"],
        "probe": {
            "name": "menagerie",
            "images": 800,
            "classes": list(classes),
            "masks": masks,
            "controls": ["scattered"],
        },
        "profile": "quick",
        "twins": 5,
        "seed": 3,
        "skipped": [] if masks else ["parts: the folder has no masks, so there is no test for them"],
        "command": f"import layerscope as ls; ls.hierarchy(ls.load_model({network!r}), seed=3)",
        "complete": complete,
        **header,
    }
    pixels = {**hierarchy_arrays(held, units, channels), **arrays}
    if complete:
        kept = {name: array for name, array in pixels.items() if array is not None}
        Store(home).write(key, {**told, **held, **facts}, kept)
    if tables:
        write_whole(home / "units.csv", b"layer,unit,label\n")
        write_whole(home / "layers.csv", b"name,units\n")
        write_whole(home / "report.json", b"{}")
    write_whole(home / "hierarchy.json", json.dumps(told).encode())
    return out
