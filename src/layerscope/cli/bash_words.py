"""Completion in bash, which takes words apart at colons and equals signs: "torchvision:res" reaches us as three words.

They are joined before typer sees them, and of what it answers bash gets only what follows the last such sign.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator

COMPLETES = "_LAYERSCOPE_COMPLETE"
_SIGNS = (":", "=")


def joined(words: list[str], current: int) -> tuple[list[str], int, int]:
    """Words as they were typed, which of them is being typed, and how many of its first signs bash does not replace."""
    whole: list[str] = []
    glued = False
    known = 0
    for word in [*words, ""][: current + 1]:
        sign = word in _SIGNS
        if whole and (sign or glued):
            known = len(whole[-1]) + len(word) * sign
            whole[-1] += word
        else:
            whole.append(word)
            known = 0
        glued = sign
    option, equals, _ = whole[-1].partition("=")
    if option.startswith("-") and equals:  # typer answers with the value alone
        known = max(known - len(option) - len(equals), 0)
    return whole, len(whole) - 1, known


@contextlib.contextmanager
def answered() -> Iterator[None]:
    """While typer answers bash: words joined in its environment, and its answer cut to what bash expects."""
    if os.environ.get(COMPLETES) != "complete_bash":
        yield
        return
    words = os.environ.get("COMP_WORDS", "").split("\n")
    whole, place, known = joined(words, int(os.environ.get("COMP_CWORD", "0")))
    os.environ.update(COMP_WORDS="\n".join(whole), COMP_CWORD=str(place))
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            yield
    finally:
        sys.stdout.write("".join(f"{line[known:]}\n" for line in said.getvalue().splitlines()))
