"""Engines: names for executors, and the same bytes from each."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from layerscope.engine import open_engine, usable_cores
from layerscope.errors import InputError, UnknownNameError
from layerscope.models.model import wrap
from layerscope.models.sources import load_model
from layerscope.studies.gallery import gallery


def test_local_is_no_executor():
    with open_engine("local") as executor:
        assert executor is None


def test_processes_have_one_thread_each():
    with open_engine("processes:2") as executor:
        assert [future.result() for future in [executor.submit(torch.get_num_threads) for _ in range(3)]] == [1, 1, 1]
    assert usable_cores() >= 1


def test_processes_make_the_same_bytes(tmp_path):
    model = load_model("menagerie")
    units = ["conv2:3", "conv8:1", "logits:17"]
    places = [parameter.data_ptr() for parameter in model.module.parameters()]
    gallery(model, units, tmp_path / "here", recipe="draft", probe=None)
    with open_engine("processes:2") as executor:
        gallery(model, units, tmp_path / "there", recipe="draft", probe=None, executor=executor)
    assert places == [parameter.data_ptr() for parameter in model.module.parameters()]  # not moved to shared memory
    assert not any(parameter.is_shared() for parameter in model.module.parameters())
    here, there = (
        {path.relative_to(folder): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}
        for folder in (tmp_path / "here", tmp_path / "there")
    )
    assert here == there
    assert len(here) == 4


def test_bad_engines_are_said():
    with (
        pytest.raises(
            UnknownNameError, match="no engine 'cloud'; there are: local, processes:N, dask:ADDRESS, ray, ray:ADDRESS"
        ),
        open_engine("cloud"),
    ):
        pass
    with (
        pytest.raises(
            InputError, match="engine 'processes:0' has no number of processes; write for example 'processes:"
        ),
        open_engine("processes:0"),
    ):
        pass
    with (
        pytest.raises(InputError, match=r"'processes:99999' has more processes than help on .* give .* at most"),
        open_engine("processes:99999"),
    ):
        pass
    with (
        pytest.raises(InputError, match="engine 'dask:' has no address; write 'dask:tcp://HOST:PORT'"),
        open_engine("dask:"),
    ):
        pass
    with pytest.raises(InputError, match="engine 'ray:' has no address; write 'ray:HOST:PORT'"), open_engine("ray:"):
        pass


def test_no_worker_outlives_a_killed_parent(tmp_path):
    code = (
        "import os, time\n"
        "from layerscope.engine import open_engine\n"
        "if __name__ == '__main__':\n"
        "    with open_engine('processes:2') as pool:\n"
        "        print(*{pool.submit(os.getpid).result() for _ in range(8)}, flush=True)\n"
        "        time.sleep(60)\n"
    )
    script = tmp_path / "parent.py"
    script.write_text(code)
    parent = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    workers = [int(pid) for pid in parent.stdout.readline().split()]
    assert workers
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 20
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(alive, workers))


def alive(pid: int) -> bool:
    """Running, and no zombie that nobody has fetched."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_an_interrupt_is_said_once(tmp_path):
    """Ctrl-C in a terminal reaches all processes of the group: the parent says one line, the workers nothing."""
    # A shell that starts this test in the background has Ctrl-C ignored for all its children.
    code = (
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from layerscope.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    command = [sys.executable, "-c", code, "gallery", "menagerie", "--units", "conv8", "--probe", "none"]
    running = subprocess.Popen(
        [*command, "--engine", "processes:2", "--out", str(tmp_path)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.rglob("*.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(running.pid, signal.SIGINT)
    said = running.communicate(timeout=60)[1]
    assert running.returncode == 130
    assert "Traceback" not in said
    assert said.splitlines()[-1] == "interrupted; what was made is kept, and the same command goes on from there"


def test_a_network_that_other_processes_cannot_find_is_said(tmp_path):
    class Local(torch.nn.Conv2d):
        pass

    model = wrap(torch.nn.Sequential(Local(3, 2, 3)), 32)
    with open_engine("processes:1") as executor, pytest.raises(InputError, match="cannot be sent to other processes"):
        gallery(model, "*", tmp_path, executor=executor)
    assert not list(tmp_path.iterdir())
