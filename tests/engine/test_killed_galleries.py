"""A gallery killed again and again at random moments equals one that nobody disturbed, whatever the engine."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from same_bytes import files
from test_engine import alive

pytestmark = pytest.mark.slow
KILLS = 20
CODE = """
import functools, sys
from small_nets import small_network
from layerscope.engine import open_engine
from layerscope.studies import gallery as gallery_module
from layerscope.studies.probe import open_probe

gallery_module.open_probe = functools.partial(open_probe, count=48)
gallery_module.CHUNK = 1
if __name__ == "__main__":
    with open_engine(sys.argv[1]) as executor:
        made = gallery_module.gallery(small_network(), "*", sys.argv[2], executor=executor)
    print(made.made, made.found)
"""


@contextmanager
def engine(kind: str) -> Iterator[str]:
    if kind != "dask":
        yield kind
        return
    distributed: Any = pytest.importorskip("distributed", reason="a Dask cluster needs the extra layerscope[dask]")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        yield f"dask:{cluster.scheduler_address}"


def started(script: Path, spec: str, out: Path) -> subprocess.Popen[str]:
    paths = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    return subprocess.Popen(
        [sys.executable, script, spec, out], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=paths
    )


def records(folder: Path) -> int:
    return len(list(folder.rglob("*.safetensors")))


def wait_for(running: subprocess.Popen[str], folder: Path, count: int) -> None:
    """Until there are so many records, or all."""
    deadline = time.monotonic() + 300
    while records(folder) < count and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)


def descendants(pid: int) -> set[int]:
    """All processes below this one, by the parents that /proc knows."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has just ended
            continue
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="what is left running is read from /proc")
@pytest.mark.parametrize("kind", ["processes:2", "dask"])
def test_a_gallery_killed_twenty_times_has_the_same_bytes(kind, tmp_path):
    script, moments = tmp_path / "make.py", random.Random(0)
    script.write_text(CODE)
    whole = started(script, "local", tmp_path / "whole")
    made = int(whole.communicate(timeout=900)[0].split()[0])
    below: set[int] = set()
    counts = [0]
    with engine(kind) as spec:
        for _ in range(KILLS):
            running = started(script, spec, tmp_path / "killed")
            wait_for(running, tmp_path / "killed", counts[-1] + moments.randrange(3))
            time.sleep(moments.uniform(0, 0.5))
            below |= descendants(running.pid)
            running.send_signal(signal.SIGKILL)
            running.communicate()
            counts.append(records(tmp_path / "killed"))
        last = started(script, spec, tmp_path / "killed")
        assert sum(map(int, last.communicate(timeout=900)[0].split())) == made
    assert files(tmp_path / "killed") == files(tmp_path / "whole")
    assert len(set(counts)) > 5, counts  # killed in the midst of it, not before or after
    deadline = time.monotonic() + 60
    while any(map(alive, below)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not any(map(alive, below))
