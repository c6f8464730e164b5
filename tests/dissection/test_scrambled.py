"""Twins: the same energy without the structure; tiles in other places; textures beside their twins."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from layerscope.dissection.stimuli.scrambled import periodic, phase_randomised, tile_shuffled
from layerscope.dissection.stimuli.textures import FAMILIES, Textures, folded
from layerscope.errors import InputError


def some_images(count: int, height: int, width: int, channels: int = 3, seed: int = 0) -> Tensor:
    return torch.rand(count, channels, height, width, generator=torch.Generator().manual_seed(seed))


def spectrum(images: Tensor) -> Tensor:
    return torch.fft.fft2(images.double())


def same_energy_and_colours(first: Tensor, second: Tensor) -> None:
    """The same magnitude everywhere, and the same phase between channels."""
    one, other = spectrum(first), spectrum(second)
    size = first.shape[-1] * first.shape[-2]
    torch.testing.assert_close(one.abs() / size, other.abs() / size, atol=1e-6, rtol=0)
    between = [(each[:, :-1] * each[:, 1:].conj()) / size for each in (one, other)]
    torch.testing.assert_close(*between, atol=1e-4, rtol=0)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 17), st.integers(2, 17), st.integers(1, 4), st.integers(0, 99), st.booleans())
def test_a_twin_has_the_energy_and_the_colours_of_its_image(
    height: int, width: int, channels: int, seed: int, seamless: bool
) -> None:
    given = some_images(3, height, width, channels, seed)
    images, twins = phase_randomised(given, seed, seamless=seamless)
    assert images.shape == twins.shape == given.shape
    same_energy_and_colours(images, twins)
    for shown in (images, twins):
        assert 0 <= shown.min() <= shown.max() <= 1


def test_a_twin_that_fits_is_as_strong_as_its_image() -> None:
    weak = 0.5 + 0.1 * (some_images(4, 20, 20) - 0.5)
    images, twins = phase_randomised(weak)
    torch.testing.assert_close(images, weak, atol=1e-6, rtol=0)
    assert ((twins - images).flatten(1).std(1) > 0.02).all()


def test_both_are_scaled_where_the_twin_does_not_fit() -> None:
    """Never clipped: the image is moved by one factor and one shift, which are those of the twin."""
    strong = (some_images(6, 24, 24) > 0.5).float()
    images, twins = phase_randomised(strong)
    for image, before, twin in zip(images.double(), strong.double(), twins.double(), strict=True):
        scale = (image.max() - image.min()) / (before.max() - before.min())
        assert scale < 0.9
        torch.testing.assert_close(image, (before - before.min()) * scale + image.min(), atol=1e-6, rtol=0)
        assert min(image.min(), twin.min()) < 1e-6
        assert max(image.max(), twin.max()) > 1 - 1e-6


def test_structure_is_gone() -> None:
    """A step has its energy in phase; its twin is no longer two-valued, and differs from seed to seed."""
    step = torch.zeros(1, 1, 32, 32)
    step[..., 16:] = 1
    images, twins = phase_randomised(step)
    kurtosis = [float(((one - one.mean()) ** 4).mean() / one.var() ** 2) for one in (images, twins)]
    assert kurtosis[0] == pytest.approx(1, abs=0.01)
    assert kurtosis[1] > 1.3
    assert not torch.equal(twins, phase_randomised(step, seed=1).twins)


def test_a_twin_depends_on_seed_and_number_alone() -> None:
    given = some_images(5, 10, 12)
    whole = phase_randomised(given, 7).twins
    part = phase_randomised(given[3:], 7, numbers=[3, 4]).twins
    assert torch.equal(whole[3:], part)
    assert not torch.equal(whole[3:], phase_randomised(given[3:], 7).twins)
    shuffled = tile_shuffled(given, 2, 7)
    assert torch.equal(shuffled[3:], tile_shuffled(given[3:], 2, 7, numbers=[3, 4]))


def test_global_random_state_is_left_alone() -> None:
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].tolist()
    phase_randomised(some_images(2, 8, 8))
    tile_shuffled(some_images(2, 8, 8))
    Textures(16, 3, 4).render(np.arange(3))
    assert torch.equal(before, torch.get_rng_state())
    assert numpy_before == np.random.get_state()[1].tolist()


def test_the_periodic_part_has_no_seam() -> None:
    ramp = torch.linspace(0, 1, 32).expand(1, 1, 32, 32)
    part = periodic(ramp)
    assert (part[..., 0] - part[..., -1]).abs().max() < 0.2 < 1 == (ramp[..., 0] - ramp[..., -1]).abs().max()
    assert float(part.mean()) == pytest.approx(0.5)
    waves = torch.cos(torch.arange(32) * 2 * torch.pi * 3 / 32).expand(1, 1, 32, 32) / 2 + 0.5
    torch.testing.assert_close(periodic(waves)[..., 8:24].float(), waves[..., 8:24], atol=0.02, rtol=0)


def test_the_smooth_part_is_harmonic_inside() -> None:
    """Moisan 2011: what is taken away solves Laplace's equation everywhere but at the border."""
    given = some_images(1, 16, 20, 1).double()
    smooth = (given - periodic(given))[0, 0]
    laplace = sum(smooth.roll(step, axis) for step in (-1, 1) for axis in (0, 1)) - 4 * smooth
    assert laplace[1:-1, 1:-1].abs().max() < 1e-10
    assert laplace[0].abs().max() > 0.1


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 5), st.integers(10, 19), st.integers(10, 19), st.integers(0, 50))
def test_tiles_are_all_there_and_none_where_it_was(tiles: int, height: int, width: int, seed: int) -> None:
    given = some_images(2, height, width, seed=seed)
    shuffled = tile_shuffled(given, tiles, seed)
    rows, columns = height // tiles, width // tiles
    top, left = (height - rows * tiles) // 2, (width - columns * tiles) // 2
    for before, after in zip(given, shuffled, strict=True):
        assert before.flatten().sort().values.equal(after.flatten().sort().values)
        boxes = [
            (
                slice(None),
                slice(top + r * rows, top + (r + 1) * rows),
                slice(left + c * columns, left + (c + 1) * columns),
            )
            for r in range(tiles)
            for c in range(tiles)
        ]
        assert not any(torch.equal(before[box], after[box]) for box in boxes)
        originals = {tuple(before[box].flatten().tolist()) for box in boxes}
        assert {tuple(after[box].flatten().tolist()) for box in boxes} == originals
        border = torch.ones(height, width, dtype=torch.bool)
        border[top : top + rows * tiles, left : left + columns * tiles] = False
        assert torch.equal(before[:, border], after[:, border])


