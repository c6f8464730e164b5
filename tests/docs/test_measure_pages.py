"""The pages about measures have each of them, and the leaderboard's page shows all that is measured."""

from __future__ import annotations

import re

import measure_pages
import pytest
from snippets import ROOT

from layerscope.faithfulness.measures.catalogue import JUDGED, MEASURES
from layerscope.faithfulness.tiers.catalogue import TIERS
from layerscope.studies.leaderboard_rows import HEADLINES

FAITHFULNESS = (ROOT / "docs/measures/faithfulness.md").read_text("utf-8")
LEADERBOARD = (ROOT / "docs/measures/leaderboard.md").read_text("utf-8")


def test_the_catalogue_has_every_measure_with_its_direction_and_words():
    lines = measure_pages.catalogue().splitlines()[2:]
    assert len(lines) == len(MEASURES)
    for line, measure in zip(lines, MEASURES.values(), strict=True):
        arrow = "↑" if measure.better == "high" else "↓"
        assert line.startswith(f"| {measure.title} {arrow} | `{measure.name}` |")
        assert measure.words in line
    assert "| another class |" in lines[list(MEASURES).index("target")]
    assert "<!-- measures -->" in FAITHFULNESS


def test_every_measure_is_explained_once_with_when_it_misleads():
    sections = [section for section in FAITHFULNESS.split("\n## ") if "```math" in section]
    opening = [section.split("\n\n")[1] for section in sections]  # names stand in the first words of a section
    named = [name for words in opening for name in re.findall(r"`(\w+)`", words.split(". ")[0]) if name in MEASURES]
    assert sorted(named) == sorted(JUDGED)
    assert all("mislead" in section for section in sections)


@pytest.mark.parametrize("network", ["menagerie", "menagerie:robust"])
def test_the_leaderboard_shows_every_measure_whether_it_passes_its_check_or_not(network):
    first, rest = (_columns(network, only) for only in ("headline", "rest"))
    assert [name for name in first if name in MEASURES and name != "seconds"] == list(HEADLINES)
    assert [name for name in rest if name != "title"] == list(JUDGED)
    assert "seconds" in first


def test_the_leaderboard_shows_every_provable_network():
    assert f"table: provable; columns: title, {', '.join(TIERS)} -->" in LEADERBOARD


def _columns(network: str, only: str) -> list[str]:
    blocks = re.findall(rf"columns: ([^;]+); where: network={network}; only: {only} -->", LEADERBOARD)
    return [name for block in blocks for name in block.split(", ")]
