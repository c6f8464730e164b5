"""Figures as files: by suffix, the same bytes every time, with what they show in the metadata; in the style of papers and no other."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import layerscope as ls
from layerscope.errors import InputError, StorageError

COMMAND = "import layerscope as ls; ls.hierarchy(ls.load_model('menagerie'), seed=3)"
_AGAIN = """
import sys, hashlib, layerscope as ls
for suffix in ("pdf", "svg", "png"):
    print(hashlib.sha256(ls.figures.save(ls.figures.shares(sys.argv[1]), f"{sys.argv[2]}/f.{suffix}").read_bytes()).hexdigest())
"""


def test_the_same_figure_has_the_same_bytes_again_in_another_process_and_after_another_format(hierarchy, tmp_path):
    runs = []
    for seed in ("1", "2"):
        made = subprocess.run(
            [sys.executable, "-c", _AGAIN, hierarchy, tmp_path],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        runs.append(made.stdout)
    assert runs[0] == runs[1]
    figure = ls.figures.shares(hierarchy)
    before = {
        suffix: ls.figures.save(figure, tmp_path / f"a.{suffix}").read_bytes() for suffix in ("pdf", "svg", "png")
    }
    for suffix in ("png", "pdf", "svg"):
        assert ls.figures.save(figure, tmp_path / f"b.{suffix}").read_bytes() == before[suffix], suffix
    assert ls.figures.save(ls.figures.readers(hierarchy), tmp_path / "c.png").read_bytes() != before["png"]


def test_title_seed_key_and_command_are_in_the_metadata(hierarchy, tmp_path):
    figure = ls.figures.shares(hierarchy)
    key = figure.said.key
    words = f"seed 3, key {key}, {COMMAND}"
    with Image.open(ls.figures.save(figure, tmp_path / "f.png")) as image:
        assert (image.text["Title"], image.text["Description"]) == ("Labels of the units of menagerie", words)
    root = ET.parse(ls.figures.save(figure, tmp_path / "f.svg")).getroot()
    said = [(element.tag.rpartition("}")[2], element.text) for element in root.iter() if "purl.org" in element.tag]
    assert {("title", "Labels of the units of menagerie"), ("description", words)} <= set(said)
    assert "date" not in dict(said)
    pdf = ls.figures.save(figure, tmp_path / "f.pdf").read_bytes()
    info = pdf[pdf.index(b"/Subject") :].split(b")\n")[0].replace(b"\\(", b"(").replace(b"\\)", b")")
    assert words.encode() in info
    assert b"/CreationDate" not in pdf


def test_a_gallery_gives_the_key_of_what_was_drawn_and_an_explanation_its_command(gallery, explanation):
    first, second = ls.figures.ratios(gallery, "conv1").said, ls.figures.ratios(gallery, "conv2").said
    assert first.key != second.key
    assert first.command == "import layerscope as ls; ls.gallery(ls.load_model('menagerie'), seed=3)"
    assert (
        ls.figures.maps(explanation).said.command
        == "import layerscope as ls; ls.explain(ls.load_model('menagerie'), 'owl 7', seed=3)"
    )


def test_text_is_text_and_pictures_are_pictures_in_vector_files(gallery, tmp_path):
    figure = ls.figures.unit(gallery, "conv1:3")
    root = ET.parse(ls.figures.save(figure, tmp_path / "f.svg")).getroot()
    texts = ["".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "what was climbed" in texts
    assert sum(1 for _ in root.iter("{http://www.w3.org/2000/svg}image")) >= 4
    pdf = ls.figures.save(figure, tmp_path / "f.pdf").read_bytes()
    assert b"/Type3" not in pdf, "journals refuse such fonts"
    assert b"/CIDFontType2" in pdf


@pytest.mark.parametrize("name", ["f.jpg", "f", "f.PDF.txt", ".png"])
def test_other_suffixes_are_refused_before_anything_is_written(name, hierarchy, tmp_path):
    with pytest.raises(InputError, match=r"cannot save a figure as .*; give a path that ends in \.pdf, \.svg or \.png"):
        ls.figures.save(ls.figures.similarity(hierarchy), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_suffixes_in_capitals_any_figure_and_what_is_none(tmp_path):
    figure = Figure((1, 1))
    assert ls.figures.save(figure, str(tmp_path / "F.SVG")).read_bytes().startswith(b"<?xml")
    with pytest.raises(InputError, match=r"a str is no figure; give what a function of ls\.figures returns"):
        ls.figures.save("figure", tmp_path / "f.png")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="is a file, not a folder"):
        ls.figures.save(figure, tmp_path / "file" / "f.png")


def test_a_figure_is_as_wide_as_was_asked_and_shows_itself_in_a_notebook(hierarchy):
    figure = ls.figures.shares(hierarchy, width=5)
    assert figure.get_figwidth() == 5
    png, size = figure._repr_png_()
    assert png.startswith(b"\x89PNG")
    assert size == {"width": 500}


def test_neither_pyplot_nor_settings_are_touched_and_the_users_fonts_count(hierarchy):
    code = "import sys, layerscope as ls; ls.figures.shares(sys.argv[1]); sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code, hierarchy], check=False).returncode == 0
    before = dict(matplotlib.rcParams)
    with matplotlib.rc_context(
        {
            "axes.facecolor": "black",
            "text.color": "white",
            "font.family": "serif",
            "lines.linewidth": 9,
            "text.usetex": True,
        }
    ):
        inside = dict(matplotlib.rcParams)
        figure = ls.figures.shares(hierarchy)
        assert dict(matplotlib.rcParams) == inside
    assert dict(matplotlib.rcParams) == before
    axes = figure.axes[0]
    assert axes.get_facecolor()[:3] == (1, 1, 1)
    assert axes.title.get_fontfamily() == ["serif"]
    figure.png(50)  # and no TeX is called


def test_a_style_sheet_of_the_users_changes_nothing_but_fonts(hierarchy):
    plain = np.asarray(ls.figures.shares(hierarchy).png(60))
    with matplotlib.rc_context(
        {"axes.grid": True, "figure.facecolor": "red", "savefig.facecolor": "red", "axes.titlesize": 30}
    ):
        assert np.asarray(ls.figures.shares(hierarchy).png(60)) == plain


def test_a_folder_a_result_and_its_manifest_file_are_the_same_source(hierarchy):
    class Result:
        folder = Path(hierarchy)

    shares = ls.figures.shares
    assert (
        shares(Result()).said
        == shares(str(hierarchy)).said
        == shares(hierarchy / "hierarchy.json").said
        == shares(hierarchy).said
    )
