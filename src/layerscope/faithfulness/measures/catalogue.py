"""MEASURES: all that is measured of an attribution method, and `judge`, which takes them of the answers to a case."""

from __future__ import annotations

import math
from collections.abc import Collection

from layerscope.errors import InputError
from layerscope.faithfulness.cases import Case
from layerscope.faithfulness.measures import by_curves, by_parts, by_regions, by_response
from layerscope.faithfulness.measures.measure import Answers, Measure, Values

SECONDS = Measure("seconds", "seconds", "low", "Processor seconds for one image on this machine.", questions=())
_FAMILIES = (by_parts, by_regions, by_curves, by_response)

MEASURES: dict[str, Measure] = {
    measure.name: measure for measure in (*(one for family in _FAMILIES for one in family.MEASURES), SECONDS)
}
"""By name, the headline first; the last one is not of a map."""
JUDGED = tuple(name for name in MEASURES if name != SECONDS.name)


def judge(case: Case, answers: Answers, wanted: Collection[str] = JUDGED) -> Values:
    """The wanted measures of JUDGED, by name; NaN where the case or the answers do not allow it.

    Raises InputError for maps of another shape than their images, or with values that are not finite.
    """
    for name, values in answers.items():
        if name not in case.questions:
            raise InputError(
                f"an answer to {name!r}, which this case does not ask; it asks {', '.join(case.questions)}"
            )
        size = case.questions[name].image.shape[-2:]
        if values.shape != size or not values.isfinite().all():
            raise InputError(
                f"a map of shape {tuple(values.shape)} in answer to {name!r}, of an image of {tuple(size)}; "
                "give finite [height, width]"
            )
    families = [family for family in _FAMILIES if any(one.name in wanted for one in family.MEASURES)]
    found = {name: value for family in families for name, value in family.judge(case, answers).items()}
    return {name: found.get(name, math.nan) for name in JUDGED if name in wanted}
