"""Hierarchies and atlases on an engine: the same bytes as here, and what cannot be sent is said before any work."""

from __future__ import annotations

import dataclasses
import functools
import tempfile
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
from same_bytes import files
from small_exhibits import random_network, small_pictures, small_reports
from torch import nn

from layerscope.dissection.pictures import UNTEXTURED, Control
from layerscope.engine import open_engine
from layerscope.errors import InputError
from layerscope.models.model import VisionModel, wrap
from layerscope.passes import spread
from layerscope.studies import atlas as atlas_module
from layerscope.studies import hierarchy_networks
from layerscope.studies.atlas import atlas
from layerscope.studies.hierarchy import hierarchy
from layerscope.studies.probe import open_probe
from layerscope.synthesis.recipes import EFFORTS


@contextmanager
def dask_here() -> Iterator[str]:
    """The name of a real Dask cluster of two processes, as an engine."""
    distributed = pytest.importorskip("distributed", reason="a Dask cluster needs the extra layerscope[dask]")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        yield f"dask:{cluster.scheduler_address}"


@contextmanager
def ray_here() -> Iterator[str]:
    pytest.importorskip("ray", reason="Ray needs the extra layerscope[ray]")
    yield "ray"


CLUSTERS = [
    pytest.param(one, marks=pytest.mark.slow, id=name) for name, one in {"dask": dask_here, "ray": ray_here}.items()
]


@pytest.fixture(scope="module", params=[pytest.param(lambda: nullcontext("processes:2"), id="processes"), *CLUSTERS])
def engine(request) -> Iterator[Executor]:
    with request.param() as name, open_engine(name) as executor:
        assert executor is not None
        yield executor


@pytest.fixture(autouse=True)
def _few(monkeypatch):
    """Few steps for each picture, and few images."""
    monkeypatch.setattr(atlas_module, "open_probe", functools.partial(open_probe, count=64))
    for effort in ("draft", "standard"):
        monkeypatch.setitem(EFFORTS, effort, dataclasses.replace(EFFORTS[effort], steps=0.05))
    pictures = small_pictures()
    flat = Control(UNTEXTURED, pictures.pixels[pictures.chosen :].flip(-1))
    with small_reports(dataclasses.replace(pictures, controls=(*pictures.controls, flat))):
        yield


def records(folder: Path) -> dict[str, bytes]:
    """All but the manifest of a hierarchy, which says how long it took."""
    return {name: data for name, data in files(folder).items() if not name.endswith("hierarchy.json")}


@pytest.fixture
def swept_here(monkeypatch) -> list[int]:
    """The first images of the stretches that this process sweeps."""
    here: list[int] = []
    whole = spread.sweep_stretch

    def noted(*given):
        here.append(given[4])
        return whole(*given)

    monkeypatch.setattr(spread, "sweep_stretch", noted)
    return here


def network() -> VisionModel:
    return random_network(widths=(8, 10))


@functools.cache
def made_here() -> dict[str, bytes]:
    """The network's hierarchy, made in this process."""
    with tempfile.TemporaryDirectory() as folder:
        hierarchy(network(), out=folder)
        return records(Path(folder))


def test_a_hierarchy_on_an_engine_has_the_same_bytes(engine, swept_here, tmp_path):
    here = made_here()
    swept_here.clear()
    made = hierarchy(network(), out=tmp_path, executor=engine)
    assert made.made == 4
    assert swept_here == []  # all sweeps were done by the workers
    assert len(here) == 7
    assert records(tmp_path) == here


def test_a_hierarchy_goes_on_elsewhere(engine, tmp_path, monkeypatch):
    """The network and a twin are measured here, the others by workers."""
    whole, done = hierarchy_networks.measure, []

    def stopped(*given, **how):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(given)
        return whole(*given, **how)

    monkeypatch.setattr(hierarchy_networks, "measure", stopped)
    with pytest.raises(KeyboardInterrupt):
        hierarchy(network(), out=tmp_path)
    monkeypatch.setattr(hierarchy_networks, "measure", whole)
    assert hierarchy(network(), out=tmp_path, executor=engine).made == 2
    assert records(tmp_path) == made_here()


def test_an_atlas_on_an_engine_has_the_same_bytes(engine, swept_here, tmp_path):
    asked = {"grid": 3, "least": 3, "recipe": "draft", "layout": "pca+t-sne"}
    atlas(network(), "5", tmp_path / "here", **asked)
    assert swept_here == [0, 16, 32, 48]
    made = atlas(network(), "5", tmp_path / "there", executor=engine, **asked)
    assert made.made > 1
    assert len(swept_here) == 4
    assert files(tmp_path / "there") == files(tmp_path / "here")


def test_a_network_that_cannot_be_sent_is_said_before_any_work(engine, tmp_path):
    class Local(nn.Conv2d):
        pass

    model = wrap(nn.Sequential(Local(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3)), 32)
    for study in (hierarchy, functools.partial(atlas, layer="0")):
        with pytest.raises(InputError, match=r"cannot be sent to other processes .*; use the engine 'local'"):
            study(model, out=tmp_path, executor=engine)
    assert not list(tmp_path.iterdir())
