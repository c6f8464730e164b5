"""Figures of a gallery show the numbers of its records, and every picture has one."""

from __future__ import annotations

import json

import made_up
import numpy as np
import pytest
from matplotlib.colors import to_hex
from reading_figures import HOSTILE, clipped, texts

import layerscope as ls
from layerscope.errors import InputError, UnknownNameError
from layerscope.figures.palette import ACCENT

RATIOS = [round(0.5 + 0.2 * index, 3) for index in range(40)]


def test_the_bars_of_a_layer_count_its_ratios_and_are_blue_from_one_on(gallery):
    figure = ls.figures.ratios(gallery, "conv1")
    (axes,) = figure.axes
    assert sum(bar.get_height() for bar in axes.patches) == len(RATIOS)
    for bar in axes.patches:
        low, high = bar.get_x(), bar.get_x() + bar.get_width() / 0.92
        assert bar.get_height() == sum(low - 1e-6 <= value < high - 1e-6 for value in RATIOS), low
        assert (to_hex(bar.get_facecolor()) == ACCENT) == (low > 1 - 1e-6)
    assert axes.get_title("left") == f"conv1, 37 of 40 reach it; median {np.median(RATIOS):.2f}×"
    assert not clipped(figure)


def test_a_few_ratios_beyond_the_axis_are_counted_in_its_words(gallery, tmp_path):
    made_up.write_gallery(tmp_path, units=200)
    figure = ls.figures.ratios(tmp_path / "menagerie", "conv1")
    (axes,) = figure.axes
    assert sum(bar.get_height() for bar in axes.patches) == 200
    assert not clipped(figure)


def test_a_gallery_without_natural_images_says_so(tmp_path):
    made_up.write_gallery(tmp_path, natural=False)
    folder = tmp_path / "menagerie"
    assert "no natural activation to compare with" in texts(ls.figures.ratios(folder, "conv1"))
    assert "no natural images" in texts(ls.figures.unit(folder, "conv1:2"))
    assert "#0 1.00" in texts(ls.figures.layer(folder, "conv1")), "the score, where there is no ratio"
    assert "owl\n1.00" in texts(ls.figures.sheet(folder))


def test_a_layer_shows_units_evenly_spaced_each_with_its_ratio_and_exemplars(gallery):
    figure = ls.figures.layer(gallery, "conv2", columns=4, units=8)
    head, *units = figure.axes
    assert [axes.get_title("left") for axes in units] == [
        "#0 0.50×", "#5 1.50×", "#10 2.50×", "#15 3.50× weak", "#20 4.50× dead", "#25 5.50×", "#30 6.50×", "#35 7.50× weak"
    ]  # fmt: skip
    for axes, index in zip(units, range(0, 40, 5), strict=True):
        picture, *exemplars = axes.images
        np.testing.assert_array_equal(picture.get_array(), made_up.picture(index))
        assert len(exemplars) == made_up.EXEMPLARS
        np.testing.assert_array_equal(exemplars[1].get_array(), made_up.picture(index + 7, 12))
    assert head.get_title("left").startswith("conv2   Conv2d, 40 units, sees 11 px")
    assert not clipped(figure)


def test_a_unit_shows_its_picture_exemplars_trace_and_numbers(gallery):
    figure = ls.figures.unit(gallery, "conv1:3")
    said = texts(figure)
    for words in (
        "conv1:3 of menagerie; weak: why it is weak",
        "made for channel conv1:3",
        "17.0% of its values saturated",
        "bar: score 2.20, 1.10× of the strongest natural (line) 2.00",
        "ring: before the ascent 0.250",
        "2.00 house",
        "1.88 owl",
    ):
        assert words in said, words
    (trace,) = [axes for axes in figure.axes if axes.get_xlabel() == "step of the ascent"]
    np.testing.assert_allclose(trace.lines[0].get_ydata(), 2.2 * (1 - np.exp(-np.arange(40) / 8)), rtol=1e-5)
    scale = figure.axes[-1]
    assert scale.patches[0].get_width() == pytest.approx(2.2)
    assert {tuple(line.get_xdata()) for line in scale.lines} >= {(0.25,), (2.0, 2.0)}
    assert not clipped(figure)


