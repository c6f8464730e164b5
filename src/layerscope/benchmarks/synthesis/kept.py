"""Tables that were measured are kept below --out, so that an interrupted benchmark goes on where it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from layerscope.benchmarks.report import Options, Row, manifest
from layerscope.records import Store, content_key


@dataclass(frozen=True)
class Kept:
    """Where tables lie, and what they depend on beside their name; a folder of None keeps nothing."""

    folder: Path | None
    facts: dict[str, Any]

    @classmethod
    def of(cls, options: Options, extent: Any) -> Kept:
        """extent: a dataclass that says how much is measured. Tables of another machine or version are not taken."""
        told = {name: value for name, value in manifest().items() if name != "date"}
        return cls(options.out, {"extent": asdict(extent), "rounds": options.rounds, **told})

    def table(self, name: str, measure: Callable[[], list[Row]]) -> list[Row]:
        """The table as it was kept, or as it is measured now."""
        if self.folder is None:
            return measure()
        store, key = Store(self.folder), content_key(table=name, **self.facts)
        record = store.find(key) or store.write(key, {"table": name, "rows": measure()}, {})
        return [dict(row) for row in record.facts["rows"]]
