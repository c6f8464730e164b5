"""Pictures of large networks have the same bytes in any company, place and number of threads: bfloat16, packed weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest
import torch
from small_nets import seeded

from layerscope.models.model import VisionModel, wrap
from layerscope.models.packed import PackedConv, can_pack
from layerscope.models.precision import Precision
from layerscope.models.stem import BlockedStem
from layerscope.synthesis import work
from layerscope.synthesis.ascent import maximise
from layerscope.synthesis.outcome import Synthesis
from layerscope.synthesis.picked import SomeChannels
from layerscope.synthesis.recipes import Recipe, recipe_for

LAYER = "layer1.0.conv2"


@pytest.fixture(scope="module")
def resnet() -> VisionModel:
    from torchvision.models import resnet18

    return wrap(seeded(resnet18(weights=None)), 224)


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def _recipe(model: VisionModel, view: int, together: int, precision: Precision) -> Recipe:
    recipe = recipe_for("draft", model.layer(LAYER), model)
    return dataclasses.replace(recipe, view=view, together=together, steps=2, precision=precision)


@pytest.mark.parametrize(
    ("view", "together", "precision"),
    [
        (64, 16, "bfloat16"),
        (48, 32, "bfloat16"),
        pytest.param(64, 16, "float32", marks=pytest.mark.slow),
        pytest.param(128, 16, "bfloat16", marks=pytest.mark.slow),
        pytest.param(90, 32, "bfloat16", marks=pytest.mark.slow),
        pytest.param(224, 8, "bfloat16", marks=pytest.mark.slow),
    ],
)
def test_bytes_are_the_same_in_any_company_place_and_number_of_threads(
    resnet: VisionModel, view: int, together: int, precision: Precision, threads: None
) -> None:
    recipe = _recipe(resnet, view, together, precision)
    torch.set_num_threads(1)
    unit, rest = f"{LAYER}:57", [f"{LAYER}:{other}" for other in range(together + 1)]
    alone = maximise(resnet, [unit], recipe=recipe)
    torch.set_num_threads(4)  # more than there are is slow, not different
    sought = [*rest, unit, *rest[: together - 3]]  # two full batches, not in the first
    art = maximise(resnet, sought, recipe=recipe)
    assert _bytes(art, sought.index(unit)) == _bytes(alone, 0)


def _bytes(art: Synthesis, place: int) -> dict[str, bytes]:
    return {name: getattr(art, name)[place].tobytes() for name in ("images", "trace", "scores", "controls")}


def test_the_fast_ways_are_taken(resnet: VisionModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests above are of nothing where they are not."""
    made = []
    original = work.private_copy
    monkeypatch.setattr(work, "private_copy", lambda *args, **more: made.append(original(*args, **more)) or made[-1])
    maximise(resnet, [f"{LAYER}:1"], recipe=_recipe(resnet, 48, 16, "bfloat16"))
    kinds = {type(part) for part in made[0].modules()}
    assert {BlockedStem, SomeChannels} <= kinds
    assert (PackedConv in kinds) == can_pack()
    assert next(made[0].parameters()).dtype == torch.bfloat16
