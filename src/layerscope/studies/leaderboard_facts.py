"""What `leaderboard.json` says, put together from the records that there are so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.attribution.methods import METHODS
from layerscope.faithfulness.explainers import CONTROLS
from layerscope.faithfulness.measures.catalogue import JUDGED, SECONDS
from layerscope.records import Record
from layerscope.studies.leaderboard_files import head_of, measure_facts, write_manifest
from layerscope.studies.leaderboard_reading import reading
from layerscope.studies.leaderboard_rows import Measured, headline, level, rows_of
from layerscope.studies.leaderboard_study import FAMILIAR, PINNED, Study
from layerscope.studies.leaderboard_tiers import marks, meta_rows, stability, tier_rows
from layerscope.studies.manifest import opening

Arrays = Mapping[str, NDArray[np.float64]]


def write_facts(study: Study, folder: Path, whole: bool) -> dict[str, Any]:
    """Write `leaderboard.json` over what is measured so far, and return what it says. whole: of the usual methods.

    Raises StorageError where it cannot be written.
    """
    pinned = [study.find(model, PINNED) for model in study.models]
    known = [record for record in pinned if record is not None]
    found = {name: [study.find(model, name) for model in study.models] for name in study.methods}
    methods = [_of_method(study, name, some) for name, some in found.items() if any(some)]
    controls = [one for name in CONTROLS if known and (one := _of_control(study, name, pinned)).values]
    stable = _stable([one for one in methods if one.refused is None])
    meta = meta_rows(study.provable, stable, level(controls) if study.truth else {})
    failing = [row["measure"] for row in meta if row["passes"] is False]
    first = headline(failing, controls)
    rows = rows_of(study.models[0].name, methods, controls, first, study.seed)
    facts = {
        **head_of(study.models, study.key(), [None if one is None else one.facts["accuracy"] for one in pinned]),
        "truth": study.truth,
        "scenes": _of_source(study, known),
        "seed": study.seed,
        "methods": list(study.methods),
        "first": first,
        "measures": measure_facts(rows, failing),
        "rows": rows,
        "refused": [{"method": one.name, "title": one.title, "error": one.refused} for one in methods if one.refused],
        "reading": reading(rows, meta, first, study.truth),
        "meta": meta,
        "tiers": tier_rows(study.provable, study.methods),
        "familiar": [] if (familiar := study.find(study.models[0], FAMILIAR)) is None else familiar.facts["rows"],
        "complete": len(known) == len(study.models) and all(all(some) for some in found.values()),
        "command": _command(study, whole),
    }
    write_manifest(folder, facts)
    return facts


def _of_method(study: Study, name: str, found: Sequence[Record | None]) -> Measured:
    refused = next((str(one.facts["refused"]) for one in found if one is not None and one.facts["refused"]), None)
    if refused:
        return Measured(name, METHODS[name].title, refused, {})
    arrays = [{} if one is None else one.arrays for one in found]
    values = _stacked(arrays, (*JUDGED, SECONDS.name), study.source.count)
    return Measured(name, METHODS[name].title, None, values | _marks(study, name))


def _of_control(study: Study, name: str, pinned: Sequence[Record | None]) -> Measured:
    """Without values where it has no answer, as the exact one has none about images whose causes are not known."""
    arrays = [{} if one is None else _below(name, one.arrays) for one in pinned]
    values = _stacked(arrays, JUDGED, study.source.count)
    if all(np.isnan(one).all() for one in values.values()):
        return Measured(name, CONTROLS[name], None, {})
    return Measured(name, CONTROLS[name], None, values | _marks(study, PINNED, f"{name}/"))


def _marks(study: Study, name: str, prefix: str = "") -> dict[str, NDArray[np.float64]]:
    """What planted shortcuts say of a method, beside its measures on scenes."""
    proved = study.provable.find(name) if study.truth else None
    return {} if proved is None else marks(proved.arrays, study.provable.count, prefix)


def _below(name: str, arrays: Arrays) -> Arrays:
    """What is called "<name>/..." without that."""
    return {key.partition("/")[2]: one for key, one in arrays.items() if key.startswith(f"{name}/")}


def _stacked(found: Sequence[Arrays], names: Sequence[str], count: int) -> dict[str, NDArray[np.float64]]:
    """Arrays [networks, count] of [count] each; NaN for a network that was not measured yet."""
    nothing = np.full(count, np.nan)
    return {name: np.stack([arrays.get(name, nothing) for arrays in found]) for name in names}


def _stable(methods: Sequence[Measured]) -> dict[str, float | None]:
    """By measure, how alike the methods' orders are on the networks that all of them were asked about."""
    found = {}
    for name in JUDGED:
        some = [one.values[name] for one in methods if name in one.values and not np.isnan(one.values[name]).all()]
        networks = min((len(values) for values in some), default=0)
        asked = [at for at in range(networks) if not any(np.isnan(values[at]).all() for values in some)]
        found[name] = stability([[float(np.nanmean(values[at])) for values in some] for at in asked])
    return found


def _of_source(study: Study, pinned: Sequence[Record]) -> dict[str, Any]:
    """Of the images; what is known of the cases is that of the first network."""
    names = ("telling", "checked", "accuracy")
    return {**study.source.facts, **{name: pinned[0].facts[name] if pinned else None for name in names}}


def _command(study: Study, whole: bool) -> str:
    """The line of Python that makes it again."""
    of = [opening(model) for model in study.models]
    network = of[0] if len(of) == 1 else f"[{', '.join(of)}]"
    methods = None if whole else list(study.methods)
    told = {"methods": methods, **study.source.arguments, "seed": study.seed}
    given = "".join(f", {name}={value!r}" for name, value in told.items())
    return f"import layerscope as ls; ls.leaderboard({network}{given})"
