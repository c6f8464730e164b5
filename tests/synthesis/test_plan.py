"""Who climbs with whom, at which size, from which starts."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from small_nets import SmallNet, seeded
from torch import Tensor

import layerscope.objectives as ob
from layerscope.errors import InputError
from layerscope.models.model import VisionModel, wrap
from layerscope.synthesis.ascent import bound_objective, maximise
from layerscope.synthesis.checks import checked
from layerscope.synthesis.plan import plan_of, ticker
from layerscope.synthesis.recipes import Recipe

RECIPE = Recipe("of the test", "fourier", view=16, steps=6, together=32)
SEEDED = dataclasses.replace(RECIPE, parametrisation="seeded")


def bound(model: VisionModel, *sought: ob.Objective | str) -> list[ob.Objective]:
    return [bound_objective(one, model) for one in sought]


def test_pictures_of_equal_layers_and_recipes_climb_together_and_groups_stay_whole(model: VisionModel) -> None:
    group = ob.channel("conv2:1") - ob.diversity("conv2")
    sought = bound(model, "conv2:1", group, "conv3:2", "conv2:5", group, ob.neuron("conv2:1@3,4"))
    plan = plan_of(model, sought, RECIPE, None, None)
    found = [(recipe.view, layers, [party.places for party in parties]) for (recipe, layers), parties in plan.items()]
    assert found == [
        (16, ("conv2",), [(0,), (1, 4), (3,)]),
        (16, ("conv3",), [(2,)]),
        (32, ("conv2",), [(5,)]),
    ]


def test_positions_are_those_of_the_network_s_own_size(model: VisionModel) -> None:
    positioned = ob.neuron("conv2:1@3,4") + 2 * ob.channel("conv2:1")
    half = dataclasses.replace(RECIPE, magnify=0.5)
    for recipe, view in ((RECIPE, 32), (half, 64)):
        (made, _), *_ = plan_of(model, bound(model, positioned), recipe, 3, None)
        assert (made.view, made.shown, made.steps) == (view, 32, 3)


class AsLarge(SmallNet):
    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] < 224:
            raise ValueError("give 224 pixels")
        return super().forward(x)


def test_a_group_fits_into_the_batch_of_the_size_that_it_gets() -> None:
    """32 pictures of 16 pixels would go together, of 224 only 8."""
    group = ob.channel("conv2:1") - ob.diversity("conv2")
    model = wrap(seeded(AsLarge()), 224)
    with pytest.raises(
        InputError, match=r"9 pictures of .*, and one batch holds 8; give fewer, or a recipe with a larger together="
    ):
        maximise(model, [group] * 9, recipe=RECIPE)
    small = wrap(seeded(SmallNet()), 224)
    (made, _), *_ = plan_of(small, bound(small, *[group] * 9), RECIPE, None, None)
    assert (made.view, made.together) == (16, 32)


def test_starts_go_with_their_objectives_on_the_canvas_of_the_recipe(model: VisionModel) -> None:
    group = ob.channel("conv2:1") - ob.diversity("conv2")
    starts = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    plan = plan_of(model, bound(model, group, "conv2:3", group, "conv3:1"), SEEDED, None, starts)
    parties = {party.places: party for parties in plan.values() for party in parties}
    margin = SEEDED.wander.margin
    for places, party in parties.items():
        assert len(party.starts) == len(places)
        for place, start in zip(places, party.starts, strict=True):
            assert start.shape == (3, SEEDED.wander.canvas, SEEDED.wander.canvas)
            assert torch.equal(start[:, margin:-margin, margin:-margin], starts[place])


@pytest.mark.parametrize(
    ("starts", "message"),
    [
        (torch.zeros(2, 3, 16, 16), "2 starts for 1 objective; give one for each"),
        (torch.zeros(1, 3, 15, 16), r"an image of \[3, 15, 16\] cannot start a picture of \[3, 16, 16\]"),
        (torch.zeros(1, 3, 32, 32), r"an image of \[3, 32, 32\] cannot start a picture of \[3, 16, 16\]"),
        (torch.zeros(1, 3, 8, 8), r"an image of \[3, 8, 8\] cannot start a picture of \[3, 16, 16\]"),
        (torch.zeros(1, 1, 16, 16), r"an image of \[1, 16, 16\] cannot start a picture of \[3, 16, 16\]"),
        (torch.zeros(1, 3, 16, 16, dtype=torch.uint8), r"starts of torch.uint8 are no images; give a float tensor"),
        (torch.zeros(1, 3, 16, 16).numpy(), "starts of ndarray are no images; give a float tensor"),
        (torch.full((1, 3, 16, 16), 1.5), r"the starts have values outside of \[0, 1\]"),
        (torch.full((1, 3, 16, 16), float("nan")), r"the starts have values outside of \[0, 1\]"),
    ],
)
def test_starts_that_are_none_are_named(model: VisionModel, starts: Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        maximise(model, ["conv2:1"], recipe=SEEDED, starts=starts)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "recipe 'of the test' has steps=0; give a whole number from 1 to 1,000,000"),
        ({"steps": 2.5}, "has steps=2.5; give a whole number"),
        ({"view": 0}, "has view=0; give a whole number"),
        ({"together": 0}, "has together=0; give a whole number"),
        ({"magnify": 0.0}, "has magnify=0.0; give a number above 0"),
        ({"magnify": float("nan")}, "has magnify=nan; give a number above 0"),
        ({"rms": -1.0}, "has rms=-1.0; give a number above 0"),
        ({"lr": -0.1}, "has lr=-0.1; give a number of at least 0"),
        ({"lr_end": 0.0}, "has lr_end=0.0; give a number above 0"),
        ({"leak": -1.0}, "has leak=-1.0; give a number of at least 0"),
        ({"shift": float("inf")}, "has shift=inf; give a number of at least 0"),
        ({"steps": True}, "has steps=True; give a whole number"),
        ({"together": 1 << 40}, "has together=1099511627776; give a whole number from 1 to 4,096"),
        ({"lr": "a"}, "has lr='a'; give a number of at least 0"),
        ({"flatten": None}, "has flatten=None; give a finite number"),
        ({"decay": "a"}, "has decay='a'; give a finite number"),
        ({"window": 1.5}, "has window=1.5; give a number of at least 0 and at most 1"),
        ({"scale": 1.0}, "has scale=1.0; give the least and the most, above 0"),
        ({"scale": (0.0, 1.0)}, "has scale=0.0; give a number above 0"),
        ({"shift": 1e9}, r"draws on \d+ pixels a side and shows the network 16; .* keep both within 1 to 16,384"),
        ({"magnify": 1e-9}, "draws on 24 pixels a side and shows the network 0; give a view"),
        ({"name": 5}, "a recipe has name=5; give a text"),
        ({"parametrisation": []}, r"no parametrisation '\[\]'; there are: fourier"),
        ({"scale": (1.2, 1.0)}, r"has scale=\(1.2, 1.0\); give the least and the most, above 0"),
        ({"parametrisation": "foury"}, "no parametrisation 'foury'; nearest: fourier"),
        ({"precision": "float16"}, "has precision='float16'; give 'float32' or 'bfloat16'"),
    ],
)
def test_numbers_that_no_picture_is_made_with_are_refused(
    model: VisionModel, change: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        maximise(model, ["conv2:1", ob.neuron("conv2:1@1,1")], recipe=dataclasses.replace(RECIPE, **change))  # type: ignore[arg-type]
    assert checked(RECIPE) is RECIPE


def test_what_is_no_recipe_is_said(model: VisionModel) -> None:
    with pytest.raises(InputError, match=r"^None is no recipe; give 'draft', 'standard', 'fine', or a Recipe$"):
        maximise(model, ["conv2:1"], recipe=None)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"^no parametrisation 'photo'; there are: fourier"):
        RECIPE.drawn_as("photo")  # type: ignore[arg-type]


def test_the_count_of_steps_is_that_of_full_batches(model: VisionModel) -> None:
    seen: list[tuple[int, int, str]] = []
    plan = plan_of(
        model,
        bound(model, *(f"conv2:{unit}" for unit in range(8)), "conv3:1"),
        dataclasses.replace(RECIPE, together=3),
        None,
        None,
    )
    tick = ticker(plan, lambda *now: seen.append(now))
    for _ in range(30):
        tick("it")
    assert [done for done, _, _ in seen] == [*range(1, 25), *[24] * 6]  # second tries are beyond it
    assert {total for _, total, _ in seen} == {(3 + 1) * 6}
