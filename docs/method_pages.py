"""Pages of attribution methods: what METHODS says and what was measured, around the text that is written by hand.

A text, `docs/methods/NAME.md`, has the sections of SECTIONS; the rest is made here, so that it cannot differ from the
package. The scores are those that lie in docs/measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tables import as_markdown, cell, stored

import layerscope as ls

LEADERBOARD = "layerscope benchmark attribution --truth"
"""The command whose stored output the scores are."""
HIDDEN = ("method", "title", "control", "rank", "cosine")
"""Columns of the leaderboard that are not shown on a method's page."""
SECTIONS = ("Formula", "When it misleads")
CLAIMS = {
    "difference": "the difference between the scores of the image and of its baseline",
    "score": "the score itself",
    None: "nothing: the method claims no total",
}


def names() -> list[str]:
    """The methods, in the order of METHODS."""
    return list(ls.METHODS)


def complete(name: str, written: str) -> str:
    """The whole page of a method. `written`: its text."""
    method = ls.METHODS[name]
    options = ", ".join(f"`{option}={default!r}`" for option, default in method.options().items()) or "none"
    shape = "the activation of the layer" if method.layered else "the images, or one channel for a map without colours"
    facts = [
        ("In Python", f'`ls.attribute(model, images, target="owl", method="{name}")`'),
        ("Source", method.source),
        ("Needs", ", ".join(f"a {need}" for need in method.needs) or "nothing but the image"),
        ("Cost", method.cost),
        ("Adds up to", CLAIMS[method.claims]),
        ("Values", f"of the shape of {shape}; {'signed' if method.signed else 'without a sign'}"),
        ("Options", options),
    ]
    table = "\n".join(f"| **{key}** | {value} |" for key, value in facts)
    head = f"# {method.title}\n\n{method.about}\n\n| | |\n|---|---|\n{table}"
    return f"{head}\n\n{written}\n\n## Measured\n\n{score(name)}\n"


def overview() -> str:
    """A table of all methods, with links to their pages."""
    head = "\n\n| method | what it computes | adds up to | cost |\n|---|---|---|---|\n"
    rows = (
        f"| [{method.title}]({name}.md) | {method.about.split('. ')[0].rstrip('.')} "
        f"| {method.claims or '-'} | {method.cost} |"
        for name, method in ls.METHODS.items()
    )
    return head + "\n".join(rows) + "\n"


def score(name: str) -> str:
    """What the leaderboard says of a method, beside the controls; or why it says nothing."""
    if ls.METHODS[name].layered:
        return (
            "No score: its values have the shape of a layer's activation, and the leaderboard sums maps of images "
            "inside the parts of a scene. Its sum is checked on every call (`gap`)."
        )
    made = stored(LEADERBOARD)
    if made is None:
        return f"No score yet: `{LEADERBOARD}` was not run for this copy."
    rows = [row for row in made.rows() if row["method"] == name or row.get("control")]
    if not any(row["method"] == name for row in rows):
        return f"No score: the leaderboard ({cell(made.command)}) has no row for it."
    return (
        "Part rank is the rank correlation of the map's sums inside the parts of a scene with the parts' true "
        "effects, found by rendering the scene without each ([how](../measures/faithfulness.md)). Controls know "
        f"nothing of the network.\n\n{as_markdown(list(_shown(rows)))}\n\n{made.origin()}"
    )


def finding() -> str:
    """How many methods beat every map that knows no network, on each network of the stored leaderboard."""
    made = stored(LEADERBOARD)
    if made is None:
        return f"Not measured yet: `{LEADERBOARD}` does it."
    tried = [row for row in made.rows() if not row.get("control")]
    told = []
    for network in dict.fromkeys(row["network"] for row in tried):
        here = [row for row in tried if row["network"] == network]
        better = [row["title"] for row in here if row["beats_controls"]]
        told.append(f"of {len(here)} methods on `{network}`, {', '.join(better) or 'none'}")
    return f"By part rank these beat every map that knows no network: {'; '.join(told)}."


def _shown(rows: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows without columns for machines; controls after the method, network by network."""
    for row in sorted(rows, key=lambda one: (str(one.get("network")), bool(one.get("control")))):
        said = row.get("title") or row["method"]
        first = {"map": f"{said} (control)" if row.get("control") else f"**{said}**"}
        yield first | {key: value for key, value in row.items() if key not in HIDDEN}
