"""A linear network: what a tile does is the sum of weight times what the tile changes."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import skip_init

from layerscope.faithfulness.cases import REDRAWN
from layerscope.faithfulness.tiers.board_cases import PARTS, board_case, wrapped
from layerscope.faithfulness.tiers.stimuli import Board, corners, mottled, tiles
from layerscope.faithfulness.tiers.tier import SIZE, Tier, precise, question, redrawn_twin

CLASSES = 4
LARGE = 2.0
"""About how large a tile's effect is."""
_SMOOTH = 8
"""Weights are drawn at so many places along a side, and vary smoothly between."""


def linear(cases: int, seed: int) -> Tier:
    """Logits that are weighted sums of the pixels, with weights that vary smoothly over the image."""
    generator = torch.Generator().manual_seed(seed)
    side = SIZE // 2
    conv = skip_init(nn.Conv2d, 3, 3, 4, stride=2, padding=1, bias=False)  # each channel smoothed
    logits = skip_init(nn.Linear, 3 * side * side, CLASSES, bias=False)
    coarse = torch.randn(CLASSES, 3, _SMOOTH, _SMOOTH, generator=generator)
    smooth = F.interpolate(coarse, size=(side, side), mode="bicubic", align_corners=False)
    with torch.no_grad():
        conv.weight.copy_(torch.eye(3)[:, :, None, None].expand(3, 3, 4, 4) / 16)
        logits.weight.copy_(LARGE * smooth.flatten(1) / side)
    model = wrapped(OrderedDict(conv=conv, flatten=nn.Flatten(), logits=logits), "linear")
    predict = precise(model)
    found = []
    for number in range(cases):
        board = Board(mottled(generator), tiles(PARTS, 2, generator), tuple(corners(PARTS, generator)))
        case, twin = board_case(model, predict, board, seed + number), redrawn_twin(model, seed + number)
        again = question(twin, precise(twin), board.alone(), case.asked.target)
        found.append(replace(case, questions={**case.questions, REDRAWN: again}))
    words = (
        "A linear network: what a tile does is the sum of weight times what the tile changes, exactly. A right map "
        "orders the tiles by it."
    )
    return Tier("linear", "linear", words, "part_rank", model, tuple(found))
