"""Fill the tables of README.md and docs/ with numbers that a command measured, so that none is typed.

    python docs/tables.py README.md docs                              fill
    python docs/tables.py --check README.md docs                      say which differ from what is stored; exit code 1
    python docs/tables.py --measure 'layerscope benchmark world'      run a command with --json, and store what it says

A table stands between two comments; `table`, `columns` and `where` are optional, and `a.b` is a column in a column:

    <!-- table: layerscope benchmark attribution --quick; columns: method, tool, seconds; where: tool=captum -->
    <!-- end -->

`table: networks.menagerie.reading` is what a manifest says there; sentences become a list. `only: headline` leaves out
the columns of measures that a leaderboard's first table has not, `only: rest` those that it has.

What commands said lies in docs/measured/, one JSON file each: the command, the date, versions, and the `output`.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
MEASURED = DOCS / "measured"
BLOCK = re.compile(r"^<!-- table: (?P<asked>[^\n]+?) -->\n(?P<body>.*?)^<!-- end -->$", re.MULTILINE | re.DOTALL)
LONGEST = 200
"""Rows of a table that is stored; longer ones (all units of a network) are no tables for people."""
ARROWS = {"high": "↑", "low": "↓"}
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Stored:
    """What a command said, and when and where. Older files hold the output itself, with its manifest inside."""

    command: str
    facts: Mapping[str, Any]
    output: Mapping[str, Any]

    def rows(self, table: str | None = None) -> list[dict[str, Any]]:
        """One of its tables, by default the first. Raises KeyError where there is no such table."""
        if table is None:
            return [dict(row) for row in next(value for value in self.output.values() if _is_table(value))]
        if (found := self.told(table)) is None:
            raise KeyError(table)
        return [dict(row) for row in found]

    def told(self, place: str) -> list[Any] | None:
        """The rows or sentences at a place of its output or facts, as "networks.menagerie.reading"; None for others.

        Of what has names, rows with the names.
        """
        found = _at({**self.facts, **self.output}, place)
        if isinstance(found, Mapping):
            return [{"name": name, **one} for name, one in found.items() if isinstance(one, Mapping)]
        return found if isinstance(found, list) else None

    @property
    def measures(self) -> dict[str, Row]:
        """What a leaderboard says of each measure, by name; nothing for other commands."""
        return {row["name"]: row for row in self.facts.get("measures", ())}

    def heads(self, table: str | None) -> dict[str, str]:
        """How the columns of measures are called, with the direction that is better."""
        known = {name: f"{row['title']} {ARROWS[row['better']]}" for name, row in self.measures.items()}
        if table != "provable":
            return known
        return {one["tier"]: f"{one['title']}: {known[one['measure']]}" for one in self.facts["tiers"]}

    def origin(self) -> str:
        """One line: the command that makes it again, with what it was measured."""
        facts = self.facts
        versions = facts.get("versions") or {}
        told = [f"`{self.command}`", str(facts.get("date", ""))[:10], f"torch {versions.get('torch')}"]
        if facts.get("threads"):
            of = f" of {facts['machine']}" if facts.get("machine") else ""
            told.append(f"{facts['threads']} thread{'s' * (facts['threads'] != 1)}{of}")
        if facts.get("load", 0) > (facts.get("cores") or os.cpu_count() or 1) / 2:
            told.append("beside other jobs")
        return f"*{', '.join(one for one in told if one and 'None' not in one)}*"


def read(path: Path) -> Stored:
    """One file of docs/measured. Raises KeyError where it does not say by which command it was made."""
    data = json.loads(path.read_text("utf-8"))
    if "output" in data:
        return Stored(data["command"], data, data["output"])
    manifest = data["manifest"]
    return Stored(manifest["command"].removesuffix(" --json"), manifest, data)


def stored(command: str) -> Stored | None:
    """What is stored of this command."""
    return {made.command: made for made in map(read, sorted(MEASURED.glob("*.json")))}.get(command)


def filled(text: str) -> str:
    """The text with every table as it is stored."""
    return BLOCK.sub(lambda found: _block(found["asked"]), text)


def as_markdown(rows: Sequence[Row], columns: Sequence[str] = (), heads: Mapping[str, str] | None = None) -> str:
    """Rows as a Markdown table; numbers are set to the right. heads: how columns are called, if not by their names."""
    names = list(columns) or list(rows[0])
    numeric = {name: all(isinstance(_at(row, name), int | float | dict | None) for row in rows) for name in names}
    called = [(heads or {}).get(name, name if name in rows[0] else name.rpartition(".")[2]) for name in names]
    lines = [called, ["---:" if numeric[name] else "---" for name in names]]
    lines += [[cell(_at(row, name)) for name in names] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(value: object) -> str:
    """A value as it stands in a table: 4 digits, or 2 decimals with an interval in brackets, a dash for nothing."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping) and "value" in value:
        return _interval(value["value"], value.get("low"), value.get("high"))
    if isinstance(value, list):
        return ", ".join(map(cell, value)) or "-"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"
    return " ".join(str(value).replace("|", "\\|").replace("<", "&lt;").split())


