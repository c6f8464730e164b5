"""One thread per test process: small networks gain nothing from more, and threads of several processes on the same
cores wait for each other, which makes whole runs many times slower."""

from __future__ import annotations

import os

for library in ("OMP", "MKL"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")  # before torch is there, and for what tests start
