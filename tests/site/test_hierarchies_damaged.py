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
