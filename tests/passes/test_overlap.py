"""Overlaps against a literal re-implementation of Network Dissection in float64, at native resolution."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from seen_units import activations, orders, seen_in
from torch import Tensor

from layerscope.errors import InputError
from layerscope.passes.masks import ConceptMasks
from layerscope.passes.overlap import Overlap, Overlaps


def cells(pixels: int, count: int) -> list[slice]:
    """Where the cells of adaptive average pooling begin and end: they overlap where the sizes do not divide."""
    return [slice(pixels * i // count, -(-pixels * (i + 1) // count)) for i in range(count)]


def literal_iou(units: Tensor, masks: Tensor, thresholds: Tensor) -> np.ndarray:
    """Image by image, unit by unit, as NetDissect tallies: intersections, areas of units, areas of concepts."""
    _, many, height, width = units.shape
    concepts = masks.shape[1]
    both = np.zeros((many, thresholds.shape[1], concepts))
    of_unit, of_concept = np.zeros((many, thresholds.shape[1])), np.zeros(concepts)
    for activation, mask in zip(units.double().numpy(), masks.double().numpy(), strict=True):
        fraction = np.array(
            [
                [
                    [m[rows, columns].mean() for columns in cells(mask.shape[2], width)]
                    for rows in cells(mask.shape[1], height)
                ]
                for m in mask
            ]
        )
        of_concept += fraction.sum((1, 2))
        for unit in range(many):
            for level, threshold in enumerate(thresholds[unit].tolist()):
                above = activation[unit] > threshold
                of_unit[unit, level] += above.sum()
                both[unit, level] += (fraction * above).sum((1, 2))
    union = of_unit[..., None] + of_concept - both
    return np.divide(both, union, out=np.zeros_like(both), where=union > 0)


def drawn_masks(seed: int, images: int, concepts: int, height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    share = torch.rand(concepts, 1, 1, generator=generator)
    return torch.rand(images, concepts, height, width, generator=generator) < share


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), orders(), st.sampled_from([(4, 5), (8, 10), (9, 13), (3, 4)]))
def test_iou_is_that_of_network_dissection(seed: int, order: list[tuple[int, int]], size: tuple[int, int]) -> None:
    """Masks finer than the map, of sizes that divide and that do not, and coarser ones."""
    units, masks = activations(seed), drawn_masks(seed, 9, 6, *size)
    generator = torch.Generator().manual_seed(seed)
    thresholds = (
        torch.randint(-70, 71, (3, 7), generator=generator) / 16
    )  # in no order, ties among them, some never met
    found = seen_in(Overlap(ConceptMasks(masks), thresholds), units, order)
    np.testing.assert_allclose(found.iou.numpy(), literal_iou(units, masks, thresholds), rtol=1e-12, atol=1e-15)
    assert found.positions == 9 * 20
    above = units.permute(1, 0, 2, 3).flatten(1)[:, None] > thresholds[..., None]
    assert torch.equal(found.active, above.sum(2))


def test_where_sizes_are_equal_it_is_the_iou_of_pixels() -> None:
    units, masks = activations(1), drawn_masks(1, 9, 2, 4, 5)
    thresholds = torch.zeros(3, 1)
    found = seen_in(Overlap(ConceptMasks(masks), thresholds), units, [(0, 9)]).iou[:, 0]
    for unit in range(3):
        for concept in range(2):
            on, there = units[:, unit] > 0, masks[:, concept]
            assert float(found[unit, concept]) == pytest.approx(
                float((on & there).sum() / (on | there).sum()), rel=1e-6
            )


def test_a_unit_that_is_the_concept_has_an_iou_of_one() -> None:
    masks = drawn_masks(0, 9, 3, 6, 6)
    found = seen_in(Overlap(ConceptMasks(masks), torch.full((3, 1), 0.5)), masks.float(), [(0, 9)])
    assert torch.equal(found.iou[:, 0].diagonal(), torch.ones(3, dtype=torch.float64))
    assert (found.iou[:, 0][~torch.eye(3, dtype=torch.bool)] < 0.9).all()
    assert torch.equal(found.ceiling[:, 0].diagonal(), torch.ones(3, dtype=torch.float64))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31))
def test_no_iou_is_above_its_ceiling(seed: int) -> None:
    units, masks = activations(seed), drawn_masks(seed, 9, 6, 8, 8)
    found = seen_in(Overlap(ConceptMasks(masks), torch.tensor([[-9.0, 1.0, 3.9, 9.0]] * 3)), units, [(0, 9)])
    assert (found.iou <= found.ceiling + 1e-12).all()
    assert (found.iou[:, 3] == 0).all()  # never active: no intersection, and no division by nothing
    q, p = found.active.double() / found.positions, found.labelled / found.positions
    wanted = torch.minimum(q[..., None], p) / torch.maximum(q[..., None], p).clamp(min=1e-300)
    torch.testing.assert_close(found.ceiling, wanted, rtol=1e-12, atol=0)


def test_what_is_never_there_and_never_active_has_an_iou_of_zero() -> None:
    none = Overlaps(torch.zeros(1, 1, 1).double(), torch.zeros(1, 1).long(), torch.zeros(1).double(), 4)
    assert none.iou.tolist() == none.ceiling.tolist() == [[[0.0]]]


def test_tokens_are_the_square_of_patches_and_single_values_the_whole_image() -> None:
    units, masks = activations(2, 4, 4), drawn_masks(2, 9, 5, 8, 8)
    thresholds = torch.tensor([[0.0, 2.0]] * 3)
    wanted = seen_in(Overlap(ConceptMasks(masks), thresholds), units, [(0, 9)])
    tokens = torch.cat([torch.full((9, 3, 1), 99.0), units.flatten(2)], 2)  # a class token, which has no place
    assert torch.equal(seen_in(Overlap(ConceptMasks(masks), thresholds), tokens, [(0, 9)]).iou, wanted.iou)
    flat = seen_in(Overlap(ConceptMasks(masks), thresholds), units.amax((2, 3)), [(0, 9)])
    assert flat.positions == 9
    np.testing.assert_allclose(
        flat.iou.numpy(), literal_iou(units.amax((2, 3), keepdim=True), masks, thresholds), rtol=1e-12
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 8), st.integers(1, 9), orders())
def test_only_some_images_count(first: int, many: int, order: list[tuple[int, int]]) -> None:
    """As if there were no others; also with the masks of the images alone that are seen in one go."""
    units, masks, thresholds = activations(4), drawn_masks(4, 9, 5, 8, 8), torch.tensor([[0.0, 2.0]] * 3)
    some = range(first, min(first + many, 9))
    wanted = seen_in(
        Overlap(ConceptMasks(masks[first : some.stop]), thresholds), units[first : some.stop], [(0, len(some))]
    )
    whole, joined = (Overlap(ConceptMasks(masks), thresholds, some) for _ in range(2))
    for start, stop in order:
        part = whole.for_images(start, stop)
        part.update(units[start:stop], start)
        joined.absorb(part.state())
    for found in (seen_in(whole, units, order), joined.compute()):
        assert torch.equal(found.active, wanted.active)
        assert found.positions == wanted.positions == len(some) * 20
        np.testing.assert_allclose(found.intersection.numpy(), wanted.intersection.numpy(), rtol=1e-12)
        np.testing.assert_allclose(found.labelled.numpy(), wanted.labelled.numpy(), rtol=1e-12)


def test_whoever_sees_some_images_gets_their_masks_alone() -> None:
    masks = ConceptMasks(drawn_masks(5, 9, 5, 8, 8))
    part = masks.of(2, 5)
    assert part is masks.of(2, 5)  # shared by all layers
    assert len(pickle.dumps(part)) < 3 * 5 * 8 * 8 + 1000 < len(pickle.dumps(masks))
    assert torch.equal(part.fractions(3, 2, (4, 4)), masks.fractions(3, 2, (4, 4)))
    for first in (0, 1, 4):
        with pytest.raises(InputError, match=f"for images {first} to {first + 1}"):
            part.fractions(first, 2, (4, 4))


def test_layers_share_the_work_on_the_masks() -> None:
    asked: list[slice] = []

    class Counted:
        def __getitem__(self, images: slice, /) -> Tensor:
            asked.append(images)
            return drawn_masks(3, 9, 5, 8, 8)[images]

    masks = ConceptMasks(Counted())
    layers = [Overlap(masks, torch.zeros(3, 1)) for _ in range(4)]
    sizes = [(4, 5), (2, 2), (4, 5), (1, 1)]
    alone = [
        seen_in(Overlap(ConceptMasks(drawn_masks(3, 9, 5, 8, 8)), torch.zeros(3, 1)), activations(3, *size), [(0, 9)])
        for size in sizes
    ]
    for first, stop in ((0, 4), (4, 9)):
        for layer, size in zip(layers, sizes, strict=True):
            layer.update(activations(3, *size)[first:stop], first)
    assert asked == [slice(0, 4), slice(4, 9)]
    for layer, one in zip(layers, alone, strict=True):
        torch.testing.assert_close(layer.compute().iou, one.iou, rtol=1e-12, atol=1e-15)


def test_fractions_are_those_of_each_cell() -> None:
    masks = torch.zeros(1, 1, 4, 4)
    masks[0, 0, 0, :3] = 1
    assert ConceptMasks(masks).fractions(0, 1, (2, 2)).tolist() == [[[0.5], [0.25], [0.0], [0.0]]]


def test_what_cannot_be_is_refused() -> None:
    masks = drawn_masks(0, 4, 2, 8, 8)
    with pytest.raises(InputError, match=r"masks of shape \(1, 2, 8, 8\) for images 3 to 5; give"):
        ConceptMasks(masks).fractions(3, 3, (2, 2))
    with pytest.raises(InputError, match=r"masks of shape \(2, 8, 8\) for images 0 to 1; give"):
        ConceptMasks(masks[:, 0]).fractions(0, 2, (2, 2))
    with pytest.raises(InputError, match="masks of 0 to 255; give booleans or fractions"):
        ConceptMasks(torch.tensor([0, 255]).view(1, 1, 1, 2)).fractions(0, 1, (1, 1))
    for wrong in (torch.zeros(3), torch.zeros(3, 0), torch.full((3, 1), torch.nan)):
        with pytest.raises(InputError, match=r"thresholds of shape .*; give numbers \[units, thresholds\]"):
            Overlap(ConceptMasks(masks), wrong)
    with pytest.raises(InputError, match="5 units and thresholds for 3"):
        Overlap(ConceptMasks(masks), torch.zeros(3, 1)).update(torch.zeros(1, 5, 2, 2), 0)
