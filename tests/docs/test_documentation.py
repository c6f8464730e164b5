"""The documentation builds without a warning, and no page asks another host for anything."""

from __future__ import annotations

import functools
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import command_pages
import pytest
from snippets import ROOT

from layerscope.cli.commands import app

FOREIGN = re.compile(r"""<(?:script|link|img|iframe|source)[^>]+(?:src|href)=["'](?:https?:)?//[^"']+""")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    place = tmp_path_factory.mktemp("documentation")
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--quiet",
        "-f",
        str(ROOT / "mkdocs.yml"),
        "-d",
        str(place),
    ]
    done = subprocess.run(
        command, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return place


def test_every_page_is_built_and_loads_nothing_from_elsewhere(site: Path):
    pages = list(site.rglob("*.html"))
    assert {"index.html", "lrp.html", "command-line.html"} <= {page.name for page in pages}
    for page in pages:
        text = page.read_text("utf-8")
        assert not FOREIGN.findall(text), page
        assert "```" not in text, f"{page}: a block that is not closed"
    assert "<math" in (site / "methods/lrp.html").read_text("utf-8")
    assert "@import" not in "".join(sheet.read_text("utf-8") for sheet in site.rglob("*.css"))


def test_a_browser_sees_no_foreign_request_no_error_and_nothing_wider_than_a_telephone(site: Path):
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if not browser:
        pytest.skip("no chromium on the path")
    from playwright.sync_api import sync_playwright

    handler = functools.partial(_Quiet, directory=str(site))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    home, wrong = f"http://127.0.0.1:{server.server_port}/", []
    try:
        with sync_playwright() as play:
            page = play.chromium.launch(executable_path=browser, args=["--no-sandbox"]).new_page(
                viewport={"width": 390, "height": 844}
            )
            page.on(
                "request",
                lambda one: wrong.append(one.url) if not one.url.startswith((home, "data:", "blob:")) else None,
            )
            page.on("console", lambda one: wrong.append(one.text) if one.type == "error" else None)
            for name in (
                "index",
                "methods/deeplift",
                "measures/cost",
                "reference/the-three-jobs",
                "reference/command-line",
            ):
                page.goto(f"{home}{name}.html")
                page.wait_for_load_state("networkidle")
                assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
    finally:
        server.shutdown()
        server.server_close()
    assert not wrong


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_the_command_line_page_has_every_command_and_option():
    import typer.main

    page = command_pages.page()
    for name, command in typer.main.get_command(app).commands.items():
        assert (f"## layerscope {name}\n" in page) is not command.hidden
        if not command.hidden:
            section = page.split(f"## layerscope {name}\n")[1].split("\n## ")[0]
            for one in command.params:
                assert one.hidden or all(option in section for option in one.opts if option.startswith("-"))


@pytest.mark.parametrize(
    "path",
    [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_links_lead_to_files_that_are_there(path: Path):
    made = ("reference/", "methods/")  # pages that the build makes; mkdocs checks these
    text = re.sub(r"^```.*?^```$", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        target = link.partition("#")[0]
        if target and "://" not in target and not any(part in target for part in made):
            assert (path.parent / target).exists(), link
