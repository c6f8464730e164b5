"""Networks of detectors, each of which sees one tile and nothing else: added up, or one for each class."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from layerscope.faithfulness.tiers.board_cases import MEAN, PARTS, STD, board_case, wrapped
from layerscope.faithfulness.tiers.stimuli import TILE, Board, corners, mottled, tiles
from layerscope.faithfulness.tiers.tier import SIZE, Tier, precise
from layerscope.models.model import VisionModel

WEIGHTS = (4.0, 2.5, 1.5, 0.8, -0.6, -1.2, -2.0, -3.0)
"""What a known tile adds to a class of the additive network: each class has them in another order."""
CLASSES = 4
LARGE = 4.0
"""Logit of a tile in the network that looks for one."""
THRESHOLD = 0.6
"""Share of its own tile's response from which a detector is active: other tiles, alone or in part, reach less."""
CELLS = 5
"""These tiles have so many colours along a side."""
_STRIDE, _PADDING = 4, 3
"""Windows start where tiles may start, and the detectors' map covers the image."""


def additive(cases: int, seed: int) -> Tier:
    """Detectors of tiles, whose responses are added up with large and small, positive and negative weights."""
    generator = torch.Generator().manual_seed(seed)
    known = tiles(len(WEIGHTS), CELLS, generator)
    orders = torch.stack([torch.randperm(len(WEIGHTS), generator=generator) for _ in range(CLASSES)])
    model = detectors(known, torch.tensor(WEIGHTS)[orders], "additive")
    strangers, predict, found = tiles(cases, CELLS, generator), precise(model), []
    for number in range(cases):
        chosen = torch.randperm(len(WEIGHTS), generator=generator)[:PARTS]
        board = _with_stranger(known[chosen], strangers[number], generator)
        found.append(board_case(model, predict, board, seed + number, stranger=True))
    words = (
        "Detectors of tiles, added up: a tile's effect is its weight, whatever else is there. A right map orders the "
        "tiles by their weights, with those that speak against the class last."
    )
    return Tier("additive", "additive", words, "part_rank", model, tuple(found))


def template(cases: int, seed: int) -> Tier:
    """Each class knows two tiles; of the tiles in an image one is of these, and the others known to no detector."""
    generator = torch.Generator().manual_seed(seed)
    known = tiles(2 * CLASSES, CELLS, generator)
    model = detectors(known, LARGE * torch.eye(CLASSES).repeat_interleave(2, 1), "template")
    predict, found = precise(model), []
    for number in range(cases):
        one = int(torch.randint(len(known), (1,), generator=generator))
        shown = torch.cat([known[one : one + 1], tiles(PARTS - 1, CELLS, generator)])
        board = _with_stranger(shown, tiles(1, CELLS, generator)[0], generator)
        case = board_case(model, predict, board, seed + number, stranger=True)
        masks = board.masks[:PARTS]
        found.append(replace(case, thing=masks[0], clutter=masks[1:].any(0)))
    words = (
        "One tile makes the label; five decoys do nothing, exactly. A right map is largest on that tile, and empty on "
        "the decoys."
    )
    return Tier("template", "one tile", words, "pointing", model, tuple(found))


def detectors(known: Tensor, weights: Tensor, name: str) -> VisionModel:
    """A network whose logits are `weights` [classes, tiles] times how often each known tile [tiles, 3, ..] is seen.

    A convolution compares each place with the tiles, a ReLU is above zero only where one of them is, exactly.
    """
    shapes = (known - MEAN) / STD
    filters = shapes / shapes.square().sum((1, 2, 3), keepdim=True) / (1 - THRESHOLD)
    conv = skip_init(nn.Conv2d, 3, len(known), TILE, _STRIDE, _PADDING)
    logits = skip_init(nn.Linear, len(known), len(weights), bias=False)
    with torch.no_grad():
        conv.weight.copy_(filters)
        assert conv.bias is not None
        conv.bias.fill_(-THRESHOLD / (1 - THRESHOLD))
        logits.weight.copy_(weights * (SIZE // _STRIDE) ** 2)  # the mean over all places comes before
    parts = OrderedDict(conv=conv, relu=nn.ReLU(), pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), logits=logits)
    return wrapped(parts, name)


def _with_stranger(shown: Tensor, stranger: Tensor, generator: torch.Generator) -> Board:
    """The tiles, and last one more that no detector knows."""
    return Board(mottled(generator), torch.cat([shown, stranger[None]]), tuple(corners(len(shown) + 1, generator)))
