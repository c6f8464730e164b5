"""Where captured activations are kept: copied at once, into memory that is used again, within a budget.

Copying into memory that this process has touched before costs less than holding on to the tensors of the network,
which makes the network ask the system for new pages in every forward; and only a copy is safe from later in-place
operations. So every activation is copied, into the memory of the forward before where nobody looks at that any more.
"""

from __future__ import annotations

import math
import mmap
import os
import re
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

import torch
from torch import Tensor

from layerscope.errors import CaptureError, InputError
from layerscope.records import storage_errors

_ALIGNED = 64  # bytes
_LARGEST_FILE = 1 << 30
_OFF_PAGE = 2112  # bytes from the start of a page: where all begin at one, reads and writes of a copy wait in turns
_SMALL = 1 << 16  # bytes; a mapping of its own saves nothing below this
_SCALES = {"": 1, "b": 1, **{f"{unit}b": 1000**n for n, unit in enumerate("kmgt", start=1)}}
_SCALES |= {f"{unit}ib": 1024**n for n, unit in enumerate("kmgt", start=1)}
_ALONE = next(sys.getrefcount(buffer) for buffer in [object()])  # references to what only a list and a loop hold


class Memory:
    """Copies of tensors, in memory up to `budget` bytes; what goes beyond lies in files in `folder`, or is refused."""

    def __init__(self, budget: int | None = None, folder: Path | None = None) -> None:
        self._budget, self._folder = budget, folder
        self._file: mmap.mmap | None = None  # where what goes beyond lies, up to `_place`
        self._buffers: list[mmap.mmap] = []  # under the copies of this forward
        self._spare: defaultdict[int, list[mmap.mmap]] = defaultdict(list)  # left by the one before, by size
        self.begin()

    def begin(self) -> None:
        """A forward begins: the copies of the one before do not count any more; their memory is used again."""
        self._sizes: Counter[str] = Counter()
        self._used = 0
        self._file, self._place = None, 0
        self._spare.clear()
        for unused in [buffer for buffer in self._buffers if sys.getrefcount(buffer) <= _ALONE]:
            self._spare[len(unused) - _OFF_PAGE].append(unused)
        self._buffers = []

    def end(self) -> None:
        """Hold on to no other memory than that under the copies."""
        self._file = None
        self._spare.clear()

    def keep(self, site: str, tensor: Tensor) -> Tensor | None:
        """A detached copy of `tensor`, or None where it does not fit: `check` then raises."""
        if torch._C._functorch.is_functorch_wrapped_tensor(tensor):
            raise CaptureError(
                f"{site!r} runs inside a transformation of torch.func (vmap, grad), where its values cannot be kept; "
                "run the network itself"
            )
        tensor = tensor.detach().dequantize() if tensor.is_quantized else tensor.detach()
        size = tensor.numel() * tensor.element_size()
        self._sizes[site] += size
        if self._budget is None or self._used + size <= self._budget:
            self._used += size
            return self._in_memory(tensor, size)
        return None if self._folder is None else self._in_file(tensor, size, self._folder)

    def adopt(self, site: str, tensor: Tensor) -> Tensor | None:
        """A detached tensor that nobody else changes: as it is where it fits, otherwise as `keep`."""
        size = tensor.numel() * tensor.element_size()
        tight = self._budget is not None and self._used + size > self._budget
        if tight or tensor.layout is not torch.strided or tensor.untyped_storage().nbytes() > size:
            return self.keep(site, tensor)  # of a larger memory only the part that is meant
        self.charge(site, tensor)
        return tensor

    def replaced(self, site: str, tensor: Tensor) -> None:
        """A tensor of this site does not count any more: another took its place."""
        size = tensor.numel() * tensor.element_size()
        self._sizes[site] -= size
        self._used -= size

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

    def _in_memory(self, tensor: Tensor, size: int) -> Tensor:
        plain = tensor.layout is torch.strided and not tensor.is_nested and tensor.device.type == "cpu"
        if not plain or size < _SMALL or not hasattr(mmap, "MAP_PRIVATE"):
            return tensor.clone()
        if not self._spare[size]:
            self._spare.clear()  # other sizes than before: do not hold both
        spare = self._spare[size]
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        buffer = spare.pop() if spare else mmap.mmap(-1, _OFF_PAGE + size, flags=flags)
        self._buffers.append(buffer)
        return _like(tensor, buffer, _OFF_PAGE)

    def _in_file(self, tensor: Tensor, size: int, folder: Path) -> Tensor:
        """A copy in a file; one file holds many, since each takes one of the few that a process may have open."""
        if self._file is None or self._place + size > len(self._file):
            grown = 0 if self._file is None else min(2 * len(self._file), _LARGEST_FILE)
            self._file, self._place = _new_file(folder, max(size, grown)), 0
        copy = _like(tensor, self._file, self._place)
        self._place += -(-size // _ALIGNED) * _ALIGNED
        return copy


def bytes_of(budget: float | str | None, name: str = "budget") -> int | None:
    """Bytes from a number or from text such as "2 GiB", "500MB". Raises InputError, which calls it `name`."""
    if budget is None:
        return None
    if isinstance(budget, (int, float)) and not isinstance(budget, bool) and 0 <= budget < math.inf:
        return int(budget)
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?i?b|)\s*", budget.lower()) if isinstance(budget, str) else None
    if found is None:
        raise InputError(f"{name}={budget!r}; give a number of bytes, or text such as '2 GiB' or '500 MB'")
    return int(float(found[1]) * _SCALES[found[2]])


def in_words(size: int) -> str:
    """Bytes for people: "25.7 MiB"."""
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1024  # type: ignore[assignment]
    return f"{size:.3g} GiB"


def _like(tensor: Tensor, buffer: mmap.mmap, place: int = 0) -> Tensor:
    """A copy of `tensor` (on the CPU) in `buffer`, with the same order of its axes in memory where it is dense."""
    if tensor.numel() == 0:
        return tensor.clone()
    flat = torch.frombuffer(buffer, dtype=tensor.dtype, count=tensor.numel(), offset=place)
    dense = any(tensor.is_contiguous(memory_format=order) for order in _orders(tensor))
    copy = flat.as_strided(tensor.shape, tensor.stride()) if dense else flat.view(tensor.shape)
    return copy.copy_(tensor)


def _orders(tensor: Tensor) -> tuple[torch.memory_format, ...]:
    return (torch.contiguous_format, *((torch.channels_last,) if tensor.ndim == 4 else ()))


def _new_file(folder: Path, size: int) -> mmap.mmap:
    """A file in memory that vanishes with the last look at it. Raises StorageError where the disk is full."""
    with storage_errors("spill activations into", folder), tempfile.TemporaryFile(dir=folder) as file:
        if hasattr(os, "posix_fallocate"):  # a full disk has to show here, not as a crash when the pages are written
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.write(bytes(size))
            file.flush()
        return mmap.mmap(file.fileno(), size)
