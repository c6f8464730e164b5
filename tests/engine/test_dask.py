"""A real Dask cluster on this machine, with workers in processes of their own."""

from __future__ import annotations

import json
import pickle
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from importlib.metadata import version
from typing import Any

import pytest
from same_bytes import files, made_here
from small_nets import small_network
from worker_tasks import Weighty, dies, noted, refuses, threads, times, weighed

from layerscope.engine import dask_cluster, open_engine, tasks
from layerscope.errors import InputError, MissingPackageError, WorkerError
from layerscope.passes.elsewhere import share
from layerscope.studies.gallery import gallery

dask_config = pytest.importorskip("dask.config", reason="a Dask cluster needs the extra layerscope[dask]")
distributed = pytest.importorskip("distributed", reason="a Dask cluster needs the extra layerscope[dask]")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    few_deaths = {
        "distributed.scheduler.allowed-failures": 1,  # a start takes seconds
        "distributed.deploy.lost-worker-timeout": "10 minutes",  # a worker that dies twice is not sent home
    }
    with (
        dask_config.set(few_deaths),
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
    ):
        yield cluster


@pytest.fixture
def dask(cluster) -> Iterator[Executor]:
    with open_engine(f"dask:{cluster.scheduler_address}") as executor:
        assert executor is not None
        yield executor


def test_workers_of_dask_run_on_one_thread_and_get_what_is_shared_once(dask, tmp_path):
    assert dask.slots == 2
    assert dask.submit(threads).result(60) == 1
    shared = share(dask, pickle.dumps(Weighty(tmp_path / "unpacked", 100)))
    done = [dask.submit(weighed, shared, more) for more in range(10)]
    pids, values = zip(*(future.result(60) for future in done), strict=True)
    assert values == tuple(range(100, 110))
    assert sorted((tmp_path / "unpacked").read_text().split()) == sorted(map(str, set(pids)))
    with pytest.raises(InputError, match=r"^no such thing$"):
        dask.submit(refuses, "no such thing").result(60)


def test_a_gallery_over_dask_has_the_same_bytes(dask, tmp_path):
    gallery(small_network(), "*", tmp_path, recipe="draft", executor=dask)
    assert files(tmp_path) == made_here()


def test_deaths_of_dask_workers_cost_their_tasks_only(dask, tmp_path):
    shared = share(dask, pickle.dumps(Weighty(tmp_path / "unpacked", 100)))
    killed, deadly = dask.submit(dies, tmp_path / "killed", 1, "killed"), dask.submit(dies, tmp_path / "deadly", 99, 0)
    beside = [dask.submit(noted, tmp_path / f"beside{n}", n) for n in range(6)]
    assert killed.result(120) == "killed"
    assert [future.result(120) for future in beside] == list(range(6))
    with pytest.raises(WorkerError, match=r"^its workers died each time in the middle of it"):
        deadly.result(120)
    assert dask.submit(weighed, shared, 1).result(60)[1] == 101  # lost with the workers, and made again
    assert times(tmp_path / "killed") >= 2
    assert times(tmp_path / "deadly") in (4, 6)  # twice beside others, twice alone, and again if others still ran then


@pytest.mark.parametrize("beside", [True, False])
def test_a_task_that_may_only_have_been_beside_is_done_again(beside, dask, monkeypatch):
    """Its first lone try ends its worker: for certain only where no task ran that was not given up yet."""
    first, second, outer = Future(), Future(), Future()
    first.set_exception(distributed.KilledWorker("task", None, 2))
    second.set_result(pickle.dumps("done"))
    left = [first, second]
    monkeypatch.setattr(dask, "_untried", {Future()} if beside else set())
    dask._once_more(lambda: left.pop(0), outer)
    assert left == ([] if beside else [second])
    assert isinstance(outer.exception(), WorkerError) is not beside
    assert beside is False or outer.result() == "done"


def test_what_is_shared_is_made_again_where_it_was_given_up(dask, tmp_path):
    data, marker = pickle.dumps(Weighty(tmp_path / "unpacked", 100)), tmp_path / "failed"
    shared = share(dask, data)

    def at_the_second_time():
        if not marker.exists():
            marker.touch()
            raise MemoryError
        return tasks.Parcel(shared.digest, data)

    dask._parcels[shared.digest] = given_up = dask._client.submit(at_the_second_time, pure=False)
    assert isinstance(given_up.exception(60), MemoryError)
    assert dask.submit(weighed, shared, 1).result(60)[1] == 101


def test_a_scheduler_file_is_an_address(cluster, tmp_path):
    file = tmp_path / "scheduler.json"
    file.write_text(json.dumps({"type": "Scheduler", "address": cluster.scheduler_address, "workers": {}}))
    with open_engine(f"dask:{file}") as executor:
        assert executor is not None
        assert executor.submit(max, 1, 2).result(60) == 2


def test_dask_that_does_not_answer_is_said_soon(tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{closed.getsockname()[1]}"
    began = time.monotonic()
    with (
        pytest.raises(
            InputError, match=f"^no Dask scheduler answers at '{address}' .*; start one with 'dask scheduler'"
        ),
        open_engine(f"dask:{address}"),
    ):
        pass
    assert time.monotonic() - began < 25
    with (
        pytest.raises(InputError, match="no Dask scheduler answers at 'nowhere at all'"),
        open_engine("dask:nowhere at all"),
    ):
        pass
    with pytest.raises(InputError, match="no scheduler file"), open_engine(f"dask:{tmp_path / 'none.json'}"):
        pass


def test_other_versions_on_dask_workers_are_said(cluster, monkeypatch):
    monkeypatch.setattr(tasks, "version", lambda name: "1.0" if name == "torch" else version(name))
    with (
        pytest.raises(InputError, match=r"^worker tcp://.* has torch .* \(here 1\.0\); install the same versions"),
        open_engine(f"dask:{cluster.scheduler_address}"),
    ):
        pass


def test_a_dask_that_is_not_installed_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(
            MissingPackageError, match=r"^distributed is not installed; run: pip install 'layerscope\[dask\]'$"
        ),
        open_engine("dask:tcp://127.0.0.1:1"),
    ):
        pass


def test_a_cluster_without_workers_is_said(monkeypatch):
    monkeypatch.setattr(dask_cluster, "PATIENCE", 1.0)
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address=":0") as empty,
        pytest.raises(InputError, match="has no workers; start some with 'dask worker"),
        open_engine(f"dask:{empty.scheduler_address}"),
    ):
        pass
