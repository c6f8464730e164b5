"""The figure of an atlas: each picture where its cell lies, with its number under it."""

from __future__ import annotations

import numpy as np
import pytest
from made_up import HOSTILE
from made_up_atlases import PLACES, cell_facts, write_atlas
from matplotlib.colors import to_hex
from reading_figures import clipped, texts

import layerscope as ls
from layerscope.errors import InputError
from layerscope.figures.atlas_plot import _BELOW, _TILE
from layerscope.figures.palette import ACCENT


def home(out):
    return write_atlas(out) / "atlas/menagerie/conv2"


def test_cells_are_where_they_lie_and_have_their_numbers(tmp_path):
    figure = ls.figures.atlas(home(tmp_path))
    (axes,) = figure.axes
    (shown,) = axes.get_images()
    pixels = np.asarray(shown.get_array())
    for at, (row, column) in enumerate(PLACES):
        top, left = row * (_TILE + _BELOW), (column - 0) * (_TILE + 4)
        middle = pixels[top + 60 : top + 68, left + 60 : left + 68].mean((0, 1))
        assert middle[1:] == pytest.approx([37 * at % 256, 91 * at % 256], abs=2)
    assert (pixels[:_TILE, :_TILE] == 255).all()  # no cell lies there
    words = {(text.get_text(), to_hex(text.get_color()) == ACCENT) for text in axes.texts}
    for at, place in enumerate(PLACES[:-1]):
        cell = cell_facts(at, *place)
        assert (f"{cell['cosine']:.2f}", cell["rank"] == 1) in words
        assert (cell["classes"][0][0], False) in words
    assert not clipped(figure)


def test_the_note_tells_the_controls(tmp_path):
    said = " ".join(texts(ls.figures.atlas(home(tmp_path))))
    assert "100 activations laid out by UMAP: 61% of 15 nearest neighbours kept (shuffled 1%)" in said
    assert "cosine with the own cell 0.80, with another 0.30; 4 of 5 nearest to their own" in said


def test_names_are_data_and_a_map_without_cells_is_empty(tmp_path):
    for at, name in enumerate(HOSTILE):
        out = write_atlas(tmp_path / str(at), folder="a", labels=[name] * 4, header={"network": {"name": name}})
        assert not clipped(ls.figures.atlas(out / "a"))
    empty = write_atlas(tmp_path / "none", folder="a", made=0) / "a"
    assert len(ls.figures.atlas(empty).axes) == 1


def test_what_is_no_atlas_is_said(gallery, tmp_path):
    with pytest.raises(InputError, match=r"no atlas\.json in .*; make one with ls\.atlas"):
        ls.figures.atlas(gallery)
    with pytest.raises(InputError, match="does not describe an atlas"):
        ls.figures.atlas(write_atlas(tmp_path, folder="a", header={"cells": 3}) / "a")
