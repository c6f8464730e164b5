"""Hierarchy reports that cannot be read, in words; and that nobody's names or files can do harm."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up import HOSTILE
from made_up_hierarchies import TASKS, MakeHierarchy, hierarchy_facts
from reading import index_of, site_files

from layerscope.errors import InputError
from layerscope.site.pages import check_site, write_site

# --- damage, in words

BROKEN = {
    "not JSON": (b"{", r"hierarchy\.json is not JSON \(.*\); make the report again or move the file away"),
    "schema": ({"schema": 9}, r"hierarchy\.json has schema 9, this Layerscope reads 1; make the report again"),
    "network": ({"network": {"name": 3}}, r"hierarchy\.json does not name its network; make the report again"),
    "key": ({"key": "../../etc"}, r"hierarchy\.json names no record \(.*\); make the report again"),
    "brackets a hundred deep": (
        b"[" * 100 + b"]" * 100,
        r"hierarchy\.json has brackets within brackets more than 64 deep; make the report again",
    ),
    "brackets without end": (
        b"[" * 100_000 + b"]" * 100_000,
        r"hierarchy\.json has brackets within brackets more than 64 deep; make the report again",
    ),
    "no key": ({"key": None}, r"hierarchy\.json names no record \(.*\); make the report again"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_manifest_that_cannot_be_understood(make_hierarchy: MakeHierarchy, what: str):
    change, words = BROKEN[what]
    folder = make_hierarchy()
    path = folder / "hierarchy" / "menagerie" / "hierarchy.json"
    path.write_bytes(
        change if isinstance(change, bytes) else json.dumps({**json.loads(path.read_bytes()), **change}).encode()
    )
    for act in (check_site, write_site):
        with pytest.raises(InputError, match=words):
            act(folder)
    assert not (folder / "index.html").exists()


def whole() -> dict[str, Any]:
    return hierarchy_facts(("conv1", "conv2", "conv3", "conv4"), 16, ("owl",), True, True, True)


def without(facts: dict[str, Any], *path: Any) -> dict[str, Any]:
    inner: Any = facts
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return facts


DAMAGED = {
    "another schema": {"facts": {"schema": 2}},
    "no units": {"facts": {"units": {}}},
    "a layer without shares": {"facts": {"layers": without(whole(), "layers", 1, "shares")["layers"]}},
    "units of another layer": {"facts": {"units": {**whole()["units"], "layer": ["conv9"] * 64}}},
    "units out of order": {"facts": {"units": {**whole()["units"], "unit": [3] * 64}}},
    "a layer twice": {
        "facts": {
            "layers": [whole()["layers"][0]] * 2,
            "units": {name: values[:16] for name, values in whole()["units"].items()},
        }
    },
    "no probe": {"arrays": {"probe": None}},
    "no exemplars": {"arrays": {"exemplars/conv2": None}},
    "exemplars beyond the probe": {"arrays": {"exemplars/conv2": np.full((16, 9), 99, np.int32)}},
    "exemplars before the probe": {"arrays": {"exemplars/conv2": np.full((16, 9), -1, np.int32)}},
    "too few boxes": {"arrays": {"exemplar_boxes/conv2": np.zeros((3, 9, 3), np.float32)}},
    "no similarities": {"arrays": {"cka": None}},
    "a unit that is none": {"facts": {"layers": [{**one, "sample": [99]} for one in whole()["layers"]]}},
}


@pytest.mark.parametrize("what", DAMAGED)
def test_a_record_that_holds_no_report(make_hierarchy: MakeHierarchy, what: str):
    folder = make_hierarchy(**DAMAGED[what])
    with pytest.raises(
        InputError, match=r"^the record of .*hierarchy\.json (has schema 2|does not describe a hierarchy)"
    ):
        write_site(folder)
    assert not (folder / "index.html").exists()


def test_without_anything_the_words_name_all_three(tmp_path: Path):
    with pytest.raises(InputError) as caught:
        write_site(tmp_path)
    assert "`layerscope hierarchy --out " in str(caught.value)
    assert not list(tmp_path.iterdir())


def changed(*path: Any, to: Any) -> dict[str, Any]:
    """A whole report in which one thing is another; "net.any.low" is a path of three."""
    facts = whole()
    inner: Any = facts
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = to
    return {path[0]: facts[path[0]]}


WRONG_HEADERS = {
    "words for a list of words": ({"skipped": "parts"}, r"skipped is 'parts', not a list"),
    "numbers for words": ({"skipped": [3]}, r"skipped\[0\] is 3, not text"),
    "no count of twins": ({"twins": None}, "twins is nothing, not a whole number from 0"),
    "a number for a command": ({"command": 3}, "command is 3, not text"),
}


@pytest.mark.parametrize("what", WRONG_HEADERS)
def test_a_header_that_no_page_can_read(make_hierarchy: MakeHierarchy, what: str):
    header, words = WRONG_HEADERS[what]
    folder = make_hierarchy(header=header)
    with pytest.raises(InputError, match=rf"hierarchy\.json cannot be shown: {words}; make the report again"):
        write_site(folder)
    assert not (folder / "index.html").exists()


WRONG_FACTS = {
    "no trend": (changed("trend", to=None), "trend is nothing, not an object"),
    "no tasks": (changed("tasks", to=None), "tasks is nothing, not an object"),
    "no layers": (changed("layers", to=[]), r"layers is \[\], not a list of at least 1"),
    "no share of anything": (
        {"layers": without(whole(), "layers", 1, "net", "any")["layers"]},
        r"layers\[1\]\.net\.any is nothing, not an object",
    ),
    "words for a number": (
        changed("layers", 2, "false_rate", to="5%"),
        r"layers\[2\]\.false_rate is '5%', not a number",
    ),
    "true for a number": (changed("together", to=True), "together is True, not a number"),
    "a sample of words": (
        changed("layers", 0, "sample", to=["a"]),
        r"layers\[0\]\.sample\[0\] is 'a', not a whole number",
    ),
    "no accuracy": (
        changed("layers", 0, "decodability", "edge", "accuracy", to=None),
        r"layers\[0\]\.decodability\.edge\.accuracy is nothing, not an object",
    ),
    "words for evidence": (
        changed("units", "object_evidence", to=["much"] * 64),
        r"units\.object_evidence\[0\] is 'much', not a number",
    ),
    "a short column": (changed("units", "active", to=[0.5]), "the columns of units are between 1 and 64 long"),
}


@pytest.mark.parametrize("what", WRONG_FACTS)
def test_facts_that_no_page_can_read(make_hierarchy: MakeHierarchy, what: str):
    facts, words = WRONG_FACTS[what]
    folder = make_hierarchy(facts=facts)
    with pytest.raises(
        InputError, match=rf"hierarchy\.json does not describe a hierarchy \({words}.*make the report again"
    ):
        write_site(folder)
    assert not (folder / "index.html").exists()


WRONG_SHAPES = {
    "similarities of other layers": ("cka", (2, 3), "the array 'cka' is 2 x 3, not 4 x 4"),
    "similarities to too few twins' layers": ("cka_twins", (4, 3), "the array 'cka_twins' is 4 x 3, not 4 x 4"),
    "scores of too few": ("exemplar_scores/conv2", (16, 4), "is 16 x 4, not 16 x 9"),
    "curves of other stimuli": ("tuning/conv2/frequency", (16, 5), "is 16 x 5, not 16 x 4"),
}


@pytest.mark.parametrize("what", WRONG_SHAPES)
def test_arrays_of_another_shape(make_hierarchy: MakeHierarchy, what: str):
    name, shape, words = WRONG_SHAPES[what]
    folder = make_hierarchy(arrays={name: np.zeros(shape, np.float32)})
    with pytest.raises(InputError, match=words):
        write_site(folder)


def test_a_record_of_brackets_within_brackets(make_hierarchy: MakeHierarchy):
    nested: Any = []
    for _ in range(100):
        nested = [nested]
    folder = make_hierarchy(facts={"recipe": nested})
    with pytest.raises(InputError, match=r"^the record of .*brackets within brackets more than 64 deep"):
        write_site(folder)


# --- hostile names


def hostile(make_hierarchy: MakeHierarchy) -> Path:
    """Every hostile name is a network, a layer, a class, and a word of the record."""
    for turn, name in enumerate(HOSTILE):
        safe = name.replace("\ud800", "?")  # records hold no lone surrogate in the name of an array
        layers = [safe, *(f"{turn} {other}" for other in HOSTILE[:3])]
        made = whole() | {"words": name, "tasks": dict.fromkeys(TASKS, name)}
        units = {key: values for key, values in made["units"].items() if key != "layer"}
        units |= {key: [name] * 64 for key in ("texture", "class", "part_concept", "selective_class", "runner_up")}
        rows = [{**row, "name": layer, "kind": name} for row, layer in zip(made["layers"], layers, strict=True)]
        folder = make_hierarchy(
            name,
            folder=f"r{turn}",
            layers=layers,
            facts={
                **made,
                "layers": rows,
                "units": {**units, "layer": [layer for layer in layers for _ in range(16)]},
                "recipe": name,
            },
            header={"skipped": [name], "command": name, "profile": name},
        )
    return folder


def test_names_are_data_and_never_markup_or_paths(make_hierarchy: MakeHierarchy):
    folder = hostile(make_hierarchy)
    write_site(folder)
    names = [one["network"] for one in index_of(folder)["hierarchies"]["reports"]]
    assert sorted(names) == sorted(HOSTILE)
    page = (folder / "index.html").read_text()
    assert "<script>alert" not in page
    assert "<img" not in page
    for path, data in site_files(folder).items():
        assert Path(path).parts[0] in ("site", "index.html")
        if path.endswith("data.js"):
            assert b"<" not in data.replace(b"\\u003c", b""), path
    assert not (folder.parent / "etc").exists()
    assert len({one["data"] for one in index_of(folder)["hierarchies"]["reports"]}) == len(HOSTILE)
