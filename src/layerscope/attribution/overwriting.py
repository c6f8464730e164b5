"""What tensors hold by now, while operations that work in place are run out of place.

Who overwrites a tensor changes all tensors that look at the same memory: views of it, and what it is a view of. Here no
memory is written: the new content of a memory lies beside it, and who uses a tensor later is given the content instead,
as that tensor would see it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

from layerscope.capture.forward import storage_of


class Overwritten:
    """The contents of memories that are taken as overwritten, each as a tensor with a graph of its own."""

    def __init__(self) -> None:
        self._contents: dict[int, tuple[StorageWeakRef, Tensor]] = {}  # while referred to, an address is not used anew

    def now(self, tensor: Tensor) -> Tensor:
        """What `tensor` holds by now: itself, where nothing was written to its memory."""
        while self._contents and storage_of(tensor) in self._contents:
            _, content = self._contents[storage_of(tensor)]
            tensor = content if _place(content) == _place(tensor) else content.as_strided(*_place(tensor))
        return tensor

    def version(self, tensor: Tensor) -> int:
        """As `tensor._version`, which counts how often its memory was written to."""
        version = tensor._version
        while storage_of(tensor) in self._contents:
            version, tensor = version + 1, self._contents[storage_of(tensor)][1]
        return version

    def write(self, tensor: Tensor, value: Tensor) -> Tensor:
        """Take `tensor`, as it is by now, as overwritten by `value` of the same shape; gives it as it is after that."""
        for key, (memory, _) in list(self._contents.items()):
            if memory.expired():  # no tensor looks at it any more
                del self._contents[key]
        storage = tensor.untyped_storage()
        if _place(value) != _place(tensor) or _bytes(value) != _bytes(tensor):
            whole = tensor if tensor._base is None else tensor._base
            row = whole.as_strided((storage.nbytes() // whole.element_size(),), (1,), 0)
            places = torch.arange(len(row), device=row.device).as_strided(*_place(tensor))
            value = row.scatter(0, places.flatten(), value.flatten())  # the gradient of as_strided_scatter is wrong
        self._contents[storage_of(tensor)] = StorageWeakRef(storage), value
        return self.now(tensor)


def _place(tensor: Tensor) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """Where in its memory a tensor looks: size, stride, offset."""
    return tuple(tensor.size()), tensor.stride(), int(tensor.storage_offset())


def _bytes(tensor: Tensor) -> int:
    """Of all the memory that a tensor looks at."""
    return tensor.untyped_storage().nbytes()
