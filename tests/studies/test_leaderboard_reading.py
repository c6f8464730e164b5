"""Rows, comparisons on the same cases, stability and the sentences of a leaderboard, from values made up."""

from __future__ import annotations

import numpy as np
import pytest

from layerscope.faithfulness.explainers import CONTROLS, KNOWING_NOTHING
from layerscope.faithfulness.measures.catalogue import JUDGED, MEASURES
from layerscope.faithfulness.tiers.catalogue import TIERS
from layerscope.studies.leaderboard_reading import reading
from layerscope.studies.leaderboard_rows import HEADLINES, Measured, against, headline, level, rows_of
from layerscope.studies.leaderboard_tiers import STABLE, _meta, marks, stability

CASES = 12


def values(mean, spread=0.01):
    """[1, cases], alternating around the mean, against the cases of `other`."""
    return np.array([[mean - spread, mean + spread] * (CASES // 2)])


def controls(**more):
    found = {name: {one: values(0.0) for one in ("part_rank", "deletion", "insertion")} for name in CONTROLS}
    found["exact"]["part_rank"], found["edges"]["part_rank"] = values(1.0), values(0.4)
    found["even"]["part_rank"] = values(0.5)
    return [Measured(name, title, None, found[name]) for name, title in CONTROLS.items()]


def rows_with(**methods):
    measured = [
        Measured(
            name,
            name.title(),
            None,
            {
                "part_rank": values(rank, 0.02),
                "deletion": values(area, 0.02),
                "redrawn": values(drawn),
                "shortcut": values(shown),
            },
        )
        for name, (rank, area, drawn, shown) in methods.items()
    ]
    return rows_of("net", measured, controls(), "part_rank", 0)


def test_the_reading_says_what_the_numbers_say():
    rows = rows_with(
        good=(0.9, 0.5, 0.1, 1.0), fair=(0.3, -0.5, 0.2, 0.95), lost=(0.0, -0.9, 0.99, 0.6), bad=(-0.5, 0.2, 0.1, 0.1)
    )
    assert [row["method"] for row in rows] == ["good", "fair", "lost", "bad", *CONTROLS]
    words = " ".join(reading(rows, [], "part_rank"))
    assert "By part rank Good comes first: 0.90 (0.89 to 0.91); the exact answer gets 1.00; a random map" in words
    assert "Better than all of the 4 controls that know nothing: 1 of 4 methods (Good)." in words
    assert "Not told apart from random: Lost." in words
    assert "Worse than random: Bad." in words
    assert "an even map gets 0.50 (0.49 to 0.51), and better on the same scenes is 1 of 4 methods: Good." in words
    assert (
        "A shortcut planted in the bundled network is shown plainly (above 0.9) by 2 of 4 methods: Good, Fair." in words
    )
    assert "Against chance, its marks come last in: Bad." in words
    assert (
        "Deletion finds 2 of 4 methods better than a random map and 2 better than an edge detector; "
        "it puts Lost first, which by part rank is not better than every control."
    ) in words
    assert "Hardly changed by drawing the top layers anew (above 0.7): Lost." in words
    assert "Insertion" not in words  # no method has it
    best = " ".join(reading(rows_with(good=(0.9, -0.9, 0.1, 1.0)), [], "part_rank"))
    assert "it puts Good first." in best


def test_measures_that_fail_are_named_and_decide_nothing():
    meta = [
        {"measure": "part_rank", "passes": False},
        {"measure": "deletion", "passes": True},
        {"measure": "swap", "passes": None},
    ]
    measured = [Measured("a", "A", None, {"part_rank": values(0.9), "deletion": values(0.5)})]
    measured += [Measured("b", "B", None, {"part_rank": values(0.1), "deletion": values(-0.5)})]
    assert headline(["part_rank"], controls()) == "deletion"
    assert headline(["part_rank", "deletion", "insertion"], controls()) is None
    rows = rows_of("net", measured, controls(), "deletion", 0)
    assert [row["method"] for row in rows][:2] == ["b", "a"]  # low deletion is better
    said = reading(rows, meta, "deletion")
    assert "Of 2 measures that could be checked where the answer is provable, 1 fail: part rank." in said
    assert set(HEADLINES) < set(JUDGED)


def test_controls_that_the_truth_does_not_beat_are_named():
    pinned = controls()
    pinned[-1].values["deletion"][:] = 0.5  # the exact answer, worse than all that know nothing
    found = level(pinned)
    assert found["part_rank"] == []
    assert found["deletion"] == [CONTROLS[name] for name in KNOWING_NOTHING]
    assert "mass" not in found


def test_without_controls_there_are_no_rows_and_without_methods_no_reading():
    assert rows_of("net", [], [], None, 0) == []
    rows = rows_with()
    assert [row["method"] for row in rows] == list(CONTROLS)
    assert reading(rows, [], "part_rank") == []
    assert set(KNOWING_NOTHING) < set(CONTROLS)


def test_what_could_not_be_measured_has_no_rank_and_is_said_so():
    nothing = Measured("a", "A", None, {"part_rank": np.full((1, CASES), np.nan)})
    some = Measured("b", "B", None, {"part_rank": values(0.5)})
    rows = rows_of("net", [nothing, some], controls(), "part_rank", 0)
    assert [(row["method"], row["rank"]) for row in rows if not row["control"]] == [("b", 1), ("a", None)]
    rows = rows_of("net", [nothing], controls(), None, 0)
    assert reading(rows, [], None) == ["No measure that orders methods could be taken of these images."]
    (first, *_) = reading(rows_with(good=(0.9, 0.5, 0.1, 1.0)), [], "part_rank", truth=False)
    assert first.startswith("What causes the scores of these images is not known")


def test_methods_are_compared_on_the_same_cases():
    """A small step up on every case is seen, however different the cases are from each other."""
    cases = np.linspace(-1, 1, 20)[None]
    assert against(cases + 0.05, cases, "high") == "better"
    assert against(cases + 0.05, cases, "low") == "worse"
    assert against(cases, cases, "high") == "overlaps"
    assert against(np.random.default_rng(0).permutation(cases.T).T, cases, "high") == "overlaps"
    assert against(None, cases, "high") is None
    assert against(cases, np.full_like(cases, np.nan), "high") is None


def test_orders_are_stable_where_trainings_agree():
    assert stability([[1, 2, 3, 4], [2, 4, 6, 8]]) == pytest.approx(1)
    assert stability([[1, 2, 3, 4], [4, 3, 2, 1], [1, 2, 3, 4]]) == pytest.approx(-1 / 3)
    assert stability([[1, 2, 3]]) is None
    assert stability([]) is None


def test_a_measure_passes_where_it_tells_everywhere_and_is_stable():
    far, none = np.linspace(0.5, 1, 10), np.linspace(-1, 1, 10)
    assert _meta("mass", {"linear": far}, None, ())["passes"] is True
    assert _meta("mass", {"linear": far}, STABLE - 0.1, ())["passes"] is False
    assert _meta("mass", {}, 0.9, ())["passes"] is None
    beside = _meta("mass", {"linear": far}, 0.9, ["Centre blob"])
    assert beside["passes"] is False
    assert beside["words"] == "On the scenes, does not find the exact answer better than: Centre blob."
    missed = _meta("mass", {"linear": far, "mark": none}, 0.9, ())
    assert (missed["passes"], missed["told"], missed["missed"]) == (False, ["linear"], ["mark"])
    assert missed["words"] == "Does not tell the exact answer from a random map on: mark."
    assert MEASURES["mass"].better == "high"


def test_marks_line_up_whatever_networks_a_method_refuses():
    of_control = {f"even/{tier}/{measure}": np.ones(3) for tier in TIERS for measure in ("shortcut", "contrast")}
    of_method = {f"mark/{measure}": np.ones(3) for measure in ("shortcut", "contrast")}
    control, method = marks(of_control, 3, "even/"), marks(of_method, 3)
    assert control["shortcut"].shape == method["shortcut"].shape == (1, 3 * len(TIERS))
    assert (~np.isnan(method["contrast"])).sum() == 3
    assert list(TIERS).index("mark") * 3 == np.isnan(method["shortcut"][0]).argmin()
