"""Figures of an explanation show what its record holds, maps beside their checks and curves beside controls."""

from __future__ import annotations

import made_up
import numpy as np
import pytest
from made_up_explanations import SIDE, curve_facts, evidence, write_explanation
from matplotlib.colors import to_hex
from reading_figures import HOSTILE, clipped, texts

import layerscope as ls
from layerscope.errors import InputError, UnknownNameError
from layerscope.figures.palette import ACCENT, AGAINST, FOR, hexed


def test_every_map_is_drawn_in_its_colours_with_its_checks_under_it(explanation):
    figure = ls.figures.maps(explanation)
    image, deeplift, gradcam, empty, refused = figure.axes[:5]
    np.testing.assert_array_equal(image.images[0].get_array(), made_up.picture(1, SIDE))
    for place, axes in enumerate((deeplift, gradcam)):
        drawn = axes.images[1].get_array()
        values = evidence(place) / (0.01 * (place + 1))
        np.testing.assert_array_equal(drawn[..., 3], np.rint(255 * np.abs(values)))
        assert tuple(drawn[0, 0, :3]) == FOR
        assert tuple(drawn[0, -1, :3]) == AGAINST
    assert [text.get_text() for text in deeplift.texts] == [
        "full colour at ±0.01\ngap 2.0%, parts 0.90\nredrawn 0.25, noise 0.88"
    ]
    assert gradcam.get_title("left") == "Gradcam"
    assert not empty.images[1].get_array()[..., 3].any()
    assert [text.get_text() for text in refused.texts] == ["no map"]
    assert "menagerie says owl 90.0%; why owl?" in texts(figure)
    assert not clipped(figure)


def test_maps_of_the_other_question_and_of_none(explanation):
    assert "menagerie says owl 90.0%; why owl rather than zebra?" in texts(ls.figures.maps(explanation, "versus"))
    with pytest.raises(UnknownNameError, match="no question 'why'; there are: target, versus"):
        ls.figures.maps(explanation, "why")


def test_curves_stand_beside_controls_the_best_method_in_blue(explanation):
    figure = ls.figures.curves(explanation)
    away, put, _ = figure.axes
    told = curve_facts()
    for axes, side in ((away, "deletion"), (put, "insertion")):
        lines = {line.get_label(): line for line in axes.lines}
        assert set(lines) == {one["name"] for one in told["maps"]}
        for one in told["maps"]:
            np.testing.assert_array_equal(lines[one["name"]].get_xdata(), told["shares"])
            np.testing.assert_array_equal(lines[one["name"]].get_ydata(), one[side])
        assert [name for name, line in lines.items() if line.get_color() == ACCENT] == ["deeplift"]
        assert {name for name, line in lines.items() if line.get_linestyle() != "-"} == {"random", "edges", "centre"}
    said = texts(figure)
    order = ["Deeplift", "Gradcam", "random map", "edges of the image", "distance to the centre"]
    assert [text for text in said if text in order] == order, "the best first"
    assert [said[said.index("random map") + turn] for turn in (1, 2)] == ["0.410", "0.520"]
    assert "probability of owl" in said
    assert not clipped(figure)


def test_curves_without_areas_say_why(tmp_path):
    told = {
        **curve_facts(),
        "note": "the score hardly changes",
        "maps": [{**one, "deletion_area": None, "insertion_area": None} for one in curve_facts()["maps"]],
    }
    write_explanation(tmp_path, folder="e", facts={"curves": {"target": told}})
    assert any("No areas: the score hardly changes." in text for text in texts(ls.figures.curves(tmp_path / "e")))


def test_agreement_writes_every_correlation_and_stripes_those_below_zero(explanation):
    figure = ls.figures.agreement(explanation)
    (axes,) = figure.axes
    assert [text for text in texts(figure) if text == "−.25"] == ["−.25"] * 4, "two cells, two means"
    assert [bool(cell.get_hatch()) for cell in axes.patches] == [False, True, True, False]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["Deeplift", "Gradcam"]
    assert not clipped(figure)


def test_labels_are_as_long_as_they_are_probable(explanation):
    figure = ls.figures.labels(explanation)
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([0.9 / 4**place for place in range(4)])
    assert [line.get_xdata()[0] for line in axes.lines] == pytest.approx([0.8 / 4**place for place in range(4)])
    assert [to_hex(bar.get_facecolor()) == ACCENT for bar in axes.patches] == [True, False, False, False]
    assert {"90.0% (logit 3.00)", "owl 7\n+1.00 logits ahead of zebra", "black line: calibrated"} <= set(texts(figure))
    assert not clipped(figure)


