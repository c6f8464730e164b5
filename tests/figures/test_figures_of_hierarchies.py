"""Figures of a hierarchy report show its numbers beside those of the random twins."""

from __future__ import annotations

import numpy as np
import pytest
from made_up_hierarchies import CODED, TASKS, label_of, write_hierarchy
from matplotlib.colors import to_hex
from reading_figures import IN_ARRAYS, clipped, drawn, texts

import layerscope as ls
from layerscope.dissection.curves import TASKS as ALL_TASKS
from layerscope.dissection.labels import CATEGORIES as LABELS
from layerscope.dissection.labels import NONE
from layerscope.errors import UnknownNameError
from layerscope.figures.palette import ACCENT, CATEGORIES, MARKS, QUIET
from layerscope.figures.palette import TASKS as TASK_COLOURS
from layerscope.figures.source import opened


@pytest.fixture(scope="module")
def layers(hierarchy):
    with opened("hierarchy", hierarchy) as report:
        return report.facts["layers"]


def test_every_label_and_every_task_has_a_colour_of_its_own():
    assert set(CATEGORIES) == set(LABELS)
    assert len(set(CATEGORIES.values())) == len(CATEGORIES)
    assert list(CATEGORIES)[-2] == NONE
    assert set(TASK_COLOURS) == set(ALL_TASKS)
    assert set(MARKS) == {*CODED, "any"}


def test_shares_are_stacked_with_the_twins_beside_them_and_the_depth_below(hierarchy, layers):
    figure = ls.figures.shares(hierarchy)
    above, below = figure.axes
    bars = iter(above.patches)
    for category, colour in CATEGORIES.items():
        for key in ("share", "twins"):
            for layer in layers:
                bar = next(bars)
                assert bar.get_height() == layer["shares"][category][key], (category, key)
                assert to_hex(bar.get_facecolor()) == colour
    tops = {round(bar.get_y() + bar.get_height(), 6) for bar in above.patches[-8:]}
    assert tops == {1.0}
    assert texts(figure).count("75") == 4
    points = below.lines[-1]
    assert list(points.get_ydata()) == [layer["depth"]["value"] for layer in layers]
    (intervals,) = below.collections
    assert [tuple(path.vertices[:, 1]) for path in intervals.get_paths()] == [
        (layer["depth"]["low"], layer["depth"]["high"]) for layer in layers
    ]
    assert not clipped(figure)


def test_what_is_beyond_the_twins_is_full_where_it_is_so_for_sure(hierarchy, layers):
    figure = ls.figures.beyond_twins(hierarchy)
    for category, axes in zip((*CODED, "any"), figure.axes, strict=False):
        twins, full, hollow, _ = axes.lines
        told = [layer["net"][category] for layer in layers]
        assert list(full.get_ydata()) == [one["value"] for one in told if one["low"] > 0]
        assert list(hollow.get_ydata()) == [one["value"] for one in told if one["low"] <= 0]
        assert (full.get_markerfacecolor(), hollow.get_markerfacecolor()) == (MARKS[category], "white")
        (intervals,) = axes.collections
        ends = [tuple(path.vertices[:, 1]) for path in intervals.get_paths()]
        assert ends == [(one["low"], one["high"]) for one in told]
        own = CODED if category == "any" else (category,)
        assert list(twins.get_ydata()) == [sum(layer["shares"][one]["twins"] for one in own) for layer in layers]
    assert texts(figure).count("1 of 4 layers, most +74%") == 4
    assert "0 of 4 layers, most +0%" in texts(figure)
    assert "4 of 4 layers, most +74%" in texts(figure)
    assert "intervals of all layers and labels hold together with 95.0%" in texts(figure)
    assert not clipped(figure)


def test_readers_stand_beside_twins_shuffled_labels_and_chance(hierarchy, layers):
    figure = ls.figures.readers(hierarchy)
    titled = {axes.get_title("left"): axes for axes in figure.axes if axes.axison}
    assert set(titled) == set(TASKS)
    for task, axes in titled.items():
        told = [layer["decodability"][task] for layer in layers]
        drawn_lines = [list(line.get_ydata()) for line in axes.lines]
        chance, shuffled, *twins, mean, network = drawn_lines
        assert chance == [one["chance"] for one in told]
        assert shuffled == [one["shuffled"]["value"] for one in told]
        assert len(twins) == min(len(one["twins"]) for one in told)
        np.testing.assert_allclose(mean, [np.mean(one["twins"]) if one["twins"] else np.nan for one in told])
        assert network == [one["accuracy"]["value"] for one in told]
        assert (axes.lines[-1].get_color(), axes.lines[-2].get_color()) == (ACCENT, QUIET)
    assert not clipped(figure)


