"""Cases of rendered scenes: their causes are found by rendering them again, and so are the images of further questions.

Input independence is that of Yang, Kim (2019); that a patch leaves the score unchanged is measured, not supposed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from layerscope.attribution.checks import redrawn
from layerscope.attribution.score import first_output
from layerscope.capture.evaluating import evaluating
from layerscope.errors import InputError
from layerscope.faithfulness.cases import (
    ASKED,
    BACKGROUND,
    NOISE,
    NOISES,
    OTHER,
    PATCH,
    REDRAWN,
    Case,
    Question,
    exact_answer,
    exact_shares,
    orders,
)
from layerscope.faithfulness.causes import reach
from layerscope.faithfulness.measures.by_response import noisy
from layerscope.faithfulness.part_game import OTHERS, PartGame, play
from layerscope.faithfulness.scoring import as_taken, predicted_logits
from layerscope.models.model import VisionModel
from layerscope.world import PART_NAMES, MoveDistractors, NewBackground, Scenes

UNCHANGED = 0.01
"""What a score may change by for a patch that leaves it unchanged: a share of what all parts together do to it."""

_CLUTTER = PART_NAMES.index("clutter")


def scene_case(model: VisionModel, scene: Scenes, other: VisionModel | None = None) -> Case | None:
    """The case of one scene, asked about the class that is predicted for it.

    None where the scene says nothing: fewer than LEAST_PARTS parts are seen, or all of them do the same.

    Args:
        model: a network of classes.
        scene: one, as first rendered, of the network's size.
        other: the network with its top layers drawn anew, as `drawn_anew` gives it, for the question about it. Without
            it only the main question is asked.

    Raises InputError for several scenes, a changed one or one of another size, and as `play` does.
    """
    if len(scene.seeds) != 1:
        raise InputError(f"{len(scene.seeds)} scenes for one case; give one, as scenes.one(0)")
    with evaluating(model.module):
        game = play(logits_of(model), scene, model.class_names, input_size=model.input_size)
    if game is None:
        return None
    label = int(game.whole.argmax())
    effects = game.effects(label)
    if not orders(effects):
        return None
    image = scene.images[0]
    asked = Question(model, image, label, exact_answer(effects), exact_shares(effects))
    thing, seed = scene.thing[0].bool(), scene.seeds[0]
    away = reach(thing[None])[0] == 0
    clutter = (scene.part[0] == _CLUTTER) & away
    if other is None:
        return Case({ASKED: asked}, game, thing, clutter, seed=seed)
    questions = {
        ASKED: asked,
        **_others(asked, game, scene),
        REDRAWN: replace(asked, model=other, exact=None, shares=None),
    }
    patched, patch = _patched(asked, game, scene, away)
    if patched is not None:
        questions[PATCH] = replace(asked, image=patched)
    return Case(questions, game, thing, clutter, patch, seed=seed)


def drawn_anew(model: VisionModel) -> VisionModel | None:
    """The network with its top layers drawn anew; None where it cannot be copied or has no weights there."""
    try:
        return replace(model, module=redrawn(model.module))
    except (InputError, RuntimeError, TypeError):
        return None


def logits_of(model: VisionModel) -> Callable[[Tensor], Tensor]:
    """Images [n, 3, size, size] in [0, 1] -> logits [n, classes]."""
    return lambda images: first_output(model(as_taken(model, images)))


def _others(asked: Question, game: PartGame, scene: Scenes) -> dict[str, Question]:
    """About another class, on the background that changes the score least, and under noise."""
    found = {f"{NOISE}{draw}": replace(asked, image=noisy(asked.image, draw)) for draw in range(NOISES)}
    if game.others:
        other = game.others[0] if game.donor is None else game.donor
        found[OTHER] = replace(
            asked, target=other, exact=exact_answer(game.effects(other)), shares=exact_shares(game.effects(other))
        )
    least = int((game.backgrounds - game.whole)[:, asked.target].abs().argmin())
    elsewhere = scene.again(NewBackground(least + 1)).images[0]
    # The score is about the same there, and so is what the parts do to it.
    return {**found, BACKGROUND: replace(asked, image=elsewhere)}


def _patched(asked: Question, game: PartGame, scene: Scenes, away: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """The image with distractors of the scene put into it once more, elsewhere, so that the score stays, and where.

    None without such places. Nothing else differs: the thing, and the distractors that were there, stay as they are.
    away: bool [size, size], where they are not on the thing or next to it.
    """
    everything = float((game.whole - game.values[frozenset()])[asked.target].abs())
    moved = scene.variants([MoveDistractors(seed) for seed in range(1, OTHERS + 1)])
    patches = (moved.part == _CLUTTER) & (scene.part != _CLUTTER) & away
    images = torch.where(patches[:, None], moved.images, asked.image)
    with evaluating(asked.model.module):
        logits = predicted_logits(logits_of(asked.model), [images])
    change = (logits - game.whole)[:, asked.target].abs()
    for place in change.argsort().tolist():
        if change[place] <= UNCHANGED * everything and patches[place].any():
            return images[place], patches[place]
    return None, None
