"""The smallest change that flips the label: known for planted classifiers, and for the bundled network."""

from __future__ import annotations

import pytest
import torch
from known_scenes import bytes_of, classified, known_coalitions

import layerscope as ls
from layerscope.errors import InputError, UnknownNameError
from layerscope.faithfulness.flips import changes_by_size, smallest_flip
from layerscope.world import (
    CLASS_NAMES,
    PART_NAMES,
    Recolour,
    RemovePart,
    RemoveParts,
    SwapPart,
    SwapTexture,
    part_names,
    render,
)


def sure_of(label: int, probability: float, classes: int = 4) -> torch.Tensor:
    """Logits of which the softmax gives `label` this probability, and the others the rest."""
    odds = torch.full((classes,), (1 - probability) / (classes - 1), dtype=torch.float64)
    odds[label] = probability
    return odds.log()


SELF = sure_of(0, 0.9)


@pytest.fixture(scope="module")
def flower():
    return render(1, seed=1, things="flower", size=48)


@pytest.fixture(scope="module")
def bundled():
    return ls.load_model("menagerie")


def shown(scene, *changes):
    """The images of these changes, rendered one by one, by their bytes."""
    return [scene.again(change).pixels[0].numpy().tobytes() for change in changes]


@pytest.mark.parametrize(("thing", "twins"), [("ladybird", ["plain"]), ("zebra", ["fur", "dots"])])
def test_a_label_decided_by_the_coat_is_flipped_by_the_coat(thing, twins):
    scene = render(1, seed=4, things=thing, size=48)
    coats = [SwapTexture(texture) for texture in twins]
    known = {image: sure_of(1, 0.6 + 0.1 * place) for place, image in enumerate(shown(scene, *coats))}
    found = smallest_flip(classified(known, SELF), scene)
    assert found.flip.change == coats[-1]  # the surest
    assert found.flip.words == f"with {twins[-1]} texture on its coat"
    assert (found.label, found.flip.label, found.flip.size, found.complete) == (0, 1, 1, True)
    assert found.probability == pytest.approx(0.9)
    assert found.flip.probability == pytest.approx(0.5 + 0.1 * len(twins))
    assert found.tried == len(next(changes_by_size(scene)))


def test_the_first_of_equally_sure_changes_wins():
    """On an insect, whose body is all its coat, the texture of the body is the very same image."""
    scene = render(1, seed=4, things="ladybird", size=48)
    body = scene.again(SwapTexture("plain", "body"))
    assert torch.equal(body.pixels, scene.again(SwapTexture("plain")).pixels)
    found = smallest_flip(classified({body.pixels[0].numpy().tobytes(): sure_of(2, 0.5)}, SELF), scene)
    assert found.flip.change == SwapTexture("plain")


def test_parts_are_taken_together_where_one_is_not_enough(flower):
    names = part_names("flower")
    gone = {image: set(names) - kept for image, kept in known_coalitions(flower).items()}
    known = {image: sure_of(1, 0.7) for image, removed in gone.items() if {"stem", "petal"} <= removed}
    found = smallest_flip(classified(known, SELF), flower)
    assert found.flip.change == RemoveParts(("stem", "petal"))
    assert found.flip.words == "without stem and petal"
    assert found.flip.size == 2
    sizes = [len(level) for level in changes_by_size(flower)]
    assert (found.tried, found.complete) == (sizes[0] + sizes[1], True)
    assert torch.equal(found.flip.pixels, flower.again(found.flip.change).pixels[0])
    assert found.flip.pixels.dtype == torch.uint8


def test_three_parts_are_named_and_the_surest_of_them_wins(flower):
    stem, leaf, petal, disc = part_names("flower")
    triples = [RemoveParts((stem, leaf, petal)), RemoveParts((stem, leaf, disc)), RemoveParts((leaf, petal, disc))]
    chances = (0.4, 0.8, 0.6)
    images = shown(flower, *triples)
    known = {image: sure_of(3, chance) for image, chance in zip(images, chances, strict=True)}
    found = smallest_flip(classified(known, SELF), flower)
    assert found.flip.words == "without stem, leaf and disc"
    assert (found.flip.size, found.flip.label) == (3, 3)


def test_other_parts_and_colours_flip_too(flower):
    for change, words in (
        (SwapPart("stem", "mushroom"), "with the mushroom's stem"),
        (Recolour(2), "in other colours"),
    ):
        (image,) = shown(flower, change)
        found = smallest_flip(classified({image: sure_of(1, 0.7)}, SELF), flower)
        assert (found.flip.change, found.flip.words) == (change, words)


def test_nothing_flips_a_classifier_that_always_says_the_same(flower):
    found = smallest_flip(classified({}, SELF), flower, batch=7)
    assert found.flip is None
    assert found.tried == sum(len(level) for level in changes_by_size(flower))
    assert found.complete


@pytest.mark.parametrize("most", [1, 10, 60])
def test_no_more_is_rendered_than_allowed_and_that_is_said(flower, most):
    seen = []

    def predict(images):
        seen.append(len(images))
        return SELF.expand(len(images), -1)

    found = smallest_flip(predict, flower, most=most, batch=4)
    assert (found.flip, found.tried, found.complete) == (None, most, False)
    assert sum(seen) == most + 1
    assert max(seen) <= 4