def test_the_whole_report_has_four_panels_and_its_finding(hierarchy, layers):
    figure = ls.figures.hierarchy(hierarchy)
    assert [axes.get_title("left")[0] for axes in figure.axes] == ["a", "b", "c", "d"]
    assert any(text.startswith("menagerie. A hierarchy is shown: deeper layers") for text in texts(figure))
    net = figure.axes[2]
    values = sorted(value for line in net.lines[:-1] for value in line.get_ydata())
    assert values == sorted(layer["net"][one]["value"] for layer in layers for one in CODED)
    readers = figure.axes[3]
    assert {tuple(line.get_ydata()) for line in readers.lines} >= {
        tuple(layer["decodability"][task]["accuracy"]["value"] for layer in layers) for task in TASKS
    }
    assert not clipped(figure)


def test_a_report_without_a_hierarchy_says_so(tmp_path):
    write_hierarchy(tmp_path, "untrained", shown=False, folder="h", header={"network": {"name": "untrained"}})
    said = texts(ls.figures.hierarchy(tmp_path / "h"))
    assert any(text.startswith("untrained. No hierarchy shown") for text in said)
    assert "b  nothing is beyond the twins: no depth" in said
    assert said.count("nothing") == 4, "a depth of no layer"


def test_similarity_writes_every_cell_of_both_matrices(hierarchy):
    figure = ls.figures.similarity(hierarchy)
    own, twins = figure.axes
    assert [text.get_text() for text in own.texts[:4]] == ["1.00", ".75", ".50", ".25"]
    assert [text.get_text() for text in twins.texts[:4]] == [".10", "−.02", "−.15", "−.28"]
    assert [bool(cell.get_hatch()) for cell in twins.patches[:4]] == [False, True, True, True]
    assert twins.get_title("left").endswith("5 random twins (columns)")
    assert not clipped(figure)


def test_preferences_are_dots_at_their_angle_in_the_colour_of_their_label(hierarchy):
    figure = ls.figures.preferences(hierarchy, "conv1")
    orientation, hue, frequency = figure.axes
    dots = [line for line in orientation.lines if line.get_marker() == "o"]
    assert len(dots) == 14, "two of sixteen are dead"
    full = {to_hex(dot.get_color()) for dot in dots if dot.get_markerfacecolor() != "none"}
    assert full == {MARKS["edge"], MARKS["colour-edge"]}, "those pass as edges"
    edge = [dot for dot in dots if to_hex(dot.get_color()) == MARKS["edge"]]
    angles = sorted(np.degrees(np.arctan2(dot.get_ydata()[0], dot.get_xdata()[0])).item() for dot in edge)
    assert angles == pytest.approx([22.5, 22.5]), "units 1 and 9"
    assert np.hypot(edge[0].get_xdata()[0], edge[0].get_ydata()[0]) == pytest.approx(0.4 / 0.5), (
        "selectivity over the rim"
    )
    assert any(
        text.get_text() == "14 of 16 units have a known orientation,\n4 of them pass as edges"
        for text in orientation.texts
    )
    assert any(text.get_text().startswith("14 of 16 units have a known hue, 4 of them") for text in hue.texts)
    assert frequency.get_title("left") == "spatial frequency, median 0.125"
    assert sum(bar.get_height() for bar in frequency.patches) == 14
    assert sum(bar.get_height() for bar in frequency.patches if to_hex(bar.get_facecolor()) == MARKS["edge"]) == 4
    assert not clipped(figure)


def test_tuning_curves_are_those_of_the_record_with_what_is_preferred(hierarchy):
    figure = ls.figures.tuning(hierarchy, "conv2:5")
    orientation, hue, frequency = figure.axes
    answers = lambda count: 1 + np.cos(np.arange(count) + 5)  # noqa: E731
    shape = orientation.patches[-1].get_xy()[:-1]
    np.testing.assert_allclose(np.hypot(*shape.T), np.tile(answers(8) / answers(8).max(), 2), atol=1e-6)
    angles = np.degrees(np.arctan2(shape[:, 1], shape[:, 0])) % 360
    np.testing.assert_allclose(angles[[1, 2, 9]], [22.5, 45, 202.5], atol=1e-3)
    np.testing.assert_allclose(
        np.hypot(*hue.patches[-1].get_xy()[:-1].T), 0.52 + 0.48 * answers(8) / answers(8).max(), atol=1e-6
    )
    np.testing.assert_allclose(frequency.lines[0].get_ydata(), answers(4), rtol=1e-6)
    np.testing.assert_allclose(frequency.lines[1].get_xdata(), np.log2(0.125))
    assert any("bars at 112° (110° to 116°),\nselectivity 0.400" in text for text in texts(figure))
    assert f"conv2:5 of menagerie: {label_of(5)}, the same in 55% of redraws" in texts(figure)
    assert not clipped(figure)


