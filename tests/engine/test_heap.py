"""Freed memory stays with the process, so that asking for it again costs no pages."""

from __future__ import annotations

import subprocess
import sys

import pytest

COUNT = """
import resource, sys
import numpy as np
from layerscope.engine.heap import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    [np.ones(12 << 20, np.uint8) for _ in range(4)]
before = faults()
for _ in range(20):
    [np.ones(12 << 20, np.uint8) for _ in range(4)]
print(faults() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc has this setting")
def test_freed_memory_is_used_again() -> None:
    kept, given_back = (
        int(subprocess.run([sys.executable, "-c", COUNT, how], capture_output=True, text=True, check=True).stdout)
        for how in ("kept", "given back")
    )
    assert kept < 2000 < given_back
