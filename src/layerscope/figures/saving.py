"""Figures as files: PDF, SVG or PNG, whole or not at all, the same bytes every time, and what they show in the
metadata."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from layerscope.errors import InputError
from layerscope.figures.paper import DPI, PaperFigure
from layerscope.figures.source import Said
from layerscope.figures.words import short
from layerscope.given import path_to
from layerscope.records import write_whole

_FORMATS = ("pdf", "svg", "png")


def save(figure: Figure, path: str | Path) -> Path:
    """Write a figure to `path`, by its suffix as .pdf, .svg or .png, and return the path.

    In PDF and SVG, text is text and lines are lines. Title, seed, key and the command that makes it again are in the
    metadata of figures that were drawn from a result. Raises InputError for another suffix, StorageError where the path
    cannot be written.
    """
    target = path_to("path", path)
    form = target.suffix.lower().removeprefix(".")
    if form not in _FORMATS:
        raise InputError(f"cannot save a figure as {target.name!r}; give a path that ends in .pdf, .svg or .png")
    if not isinstance(figure, Figure):
        raise InputError(f"a {type(figure).__name__} is no figure; give what a function of ls.figures returns")
    write_whole(target, encoded(figure, form))
    return target


def encoded(figure: Figure, form: str) -> bytes:
    """The bytes of a file in one of the formats; the same figure gives the same bytes."""
    said = figure.said if isinstance(figure, PaperFigure) else None
    file = io.BytesIO()
    with rc_context({"svg.fonttype": "none", "pdf.fonttype": 42, "svg.hashsalt": said.key if said else "layerscope"}):
        figure.savefig(file, format=form, dpi=DPI, metadata=_metadata(form, said))
    return file.getvalue()


def _metadata(form: str, said: Said | None) -> dict[str, Any]:
    """By format, under the names that it has for these things; no date, which would be another every time."""
    dated = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {}}[form]
    if said is None:
        return dated
    about = "Subject" if form == "pdf" else "Description"
    return {**dated, "Title": short(said.title, 200), about: short(said.words, 4000)}
