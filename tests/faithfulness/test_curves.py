"""Deletion and insertion: equal to a slow loop, and to what is known of linear scores."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from layerscope.attribution.baselines import blurred
from layerscope.errors import InputError
from layerscope.faithfulness.curves import deletion_insertion

SHAPE = (3, 7, 5)
PIXELS = SHAPE[1] * SHAPE[2]


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def image_and_fill(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    return drawn(seed, *SHAPE).sigmoid(), drawn(seed + 1000, *SHAPE).sigmoid()


def linear(seed: int = 5):
    weights = drawn(seed, *SHAPE)
    return weights, lambda images: (images * weights).sum((1, 2, 3)) + 0.3


def literal(score, image, values, fill, steps):
    """Pixel by pixel, as the paper tells it."""
    places = sorted(range(PIXELS), key=lambda place: -values.flatten()[place].item())
    deletion, insertion, shares = [], [], []
    for step in range(steps + 1):
        count = round(step * PIXELS / steps)
        deleted, inserted = image.clone(), fill.clone()
        for place in places[:count]:
            row, column = divmod(place, SHAPE[2])
            deleted[:, row, column] = fill[:, row, column]
            inserted[:, row, column] = image[:, row, column]
        deletion.append(score(deleted[None]).item())
        insertion.append(score(inserted[None]).item())
        shares.append(count / PIXELS)
    return shares, deletion, insertion


def literal_mean(shares, heights):
    return sum((shares[n + 1] - shares[n]) * (heights[n + 1] + heights[n]) / 2 for n in range(len(shares) - 1))


def mean_of_half(images, top):
    return images[:, 0, top : top + 20].mean((1, 2))


def curved(images):
    """A score that is not linear: pixels interact."""
    return torch.sin(images * torch.arange(1, 4)[:, None, None]).prod(1).sum((1, 2)).exp()


@pytest.mark.parametrize("steps", [1, 2, 6, PIXELS])
@pytest.mark.parametrize("batch", [1, 7, 64])
def test_the_curves_are_those_of_a_slow_loop(steps, batch):
    image, fill = image_and_fill()
    maps = {name: drawn(seed, *SHAPE[1:]) for seed, name in enumerate(("one", "two", "three"))}
    curves = deletion_insertion(curved, image, maps, fill, steps=steps, batch=batch)
    for name, values in maps.items():
        shares, deletion, insertion = literal(curved, image, values, fill, steps)
        found = curves.of[name]
        torch.testing.assert_close(curves.changed, torch.tensor(shares, dtype=torch.float64), rtol=0, atol=1e-15)
        torch.testing.assert_close(found.deletion, torch.tensor(deletion, dtype=torch.float64), rtol=1e-12, atol=0)
        torch.testing.assert_close(found.insertion, torch.tensor(insertion, dtype=torch.float64), rtol=1e-12, atol=0)
        assert found.deletion_mean == pytest.approx(literal_mean(shares, deletion), rel=1e-12)
        assert found.insertion_mean == pytest.approx(literal_mean(shares, insertion), rel=1e-12)
        assert found.note == ""
    assert list(curves.of) == list(maps)
    assert curves.image_score == pytest.approx(curved(image[None]).item(), rel=1e-12)
    assert curves.fill_score == pytest.approx(curved(fill[None]).item(), rel=1e-12)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_of_a_linear_score_no_map_beats_the_exact_one(seed):
    """What a pixel does is weight x (image - fill); in that order deletion is lowest and insertion highest."""
    image, fill = image_and_fill(seed)
    weights, score = linear(seed + 1)
    exact = (weights * (image - fill)).sum(0)
    maps = {
        "exact": exact,
        "noisy": exact + 0.5 * drawn(seed + 2, *exact.shape),
        "random": drawn(seed + 3, *exact.shape),
    }
    curves = deletion_insertion(score, image, maps, fill, steps=9)
    for name in ("noisy", "random"):
        assert (curves.of["exact"].deletion <= curves.of[name].deletion + 1e-9).all()
        assert (curves.of["exact"].insertion >= curves.of[name].insertion - 1e-9).all()
    for curve in curves.of.values():  # what goes from the image comes to the fill
        total = torch.full_like(curve.deletion, curves.image_score + curves.fill_score)
        torch.testing.assert_close(curve.deletion + curve.insertion, total, rtol=0, atol=1e-9)


def test_the_map_upside_down_reads_the_other_curve_backwards():
    image, fill = image_and_fill()
    values = drawn(3, *SHAPE[1:])
    curves = deletion_insertion(curved, image, {"map": values, "negative": -values}, fill, steps=7)
    torch.testing.assert_close(curves.of["map"].deletion, curves.of["negative"].insertion.flip(0), rtol=1e-12, atol=0)


def test_evidence_against_goes_last():
    image, fill = torch.ones(SHAPE), torch.zeros(SHAPE)
    values = torch.zeros(SHAPE[1:])
    values[0, 0], values[6, 4] = -5.0, 1.0
    curves = deletion_insertion(
        lambda images: images[:, 0, 0, 0] + 2 * images[:, 0, 6, 4], image, {"map": values}, fill, steps=PIXELS
    )
    assert curves.of["map"].deletion.tolist() == [3.0] + [1.0] * (PIXELS - 1) + [0.0]
    assert curves.of["map"].insertion.tolist() == [0.0] + [2.0] * (PIXELS - 1) + [3.0]


@pytest.mark.parametrize(("maps", "steps", "forwards"), [(1, 20, 40), (5, 20, 192), (3, 1, 2)])
def test_all_maps_share_their_forwards(maps, steps, forwards):
    image, _ = image_and_fill()
    seen = []

    def score(images):
        seen.append(len(images))
        return images.mean((1, 2, 3))

    curves = deletion_insertion(
        score, image, {str(n): drawn(n, *SHAPE[1:]) for n in range(maps)}, steps=steps, batch=16
    )
    assert sum(seen) == curves.forwards == forwards
    assert max(seen) <= 16
    assert len(seen) <= 2 + forwards // 16


def test_equal_values_go_in_an_order_that_knows_nothing_of_place():
    size, halves = 40, []
    image, fill = torch.ones(1, size, size), torch.zeros(1, size, size)
    for top in (0, 20):
        curves = deletion_insertion(
            partial(mean_of_half, top=top), image, {"flat": torch.full((size, size), 0.7)}, fill, steps=2
        )
        halves.append(curves.of["flat"].deletion[1].item())
        assert curves.of["flat"].tied == 1
        assert "the same everywhere, so the order of the pixels is random" in curves.of["flat"].note
    assert halves == pytest.approx([0.5, 0.5], abs=0.06)  # five standard deviations
    assert sum(halves) == pytest.approx(1)


def test_ties_are_broken_by_the_seed_alone():
    image, fill = image_and_fill()
    coarse = (drawn(1, *SHAPE[1:]) * 2).round()
    maps = {"coarse": coarse, "again": coarse * 3, "signs of zero": torch.where(coarse == 0, -0.0, coarse)}
    first, same, other = (deletion_insertion(curved, image, maps, fill, seed=seed).of for seed in (1, 1, 2))
    assert torch.equal(first["coarse"].deletion, same["coarse"].deletion)
    assert torch.equal(first["coarse"].deletion, first["again"].deletion)
    assert torch.equal(first["coarse"].deletion, first["signs of zero"].deletion)
    assert not torch.equal(first["coarse"].deletion, other["coarse"].deletion)
    largest = max((coarse == value).sum().item() for value in coarse.unique())
    assert first["coarse"].tied == largest / PIXELS
    assert first["coarse"].note == ""


def test_areas_have_the_scale_of_the_fall_whatever_the_unit():
    image, fill = image_and_fill()
    maps = {"map": drawn(2, *SHAPE[1:])}

    def falling(images):
        return torch.sin(9 * images).sum((1, 2, 3)) - 2 * (images - image).abs().sum((1, 2, 3))

    plain = deletion_insertion(falling, image, maps, fill)
    scaled = deletion_insertion(lambda images: 1000 * falling(images) - 77, image, maps, fill)
    for name in ("deletion_area", "insertion_area"):
        assert getattr(plain.of["map"], name) == pytest.approx(getattr(scaled.of["map"], name), rel=1e-9)
    mean, low, high = plain.of["map"].deletion_mean, plain.fill_score, plain.image_score
    assert plain.of["map"].deletion_area == pytest.approx((mean - low) / (high - low))
    assert plain.note == ""


def test_areas_are_left_out_where_the_fill_scores_no_lower():
    image, fill = image_and_fill()
    for score in (lambda images: torch.ones(len(images)), lambda images: (images - image).abs().sum((1, 2, 3))):
        curves = deletion_insertion(score, image, {"map": drawn(2, *SHAPE[1:])}, fill)
        assert curves.of["map"].deletion_area is None
        assert curves.of["map"].insertion_area is None
        assert curves.note == "the fill scores no lower than the image, so areas have no scale"


@pytest.mark.parametrize(
    ("fill", "expected"), [("black", torch.zeros_like), ("blur", lambda image: blurred(image[None])[0])]
)
def test_fills_by_name(fill, expected):
    image, _ = image_and_fill()
    score = linear()[1]
    curves = deletion_insertion(score, image, {"map": drawn(2, *SHAPE[1:])}, fill)
    assert curves.fill_score == pytest.approx(score(expected(image)[None]).item(), rel=1e-12)


def test_nothing_is_left_behind():
    image, _ = image_and_fill()
    before, state = image.clone(), torch.get_rng_state()
    weight = torch.ones((), dtype=torch.float64, requires_grad=True)
    values = drawn(1, *SHAPE[1:]).requires_grad_()

    def score(images):
        assert not torch.is_grad_enabled()
        return images.mean((1, 2, 3)) * weight

    curves = deletion_insertion(score, image, {"map": values})
    assert torch.equal(image, before)
    assert torch.equal(torch.get_rng_state(), state)
    assert weight.grad is None
    assert not curves.of["map"].deletion.requires_grad
    assert values.requires_grad


BAD = [
    ({"image": torch.zeros(1, 3, 7, 5)}, r"an image of shape \(1, 3, 7, 5\); give one image"),
    ({"maps": {}}, "no maps to judge; give at least one, by name"),
    ({"maps": {"cam": torch.zeros(3, 7, 5)}}, r"map 'cam' of shape \(3, 7, 5\) for an image of \(3, 7, 5\); give \[height, width\]"),
    ({"maps": {"cam": torch.full((7, 5), float("nan"))}}, "map 'cam' holds values that are not finite"),
    ({"fill": "grey"}, "no fill 'grey'; there are: blur, black"),
    ({"fill": torch.zeros(3, 5, 5)}, r"a fill of shape \(3, 5, 5\) for an image of \(3, 7, 5\)"),
    ({"steps": 0}, "steps=0; it has to be a whole number of at least 1"),
    ({"steps": 2.5}, "steps=2.5; it has to be a whole number of at least 1"),
    ({"steps": 36}, "steps=36 for 35 pixels"),
    ({"batch": 0}, "batch=0; it has to be a whole number of at least 1"),
    ({"batch": 1.5}, "batch=1.5; it has to be a whole number of at least 1"),
    ({"seed": "a"}, "seed='a'; it has to be a whole number of at least 0"),
    ({"maps": [torch.zeros(7, 5)]}, r"maps is a list; give a mapping from names to maps \[height, width\]"),
    ({"score": lambda images: images.mean((2, 3))}, r"score gave \(2, 3\) for 2 images; give \[2\], one number per image"),
    ({"score": lambda images: images.sum()}, r"score gave \(\) for 2 images"),
    ({"score": lambda images: 1.0}, "score gave a float for 2 images"),
    ({"score": lambda images: images.sum((1, 2, 3)).log() * float("inf")}, r"score gave numbers that are not finite for 2 changed images, .*; check the weights of the network"),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "words"), BAD)
def test_what_cannot_be_judged_is_said(wrong, words):
    right = {"score": linear()[1], "image": image_and_fill()[0], "maps": {"map": drawn(1, 7, 5)}}
    with pytest.raises(InputError, match=words) as error:
        deletion_insertion(**{**right, **wrong})
    assert "\n" not in str(error.value)
