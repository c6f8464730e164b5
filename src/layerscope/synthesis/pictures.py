"""Pictures that are judged, one by one, and all of one call as a `Synthesis`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from layerscope.objectives import Objective
from layerscope.synthesis.climb import Climbed
from layerscope.synthesis.outcome import Status, Synthesis, judge, saturation


@dataclass(frozen=True)
class Picture:
    """One picture and what is known of it, as `Synthesis` tells it."""

    image: np.ndarray
    score: float
    control: float
    trace: np.ndarray
    status: Status
    note: str
    frames: np.ndarray | None


def judged(one: Climbed, row: int, score: float, control: float, spread: float) -> Picture:
    """A picture that climbed. score, control: of it and of its start; spread: of pictures that never climbed."""
    trace = one.trace[row].numpy()
    status, note = judge(trace, score, control, spread, bool(one.dead[row]))
    frames = None if one.frames is None else _last(one.frames[row])
    return Picture(_last(one.end[row]), score, control, trace, status, note, frames)


def noted(picture: Picture, note: str) -> Picture:
    """The picture with one more thing to know about it, where there is one."""
    return dataclasses.replace(picture, note="; ".join(filter(None, [note, picture.note])))


def together(found: Sequence[Picture], bound: Sequence[Objective], channels: int, seconds: float) -> Synthesis:
    """All pictures of a call, in the order of its objectives; channels: of the network's images."""
    return Synthesis(
        images=_stacked([one.image for one in found]),
        scores=np.array([one.score for one in found], dtype=np.float32),
        controls=np.array([one.control for one in found], dtype=np.float32),
        trace=_traces([one.trace for one in found]),
        saturated=np.array([saturation(one.image[..., :channels]) for one in found], dtype=np.float32),
        status=tuple(one.status for one in found),
        notes=tuple(one.note for one in found),
        objectives=tuple(str(objective) for objective in bound),
        seconds=seconds,
        frames=None if found[0].frames is None else _stacked([one.frames for one in found if one.frames is not None]),
    )


def _stacked(images: Sequence[np.ndarray]) -> np.ndarray:
    if len({image.shape for image in images}) == 1:
        return np.stack(images)
    mixed = np.empty(len(images), dtype=object)
    mixed[:] = images
    return mixed


def _traces(traces: Sequence[np.ndarray]) -> np.ndarray:
    filled = np.full((len(traces), max(map(len, traces))), np.nan, dtype=np.float32)
    for row, trace in zip(filled, traces, strict=True):
        row[: len(trace)] = trace
    return filled


def _last(images: torch.Tensor) -> np.ndarray:
    """[..., channel, height, width] -> [..., height, width, channel]."""
    return images.movedim(-3, -1).contiguous().numpy()
