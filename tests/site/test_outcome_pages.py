"""The outcome card on a unit's page; and the page of a unit whose record has none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from browsing import FAINT_WORDS, TELEPHONE, Visit
from made_up import write_gallery

from layerscope.records import Store
from layerscope.site.outcome_cards import of_card
from layerscope.site.pages import write_site


def layer(name: str, verdict: str, value: float | None) -> dict[str, Any]:
    numbers = (None,) * 4 if value is None else (value, value - 0.2, value + 0.3, 0.8)
    return {"layer": name, "verdict": verdict, **dict(zip(("value", "low", "high", "least"), numbers, strict=True))}


CARD = {
    "version": 1,
    "path": {
        "words": "same path as natural images through 1 of 3 layers",
        "natural": 8,
        "other": 16,
        "whole": layer("", "part", 0.5),
        "layers": [
            layer("relu1", "untold", None),
            layer("relu2 of a block with a long name", "same", 0.95),
            layer("relu3", "part", 0.4),
            layer("relu4", "another", -3.0),
        ],
    },
    "agreement": {"words": "alike", "value": 0.87, "least": 0.8, "seeds": 3},
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unit 1 of conv1 has a card, unit 0 a broken one, the others none."""
    folder = tmp_path_factory.mktemp("cards")
    write_gallery(folder, units=3)
    (manifest,) = folder.rglob("gallery.json")
    store = Store(manifest.parent)
    for record in map(store.find, store.keys()):
        card = {1: CARD, 0: {"path": "none", "agreement": {"value": "<b>"}}}.get(record.facts["unit"])
        if card is not None and record.facts["layer"] == "conv1":
            store.write(record.key, {**record.facts, "card": card}, record.arrays)
    return write_site(folder).parent


def test_a_unit_shows_its_card(visit: Visit, site: Path):
    page = visit(site, "#/menagerie/conv1/1")
    words = page.locator(".outcome").inner_text()
    assert "Same path as natural images through 1 of 3 layers." in words
    assert "Over all that tell: 0.500 (0.300 to 0.800)." in words
    assert "0.870" in words
    rows = page.locator(".paths li:not(.paths-axis)")
    assert [row.split("\n")[-1] for row in rows.all_inner_texts()] == [
        "cannot tell",
        "same path",
        "part of the way",
        "another path",
    ]
    assert page.locator(".path").nth(1).get_attribute("aria-label") == "same path: 0.950, 0.750 to 1.25"
    place = "(node) => node.getBoundingClientRect().left + node.getBoundingClientRect().width / 2"
    base, one = (page.locator(".paths li").nth(2).locator(".base").nth(turn).evaluate(place) for turn in (0, 1))
    dot = page.locator(".paths li").nth(2).locator(".dot").evaluate(place)
    assert (dot - base) / (one - base) == pytest.approx(0.95, abs=0.02)
    last = page.locator(".paths li").nth(4)
    assert last.locator(".dot").evaluate(place) == pytest.approx(
        last.locator(".path").evaluate("n => n.getBoundingClientRect().left"), abs=1
    )


@pytest.mark.parametrize("unit", [0, 2])
def test_a_record_without_a_whole_card_still_has_its_page(visit: Visit, site: Path, unit: int):
    page = visit(site, f"#/menagerie/conv1/{unit}")
    assert page.locator(".numbers tr").count() >= 6
    assert page.locator(".outcome").count() == (unit == 0)
    assert page.locator(".paths").count() == 0


def test_a_card_fits_a_telephone_and_can_be_read_in_the_dark(visit: Visit, site: Path):
    page = visit(site, "#/menagerie/conv1/1", viewport=TELEPHONE, device_scale_factor=2)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate(FAINT_WORDS) == [], scheme


def test_what_is_no_card_is_none():
    assert of_card(None) is None
    assert of_card("text") is None
    assert of_card({"path": {"layers": [{"layer": "a", "verdict": "same", "value": float("nan")}]}})["path"][
        "layers"
    ] == [{"layer": "a", "verdict": "untold", "value": None, "low": None, "high": None, "least": None}]