def measure(command: str) -> Path:
    """Run a command and store what it says. Raises CalledProcessError where it fails; then nothing is stored."""
    words = shlex.split(command)
    load = os.getloadavg()[0]
    done = subprocess.run([sys.executable, "-m", *words, "--json"], stdout=subprocess.PIPE, check=True, text=True)
    return store(command, json.loads(done.stdout), load)


def store(command: str, said: dict[str, Any], load: float) -> Path:
    """Write what a command said, with the load of the machine before it, into docs/measured."""
    words = shlex.split(command)
    made = {
        "versions": {"python": platform.python_version()} | {name: version(name) for name in ("layerscope", "torch")},
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
    } | (said.pop("manifest", None) or {})
    kept = {name: value for name, value in said.items() if not (isinstance(value, list) and len(value) > LONGEST)}
    path = MEASURED / f"{re.sub(r'[^a-z0-9]+', '-', ' '.join(words[1:]).lower()).strip('-')}.json"
    MEASURED.mkdir(exist_ok=True)
    path.write_text(
        json.dumps(made | {"command": command, "load": round(load, 1), "output": kept}, indent=1) + "\n", "utf-8"
    )
    return path


def _at(row: Row, name: str) -> Any:
    """The value of a column; "net.edge" is one in another."""
    if name in row:
        return row[name]
    found: Any = row
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _interval(value: float | None, low: float | None, high: float | None) -> str:
    """Two decimals, since more of them lie within the interval."""
    if value is None or low is None or high is None:
        return cell(value)
    return f"{value:.2f} ({low:.2f} to {high:.2f})"


def _is_table(value: object) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _block(asked: str) -> str:
    """A whole block, comments included."""
    command, *more = (part.strip() for part in asked.split(";"))
    options = dict(part.split(": ", 1) for part in more)
    made = stored(command)
    if made is None or ("table" in options and made.told(options["table"]) is None):
        body = f"*Not measured yet: `python docs/tables.py --measure '{command}'` does it.*"
    else:
        body = f"{_body(made, options)}\n\n{made.origin()}"
    return f"<!-- table: {asked} -->\n\n{body}\n\n<!-- end -->"


def _body(made: Stored, options: Mapping[str, str]) -> str:
    """A table, or a list of sentences."""
    table = options.get("table")
    if table and (said := made.told(table)) and isinstance(said[0], str):
        return "\n".join(f"- {sentence}" for sentence in said)
    rows = made.rows(table)
    for wish in filter(None, options.get("where", "").split(", ")):
        name, _, value = wish.partition("=")
        rows = [row for row in rows if str(_at(row, name)) == value]
    if not rows:
        return "*None.*"
    columns = [one for one in options.get("columns", "").split(", ") if one]
    if "only" in options:
        columns = _chosen(made, columns, options["only"] == "headline", rows)
    return as_markdown(rows, columns, made.heads(table))


def _chosen(made: Stored, columns: Sequence[str], first: bool, rows: Sequence[Row]) -> list[str]:
    """The columns that say something, without the measures that are not in the first table, or without those."""
    other = {name for name, row in made.measures.items() if row.get("headline", first) is not first}
    return [name for name in columns if name not in other and any(_at(row, name) is not None for row in rows)]


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        yield from sorted(path.rglob("*.md")) if path.is_dir() else [path]


def main(arguments: Sequence[str] | None = None) -> int:
    """See the first lines of this file."""
    asks = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asks.add_argument("paths", nargs="*", type=Path, help="Markdown files, or folders of them")
    asks.add_argument("--check", action="store_true", help="change nothing, and say which files differ")
    asks.add_argument("--measure", metavar="COMMAND", help="run this command and store what it says")
    asked = asks.parse_args(arguments)
    if asked.measure:
        print(measure(asked.measure))
    differing = [path for path in _files(asked.paths) if filled(text := path.read_text("utf-8")) != text]
    for path in differing:
        print(path)
        if not asked.check:
            path.write_text(filled(path.read_text("utf-8")), "utf-8")
    return int(asked.check and bool(differing))


if __name__ == "__main__":
    sys.exit(main())
