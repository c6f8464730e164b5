"""What figures for papers have in common: files of the same bytes every time, and names that matplotlib can draw."""

from __future__ import annotations

import io
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from layerscope.records import Record, write_whole

_DPI = 200


def save_figure(figure: Figure, folder: Path, stem: str, record: Record) -> None:
    """Write `<stem>.png` and `<stem>.svg`; seed, key and the command, if there is one, are in the metadata."""
    said = [f"seed {record.facts['seed']}", f"key {record.key}", *filter(None, [record.facts.get("command")])]
    metadata = {"Title": f"{stem} {record.key[:12]}", "Description": ", ".join(said)}
    png, svg = io.BytesIO(), io.BytesIO()
    figure.savefig(png, format="png", dpi=_DPI, metadata=metadata)
    with rc_context({"svg.hashsalt": record.key}):  # the same bytes every time
        figure.savefig(svg, format="svg", metadata={"Date": None, **metadata})
    for suffix, file in (("png", png), ("svg", svg)):
        write_whole(folder / f"{stem}.{suffix}", file.getvalue())


def short(text: str, most: int) -> str:
    """Printable, on one line, escaped where matplotlib would read it as mathematics."""
    plain = "".join(sign if sign.isprintable() else "?" for sign in str(text)).replace("$", r"\$")
    return plain if len(plain) <= most else f"{plain[: most - 1]}…"
