"""The reference: one page per kind of thing, in which mkdocstrings shows the docstrings of all public names."""

from __future__ import annotations

import ast
from pathlib import Path

STUB = Path(__file__).parents[1] / "src/layerscope/__init__.pyi"
PAGES = {
    "Networks": ("load_model", "wrap", "VisionModel", "Layer", "Unit", "Spectrum"),
    "Inside a network": ("capture", "ablate", "replace", "effective_receptive_fields"),
    "Objectives": (
        "channel",
        "excitation",
        "inhibition",
        "neuron",
        "direction",
        "logit",
        "margin",
        "layer_energy",
        "diversity",
    ),
    "Pictures and maps": (
        "maximise",
        "Recipe",
        "recipe_for",
        "accentuate",
        "caricature",
        "interpolate",
        "spritemap",
        "animate",
        "attribute",
        "Attribution",
        "METHODS",
    ),
    "The three jobs": ("gallery", "gallery_plan", "atlas", "explain", "hierarchy", "write_site"),
    "Judging methods": ("leaderboard",),
    "Figures": ("figures",),
    "The world": ("world",),
    "Errors": ("LayerscopeError", "InputError"),
}
"""Public names by page; those that none of them names are on a last page, "More"."""


def pages() -> list[tuple[str, str, str]]:
    """Title, path and text of each page."""
    places = public()
    rest = [name for name in places if not any(name in page for page in PAGES.values())]
    made = []
    for title, names in (PAGES | {"More": tuple(rest)}).items():
        there = {name: places[name] for name in names if name in places}
        there |= {f"{name}.{one}": place for name in there for one, place in inside(name).items()}
        if there:
            shown = "\n".join(_shown(name, place) for name, place in there.items())
            made.append((title, f"reference/{title.lower().replace(' ', '-')}.md", f"# {title}\n\n{shown}"))
    return made


def public(stub: Path = STUB, package: str = "layerscope") -> dict[str, str]:
    """Where each public name is defined, as `__init__.pyi` imports it."""
    places: dict[str, str] = {}
    for line in ast.parse(stub.read_text("utf-8")).body:
        if isinstance(line, ast.ImportFrom):
            start = ".".join(part for part in (package, line.module) if part)
            places |= {one.asname or one.name: f"{start}.{one.name}" for one in line.names}
    return places


def inside(name: str) -> dict[str, str]:
    """The same of a package that imports lazily, whose names mkdocstrings does not see; nothing for others."""
    stub = STUB.parent / name / STUB.name
    return public(stub, f"layerscope.{name}") if stub.is_file() else {}


def _shown(name: str, place: str) -> str:
    """The lines that mkdocstrings turns into a section. Of a module all that it exports."""
    options = f"    options:\n      heading: layerscope.{name}\n      toc_label: {name}\n"
    return f"::: {place}\n{options}"
