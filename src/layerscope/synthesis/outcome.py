"""How far to trust a picture: what it scores on the network itself, beside a control, and whether the ascent settled.

Scores and controls are measured on the user's own module, in eval mode and its own precision, on the 8-bit picture as
it is shown, without transforms. A picture that is smaller than the network's input is not enlarged or framed (but for
recipes that magnify): the network is run on the picture itself, which `maximise` makes only where the network takes it.

Status, in this order, but for pictures that were written down (closed_form.py), which are "converged":
"dead"       the gradient at the start was exactly zero (also at the layer before the activation function, where that is
             known), or the trace never moved: the picture is the start, and shows nothing.
"converged"  the score is clear: above the control by more than CLEAR standard deviations of the objective over eight
             pictures that were never climbed; and the trace is settled: it has at least SHORTEST steps, and the mean
             of its last eighth exceeds that of the eighth before its last quarter by at most RISING of the whole gain
             (last eighth minus first step).
"weak"       neither: not clear, or still rising. The note says which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from layerscope.capture.evaluating import evaluating
from layerscope.capture.hooks import capture
from layerscope.figures.words import plural
from layerscope.objectives import Activations, Objective
from layerscope.synthesis.batching import in_batches

if TYPE_CHECKING:
    from layerscope.models.model import VisionModel
    from layerscope.synthesis.images import Parametrisation
    from layerscope.types import Images

Status = Literal["converged", "weak", "dead"]
CLEAR = 3.0
RISING = 0.15
SHORTEST = 16
FAINT = 0.5
"""Of the strongest natural activation: a picture below it shows little of its unit."""


@dataclass(frozen=True)
class Synthesis:
    """Pictures that climbed their objectives, in the order the objectives were given."""

    images: np.ndarray
    """8-bit pictures [n, height, width, channel]; where their sizes differ, an object array [n] of them."""
    scores: np.ndarray
    """[n] The objective on the picture as shown, on the user's own network."""
    controls: np.ndarray
    """[n] The objective on the same image before the ascent."""
    trace: np.ndarray
    """[n, steps] What was climbed at each step, under the transforms; NaN after the end of a shorter recipe."""
    saturated: np.ndarray
    """[n] Share of the picture's values at 0-2 or 253-255."""
    status: tuple[Status, ...]
    notes: tuple[str, ...]
    """What to know about each picture; "" where there is nothing."""
    objectives: tuple[str, ...]
    seconds: float
    frames: np.ndarray | None = None
    """8-bit pictures of each ascent [n, frames, height, width, channel], evenly spaced; the first is the start, the
    last the picture. Where sizes differ, an object array [n]; None where none were asked for."""

    def __repr__(self) -> str:
        counts = ", ".join(f"{self.status.count(one)} {one}" for one in dict.fromkeys(self.status))
        return f"Synthesis({plural(len(self.images), 'picture')}: {counts}; {self.seconds:.1f} s)"

    def _repr_html_(self) -> str:
        """The pictures, each with its score, its control and its status."""
        from layerscope.figures.value_cards import synthesis_card

        numbers = {"score": self.scores, "before the ascent": self.controls, "saturated": self.saturated}
        return synthesis_card(self.images, self.objectives, numbers, self.status, self.notes, self.seconds)


def beside_natural(
    score: float, strongest: float | None, status: Status, note: str
) -> tuple[float | None, Status, str]:
    """A picture's score over the strongest natural activation, and its status and note with that known.

    A settled ascent may have settled far below what the unit can do; natural images tell. The ratio is None where there
    are none, or none of them drives the unit.
    """
    ratio = score / strongest if strongest is not None and strongest > 0 else None
    if status == "converged" and ratio is not None and ratio < FAINT:
        return ratio, "weak", f"reaches {ratio:.0%} of what a natural image reaches: it settled on a small optimum"
    return ratio, status, note


