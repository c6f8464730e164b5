"""Distance fields and noise, against literal formulas in float64."""

from __future__ import annotations

import math

import pytest
import torch

from layerscope.world import fields

X, Y = (
    axis.reshape(1, -1) for axis in torch.meshgrid(torch.linspace(-1, 1, 41), torch.linspace(-1, 1, 41), indexing="xy")
)


def test_circle_and_box_are_exact():
    circle = torch.sqrt(X.double() ** 2 + Y.double() ** 2) - 0.4
    assert torch.allclose(fields.circle(X, Y, 0.4).double(), circle, atol=1e-4)
    outside = torch.sqrt((X.double().abs() - 0.5).clamp(min=0) ** 2 + (Y.double().abs() - 0.3).clamp(min=0) ** 2)
    inside = torch.maximum(X.double().abs() - 0.5, Y.double().abs() - 0.3).clamp(max=0)
    assert torch.allclose(fields.box(X, Y, 0.5, 0.3).double(), outside + inside, atol=1e-4)


def test_ellipse_outline_is_where_it_should_be():
    angle = torch.linspace(0, 2 * math.pi, 50)
    outline = fields.ellipse((0.7 * torch.cos(angle))[None], (0.3 * torch.sin(angle))[None], 0.7, 0.3)
    assert outline.abs().max() < 1e-3
    assert (fields.ellipse(X * 0, Y * 0, 0.7, 0.3) < 0).all()


def test_segment_tapers():
    along = torch.tensor([[0.0, 1.0]])
    assert torch.allclose(
        fields.segment(along, along * 0, (0.0, 0.0), (1.0, 0.0), 0.2, 0.1), torch.tensor([[-0.2, -0.1]]), atol=1e-4
    )


def test_direction_is_atan2_in_turns():
    exact = torch.atan2(Y.double(), X.double()) / (2 * math.pi)
    away = (X.abs() + Y.abs()) > 0.01
    gap = (fields.direction(Y, X).double() - exact)[away].abs()
    assert torch.minimum(gap, 1 - gap).max() < 1e-5


def test_wave_is_nearly_a_sine():
    t = torch.linspace(-3, 3, 1001)
    assert (fields.wave(t) - torch.sin(2 * math.pi * t)).abs().max() < 2e-3


@pytest.mark.parametrize("count", [5, 7, 12])
def test_fold_repeats_around_the_centre(count):
    angle = 2 * math.pi / count
    turned = fields.turn(X, Y, -angle)
    first, second = fields.fold(X, Y, count), fields.fold(*turned, count)
    seam = fields.fract(fields.direction(Y, X) * count)
    clear = (seam > 0.02) & (seam < 0.98) & (fields.length(X, Y) > 0.05)
    for one, other in zip(first, second, strict=True):
        assert torch.allclose(one[clear], other[clear], atol=2e-3)


def test_noise_is_smooth_periodic_and_of_unit_variance():
    u = torch.rand(20000, generator=torch.Generator().manual_seed(0)) * 64
    v = torch.rand(20000, generator=torch.Generator().manual_seed(1)) * 64
    first, second = fields.noises(u, v)
    assert abs(first.std() - 1) < 0.1
    assert abs(first.mean()) < 0.1
    assert abs(torch.corrcoef(torch.stack([first, second]))[0, 1]) < 0.1
    assert torch.allclose(first, fields.noise(u + 64, v - 64), atol=1e-3)
    assert (first - fields.noise(u + 0.01, v)).abs().max() < 0.2