def test_pairs_of_textures_have_one_spectrum() -> None:
    textures = Textures(32, 3, exemplars=4)
    assert textures.shape == (len(FAMILIES), 4, 2)
    shown = torch.cat(list(textures.batches(30))).view(len(FAMILIES), 4, 2, 3, 32, 32)
    texture, twin = shown[:, :, 0].flatten(0, 1), shown[:, :, 1].flatten(0, 1)
    same_energy_and_colours(texture, twin)
    assert ((texture - twin).flatten(1).std(1) > 0.02).all()
    table = textures.table()
    assert table[0] == {"family": "stripes", "exemplar": 0, "twin": False}
    assert table[9] == {"family": "dots", "exemplar": 0, "twin": True}
    assert "plain" not in FAMILIES
    assert not torch.equal(shown.flatten(0, 2)[:2], Textures(32, 3, 4, seed=1).render(np.arange(2)))


def test_textures_have_as_much_energy_in_the_middle_as_at_the_border() -> None:
    """What units see there is compared with a twin whose energy is the same everywhere."""
    textures = Textures(64, 1, exemplars=20)
    steps = 0.0
    for family in ("stripes", "dots", "hexagons", "scales", "chevron"):
        first = textures.families.index(family) * 40
        shown = textures.render(np.arange(first, first + 40, 2)).double()[:, 0]
        energy = (shown - shown.roll(2, 2)).square() + (shown - shown.roll(2, 1)).square()
        steps += float((energy[:, 16:48, 16:48].mean((1, 2)) / energy.mean((1, 2))).mean()) / 5
    assert steps == pytest.approx(1, abs=0.03)


def test_opposite_sides_of_a_texture_meet() -> None:
    """From one side to the opposite one is no larger a step than from any pixel to the next."""
    textures = Textures(64, 3, exemplars=20, families=("stripes", "dots", "hexagons"))
    shown = textures.render(np.arange(0, len(textures), 2)).double()
    for axis in (2, 3):
        steps = (shown - shown.roll(1, axis)).square().mean((0, 1, 5 - axis))
        assert steps[0] == pytest.approx(steps[16:48].mean(), rel=0.25)


def test_folding_leaves_the_middle_and_joins_the_ends() -> None:
    given = some_images(2, 12, 20)
    out = folded(given, 4, 3)
    assert out.shape == (2, 3, 12, 16)
    assert torch.equal(out[..., 2:14], given[..., 4:16])
    white = torch.randn(400, 1, 4, 40, generator=torch.Generator().manual_seed(0))
    variance = folded(white, 8, 3).var((0, 1, 2))
    assert variance.min() > 0.85
    assert variance.max() < 1.15
    ramp = torch.arange(400.0).view(1, 1, 1, 400) / 400
    around = folded(torch.sin(ramp * 40), 200, 3)
    assert (around - around.roll(1, 3)).abs().max() < 0.25  # no jump anywhere, the seam included


def test_grey_networks_see_the_luminance() -> None:
    colour = Textures(24, 3, 4).render(np.arange(0, 8, 2))
    grey = Textures(24, 1, 4).render(np.arange(0, 8, 2))
    assert grey.shape == (4, 1, 24, 24)
    luminance = (colour * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1)
    for one, other in zip(grey[:, 0], luminance, strict=True):
        assert torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1] > 0.999
    assert Textures(24, 4, 4).render(np.arange(2)).shape == (2, 4, 24, 24)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match=r"values from 0 to 2; give \[0, 1\]"):
        phase_randomised(torch.tensor([[[[0.0, 2.0]]]]))
    with pytest.raises(InputError, match="values from nan"):
        phase_randomised(torch.full((1, 1, 2, 2), float("nan")))
    with pytest.raises(InputError, match=r"images of shape \(3, 8, 8\); give"):
        tile_shuffled(torch.rand(3, 8, 8))
    with pytest.raises(InputError, match=r"1 x 1 tiles of images \(8, 8\); give 2 or more, that fit"):
        tile_shuffled(torch.rand(1, 3, 8, 8), 1)
    with pytest.raises(InputError, match="9 x 9 tiles"):
        tile_shuffled(torch.rand(1, 3, 8, 8), 9)
    with pytest.raises(InputError, match="1 numbers for 2 images"):
        phase_randomised(torch.rand(2, 3, 8, 8), numbers=[1])
    with pytest.raises(InputError, match="12 families of 3 exemplars; at least 2 of 4"):
        Textures(32, 3, exemplars=3)
