"""A network that looks at the texture of the background alone: no weight leads to it from where things are shown."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from layerscope.faithfulness.cases import ASKED, OTHER, PATCH, REDRAWN, Case
from layerscope.faithfulness.part_game import OTHERS, choices
from layerscope.faithfulness.scoring import ScoreOf
from layerscope.faithfulness.tiers.stimuli import Board, corners, tiles
from layerscope.faithfulness.tiers.tier import (
    SIZE,
    Choices,
    Tier,
    answered,
    game,
    noisy,
    precise,
    question,
    redrawn_twin,
)
from layerscope.models.model import VisionModel, wrap

MIDDLE = slice(16, 48)
"""Rows, and columns, of the square in which things are shown."""
ANGLES = (0, 45, 90, 135)
"""Of the gratings, in degrees; one class each."""
PERIOD = 8.0
"""Of the gratings, in pixels."""
TILES = 3
_CONTRAST, _NOISE = 0.3, 0.02
_WINDOW, _STRIDE = 8, 4
_CELLS = range(1, 3)
"""Of the grid of places for tiles, those in the middle."""


def background(cases: int, seed: int) -> Tier:
    """Gratings as background, and tiles in the middle, that the network cannot see."""
    generator = torch.Generator().manual_seed(seed)
    model = _network()
    predict = precise(model)
    found = tuple(_case(model, predict, generator, seed + number) for number in range(cases))
    words = (
        "The texture of the background makes the label; of what is in the middle the network sees nothing. A right map "
        "is empty on a patch there."
    )
    return Tier("background", "background only", words, "independence", model, found)


def grating(angle: float, period: float, phase: float) -> Tensor:
    """[SIZE, SIZE] in [-1, 1]. angle: in degrees, in which the wave runs. phase: in turns, in the first pixel."""
    place, turned = torch.arange(SIZE, dtype=torch.float64), math.radians(angle)
    along = place * math.cos(turned) + place[:, None] * math.sin(turned)
    return torch.cos(2 * math.pi * (along / period + phase)).float()


def _network() -> VisionModel:
    """Rectified wave filters of each angle in four phases, read everywhere but where a window touches the middle."""
    waves = torch.stack([grating(angle, PERIOD, phase / 4) for angle in ANGLES for phase in range(4)])
    waves = waves[:, :_WINDOW, :_WINDOW]
    filters = (waves - waves.mean((1, 2), keepdim=True))[:, None].expand(-1, 3, -1, -1)
    side = (SIZE - _WINDOW) // _STRIDE + 1
    starts = _STRIDE * torch.arange(side)
    touching = (starts + _WINDOW > MIDDLE.start) & (starts < MIDDLE.stop)
    seen = ~(touching[:, None] & touching)
    own = torch.eye(len(ANGLES)).repeat_interleave(4, 1)
    share = (own - (1 - own) / (len(ANGLES) - 1)) / seen.sum()
    conv = skip_init(nn.Conv2d, 3, len(filters), _WINDOW, _STRIDE, bias=False)
    logits = skip_init(nn.Linear, len(filters) * side**2, len(ANGLES), bias=False)
    with torch.no_grad():
        conv.weight.copy_(filters / filters.square().sum((1, 2, 3), keepdim=True))
        logits.weight.copy_((share[:, :, None, None] * seen).flatten(1))
    module = nn.Sequential(OrderedDict(conv=conv, relu=nn.ReLU(), flatten=nn.Flatten(), logits=logits)).eval()
    return wrap(
        module, input_size=SIZE, mean=0.5, std=0.1, class_names=[f"{angle}°" for angle in ANGLES], name="background"
    )


def _ground(label: int, generator: torch.Generator) -> Tensor:
    """[3, SIZE, SIZE] in [0, 1]: a grating of the class, at any phase, in two tones of one colour, with fine noise."""
    colour = 0.45 + 0.1 * torch.rand(3, 1, 1, generator=generator)
    wave = grating(ANGLES[label], PERIOD, float(torch.rand(1, generator=generator)))
    return colour + _CONTRAST * wave + _NOISE * torch.randn(3, SIZE, SIZE, generator=generator).clamp(-3, 3)


def _case(model: VisionModel, predict: ScoreOf, generator: torch.Generator, seed: int) -> Case:
    label, other = torch.randperm(len(ANGLES), generator=generator)[:2].tolist()
    ground, others = _ground(label, generator), [_ground(other, generator) for _ in range(OTHERS)]
    places = tuple(corners(TILES + 1, generator, _CELLS))
    patched = Board(ground, tiles(TILES + 1, 5, generator), places)
    board, patch = patched.first(TILES), patched.masks[-1]
    shown, twin = _with_ground(board), redrawn_twin(model, seed)
    played = game(predict, shown, board.on(others), shown.whole[None])
    effects = played.whole - played.dropped
    questions = {
        ASKED: answered(model, shown, label, effects),
        OTHER: answered(model, shown, other, effects),
        PATCH: question(model, predict, shown.pasted(patch, patched.image([TILES])), label),
        REDRAWN: question(twin, precise(twin), shown, label),
        **noisy(model, predict, shown, label, seed),
    }
    return Case(questions, played, clutter=board.masks.any(0), patch=patch, seed=seed)


def _with_ground(board: Board) -> Choices:
    """The ground around the middle is a part of its own, the first: without it the image has one colour there."""
    around = torch.ones(1, SIZE, SIZE, dtype=torch.bool)
    around[:, MIDDLE, MIDDLE] = False
    flat = torch.where(around, board.ground.mean((1, 2), keepdim=True), board.ground)
    plain = replace(board, ground=flat)
    images = {
        kept: (board if 0 in kept else plain).image(part - 1 for part in kept if part)
        for kept in choices(1 + len(board.corners))
    }
    tiled, masks = board.alone(), torch.cat([around, board.masks])
    return Choices(("ground", *tiled.names), masks, masks.double(), images)
