"""Small galleries, hierarchy reports and explanations on disk, and a browser that looks at their pages."""

from __future__ import annotations

import functools
import importlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import made_up
import made_up_explanations
import made_up_hierarchies
import pytest
from browsing import Visit

from layerscope.site.pages import write_site

CI = os.environ.get("CI") == "true"
CANVAS_IN_SIGHT = (
    "[...document.querySelectorAll('canvas')].some((one) => one.getBoundingClientRect().top < innerHeight)"
)
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here cuts the power."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


@pytest.fixture
def make_gallery(tmp_path: Path) -> made_up.MakeGallery:
    """Make one gallery below `tmp_path` and return `tmp_path`; call it again for a second network."""
    return functools.partial(made_up.write_gallery, tmp_path)


@pytest.fixture
def make_explanation(tmp_path: Path) -> made_up_explanations.MakeExplanation:
    """Explain one image below `tmp_path` and return `tmp_path`; call it again for a second image."""
    return functools.partial(made_up_explanations.write_explanation, tmp_path)


@pytest.fixture
def make_hierarchy(tmp_path: Path) -> made_up_hierarchies.MakeHierarchy:
    """Write one hierarchy report below `tmp_path` and return `tmp_path`; call it again for a second network."""
    return functools.partial(made_up_hierarchies.write_hierarchy, tmp_path)


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of a hierarchy, a network without one, one in grey without masks, one being made; and a gallery of the first; to look at only."""
    folder = tmp_path_factory.mktemp("hierarchies")
    made_up.write_gallery(folder, layers=("conv1", "conv2"), units=8)
    made_up_hierarchies.write_hierarchy(folder)
    made_up_hierarchies.write_hierarchy(folder, "untrained", shown=False, header={"network": {"name": "untrained"}})
    made_up_hierarchies.write_hierarchy(
        folder, "grey", hues=False, masks=False, channels=1, header={"network": {"name": "grey"}}
    )
    made_up_hierarchies.write_hierarchy(folder, "resnet18", complete=False)
    return write_site(folder).parent


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of two galleries, of which one is half made, two hierarchy reports and an explained image; to look at only."""
    folder = tmp_path_factory.mktemp("whole")
    made_up.write_gallery(folder, units=12)
    made_up.write_gallery(folder, "robust", units=12, made=lambda index: index < 9)
    made_up_hierarchies.write_hierarchy(folder)
    made_up_hierarchies.write_hierarchy(folder, "untrained", shown=False, header={"network": {"name": "untrained"}})
    made_up_explanations.write_explanation(folder, "flower.png")
    return write_site(folder).parent


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    api = (importlib.import_module if CI else pytest.importorskip)("playwright.sync_api")
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
    with api.sync_playwright() as playwright:
        try:
            opened = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        except api.Error as error:
            if CI:
                raise
            pytest.skip(f"no Chromium to look at the pages with: {str(error).splitlines()[0]}")
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def report(browser: Any, reported: Path) -> Iterator[Any]:
    """The page of a hierarchy report, to read only."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto((reported / "index.html").as_uri() + "#/hierarchy/menagerie")
    page.wait_for_selector(".finding")
    yield page
    page.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Visit]:
    """Open an address of a site; at the end no page may have complained, failed to load or asked another host."""
    contexts, complaints = [], list[str]()

    def watch(page: Any) -> None:
        page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(f"uncaught {error}"))
        page.on("dialog", lambda dialog: complaints.append(f"a name was run: {dialog.message}"))
        page.on("requestfailed", lambda request: complaints.append(f"failed {request.url}"))
        page.on("request", lambda request: None if local(request.url) else complaints.append(f"foreign {request.url}"))

    def local(url: str) -> bool:
        return url.startswith(("file:", "data:"))

    def open_page(folder: Path, address: str = "", **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        watch(page)
        page.goto((folder / "index.html").as_uri() + address)
        page.wait_for_selector("h1")
        page.wait_for_selector("canvas[data-painted]") if page.evaluate(CANVAS_IN_SIGHT) else None
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
