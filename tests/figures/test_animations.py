"""Moving pictures of ascents: the frames in order, the score of each step under them, the time they stand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import layerscope as ls
from layerscope.errors import InputError
from layerscope.figures import animation
from layerscope.figures.animation import animate

FRAMES = 5


def made(count: int = 3, channels: int = 3, mixed: bool = False) -> SimpleNamespace:
    """Ascents that get brighter, each in a grey of its own; traces of 20 steps, the second of 10."""
    level = np.linspace(20, 200, FRAMES)[None] + 10 * np.arange(count)[:, None]
    frames = np.broadcast_to(level[..., None, None, None], (count, FRAMES, 32, 32, channels)).astype(np.uint8)
    trace = np.cumsum(np.full((count, 20), 0.25, np.float32), 1) * (1 + np.arange(count)[:, None])
    trace[1:2, 10:] = np.nan
    if mixed:
        shapes, frames = list(frames), np.empty(count, dtype=object)
        frames[:] = [one[:, :16, :16] if place else one for place, one in enumerate(shapes)]
    return SimpleNamespace(
        frames=frames,
        trace=trace,
        scores=np.arange(count, dtype=np.float32) + 7,
        controls=np.full(count, 0.125, np.float32),
        objectives=[f"neuron conv3:{place}" for place in range(count)],
    )


def frames_of(path) -> list[np.ndarray]:
    with Image.open(path) as image:
        found = []
        for place in range(image.n_frames):
            image.seek(place)
            found.append(np.asarray(image.convert("RGB")).astype(int))
        return found


def times_of(path) -> list[int]:
    with Image.open(path) as image:
        found = []
        for place in range(image.n_frames):
            image.seek(place)
            image.load()
            found.append(image.info["duration"])
        return found


@pytest.mark.parametrize("suffix", [".webp", ".gif"])
@pytest.mark.parametrize(("channels", "mixed"), [(3, False), (1, False), (3, True)])
def test_frames_come_in_order_where_their_pictures_are(tmp_path, suffix, channels, mixed):
    synthesis = made(channels=channels, mixed=mixed)
    path = animate(synthesis, tmp_path / f"ascent{suffix}", columns=2, tile=100)
    found = frames_of(path)
    assert len(found) == FRAMES
    for frame, sheet in enumerate(found):
        for place in range(3):
            row, column = divmod(place, 2)
            low = 100 + 2 * animation._TEXT + animation._CURVE + 14 + animation._GAP
            top, left = animation._GAP + row * low, animation._GAP + column * (100 + animation._GAP)
            middle = sheet[top + 30 : top + 70, left + 30 : left + 70].mean()
            assert middle == pytest.approx(int(synthesis.frames[place][frame].mean()), abs=8), (frame, place)


def written(monkeypatch, synthesis, tmp_path, **options) -> list[list[str]]:
    """The words on each frame."""
    said: list[str] = []
    real = animation.ImageDraw.ImageDraw.text
    monkeypatch.setattr(
        animation.ImageDraw.ImageDraw, "text", lambda self, at, words, *more, **others: (said.append(words), real(self, at, words, *more, **others))
    )  # fmt: skip
    animate(synthesis, tmp_path / "ascent.webp", **options)
    each = len(said) // FRAMES
    return [said[start : start + each] for start in range(0, len(said), each)]


def test_the_score_of_each_step_stands_under_its_picture_and_at_the_end_that_of_the_picture(monkeypatch, tmp_path):
    words = written(monkeypatch, made(2), tmp_path, tile=200)
    scores = ["0.250", "1.50", "2.75", "4.00"]  # of steps 0, 5, 10 and 15
    for frame, score in enumerate(scores):
        assert words[frame][:3] == ["neuron conv3:0", score, f"step {5 * frame}"]
    assert words[-1] == ["neuron conv3:0", "7.00", "start 0.125", "neuron conv3:1", "8.00", "start 0.125"]
    shorter = [frame[5] for frame in words[:-1]]  # the second has ten steps, and none after them
    assert shorter == ["step 0", "step 2", "step 5", "step 8"]
    assert words[2][4] == "3.00"


def test_the_curve_runs_with_the_steps(tmp_path):
    found = frames_of(animate(made(1), tmp_path / "ascent.webp", tile=200))
    blue = [(sheet[..., 2] - sheet[..., 0] > 60) for sheet in found]
    ends = [int(np.flatnonzero(one[230:].any(0)).max()) for one in blue]
    expected = [12 + 3 + (194 * min(step, 19) / 19) for step in (0, 5, 10, 15, 20)]
    assert ends == pytest.approx([one + 3 for one in expected], abs=4)


@pytest.mark.parametrize("suffix", [".webp", ".gif"])
def test_times_and_loops_are_those_asked_for(tmp_path, suffix):
    path = animate(made(1), tmp_path / f"a{suffix}", seconds=2, hold=1.5)
    assert times_of(path) == [500, 500, 500, 500, 1500]
    with Image.open(path) as image:
        assert image.info["loop"] == 0
    with Image.open(animate(made(1), tmp_path / f"b{suffix}", loop=False)) as image:
        assert image.info.get("loop") == (1 if suffix == ".webp" else None)


def test_the_same_ascents_give_the_same_bytes(tmp_path):
    for suffix in (".webp", ".gif"):
        first, again = (animate(made(), tmp_path / f"{name}{suffix}").read_bytes() for name in "ab")
        assert first == again


def test_what_maximise_keeps_can_be_shown(tmp_path):
    from small_nets import small_network

    synthesis = ls.maximise(small_network(), ["2:3", "one"], recipe="draft", steps=8, frames=4)
    assert len(frames_of(ls.animate(synthesis, tmp_path / "ascent.gif"))) == 4


@pytest.mark.parametrize(
    ("synthesis", "options", "message"),
    [
        (3, {}, "a int is no synthesis"),
        (SimpleNamespace(**{**vars(made()), "frames": None}), {}, r"kept no frames of its ascents; make it with ls.maximise"),
        (SimpleNamespace(**{**vars(made()), "frames": made().frames[:, :1]}), {}, "one frame does not move"),
        (made(65), {}, "65 pictures; a moving sheet shows 1 to 64"),
        (made(), {"path": "ascent.mp4"}, "cannot write a moving picture as 'ascent.mp4'"),
        (made(), {"seconds": 0}, "seconds=0; give a number above 0 and at most 600"),
        (made(), {"columns": 0}, "columns=0; give a whole number of at least 1"),
    ],
)  # fmt: skip
def test_what_cannot_move_is_said(tmp_path, synthesis, options, message):
    path = tmp_path / options.get("path", "ascent.webp")
    with pytest.raises(InputError, match=message):
        animate(synthesis, path, **{name: value for name, value in options.items() if name != "path"})
    assert not path.exists()