def test_causes_are_bars_of_true_effects_beside_the_scene_without_the_part(explanation):
    figure = ls.figures.causes(explanation)
    pictures, axes = figure.axes
    bars = [
        (
            round(bar.get_width(), 3),
            to_hex(bar.get_edgecolor() if bar.get_facecolor()[:3] == (1, 1, 1) else bar.get_facecolor()),
        )
        for bar in axes.patches
    ]
    assert bars[:3] == [(2.1, hexed(FOR)), (1.9, hexed(FOR)), (-0.3, hexed(AGAINST))]
    assert [width for width, _ in bars[3:]] == [-0.1, 0.05], "another background, distractors moved"
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "wing\n31 pixels",
        "eye\n1 pixel",
        "another\nbackground",
        "distractors\nmoved",
    ]
    np.testing.assert_array_equal(pictures.images[0].get_array(), made_up.picture(20))
    assert {"+2.10", "+1.90", "−0.300"} <= set(texts(figure))
    assert not clipped(figure)


def test_a_flip_shows_both_scenes_with_both_probabilities(explanation):
    figure = ls.figures.flip(explanation)
    np.testing.assert_array_equal(figure.axes[1].images[0].get_array(), made_up.picture(30))
    assert {
        "owl 90.0%",
        "zebra 70.0%",
        "without wing and eye",
        "the smallest of 57 changes tried that flips the label",
    } <= set(texts(figure))
    assert not clipped(figure)


def test_a_photograph_has_no_causes_and_a_firm_scene_no_flip(tmp_path):
    write_explanation(tmp_path, scene=False, folder="photo")
    kept = {
        "found": False,
        "words": None,
        "label": None,
        "probability": None,
        "tried": 12,
        "complete": True,
        "picture": None,
    }
    write_explanation(tmp_path, folder="firm", facts={"flip": kept})
    for draw in (ls.figures.causes, ls.figures.flip):
        with pytest.raises(InputError, match="'owl 7' is no scene as rendered"):
            draw(tmp_path / "photo")
    with pytest.raises(InputError, match="'owl 7' keeps its label under all 12 changes, so there is no flip to draw"):
        ls.figures.flip(tmp_path / "firm")
    assert any("(unlike what the network knows)" in text for text in texts(ls.figures.maps(tmp_path / "photo")))


def test_units_that_mattered_stand_layer_by_layer_with_both_changes(explanation):
    figure = ls.figures.units_that_mattered(explanation)
    said = texts(figure)
    assert {
        "relu1",
        "8 units\nsees 17 px\nagreement 0.930\nsame sign 80.0%",
        "#0 1.30×",
        "#3 1.30×",
        "no picture",
    } <= set(said)
    assert [said.count(change) for change in ("−0.800", "−0.750", "+2.25")] == [4, 2, 2]
    _, first, second = figure.axes[:3]
    fired, picture = first.images
    np.testing.assert_array_equal(picture.get_array(), made_up.picture(10))
    assert fired.get_array().shape == (SIDE, SIDE, 3)
    predicted, true = second.patches
    assert (predicted.get_width(), true.get_width()) == pytest.approx((1.25 * 0.8 / 2.25, 1.25))
    assert (to_hex(predicted.get_edgecolor()), to_hex(true.get_facecolor())) == (hexed(FOR), hexed(AGAINST))
    assert not clipped(figure)


def test_a_network_without_inner_layers_has_no_units_that_mattered(tmp_path):
    write_explanation(tmp_path, folder="e", facts={"story": None})
    with pytest.raises(InputError, match="has no layers whose units could matter"):
        ls.figures.units_that_mattered(tmp_path / "e")


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_names_of_classes_images_and_networks_are_text(hostile, tmp_path):
    write_explanation(tmp_path, hostile, network=hostile, folder="e", classes=(hostile, "$y_1$", "owl"))
    for name in ("maps", "curves", "agreement", "labels", "causes", "flip", "units_that_mattered"):
        figure = getattr(ls.figures, name)(tmp_path / "e")
        figure.png(60)
        assert not clipped(figure), name
