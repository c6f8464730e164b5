"""What `layerscope explain` does with several images, and what it says of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from layerscope.errors import InputError, StorageError
from layerscope.studies.explain import Explainer, Explanation
from layerscope.studies.subject import find_sources

_MARKS = {"good": "+", "poor": "!", "open": "-"}


def explain_all(explainer: Explainer, images: Sequence[str], out: Path) -> tuple[list[Explanation], list[InputError]]:
    """Explain what can be explained; what cannot be read is told, and the rest goes on.

    Raises StorageError where `out` cannot be written.
    """
    made, refused = [], []
    for given in images:
        try:
            sources = find_sources([given])
        except InputError as error:
            refused.append(error)
            continue
        for source in sources:
            try:
                made.append(explainer.explain(source, out))
            except StorageError:
                raise
            except InputError as error:
                refused.append(error)
    return made, refused


def summary(made: Sequence[Explanation]) -> str:
    """A few lines for each image: its label, what it was set against, and how each method did."""
    return "\n\n".join("\n".join(_lines(one.facts)) for one in made)


def _lines(facts: dict[str, Any]) -> list[str]:
    lines = [f"{_plain(facts['image']['name'])}: {_label(facts)}"]
    if facts["familiar"]["unlike"]:
        lines.append(f"  warning: {facts['familiar']['words']}")
    if facts["versus"] is not None:
        versus = facts["versus"]
        lines.append(f"  {facts['target']['label']} rather than {versus['label']}: by {versus['margin']:.2f} logits")
    asked = facts["questions"][0]
    width = max(len(one["method"]) for one in facts["methods"])
    for one in facts["methods"]:
        if one["question"] == asked:
            lines.append(f"  {one['method']:{width}}  {_said(one)}")
    if facts["flip"] is not None and facts["flip"]["found"]:
        flip = facts["flip"]
        lines.append(f"  {flip['words']} it would be {flip['label']} {flip['probability']:.2f}")
    return lines


def _label(facts: dict[str, Any]) -> str:
    if not facts["labels"]:
        return f"{facts['target']['label']} {facts['target']['score']:.3g}"
    first = facts["labels"][0]
    return f"{_plain(first['class'])} {first['probability']:.2f}"


def _said(one: dict[str, Any]) -> str:
    """The checks of one method, each with a mark: + good, ! poor, - open."""
    if one["error"] is not None:
        return f"refused: {one['error']}"
    return "  ".join(f"{_MARKS[verdict['mark']]}{verdict['check']}" for verdict in one["verdicts"])


def _plain(text: str) -> str:
    """Without signs that would move a terminal's cursor."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)
