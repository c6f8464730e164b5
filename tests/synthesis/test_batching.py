"""Batches: how large, what is in them, and what happens where memory does not hold them."""

from __future__ import annotations

import dataclasses
import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_nets import SmallNet, seeded
from torch import Tensor

import layerscope.objectives as ob
from layerscope.errors import InputError
from layerscope.models.memory import out_of_memory
from layerscope.models.model import VisionModel, wrap
from layerscope.models.private_copy import private_copy
from layerscope.synthesis import work
from layerscope.synthesis.ascent import maximise
from layerscope.synthesis.batching import halved, in_batches
from layerscope.synthesis.picked import picked_alike
from layerscope.synthesis.plan import that_fits
from layerscope.synthesis.recipes import PER_PIXEL, Recipe, at_size, recipe_for, together

RECIPE = Recipe("of the test", "fourier", view=32, steps=6)
UNITS = [f"conv3:{unit}" for unit in range(10)]


@given(sizes=st.lists(st.integers(1, 9)), most=st.integers(1, 12))
def test_batches_are_full_and_in_order(sizes: list[int], most: int) -> None:
    groups = list(enumerate(sizes))
    batches = list(in_batches(groups, most, lambda group: group[1]))
    assert [group for batch in batches for group in batch] == groups
    totals = [sum(size for _, size in batch) for batch in batches]
    assert all(total <= most or len(batch) == 1 for total, batch in zip(totals, batches, strict=True))
    for total, (first, *_) in zip(totals, batches[1:], strict=False):
        assert total + first[1] > most


def test_how_many_climb_together_follows_from_the_size_alone() -> None:
    sides = {48: 32, 64: 32, 90: 32, 91: 16, 96: 16, 128: 16, 129: 8, 224: 8, 512: 8}
    assert {side: together(side) for side in sides} == sides
    assert all(math.log2(together(side)).is_integer() for side in range(16, 300))


@pytest.mark.parametrize(
    ("gigabytes", "sides"),
    [
        (80, {48: 64, 224: 64, 512: 64}),
        (8, {96: 64, 224: 32, 512: 8}),
        (2, {96: 32, 160: 16, 224: 8}),
        (0.001, {96: 8}),
    ],
)
def test_on_a_gpu_as_many_as_a_quarter_of_its_memory_holds(
    gigabytes: float, sides: dict[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = SimpleNamespace(total_memory=int(gigabytes * 2**30))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: memory)
    gpu = torch.device("cuda")
    assert {side: together(side, gpu) for side in sides} == sides
    largest = max(sides)
    assert at_size(dataclasses.replace(RECIPE, together=64), largest, gpu).together == sides[largest]


def test_a_pixel_takes_less_than_half_of_what_is_counted_for_it_on_a_gpu() -> None:
    """By what resnet50 keeps for its gradient, weights aside."""
    from torchvision.models import resnet50

    x = torch.rand(1, 3, 224, 224)
    private = private_copy(resnet50(weights=None).eval(), x, ["layer4.2"], precision="bfloat16")
    weights = {one.untyped_storage().data_ptr() for one in private.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = private(x.bfloat16().requires_grad_(True))
    assert output.dtype == torch.bfloat16
    held = sum(size for pointer, size in kept.items() if pointer not in weights)
    assert 0 < held / 224**2 < PER_PIXEL / 2


def test_small_networks_climb_eight_at_a_time_and_large_ones_as_their_pictures_allow(model: VisionModel) -> None:
    large = dataclasses.replace(model, input_size=224)
    assert recipe_for("draft", None, model).together == 8
    assert recipe_for("draft", None, large).together == together(96) == 16
    assert recipe_for("fine", None, large).together == 8
    assert at_size(recipe_for("draft", None, large), 224).together == 8
    assert at_size(dataclasses.replace(RECIPE, together=4), 32).together == 4


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (MemoryError(), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("memory"), False),
    ],
)
def test_what_counts_as_out_of_memory(error: BaseException, is_one: bool) -> None:
    assert out_of_memory(error) == is_one


def test_halves_down_to_the_largest_group() -> None:
    assert [halved(size, 1, MemoryError()) for size in (32, 8, 3, 2)] == [16, 4, 1, 1]
    assert [halved(size, 6, MemoryError()) for size in (32, 8, 7)] == [16, 6, 6]
    with pytest.raises(InputError, match="memory does not hold a group of 6 pictures of this network; draw smaller"):
        halved(6, 6, MemoryError())


SHORTAGES = [
    torch.OutOfMemoryError("CUDA out of memory"),
    MemoryError("std::bad_alloc"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:1] err == 0. DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:1] data. DefaultCPUAllocator: not enough memory: you tried to"),
]


class Hungry(SmallNet):
    """Takes `most` images, and of images that are climbed `climbing`."""

    def __init__(self, most: int, climbing: int, shortage: Exception) -> None:
        super().__init__()
        self.most, self.climbing, self.shortage = most, climbing, shortage

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > (self.climbing if x.requires_grad else self.most):
            raise type(self.shortage)(*self.shortage.args)
        return super().forward(x)


