"""One explainer on the cases of one network: what every measure says of every case."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.attribution.methods import METHODS
from layerscope.capture.evaluating import evaluating
from layerscope.errors import InputError
from layerscope.faithfulness.cases import ASKED, Case, Question
from layerscope.faithfulness.explainers import Explain
from layerscope.faithfulness.measures.catalogue import JUDGED, SECONDS, judge
from layerscope.types import Progress, no_progress

Numbered = Sequence[tuple[int, Case]]
"""Cases that say something, with their numbers among all that were asked for."""
Values = Mapping[str, NDArray[np.float64]]
"""By measure [cases], NaN where a case says nothing of it."""

_CHUNK = 8  # cases whose main question is asked at once


def measured(
    explain: Explain,
    cases: Numbered,
    count: int,
    on_progress: Progress = no_progress,
    what: str = "",
    wanted: Collection[str] = JUDGED,
) -> Values:
    """Ask about all cases and take the wanted measures of the answers; `count` is the length of the arrays.

    Cases of one class are asked about together, since methods answer those at once. Seconds are those of the main
    question, of which the first chunk, in which everything warms up, does not count where there are others.
    Raises InputError where the explainer refuses the network.
    """
    values = {name: np.full(count, np.nan) for name in (*wanted, SECONDS.name)}
    ordered = sorted(cases, key=lambda one: one[1].asked.target)
    for start in range(0, len(ordered), _CHUNK):
        some = ordered[start : start + _CHUNK]
        on_progress(start, len(ordered), what)
        began = time.process_time()
        asked = explain([case.asked for _, case in some])
        taken = (time.process_time() - began) / len(some)
        others = iter(explain([question for _, case in some for question in further(case).values()]))
        for (number, case), answer in zip(some, asked, strict=True):
            maps = {ASKED: answer, **{name: next(others) for name in further(case)}}
            with evaluating(case.asked.model.module):
                known = {name: map_ for name, map_ in maps.items() if map_ is not None}
                judged = judge(case, known, wanted)
            for name, value in judged.items():
                values[name][number] = value
            values[SECONDS.name][number] = np.nan if not start and len(ordered) > _CHUNK else taken
    return values


def further(case: Case) -> dict[str, Question]:
    """The questions besides the main one."""
    return {name: question for name, question in case.questions.items() if name != ASKED}


def options_of(method: str) -> dict[str, str]:
    """The options that a method is asked with, for keys of records; none for controls."""
    return {name: str(value) for name, value in METHODS[method].options().items()} if method in METHODS else {}


def or_refused(measure: Callable[[], Values]) -> tuple[dict[str, Any], Values]:
    """Facts and arrays of a record: what is measured, or what an explainer said in refusing the network."""
    try:
        return {"refused": None}, measure()
    except InputError as refusal:
        return {"refused": str(refusal)}, {}
