"""What `layerscope explain` does with several images, and what it says of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from layerscope.errors import InputError
from layerscope.studies.explain import Explainer, Explanation
from layerscope.studies.subject import find_sources

_MARKS = {"good": "+", "poor": "!", "open": "-"}


def explain_all(explainer: Explainer, images: Sequence[str], out: Path) -> tuple[list[Explanation], list[InputError]]:
    """Explain in `<out>/explain` what can be explained; what cannot is told, each with its image, and the rest goes on.

    Of a folder, the pictures in `out` are passed over.
    """
    made, refused = [], []
    for given in images:
        for source in find_sources(given, out):
            try:
                made.append(explainer.explain(source, out / "explain"))
            except InputError as error:
                refused.append(_of_image(source, error))
    return made, refused


def _of_image(source: str, error: InputError) -> InputError:
    """With the image that it is about before it, unless it says so itself."""
    return error if " as a picture " in str(error) else InputError(f"{source}: {error}")


def facts_of(made: Sequence[Explanation]) -> list[dict[str, Any]]:
    """All facts of each image, and the folder that they lie in: images may share a name."""
    return [{"folder": str(one.folder), **one.facts} for one in made]


def summary(made: Sequence[Explanation]) -> str:
    """A few lines for each image: its label, what it was set against, and how each method did.

    Images that share a name are told apart by their folders.
    """
    often = Counter(one.facts["image"]["name"] for one in made)
    return "\n\n".join("\n".join(_lines(one, often[one.facts["image"]["name"]] > 1)) for one in made)


def _lines(one: Explanation, shared: bool) -> list[str]:
    facts, folder = one.facts, f" ({one.folder})" if shared else ""
    lines = [f"{_plain(facts['image']['name'])}{_plain(folder)}: {_label(facts)}"]
    if facts["familiar"]["unlike"]:
        lines.append(f"  warning: {facts['familiar']['words']}")
    if not facts["target"]["predicted"]:
        lines.append(f"  asked about {_plain(facts['target']['label'])}: score {facts['target']['score']:.3g}")
    lines += [f"  {_plain(words)}" for words in _rivals(facts)] + _methods(facts)
    if facts["flip"] is not None and facts["flip"]["found"]:
        flip = facts["flip"]
        rest = "" if flip["complete"] else ", of the changes that were tried"
        lines.append(f"  {flip['words']} it would be {_plain(flip['label'])} {flip['probability']:.2f}{rest}")
    return lines


def _rivals(facts: dict[str, Any]) -> list[str]:
    """What the target is set against, or why it is not."""
    versus, what = facts["versus"], facts["target"]["label"]
    if versus is None:
        return [facts["versus_note"]] if facts["versus_note"] else []
    if versus["margin"] < 0:
        return [f"{what} rather than {versus['label']}: no, it is {-versus['margin']:.2f} logits behind"]
    return [f"{what} rather than {versus['label']}: by {versus['margin']:.2f} logits"]


def _methods(facts: dict[str, Any]) -> list[str]:
    """One line for each method, on the first question."""
    asked = facts["questions"][0]
    width = max(len(one["method"]) for one in facts["methods"])
    shown = [one for one in facts["methods"] if one["question"] == asked]
    return [f"  {one['method']:{width}}  {_said(one)}" for one in shown]


def _label(facts: dict[str, Any]) -> str:
    if not facts["labels"]:
        return "no classes"
    first = facts["labels"][0]
    if first["probability"] is None:
        return f"{_plain(first['class'])}, score {first['logit']:.3g}"
    return f"{_plain(first['class'])} {first['probability']:.2f}"


def _said(one: dict[str, Any]) -> str:
    """The checks of one method, each with a mark: + good, ! poor, - open."""
    if one["error"] is not None:
        return f"refused: {one['error']}"
    return "  ".join(f"{_MARKS[verdict['mark']]}{verdict['check']}" for verdict in one["verdicts"])


def _plain(text: str) -> str:
    """Without signs that would move a terminal's cursor."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)
