"""Gratings, noise, hues: exactly what their tables say, of one contrast, never clipped."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from layerscope.dissection.stimuli.colours import CONTRAST, chromatic_axes, direction_of, hue_directions
from layerscope.dissection.stimuli.gratings import Baselines, Gratings, frequencies_for
from layerscope.dissection.stimuli.hues import GREYS, Hues
from layerscope.dissection.stimuli.stimuli import Stimuli
from layerscope.dissection.stimuli.textures import Textures
from layerscope.errors import InputError, UnknownNameError
from layerscope.world import NO_EDGE
from layerscope.world.scene import _edges

AXES = ("luminance", "red-green", "blue-yellow")
FREQUENCIES = (0.0625, 0.125, 0.25)


def every(stimuli: Stimuli) -> torch.Tensor:
    return torch.cat(list(stimuli.batches(50)))


@pytest.mark.parametrize("axis", AXES)
def test_gratings_are_what_their_table_says(axis: str) -> None:
    gratings = Gratings(12, 3, FREQUENCIES, axis, orientations=4, phases=4)
    images, table = every(gratings), gratings.table()
    assert len(gratings) == len(images) == len(table) == 48
    colour = {
        "luminance": (1, 1, 1),
        "red-green": (1.5**0.5, -(1.5**0.5), 0),
        "blue-yellow": (-(0.5**0.5), -(0.5**0.5), 2**0.5),
    }
    for number in (0, 5, 17, 30, 47):
        one = table[number]
        assert one["axis"] == axis
        for row, column in ((0, 0), (3, 8), (11, 2)):
            x, y = column - 5.5, -(row - 5.5)  # y up
            bars = math.radians(one["orientation"])
            across = math.sin(bars) * x - math.cos(bars) * y
            wave = math.cos(2 * math.pi * one["frequency"] * across + math.radians(one["phase"]))
            for channel in range(3):
                wanted = 0.5 + math.sqrt(2) * CONTRAST * colour[axis][channel] * wave
                assert images[number, channel, row, column] == pytest.approx(wanted, abs=1e-6)


def test_the_order_is_orientation_then_frequency_then_phase() -> None:
    gratings = Gratings(8, 1, FREQUENCIES, orientations=4, phases=5)
    assert gratings.shape == (4, 3, 5)
    columns = gratings.columns()
    assert columns["phase"][:6].tolist() == [0, 72, 144, 216, 288, 0]
    assert columns["frequency"][[0, 5, 10, 15]].tolist() == [0.0625, 0.125, 0.25, 0.0625]
    assert columns["orientation"][[0, 15, 30, 45]].tolist() == [0, 45, 90, 135]


def test_orientations_are_those_of_the_edges_in_the_world() -> None:
    """The world counts edges in eighths of half a turn, counter-clockwise from horizontal."""
    gratings = Gratings(64, 3, (0.05, 0.06, 0.07), orientations=8, phases=3)
    edges = _edges((every(gratings) * 255).round().to(torch.uint8))[:, 1:-1, 1:-1].reshape(8, -1)  # padded there
    for eighth, found in enumerate(edges):
        seen = found[found != NO_EDGE]
        assert len(seen) > 1000
        assert (seen == eighth).float().mean() > 0.99


@pytest.mark.parametrize("axis", AXES)
def test_all_gratings_have_one_contrast_and_fit(axis: str) -> None:
    gratings = Gratings(16, 3, FREQUENCIES, axis, orientations=4)
    whole = np.flatnonzero(np.isin(gratings.columns()["orientation"], (0, 90)))  # whole periods
    images = gratings.render(whole).double()
    assert (images - 0.5).square().mean((1, 2, 3)).sqrt().sub(CONTRAST).abs().max() < 1e-6
    assert (images.mean((1, 2, 3)) - 0.5).abs().max() < 1e-6
    assert every(gratings).min() >= 0
    assert every(gratings).max() <= 1


def test_opposite_phases_add_up_to_grey() -> None:
    images = every(Gratings(15, 3, FREQUENCIES, "blue-yellow", orientations=4, phases=4)).view(12, 4, 3, 15, 15)
    torch.testing.assert_close(images[:, 0] + images[:, 2], torch.ones(12, 3, 15, 15), atol=1e-6, rtol=0)


def test_frequencies_cover_the_field_without_gaps() -> None:
    for size, field in ((64, None), (64, 5), (224, 7), (224, 435), (32, 17)):
        found = np.array(frequencies_for(size, field))
        assert len(found) >= 9
        assert found[0] == pytest.approx(0.7 / min(size, field or size))
        assert found[-1] == pytest.approx(0.35)
        assert np.diff(np.log2(found)).max() <= 0.4 + 1e-9
    with pytest.raises(InputError, match="a field of 2 pixels is too small for gratings; at least 3"):
        frequencies_for(64, 2)


def test_noise_is_white_and_of_the_same_contrast() -> None:
    fields = every(Baselines(32, 3, noise=40, seed=3))
    assert torch.equal(fields[0], torch.full((3, 32, 32), 0.5))
    assert (fields[1:] - 0.5).abs().sub(CONTRAST).abs().max() < 1e-6
    power = torch.fft.fft2(fields[1:].double() - 0.5).abs().square().mean((0, 1))
    assert power.min() > 0.5 * power.mean()
    assert power.max() < 1.7 * power.mean()
    channels = fields[1:].transpose(0, 1).flatten(1)
    assert torch.corrcoef(channels).triu(1).abs().max() < 0.03
    assert torch.equal(fields[7:9], Baselines(32, 3, noise=10, seed=3).render(np.array([7, 8])))
    assert not torch.equal(fields[1], Baselines(32, 3, seed=4).render(np.array([1]))[0])


def test_hues_are_what_their_table_says() -> None:
    hues = Hues(20, disc=8, hues=8)
    images, table = every(hues).double(), hues.table()
    assert hues.shape == (2, 3, 2, 8)
    assert len(images) == 2 * 3 * 2 * 8 + 2 * len(GREYS)
    for image, one in zip(images, table, strict=True):
        hue = 0.0 if one["saturation"] == 0 else math.radians(one["hue"])
        wanted = [
            one["lightness"] + one["saturation"] * (math.cos(hue) * red_green + math.sin(hue) * blue_yellow)
            for red_green, blue_yellow in ((1.5**0.5, -(0.5**0.5)), (-(1.5**0.5), -(0.5**0.5)), (0, 2**0.5))
        ]
        assert image[:, 10, 10].tolist() == pytest.approx(wanted, abs=1e-6)
        corner = wanted if one["shape"] == "field" else [0.5] * 3
        assert image[:, 0, 0].tolist() == pytest.approx(corner, abs=1e-6)
    assert images.min() >= 0
    assert images.max() <= 1


def test_a_disc_has_its_diameter() -> None:
    hues = Hues(40, disc=11)
    disc = hues.render(np.array([len(hues) - 1]))[0, 0].double() - 0.5  # the lightest grey
    assert float(disc.sum() / disc.max()) == pytest.approx(math.pi * 5.5**2, rel=0.02)
    assert torch.equal(disc, disc.T)
    assert torch.equal(disc, disc.flip(0))


def test_directions_are_of_one_length_and_at_right_angles() -> None:
    three = torch.stack([direction_of(axis, 3) for axis in AXES])
    torch.testing.assert_close(three @ three.T, 3 * torch.eye(3, dtype=torch.float64))
    torch.testing.assert_close(hue_directions(torch.tensor([0.0, 90.0])), three[1:])


def test_other_channels_have_light_but_no_hue() -> None:
    assert chromatic_axes(3) == ("red-green", "blue-yellow")
    for channels in (1, 2, 4):
        assert chromatic_axes(channels) == ()
        images = every(Gratings(9, channels, FREQUENCIES, orientations=4, phases=3))
        assert images.shape == (36, channels, 9, 9)
        assert torch.equal(images, images[:, :1].expand_as(images))
        assert Baselines(9, channels).render(np.arange(3)).shape == (3, channels, 9, 9)
        with pytest.raises(InputError, match=f"hues need red, green and blue; images of {channels} channels"):
            Gratings(9, channels, FREQUENCIES, "red-green")
        with pytest.raises(InputError, match="hues need red, green and blue"):
            Hues(9, channels=channels)


@pytest.mark.parametrize(
    "stimuli",
    [Gratings(9, 3, FREQUENCIES, orientations=4), Baselines(9, 3, 20), Hues(9, hues=6), Textures(16, 3, 4)],
    ids=repr,
)
def test_a_stimulus_depends_on_its_number_alone(stimuli: Stimuli) -> None:
    whole = torch.cat(list(stimuli.batches(7)))
    assert torch.equal(whole, torch.cat(list(stimuli.batches(len(stimuli)))))
    chosen = np.array([5, 0, 11, len(stimuli) - 1])
    assert torch.equal(stimuli.render(chosen), whole[torch.from_numpy(chosen)])
    assert whole.dtype == torch.float32
    assert len(stimuli.table()) == len(stimuli) == len(whole)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match="2 orientations, 3 frequencies and 8 phases; at least 4, 3 and 3"):
        Gratings(9, 3, FREQUENCIES, orientations=2)
    with pytest.raises(InputError, match=r"give rising ones above 0 and up to 0\.5"):
        Gratings(9, 3, (0.1, 0.3, 0.6))
    with pytest.raises(InputError, match="give rising ones"):
        Gratings(9, 3, (0.3, 0.2, 0.4))
    with pytest.raises(UnknownNameError, match="no colour axis 'red'"):
        Gratings(9, 3, FREQUENCIES, "red")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="stimuli of 0 pixels and 3 channels"):
        Baselines(0, 3)
    with pytest.raises(InputError, match="1 fields of noise"):
        Baselines(9, 3, noise=1)
    with pytest.raises(InputError, match="3 hues; at least 4"):
        Hues(9, hues=3)
    with pytest.raises(InputError, match="a disc 0 pixels wide"):
        Hues(9, disc=0)
    with pytest.raises(InputError, match="batch_size=0"):
        next(Baselines(9, 3).batches(0))
    with pytest.raises(InputError, match="seed=-1; stimuli take a seed of 0 or more"):
        Baselines(9, 3, seed=-1).render(np.array([1]))
