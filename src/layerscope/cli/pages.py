"""The site of a folder, written while what it shows is still being made."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from layerscope.cli.progress import is_unit
from layerscope.site.pages import check_site, write_site
from layerscope.types import Progress

EVERY = 20.0
"""Seconds between two refreshes, at least."""
_SHARE = 20
"""At most one part in so many of the time goes into refreshes."""


class Pages:
    """Writes the site of `out` again as records come, and says its address once, when it is first there.

    Raises StorageError where the folder's index.html or site/ is somebody else's, before any work.
    """

    def __init__(self, out: Path, say: Callable[[str], None]) -> None:
        check_site(out)
        self._out, self._say, self._began = out, say, time.monotonic()
        self._next = self._began
        self.first: float | None = None
        """Seconds until there was a page to look at."""

    @property
    def address(self) -> str:
        """What a browser opens."""
        return (self._out / "index.html").resolve().as_uri()

    def write(self) -> None:
        """Write the site over what is there now; files that would not change are left alone."""
        began = time.monotonic()
        write_site(self._out)
        now = time.monotonic()
        self._next = now + max(EVERY, _SHARE * (now - began))
        if self.first is None:
            self.first = now - self._began
            self._say(f"open {self.address}\n(the first pages, after {self.first:.0f} s; more are added: reload)")

    def refreshing(self, report: Progress, least: int = 0) -> Progress:
        """A callback that passes on what it is told, and refreshes the site when it is due.

        least: units that must be there before the site is written for the first time; 0: it is left to others.
        """

        def on_progress(done: int, total: int, what: str) -> None:
            report(done, total, what)
            enough = done >= least > 0 and is_unit(what)
            if time.monotonic() >= self._next and (enough or self.first is not None):
                self.write()

        return on_progress