def test_a_flip_among_part_of_its_size_is_not_called_the_best(flower):
    known = dict.fromkeys(shown(flower, RemovePart("stem")), sure_of(1, 0.7))
    found = smallest_flip(classified(known, SELF), flower, most=2)
    assert found.flip.change == RemoveParts(("stem",))
    assert (found.tried, found.complete) == (2, False)


def test_what_is_tried_can_be_given(flower):
    known = dict.fromkeys(shown(flower, RemovePart("leaf")), sure_of(1, 0.7))
    levels = [[RemovePart("stem")], [], [RemovePart("leaf"), RemovePart("disc")]]
    found = smallest_flip(classified(known, SELF), flower, changes=levels)
    assert (found.flip.change, found.flip.size, found.tried) == (RemovePart("leaf"), 3, 3)
    cut = smallest_flip(classified({}, SELF), flower, changes=[[RemovePart("stem"), RemovePart("leaf")], []], most=1)
    assert (cut.flip, cut.tried, cut.complete) == (None, 1, False)
    with pytest.raises(UnknownNameError, match="no part of a flower 'wheel'"):
        smallest_flip(classified(known, SELF), flower, changes=[[RemovePart("wheel")]])


@pytest.mark.parametrize("thing", ["zebra", "car", "tree", "owl"])
def test_the_changes_tried_are_of_what_is_seen_and_do_something(thing):
    scene = render(1, seed=7, things=thing, size=48)
    levels = list(changes_by_size(scene))
    seen = {PART_NAMES[part] for part in scene.part[0].unique().tolist()} & set(part_names(thing))
    assert len(set(levels[0])) == len(levels[0])
    assert {change.names for change in levels[0] if isinstance(change, RemoveParts)} == {(name,) for name in seen}
    assert {change.part for change in levels[0] if isinstance(change, SwapTexture)} <= {None, *seen}
    for size, level in enumerate(levels[1:], start=2):
        assert {len(set(change.names) & seen) for change in level} == {size}
    assert len(levels) == max(len(seen) - 1, 1)
    core = CLASS_NAMES.index(thing)
    assert all(change.part not in ls.world.THINGS[thing].core for change in levels[0] if isinstance(change, SwapPart))
    assert (
        scene.variants([change for change in levels[0] if not isinstance(change, SwapTexture)]).labels == core
    ).all()


def test_the_bundled_network_sees_a_beetle_in_a_ladybird_without_dots(bundled):
    for seed in (0, 1, 2):
        scene = render(1, seed=seed, things="ladybird")
        found = smallest_flip(bundled, scene, changes=[[SwapTexture("plain")]], input_size=bundled.input_size)
        assert CLASS_NAMES[found.label] == "ladybird"
        assert CLASS_NAMES[found.flip.label] == "beetle"
        assert found.flip.words == "with plain texture on its coat"
        assert torch.equal(found.flip.pixels, render(1, seed=seed, things="beetle").pixels[0])


def test_the_full_search_of_the_bundled_network_is_the_same_each_time(bundled):
    scene = render(1, seed=6, things="ladybird")
    found, again = (smallest_flip(bundled, scene, batch=batch) for batch in (64, 17))
    assert (CLASS_NAMES[found.flip.label], found.flip.size, found.complete) == ("beetle", 1, True)
    assert found.flip.change == again.flip.change
    assert found.flip.probability == pytest.approx(again.flip.probability, abs=1e-4)
    with torch.no_grad():
        renewed = bundled(scene.again(found.flip.change).images).softmax(1)[0]
    assert renewed.argmax() == found.flip.label
    assert renewed.amax().item() == pytest.approx(found.flip.probability, abs=1e-5)


def test_bytes_come_back_from_images(flower):
    assert bytes_of(flower.images[0]) == flower.pixels[0].numpy().tobytes()


def test_what_cannot_be_searched_is_said(flower, bundled):
    with pytest.raises(InputError, match="scenes of 48 px for a network of 64 px; render them with size=64"):
        smallest_flip(bundled, flower, input_size=64)
    with pytest.raises(InputError, match=r"2 scenes; give one, such as scenes.one\(0\)"):
        smallest_flip(bundled, render(2, things="flower"))
    with pytest.raises(InputError, match="changed already"):
        smallest_flip(bundled, flower.again(RemovePart("stem")))
    with pytest.raises(InputError, match="most=0; it has to be a whole number of at least 1"):
        smallest_flip(bundled, flower, most=0)
    with pytest.raises(InputError, match="batch=0"):
        smallest_flip(bundled, flower, batch=0)
    with pytest.raises(InputError, match=r"predict gave \(1,\) for 1 images; give \[1, classes\]"):
        smallest_flip(lambda images: images.mean((1, 2, 3)), flower)
    with pytest.raises(InputError, match="predict gave numbers that are not finite"):
        smallest_flip(lambda images: torch.full((len(images), 3), float("nan")), flower)
