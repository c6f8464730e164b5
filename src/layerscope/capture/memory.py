"""Where captured activations are kept: copied at once, into memory that is used again, within a budget.

Copying into memory that this process has touched before costs less than holding on to the tensors of the network,
which makes the network ask the system for new pages in every forward; and only a copy is safe from later in-place
operations. So every activation is copied, into the memory of the forward before where nobody looks at that any more.
"""

from __future__ import annotations

import mmap
import os
import re
import sys
import tempfile
import weakref
from collections import Counter, defaultdict
from pathlib import Path

import torch
from torch import Tensor

from layerscope.errors import CaptureError, InputError
from layerscope.records import storage_errors

_SMALL = 1 << 16  # bytes; a mapping of its own saves nothing below this
_SCALES = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}
_ALONE = next(sys.getrefcount(buffer) for buffer in [object()])  # references to what only a list and a loop hold


class Memory:
    """Copies of tensors, in memory up to `budget` bytes; what goes beyond lies in files in `folder`, or is refused."""

    def __init__(self, budget: int | None = None, folder: Path | None = None) -> None:
        self._budget, self._folder = budget, folder
        self._buffers: list[mmap.mmap] = []  # under the copies of this forward
        self._spare: defaultdict[int, list[mmap.mmap]] = defaultdict(list)  # left by the one before, by size
        self.begin()

    def begin(self) -> None:
        """A forward begins: the copies of the one before do not count any more; their memory is used again."""
        self._sizes: Counter[str] = Counter()
        self._used = 0
        self._copies: dict[int, tuple[weakref.ref[Tensor], int, Tensor]] = {}
        self._spare.clear()
        for unused in [buffer for buffer in self._buffers if sys.getrefcount(buffer) <= _ALONE]:
            self._spare[len(unused)].append(unused)
        self._buffers = []

    def end(self) -> None:
        """Hold on to no other memory than that under the copies."""
        self._copies = {}
        self._spare.clear()

    def keep(self, site: str, tensor: Tensor) -> Tensor | None:
        """A detached copy of `tensor`, or None where it does not fit: `check` then raises.

        One tensor that comes by unchanged at several sites (the last layer of a block and the block) is copied once.
        """
        version = None if tensor.is_inference() else tensor._version
        reference, known_version, copy = self._copies.get(id(tensor), (None, None, None))
        if reference is not None and reference() is tensor and version is not None and version == known_version:
            return copy
        copy = self._copied(site, tensor.detach().dequantize() if tensor.is_quantized else tensor.detach())
        if copy is not None and version is not None:
            self._copies[id(tensor)] = (weakref.ref(tensor), version, copy)
        return copy

    def adopt(self, site: str, tensor: Tensor) -> Tensor | None:
        """A detached tensor that nobody else changes, as it is where it fits; otherwise as `keep`."""
        if self._budget is not None and self._used + tensor.numel() * tensor.element_size() > self._budget:
            return self.keep(site, tensor)
        self.charge(site, tensor)
        return tensor

    def charge(self, site: str, tensor: Tensor) -> None:
        """Count a tensor that is kept elsewhere."""
        size = tensor.numel() * tensor.element_size()
        self._sizes[site] += size
        self._used += size

    @property
    def overdrawn(self) -> bool:
        """Whether something did not fit."""
        return self._budget is not None and self._folder is None and sum(self._sizes.values()) > self._budget

    def check(self) -> None:
        """Raise CaptureError where not everything fitted, with the sizes of the five biggest sites."""
        if not self.overdrawn or self._budget is None:
            return
        total = in_words(sum(self._sizes.values()))
        biggest = ", ".join(f"{site} {in_words(size)}" for site, size in self._sizes.most_common(5))
        raise CaptureError(
            f"the activations take {total} and the budget is {in_words(self._budget)}; the biggest of "
            f"{len(self._sizes)} sites: {biggest}; ask for fewer, keep less of each with reduce=, raise budget=, "
            "or let the rest spill into files with spill=FOLDER"
        )

    def _copied(self, site: str, tensor: Tensor) -> Tensor | None:
        size = tensor.numel() * tensor.element_size()
        self._sizes[site] += size
        if self._budget is None or self._used + size <= self._budget:
            self._used += size
            return self._in_memory(tensor, size)
        return None if self._folder is None else _like(tensor, _file(self._folder, size))

    def _in_memory(self, tensor: Tensor, size: int) -> Tensor:
        if tensor.device.type != "cpu" or size < _SMALL or not hasattr(mmap, "MAP_PRIVATE"):
            return tensor.clone()
        if not self._spare[size]:
            self._spare.clear()  # other sizes than before: do not hold both
        spare = self._spare[size]
        buffer = spare.pop() if spare else mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._buffers.append(buffer)
        return _like(tensor, buffer)


def bytes_of(budget: int | str | None) -> int | None:
    """Bytes from a number or from text such as "2 GiB", "500MB". Raises InputError."""
    if budget is None:
        return None
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmg]?i?b|)\s*", str(budget).lower())
    if found is None or isinstance(budget, bool):
        raise InputError(f"budget={budget!r}; give a number of bytes, or text such as '2 GiB' or '500 MB'")
    return int(float(found[1]) * _SCALES[found[2]])


def in_words(size: int) -> str:
    """Bytes for people: "25.7 MiB"."""
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1024  # type: ignore[assignment]
    return f"{size:.3g} GiB"


def _like(tensor: Tensor, buffer: mmap.mmap) -> Tensor:
    """A copy of `tensor` (on the CPU) in `buffer`, with the same order of its axes in memory where it is dense."""
    flat = torch.frombuffer(buffer, dtype=tensor.dtype, count=tensor.numel())
    dense = any(tensor.is_contiguous(memory_format=order) for order in _orders(tensor))
    copy = flat.as_strided(tensor.shape, tensor.stride()) if dense else flat.view(tensor.shape)
    return copy.copy_(tensor)


def _orders(tensor: Tensor) -> tuple[torch.memory_format, ...]:
    return (torch.contiguous_format, *((torch.channels_last,) if tensor.ndim == 4 else ()))


def _file(folder: Path, size: int) -> mmap.mmap:
    """A file in memory that vanishes with the last look at it. Raises StorageError where the disk is full."""
    with storage_errors("spill activations into", folder), tempfile.TemporaryFile(dir=folder) as file:
        if hasattr(os, "posix_fallocate"):  # a full disk has to show here, not as a crash when the pages are written
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.write(bytes(size))
            file.flush()
        return mmap.mmap(file.fileno(), size)
