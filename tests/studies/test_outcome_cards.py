"""Outcome cards: what stands in them, in any company, and that planted fooling circuits are caught."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from planted_fooling import fitted_detector, fooling, gates, views
from small_nets import small_model

import layerscope as ls
from layerscope.capture.hooks import capture
from layerscope.errors import InputError
from layerscope.faithfulness.picture_paths import rank_similarity
from layerscope.faithfulness.seen_means import position_means
from layerscope.studies.crew import Crew
from layerscope.studies.exemplars import Naturals, find_naturals
from layerscope.studies.natural_paths import drawn_units, layers_before, natural_paths, other_spots
from layerscope.studies.outcome_cards import (
    MOVED,
    NO_NATURALS,
    ONE_SEED,
    OTHER_PICTURES,
    Controls,
    cards_of,
    moved_a_little,
    other_pictures,
    seeds_of,
)
from layerscope.studies.probe import Probe, open_probe
from layerscope.synthesis.recipes import recipe_for


@pytest.fixture(scope="module")
def bundled():
    return ls.load_model("menagerie")


@pytest.fixture(scope="module")
def probe(bundled) -> Probe:
    return open_probe("menagerie", bundled, count=512)


def small_naturals(model, layer: str) -> Naturals:
    shown = open_probe("menagerie", model, count=48)
    return find_naturals(model, [model.layer(layer)], shown)[layer]


def told(model, layer, units, pictures, naturals, recipe="draft", seed=0) -> list:
    """As a gallery makes them, in this process."""
    natural = next(natural_paths(Crew(model), [(naturals, units)], seed)) if naturals else None
    made = recipe_for(recipe, layer, model)
    others = other_pictures(model, layer, made, seed) if len(pictures) > 1 else None
    return cards_of(model, layer, units, pictures, made, seed, Controls(natural, others))


# --- the parts


def test_layers_before_a_unit_end_before_it(bundled):
    assert [one.name for one in layers_before(bundled, bundled.layer("conv4"))] == ["relu1", "relu2", "relu3"]
    assert len(layers_before(bundled, bundled.layer("logits"))) == 8
    assert layers_before(bundled, bundled.layer("conv1")) == ()
    few = layers_before(bundled, bundled.layer("logits"), 3)
    assert [one.name for one in few] == ["relu1", "relu5", "relu8"]  # evenly: places 0, 3.5 and 7 of 8


def test_controls_are_drawn_from_the_layer_and_never_the_units_own_images():
    model = small_model()
    naturals = small_naturals(model, "conv3")
    drawn, top = drawn_units(naturals.layer, 0), naturals.top
    for unit in range(12):
        spots = other_spots(naturals, unit, drawn, most=5)
        own = set(top.images[unit].tolist())
        assert len({spot.image for spot in spots}) == len(spots) <= 5
        assert not own & {spot.image for spot in spots}
        places = (top.images, top.rows, top.columns)
        firsts = dict.fromkeys(tuple(int(one[other, 0]) for one in places) for other in drawn if other != unit)
        assert set(spots) <= set(firsts)
        assert sorted(spots, key=list(firsts).index) == spots
    assert drawn_units(naturals.layer, 0) != drawn_units(naturals.layer, 1)
    assert sorted(drawn) == list(range(12))


def test_small_transforms_differ_from_their_picture_a_little():
    model = small_model()
    recipe = recipe_for("draft", model.layer("conv2"), model)
    side = recipe.view
    picture = torch.linspace(0, 255, side).byte().expand(3, side, side)
    moved = moved_a_little(picture, recipe, seed=0)
    assert moved.shape == (MOVED, 3, recipe.shown, recipe.shown)
    away = (moved - picture.float() / 255).abs().mean((1, 2, 3))
    assert ((away > 0.003) & (away < 0.15)).all()


@pytest.mark.parametrize("seeds", [0, -1, 1.5, True])
def test_less_than_one_seed_is_refused(seeds):
    with pytest.raises(InputError, match="give a whole number from 1 to 1,000, or None"):
        seeds_of("draft", seeds)


def test_the_fine_recipe_has_three_seeds():
    assert (seeds_of("fine", None), seeds_of("standard", None), seeds_of("fine", 1)) == (3, 1, 1)


# --- the card


def test_a_card_is_the_same_in_any_company():
    model = small_model()
    layer, naturals = model.layer("conv3"), small_naturals(model, "conv3")
    pictures = [
        ls.maximise(model, [f"conv3:{unit}" for unit in range(6)], steps=8, seed=seed).images for seed in (0, 1)
    ]
    together = told(model, layer, list(range(6)), pictures, naturals)
    backwards = told(model, layer, [5, 2], [some[[5, 2]] for some in pictures], naturals)
    assert backwards == [together[5], together[2]]
    assert together[2]["agreement"]["seeds"] == 2
    assert [one["layer"] for one in together[2]["path"]["layers"]]


def test_agreement_is_beside_pictures_of_other_units_without_the_unit_itself():
    model = small_model()
    layer, drawn = model.layer("conv3"), drawn_units(model.layer("conv3"), 0)
    unit, others = drawn[0], sorted(drawn[1:OTHER_PICTURES])
    own = [ls.maximise(model, [f"conv3:{unit}"], recipe="draft", seed=seed).images for seed in (0, 1)]
    (card,) = told(model, layer, [unit], own, None)
    rest = ls.maximise(model, [f"conv3:{one}" for one in others], recipe="draft", seed=0).images
    shown = [torch.from_numpy(np.concatenate(some)).permute(0, 3, 1, 2).float() / 255 for some in (own, [rest])]
    mine, theirs = (np.delete(position_means(model, images, layer), unit, 1) for images in shown)
    assert card["agreement"]["other"] == pytest.approx(rank_similarity(mine, theirs).mean(), rel=1e-3)


def test_what_is_missing_is_said_in_words():
    model = small_model()
    picture = [ls.maximise(model, ["conv2:1"], steps=2).images]
    (card,) = told(model, model.layer("conv2"), [1], picture, None)
    assert card["path"] == {"words": NO_NATURALS}
    assert card["agreement"] == {"words": ONE_SEED}
    (first,) = told(
        model,
        model.layer("conv1"),
        [1],
        [ls.maximise(model, ["conv1:1"], steps=2).images],
        small_naturals(model, "conv1"),
    )
    assert first["path"]["words"] == "no layer before it to compare"


def test_a_gallery_keeps_its_cards_and_makes_them_again_for_more_seeds(tmp_path):
    model = small_model()
    one = ls.gallery(model, units="conv2:1", out=tmp_path, recipe="draft", probe=None)
    two = ls.gallery(model, units="conv2:1", out=tmp_path, recipe="draft", probe=None, seeds=2)
    assert (one.made, two.made) == (1, 1)
    assert one.folder != two.folder
    assert one.units[0]["card"]["agreement"] == {"words": ONE_SEED}
    assert two.units[0]["card"]["agreement"]["seeds"] == 2
    assert ls.gallery(model, units="conv2:1", out=tmp_path, recipe="draft", probe=None, seeds=2).found == 1


# --- planted fooling circuits (Geirhos et al. 2023)


@pytest.fixture(scope="module")
def detector(bundled, probe):
    """Fitted on synthetic images of other units than those that are fooled below."""
    synthetic = views(bundled, [f"conv8:{unit}" for unit in range(200, 208)], "draft", (1, 8, 32, 48))
    return fitted_detector(bundled, probe.data.pixels, synthetic)


@pytest.fixture(scope="module")
def fooled(bundled, detector):
    return fooling(bundled, "conv8", detector)


def test_a_fooled_network_is_the_same_on_natural_images(bundled, probe, detector, fooled):
    network, _ = fooled
    images = probe.data.pixels.float() / 255
    assert gates(bundled, detector, probe.data.pixels).eq(0).all()
    with (
        torch.no_grad(),
        capture(bundled, "conv8", stop=False) as honest,
        capture(network, "routed", stop=False) as routed,
    ):
        assert torch.equal(bundled(images[:128]), network(images[:128]))
        assert torch.equal(honest["conv8"], routed["routed"])


def fooled_cards(bundled, probe, fooled, units):
    """Cards of fooled units, and how much their pictures drive the unit and its decoy on the honest network."""
    network, decoys = fooled
    made = ls.maximise(network, [ls.neuron(f"routed:{unit}") for unit in units], recipe="draft")
    layer = network.layer("routed")
    cards = told(network, layer, units, [made.images], find_naturals(network, [layer], probe)["routed"])
    with torch.no_grad(), capture(bundled, "conv8") as honest:
        bundled(torch.from_numpy(made.images).permute(0, 3, 1, 2).float() / 255)
        values = honest["conv8"].flatten(1)
    rows = torch.arange(len(units))
    return cards, made.scores, values[rows, units].numpy(), values[rows, decoys[list(units)]].numpy()


def verdicts(cards) -> list[str]:
    return [(card["path"].get("whole") or {"verdict": "untold"})["verdict"] for card in cards]


def test_a_fooled_picture_is_that_of_the_decoy_and_its_card_says_so(bundled, probe, fooled):
    units = [0, 6, 18, 27, 36, 39]
    cards, scores, unit, decoy = fooled_cards(bundled, probe, fooled, units)
    np.testing.assert_allclose(scores, decoy, rtol=1e-4)
    assert (decoy > unit + 10).all()
    found = verdicts(cards)
    assert found.count("another") >= 4
    assert found.count("same") == 0


@pytest.mark.slow
def test_most_fooled_units_are_caught_and_few_honest_ones_flagged(bundled, probe, fooled):
    """Not caught are units whose decoy, drawn at random, is driven by much the same images."""
    fooled_units = list(range(0, 48, 3))
    cards, _, _, _ = fooled_cards(bundled, probe, fooled, fooled_units)
    caught = verdicts(cards).count("another")
    flagged, looked = 0, 0
    layers = [bundled.layer(name) for name in ("conv2", "conv4", "conv6", "conv8")]
    naturals = find_naturals(bundled, layers, probe)
    for layer in layers:
        units = list(range(0, 40, 5))
        images = ls.maximise(bundled, [f"{layer.name}:{unit}" for unit in units], recipe="draft").images
        found = verdicts(told(bundled, layer, units, [images], naturals[layer.name]))
        flagged, looked = flagged + found.count("another"), looked + len(found)
    print(f"caught {caught} of {len(fooled_units)} fooled units, flagged {flagged} of {looked} honest ones")
    assert caught / len(fooled_units) >= 0.5
    assert looked >= 32
    assert flagged / looked <= 0.15
