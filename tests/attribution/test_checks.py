"""What is measured on every map, and how it is said."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from scipy.stats import spearmanr
from small_nets import small_model
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from layerscope.attribution.checks import checks_of, rank_correlation, redrawn, verdicts, with_noise
from layerscope.attribution.result import Checks
from layerscope.attribution.task import Found
from layerscope.conformance.trace import differences, state_of
from layerscope.errors import InputError


def checks(values: torch.Tensor, expected: float | None = None, others: tuple = (None, None), **more) -> Checks:
    given = None if expected is None else torch.tensor([expected])
    return checks_of(Found(values[None], given, **more), torch.tensor([1.5]), 2.0, others)[0]


def marks(found: Checks) -> dict[str, str]:
    return {verdict.check: verdict.mark for verdict in verdicts(found)}


def words(found: Checks, check: str) -> str:
    return next(verdict.words for verdict in verdicts(found) if verdict.check == check)


GOOD = torch.tensor([[[3.0, -1.0], [0.0, 2.0]]])


def test_the_numbers_of_a_map():
    found = checks(GOOD, expected=5.0)
    assert (found.total, found.expected, found.gap) == (4.0, 5.0, pytest.approx(0.2))
    assert (found.positive, found.negative) == (pytest.approx(5 / 6), pytest.approx(1 / 6))
    assert found.score == 1.5
    assert found.seconds == 2.0
    assert found.finite
    assert not found.empty


def test_each_image_has_its_own_numbers():
    values = torch.stack([GOOD, -2 * GOOD])
    first, second = checks_of(Found(values, torch.tensor([4.0, -4.0])), torch.tensor([1.0, 2.0]), 3.0, (values, None))
    assert (first.gap, second.gap) == (0.0, 1.0)
    assert (first.seconds, second.seconds) == (1.5, 1.5)
    assert (first.redrawn, second.redrawn) == (pytest.approx(1.0), pytest.approx(1.0))


@pytest.mark.parametrize(
    ("gap", "mark", "said"),
    [
        (0.0, "good", "adds up to what it explains: off by less than 0.1%"),
        (0.009, "good", "off by 0.9%"),
        (0.25, "poor", "does not add up to what it explains: off by 25.0%"),
    ],
)
def test_completeness_in_words(gap, mark, said):
    found = checks(GOOD, expected=4.0 / (1 + gap))
    assert marks(found)["complete"] == mark
    assert said in words(found, "complete")


def test_what_claims_no_total_says_so():
    assert marks(checks(GOOD))["complete"] == "open"


def test_an_empty_map_is_said_and_nothing_else():
    assert [(one.check, one.mark) for one in verdicts(checks(torch.zeros(1, 2, 2), expected=0.0))] == [
        ("evidence", "poor")
    ]
    assert "empty" in words(checks(torch.zeros(1, 2, 2)), "evidence")


def test_all_negative_evidence_is_said():
    assert "all evidence is negative" in words(checks(-GOOD.abs()), "evidence")
    assert marks(checks(-GOOD.abs()))["evidence"] == "poor"
    assert words(checks(GOOD), "evidence") == "83% for, 17% against"


def test_values_that_are_not_finite_are_said_and_nothing_else():
    found = checks(torch.tensor([[[1.0, float("nan")]]]), expected=1.0)
    assert not found.finite
    assert marks(found) == {"finite": "poor"}


@pytest.mark.parametrize(("sign", "mark"), [(1.0, "poor"), (-1.0, "poor")])
def test_a_map_that_does_not_notice_redrawn_layers_is_poor(sign, mark):
    found = checks(GOOD, others=(sign * GOOD[None], None))
    assert found.redrawn == pytest.approx(sign)
    assert marks(found)["redrawn"] == mark
    assert ("but for its sign" in words(found, "redrawn")) == (sign < 0)


def test_a_map_that_notices_is_good_and_one_that_shakes_is_poor():
    other = torch.tensor([[[[0.0, 3.0], [-1.0, 1.0]]]])
    found = checks(GOOD, others=(other, other))
    assert (marks(found)["redrawn"], marks(found)["noise"]) == ("good", "poor")
    assert marks(checks(GOOD, others=(None, GOOD[None])))["noise"] == "good"


def test_extended_rules_are_said():
    assert "silu: as relu" in words(checks(GOOD, approximated={"silu": "as relu"}), "rules")


def test_rank_correlation_is_spearmans():
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randint(0, 9, (7, 5), generator=generator).double() for _ in range(2))
    assert rank_correlation(a, b) == pytest.approx(spearmanr(a.flatten(), b.flatten()).statistic)
    assert rank_correlation(a, torch.ones(7, 5)) is None


def test_redrawn_layers_are_the_top_ones_with_the_same_spread_and_the_network_stays():
    model = small_model()
    before = state_of(model.module)
    other = redrawn(model.module, seed=1)
    assert differences(before, state_of(model.module)) == ()
    changed = [
        name
        for name, weight in other.named_parameters()
        if not torch.equal(weight, dict(model.module.named_parameters())[name])
    ]
    assert changed == ["conv3.weight", "fc.weight"]
    assert other.conv3.weight.std().item() == pytest.approx(model.module.conv3.weight.std().item(), rel=0.1)
    assert torch.equal(redrawn(model.module, seed=1).fc.weight, other.fc.weight)
    assert not torch.equal(redrawn(model.module, seed=2).fc.weight, other.fc.weight)


def test_noise_is_the_same_for_an_image_in_any_company():
    images = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.8 + 0.1
    together = with_noise(images, seed=4)
    assert torch.equal(together[1:2], with_noise(images[1:2], seed=4))
    assert (together - images).std().item() == pytest.approx(0.02, rel=0.2)
    assert with_noise(torch.ones(1, 3, 8, 8)).amax() <= 1


def test_checks_are_plain_values():
    assert dataclasses.asdict(checks(GOOD, expected=4.0))["gap"] == 0.0


def test_weights_are_redrawn_under_whatever_name_they_are_kept():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), weight_norm(nn.Conv2d(4, 4, 3)), nn.Flatten(), nn.MultiheadAttention(4, 2))
    other = redrawn(net)
    kept, now = dict(net.named_parameters()), dict(other.named_parameters())
    changed = {name for name, weight in now.items() if not torch.equal(weight, kept[name])}
    assert changed == {"3.in_proj_weight", "3.out_proj.weight"}
    assert not torch.equal(redrawn(net[:2])[1].weight, net[1].weight)


def test_networks_with_one_weight_or_none():
    assert redrawn(nn.Conv2d(1, 1, 1)).weight.isfinite().all()
    with pytest.raises(InputError, match="ReLU has no weights"):
        redrawn(nn.ReLU())


def test_units_without_positions_are_compared_as_they_are():
    units = torch.tensor([1.0, 2.0, -3.0])
    found = checks(units, others=(units[None], -units[None]))
    assert (found.redrawn, found.noise) == (pytest.approx(1), pytest.approx(-1))
