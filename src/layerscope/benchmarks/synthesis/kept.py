"""Tables that were measured are kept below --out, so that an interrupted benchmark goes on where it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerscope.benchmarks.report import Options, Row, manifest
from layerscope.records import Store, content_key


@dataclass(frozen=True)
class Kept:
    """Where tables lie, and what all of them depend on; a folder of None keeps nothing."""

    folder: Path | None
    facts: dict[str, Any]

    @classmethod
    def of(cls, options: Options) -> Kept:
        """Tables of another machine or version are not taken."""
        return cls(options.out, {name: value for name, value in manifest().items() if name != "date"})

    def table(self, name: str, measure: Callable[[], list[Row]], *extent: Any) -> list[Row]:
        """The table as it was kept, or as it is measured now. extent: how much is measured, as JSON."""
        if self.folder is None:
            return measure()
        store, key = Store(self.folder), content_key(table=name, extent=list(extent), **self.facts)
        record = store.find(key) or store.write(key, {"table": name, "rows": measure()}, {})
        return [dict(row) for row in record.facts["rows"]]
