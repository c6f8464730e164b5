"""The table of all measures of a map, from what the package says of them, so that it cannot differ from it."""

from __future__ import annotations

from tables import ARROWS, as_markdown

from layerscope.faithfulness.cases import ASKED, BACKGROUND, MARKED, NOISE, OTHER, PATCH, REDRAWN, UNMARKED
from layerscope.faithfulness.measures.catalogue import MEASURES
from layerscope.faithfulness.measures.measure import Measure

NEEDS = {"causes": "known causes", "masks": "masks of things", "nothing": "nothing else"}
"""What has to be known beside image and network."""
QUESTIONS = {
    ASKED: "",
    OTHER: "another class",
    BACKGROUND: "another background",
    PATCH: "a patch without effect",
    MARKED: "a planted shortcut",
    UNMARKED: "the network without it",
    NOISE: "noise",
    REDRAWN: "top layers drawn anew",
}
"""What a method is asked about, beside the image itself."""


def catalogue() -> str:
    """All measures, in the order of MEASURES."""
    return as_markdown([_row(measure) for measure in MEASURES.values()])


def _row(measure: Measure) -> dict[str, str]:
    asked = dict.fromkeys(QUESTIONS[question.rstrip("0123456789")] for question in measure.questions)
    return {
        "measure": f"{measure.title} {ARROWS[measure.better]}",
        "name": f"`{measure.name}`",
        "needs": NEEDS[measure.needs],
        "asked about": ", ".join(filter(None, asked)) or "the image",
        "what it is": measure.words,
    }
