"""The manifests below a folder, each the JSON file that says what lies beside it, and the records they name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerscope.errors import InputError
from layerscope.records import Record, Store, storage_errors

SCHEMA = 1


@dataclass(frozen=True)
class Kind:
    """Manifests of one kind, in `<name>.json`.

    again: what to do about a wrong one. named: what a manifest gives the name of. keyed: whether it names a record.
    """

    name: str
    again: str
    named: Sequence[str] = ("network",)
    keyed: bool = True

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
        except ValueError as cause:
            raise InputError(f"{path} is not JSON ({cause}); {self.again} or move the file away") from None
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
        record = Store(path.parent).find(facts["key"])
        if record is not None:
            self._same_schema(f"the record of {path}", record.facts)
        return record

    def _check_key(self, path: Path, facts: Mapping[str, Any]) -> None:
        try:
            Store(path.parent).path(facts["key"])
        except (KeyError, TypeError, InputError) as cause:
            raise InputError(f"{path} names no record ({cause}); {self.again}") from None

    def _same_schema(self, what: str, facts: Mapping[str, Any]) -> None:
        if facts.get("schema") != SCHEMA:
            schema = facts.get("schema")
            raise InputError(f"{what} has schema {schema!r}, this Layerscope reads {SCHEMA}; {self.again}")
