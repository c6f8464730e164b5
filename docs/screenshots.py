"""Take the pictures of the documentation from a site that `layerscope tour` wrote: docs/pictures/*.webp.

    python docs/screenshots.py outputs

Needs Playwright and a Chromium of the system. Pages that the site does not have are left out, and named.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

PICTURES = Path(__file__).parent / "pictures"
WIDTH, HEIGHT = 1280, 900
TALLER = {"unit": 1040, "image": 1640, "hierarchy": 1640, "leaderboard": 1500}
"""Pages whose pictures stand further down."""
LARGEST = 150_000  # bytes
OTHERS = ("#/image", "#/hierarchy", "#/compare", "#/search", "#/leaderboard")


def take(page: Page, site: Path) -> Iterator[tuple[str, str]]:
    """Save each picture; yields its name and the address, or "" where the site has no such page."""
    address = (site / "index.html").resolve().as_uri()
    for name, wanted in routes(page, address).items():
        if wanted is not None:
            page.set_viewport_size({"width": WIDTH, "height": TALLER.get(name, HEIGHT)})
            page.goto(f"{address}{wanted}")
            save(page, PICTURES / f"{name}.webp")
        yield name, wanted or ""


def routes(page: Page, address: str) -> dict[str, str | None]:
    """The address of each kind of page, found by following links as a reader does."""
    home = links(page, f"{address}#/", "#/")
    networks = [one for one in home if one.count("/") == 1 and len(one) > 2 and not one.startswith(OTHERS)]
    network = next((one for one in networks if "robust" in one), next(iter(networks), None))
    layers = links(page, f"{address}{network}", f"{network}/") if network else []
    layer = next((one for one in layers if one.endswith("/conv5")), next(iter(layers), None))
    units = links(page, f"{address}{layer}", f"{layer}/") if layer else []
    found: dict[str, str | None] = {"home": "#/", "layer": layer, "unit": next(iter(units), None)}
    for name, start in {"hierarchy": "#/hierarchy/", "image": "#/image/", "leaderboard": "#/leaderboard"}.items():
        there = [one for one in home if one.startswith(start)]
        found[name] = next((one for one in there if "owl" in one), next(iter(there), None))
    both = [one.removeprefix("#/") for one in networks[:2]]
    found["compare"] = f"#/compare/{'/'.join(both)}" if len(both) == 2 else None
    return found


def links(page: Page, address: str, start: str) -> list[str]:
    """The links of a page of the site that start so, each once."""
    page.goto("about:blank")  # an address with another hash alone is no new page
    page.goto(address)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(1000)  # the page is drawn by its script
    found = page.evaluate("() => [...document.querySelectorAll('a[href]')].map(one => one.getAttribute('href'))")
    return list(dict.fromkeys(one for one in found if one.startswith(start)))


def save(page: Page, path: Path) -> None:
    """The first screen of a page as WebP, as good as fits into LARGEST bytes. Raises ValueError where none does."""
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(1500)  # pictures that are drawn when they come into view
    image = Image.open(io.BytesIO(page.screenshot()))
    for quality in range(90, 30, -10):
        packed = io.BytesIO()
        image.save(packed, "WEBP", quality=quality, method=6)
        if packed.tell() <= LARGEST:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(packed.getvalue())
            return
    raise ValueError(f"{path.name} takes more than {LARGEST} bytes at any quality")


def copy_sheet(site: Path) -> str:
    """The contact sheet of a gallery, of a robust network if there is one, as it lies there; gives its path or ""."""
    sheets = sorted(site.glob("gallery/*/sheet.webp"), key=lambda one: "robust" not in one.parent.name)
    if sheets:
        shutil.copyfile(sheets[0], PICTURES / "edges-to-objects.webp")
    return sheets[0].relative_to(site).as_posix() if sheets else ""


def main() -> int:
    """See the first lines of this file."""
    asks = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asks.add_argument("site", type=Path, help="the folder with index.html")
    site = asks.parse_args().site
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if not browser or not (site / "index.html").is_file():
        print(f"error: {'no chromium on the path' if not browser else f'no index.html in {site}'}", file=sys.stderr)
        return 2
    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        for name, address in take(page, site):
            print(f"{name}: {address or 'no such page'}")
        chromium.close()
    print(f"edges-to-objects: {copy_sheet(site) or 'no sheet'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
