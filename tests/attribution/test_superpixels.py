"""Superpixels and what is made of them: planted regions, scikit-image's SLIC, and maps that keep their sums."""

from __future__ import annotations

import pytest
import torch
from skimage.measure import label
from skimage.segmentation import slic
from tasks import pictures
from torch import Tensor

from layerscope.attribution.segments import as_map, segments_of, with_segments
from layerscope.attribution.superpixels import _connected, _parts, superpixels
from layerscope.errors import InputError


def planted(size: int = 96, regions: int = 7, noise: float = 0.02, seed: int = 0) -> tuple[Tensor, Tensor]:
    """An image of regions of one colour each under a little noise, and the number of the region of each pixel."""
    generator = torch.Generator().manual_seed(seed)
    seeds = torch.rand(regions, 2, generator=generator) * size
    places = torch.cartesian_prod(torch.arange(size), torch.arange(size)).float()
    truth = torch.cdist(places, seeds).argmin(1).view(size, size)
    corners = torch.cartesian_prod(*[torch.tensor([0.1, 0.9])] * 3)
    colours = corners[torch.randperm(8, generator=generator)[:regions]]
    image = colours[truth].permute(2, 0, 1) + noise * torch.randn(3, size, size, generator=generator)
    return image.clamp(0, 1), truth


def purity(pieces: Tensor, truth: Tensor) -> float:
    """The share of pixels in the region that most of their superpixel lies in."""
    table = torch.zeros(int(pieces.max()) + 1, int(truth.max()) + 1)
    table.index_put_((pieces.flatten(), truth.flatten()), torch.ones(truth.numel()), accumulate=True)
    return float(table.amax(1).sum() / truth.numel())


def boundaries(numbers: Tensor) -> Tensor:
    down, right = numbers[1:, :-1] != numbers[:-1, :-1], numbers[:-1, 1:] != numbers[:-1, :-1]
    return down | right


@pytest.mark.parametrize("seed", [0, 2, 3])
@pytest.mark.parametrize("segments", [49, 100])
def test_planted_regions_are_found_exactly(seed, segments):
    image, truth = planted(seed=seed)
    pieces = superpixels(image, segments)
    assert purity(pieces, truth) == 1
    assert boundaries(pieces)[boundaries(truth)].all()  # boundary recall of 1 without tolerance


@pytest.mark.parametrize("seed", range(3))
def test_no_worse_than_scikit_image(seed):
    image, truth = planted(seed=seed, noise=0.1)
    ours = superpixels(image, 49)
    theirs = torch.from_numpy(slic(image.permute(1, 2, 0).numpy(), n_segments=49, start_label=0)).long()
    assert purity(ours, truth) >= purity(theirs, truth) - 0.005
    recalls = [float(boundaries(pieces)[boundaries(truth)].float().mean()) for pieces in (ours, theirs)]
    assert recalls[0] >= recalls[1] - 0.005


@pytest.mark.parametrize(
    ("segments", "height", "width"), [(1, 9, 9), (16, 32, 32), (49, 64, 64), (50, 40, 80), (6, 10, 60)]
)
def test_a_flat_image_is_cut_into_a_regular_grid(segments, height, width):
    pieces = superpixels(torch.full((3, height, width), 0.4), segments)
    assert pieces.shape == (height, width)
    assert pieces.dtype == torch.int64
    sizes = pieces.flatten().bincount()
    assert abs(len(sizes) - segments) <= 0.15 * segments
    assert sizes.max() <= 1.6 * sizes.min()
    for number in range(len(sizes)):  # a rectangle each
        rows, columns = (pieces == number).nonzero(as_tuple=True)
        assert (rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1) <= 1.5 * len(rows)


def test_pieces_are_compact_under_noise():
    pieces = superpixels(pictures(1, 96)[0] * 0.1 + 0.4, 36)
    for number in range(int(pieces.max()) + 1):
        places = (pieces == number).nonzero().float()
        assert (places - places.mean(0)).norm(dim=1).max() < 2 * 96 / 6


@pytest.mark.parametrize("channels", [1, 3])
def test_pieces_are_connected(channels):
    image = pictures(1, 64, channels=channels)[0]
    pieces = superpixels(image, 25, compactness=0.02)  # colour counts most, so that much has to be repaired
    for number in range(int(pieces.max()) + 1):
        assert label((pieces == number).numpy(), connectivity=1).max() == 1
    assert int(pieces.max()) + 1 == pieces.unique().numel() > 15


def test_the_largest_part_stays():
    numbers = torch.tensor([[0, 0, 1, 0], [0, 0, 1, 1], [2, 1, 1, 1], [2, 2, 1, 0]])
    assert _connected(numbers).tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [2, 1, 1, 1], [2, 2, 1, 1]]
    snake = torch.zeros(9, 9, dtype=torch.long)
    snake[1::4, :-1] = snake[3::4, 1:] = 1
    assert _parts(snake)[snake == 0].unique().numel() == 1
    assert _parts(snake)[snake == 1].unique().numel() == 4


def test_the_same_image_gives_the_same_pieces_and_nothing_is_drawn():
    image, state = pictures(1, 48)[0], torch.get_rng_state()
    assert torch.equal(superpixels(image, 20), superpixels(image.clone(), 20))
    assert torch.equal(torch.get_rng_state(), state)
    grey = superpixels(image[:1], 20)
    assert grey.shape == (48, 48)
    assert not torch.equal(grey, superpixels(image, 20))


def test_more_pieces_than_pixels():
    assert superpixels(pictures(1, 4)[0], 100).unique().numel() <= 16
    assert superpixels(pictures(1, 1)[0], 3).tolist() == [[0]]


@pytest.mark.parametrize("segments", [0, -3, 2.5, True, "many"])
def test_a_number_that_is_none(segments):
    with pytest.raises(InputError, match=r"^segments=.*; it has to be a whole number of at least 1$"):
        superpixels(pictures(1, 8)[0], segments)


# --- pieces as methods use them


def test_given_pieces_are_renumbered():
    given = torch.tensor([[9, 9, -1], [4, 4, 4]], dtype=torch.int16)
    assert segments_of(torch.zeros(1, 3, 2, 3), given).tolist() == [[2, 2, 0], [1, 1, 1]]


def test_an_image_with_some_of_its_pieces():
    image, reference = pictures(1, 4), pictures(1, 4, seed=1)
    numbers = torch.arange(16).view(4, 4) % 3
    kept = torch.tensor([[True, False, True], [False, False, False]])
    made = with_segments(image, reference, numbers, kept)
    assert torch.equal(made[0][:, numbers != 1], image[0][:, numbers != 1])
    assert torch.equal(made[0][:, numbers == 1], reference[0][:, numbers == 1])
    assert torch.equal(made[1], reference[0])


def test_a_map_of_pieces_keeps_their_sums():
    numbers, effects = torch.arange(20).view(4, 5) % 3, torch.tensor([3.0, -2.0, 0.5], dtype=torch.float64)
    spread = as_map(effects, numbers)
    assert spread.shape == (1, 1, 4, 5)
    for number in range(3):
        inside = spread[0, 0][numbers == number]
        assert inside.unique().numel() == 1
        assert float(inside.sum()) == pytest.approx(float(effects[number]))