def test_a_unit_without_a_ratio_that_reaches_one_is_grey(gallery):
    assert to_hex(ls.figures.unit(gallery, "conv1:2").axes[-1].patches[0].get_facecolor()) != ACCENT
    assert to_hex(ls.figures.unit(gallery, "conv1:3").axes[-1].patches[0].get_facecolor()) == ACCENT


def test_units_that_were_asked_for_are_not_called_unchosen(gallery, tmp_path):
    assert any("none chosen" in text for text in texts(ls.figures.sheet(gallery)))
    folder = made_up.write_gallery(tmp_path, units=4) / "menagerie"
    facts = json.loads((folder / "gallery.json").read_text())
    facts["layers"][0]["units"] = 9
    (folder / "gallery.json").write_text(json.dumps(facts))
    for figure in (ls.figures.sheet(folder), ls.figures.layer(folder, "conv1")):
        assert any("over those asked for" in text for text in texts(figure))


def test_the_sheet_has_a_row_per_layer_and_all_classes_each_picture_with_its_number(gallery):
    figure = ls.figures.sheet(gallery, columns=5)
    shown = [axes.get_title("left") for axes in figure.axes if axes.images]
    conv = ["#0\n0.50×", "#8\n2.10×", "#16\n3.70×", "#24\n5.30×", "#32\n6.90×"]
    assert shown == [*conv, *conv, "owl\n0.50×", "zebra\n0.70×", "turtle\n0.90×", "house\n1.10× weak"]
    assert {"conv1", "conv2", "fc", "40 units\nsees 11 px", "4 units\nsees all"} <= set(texts(figure))
    assert not clipped(figure)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_names_are_text_and_break_nothing(hostile, tmp_path):
    made_up.write_gallery(
        tmp_path, hostile, folder="g", labels=(hostile, "$x^2$", "owl"), layers=(f"l{hostile}" * 2,), units=4
    )
    folder = tmp_path / "g"
    layer = f"l{hostile}" * 2
    for figure in (
        ls.figures.sheet(folder),
        ls.figures.layer(folder, layer),
        ls.figures.ratios(folder, layer),
        ls.figures.unit(folder, "fc:0"),
        ls.figures.unit(folder, f"{layer}:1"),
    ):
        figure.png(60)  # warnings are errors: nothing of it is mathematics, or a sign that the font does not have
        assert not clipped(figure), hostile
    assert any(text.startswith(r"\$x^2\$") for text in texts(ls.figures.sheet(folder))), "escaped: dollars, no power"


def test_names_that_a_gallery_does_not_have(gallery):
    with pytest.raises(UnknownNameError, match="no layer 'conv9'; nearest: conv2, conv1"):
        ls.figures.ratios(gallery, "conv9")
    with pytest.raises(UnknownNameError, match="no unit 'conv1:99'; nearest: conv1:9"):
        ls.figures.unit(gallery, "conv1:99")
    with pytest.raises(InputError, match="'conv1' is no unit; write layer:number, as in 'conv3:26'"):
        ls.figures.unit(gallery, "conv1")
    for name, made in (("columns", 0), ("columns", True), ("units", -1)):
        with pytest.raises(InputError, match=f"{name}={made}; give a whole number of at least 1"):
            ls.figures.layer(gallery, "conv1", **{name: made})


def test_units_that_are_not_made_yet_are_left_out_and_named(tmp_path):
    made_up.write_gallery(tmp_path, made=lambda index: index % 2 == 0)
    folder = tmp_path / "menagerie"
    with pytest.raises(InputError, match=r"conv1:3 is not made yet, or damaged; run ls\.gallery again"):
        ls.figures.unit(folder, "conv1:3")
    figure = ls.figures.layer(folder, "conv1")
    assert [axes.get_title("left") for axes in figure.axes[1:] if axes.images][:2] == ["#0 0.50×", "#2 0.90×"]
