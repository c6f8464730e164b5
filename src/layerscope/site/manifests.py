"""The manifests below a folder, each the JSON file that says what lies beside it, and the records they name."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerscope.errors import InputError
from layerscope.records import Record, Store, storage_errors

SCHEMA = 1
_DEEPEST = 64  # brackets within brackets; nobody's manifest has ten


@dataclass(frozen=True)
class Kind:
    """Manifests of one kind, in `<name>.json`.

    again: what to do about a wrong one. named: what a manifest gives the name of. keyed: whether it names a record.
    schema: of what is written now.
    """

    name: str
    again: str
    named: Sequence[str] = ("network",)
    keyed: bool = True
    schema: int = SCHEMA

    def paths(self, folder: Path) -> Iterator[Path]:
        """All below the folder, in no order; what the site wrote itself is none."""
        found = folder.rglob(f"{self.name}.json")
        return (path for path in found if path.is_file() and folder / "site" not in path.parents)

    def read(self, path: Path) -> dict[str, Any] | None:
        """What the manifest says; None for a file of the same name by some other program.

        Raises InputError for what is no JSON, of another schema, without names, or without the key of a record.
        """
        with storage_errors("read", path):
            data = path.read_bytes()
        try:
            facts = json.loads(data, parse_constant=lambda _: None)  # NaN is no JSON and no number to show
        except RecursionError:
            raise self._too_deep(path) from None
        except ValueError as cause:
            raise InputError(f"{path} is not JSON ({cause}); {self.again} or move the file away") from None
        if _is_deeper(facts, _DEEPEST):
            raise self._too_deep(path)
        if not isinstance(facts, dict) or facts.get("kind") != self.name:
            return None
        self._same_schema(str(path), facts)
        for part in self.named:
            if not isinstance(facts.get(part), dict) or not isinstance(facts[part].get("name"), str):
                raise InputError(f"{path} does not name its {part}; {self.again}")
        if self.keyed:
            self._check_key(path, facts)
        return facts

    def record(self, path: Path, facts: Mapping[str, Any]) -> Record | None:
        """The record that a manifest names, or None where it is missing or damaged; InputError for another schema's."""
        try:
            record = Store(path.parent).find(facts["key"])
        except RecursionError:
            raise self._too_deep(f"the record of {path}") from None
        if record is not None:
            if _is_deeper(record.facts, _DEEPEST):
                raise self._too_deep(f"the record of {path}")
            self._same_schema(f"the record of {path}", record.facts)
        return record

    def _too_deep(self, what: Path | str) -> InputError:
        return InputError(f"{what} has brackets within brackets more than {_DEEPEST} deep; {self.again}")

    def _check_key(self, path: Path, facts: Mapping[str, Any]) -> None:
        try:
            Store(path.parent).path(facts["key"])
        except (KeyError, TypeError, InputError) as cause:
            raise InputError(f"{path} names no record ({cause}); {self.again}") from None

    def _same_schema(self, what: str, facts: Mapping[str, Any]) -> None:
        if facts.get("schema") != self.schema:
            schema = facts.get("schema")
            raise InputError(f"{what} has schema {schema!r}, this Layerscope reads {self.schema}; {self.again}")


def _is_deeper(facts: Any, most: int) -> bool:
    """Whether JSON holds lists and objects within each other more than `most` deep; read level by level."""
    level = [facts]
    for _ in range(most):
        level = [one for held in level for one in _held(held)]
    return bool(level)


def _held(value: Any) -> Iterable[Any]:
    """The lists and objects that a list or an object holds."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return (one for one in inner if isinstance(one, (dict, list)))
