"""Every parametrisation: any size and number of channels, each picture of its own parameters, and it climbs."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from small_nets import SmallNet, seeded
from torch import Tensor

import layerscope.objectives as ob
from layerscope.errors import InputError
from layerscope.models.model import VisionModel, wrap
from layerscope.models.spectrum import Spectrum
from layerscope.synthesis.ascent import maximise
from layerscope.synthesis.kinds import KINDS, Kind
from layerscope.synthesis.recipes import Recipe, parametrisation

SIZES = (16, 17)
CHANNELS = (1, 2, 3, 4, 6)
PLAIN = Recipe("plain", "fourier", view=16, steps=16)


def drawn(recipe: Recipe, channels: int = 3, count: int = 4) -> tuple[object, Tensor]:
    images = parametrisation(recipe, Spectrum.natural(channels))
    return images, torch.stack([images.init(torch.Generator().manual_seed(i)) for i in range(count)])


@pytest.mark.parametrize("alpha", [0.0, 0.3])
@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_pictures_have_any_size_and_channels(kind: Kind, size: int, channels: int, alpha: float) -> None:
    recipe = dataclasses.replace(PLAIN.drawn_as(kind), view=size, alpha=alpha)
    images, parameters = drawn(recipe, channels)
    rendered = images.render(parameters)
    canvas = recipe.wander.canvas
    assert rendered.shape == (4, channels + (alpha > 0), canvas, canvas)
    assert rendered.dtype == torch.float32
    assert 0 <= rendered.min() <= 0.5 <= rendered.max() <= 1
    if channels == 3:
        assert images.shown(rendered).shape == (4, channels, canvas, canvas)


@pytest.mark.parametrize("alpha", [0.0, 0.3])
@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_depends_on_its_own_parameters_alone(kind: Kind, alpha: float) -> None:
    images, parameters = drawn(dataclasses.replace(PLAIN.drawn_as(kind), alpha=alpha), count=8)
    whole = images.render(parameters)
    order = torch.tensor([5, 2, 7, 0, 1, 3, 4, 6])
    assert torch.equal(images.render(parameters[order]), whole[order])
    changed = parameters.clone()
    changed[3] += 0.5
    assert torch.equal(images.render(changed)[[0, 1, 2, 4, 5, 6, 7]], whole[[0, 1, 2, 4, 5, 6, 7]])
    assert not torch.equal(images.render(changed)[3], whole[3])


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_is_that_of_finite_differences(kind: Kind) -> None:
    recipe = dataclasses.replace(PLAIN.drawn_as(kind), view=6, scale=(1, 1), rotate=0, shift=0)
    images, parameters = drawn(recipe, count=1)
    generator = torch.Generator().manual_seed(5)
    way = torch.randn(parameters.shape, generator=generator)
    weights = torch.randn(images.render(parameters).shape, generator=generator)
    point = parameters.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad((images.render(point) * weights).sum(), point)
    small = 2e-3 * float(parameters.norm() / way.norm())
    up, down = ((images.render(parameters + sign * small * way).double() * weights).sum() for sign in (1, -1))
    assert float((gradient * way).sum()) == pytest.approx(float((up - down) / (2 * small)), rel=0.02)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [1, 2, 4, pytest.param(6, marks=pytest.mark.slow)])
def test_networks_of_any_number_of_channels_are_climbed_in_every_kind(kind: Kind, channels: int) -> None:
    alpha = 0.3 if channels % 2 else 0.0
    model = wrap(seeded(SmallNet(channels)), input_size=33, mean=[0.5] * channels, std=[0.25] * channels)
    recipe = dataclasses.replace(PLAIN.drawn_as(kind), view=33, steps=12, lr=KINDS[kind].lr * 2, alpha=alpha)
    art = maximise(model, ["conv2:1"], recipe=recipe)
    assert art.images.shape == (1, 33, 33, channels + (alpha > 0))
    assert art.scores[0] > art.controls[0]


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_are_the_same_in_any_company(model: VisionModel, kind: Kind) -> None:
    recipe = dataclasses.replace(PLAIN.drawn_as(kind), view=32, steps=4, alpha=0.2)
    alone = maximise(model, ["conv2:3"], recipe=recipe)
    among = maximise(model, [f"conv2:{unit}" for unit in (0, 5, 3, 1)], recipe=recipe)
    assert among.images[2].tobytes() == alone.images[0].tobytes()
    assert among.scores[2] == alone.scores[0]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "seeded"])
def test_a_kind_that_cannot_start_from_an_image_says_so(model: VisionModel, kind: Kind) -> None:
    with pytest.raises(InputError, match=f"'{kind}' cannot start from an image; take the kind 'seeded'"):
        maximise(
            model,
            ["conv2:3"],
            recipe=dataclasses.replace(PLAIN.drawn_as(kind), view=32),
            starts=torch.rand(1, 3, 32, 32),
        )


def test_the_whole_way_from_a_data_set_to_phases_alone(model: VisionModel) -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.arange(32.0)[:, None]
    bars = torch.stack(
        [torch.sin(rows * 2 * torch.pi / 4 + shift).expand(32, 32) for shift in torch.rand(20, generator=generator) * 6]
    )
    data = (0.5 + 0.3 * bars[:, None] * torch.tensor([1.0, 0.5, 0.2])[:, None, None]).clamp(0, 1)
    recipe = dataclasses.replace(PLAIN.drawn_as("phase"), view=32, steps=8, decay=None)
    art = maximise(model, [ob.channel("conv2:3")], recipe=recipe, spectrum=Spectrum.of(data))
    spectrum = torch.fft.rfft2(torch.from_numpy(art.images[0]).float().mean(2) - 127.5).abs()
    spectrum[0, 0] = 0
    assert divmod(int(spectrum.argmax()), spectrum.shape[1]) in ((8, 0), (24, 0))  # bars of four pixels, across
    red, _, blue = ((torch.from_numpy(art.images[0]).float() - 127.5).flatten(0, 1).std(0)).tolist()
    assert blue < red / 3  # the colour of the data
