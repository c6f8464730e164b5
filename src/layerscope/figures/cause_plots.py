"""What the parts of a rendered scene truly do to the score, and the smallest change of parts that flips the label."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Patch

from layerscope.errors import InputError
from layerscope.figures.palette import AGAINST, FOR, INK, QUIET, STRONG_LINE, hexed
from layerscope.figures.paper import SINGLE, SMALL, TINY, PaperFigure, bare, drawing, drawn, finished, note, sheet_of
from layerscope.figures.pictures import as_rgb
from layerscope.figures.source import Report
from layerscope.figures.words import percent, plural, signed

Row = tuple[str, float, float | None, str | None]
"""What is changed, its effect, its Shapley value, and the name of the picture without it."""


def causes(source: object, *, width: float = SINGLE) -> PaperFigure:
    """The true effect of each part of a scene: by how much the score falls when the scene is rendered without it, and
    its share over all sets of parts (Shapley); at the end, other things that were changed.

    source: an Explanation of a scene, or the folder that holds its explanation.json. width: in inches. Raises
    InputError where there is no such explanation, or it is one of a picture whose parts nobody knows.
    """
    with drawing("explanation", source) as found:
        rows = _rows(found)
        figure = sheet_of(width, 0.34 * len(rows) + 0.9)
        pictures, axes = figure.subplots(1, 2, width_ratios=(1, 6.5))
        _draw_pictures(pictures, found, rows)
        _draw_effects(axes, rows)
        axes.set_title(f"{drawn(found.facts['target']['label'], 30)}\nfall of the score without")
        handles = [Patch(facecolor=QUIET, label="effect")]
        if any(row[2] is not None for row in rows):
            handles.append(Patch(facecolor="white", edgecolor=QUIET, label="Shapley value"))
        handles += [Patch(facecolor=hexed(FOR), label="for"), Patch(facecolor=hexed(AGAINST), label="against")]
        figure.legend(handles=handles, loc="outside lower left", ncols=4, handlelength=1)
        return finished(figure, found.said(f"True causes of the label of {found.facts['image']['name']}"))


def _rows(found: Report) -> list[Row]:
    told = found.facts["causes"]
    if told is None:
        raise InputError(
            f"{drawn(found.facts['image']['name'], 60)!r} is no scene as rendered, so its true causes are not known"
        )
    parts = sorted(told["parts"], key=lambda part: part["effect"], reverse=True)
    rows: list[Row] = [
        (
            f"{drawn(part['part'], 16)}\n{plural(part['pixels'], 'pixel')}",
            part["effect"],
            part["shapley"],
            part["picture"],
        )
        for part in parts
    ]
    others = {"another\nbackground": told["background"], "distractors\nmoved": told["distractors"]}
    return rows + [(words, value, None, None) for words, value in others.items() if value is not None]


def _draw_pictures(axes: Axes, found: Report, rows: list[Row]) -> None:
    """The scene without each part, beside its row."""
    bare(axes)
    for place, (_, _, _, name) in enumerate(rows):
        if name is not None:
            axes.imshow(as_rgb(found.arrays[name]), extent=(0, 1, place + 0.46, place - 0.46), interpolation="bilinear")
    axes.set(xlim=(0, 1), ylim=(len(rows) - 0.5, -0.5), aspect="auto")


def _draw_effects(axes: Axes, rows: list[Row]) -> None:
    known = [value for _, effect, shapley, _ in rows for value in (effect, shapley) if value is not None]
    low, high = min(0.0, *known), max(0.0, *known, 1e-9)
    room = 0.2 * (high - low)
    for place, (_, effect, shapley, name) in enumerate(rows):
        colour = hexed(FOR if effect > 0 else AGAINST) if name is not None else STRONG_LINE
        above = -0.17 if shapley is not None else 0.0
        axes.barh(place + above, effect, 0.3, color=colour)
        axes.text(
            max(effect, 0) + 0.02 * (high - low),
            place + above,
            signed(effect),
            fontsize=TINY,
            va="center",
            weight="bold",
        )
        if shapley is not None:
            edge = hexed(FOR if shapley > 0 else AGAINST)
            axes.barh(place + 0.19, shapley, 0.24, facecolor="white", edgecolor=edge, linewidth=0.8)
            axes.text(
                max(shapley, 0) + 0.02 * (high - low),
                place + 0.2,
                signed(shapley),
                fontsize=TINY,
                va="center",
                color=QUIET,
            )
    axes.axvline(0, color=STRONG_LINE, linewidth=0.6)
    axes.set(xlim=(low - (0.02 * (high - low)), high + room), ylim=(len(rows) - 0.5, -0.5))
    axes.set_yticks(range(len(rows)), [words for words, *_ in rows], linespacing=1.1)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.locator_params(axis="x", nbins=5)


def flip(source: object, *, width: float = SINGLE) -> PaperFigure:
    """The scene as it is, and after the smallest change of parts that flips the label, with both probabilities.
    Arguments and errors as of `causes`; InputError also where no change was found that flips it."""
    with drawing("explanation", source) as found:
        told, facts = found.facts["flip"], found.facts
        if told is None or told["picture"] is None:
            words = "is no scene as rendered" if told is None else f"keeps its label under all {told['tried']} changes"
            raise InputError(f"{drawn(facts['image']['name'], 60)!r} {words}, so there is no flip to draw")
        figure = sheet_of(width, 0.5 * width + 0.55)
        before, after = figure.subplots(1, 2)
        first = facts["labels"][0]
        _draw_side(before, found, "image", "as it is", first["class"], first["probability"])
        _draw_side(after, found, told["picture"], told["words"], told["label"], told["probability"])
        whole = "" if told["complete"] else ", not all of this size"
        note(figure, f"the smallest of {plural(told['tried'], 'change')} tried that flips the label{whole}")
        return finished(figure, found.said(f"Smallest change that flips the label of {facts['image']['name']}"))


def _draw_side(axes: Axes, found: Report, picture: str, words: str, label: Any, probability: float) -> None:
    axes.imshow(as_rgb(found.arrays[picture]), interpolation="bilinear")
    bare(axes)
    axes.set_title(drawn(words, 34), fontsize=SMALL, color=QUIET)
    under = f"{drawn(label, 24)} {percent(probability)}"
    axes.text(0.5, -0.04, under, ha="center", va="top", weight="bold", color=INK, transform=axes.transAxes)
