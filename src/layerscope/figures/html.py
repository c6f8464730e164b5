"""Building blocks of what results show in notebooks: HTML with its style inside, readable in light and in dark.

All text is escaped as it comes in, pictures are data inside the page, and colours are those of the notebook itself
(`inherit`, made fainter), so that nothing has to be loaded and no style leaks out.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from layerscope.figures.pictures import as_rgb, as_webp, small
from layerscope.figures.words import short

Content = str | Markup | Iterable[Any] | None
"""Text, which is escaped; markup; several of these; or nothing."""

_FAINT = "rgba(128,128,128,.35)"
_QUIET = "opacity:.72"
_PAGE = "font:13px/1.45 system-ui,sans-serif;color:inherit;max-width:1080px;margin:6px 0"
_CELL = f"padding:3px 14px 3px 0;border:0;border-bottom:1px solid {_FAINT};vertical-align:top;background:none"
_VOID = ("img", "br")
_SHARP = 64  # pixels: smaller pictures are shown pixel by pixel


def el(tag: str, *content: Content, **attributes: object) -> Markup:
    """One element; an attribute that is None is left out, and `class_`, `colspan_` lose their underscore."""
    given = Markup("").join(
        Markup(' {}="{}"').format(name.rstrip("_").replace("_", "-"), value)
        for name, value in attributes.items()
        if value is not None
    )
    opening = Markup("<{}{}>").format(Markup(tag), given)
    return opening if tag in _VOID else opening + _joined(content) + Markup("</{}>").format(Markup(tag))


def page(title: Content, *content: Content) -> str:
    """All that a result shows: a heading, and what it says."""
    heading = el("div", title, style="font-weight:650;font-size:15px;margin-bottom:2px")
    return str(el("div", heading, content, style=_PAGE))


def name(text: object, most: int = 60) -> Markup:
    """A name that somebody gave: short, in its own direction of writing, whole in its tooltip."""
    cut = short(text, most)
    return el("bdi", cut, title=short(text, 600) if cut.endswith("…") else None)


def line(*content: Content) -> Markup:
    """A line of quiet text."""
    return el("div", content, style=f"{_QUIET};margin:2px 0 4px;max-width:900px")


def strong(*content: Content) -> Markup:
    """What counts in a line."""
    return el("b", content, style="font-weight:650;opacity:1")


def warning(*content: Content) -> Markup:
    """What nobody may overlook."""
    return el("div", content, style="border-left:3px solid #d55e00;padding:2px 0 2px 10px;margin:6px 0;max-width:860px")


def picture(pixels: NDArray[Any], alt: str, side: int = 96) -> Markup:
    """A uint8 picture [height, width, channels], its longer side `side` pixels of the page."""
    shown = small(as_rgb(np.asarray(pixels, np.uint8)), 2 * side)
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    sharp = "pixelated" if max(height, width) < min(side, _SHARP) else "auto"
    return el(
        "img",
        src=f"data:image/webp;base64,{base64.b64encode(as_webp(np.ascontiguousarray(shown))).decode()}",
        alt=short(alt, 200),
        width=max(1, round(width * scale)),
        height=max(1, round(height * scale)),
        style=f"display:block;margin:0;max-width:none;image-rendering:{sharp}",
    )


def drawing(png: bytes, alt: str, width: int) -> Markup:
    """A figure on white paper, `width` pixels of the page wide."""
    source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    return el("img", src=source, alt=short(alt, 600), width=width, style="display:block;margin:8px 0;max-width:100%")


def tile(shown: Markup, *lines: Content, side: int = 96) -> Markup:
    """A picture with its numbers under it."""
    rows = [el("div", one, style="overflow:hidden;text-overflow:ellipsis") for one in lines if one]
    under = el("div", rows, style="font-size:11px;line-height:1.35;margin-top:3px;overflow-wrap:anywhere")
    return el("div", shown, under, style=f"width:{side}px;flex:none")


def tiles(found: Sequence[Markup], gap: int = 12) -> Markup:
    """Pictures side by side, in as many rows as they need."""
    return el("div", found, style=f"display:flex;flex-wrap:wrap;gap:{gap}px;margin:6px 0 8px;align-items:flex-start")


def table(heads: Sequence[Content], rows: Iterable[Sequence[Content]], numbers: Iterable[int] = ()) -> Markup:
    """Rows of cells under `heads`; the columns of `numbers` stand to the right."""
    to_the_right = frozenset(numbers)

    def cells(tag: str, row: Sequence[Content], style: str) -> list[Markup]:
        sides = ("right" if place in to_the_right else "left" for place in range(len(row)))
        return [el(tag, one, style=f"{_CELL};{style};text-align:{side}") for one, side in zip(row, sides, strict=True)]

    head = el("tr", cells("th", heads, f"{_QUIET};font-weight:400;white-space:nowrap"), style="background:none")
    body = [el("tr", cells("td", row, "font-variant-numeric:tabular-nums"), style="background:none") for row in rows]
    style = "border-collapse:collapse;border:0;font-size:12px;margin:6px 0;background:none;color:inherit"
    return el("table", el("thead", head), el("tbody", body), style=style)


def share_bar(share: float, colour: str = "currentColor", width: int = 90) -> Markup:
    """A share in [0, 1] as the length of a bar; the number stands beside it."""
    filled = el(
        "span", style=f"display:block;height:7px;width:{100 * min(1.0, max(0.0, share)):.1f}%;background:{colour}"
    )
    return el("span", filled, style=f"display:inline-block;width:{width}px;background:{_FAINT};vertical-align:middle")


def facts(found: Mapping[str, Content]) -> Markup:
    """Facts side by side: what each is, and its value."""
    shown = [
        el("span", key, " ", strong(value), style="white-space:nowrap")
        for key, value in found.items()
        if value is not None
    ]
    return el("div", shown, style=f"{_QUIET};display:flex;flex-wrap:wrap;gap:2px 18px;margin:2px 0 6px")


def _joined(content: Content) -> Markup:
    if content is None:
        return Markup("")
    if isinstance(content, Markup):
        return content
    if isinstance(content, str):
        return escape(content)
    return Markup("").join(_joined(one) for one in content)
