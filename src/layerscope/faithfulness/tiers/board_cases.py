"""Cases of boards of tiles: every part is opaque, so that what it does follows from the weights of a small network."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

import torch
from torch import nn

from layerscope.faithfulness.cases import ASKED, BACKGROUND, OTHER, PATCH, Case
from layerscope.faithfulness.part_game import OTHERS
from layerscope.faithfulness.scoring import ScoreOf
from layerscope.faithfulness.tiers.stimuli import Board, mottled
from layerscope.faithfulness.tiers.tier import SIZE, answered, game, noisy, question
from layerscope.models.model import VisionModel, wrap

PARTS = 6
"""Tiles on a board."""
MEAN, STD = 0.5, 0.25


def wrapped(parts: OrderedDict[str, nn.Module], name: str) -> VisionModel:
    """The network of these layers, for boards."""
    return wrap(nn.Sequential(parts).eval(), input_size=SIZE, mean=MEAN, std=STD, name=name)


def board_case(model: VisionModel, predict: ScoreOf, board: Board, seed: int, stranger: bool = False) -> Case:
    """What speaks for the class that the network sees there, and for the runner-up.

    predict: images -> precise logits of the model. stranger: the last tile is one of which the network knows nothing;
    it is no part, and only there in the question PATCH.
    """
    patched, board = board, board.first(len(board.corners) - stranger)
    shown, generator = board.choices(), torch.Generator().manual_seed(seed)
    grounds = [mottled(generator) for _ in range(OTHERS)]
    played = game(predict, shown, board.on(grounds), shown.whole[None])
    label, other = played.whole.argsort(descending=True)[:2].tolist()
    effects = played.whole - played.dropped
    questions = {
        ASKED: answered(model, shown, label, effects),
        OTHER: answered(model, shown, other, effects),
        BACKGROUND: question(model, predict, replace(board, ground=grounds[0]).alone(), label),
        **noisy(model, predict, shown, label, seed),
    }
    patch = patched.masks[-1] if stranger else None
    if patch is not None:
        both = shown.pasted(patch, patched.image([len(board.corners)]))
        questions[PATCH] = question(model, predict, both, label)
    return Case(questions, played, patch=patch, seed=seed)
