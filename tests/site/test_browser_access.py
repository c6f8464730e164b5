"""Every type of page, light and dark, as axe-core judges it for people who see, hear or move differently."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from browsing import TELEPHONE, Visit
from made_up import MakeGallery
from made_up_leaderboards import METHODS, rows, users_facts, write_facts, write_leaderboard

from layerscope.names import slug
from layerscope.site.pages import write_site

axe = pytest.importorskip("axe_playwright_python.sync_playwright")

WIDE = {"width": 1280, "height": 800}
PAGES = (
    "",
    "#/menagerie",
    "#/menagerie/conv1",
    "#/menagerie/conv1?with=robust",
    "#/menagerie/conv1/3",
    "#/image",
    "#/image/flower.png",
    "#/hierarchy",
    "#/hierarchy/menagerie",
    "#/hierarchy/menagerie/conv2",
    "#/hierarchy/menagerie/conv2/4",
    "#/compare/menagerie/robust",
    "#/compare/menagerie/untrained",
    "#/search?q=owl",
    "#/nobody",
)


def violations(page: Any, *rules: str) -> list[str]:
    """What axe-core finds at fault, one line for each element: by all of its rules, or by some."""
    chosen = {"runOnly": list(rules)} if rules else {}
    options = {
        "resultTypes": ["violations"],
        "preload": False,
        **chosen,
    }  # a page from the disk cannot ask for its styles
    found = axe.Axe().run(page, options=options).response["violations"]
    return [f"{one['id']}: {node['html'][:160]}" for one in found for node in one["nodes"]]


@pytest.mark.parametrize("address", PAGES)
def test_pages(visit: Visit, whole: Path, address: str):
    page = visit(whole, address)
    assert violations(page) == []
    page.emulate_media(color_scheme="dark")
    assert violations(page, "color-contrast") == []


def test_leaderboard(visit: Visit, make_gallery: MakeGallery):
    few = rows("resnet18", {name: METHODS[name] for name in ("deeplift", "lime", "grad_cam")})
    folder = write_site(write_facts(write_leaderboard(make_gallery(units=2), rows=few), users_facts())).parent
    users = f"#/leaderboard?board={slug('resnet50 on images of photos')}"
    for address, size in (
        *(("#/leaderboard", WIDE), ("#/leaderboard?all=1", WIDE), ("#/leaderboard?all=1", TELEPHONE)),
        *((users, WIDE), ("", WIDE)),
    ):
        page = visit(folder, address, viewport=size)
        assert violations(page) == [], address
        page.emulate_media(color_scheme="dark")
        assert violations(page, "color-contrast") == [], address


def test_one_map(visit: Visit, whole: Path):
    page = visit(whole, "#/image/flower.png")
    page.goto(page.evaluate("document.querySelector('main a[href*=\"/deeplift\"]').href"))
    page.wait_for_selector("h1")
    assert violations(page) == []


def test_dialogs(visit: Visit, whole: Path):
    page = visit(whole)
    page.keyboard.press("/")
    page.keyboard.type("owl")
    page.wait_for_selector("#found-all")
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog.search", state="hidden")
    page.keyboard.press("?")
    page.wait_for_selector("dialog.keys[open]")
    assert violations(page) == []
