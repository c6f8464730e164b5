"""What figures and notebook cards are drawn from: a result, or the folder on disk that holds one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from layerscope.errors import InputError
from layerscope.figures.words import short
from layerscope.records import Record, Store, content_key, storage_errors

SCHEMA = 1
_SCHEMAS = {"leaderboard": 2}
"""Of the kinds that have changed since."""
_MADE_BY = {
    "atlas": "ls.atlas",
    "gallery": "ls.gallery",
    "explanation": "ls.explain",
    "hierarchy": "ls.hierarchy",
    "leaderboard": "`layerscope benchmark attribution --truth`",
}


@dataclass(frozen=True)
class Said:
    """What the metadata of a figure's file say: what it shows, and how to make it again. key: of what it was drawn
    from; command: a line of Python, None where there is none."""

    title: str
    key: str
    seed: int | None
    command: str | None

    @property
    def words(self) -> str:
        """In one line."""
        return ", ".join(filter(None, [f"seed {self.seed}", f"key {self.key}", self.command]))


@dataclass(frozen=True, eq=False)
class Report:
    """One result: what its manifest says of it (`header`), the facts and the arrays of its record, and its folder.

    A gallery has a record for each unit instead: `facts` are those of its manifest.
    """

    kind: str
    header: Mapping[str, Any]
    record: Record
    folder: Path | None = None

    @property
    def facts(self) -> dict[str, Any]:
        return self.record.facts

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        return self.record.arrays

    def said(self, title: str, key: str | None = None) -> Said:
        """For the metadata of a figure of this title."""
        seed, command = (self.header.get(name, self.facts.get(name)) for name in ("seed", "command"))
        return Said(title, key or self.record.key, seed, command)


@contextmanager
def opened(kind: str, source: object) -> Iterator[Report]:
    """The result of this kind that `source` is, or that lies in this folder.

    Raises InputError where there is none, where it is unfinished or damaged, and, out of the `with`, where its record
    does not hold what is read there.
    """
    report = _report(kind, source)
    try:
        yield report
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as cause:
        what = f"{type(cause).__name__}: {short(cause, 200)}"
        raise InputError(f"{_place(report)} does not describe {_a(kind)} ({what}); {_again(kind)}") from cause


def _report(kind: str, source: object) -> Report:
    if isinstance(source, Report):
        return _of_kind(kind, source)
    if isinstance(source, (str, PathLike)):
        return _read(kind, Path(source))
    folder, record = getattr(source, "folder", None), getattr(source, "record", None)
    if isinstance(record, Record) and isinstance(folder, Path):
        header = _manifest(kind, folder) if (folder / f"{kind}.json").is_file() else {}
        return _of_kind(kind, Report(str(record.facts.get("kind")), header, record, folder))
    if isinstance(folder, Path):
        return _read(kind, folder)
    raise InputError(
        f"a {type(source).__name__} is no {kind}; give what {_MADE_BY[kind]} makes, or the folder that holds its "
        f"{kind}.json"
    )


def _of_kind(kind: str, report: Report) -> Report:
    if report.kind != kind:
        raise InputError(f"{_place(report)} is {_a(report.kind)}; give {_a(kind)}, as {_MADE_BY[kind]} makes it")
    return report


def _read(kind: str, folder: Path) -> Report:
    if folder.name == f"{kind}.json" and folder.is_file():
        folder = folder.parent
    if not folder.is_dir():
        raise InputError(
            f"no folder {str(folder)!r}; give the folder that holds {_a(kind)}.json, as {_MADE_BY[kind]} makes it"
        )
    if not (folder / f"{kind}.json").is_file():
        raise InputError(f"no {kind}.json in {str(folder)!r}; {_elsewhere(kind, folder)}")
    header = _manifest(kind, folder)
    if kind in ("gallery", "leaderboard"):
        return Report(kind, header, Record(content_key(manifest=header), dict(header), {}), folder)
    if header.get("complete") is False:
        raise InputError(f"the {kind} in {str(folder)!r} is not finished; {_again(kind)}: it goes on where it was")
    record = _find(folder, header)
    if record is None:
        raise InputError(f"the record of {str(folder / f'{kind}.json')!r} is missing or damaged; {_again(kind)}")
    return Report(kind, header, record, folder)


def _find(folder: Path, header: Mapping[str, Any]) -> Record | None:
    try:
        return Store(folder).find(header["key"])
    except (KeyError, TypeError, RecursionError):  # no key, no text, or brackets without end
        return None


def _manifest(kind: str, folder: Path) -> dict[str, Any]:
    path = folder / f"{kind}.json"
    with storage_errors("read", path):
        data = path.read_bytes()
    try:
        facts = json.loads(data)
    except (ValueError, RecursionError) as cause:
        raise InputError(f"{path} is not JSON ({type(cause).__name__}); {_again(kind)}") from None
    if not isinstance(facts, dict) or facts.get("kind", kind) != kind:
        raise InputError(f"{path} does not describe {_a(kind)}; {_again(kind)}")
    schema = _SCHEMAS.get(kind, SCHEMA)
    if facts.get("schema", schema) != schema:
        raise InputError(f"{path} has schema {facts['schema']!r}, this Layerscope reads {schema}; {_again(kind)}")
    return facts


def _elsewhere(kind: str, folder: Path) -> str:
    """Where else one lies: often the folder above was given."""
    below = sorted(str(path.parent) for path in folder.rglob(f"{kind}.json"))[:4]
    return f"there is one in: {', '.join(below)}" if below else f"make one with {_MADE_BY[kind]}"


def _place(report: Report) -> str:
    return f"the record of {str(report.folder)!r}" if report.folder is not None else "the record"


def _again(kind: str) -> str:
    return f"make it again with {_MADE_BY[kind]}"


def _a(kind: str) -> str:
    return f"an {kind}" if kind[:1] in "aeiou" else f"a {kind}"
