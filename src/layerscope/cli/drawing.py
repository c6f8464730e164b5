"""What `layerscope figure` does: one function of `ls.figures`, by its name."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path

from layerscope import figures
from layerscope.cli.tables_in_source import figure_names
from layerscope.errors import InputError, UnknownNameError


def draw(folder: Path, name: str, what: Sequence[str], path: Path) -> Path:
    """Draw the figure `name` of what lies in `folder` and save it as `path`.

    what: what the figure asks for beside the folder, as a layer or a unit. Raises UnknownNameError for another figure,
    InputError where that is missing or too much, and for a folder that holds no such result.
    """
    if name not in figure_names():
        raise UnknownNameError.among("figure", name, figure_names())
    function = getattr(figures, name)
    asked = [
        parameter
        for parameter in list(inspect.signature(function).parameters.values())[1:]
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    least = sum(parameter.default is parameter.empty for parameter in asked)
    if not least <= len(what) <= len(asked):
        wanted = " ".join(parameter.name.upper() for parameter in asked) or "nothing"
        given = f"{' '.join(what)!r} was" if what else "nothing was"
        raise InputError(f"the figure {name!r} takes {wanted} after its name, and {given} given")
    return figures.save(function(folder, *what), path)
