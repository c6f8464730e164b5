"""Planted units get their labels, units that learned nothing get none, and a suite without nulls would be told."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from small_exhibits import small_pictures

from layerscope.dissection.colour import ColourTuning
from layerscope.dissection.early import EarlyTuning
from layerscope.dissection.scores import Configured, LayerScores, own_contrast
from layerscope.dissection.tuning import GratingTuning
from layerscope.dissection.verdicts import CODED, Judge, coded, layer_verdict
from layerscope.errors import InputError

UNITS = 60
OBJECT, PART, TEXTURE, EDGE, COLOUR, COLOUR_EDGE, DEAD = range(7)
EXPECTED = ["object", "part", "texture", "edge", "colour", "colour-edge", "dead"]


def early(random: np.random.Generator) -> EarlyTuning:
    def some(kind: type, **given: np.ndarray) -> dict[str, np.ndarray]:
        drawn = {field.name: np.exp(random.normal(0, 0.3, UNITS)) for field in fields(kind)}
        return drawn | {"dead": np.zeros(UNITS, dtype=bool)} | given

    light = GratingTuning(**some(GratingTuning))
    return EarlyTuning(light, ColourTuning(**some(ColourTuning, index=random.uniform(-1, 0.2, UNITS))))


def scores(seed: int, **given: object) -> LayerScores:
    """Of a network that learned nothing: all units are draws of one distribution."""
    random = np.random.default_rng(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.from_numpy(random.normal(0.5, 0.1, (UNITS, *shape)))

    half = torch.full((UNITS,), 0.5, dtype=torch.float64)
    respond = torch.full((UNITS,), 1e-4, dtype=torch.float64)  # a random filter does respond to something
    own = LayerScores(
        early(random), normal(), respond, normal(8), torch.zeros(UNITS, dtype=torch.long), Configured(normal(), half, half, respond),
        respond, normal(12), respond, torch.ones(UNITS, dtype=torch.bool),
    )  # fmt: skip
    return replace(own, **given)


def planted() -> LayerScores:
    one = scores(100)
    one.auc[OBJECT, 3], one.configured.auc[OBJECT], one.parts[OBJECT, 2] = (
        1.5,
        1.5,
        1.5,
    )  # also for the parts that it has
    one.auc[PART, 3], one.parts[PART, 2], one.texture[PART] = 1.5, 1.5, 2.0
    one.texture[TEXTURE] = 2.0
    light, colour = one.early.gratings, one.early.colour
    for unit in (EDGE, TEXTURE):
        light.drive[unit], light.selectivity[unit] = 9, 9
    light.drive[11] = 9  # driven, in no orientation
    for unit in (COLOUR, COLOUR_EDGE):
        colour.grating_drive[unit], colour.index[unit] = 9, 0.5
    colour.grating_selectivity[COLOUR_EDGE] = 9
    one.alive[DEAD] = False
    light.drive[DEAD] = light.selectivity[DEAD] = 9
    return one


@pytest.fixture(scope="module")
def twins() -> list[LayerScores]:
    return [scores(seed) for seed in range(5)]


def test_planted_units_get_their_labels(twins):
    verdict = layer_verdict(planted(), twins)
    assert [one.category for one in verdict.labels[:7]] == EXPECTED
    assert verdict.labels[11].category == "none"
    assert (verdict.labels[OBJECT].runner_up, verdict.labels[OBJECT].runner_up_passed) == ("part", True)
    assert bool(verdict.beyond["edge"][DEAD])
    assert not bool(verdict.passed["edge"][DEAD])
    assert sum(verdict.counts.values()) == UNITS
    assert verdict.counts["none"] >= 0.9 * (UNITS - 7)


def test_an_object_unit_needs_configuration_and_its_class(twins):
    """Parts alone, or configuration of nothing, is no object: swapped, the labels are wrong."""
    one = planted()
    one.configured.auc[OBJECT] = 0.5
    assert layer_verdict(one, twins).labels[OBJECT].category == "part"
    other = planted()
    other.auc[OBJECT] = 0.5
    assert layer_verdict(other, twins).labels[OBJECT].category == "part"


def test_what_does_not_respond_passes_nothing(twins):
    one = planted()
    one.object_p[OBJECT] = one.part_p[OBJECT] = one.texture_p[TEXTURE] = 0.9
    found = layer_verdict(one, twins)
    assert [found.labels[unit].category for unit in (OBJECT, TEXTURE)] == ["none", "edge"]
    assert bool(found.beyond["object"][OBJECT])


def test_a_network_that_learned_nothing_has_no_net_share(twins):
    verdict = layer_verdict(scores(77), twins)
    assert verdict.false_rate <= 0.06
    for name, share in verdict.net_shares(0.999).items():
        assert share.covers_zero, name
    assert set(verdict.net_shares()) == {*CODED, "any"}
    assert len(verdict.twins) == 5


def test_what_the_twins_have_as_well_is_no_share():
    """Were the twins dropped, this would be a layer full of edges."""
    every = []
    for seed in range(6):
        one = scores(seed)
        one.early.gratings.drive[:], one.early.gratings.selectivity[:] = (
            one.early.gratings.drive + 9,
            one.early.gratings.selectivity + 9,
        )
        every.append(one)
    verdict = layer_verdict(every[0], every[1:])
    assert coded(verdict.counts) <= 0.1 * UNITS
    assert verdict.net_shares()["edge"].covers_zero


def test_false_labels_are_few_over_many_layers():
    rates = [
        layer_verdict(scores(900 + round), [scores(10 * round + at) for at in range(5)]).false_rate
        for round in range(8)
    ]
    assert 0.005 < float(np.mean(rates)) <= 0.05


def test_without_masks_there_is_no_test_of_parts():
    every = [scores(seed, parts=None, part_p=None) for seed in range(5)]
    verdict = layer_verdict(every[0], every[1:])
    assert set(verdict.passed) == {"edge", "colour", "texture", "object"}


def test_confidence_is_the_share_of_draws_with_the_same_label(twins):
    one = planted()
    weaker = planted()
    weaker.configured.auc[OBJECT] = 0.5
    verdict = layer_verdict(one, twins, [one, one, one, weaker])
    assert verdict.labels[OBJECT].confidence == 0.75
    assert verdict.labels[PART].confidence == 1.0


def test_each_twin_is_judged_by_two_others_at_least(twins):
    with pytest.raises(InputError, match="2 twins; each is judged by the others, so at least 3 are needed"):
        layer_verdict(planted(), twins[:2])


def test_twins_that_answer_to_nothing_let_nothing_through():
    silent = scores(0)
    silent.early.gratings.dead[:] = True
    found = Judge([silent, silent]).beyond(planted())
    assert not bool(found["edge"].any() | found["colour"].any())


def test_evidence_of_colour_where_light_moves_more_is_none(twins):
    one = planted()
    one.early.colour.index[COLOUR] = -0.5
    assert (
        float(Judge(twins).evidence(one)["colour"][COLOUR])
        <= 0
        < float(Judge(twins).evidence(planted())["colour"][COLOUR])
    )


def test_contrast_is_of_the_class_of_each_unit():
    pictures = small_pictures(per_class=8)
    labels = pictures.scored_labels
    generator = torch.Generator().manual_seed(1)
    images, twins = (torch.rand(len(labels), 2, generator=generator) for _ in range(2))
    images[labels == 1, 0] += 2
    images[labels == 1, 1] += 2
    found = own_contrast(images, twins, labels, torch.tensor([1, 2]))
    assert float(found.auc[0]) == 1.0
    assert abs(float(found.auc[1]) - 0.5) < 0.35
    assert float(found.p[0]) < 0.02 < float(found.p[1])


def test_where_all_twins_are_dead_nothing_is_beyond_them(twins):
    dead = [
        replace(
            twin,
            alive=torch.zeros_like(twin.alive),
            texture=torch.zeros_like(twin.texture),
            parts=torch.zeros_like(twin.parts),
        )
        for twin in twins
    ]
    own = planted()
    assert bool((own.texture > 0).any())
    found = Judge(dead).beyond(own)
    assert not any(bool(found[test].any()) for test in ("texture", "part", "object"))
