"""What MkDocs does besides its own: pages made from the package, and formulas without a script.

MkDocs calls the functions here by their names (https://www.mkdocs.org/user-guide/configuration/#hooks).
"""

from __future__ import annotations

import re
import textwrap
from typing import Any

import command_pages
import measure_pages
import method_pages
import reference_pages
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

MATH = re.compile(r"^(?P<indent> *)```math\n(?P<latex>.*?)^ *```$", re.MULTILINE | re.DOTALL)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages that are made below into the navigation."""
    for entry in config.nav or ():
        if "Attribution methods" in entry:
            entry["Attribution methods"].extend(f"methods/{name}.md" for name in method_pages.names())
        if "Reference" in entry:
            entry["Reference"].extend({title: path} for title, path, _ in _made())
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that no file holds."""
    for _, path, text in _made():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **others: Any) -> str:
    """Complete the page of a method, put in the table of measures, and turn every formula into MathML, which browsers
    draw by themselves."""
    folder, _, name = page.file.src_uri.removesuffix(".md").rpartition("/")
    if folder == "methods" and name in method_pages.names():
        markdown = method_pages.complete(name, markdown)
    if folder == "methods" and name == "index":
        markdown = markdown.replace("<!-- finding -->", method_pages.finding()) + method_pages.overview()
    return MATH.sub(_formula, markdown.replace("<!-- measures -->", measure_pages.catalogue()))


def _made() -> list[tuple[str, str, str]]:
    """Title, path and text of each page that is made from the package."""
    return [*reference_pages.pages(), ("Command line", "reference/command-line.md", command_pages.page())]


def _formula(found: re.Match[str]) -> str:
    formula = convert(found["latex"].strip(), display="block")
    return textwrap.indent(f"<div class='formula'>{formula}</div>", found["indent"])
