"""The ascent as a moving picture: pictures side by side that become what they are, and under each what it scores."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

from layerscope.errors import InputError
from layerscope.figures.palette import ACCENT, INK, LINE, QUIET
from layerscope.figures.pictures import Pixels, as_rgb
from layerscope.figures.words import number, tail
from layerscope.given import finite_number, path_to, whole_number
from layerscope.records import check_writable, write_whole

MOST = 64
"""Pictures that can be told apart on one screen."""
_GAP, _CURVE, _TEXT = 12, 28, 12  # pixels: between pictures, height of the curve, size of the letters
_BELOW = 2 * _TEXT + _CURVE + 14  # height of what stands under a picture
_FINE = 4  # the curve is drawn so many times larger, since lines have no soft edges otherwise
_WIDEST = 960  # pixels, up to which pictures are enlarged
_LARGEST_SIDE = 16_383  # pixels of the sheet: WebP's own limit
_MOST_PIXELS = 1 << 29  # of all frames, which are held in memory: 1.6 GB
_LONGEST = 600  # seconds
_FIRST = 500  # milliseconds that the start stands still
_ON_PALETTE = 12  # frames that the colours of a GIF are chosen from


@runtime_checkable
class Ascents(Protocol):
    """What a synthesis holds of its ascents: frames uint8 [n, frames, height, width, channel], or None."""

    @property
    def frames(self) -> NDArray[Any] | None: ...
    @property
    def trace(self) -> NDArray[Any]: ...
    @property
    def scores(self) -> NDArray[Any]: ...
    @property
    def controls(self) -> NDArray[Any]: ...
    @property
    def objectives(self) -> Sequence[str]: ...


@dataclass(frozen=True, eq=False)
class _Panel:
    """One picture that moves. trace: what was climbed at each step, finite values only."""

    name: str
    frames: NDArray[Any]
    trace: NDArray[np.float64]
    score: float
    control: float

    def step(self, frame: int) -> int:
        """How many steps were taken when a frame was kept: frames are evenly spaced."""
        return round(frame * len(self.trace) / (len(self.frames) - 1))


def animate(
    synthesis: object,
    path: str | Path,
    *,
    columns: int | None = None,
    tile: int | None = None,
    seconds: float = 4.0,
    hold: float = 2.0,
    loop: bool = True,
) -> Path:
    """Write the ascents of a Synthesis to `path` as a .gif or .webp that moves, and return the path.

    synthesis: of `maximise(..., frames=24)`, at most 64 pictures. columns: pictures in a row; by default about as many
    as rows, and more. tile: side of a picture in pixels; by default twice what it has, where that fits. seconds: from
    the start to the end, and hold: how long the end stands still. loop: for ever, or once.

    Under each picture runs what was climbed, step by step (the trace, which is scored under the transforms); at the end
    stands the score of the picture as it is shown, and of the start beside it. GIF has 256 colours; WebP is smaller and
    has all. Raises InputError without frames, for another suffix or times that are none, StorageError where the path
    cannot be written.
    """
    target = path_to("path", path)
    check_moving(target)
    seconds, hold = (
        finite_number(name, time, 0, _LONGEST, above=True) for name, time in (("seconds", seconds), ("hold", hold))
    )
    panels = _panels(synthesis)
    columns = math.ceil(math.sqrt(1.6 * len(panels))) if columns is None else whole_number("columns", columns, 1)
    wide = min(len(panels), columns)
    side = _side(panels, wide) if tile is None else whole_number("tile", tile, 1)
    many = len(panels[0].frames)
    _check_size(_size(len(panels), wide, side), many)
    times = [_FIRST, *[max(20, round(100 * seconds / (many - 1)) * 10)] * (many - 2), round(1000 * hold)]
    shown = list(_shown(panels, wide, side))
    write_whole(target, (_gif if target.suffix.lower() == ".gif" else _webp)(shown, times, loop))
    return target


def check_moving(path: Path) -> None:
    """Say before any work what `animate` would say of the path.

    Raises InputError for another suffix, StorageError where it cannot be written.
    """
    if path.suffix.lower() not in (".gif", ".webp"):
        raise InputError(f"cannot write a moving picture as {path.name!r}; give a path that ends in .gif or .webp")
    check_writable(path)


def _check_size(size: tuple[int, int], frames: int) -> None:
    wide, high = size
    if max(size) > _LARGEST_SIDE or wide * high * frames > _MOST_PIXELS:
        raise InputError(
            f"{frames:,} frames of {wide:,} x {high:,} pixels are more than one file holds; give a smaller tile=, or "
            "fewer pictures or frames"
        )


def _panels(synthesis: object) -> list[_Panel]:
    if not isinstance(synthesis, Ascents):
        raise InputError(f"a {type(synthesis).__name__} is no synthesis; give what ls.maximise(..., frames=24) returns")
    if synthesis.frames is None:
        raise InputError("the synthesis kept no frames of its ascents; make it with ls.maximise(..., frames=24)")
    count = len(synthesis.frames)
    if not 1 <= count <= MOST:
        raise InputError(f"{count} pictures; a moving sheet shows 1 to {MOST}")
    panels = []
    for place, frames in enumerate(synthesis.frames):
        trace = np.asarray(synthesis.trace[place], np.float64)
        numbers = (float(synthesis.scores[place]), float(synthesis.controls[place]))
        panels.append(_Panel(synthesis.objectives[place], frames, trace[np.isfinite(trace)], *numbers))
    if min(len(one.frames) for one in panels) < 2:
        raise InputError("one frame does not move; make the synthesis with ls.maximise(..., frames=24)")
    return panels


def _side(panels: Sequence[_Panel], columns: int) -> int:
    largest = int(max(max(np.shape(one.frames[0])[:2]) for one in panels))
    room = _WIDEST // columns - _GAP
    return max(96, largest * max(1, min(round(192 / largest), room // largest)))


def _size(count: int, columns: int, side: int) -> tuple[int, int]:
    """Width and height of the sheet, pixels."""
    rows = math.ceil(count / columns)
    return columns * (side + _GAP) + _GAP, rows * (side + _BELOW + _GAP) + _GAP


def _shown(panels: Sequence[_Panel], columns: int, side: int) -> Iterator[Image.Image]:
    """The sheet at each frame, in order."""
    low, size = side + _BELOW, _size(len(panels), columns, side)
    # matplotlib brings it along, so the letters are the same everywhere
    font = ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", _TEXT)
    for frame in range(len(panels[0].frames)):
        sheet = Image.new("RGB", size, "white")
        for place, panel in enumerate(panels):
            row, column = divmod(place, columns)
            _draw(sheet, panel, frame, (_GAP + column * (side + _GAP), _GAP + row * (low + _GAP)), side, font)
        yield sheet


def _draw(sheet: Image.Image, panel: _Panel, frame: int, corner: tuple[int, int], side: int, font: Any) -> None:
    left, top = corner
    picture = Image.fromarray(as_rgb(np.asarray(panel.frames[frame], np.uint8)))
    how = Image.Resampling.BICUBIC if max(picture.size) < side else Image.Resampling.LANCZOS
    sheet.paste(ImageOps.pad(picture, (side, side), how, "white"), corner)
    sheet.paste(_curve(panel, frame, side), (left, top + side + _TEXT + 10))
    draw, last = ImageDraw.Draw(sheet), frame == len(panel.frames) - 1
    step = panel.step(frame)
    if last:
        words, value = f"start {number(panel.control)}", number(panel.score)
    else:
        words = f"step {step}"
        value = number(float(panel.trace[min(step, len(panel.trace) - 1)])) if len(panel.trace) else number(None)
    room = int(side / (0.56 * _TEXT)) - len(value) - 2
    draw.text((left, top + side + 5), tail(panel.name, max(6, room)), QUIET, font)
    draw.text((left + side, top + side + 5), value, ACCENT if last else INK, font, anchor="ra")
    draw.text((left, top + side + _TEXT + _CURVE + 12), words, QUIET, font)


def _curve(panel: _Panel, frame: int, side: int) -> Image.Image:
    """The trace as a line, what is behind this frame in colour, with a dot at its end."""
    width, height = side * _FINE, _CURVE * _FINE
    canvas = Image.new("RGB", (width, height), "white")
    if len(panel.trace) > 1:
        draw, pad = ImageDraw.Draw(canvas), 3 * _FINE
        low, high = float(panel.trace.min()), float(panel.trace.max())
        across = np.linspace(pad, width - pad, len(panel.trace))
        down = height - pad - (panel.trace - low) / max(high - low, 1e-12) * (height - 2 * pad)
        points = list(zip(across.tolist(), down.tolist(), strict=True))
        behind = min(panel.step(frame), len(points) - 1)
        draw.line(points, LINE, 2 * _FINE, "curve")
        draw.line(points[: behind + 1], ACCENT, 2 * _FINE, "curve") if behind else None
        x, y = points[behind]
        draw.ellipse((x - pad, y - pad, x + pad, y + pad), ACCENT)
    return canvas.resize((side, _CURVE), Image.Resampling.LANCZOS)


def _gif(shown: Sequence[Image.Image], times: Sequence[int], loop: bool) -> bytes:
    """One palette for all frames, so that what stands still does not flicker; dithered, files are a third larger."""
    places = sorted({round(place) for place in np.linspace(0, len(shown) - 1, _ON_PALETTE)})
    many: list[Pixels] = [np.asarray(shown[place].reduce(2)) for place in places]
    palette = Image.fromarray(np.concatenate(many)).quantize(256, Image.Quantize.MEDIANCUT, kmeans=2)
    frames = [one.quantize(palette=palette, dither=Image.Dither.NONE) for one in shown]
    return _saved(frames, "GIF", times, loop, optimize=False, disposal=1)


def _webp(shown: Sequence[Image.Image], times: Sequence[int], loop: bool) -> bytes:
    return _saved(shown, "WEBP", times, loop, quality=76, method=4, minimize_size=True)


def _saved(frames: Sequence[Image.Image], form: str, times: Sequence[int], loop: bool, **options: Any) -> bytes:
    file = io.BytesIO()
    again = {"loop": 0} if loop else {"loop": 1} if form == "WEBP" else {}  # a GIF without the word plays once
    frames[0].save(file, form, save_all=True, append_images=frames[1:], duration=list(times), **again, **options)
    return file.getvalue()
