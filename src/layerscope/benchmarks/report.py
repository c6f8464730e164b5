"""What a benchmark is asked, and what it says."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = dict[str, Any]
PACKAGES = (
    "layerscope", "torch", "torchvision", "timm", "torchlens", "nnsight", "captum", "torchcam", "grad-cam", "zennit",
    "torch-lucent", "kornia",
)  # fmt: skip


@dataclass(frozen=True)
class Options:
    """networks: names and patterns, comma-separated, or "none". threads: None for as many as torch takes by itself.

    conformance: compare with references instead of timing. truth: measure how right attribution methods are, with
    records below `out`; synthesis puts a sheet of pictures there. images: a folder of pictures to judge them on
    instead, with what needs no truth; masks: of the things in these. methods: names of attribution methods,
    comma-separated, or "all"; None for the usual ones.
    """

    networks: str = "*"
    threads: int | None = None
    rounds: int = 9
    quick: bool = False
    conformance: bool = False
    truth: bool = False
    out: Path | None = None
    images: Path | None = None
    masks: Path | None = None
    methods: str | None = None


@dataclass(frozen=True)
class Report:
    """tables: rows by title. summary: one line that says it all. manifest: where, when and with what it was measured.

    hidden: columns that are for JSON alone. shown: tables for people, by titles, in the place of `tables`.
    """

    tables: Mapping[str, list[Row]]
    manifest: Mapping[str, Any]
    summary: str = ""
    hidden: frozenset[str] = frozenset()
    shown: Mapping[str, list[Row]] | None = None


def manifest() -> dict[str, Any]:
    """Versions, threads, processor and date of this measurement."""
    import torch

    return {
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "system": platform.system(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Let torch use so many threads for a while; None leaves it as it is."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
