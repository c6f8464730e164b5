"""Blocks of code in Markdown: which there are, what runs them, and whether what they print is what stands there.

In README.md and docs/ these count:

    ```python                       run in one namespace per page, in order
    prints, then ```text            what the block before has to print
    ```text or ```bash with "$ "    commands, each with what it prints below it
    ```bash without "$ "            commands whose output is not shown; they have to succeed

and a comment above a block says what is special about it:

    <!-- slow -->                   takes more than ten seconds: run by `pytest -m slow`
    <!-- not run: why -->           needs the network, installs something, or shows what is not finished by itself

Words are compared as they are, runs of spaces as one. Numbers may differ by one in their last digit and by 2 % beside
it, since they come from one machine: other processors round differently, and ascents carry that on; whole numbers have
to be the same. Numbers of seconds (or ms, min) are any numbers. A line "..." stands for any lines, "…" for any text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
DIGITS = r"[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?"
NUMBER = re.compile(rf"(?<![\w.]){DIGITS}(?=\s*(%|ms\b|min\b|s\b|px\b|MiB\b|GiB\b)?)")
SPAN = ("s", "ms", "min")
RELATIVE = 0.02
MARK = re.compile(r"<!--\s*(slow|not run: [^>]+?)\s*-->")


@dataclass
class Block:
    """One block that is run. `printed`: what it has to print, None where that is not said."""

    page: Path
    line: int
    code: str
    mark: str = ""
    printed: str | None = None

    @property
    def name(self) -> str:
        return f"{self.page.relative_to(ROOT).as_posix()}:{self.line}"

    @property
    def slow(self) -> bool:
        return self.mark == "slow"

    @property
    def runs(self) -> bool:
        return not self.mark.startswith("not run")


@dataclass
class Page:
    """The blocks of one file."""

    path: Path
    python: list[Block] = field(default_factory=list)
    commands: list[Block] = field(default_factory=list)


def pages() -> list[Page]:
    """README.md and all of docs/."""
    return [read(path) for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))]


def read(path: Path) -> Page:
    """The blocks of a Markdown file. Raises ValueError for a comment that marks no block."""
    page, mark, before = Page(path), "", None
    for token in _blocks(path.read_text("utf-8")):
        if token.type == "html_block":
            found = MARK.search(token.content)
            mark = found[1] if found else mark
            continue
        if token.type != "fence":
            if mark:
                raise ValueError(f"{path}: the comment {mark!r} stands above no block of code")
            before = before if token.type == "inline" and token.content.rstrip(":").endswith("prints") else None
            continue
        before, mark = _taken(page, token, mark, before), ""
    return page


def commands_of(block: Block) -> Iterator[tuple[str, str | None]]:
    """Each command of a block with what it has to print, None where nothing is said."""
    if not re.search(r"^\$ ", block.code, re.MULTILINE):
        for line in block.code.replace("\\\n", "").splitlines():
            if line.strip() and not line.startswith("#"):
                yield line, None
        return
    for part in re.split(r"^\$ ", block.code, flags=re.MULTILINE)[1:]:
        command, _, printed = part.partition("\n")
        yield command, printed


def difference(expected: str, printed: str) -> str:
    """What differs first between two texts, "" where nothing does."""
    wanted = [" ".join(line.split()) for line in expected.strip().splitlines() if line.strip()]
    found = [" ".join(line.split()) for line in printed.strip().splitlines() if line.strip()]
    return "" if _match(wanted, found) else _first(wanted, found)


def alike(wanted: str, found: str) -> bool:
    """Whether a line is as it has to be."""
    wanted, found = (" ".join(line.split()) for line in (wanted, found))
    numbers, place, pattern = list(NUMBER.finditer(wanted)), 0, ""
    for number in numbers:
        pattern += _literal(wanted[place : number.start()]) + rf"(?<![\w.])({DIGITS})"
        place = number.end()
    theirs = re.fullmatch(pattern + _literal(wanted[place:]), found)
    return theirs is not None and all(
        map(_near, (one[0] for one in numbers), theirs.groups(), (one[1] for one in numbers))
    )


def _literal(text: str) -> str:
    """The pattern of words, in which "…" stands for any text."""
    return re.escape(text).replace("…", ".*")


def _near(wanted: str, found: str, unit: str | None) -> bool:
    if unit in SPAN:
        return True
    one, other = (float(text.replace(",", "")) for text in (wanted, found))
    if "e" in wanted:
        return one * other > 0 and 0.1 <= one / other <= 10  # rounding noise: its size is meant
    if "." not in wanted:
        return wanted == found or (unit == "%" and abs(one - other) <= 1)
    last = 10 ** -len(wanted.partition(".")[2])
    return abs(one - other) <= last * 1.001 + RELATIVE * abs(one)


def _match(wanted: list[str], found: list[str]) -> bool:
    if not wanted:
        return not found
    if wanted[0] == "...":
        return any(_match(wanted[1:], found[start:]) for start in range(len(found) + 1))
    return bool(found) and alike(wanted[0], found[0]) and _match(wanted[1:], found[1:])


def _first(wanted: list[str], found: list[str]) -> str:
    missing = next((line for line in wanted if line != "..." and not any(alike(line, other) for other in found)), "")
    said = f"no line like {missing!r}" if missing else "lines differ in number or order"
    return f"{said}\nexpected:\n  " + "\n  ".join(wanted) + "\nprinted:\n  " + "\n  ".join(found)


def _blocks(text: str) -> list[Token]:
    parser = MarkdownIt("commonmark")
    return [token for token in parser.parse(text) if token.type in ("html_block", "fence", "inline", "heading_open")]


def _taken(page: Page, token: Token, mark: str, before: Block | None) -> Block | None:
    """Add a fence to its page; returns the block whose output may follow."""
    language = token.info.split()[0] if token.info.strip() else ""
    assert token.map is not None
    block = Block(page.path, token.map[0] + 1, token.content, mark)
    if language == "python":
        page.python.append(block)
        return block
    if language == "text" and before is not None and before.printed is None:
        before.printed = token.content
    elif language == "bash" or (language == "text" and token.content.startswith("$ ")):
        page.commands.append(block)
    elif mark:
        raise ValueError(f"{block.name}: the comment {mark!r} stands above a block that is not run")
    return None
