"""What cannot be drawn is said in one line: what was given, what there is, what to do."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from made_up import write_gallery
from made_up_hierarchies import write_hierarchy

import layerscope as ls
from layerscope.errors import InputError
from layerscope.figures.galleries import spread
from layerscope.figures.pictures import crops_of, evidence, over_grey
from layerscope.figures.words import between, number, percent, plural, ratio, short, signed, tail
from layerscope.records import Record


def refusal(draw, *arguments) -> str:
    with pytest.raises(InputError) as error:
        draw(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_folder_that_is_not_there_or_holds_nothing(tmp_path):
    assert refusal(ls.figures.shares, tmp_path / "no").endswith(
        "/no'; give the folder that holds a hierarchy.json, as ls.hierarchy makes it"
    )
    assert refusal(ls.figures.sheet, tmp_path).endswith("make one with ls.gallery")


def test_the_folder_above_is_told_where_it_lies(gallery):
    assert (
        refusal(ls.figures.sheet, gallery.parent)
        == f"no gallery.json in {str(gallery.parent)!r}; there is one in: {gallery}"
    )


def test_a_damaged_manifest_one_of_another_kind_and_one_of_another_schema(tmp_path):
    path = tmp_path / "hierarchy.json"
    for content, words in (("{", "is not JSON (JSONDecodeError)"), ("[]", "does not describe a hierarchy"), ('{"kind": "game"}', "does not describe a hierarchy"),
                           ('{"kind": "hierarchy", "schema": 9}', "has schema 9, this Layerscope reads 1"), ("[" * 100_000, "is not JSON (RecursionError)")):  # fmt: skip
        path.write_text(content)
        assert words in refusal(ls.figures.shares, tmp_path)


def test_a_record_that_is_missing_damaged_or_not_finished(tmp_path):
    write_hierarchy(tmp_path, folder="h")
    (record,) = (tmp_path / "h" / "records").rglob("*.safetensors")
    record.write_bytes(record.read_bytes()[:-9])
    assert "is missing or damaged; make it again with ls.hierarchy" in refusal(ls.figures.shares, tmp_path / "h")
    for facts in ({"kind": "hierarchy"}, {"kind": "hierarchy", "key": 5}, {"kind": "hierarchy", "key": "../../x"}):
        (tmp_path / "h" / "hierarchy.json").write_text(json.dumps(facts))
        assert refusal(ls.figures.shares, tmp_path / "h")
    write_hierarchy(tmp_path, folder="open", complete=False)
    assert "is not finished; make it again with ls.hierarchy: it goes on where it was" in refusal(
        ls.figures.shares, tmp_path / "open"
    )


def test_a_record_that_does_not_hold_what_is_drawn(tmp_path):
    write_hierarchy(tmp_path, folder="h", facts={"layers": [{"name": 3}]})
    assert "does not describe a hierarchy (KeyError: 'shares'); make it again with ls.hierarchy" in refusal(
        ls.figures.shares, tmp_path / "h"
    )
    write_gallery(tmp_path, folder="g", facts={"layers": [{"name": "conv1"}]})
    assert "does not describe a gallery (KeyError" in refusal(ls.figures.sheet, tmp_path / "g")


def test_results_of_another_kind_and_what_is_none(hierarchy):
    record = Record("0" * 64, {"kind": "explanation"}, {})
    assert "is an explanation; give a hierarchy, as ls.hierarchy makes it" in refusal(
        ls.figures.shares, SimpleNamespace(folder=hierarchy, record=record)
    )
    assert (
        refusal(ls.figures.shares, 3)
        == "a int is no hierarchy; give what ls.hierarchy makes, or the folder that holds its hierarchy.json"
    )


def test_units_are_spread_evenly():
    assert spread(192, 12) == list(range(0, 192, 16))
    assert spread(3, 12) == [0, 1, 2]
    assert spread(0, 12) == []


@pytest.mark.parametrize(
    ("written", "words"),
    [(number(0.25), "0.250"), (number(12.345), "12.3"), (number(-4.1e-5), "−4.1e-5"), (number(None), "–"), (number(float("nan")), "–"), (number(0.0), "0"),
     (number(123456.0), "1.2e5"), (signed(0.5), "+0.500"), (signed(-0.5), "−0.500"), (signed(0.0), "0"), (ratio(1.234), "1.23×"), (ratio(123.4), "123×"), (ratio(None), "–"),
     (percent(0.1234), "12.3%"), (percent(1.0), "100%"), (percent(0.9999), "99.99%"), (percent(0.0001), "<0.05%"), (percent(0.0), "0%"), (percent(-0.5), "−50.0%"),
     (between({"low": 0.2, "high": 0.4}), "0.200 to 0.400"), (plural(1, "unit"), "1 unit"), (plural(1024, "unit"), "1,024 units"),
     (short("a\nb\ud800", 9), "a?b?"), (short("", 9), "unnamed"), (short("a" * 20, 9), "aaaaaaaa…"), (tail("features.layer4.relu", 9), "…er4.relu")],
)  # fmt: skip
def test_numbers_and_names_are_written_as_on_the_pages(written, words):
    assert written == words


def test_evidence_is_opaque_at_its_scale_and_clear_at_zero():
    drawn = evidence(np.array([[2.0, -1.0, 0.0, np.nan]], np.float32), 2.0)
    assert drawn[0, :, 3].tolist() == [255, 128, 0, 0]
    image = np.full((2, 8, 3), 255, np.uint8)
    over = over_grey(image, np.array([[2.0, -1.0, 0.0, np.nan]], np.float32), 2.0)
    assert over.shape == image.shape
    assert over[0, 0].tolist() == [219, 100, 16]
    assert over[0, 7].tolist() == [242, 242, 242]
    assert crops_of(b"", 3) == crops_of(b"", 0) == []
