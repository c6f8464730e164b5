"""Made-up leaderboards as the bench writes them: 25 methods and 6 controls by 25 measures, provable networks, and the rest."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from layerscope.names import slug
from layerscope.records import write_whole

MakeLeaderboard = Callable[..., Path]
Facts = dict[str, Any]
SCENES = 200

# fmt: off
MEASURES = {
    "density_rank": ("part density", "high", "causes", True, -1, 1, 1.0),
    "cosine": ("cosine beyond random", "high", "causes", True, -0.8, 0.95, 0.9),
    "target": ("target sensitivity", "high", "causes", True, -0.5, 0.9, 0.7),
    "swap": ("swap", "high", "causes", True, -0.7, 0.9, 0.8),
    "background": ("background independence", "high", "causes", True, 0.1, 0.95, 0.5),
    "part_rank": ("part rank", "high", "causes", False, -1, 1, 0.95),
    "shapley_rank": ("Shapley rank", "high", "causes", False, -1, 1, 0.9),
    "preservation": ("preservation", "high", "causes", False, 0.1, 0.9, 0.6),
    "deletion_check": ("deletion check", "high", "causes", False, 0.2, 0.9, 0.7),
    "sufficient": ("sufficient parts", "low", "causes", False, 4.2, 1.4, 0.8),
    "mass": ("mass on the thing", "high", "masks", True, 0.8, 4.6, 0.7),
    "pointing": ("pointing", "high", "masks", True, 0.2, 0.99, 0.7),
    "independence": ("dead patch", "low", "causes", True, 1.4, 0.0, 0.9),
    "shortcut": ("shortcut found", "high", "causes", True, 0.3, 1.0, 0.8),
    "distractors": ("distractors", "low", "causes", False, 0.7, 0.02, 0.6),
    "contrast": ("model contrast", "high", "causes", False, -0.2, 0.5, 0.8),
    "deletion": ("deletion", "low", "nothing", False, 0.4, 0.3, 0.1),
    "insertion": ("insertion", "high", "nothing", False, 0.35, 0.75, 0.5),
    "deletion_black": ("deletion, black", "low", "nothing", False, 0.22, 0.2, 0.0),
    "insertion_black": ("insertion, black", "high", "nothing", False, 0.3, 0.32, 0.0),
    "infidelity": ("infidelity", "low", "nothing", False, 1.3, 1.2, -0.1),
    "infidelity_blur": ("infidelity, blur", "low", "nothing", False, 1.2, 0.6, 0.3),
    "max_sensitivity": ("max-sensitivity", "low", "nothing", False, 0.3, 0.9, 0.2),
    "redrawn": ("redrawn", "low", "nothing", False, 0.95, 0.1, 0.5),
    "seconds": ("seconds", "low", "nothing", False, 0.01, 0.01, 0.0),
}
"""By name: title, what is better, what it needs, whether it is a headline, the value of the worst and of the best map, and
how far it follows the part density. In the order of the page: by groups, in each the headline first."""
METHODS = {
    "deeplift": ("DeepLift", 0.8, 0.02), "lrp": ("LRP", 0.76, 0.03), "gradient_shap": ("GradientShap", 0.71, 0.24),
    "integrated_gradients": ("Integrated gradients", 0.69, 0.31), "shapley_sampling": ("Shapley sampling", 0.64, 4.1),
    "kernel_shap": ("KernelSHAP", 0.5, 1.5), "grad_cam_plus_plus": ("Grad-CAM++", 0.47, 0.012), "score_cam": ("Score-CAM", 0.45, 0.9),
    "layer_cam": ("LayerCAM", 0.44, 0.011), "vargrad": ("VarGrad", 0.42, 0.3), "rise": ("RISE", 0.41, 3.2),
    "occlusion": ("Occlusion", 0.33, 0.6), "feature_ablation": ("Feature ablation", 0.31, 0.5), "lime": ("LIME", 0.22, 1.9),
    "saliency": ("Saliency", 0.12, 0.006), "smoothgrad": ("SmoothGrad", 0.05, 0.29), "guided_grad_cam": ("Guided Grad-CAM", 0.01, 0.02),
    "input_x_gradient": ("Input x gradient", -0.04, 0.006), "attention_rollout": ("Attention rollout of all the blocks", -0.1, 0.05),
    "ablation_cam": ("Ablation-CAM", -0.21, 0.8), "guided_backprop": ("Guided backprop", -0.28, 0.01),
    "hires_cam": ("HiResCAM", -0.31, 0.01), "xgrad_cam": ("XGrad-CAM", -0.33, 0.01), "eigen_cam": ("Eigen-CAM", -0.37, 0.2),
    "grad_cam": ("Grad-CAM", -0.4, 0.01),
}
"""By name: title, part density and seconds, the best first."""
CONTROLS = {
    "random": ("Random map", 0.0), "centre": ("Centre blob", 0.3), "edges": ("Edge detector", 0.4), "even": ("Even map", 0.0),
    "inverted": ("Exact, sign flipped", -1.0), "exact": ("Exact answer", 1.0),
}
KNOWING_NOTHING = ("random", "centre", "edges", "even")
TIERS = {
    "linear": ("Linear network", "density_rank", 0.0), "additive": ("Sum of parts", "density_rank", 0.1), "template": ("Template matching", "cosine", 0.2),
    "background": ("Background only", "background", -0.2), "corner": ("Shortcut: a mark in the corner", "shortcut", -0.1),
    "texture": ("Shortcut: a texture", "shortcut", 0.3),
}
"""By name: title, its measure, and how much harder it is than scenes."""
FAILING = {
    "deletion_black": ["linear", "template"], "insertion_black": ["linear", "corner", "texture"], "infidelity": ["additive"],
    "max_sensitivity": list(TIERS), "deletion": ["background", "texture"],
}
"""Measures that fail their check, and the tiers on which they miss the exact answer."""
NULLS = {("even", "density_rank"), ("even", "part_rank"), ("even", "shapley_rank"), ("even", "deletion"), ("lime", "swap"), ("rise", "contrast"), ("occlusion", "shortcut")}
FAMILIAR = (
    ("untouched", "untouched scenes", True, 0.97, 1.0, 0.05), ("part", "a part rendered away", True, 0.86, 0.93, 0.06),
    ("background", "another background", True, 0.95, 0.99, 0.05), ("swap", "a part of another class", True, 0.71, 0.8, 0.08),
    ("blur", "a part blurred away", False, 0.52, 0.6, 0.31), ("black", "a black hole in the pixels", False, 0.31, 0.38, 0.64),
)
"""Name, title, natural, probability, label kept, unlike known scenes."""
# fmt: on


def interval(value: float, spread: float = 0.05, images: int = SCENES) -> Facts:
    return {
        "value": value,
        "low": round(value - spread, 6),
        "high": round(value + spread, 6),
        "images": images,
    }


def wobble(*words: str) -> float:
    """A number in [-1, 1], always the same for the same words."""
    return math.sin(sum(ord(letter) * (place + 1) for place, letter in enumerate("/".join(words))))


def taken(method: str, measure: str, right: float) -> Facts | None:
    """What a method whose part density is `right` gets by a measure."""
    if (method, measure) in NULLS:
        return None
    _, _, _, _, worst, best, follows = MEASURES[measure]
    share = (1 + follows * right + 0.6 * (1 - abs(follows)) * wobble(method, measure)) / 2
    value = worst + (best - worst) * min(1.0, max(0.0, share))
    return interval(round(value, 4), round(0.03 * abs(best - worst), 4))


def row(
    network: str,
    method: str,
    title: str,
    right: float,
    seconds: float | None,
    measures: Sequence[str] = tuple(MEASURES),
    **facts: Any,
) -> Facts:
    values = {name: taken(method, name, right) for name in measures if name != "seconds"}
    told = {"rank": None, "against": None, "against_random": None, "beats_controls": None, "control": False}
    return {"method": method, "title": title, "network": network, **told, **facts, **values, "seconds": seconds}


def rows(
    network: str,
    methods: Mapping[str, tuple[str, float, float]] = METHODS,
    measures: Sequence[str] = tuple(MEASURES),
    controls: Sequence[str] = tuple(CONTROLS),
    first: str = "density_rank",
) -> list[Facts]:
    pinned = {name: row(network, name, *CONTROLS[name], None, measures, control=True) for name in controls}
    found = [row(network, name, *told, measures) for name, told in methods.items()]
    sign = -1 if MEASURES[first][1] == "high" else 1
    found.sort(key=lambda one: math.inf if one[first] is None else sign * one[first]["value"])
    for place, one in enumerate(found):
        against = {name: compared(one, pinned, name) for name in measures if name != "seconds"}
        beats = all(where in ("better", None) for where in against[first].values())
        told = {"against_random": against[first]["random"], "beats_controls": beats}
        one.update(rank=None if one[first] is None else place + 1, against=against, **told)
    return found + list(pinned.values())


def compared(own: Facts, controls: Mapping[str, Facts], measure: str) -> dict[str, str | None]:
    """How a method lies beside maps that know nothing: differences on the same images vary less than the values do."""
    worst, best = MEASURES[measure][4:6]
    found: dict[str, str | None] = {}
    for name in KNOWING_NOTHING:
        if own[measure] is None or controls[name][measure] is None:
            found[name] = None
        else:
            ahead = (own[measure]["value"] - controls[name][measure]["value"]) * (1 if best > worst else -1)
            room = 0.03 * abs(best - worst)
            found[name] = "better" if ahead > room else "worse" if ahead < -room else "overlaps"
    return found


def measures_of(names: Sequence[str], headline: Sequence[str] | None = None) -> list[Facts]:
    shown = {name: MEASURES[name][3] if headline is None else name in headline for name in names}
    return [
        {
            "name": name,
            "title": MEASURES[name][0],
            "better": MEASURES[name][1],
            "words": f"What {MEASURES[name][0]} is, in a sentence of about this length; 1 is the exact answer and 0 chance.",
            "needs": MEASURES[name][2],
            "questions": ["asked"],
            "headline": shown[name],
        }
        for name in sorted(names, key=lambda name: not shown[name])
    ]


def meta() -> list[Facts]:
    found = []
    for name in MEASURES:
        if name == "seconds":
            facts = {
                "passes": None,
                "apart": None,
                "told": [],
                "missed": [],
                "level": [],
                "stable": None,
                "words": "Not checked.",
            }
        else:
            missed = FAILING.get(name, [])
            apart = interval(round(0.9 - 0.2 * len(missed) + 0.05 * wobble(name), 3), 0.08, 240)
            words = f"Tells the exact answer from a random map on {len(TIERS) - len(missed)} of {len(TIERS)} provable networks."
            told = [tier for tier in TIERS if tier not in missed]
            level = ["Centre blob"] if name == "deletion" else []
            stable = round(0.85 + 0.1 * wobble(name, "stable") - 0.1 * len(missed), 3)
            facts = {"passes": not missed, "apart": apart, "told": told, "missed": missed, "level": level, "stable": stable, "words": words}  # fmt: skip
        found.append({"measure": name, **facts})
    return found


def tiers() -> list[Facts]:
    found = []
    for tier, (title, measure, harder) in TIERS.items():
        listed = [(name, title, right - harder, False) for name, (title, right, _) in METHODS.items()]
        listed += [(name, title, right, True) for name, (title, right) in CONTROLS.items()]
        told = []
        for method, called, right, control in listed:
            known = method != "attention_rollout" and not (method == "even" and measure == "density_rank")
            value = round(min(1.0, max(-1.0, right + (0 if control else 0.2 * wobble(method, tier)))), 3)
            told.append({"method": method, "title": called, "control": control, "right": interval(value) if known else None})  # fmt: skip
        judged = {"measure_title": MEASURES[measure][0], "better": MEASURES[measure][1]}
        words = f"A network of which the exact answer is known: {title.lower()}."
        found.append({"tier": tier, "title": title, "words": words, "measure": measure, **judged, "rows": told})
    return found


def familiar() -> list[Facts]:
    return [
        {
            "change": change,
            "title": title,
            "natural": natural,
            "scenes": SCENES,
            "probability": interval(probability, 0.02),
            "same": interval(same, 0.02),
            "unlike": interval(unlike, 0.02),
        }
        for change, title, natural, probability, same, unlike in FAMILIAR
    ]


def leaderboard_facts(name: str = "resnet18", **changes: Any) -> Facts:
    facts: Facts = {
        "schema": 2,
        "kind": "leaderboard",
        "layerscope": "0.1.0",
        "key": "0" * 64,
        "network": {"name": name, "spec": f"torchvision:{name}", "fingerprint": f"fingerprint of {name}"},
        "networks": [
            {"name": f"{name} of seed {seed}", "fingerprint": f"fingerprint of {name}{seed or ''}", "accuracy": 0.98}
            for seed in range(3)
        ],
        "truth": True,
        "scenes": {
            "asked": SCENES,
            "first": 10_000_000,
            "telling": 190,
            "checked": 180,
            "accuracy": 0.97,
            "source": "menagerie",
            "masks": "scenes",
        },
        "seed": 3,
        "methods": [*METHODS, "deconvolution"],
        "first": "density_rank",
        "measures": measures_of(tuple(MEASURES)),
        "rows": rows(name),
        "meta": meta(),
        "tiers": tiers(),
        "familiar": familiar(),
        "refused": [{"method": "deconvolution", "title": "Deconvolution", "error": "no rule for gelu"}],
        "reading": [
            "By part density DeepLift comes first: 0.80 (0.74 to 0.86); the exact answer gets 1.00, a random map 0.00.",
            "Better than every control: 5 of 25 methods.",
            "Deletion says otherwise.",
        ],
        "complete": True,
        "command": f"import layerscope as ls; ls.leaderboard(ls.load_model('torchvision:{name}'), scenes=200, seed=3)",
    }
    return {**facts, **changes}


def users_facts(name: str = "resnet50", source: str = "photos", **changes: Any) -> Facts:
    """A leaderboard of a user's folder of images: no causes, no masks, and controls that need none."""
    measures = ("deletion", "insertion", "max_sensitivity", "redrawn", "seconds")
    chosen = {method: METHODS[method] for method in ("deeplift", "lrp", "rise", "saliency", "grad_cam")}
    facts = leaderboard_facts(
        name,
        truth=False,
        networks=[{"name": name, "fingerprint": f"fingerprint of {name}", "accuracy": None}],
        scenes={
            "asked": 40,
            "first": None,
            "telling": 40,
            "checked": 40,
            "accuracy": None,
            "source": source,
            "masks": None,
        },
        first="insertion",
        measures=measures_of(measures, ("insertion", "redrawn")),
        rows=rows(name, chosen, measures, KNOWING_NOTHING, "insertion"),
        methods=list(chosen),
        meta=[one for one in meta() if one["measure"] in measures],
        tiers=[],
        familiar=[],
        refused=[],
        reading=["By insertion DeepLift comes first; nobody knows the causes here."],
    )
    return {**facts, **changes}


def write_facts(root: Path, facts: Facts, folder: str | None = None) -> Path:
    """Write one leaderboard below `root` and return `root`."""
    path = root / "leaderboard" / (folder or slug(facts["network"]["name"])) / "leaderboard.json"
    write_whole(path, json.dumps(facts).encode())
    return root


def write_leaderboard(root: Path, name: str = "resnet18", folder: str | None = None, **changes: Any) -> Path:
    """Write one leaderboard with known causes below `root` and return `root`."""
    return write_facts(root, leaderboard_facts(name, **changes), folder or slug(name))
