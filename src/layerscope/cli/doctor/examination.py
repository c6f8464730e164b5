"""All probes in turn, and what they found as a page or as JSON."""

from __future__ import annotations

import importlib
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from layerscope.cli.doctor.finding import Finding, Probe, State, tried

_MARKS = {"good": "+", "absent": "-", "poor": "!", "broken": "!"}
_PROBES: dict[str, tuple[tuple[str, str, State], ...]] = {
    "Installed": (
        ("packages", "python", "broken"),
        ("packages", "needed", "broken"),
        ("packages", "imported", "broken"),
        ("packages", "extras", "poor"),
        ("packages", "browsers", "poor"),
    ),
    "This machine": (
        ("machine", "processor", "poor"),
        ("machine", "accelerators", "poor"),
        ("machine", "half_precision", "poor"),
    ),
    "Results and weights": (("places", "results", "poor"), ("places", "downloaded", "poor")),
    "Bundled networks": (("places", "bundled", "broken"), ("places", "self_test", "broken")),
}
"""Probes by section: module and function of this folder, and how bad it is when the probe itself fails."""


@dataclass(frozen=True)
class Examination:
    """What was found, by section, and how long it took."""

    sections: dict[str, list[Finding]]
    seconds: float

    def facts(self) -> dict[str, Any]:
        """For machines: whether everybody's needs are met, and all findings."""
        return {
            "ok": not self.broken(),
            "seconds": round(self.seconds, 1),
            "sections": {title: [asdict(one) for one in found] for title, found in self.sections.items()},
        }

    def broken(self) -> list[str]:
        """A line for each thing that is in everybody's way."""
        found = [one for members in self.sections.values() for one in members if one.state == "broken"]
        return [f"{one.name}: {one.words}{f'; {one.advice}' if one.advice else ''}" for one in found]

    def words(self, width: int) -> str:
        """The findings for people, in lines of at most `width`."""
        lines = [f"{title}\n" + "\n".join(_lines(found, width)) for title, found in self.sections.items() if found]
        last = f"+ there, - not there and not needed, ! in the way of something; {self.seconds:.1f} s"
        return "\n\n".join([*lines, textwrap.fill(last, width)])


def examine(out: Path) -> Examination:
    """Look at everything; nothing is downloaded, and nothing stays in `out`."""
    began = time.perf_counter()
    sections = {
        title: [one for module, name, failed in probes for one in tried(name, _probe(module, name, out), failed)]
        for title, probes in _PROBES.items()
    }
    return Examination(sections, time.perf_counter() - began)


def _probe(module: str, name: str, out: Path) -> Probe:
    """A probe; what it needs is imported only when it is tried, since that may be what is broken."""

    def probe() -> Iterable[Finding]:
        found: Callable[..., Iterable[Finding]] = getattr(
            importlib.import_module(f"layerscope.cli.doctor.{module}"), name
        )
        return partial(found, out)() if name == "results" else found()

    return probe


def _lines(found: list[Finding], width: int) -> Iterator[str]:
    room = max(len(one.name) for one in found)
    for one in found:
        text = f"{one.words}; {one.advice}" if one.advice else one.words
        yield textwrap.fill(
            text,
            width,
            initial_indent=f"  {_MARKS[one.state]} {one.name:{room}}  ",
            subsequent_indent=" " * min(room + 6, width // 3),
            break_on_hyphens=False,
        )
