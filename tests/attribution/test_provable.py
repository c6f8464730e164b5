"""Where the right answer is known, every method that claims it gives it; and what is not claimed does not hold.

The claims:
    linear       the score is linear in the image (or in the layer): the answer is written out below
    parts        the score is a sum over parts: each part gets what its detector adds, the rest nothing
    place        the score answers to one patch: nothing outside of what sees it
    background   the score depends on the background alone: nothing on the object
    saturated    min(a + b, 1) with a = b = 1: half of it each, where the gradient is zero (Shrikumar et al. 2017)
    rivals       max(a, b) with a = b = 1: half of it each, by symmetry, where either would do
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import planted_causes as planted
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from layerscope.attribution.checks import verdicts
from layerscope.attribution.methods import METHODS
from layerscope.attribution.task import Found, Task
from layerscope.errors import InputError
from layerscope.objectives import logit

CLAIMS = {
    "saliency": "linear place background",
    "input_x_gradient": "linear place background",
    "integrated_gradients": "linear parts place background saturated",
    "smoothgrad": "linear place background",
    "vargrad": "background",
    "gradient_shap": "linear place background saturated",
    "deeplift": "linear parts place background saturated",
    "lrp": "linear place background saturated",
    "guided_backprop": "place background",
    "deconvolution": "place background",
    "grad_cam": "linear place",
    "grad_cam_plus_plus": "place",
    "xgrad_cam": "linear place",
    "hires_cam": "linear place background",
    "layer_cam": "linear place background",
    "eigen_cam": "place",
    "guided_grad_cam": "place background",
    "ablation_cam": "linear place",
    "score_cam": "place",
    "layer_gradient_x_activation": "linear place background",
    "layer_integrated_gradients": "linear parts place background saturated",
    "layer_deeplift": "linear parts place background saturated",
    "conductance": "linear parts place background saturated",
    "internal_influence": "linear background saturated",
    "occlusion": "linear parts place background",
    "feature_ablation": "linear parts place background",
    "shapley_sampling": "linear parts place background saturated rivals",
    "kernel_shap": "linear parts place background saturated rivals",
    "lime": "linear parts",
    "rise": "",
}

Check = Callable[[str], None]


def test_every_method_has_decided_what_it_claims() -> None:
    assert set(CLAIMS) == set(METHODS)
    assert {claim for claims in CLAIMS.values() for claim in claims.split()} <= set(CHECKS)


def _close(values: Tensor, expected: Tensor, tolerance: float = 1e-6) -> None:
    """Up to a share of the largest value: what `attribute` gives is rounded to float32."""
    torch.testing.assert_close(values, expected.expand_as(values), rtol=0, atol=tolerance * float(expected.abs().max()))


def linear(name: str) -> None:
    given = planted.pooled() if "layer" in METHODS[name].needs else planted.linear()
    _close(given.values(name), (_of_layer if "layer" in METHODS[name].needs else _of_pixels)(name, given))


def _of_pixels(name: str, given: planted.Planted) -> Tensor:
    """[channel or 1, 8, 8]: with the score sum(slope * image) + constant."""
    model, weight = given.model, given.model.module[1].weight[0].detach().view(3, 8, 8)
    slope = weight / weight.new_tensor(model.std).view(3, 1, 1)
    effect = slope * (given.image - given.baseline)[0]
    if name in ("saliency", "smoothgrad"):
        return slope
    if name == "input_x_gradient":
        return slope * given.image[0]
    if name == "lrp":
        return weight * model.normalise(given.image)[0]
    if name == "occlusion":
        return _over_windows(effect.sum(0), side=3, stride=2)[None]
    if "segments" in METHODS[name].options():
        return _spread(_by_piece(effect, given.pieces), given.pieces)[None]
    return effect


def _of_layer(name: str, given: planted.Planted) -> Tensor:
    """With the score sum(weight * mean of activation) + constant: [1, 8, 8] for maps, [units, 8, 8] for layers."""
    body, weight = given.model.module[:2], given.model.module[4].weight[0].detach().view(-1, 1, 1) / 64
    here, there = (body(given.model.normalise(images)).detach()[0] for images in (given.image, given.baseline))
    answers: dict[str, Tensor] = {
        "layer_gradient_x_activation": weight * here,
        "layer_integrated_gradients": weight * (here - there),
        "layer_deeplift": weight * (here - there),
        "conductance": weight * (here - there),
        "internal_influence": weight.expand_as(here),
        "layer_cam": (weight.clamp(min=0) * here).sum(0, keepdim=True),
        "ablation_cam": ((weight * here).sum((1, 2), keepdim=True) * here).sum(0, keepdim=True),
    }
    return answers.get(name, (weight * here).sum(0, keepdim=True))


def _over_windows(effect: Tensor, side: int, stride: int) -> Tensor:
    """[height, width]: of each pixel the mean over all windows that cover it of the sum of `effect` inside them."""
    total, covered, size = torch.zeros_like(effect), torch.zeros_like(effect), len(effect)
    starts = [start for start in range(0, size, stride) if start == 0 or start - stride + side < size]
    for row in starts:
        for column in starts:
            window = slice(row, row + side), slice(column, column + side)
            total[window] += effect[window].sum()
            covered[window] += 1
    return total / covered


def _by_piece(values: Tensor, pieces: Tensor) -> Tensor:
    """[piece]: sums over channels and pixels."""
    return torch.stack([values.sum(0)[pieces == number].sum() for number in pieces.unique()])


def _spread(effects: Tensor, pieces: Tensor) -> Tensor:
    return (effects / pieces.flatten().bincount())[pieces]


def parts(name: str) -> None:
    given = planted.parts()
    detectors, head = given.model.module[0], given.model.module[1].weight[0].detach()
    here, there = (detectors(given.model.normalise(images))[0].detach() for images in (given.image, given.baseline))
    effects, values = head * (here - there), given.values(name)
    if values.ndim == 1:  # of the layer of detectors
        return _close(values, effects)
    expected = torch.zeros(9, dtype=torch.float64)
    expected[list(planted.Parts.numbers)] = effects
    _close(_by_piece(values, given.pieces) / (16 if name == "occlusion" else 1), expected)
    unread = (expected == 0)[given.pieces]
    _nothing(values, unread)
    return None


def _nothing(values: Tensor, there: Tensor) -> None:
    """Values, but for rounding none of them at these places."""
    assert values.abs().sum() > 0
    assert values[:, there].abs().max() <= 1e-12 * values.abs().max()


def place(name: str) -> None:
    given = planted.template()
    values, cell = given.values(name), torch.zeros(1, 1, 13, 13)
    cell[0, 0, given.cell[0], given.cell[1]] = 1
    seeing = given.box
    if METHODS[name].layered:
        seeing = cell[0, 0] > 0
    elif name.endswith("_cam") and name != "guided_grad_cam":
        seeing = F.interpolate(cell, (16, 16), mode="bilinear")[0, 0] > 0
    elif name == "occlusion":  # a window of 3 that touches the patch covers up to 2 pixels more
        seeing = F.max_pool2d(given.box[None].float(), 5, 1, padding=2)[0] > 0
    elif "segments" in METHODS[name].options():
        seeing = torch.isin(given.pieces, given.pieces[given.box])
    _nothing(values, ~seeing)


def background(name: str) -> None:
    given = planted.background()
    thing = given.thing
    if name == "occlusion":  # a window of 3 that touches the background covers up to 2 pixels of the object
        thing = F.max_pool2d(1 - thing[None].float(), 5, 1, padding=2)[0] == 0
    _nothing(given.values(name), thing)


def _half_each(given: planted.Planted, name: str) -> None:
    values = given.values(name).sum(0)
    expected = 0.5 * planted.CUES.double()
    _close(values, expected, tolerance=2e-3 if name == "conductance" else 1e-6)  # it stops where the gap is small


def saturated(name: str) -> None:
    _half_each(planted.saturated(), name)


def rivals(name: str) -> None:
    _half_each(planted.rivals(), name)


CHECKS: dict[str, Check] = {check.__name__: check for check in (linear, parts, place, background, saturated, rivals)}


def assert_claim(claim: str, name: str) -> None:
    """AssertionError where the claim does not hold for the method of this name; InputError where it refuses."""
    CHECKS[claim](name)


CLAIMED = [(name, claim) for name, claims in CLAIMS.items() for claim in claims.split()]
UNCLAIMED = [
    (name, claim) for name in CLAIMS for claim in CHECKS if claim not in CLAIMS[name].split() and claim != "linear"
]


@pytest.mark.parametrize(("name", "claim"), CLAIMED)
def test_what_a_method_claims_holds(name: str, claim: str) -> None:
    assert_claim(claim, name)


@pytest.mark.parametrize(("name", "claim"), UNCLAIMED)
def test_what_a_method_does_not_claim_does_not_hold(name: str, claim: str) -> None:
    refusal = "has no rectifier|without rows and columns"
    with pytest.raises((AssertionError, InputError)) as error:
        assert_claim(claim, name)
    assert error.type is AssertionError or re.search(refusal, str(error.value))


def test_grad_cam_is_misled_where_the_score_depends_on_the_place() -> None:
    """It weighs a unit by its mean gradient, wherever that comes from (Draelos and Carin 2020, section 3)."""
    given = planted.background()
    for name, least, most in (("grad_cam", 0.1, 1.0), ("xgrad_cam", 0.1, 1.0), ("hires_cam", 0.0, 0.0)):
        values = given.values(name).abs()
        assert least <= values[:, given.thing].sum() / values.sum() <= most, name


@pytest.mark.parametrize("name", ["saliency", "input_x_gradient", "occlusion", "feature_ablation"])
def test_gradients_and_single_ablations_are_blind_to_what_is_saturated_and_say_so(name: str) -> None:
    made = planted.saturated().explained(name)
    assert made.checks[0].empty
    assert [verdict.words for verdict in verdicts(made.checks[0])] == ["empty: no evidence for or against was found"]


def _sign_flipped(task: Task, run: Callable[[Task], Found]) -> Found:
    found = run(task)
    return replace(found, values=-found.values)


def _target_off_by_one(task: Task, run: Callable[[Task], Found]) -> Found:
    model = task.score.model
    return run(replace(task, score=replace(task.score, objective=logit(1).bind(model))))


def _shuffled(task: Task, run: Callable[[Task], Found]) -> Found:
    found = run(task)
    return replace(found, values=found.values.roll(max(1, found.values.shape[-1] // 3), -1))


def _baseline_ignored(task: Task, run: Callable[[Task], Found]) -> Found:
    return run(task if task.baseline is None else replace(task, baseline=torch.ones_like(task.baseline)))


MUTATIONS = {
    _sign_flipped: ("linear", "parts", "saturated", "rivals"),
    _target_off_by_one: ("linear", "parts", "place", "saturated", "rivals"),
    _shuffled: tuple(CHECKS),
    _baseline_ignored: ("linear", "parts", "saturated", "rivals"),
}


INDEPENDENT = {  # of what the mutation changes
    ("eigen_cam", "place", _target_off_by_one),  # the same for every target, as it says
    ("score_cam", "place", _target_off_by_one),  # both classes score nothing through the maps, and share evenly
    ("internal_influence", "linear", _shuffled),  # the same everywhere
    ("internal_influence", "linear", _baseline_ignored),
}


@pytest.mark.parametrize(
    ("name", "claim", "mutation"),
    [
        (name, claim, mutation)
        for name, claim in CLAIMED
        for mutation, seen in MUTATIONS.items()
        if claim in seen
        and (name, claim, mutation) not in INDEPENDENT
        and ("baseline" in METHODS[name].needs or mutation is not _baseline_ignored)
    ],
)
def test_a_method_that_is_broken_is_seen(
    name: str, claim: str, mutation: Callable[..., Found], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = METHODS[name].run

    @functools.wraps(run)
    def broken(task: Task, **options: Any) -> Found:
        return mutation(task, functools.partial(run, **options))

    monkeypatch.setitem(METHODS, name, replace(METHODS[name], run=broken))
    with pytest.raises(AssertionError):
        CHECKS[claim](name)
