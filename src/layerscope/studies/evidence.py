"""The maps of one image by several methods, each with its checks, and how they agree and compare with controls."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from layerscope.attribution.checks import rank_correlation, verdicts
from layerscope.attribution.methods import METHODS, attribute
from layerscope.attribution.result import Attribution
from layerscope.errors import InputError
from layerscope.faithfulness.causes import SceneEffects, part_rank
from layerscope.faithfulness.controls import controls
from layerscope.faithfulness.curves import Curves, deletion_insertion
from layerscope.faithfulness.scoring import ScoreOf
from layerscope.figures.pictures import FULL_COLOUR
from layerscope.models.model import VisionModel
from layerscope.objectives import Objective
from layerscope.types import Images, Progress, no_progress

OPTIONS = {"integrated_gradients": {"most_steps": 128}}
"""Where the sum needs more, the gap is shown instead: half a minute, not two, for a ResNet-50."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What one method says to one question; `made` is None where it refused, and `refusal` says why."""

    method: str
    question: str
    made: Attribution | None
    refusal: str | None = None

    @property
    def map(self) -> Tensor:
        """float32 [height, width]: the values added up over channels."""
        assert self.made is not None
        return self.made.maps[0]


def gather(
    model: VisionModel,
    image: Images,
    questions: Mapping[str, Objective],
    methods: Sequence[str],
    *,
    layer: str | None,
    baseline: str,
    seed: int,
    memory: float | str,
    on_progress: Progress = no_progress,
) -> list[Evidence]:
    """All methods on all questions. A method that refuses this network says so in its place."""
    found: list[Evidence] = []
    for question, objective in questions.items():
        for method in methods:
            on_progress(len(found), len(questions) * len(methods), METHODS[method].title)
            needs = METHODS[method].needs
            given: dict[str, Any] = dict(OPTIONS.get(method, {}))
            if "layer" in needs:
                given["layer"] = layer
            if "baseline" in needs:
                given["baseline"] = baseline
            try:
                made = attribute(model, image, objective, method, seed=seed, memory=memory, **given)
                found.append(Evidence(method, question, made))
            except InputError as refusal:
                found.append(Evidence(method, question, None, str(refusal)))
    return found


def judge(score: ScoreOf, image: Images, found: Sequence[Evidence], seed: int, batch: int) -> Curves:
    """Deletion and insertion curves of a score, of all maps and the controls."""
    maps = {one.method: one.map for one in found if one.made is not None and one.made.checks[0].finite}
    maps |= {f"control {name}": control for name, control in controls(image[0], seed).items()}
    return deletion_insertion(score, image[0], maps, batch=batch, seed=seed)


def agreement(found: Sequence[Evidence]) -> dict[str, Any]:
    """Rank correlations of the maps, two by two."""
    made = [one for one in found if one.made is not None]
    matrix = [[1.0 if a is b else rank_correlation(a.map, b.map) for b in made] for a in made]
    return {"methods": [one.method for one in made], "matrix": matrix}


def facts_of(one: Evidence, curves: Curves | None, effects: SceneEffects | None) -> dict[str, Any]:
    """What the record says of one method's answer."""
    method = METHODS[one.method]
    facts: dict[str, Any] = {
        "method": one.method,
        "title": method.title,
        "about": method.about,
        "source": method.source,
        "cost": method.cost,
        "question": one.question,
        "error": one.refusal,
    }
    if one.made is None:
        return facts
    checks, ranked = one.made.checks[0], None
    curve = curves.of.get(one.method) if curves is not None else None
    if effects is not None and checks.finite:
        ranked = part_rank(one.map, effects)
    return facts | {
        "map": map_name(one),
        "scale": _scale(one.map) if checks.finite else None,
        "signed": method.signed,
        "layer": one.made.layer,
        "baseline": one.made.baseline,
        "checks": dataclasses.asdict(checks),
        "verdicts": [dataclasses.asdict(verdict) for verdict in verdicts(checks)],
        "deletion": curve.deletion_area if curve is not None else None,
        "insertion": curve.insertion_area if curve is not None else None,
        "part_rank": ranked.spearman if ranked is not None else None,
        "part_cosine": ranked.cosine if ranked is not None else None,
    }


def _scale(values: Tensor) -> float:
    """The value at full colour: the largest one where nearly all of a map is zero."""
    sizes = values.abs().flatten().double()
    return float(torch.quantile(sizes, FULL_COLOUR)) or float(sizes.max())


def map_name(one: Evidence) -> str:
    """The name of its array."""
    return f"map/{one.question}/{one.method}"


def curve_facts(curves: Curves, what: str) -> dict[str, Any]:
    """The curves of `what` for a record."""
    return {
        "shares": curves.changed.tolist(),
        "fill": "blur",
        "of": what,
        "start": curves.image_score,
        "end": curves.fill_score,
        "note": curves.note,
        "maps": [
            {
                "name": name.removeprefix("control "),
                "kind": "control" if name.startswith("control ") else "method",
                "deletion": curve.deletion.tolist(),
                "insertion": curve.insertion.tolist(),
                "deletion_area": curve.deletion_area,
                "insertion_area": curve.insertion_area,
            }
            for name, curve in curves.of.items()
        ],
    }
