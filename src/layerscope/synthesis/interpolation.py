"""A row of pictures that leads from one unit to another (Olah et al. 2017, "Feature Visualization", Interaction)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from layerscope import objectives as ob
from layerscope.capture.evaluating import undisturbed
from layerscope.errors import InputError
from layerscope.given import finite_number, whole_number
from layerscope.objectives import Objective
from layerscope.synthesis.ascent import bound_objective, maximise
from layerscope.synthesis.checks import MOST_TOGETHER, Asked, checked_frames, checked_model
from layerscope.synthesis.depth import map_at
from layerscope.synthesis.plan import plan_of
from layerscope.types import Progress, no_progress

if TYPE_CHECKING:
    from layerscope.models.model import VisionModel
    from layerscope.models.spectrum import Spectrum
    from layerscope.synthesis.outcome import Synthesis
    from layerscope.synthesis.recipes import Recipe

ALIGNED_AT = 0.25
"""Pictures of a row are held together in the layer at this share of the network's depth, if none is named."""


def interpolate(
    model: VisionModel,
    first: Asked,
    second: Asked,
    pictures: int = 5,
    *,
    align: float = 0.5,
    layer: str | None = None,
    recipe: str | Recipe = "standard",
    seed: int = 0,
    spectrum: Spectrum | None = None,
    frames: int = 0,
    on_progress: Progress = no_progress,
) -> Synthesis:
    """A row of `pictures` pictures: the first climbs `first`, the last `second`, those between a mix of both.

    Each end is climbed alone before, and counts in units of what it gained there, so that neither drowns the other;
    scores and controls are in these units: picture i of n scores (1 - i/(n-1)) of the first and i/(n-1) of the second.
    `align`: how strongly the pictures are held alike in `layer` (by default the one at a quarter of the network's
    depth), so that the same thing stays in the same place; 0: each on its own, from the same noise.

    Raises InputError for fewer than 2 pictures, more than a batch holds, or an end that gains nothing, and what
    `maximise` raises.
    """
    pictures = whole_number("pictures", pictures, 2, MOST_TOGETHER)
    align, frames = finite_number("align", align, 0), checked_frames(frames)
    held = _layer(checked_model(model), layer)
    ends = [bound_objective(one, model) for one in (first, second)]
    _check_fits(model, _row(ends, held, align), pictures, recipe)
    alone = maximise(model, ends, recipe=recipe, seed=seed, spectrum=spectrum, on_progress=on_progress)
    shares = [_share(one, gain) for one, gain in zip(ends, alone.scores - alone.controls, strict=True)]
    return maximise(
        model,
        [_row(shares, held, align)] * pictures,
        recipe=recipe,
        seed=seed,
        spectrum=spectrum,
        frames=frames,
        on_progress=on_progress,
    )


def _row(ends: Sequence[Objective], held: str, align: float) -> Objective:
    return ob.penalised(ob.interpolation(*ends), -align * ob.alignment(held))


def _check_fits(model: VisionModel, row: Objective, pictures: int, recipe: str | Recipe) -> None:
    """Raise what `maximise` would raise of a recipe, and of too many pictures, before the ends are climbed."""
    with undisturbed(model.module):
        plan_of(model, [row.bind(model)] * pictures, recipe, None, None)


def _share(end: Objective, gain: float) -> Objective:
    """An end in units of what it gained alone, to three digits, so that its text is the same on every machine."""
    if not gain > 0:
        raise InputError(f"{str(end)!r} gains nothing when it is climbed alone, so there is nothing to lead from or to")
    return float(f"{1 / gain:.3g}") * end


def _layer(model: VisionModel, name: str | None) -> str:
    if name is not None:
        return model.layer(name).name
    return map_at(model, ALIGNED_AT) or model.layers()[0].name
