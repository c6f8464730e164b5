"""Who hears what: results on standard output; remarks and progress on standard error, and neither where it is quiet.

The options --quiet and --verbose may stand before or after the command; each is noted here when it is read.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass

_NARROWEST, _UNLIMITED = 40, 10_000


@dataclass
class _Heard:
    quiet: bool = False
    verbose: bool = False


heard = _Heard()
"""What this command line asked for; `begin` makes it as new."""


def begin() -> None:
    """Forget what an earlier command line in this process asked for."""
    heard.quiet = heard.verbose = False


def hush(wanted: bool) -> bool:
    """Note --quiet."""
    heard.quiet = heard.quiet or wanted
    return wanted


def speak(wanted: bool) -> bool:
    """Note --verbose."""
    heard.verbose = heard.verbose or wanted
    return wanted


def remark(line: str) -> None:
    """Say something on standard error that is neither the result nor an error."""
    if not heard.quiet:
        print(line, file=sys.stderr, flush=True)


def interactive() -> bool:
    """Whether somebody sits before standard error: a terminal that can move its cursor."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def width() -> int:
    """Columns of the terminal that results go to; as many as it takes where nobody looks at it."""
    return max(shutil.get_terminal_size((_UNLIMITED, 24)).columns, _NARROWEST)