@dataclass(frozen=True)
class Jury:
    """Scores pictures on the network itself, `size` at a time and never fewer, as climb.py explains.

    shown: side in pixels that the pictures are enlarged to.
    """

    model: VisionModel
    images: Parametrisation
    shown: int
    size: int

    def scores(self, groups: Sequence[tuple[Objective, Tensor]]) -> list[np.ndarray]:
        """Of each group of pictures, uint8 [n, channel, side, side], the scores [n]. All groups read equal layers."""
        found = []
        for some in in_batches(groups, self.size, lambda group: len(group[1])):
            activations = self._read(torch.cat([pictures for _, pictures in some]), some[0][0].layers)
            sizes = [len(pictures) for _, pictures in some]
            parts = {name: torch.split(tensor, sizes) for name, tensor in activations.items()}
            for at, (objective, _) in enumerate(some):
                found.append(_array(objective({name: part[at] for name, part in parts.items()})))
        return found

    def spreads(self, pictures: Tensor, objectives: Sequence[Objective]) -> np.ndarray:
        """The standard deviation of each objective over pictures that were never climbed."""
        activations = self._read(pictures, objectives[0].layers)
        return np.array([_array(objective(activations)).std(ddof=1) for objective in objectives], dtype=np.float32)

    def _read(self, pictures: Tensor, layers: Sequence[str]) -> Activations:
        batches = [self._read_batch(batch, layers) for batch in pictures.split(self.size)]
        return {name: torch.cat([batch[name] for batch in batches]) for name in layers}

    def _read_batch(self, pictures: Tensor, layers: Sequence[str]) -> Activations:
        """Of at most `size` pictures; repeats of the last one fill the batch up."""
        model = self.model
        filled = torch.cat([pictures, pictures[-1:].expand(self.size - len(pictures), -1, -1, -1)])
        images = self.images.shown(_enlarged(filled.to(model.device, torch.float32) / 255, self.shown)).to(model.dtype)
        with evaluating(model.module), capture(model, list(layers)) as activations:
            model.module(model.normalise(images))
            return {name: activations[name].float()[: len(pictures)] for name in layers}


def saturation(picture: np.ndarray) -> float:
    """Share of values at 0-2 or 253-255."""
    return float(np.mean((picture <= 2) | (picture >= 253)))


def judge(trace: np.ndarray, score: float, control: float, spread: float, dead: bool) -> tuple[Status, str]:
    """The status of one picture and a sentence that says why, "" for a converged one."""
    if dead or (len(trace) > 1 and np.ptp(trace) == 0):
        return "dead", "no gradient reaches this objective from its start: the picture is the start and shows nothing"
    if not score - control > CLEAR * spread:
        return "weak", f"scores {score:.3g}, not clearly above {control:.3g} before the ascent (spread {spread:.2g})"
    rise = _late_rise(trace)
    if rise is None:
        return "weak", f"{plural(len(trace), 'step')}: too few to tell whether it settled"
    if rise > RISING:
        return "weak", f"still rising: {rise:.0%} of the gain came in the last quarter; more steps would change it"
    return "converged", ""


def to_bytes(images: Tensor) -> Tensor:
    """Values in [0, 1] as the 8-bit values that are shown."""
    return (images.detach().clamp(0, 1) * 255).round().to("cpu", torch.uint8)


def first_not_finite(scores: Tensor) -> int | None:
    """The place of the first score that is no finite number."""
    wrong: Tensor = ~torch.isfinite(scores)
    return int(wrong.nonzero()[0]) if bool(wrong.any()) else None


def _late_rise(trace: np.ndarray) -> float | None:
    if len(trace) < SHORTEST:
        return None
    eighth, quarter = len(trace) // 8, 3 * len(trace) // 4
    end, before = trace[-eighth:].mean(), trace[quarter - eighth : quarter].mean()
    gain = end - trace[0]
    return float((end - before) / gain) if gain > 0 else 0.0


def _enlarged(images: Images, side: int) -> Images:
    if images.shape[-1] == side:
        return images
    return F.interpolate(images, size=(side, side), mode="bilinear", align_corners=False)


def _array(values: Tensor) -> np.ndarray:
    return values.detach().to("cpu", torch.float32).numpy()
