"""Processes of this machine: a death costs the task that was under way there, and that is done again."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from pathlib import Path

import pytest
import torch
from worker_tasks import Weighty, dies, noted, refuses, tensor, times, weighed

from layerscope.engine import open_engine
from layerscope.errors import InputError, WorkerError
from layerscope.passes.elsewhere import share


@pytest.fixture(scope="module")
def processes() -> Iterator[Executor]:
    """Two of them for most tests: to start some takes seconds."""
    with open_engine("processes:2") as executor:
        assert executor is not None
        yield executor


def test_what_a_dying_worker_did_is_done_again_and_nothing_else(processes, tmp_path):
    killed = processes.submit(dies, tmp_path / "killed", 2, "killed")
    beside = [processes.submit(noted, tmp_path / f"beside{n}", n, 0.3) for n in range(4)]
    assert killed.result(60) == "killed"
    assert [future.result(60) for future in beside] == [0, 1, 2, 3]
    assert times(tmp_path / "killed") == 3
    assert [times(tmp_path / f"beside{n}") for n in range(4)] == [1, 1, 1, 1]


def test_a_task_that_always_kills_its_worker_is_given_up_and_the_rest_goes_on(processes, tmp_path):
    deadly = processes.submit(dies, tmp_path / "deadly", 99, "never")
    rest = [processes.submit(noted, tmp_path / f"rest{n}", n) for n in range(4)]
    with pytest.raises(
        WorkerError, match=r"^its worker process died 3 times in the middle of it, .*; give the engine fewer processes$"
    ):
        deadly.result(60)
    assert [future.result(60) for future in rest] == [0, 1, 2, 3]
    assert processes.submit(noted, tmp_path / "after", "after").result(60) == "after"
    assert times(tmp_path / "deadly") == 3


def test_a_death_between_tasks_is_nobodys_fault(processes, tmp_path):
    for _ in range(4):  # more often than a task may end its worker
        os.kill(processes.submit(os.getpid).result(60), signal.SIGKILL)
    assert processes.submit(noted, tmp_path / "once", 1).result(60) == 1
    assert times(tmp_path / "once") == 1


def test_shared_bytes_are_unpacked_once_by_each_process(processes, tmp_path):
    data = pickle.dumps(Weighty(tmp_path / "unpacked", 100))
    shared = share(processes, data)
    assert len(pickle.dumps(shared)) < 500  # what travels with each task
    assert share(processes, data) == shared
    done = [processes.submit(weighed, shared, more) for more in range(10)]
    pids, values = zip(*(future.result(60) for future in done), strict=True)
    assert values == tuple(range(100, 110))
    assert len(set(pids)) == 2
    assert sorted((tmp_path / "unpacked").read_text().split()) == sorted(map(str, set(pids)))


def test_nothing_shared_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with open_engine("processes:1") as executor:
        shared = share(executor, pickle.dumps(Weighty(Path(os.devnull), 1)))
        assert [path.name for folder in tmp_path.iterdir() for path in folder.iterdir()] == [shared.digest]
    assert not list(tmp_path.iterdir())
    with pytest.raises(ZeroDivisionError), open_engine("processes:1") as executor:
        _share_and_fail(executor)
    assert not list(tmp_path.iterdir())


def _share_and_fail(executor: Executor) -> None:
    share(executor, b"1")
    raise ZeroDivisionError


def test_errors_of_tasks_are_their_own(processes):
    with pytest.raises(InputError, match=r"^no such thing$"):
        processes.submit(refuses, "no such thing").result(60)
    with pytest.raises(InputError, match="this task cannot be sent to other processes"):
        processes.submit(lambda: 1)


def test_tensors_come_back_in_memory_of_their_own(processes):
    came = processes.submit(tensor, 1000).result(60)
    assert not came.is_shared()
    assert torch.equal(came, torch.arange(1000.0))


def test_an_error_drops_what_is_under_way(tmp_path):
    futures: list[Future[int]] = []
    with pytest.raises(ZeroDivisionError), open_engine("processes:2") as executor:
        _fail_under_way(executor, tmp_path, futures)
    assert all(future.done() for future in futures)
    assert not (tmp_path / "3").exists()


def _fail_under_way(executor: Executor, folder: Path, futures: list[Future[int]]) -> None:
    futures += [executor.submit(noted, folder / f"{n}", n, 60) for n in range(4)]
    while not (folder / "0").exists():
        time.sleep(0.05)
    raise ZeroDivisionError


def test_a_script_without_a_guard_is_told(tmp_path):
    script = tmp_path / "unguarded.py"
    script.write_text(
        "import os\n"
        "from layerscope.engine import open_engine\n"
        "from layerscope.errors import WorkerError\n"
        "with open_engine('processes:1') as executor:\n"
        "    try:\n"
        "        executor.submit(os.getpid).result()\n"
        "    except WorkerError as error:\n"
        "        print(error)\n"
    )
    said = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120).stdout
    assert said.startswith("worker processes die before their first task; where a script opens the engine, put")
