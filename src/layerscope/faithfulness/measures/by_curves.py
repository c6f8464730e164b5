"""Deletion and insertion (Petsiuk, Das, Saenko 2018) of a map, with two fills."""

from __future__ import annotations

import math

from layerscope.faithfulness.cases import ASKED, Case
from layerscope.faithfulness.curves import Fill, deletion_insertion
from layerscope.faithfulness.measures.measure import Answers, Measure, Values

STEPS = 10
"""Blocks of pixels in which an image is changed."""
LEAST_FALL = 0.1
"""Of the score's size, from image to fill: where it falls by less, areas are ratios of next to nothing."""

MEASURES = (
    Measure(
        "deletion",
        "deletion",
        "low",
        "Area under the score while the pixels named first are blurred; 0 is the score of the blurred image, 1 "
        "that of the image.",
    ),
    Measure(
        "insertion",
        "insertion",
        "high",
        "Area under the score while the pixels named first are put into the blurred image; on the same scale.",
    ),
    Measure(
        "deletion_black",
        "deletion, black",
        "low",
        "Area under the score while the pixels named first are painted black; 0 is the score of a black image.",
    ),
    Measure(
        "insertion_black",
        "insertion, black",
        "high",
        "Area under the score while the pixels named first are put into a black image; on the same scale.",
    ),
)


def judge(case: Case, answers: Answers) -> Values:
    """Measures of MEASURES, those with black for thorough cases only.

    NaN where the fill scores hardly lower than the image, so that areas have no scale.
    """
    if ASKED not in answers:
        return {}
    found = {}
    fills: tuple[tuple[Fill, str], ...] = (("blur", ""), *((("black", "_black"),) if case.thorough else ()))
    for fill, suffix in fills:
        curves = deletion_insertion(case.asked.score, case.asked.image, {"": answers[ASKED]}, fill, steps=STEPS)
        size = max(abs(curves.image_score), abs(curves.fill_score))
        falls = curves.image_score - curves.fill_score > LEAST_FALL * size
        for name, area in (("deletion", curves.of[""].deletion_area), ("insertion", curves.of[""].insertion_area)):
            found[name + suffix] = area if falls and area is not None else math.nan
    return found
