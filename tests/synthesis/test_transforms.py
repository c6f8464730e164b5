"""Views never see the edge of their canvas, and go where their parameters say."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from layerscope.synthesis.transforms import Wander

EXTREMES = torch.tensor(list(itertools.product((-1.0, 0.0, 1.0), repeat=4)))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(5, 70),
    st.floats(0, 3.2),
    st.floats(0.3, 1.0),
    st.floats(1.0, 1.6),
    st.floats(0, 0.3),
)
def test_no_frame_or_corner_is_ever_seen(view: int, rotate: float, least: float, most: float, shift: float) -> None:
    wander = Wander(view, rotate, (least, most), shift)
    inside = torch.ones(len(EXTREMES), 1, wander.canvas, wander.canvas)  # outside of the canvas is 0
    # turns between the extremes can reach further than the extremes: all are tried
    turns = torch.linspace(-1, 1, len(EXTREMES))
    for drawn in (EXTREMES, torch.cat([turns[:, None], EXTREMES[:, 1:]], 1)):
        torch.testing.assert_close(wander.apply(inside, drawn), torch.ones(len(EXTREMES), 1, view, view))


def test_a_marked_border_pixel_is_seen_without_the_margin_only() -> None:
    wander = Wander(16, 0.2, (0.9, 1.1), 0.05)
    marked = torch.zeros(1, 1, 16, 16)
    marked[..., 0, :] = marked[..., -1, :] = marked[..., 0] = marked[..., -1] = 1
    framed = Wander(16).apply(marked, torch.zeros(1, 4))
    assert framed.max() == 1
    # all that a canvas adds around the view's furthest reach is padding, which stays unseen
    assert wander.margin >= 3


def test_zero_parameters_are_the_view_in_the_middle() -> None:
    wander = Wander(9, 0.3, (0.8, 1.2), 0.1)
    canvas = torch.rand(2, 3, wander.canvas, wander.canvas, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(wander.apply(canvas, torch.zeros(2, 4)), wander.middle(canvas), atol=1e-5, rtol=0)


def test_without_transforms_there_is_no_margin() -> None:
    assert Wander(31).canvas == 31


def test_a_shift_to_the_right_shows_what_is_on_the_right() -> None:
    wander = Wander(8, shift=0.25)
    canvas = torch.arange(wander.canvas, dtype=torch.float32).expand(1, 1, wander.canvas, -1)
    moved = wander.apply(canvas, torch.tensor([[0.0, 0, 1, 0]]))
    torch.testing.assert_close(moved, wander.middle(canvas) + 2, atol=1e-4, rtol=0)


def test_a_scale_above_one_shows_more_of_the_canvas() -> None:
    wander = Wander(8, scale=(0.5, 1.5))
    canvas = torch.arange(wander.canvas, dtype=torch.float32).expand(1, 1, wander.canvas, -1)
    spans = [float(view[..., -1].mean() - view[..., 0].mean()) for view in (wander.apply(canvas, d) for d in _zooms())]
    assert spans == pytest.approx([3.5, 10.5], abs=1e-3)


def _zooms() -> list[torch.Tensor]:
    return [torch.tensor([[0.0, -1, 0, 0]]), torch.tensor([[0.0, 1, 0, 0]])]


def test_parameters_are_drawn_from_the_generator_alone() -> None:
    before = torch.random.get_rng_state()
    one, two = (Wander(8).draw(50, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one, two)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert -1 <= one.min() < -0.8 < 0.8 < one.max() <= 1
