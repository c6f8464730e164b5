"""`layerscope tour`: the first page early, everything once, and nothing lost when it is interrupted."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
from torch import nn

from layerscope.cli import main, pages, tour
from layerscope.cli.pages import Pages
from layerscope.cli.progress import progress_bar
from layerscope.cli.workers import workers
from layerscope.errors import InputError, StorageError, UnknownNameError
from layerscope.models.model import VisionModel, wrap
from layerscope.models.zoo import load
from layerscope.studies.gallery import gallery
from layerscope.synthesis.recipes import EFFORTS


def small() -> VisionModel:
    parts = nn.Conv2d(3, 6, 5, 2, 2), nn.ReLU(), nn.Conv2d(6, 4, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1)
    return wrap(nn.Sequential(*parts, nn.Flatten(), nn.Linear(4, 3)), 32, name="small", class_names=["a", "b", "c"])


@pytest.fixture
def written(monkeypatch) -> list[float]:
    """When the site is written, by a clock that goes on a second with each look at it; each writing takes none."""
    clock, times = SimpleNamespace(now=0.0), list[float]()

    def tick() -> float:
        clock.now += 1
        return clock.now

    monkeypatch.setattr(pages, "time", SimpleNamespace(monotonic=tick))
    monkeypatch.setattr(pages, "write_site", lambda out: times.append(clock.now))
    return times


def silent(done: int, total: int, what: str) -> None:
    """Hear nothing."""


def test_the_first_page_waits_for_what_is_worth_looking_at(written, tmp_path):
    said: list[str] = []
    progress = Pages(tmp_path, said.append).refreshing(silent, least=3)
    progress(900, 1000, "probe images")
    progress(2, 9, "conv1")
    assert written == []
    progress(3, 9, "conv1")
    assert len(written) == 1
    assert len(said) == 1
    assert said[0].startswith(f"open {(tmp_path / 'index.html').as_uri()}\n(the first pages, after ")
    assert "more are added: reload" in said[0]


def test_later_pages_come_at_most_so_often_and_are_not_announced(written, tmp_path):
    said: list[str] = []
    site = Pages(tmp_path, said.append)
    site.write()
    progress = site.refreshing(silent)
    for done in range(200):
        progress(done, 200, "two words")
    gaps = [later - earlier for earlier, later in pairwise(written)]
    assert len(gaps) > 3
    assert all(pages.EVERY <= gap <= pages.EVERY + 4 for gap in gaps)
    assert len(said) == 1


def test_a_slow_site_is_written_less_often(monkeypatch, tmp_path):
    clock, times = SimpleNamespace(now=0.0), list[float]()

    def write(out: Path) -> None:
        clock.now += 10
        times.append(clock.now)

    monkeypatch.setattr(pages, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(pages, "write_site", write)
    site = Pages(tmp_path, lambda line: None)
    site.write()
    progress = site.refreshing(silent)
    for _ in range(1000):
        clock.now += 1
        progress(1, 2, "conv1")
    assert min(later - earlier for earlier, later in pairwise(times)) >= 200


def test_all_classes_and_a_few_units_of_each_layer_come_first():
    chosen = tour.early_units(load("menagerie:robust"))
    assert [unit for unit in chosen if unit.startswith("logits:")] == [f"logits:{index}" for index in range(20)]
    assert [unit for unit in chosen if unit.startswith("conv2:")] == ["conv2:0", "conv2:12", "conv2:24", "conv2:36"]
    assert len(chosen) == 20 + 8 * 4


def test_what_is_wanted_first_is_made_first_and_nothing_twice(monkeypatch, tmp_path):
    monkeypatch.setitem(EFFORTS, "draft", replace(EFFORTS["draft"], steps=0.1))  # what is drawn does not matter
    model, order = small(), []
    early = ["6:2", "2:3"]
    made = gallery(
        model, out=tmp_path, recipe="draft", probe=None, first=early, on_progress=lambda done, total, what: order.append((done, what))
    )  # fmt: skip
    assert order[:3] == [(0, "0"), (1, "2"), (2, "6")]
    assert order[-1][0] == made.made == 6 + 4 + 3
    plain = gallery(model, out=tmp_path / "plain", recipe="draft", probe=None)
    files = [{path.name: path.read_bytes() for path in one.folder.rglob("*.safetensors")} for one in (made, plain)]
    assert files[0] == files[1], "the order does not change a byte"
    with pytest.raises(UnknownNameError, match="no layer 'conv9'"):
        gallery(model, out=tmp_path / "none", recipe="draft", probe=None, first=["conv9"])
    assert not (tmp_path / "none").exists()


def test_processes_start_with_the_first_task(monkeypatch):
    opened = []

    class Pool:
        def __enter__(self) -> Pool:
            opened.append("in")
            return self

        def __exit__(self, *_: object) -> None:
            opened.append("out")

        def submit(self, task, *args):
            return task(*args)

    monkeypatch.setattr("layerscope.cli.workers.open_engine", lambda spec: Pool())
    with workers("local") as executor:
        assert executor is None
    with workers("processes:2"):
        pass
    assert opened == []
    with workers("processes:2") as executor:
        assert executor is not None
        assert (executor.submit(max, 1, 2), executor.submit(max, 3, 2)) == (2, 3)
    assert opened == ["in", "out"]
    with pytest.raises(UnknownNameError, match="no engine 'threads'"), workers("threads"):
        pass
    with pytest.raises(InputError, match="has no number of processes"), workers("processes:x"):
        pass


class Parts:
    """Stands for what the tour makes: each part is recorded, and found where it was made before."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[str] = []
        self.stop_before: str | None = None
        row = {"seconds": 1.0, "folder": Path("somewhere")}
        monkeypatch.setattr(
            tour, "gallery", lambda model, **_: self._part(f"gallery {model.name}", **row, made=2, found=0)
        )
        monkeypatch.setattr(tour, "write_sheet", lambda folder: folder / "sheet.webp")
        monkeypatch.setattr(
            tour.hierarchy,
            "report",
            lambda model, *_: self._part(f"hierarchy {model.name}", **row, shown=True, words="It is."),
        )
        monkeypatch.setattr(tour.hierarchy, "summary", lambda made: made.words)
        monkeypatch.setattr(
            tour, "leaderboard", lambda model, *_, **__: self._part(f"leaderboard {model.name}", **row, words="So.")
        )
        monkeypatch.setattr(tour, "Explainer", lambda model, **_: model)
        monkeypatch.setattr(tour.explanations, "explain_all", self._explained)
        monkeypatch.setattr(tour.explanations, "summary", lambda made: "because")
        monkeypatch.setattr(tour, "own_network", lambda folder, bar: wrap(nn.Flatten(), 32, name="own"))
        monkeypatch.setattr(pages, "write_site", lambda out: self.done.append("site"))

    def _part(self, name: str, **facts: object) -> SimpleNamespace:
        if name == self.stop_before:
            raise KeyboardInterrupt
        self.done.append(name)
        return SimpleNamespace(**facts)

    def _explained(self, model, sources, out):
        self._part(f"explain {model.name}")
        facts = {"image": {"name": "owl 7"}, "seconds": 1.0}
        return [SimpleNamespace(facts=facts, folder=Path("here"), label="owl") for _ in sources], [
            InputError("no picture")
        ]


