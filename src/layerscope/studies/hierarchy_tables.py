"""The tables of a hierarchy report: a row for each unit, and one for each layer, as plain numbers and words."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from layerscope.capture.layers import Layer
from layerscope.dissection.concepts import hit_rate, selectivity_of
from layerscope.dissection.decodability import Decodability
from layerscope.dissection.depth import LayerDepth
from layerscope.dissection.discovery import Interval
from layerscope.dissection.labels import CATEGORIES, TESTS
from layerscope.dissection.measures import LayerMeasures
from layerscope.dissection.nulls import permutation_null
from layerscope.dissection.pictures import Pictures, one_hot
from layerscope.dissection.scores import LayerScores, compared, of_category, own_contrast
from layerscope.dissection.verdicts import ANY, LayerVerdict

_NOT_FLAT = frozenset({"counts_of_twins", "pictures", "telling", "sample", "same_units"})
Columns = dict[str, list[Any]]
Row = dict[str, Any]


def unit_columns(
    layer: str, measures: LayerMeasures, scores: LayerScores, verdict: LayerVerdict, pictures: Pictures, seed: int
) -> Columns:
    """A table of the units of one layer: by column one entry per unit; None where there is nothing to tell."""
    labels = verdict.labels
    found: Columns = {
        "layer": [layer] * len(labels),
        "unit": list(range(len(labels))),
        "label": [one.category for one in labels],
        "confidence": [one.confidence for one in labels],
        "runner_up": [one.runner_up for one in labels],
        "runner_up_passed": [one.runner_up_passed for one in labels],
        "polysemantic": [one.polysemantic for one in labels],
        "active": measures.active.tolist(),
    }
    for test in TESTS:
        if test in verdict.passed:
            found[f"{test}_evidence"] = verdict.evidence[test].tolist()
            found[f"{test}_beyond_twins"] = verdict.beyond[test].tolist()
            found[f"{test}_passed"] = verdict.passed[test].tolist()
    found |= {f"{test}_responds": held.tolist() for test, held in verdict.responds.items()}
    found |= {
        f"{test}_p": p.tolist() for test, p in (("object", scores.object_p), ("part", scores.part_p)) if p is not None
    }
    found |= _early(measures) | _texture(measures) | _classes(measures, scores, pictures, seed)
    found |= _overlaps(measures, pictures)
    return {name: [plain(value) for value in values] for name, values in found.items()}


def layer_row(
    layer: Layer,
    early: str,
    verdict: LayerVerdict,
    depth: LayerDepth,
    read: Mapping[str, Decodability],
    net: Mapping[str, Interval],
) -> Row:
    """What is told of one layer: shares with those of the twins, what can be read from it, and how deep it stands.

    net: by label, the share beyond the twins; that of any label is `depth`'s.
    """
    units = len(verdict.labels)
    twins = len(verdict.twins)
    shares = {
        name: {
            "units": verdict.counts[name],
            "share": verdict.counts[name] / units,
            "twins": sum(twin[name] for twin in verdict.twins) / (units * twins),
        }
        for name in CATEGORIES
    }
    told = ("name", "kind", "units", "stride", "receptive_field", "status")
    return {
        **{name: getattr(layer, name) for name in told},
        "shape": list(layer.shape),
        "before_rectifier": early,
        "shares": shares,
        "net": {name: interval(one) for name, one in {**net, ANY: depth.net_share}.items()},
        "counts_of_twins": [dict(twin) for twin in verdict.twins],
        "false_rate": verdict.false_rate,
        "polysemantic": sum(one.polysemantic for one in verdict.labels),
        "depth": None if depth.index is None else interval(depth.index),
        "decodability": {task: _read(one) for task, one in read.items()},
    }


def flat(row: Row) -> Row:
    """A row of nested facts as one of plain cells: {"net": {"edge": {"low": 0}}} becomes {"net.edge.low": 0}.

    What is of single units or twins has no place in it.
    """
    found: Row = {}
    for name, value in row.items():
        if name in _NOT_FLAT:
            continue
        if isinstance(value, dict):
            found |= {f"{name}.{inner}": cell for inner, cell in flat(value).items()}
        else:
            found[name] = " ".join(map(str, value)) if isinstance(value, list) else value
    return found


def as_csv(rows: Sequence[Row]) -> bytes:
    """Rows as CSV; columns that only some have are empty in the others."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: "" if value is None else value for name, value in row.items()} for row in rows)
    return text.getvalue().encode()


def interval(one: Interval) -> dict[str, float | None]:
    return {name: plain(getattr(one, name)) for name in ("value", "low", "high")}


