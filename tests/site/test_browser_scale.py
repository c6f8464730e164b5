"""Large networks: what is loaded when, how much is drawn, and how small the search is. Times are printed, not asserted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from browsing import Visit
from made_up import gallery_facts, layer_facts, unit_facts, write_unit

from layerscope.records import Store, content_key, write_whole
from layerscope.site.pages import write_site

RESNET50 = (
    64,
    *(64, 64, 256) * 3,
    256,
    *(128, 128, 512) * 4,
    512,
    *(256, 256, 1024) * 6,
    1024,
    *(512, 512, 2048) * 3,
    2048,
)
PAINTED = "document.querySelectorAll('canvas[data-painted]').length"


def write_large(folder: Path, sizes: tuple[int, ...]) -> Path:
    """The site of one network with layers of these sizes."""
    home, layers = folder / "large", []
    for place, size in enumerate(sizes):
        name = f"conv{place}"
        keys = [content_key(layer=name, unit=unit) for unit in range(size)]
        for unit, key in enumerate(keys):
            facts = {**unit_facts("large", name, unit % 60, None), "unit": unit}
            write_unit(Store(home), key, facts, natural=True)
        layers.append({**layer_facts(name, size), "keys": keys, "indices": list(range(size))})
    write_whole(home / "gallery.json", json.dumps(gallery_facts("large", layers)).encode())
    return write_site(folder).parent


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_large(tmp_path_factory.mktemp("large"), (600, 40, 40))


def test_only_what_is_looked_at_is_loaded(visit: Visit, large: Path):
    seen: list[str] = []
    page = visit(large, "#/large")
    page.on("request", lambda request: seen.append(request.url.rpartition("/site/")[2].partition("?")[0]))
    page.wait_for_timeout(200)
    assert seen == [], "a table of layers has no pictures"
    page.goto((large / "index.html").as_uri() + "#/large/conv1")
    page.wait_for_selector("canvas[data-painted]")
    assert all("conv1" in name for name in seen if name.startswith(("layers/", "pictures/", "exemplars/"))), seen
    assert {"layers/large/conv1.js", "pictures/large/conv1.0.webp"} <= set(seen)
    assert "search.js" not in seen


def test_only_what_is_near_is_drawn(visit: Visit, large: Path):
    page = visit(large, "#/large/conv0")
    page.wait_for_timeout(300)
    assert page.locator(".unit").count() == 600
    assert 10 < page.evaluate(PAINTED) < 300, "of 1,200 pictures"
    page.locator(".unit").last.scroll_into_view_if_needed()
    page.wait_for_function("document.querySelector('.unit:last-child canvas').dataset.painted === ''")
    assert page.evaluate(PAINTED) < 600


def test_a_search_through_everything_costs_few_bytes_and_answers(visit: Visit, large: Path):
    assert (large / "site" / "search.js").stat().st_size < 8 * 680 + 500
    page = visit(large)
    page.keyboard.press("/")
    page.keyboard.type("conv0:599")
    page.wait_for_selector("#found-units-0")
    assert page.locator("#found-units-0 .found-title").inner_text() == "conv0:599"
    page.fill("#search-input", "conv0:600")
    page.wait_for_function("document.querySelector('.said').textContent.includes('Nothing here')")


@pytest.mark.slow
def test_resnet50(visit: Visit, tmp_path: Path):
    folder = write_large(tmp_path, RESNET50)
    assert sum(RESNET50) == 26_560
    assert (folder / "site" / "search.js").stat().st_size < 300_000
    for address in ("", "#/large", "#/large/conv52", "#/large/conv52/2000"):
        page = visit(folder, address)
        paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        print(f"{address or 'home'}: first paint after {paint:.0f} ms")
    page.keyboard.press("/")
    page.keyboard.type("conv52:2047")
    page.wait_for_selector("#found-units-0")
    for words in ("2", "conv5", "conv52:2047", "nothing"):
        spent = page.evaluate(
            """(words) => {
                const prepared = LAYERSCOPE.prepareSearch(LAYERSCOPE.data.search), began = performance.now();
                LAYERSCOPE.findAll(prepared, words, 6);
                return performance.now() - began;
            }""",
            words,
        )
        print(f"search for {words!r}: {spent:.1f} ms")
