from __future__ import annotations

import pytest
import torch

from layerscope.capture.positions import at_centre, at_position, extra_tokens, grid_of
from layerscope.errors import InputError


def test_tokens_are_the_square_of_patches_at_their_end() -> None:
    tokens = torch.arange(2 * 3 * 11.0).view(2, 3, 11)
    grid = grid_of(tokens)
    assert grid.shape == (2, 3, 3, 3)
    assert torch.equal(grid.flatten(2), tokens[..., 2:])
    assert grid.untyped_storage().data_ptr() == tokens.untyped_storage().data_ptr()
    assert torch.equal(at_position(tokens, (1, 2)), tokens[..., 2 + 5])
    assert torch.equal(at_centre(tokens), tokens[..., 2 + 4])


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4, 5), (2, 3, 4, 5, 6)])
def test_other_shapes_stay(shape: tuple[int, ...]) -> None:
    units = torch.zeros(shape)
    assert grid_of(units) is units


def test_how_many_tokens_come_before_the_square() -> None:
    counts = {196: 0, 197: 1, 201: 5, 202: None, 1: 0, 3: 2, 224: None}
    assert {tokens: extra_tokens(tokens) for tokens in counts} == counts
    with pytest.raises(InputError, match="202 tokens are no square of patches, so they have no rows and columns here"):
        grid_of(torch.zeros(1, 2, 202))
