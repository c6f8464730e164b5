"""Pages of attribution methods: what METHODS says and what was measured, around the text that is written by hand.

A text, `docs/methods/NAME.md`, has the sections of SECTIONS; the rest is made here, so that it cannot differ from the
package. The scores are those that lie in docs/measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tables import ARROWS, Stored, as_markdown, cell, stored

import layerscope as ls
from layerscope.faithfulness.explainers import KNOWING_NOTHING
from layerscope.faithfulness.measures.catalogue import MEASURES
from layerscope.studies.leaderboard_rows import HEADLINES

LEADERBOARD = "layerscope benchmark attribution --truth"
"""The command whose stored output the scores are."""
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
    rows = made.rows()
    if not any(row["method"] == name for row in rows):
        return f"No score: the leaderboard ({cell(made.command)}) has no row for it."
    heads = {one: f"{MEASURES[one].title} {ARROWS[MEASURES[one].better]}" for one in headline(made)}
    parts = [
        "By the measures of the leaderboard's first table, with the direction that is better and 95 % intervals "
        "([what each is](../measures/faithfulness.md), [all methods](../measures/leaderboard.md)). The other columns "
        "are maps that know no network: what they reach shows nothing."
    ]
    for network in dict.fromkeys(row["network"] for row in rows):
        here = [row for row in rows if row["network"] == network]
        parts += _turned(f"On `{network}`", here, name, heads)
    proved = made.told("provable") or []
    parts += _turned("On networks whose answer is provable", proved, name, made.heads("provable") if proved else {})
    return "\n\n".join([*parts, made.origin()])


def headline(made: Stored) -> list[str]:
    """The measures of the first table of a leaderboard; where it does not say which these are, all."""
    first = {name for name, row in made.measures.items() if row.get("headline")}
    return [name for name in MEASURES if name in first or not first]


def finding() -> str:
    """Which methods beat every map that knows no network, on each network of the stored leaderboard."""
    made = stored(LEADERBOARD)
    if made is None:
        return f"Not measured yet: `{LEADERBOARD}` does it."
    rows, told = made.rows(), []
    for network in dict.fromkeys(row["network"] for row in rows):
        here = [row for row in rows if row["network"] == network and not row.get("control")]
        better = [row["title"] for row in here if row["beats_controls"]]
        by = MEASURES[_deciding(made, network, here)].title
        told.append(f"on `{network}`, by {by}, {', '.join(better) or 'none'} of {len(here)} methods")
    return f"Better than every map that knows no network are: {'; '.join(told)}."


def _deciding(made: Stored, network: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """The measure that a network's methods are ordered by: the first one with values that does not fail its check."""
    checked = [row for row in made.told("meta") or () if row["network"] == network]
    failing = {row["measure"] for row in checked if row["passes"] is False}
    known = (name for name in (*HEADLINES, *MEASURES) if any(row.get(name) is not None for row in rows))
    return next((name for name in known if name not in failing), HEADLINES[0])


def _turned(title: str, rows: Sequence[Mapping[str, Any]], name: str, heads: Mapping[str, str]) -> list[str]:
    """A title and a table of one row per measure, in columns the method and the controls; nothing without a value."""
    order = (name, *KNOWING_NOTHING)
    found = sorted((row for row in rows if row["method"] in order), key=lambda row: order.index(row["method"]))
    if not found or found[0]["method"] != name:
        return []
    columns = {f"**{row['title']}**" if row["method"] == name else row["title"]: row for row in found}
    table = [
        {"measure": head} | {column: row.get(measure) for column, row in columns.items()}
        for measure, head in heads.items()
        if found[0].get(measure) is not None
    ]
    return [f"**{title}**", as_markdown(table)] if table else []
