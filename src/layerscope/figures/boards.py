"""What figures of leaderboards share: which one is meant, and the order of its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

from layerscope.errors import UnknownNameError
from layerscope.figures.paper import drawing
from layerscope.figures.source import Report
from layerscope.names import slug

Row = Mapping[str, Any]


@contextmanager
def opened_board(source: object, network: str | None) -> Iterator[Report]:
    """Open a leaderboard and draw it in the style of papers.

    source: a Leaderboard, the folder that holds one, or with `network` the folder of several. Raises InputError as
    `drawing` does, and UnknownNameError where it is one of another network.
    """
    with drawing("leaderboard", _of_network(source, network)) as found:
        name = found.facts["network"]["name"]
        if network is not None and name != network:
            raise UnknownNameError.among("network of this leaderboard", network, [name])
        yield found


def _of_network(source: object, network: str | None) -> object:
    """Of a folder of several leaderboards, the one of this network."""
    if network is None or not isinstance(source, (str, PathLike)) or (Path(source) / "leaderboard.json").is_file():
        return source
    own = Path(source) / slug(network)
    return own if own.is_dir() else source


def beats_controls(row: Row, measure: str) -> bool:
    """Whether a method is better by this measure, on the same images, than every map that knows nothing of the network
    and could be compared; a random map must be among them.
    """
    beside = (row["against"] or {}).get(measure) or {}
    return beside.get("random") == "better" and all(where in ("better", None) for where in beside.values())


def pinned_first(rows: Iterable[Row], order: Callable[[Row], float]) -> list[Row]:
    """The controls as they come, then the methods in this order."""
    found = list(rows)
    return [*(row for row in found if row["control"]), *sorted((row for row in found if not row["control"]), key=order)]