def hungry(most: int, climbing: int, shortage: Exception = SHORTAGES[0]) -> VisionModel:
    return wrap(seeded(Hungry(most, climbing, shortage)), 32, class_names=("owl", "cat", "hut", "tree", "cup"))


def test_batches_are_halved_and_the_notes_say_so() -> None:
    art = maximise(hungry(8, 4), [*UNITS, "owl"], recipe=RECIPE)
    assert all(note.startswith("climbed 4 at a time instead of 8, for want of memory") for note in art.notes)
    assert (art.scores > art.controls).all()
    again = maximise(hungry(8, 4), [*UNITS, "owl"], recipe=RECIPE)
    assert again.images.tobytes() == art.images.tobytes()
    for place in (0, 9, 10):
        alone = maximise(hungry(8, 4), [[*UNITS, "owl"][place]], recipe=RECIPE)
        assert alone.images[0].tobytes() == art.images[place].tobytes()
        assert alone.trace.tobytes() == art.trace[place].tobytes()
    four = maximise(hungry(8, 8), UNITS, recipe=dataclasses.replace(RECIPE, together=4))
    assert four.images.tobytes() == art.images[:10].tobytes()
    assert not any("memory" in note for note in four.notes)


def test_scoring_is_halved_too() -> None:
    art = maximise(hungry(3, 3), UNITS, recipe=RECIPE)
    words = (
        "climbed 2 at a time instead of 8, for want of memory; scored 2 at a time instead of 8, for want of memory; "
    )
    assert all(note.startswith(words) for note in art.notes)
    assert maximise(hungry(8, 8), UNITS, recipe=RECIPE).scores == pytest.approx(art.scores, rel=1e-3)


@pytest.mark.parametrize("shortage", SHORTAGES, ids=[type(one).__name__ + str(one)[-9:] for one in SHORTAGES])
def test_work_goes_on_in_halves_whatever_words_say_that_memory_is_short(shortage: Exception) -> None:
    art = maximise(hungry(3, 4, shortage), UNITS, recipe=RECIPE)
    words = "climbed 4 at a time instead of 8, for want of memory; scored 2 at a time instead of 8, for want of memory"
    assert all(note.startswith(words) for note in art.notes)
    four = maximise(hungry(8, 8), UNITS, recipe=dataclasses.replace(RECIPE, together=4))
    assert art.images.tobytes() == four.images.tobytes()


@pytest.mark.parametrize("shortage", SHORTAGES, ids=[type(one).__name__ + str(one)[-9:] for one in SHORTAGES])
def test_a_copy_that_memory_does_not_hold_is_tried_again_with_half(
    monkeypatch: pytest.MonkeyPatch, shortage: Exception
) -> None:
    tried: list[int] = []

    def short(private: torch.nn.Module, layer: str, size: int, example: Tensor) -> object:
        tried.append(size)
        if size > 4:
            raise shortage
        return picked_alike(private, layer, size, example)

    monkeypatch.setattr(work, "picked_alike", short)
    art = maximise(hungry(8, 8), UNITS, recipe=RECIPE)
    assert tried == [8, 4]
    assert all(note.startswith("climbed 4 at a time instead of 8, for want of memory") for note in art.notes)


@pytest.mark.parametrize("shortage", SHORTAGES, ids=[type(one).__name__ + str(one)[-9:] for one in SHORTAGES])
def test_want_of_memory_is_no_refusal_of_a_size(shortage: Exception) -> None:
    small = dataclasses.replace(RECIPE, view=16)
    with pytest.raises(InputError, match=r"^memory does not hold one picture of this network; draw smaller pictures"):
        that_fits(hungry(0, 0, shortage), small, ("conv3",))


def test_a_group_after_a_halving_still_has_its_rows() -> None:
    group = ob.channel("conv2:1") - ob.diversity("conv2")
    art = maximise(hungry(8, 6), ["conv3:1", *[group] * 6], recipe=RECIPE)
    assert art.notes[0].startswith("climbed 4 at a time instead of 8")
    assert all(note.startswith("climbed 6 at a time instead of 8") for note in art.notes[1:])


@pytest.mark.parametrize("together", [8, 1])
def test_one_picture_too_large_is_one_line(together: int) -> None:
    model = hungry(8, 0)
    with pytest.raises(InputError) as caught:
        maximise(model, UNITS, recipe=dataclasses.replace(RECIPE, together=together))
    assert str(caught.value) == (
        "memory does not hold one picture of this network; draw smaller pictures (recipe='draft'), or use a device "
        "with more memory"
    )
    assert "\n" not in str(caught.value)
    assert not any(part._forward_hooks or part.training for part in model.module.modules())
    assert all(weight.requires_grad and weight.grad is None for weight in model.module.parameters())


def test_other_errors_of_a_network_come_through() -> None:
    class Failing(SmallNet):
        def forward(self, x: Tensor) -> Tensor:
            if x.requires_grad:
                raise RuntimeError("a defect of the network")
            return super().forward(x)

    with pytest.raises(RuntimeError, match="a defect of the network"):
        maximise(wrap(seeded(Failing()), 32), UNITS, recipe=RECIPE)