def test_the_order_and_a_page_after_each_part(monkeypatch, capsys, tmp_path):
    parts = Parts(monkeypatch)
    assert main(["tour", "--out", str(tmp_path), "--engine", "local"]) == 0
    assert parts.done[::2] == [
        "gallery menagerie:robust",
        "explain menagerie:robust",
        "gallery menagerie",
        "explain menagerie",
        "hierarchy menagerie",
        "leaderboard menagerie:robust",
        "leaderboard menagerie",
        "explain own",
    ]
    assert set(parts.done[1::2]) == {"site"}
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == lines[-1] == f"open {(tmp_path / 'index.html').as_uri()}"
    assert lines[1].startswith("(the first pages, after ")
    assert "menagerie:robust: 2 pictures made, 0 found, 1 s" in lines
    assert "error: no picture" in lines


def test_json_and_quiet(monkeypatch, capsys, tmp_path):
    Parts(monkeypatch)
    command = ["tour", "--out", str(tmp_path), "--engine", "local"]
    assert main([*command, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["site"] == (tmp_path / "index.html").as_uri()
    assert facts["seconds"] >= facts["seconds_to_first_page"] >= 0
    assert [len(facts[part]) for part in tour.PARTS] == [2, 1, 2, 5]
    assert facts["galleries"][0] == {
        "network": "menagerie:robust",
        "folder": "somewhere",
        "seconds": 1.0,
        "made": 2,
        "found": 0,
        "sheet": "somewhere/sheet.webp",
    }
    assert main([*command, "--quiet"]) == 0
    assert capsys.readouterr().out == f"open {facts['site']}\n"


def test_an_interrupt_keeps_what_there_is(monkeypatch, capsys, tmp_path):
    parts = Parts(monkeypatch)
    parts.stop_before = "hierarchy menagerie"
    assert main(["tour", "--out", str(tmp_path), "--engine", "local"]) == 130
    assert parts.done[-2:] == ["explain menagerie", "site"]
    assert "interrupted; what was made is kept" in capsys.readouterr().err


def test_somebody_elses_site_is_refused_before_any_work(monkeypatch, tmp_path):
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(StorageError, match=r"index\.html"):
        tour.Tour(tmp_path, progress_bar, print)


@pytest.mark.slow
def test_a_tour_in_drafts_has_pages_early_and_finds_everything_again(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(tour, "QUICK", ("saliency", "grad_cam"))
    command = ["tour", "--recipe", "draft", "--out", str(tmp_path), "--json"]
    assert main(command) == 0
    first = json.loads(capsys.readouterr().out)
    assert first["seconds_to_first_page"] < first["seconds"] / 3
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert main(command) == 0
    again = json.loads(capsys.readouterr().out)
    assert [one["made"] for one in again["galleries"]] == [0, 0]
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