def _early(measures: LayerMeasures) -> Columns:
    """Orientation where it is known to within a quarter of all there are; hue where its interval is as narrow."""
    tuned, colour = measures.early.gratings, measures.early.colour
    oriented = tuned.oriented
    found: Columns = {
        "grating_drive": list(tuned.drive),
        "orientation_selectivity": list(tuned.selectivity),
        "orientation": list(np.where(oriented, tuned.orientation, np.nan)),
        "orientation_low": list(np.where(oriented, tuned.orientation_interval[:, 0], np.nan)),
        "orientation_high": list(np.where(oriented, tuned.orientation_interval[:, 1], np.nan)),
        "frequency": list(tuned.frequency),
        "frequency_low": list(tuned.frequency_interval[:, 0]),
        "frequency_high": list(tuned.frequency_interval[:, 1]),
        "bandwidth": list(tuned.bandwidth),
        "phase": list(tuned.phase),
        "modulation": list(tuned.modulation),
    }
    if colour is None:
        return found
    known = colour.hue_interval[:, 1] - colour.hue_interval[:, 0] < 90
    return found | {
        "colour_drive": list(colour.chromatic_drive),
        "colour_index": list(colour.index),
        "hue": list(np.where(known, colour.hue, np.nan)),
        "hue_low": list(np.where(known, colour.hue_interval[:, 0], np.nan)),
        "hue_high": list(np.where(known, colour.hue_interval[:, 1], np.nan)),
    }


def _texture(measures: LayerMeasures) -> Columns:
    tuned = measures.texture
    return {
        "texture": [tuned.families[best] for best in tuned.best],
        "texture_modulation": list(tuned.best_modulation),
        "texture_low": list(tuned.best_interval[:, 0]),
        "texture_high": list(tuned.best_interval[:, 1]),
        "texture_p": list(tuned.p),
        "texture_selectivity": list(tuned.selectivity),
        "texture_invariance": list(tuned.invariance),
    }


def _classes(measures: LayerMeasures, scores: LayerScores, pictures: Pictures, seed: int) -> Columns:
    """The class that a unit tells best, and how; against each kind of twin; and the class that it is selective for."""
    names, classes = pictures.class_names, one_hot(pictures.scored_labels, len(pictures.class_names))
    told = scores.auc.gather(1, scores.own[:, None])[:, 0]
    found: Columns = {"class": [names[at] for at in scores.own], "class_auc": told.tolist()}
    for number, control in enumerate(pictures.controls):
        images = compared(measures, pictures, number)
        one = own_contrast(*images, pictures.scored_labels, scores.own, seed=seed) if number else scores.configured
        name = control.name.replace(" ", "_")
        for side in ("auc", "low", "high", "p"):
            found[f"versus_{name}_{side}"] = getattr(one, side).tolist()
    excited = measures.means[pictures.chosen :].clamp(min=0)
    statistic = selectivity_of(excited)
    selective = statistic(classes)
    rates = hit_rate(measures.maxima[pictures.chosen :], classes)
    best = selective.argmax(1)
    return found | {
        "selective_class": [names[at] for at in best],
        "class_selectivity": selective.amax(1).tolist(),
        "class_selectivity_p": permutation_null(statistic, classes, 200, seed).p.tolist(),
        "hit_rate": rates.gather(1, best[:, None])[:, 0].tolist(),
    }


def _overlaps(measures: LayerMeasures, pictures: Pictures) -> Columns:
    """By category the concept with which a unit overlaps most; of parts, also without textures."""
    areas = measures.areas
    if areas is None:
        return {}
    iou, lasting, ceiling = areas.iou(), areas.lasting_iou(), areas.ceiling()
    found: Columns = {}
    for category in dict.fromkeys(one.category for one in pictures.concepts):
        numbers = of_category(pictures, category)
        best = numbers[(lasting if category == "part" else iou)[:, numbers].argmax(1)]
        found[f"{category}_concept"] = [pictures.concepts[at].name for at in best]
        found[f"{category}_iou"] = _at(iou, best)
        if category == "part":
            found["part_iou_lasting"] = _at(lasting, best)
        found[f"{category}_iou_ceiling"] = _at(ceiling, best)
        found[f"{category}_rate"] = _at(areas.rate, best)
    return found


def _at(table: Tensor, columns: Tensor) -> list[Any]:
    found: list[Any] = table.gather(1, columns[:, None])[:, 0].tolist()
    return found


def _read(one: Decodability) -> Row:
    return {
        "accuracy": interval(one.accuracy),
        "shuffled": interval(one.shuffled),
        "beyond_shuffled": interval(one.beyond_shuffled),
        "beyond_twins": None if one.beyond_twins is None else interval(one.beyond_twins),
        "twins": list(one.twins),
        "chance": one.chance,
    }


def plain(value: Any) -> Any:
    """As JSON takes it: numbers of six digits, None for what is not finite."""
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value.item() if isinstance(value, (np.generic, Tensor)) else value
