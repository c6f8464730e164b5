"""A real Ray, started on this machine for the test."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Executor
from importlib.metadata import version
from pathlib import Path

import pytest
from same_bytes import files, made_here
from small_nets import small_network
from worker_tasks import Weighty, dies, noted, refuses, threads, times, weighed

from layerscope.engine import open_engine, tasks
from layerscope.errors import InputError, MissingPackageError, WorkerError
from layerscope.passes.elsewhere import share
from layerscope.studies.gallery import gallery

ray = pytest.importorskip("ray", reason="Ray needs the extra layerscope[ray]")


def _process() -> tuple[object, ...]:
    """What Ray changes in the process that starts it."""
    return (
        {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"},
        signal.getsignal(signal.SIGTERM),
        sys.excepthook,
        logging.getLogger("ray").level,
        ray.is_initialized(),
    )


@pytest.fixture(scope="module")
def of_ray() -> Iterator[Executor]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            "PYTHONPATH", os.pathsep.join(str(folder) for folder in (Path(__file__).parent, Path(__file__).parents[1]))
        )
        before = _process()
        with open_engine("ray") as executor:
            assert executor is not None
            yield executor
        assert _process() == before


def test_workers_of_ray_run_on_one_thread_and_get_what_is_shared_once(of_ray, tmp_path):
    assert of_ray.slots >= 1
    assert of_ray.submit(threads).result(60) == 1
    shared = share(of_ray, pickle.dumps(Weighty(tmp_path / "unpacked", 100)))
    done = [of_ray.submit(weighed, shared, more) for more in range(10)]
    pids, values = zip(*(future.result(60) for future in done), strict=True)
    assert values == tuple(range(100, 110))
    assert sorted((tmp_path / "unpacked").read_text().split()) == sorted(map(str, set(pids)))
    with pytest.raises(InputError, match=r"^no such thing$"):
        of_ray.submit(refuses, "no such thing").result(60)


def test_a_gallery_over_ray_has_the_same_bytes(of_ray, tmp_path):
    gallery(small_network(), "*", tmp_path, recipe="draft", executor=of_ray)
    assert files(tmp_path) == made_here()


def test_deaths_of_ray_workers_cost_their_tasks_only(of_ray, tmp_path):
    killed, deadly = (
        of_ray.submit(dies, tmp_path / "killed", 2, "killed"),
        of_ray.submit(dies, tmp_path / "deadly", 99, 0),
    )
    beside = [of_ray.submit(noted, tmp_path / f"beside{n}", n) for n in range(6)]
    assert killed.result(120) == "killed"
    assert [future.result(120) for future in beside] == list(range(6))
    with pytest.raises(WorkerError, match=r"^its workers died 3 times in the middle of it"):
        deadly.result(120)
    assert [times(tmp_path / name) for name in ("killed", "deadly", *(f"beside{n}" for n in range(6)))] == [
        3,
        3,
    ] + 6 * [1]


def test_a_ray_that_is_there_already_is_used_and_stays(of_ray):
    with open_engine("ray") as again:
        assert again is not None
        assert again.submit(max, 1, 2).result(60) == 2
    assert ray.is_initialized()
    assert of_ray.submit(max, 3, 2).result(60) == 3


def test_other_versions_on_ray_workers_are_said(of_ray, monkeypatch):
    monkeypatch.setattr(tasks, "version", lambda name: "1.0" if name == "torch" else version(name))
    with (
        pytest.raises(InputError, match=r"^worker .* has torch .* \(here 1\.0\); install the same versions"),
        open_engine("ray"),
    ):
        pass
    with pytest.raises(InputError, match=r"has torch .* \(here 1\.0\)"):  # as by a worker that joins later
        of_ray.submit(max, 1, 2).result(60)


def test_ray_that_does_not_answer_is_said_soon(monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)  # but for the fixture's
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    began = time.monotonic()
    with (
        pytest.raises(InputError, match=f"^no Ray answers at '{address}' .*; start one with 'ray start --head'"),
        open_engine(f"ray:{address}"),
    ):
        pass
    assert time.monotonic() - began < 25
    with (
        pytest.raises(InputError, match="'nowhere' is no address of a Ray cluster; write ray:HOST:PORT"),
        open_engine("ray:nowhere"),
    ):
        pass


def test_a_ray_that_is_not_installed_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(MissingPackageError, match=r"^ray is not installed; run: pip install 'layerscope\[ray\]'$"),
        open_engine("ray"),
    ):
        pass
