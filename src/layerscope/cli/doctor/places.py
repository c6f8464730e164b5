"""Where results and weights lie: room on the disk, what has been downloaded, whether bundled networks are whole."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import torch

from layerscope.cli.doctor.finding import Finding
from layerscope.models.datasets import TEST_SEED
from layerscope.models.zoo import NAMES, load
from layerscope.world import render

_GIB = 2**30
_LITTLE = _GIB
_SCENES = 40
_RIGHT = 0.8
"""Share of the scenes that the bundled networks name rightly, at least; they name .99 of them."""


def results(out: Path) -> Iterator[Finding]:
    """Room for results, and whether they can be written; nothing stays there."""
    folder = next(path for path in (out.absolute(), *out.absolute().parents) if path.exists())
    free = shutil.disk_usage(folder).free
    facts = {"folder": str(out), "free": free}
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        words = f"{out} cannot be written: {error.strerror or error}"
        yield Finding("results", "poor", words, "give another folder with --out", {**facts, "writable": False})
        return
    little = free < _LITTLE
    words = f"{out} can be written, {free / _GIB:.1f} GiB free"
    advice = "a tour takes about 0.1 GiB, the gallery of a large network more" if little else ""
    yield Finding("results", "poor" if little else "good", words, advice, {**facts, "writable": True})


def downloaded() -> Iterator[Finding]:
    """Pretrained weights that are there; nothing is downloaded."""
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    found = sorted(path for path in folder.glob("*.pth")) if folder.is_dir() else []
    size = sum(path.stat().st_size for path in found)
    facts = {"folder": str(folder), "files": [path.name for path in found], "bytes": size}
    if found:
        yield Finding("pretrained", "good", f"{len(found)} files of {size / _GIB:.1f} GiB in {folder}", facts=facts)
    else:
        advice = "torchvision:NAME downloads there; without a network give --weights FILE, or --weights none"
        yield Finding("pretrained", "absent", f"none in {folder}", advice, facts)


def bundled() -> Iterator[Finding]:
    """Whether the files of the bundled networks are those that were shipped."""
    folder = files("layerscope.models") / "weights"
    lines = (folder / "SHA256SUMS").read_text(encoding="ascii").splitlines()
    expected = {name: digest for digest, name in (line.split() for line in lines)}
    again = "install Layerscope again"
    for name in NAMES.values():
        path = folder / name
        if not path.is_file():
            yield Finding(name, "broken", "the file is missing", again)
        elif hashlib.sha256(path.read_bytes()).hexdigest() != expected.get(name):
            yield Finding(name, "broken", "the file is damaged: another checksum than was shipped", again)
    if all((folder / name).is_file() for name in NAMES.values()):
        yield Finding("bundled", "good", f"{len(NAMES)} networks, files as they were shipped")


def self_test() -> Iterator[Finding]:
    """Whether the bundled networks name rendered scenes rightly, all the way from the drawing to the label."""
    scenes = render(_SCENES, seed=TEST_SEED, size=64)
    for name in NAMES:
        began = time.perf_counter()
        with torch.no_grad():
            right = int((load(name)(scenes.images).argmax(1) == scenes.labels).sum())
        enough = right >= _RIGHT * _SCENES
        words = f"{name} names {right} of {_SCENES} scenes rightly, in {time.perf_counter() - began:.1f} s"
        advice = "" if enough else "it should name nearly all; this build of torch, or the installation, is broken"
        facts = {"network": name, "right": right, "scenes": _SCENES}
        yield Finding("self test", "good" if enough else "broken", words, advice, facts)