def test_a_dead_unit_has_no_curves_and_a_grey_network_no_hues(hierarchy, tmp_path):
    assert "it answers to no grating and no hue" in texts(ls.figures.tuning(hierarchy, "conv1:0"))
    write_hierarchy(tmp_path, hues=False, masks=False, channels=1, folder="grey")
    assert len(ls.figures.preferences(tmp_path / "grey", "conv1").axes) == 2
    assert len(ls.figures.tuning(tmp_path / "grey", "conv1:3").axes) == 2
    assert "no masks, so no concepts" in texts(ls.figures.measures(tmp_path / "grey", "conv1:3"))


def test_measures_of_a_unit_stand_with_their_intervals(hierarchy):
    figure = ls.figures.measures(hierarchy, "conv3:6")
    tests, classes, texture, concepts = figure.axes
    assert [label.get_text() for label in tests.get_yticklabels()] == ["object", "part", "texture", "colour", "edge"]
    assert [bar.get_width() for bar in tests.patches] == pytest.approx([np.log1p(7), 0, 0, 0, 0])
    assert {"7.00, passed", "−0.500, not passed"} <= {text.get_text() for text in tests.texts}
    assert [label.get_text() for label in classes.get_yticklabels()] == [
        "all other classes",
        "versus scattered",
        "versus silhouette",
        "versus texture swapped",
    ]
    assert tuple(classes.lines[2].get_xdata()) == (0.625, 0.85)
    assert "0.310 (0.210 to 0.410)" in [text.get_text() for text in texture.texts]
    assert [bar.get_width() for bar in concepts.patches] == [0.8, 0.2] * 3
    assert not clipped(figure)


@pytest.mark.parametrize("hostile", IN_ARRAYS)
def test_hostile_names_of_networks_layers_and_classes_are_text(hostile, tmp_path):
    layer, header = f"{hostile}{hostile}", {"network": {"name": f"{hostile} \ud800"}}
    write_hierarchy(
        tmp_path, folder="h", layers=(layer, "$x_1$", "b" * 300), classes=(hostile, "$y$"), units=8, header=header
    )
    folder = tmp_path / "h"
    figures = [
        getattr(ls.figures, name)(folder) for name in ("hierarchy", "shares", "beyond_twins", "readers", "similarity")
    ]
    figures += [
        ls.figures.preferences(folder, layer),
        ls.figures.tuning(folder, f"{layer}:3"),
        ls.figures.measures(folder, "$x_1$:3"),
    ]
    for figure in figures:
        figure.png(60)
        assert not clipped(figure), figure.said.title[:80]
    assert any(text.get_text() == r"\$x_1\$" for text in drawn(figures[1]))


def test_forty_layers_are_readable(tmp_path):
    write_hierarchy(
        tmp_path,
        folder="h",
        layers=[f"features.denseblock{place // 9}.layer{place}.relu" for place in range(40)],
        units=8,
    )
    for name in ("hierarchy", "shares", "readers"):
        figure = getattr(ls.figures, name)(tmp_path / "h")
        assert not clipped(figure), name
        ticks = [label for label in figure.axes[0].get_xticklabels() if label.get_text()]
        assert len(ticks) <= 24
        assert all(label.get_text().startswith("…") for label in ticks), "the end of a name tells layers apart"


def test_names_that_a_report_does_not_have(hierarchy):
    with pytest.raises(UnknownNameError, match="no layer 'conv9'; nearest: conv4, conv3, conv2, conv1"):
        ls.figures.preferences(hierarchy, "conv9")
    with pytest.raises(UnknownNameError, match="no unit 'conv1:16'; conv1 has units 0 to 15"):
        ls.figures.tuning(hierarchy, "conv1:16")
    with pytest.raises(UnknownNameError, match="no layer 'conv7'"):
        ls.figures.measures(hierarchy, "conv7:1")
