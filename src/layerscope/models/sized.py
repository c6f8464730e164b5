"""A network built to the size of the weights in a file: as many classes and channels as they were made for.

Which tensors a size shapes is measured: the network is built twice, the second time with one more of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import nn

from layerscope.models.checkpoints import Checkpoint, fit, read_weights

Shapes = dict[str, tuple[int, ...]]

PUBLISHED = {"num_classes": 1000, "in_chans": 3}
"""The sizes of networks that were made for ImageNet, by the name of the argument that changes them."""


def built_for(
    build: Callable[..., nn.Module], path: Path, sizes: tuple[str, ...], optional: str = ""
) -> tuple[nn.Module, Checkpoint, dict[str, int]]:
    """The network with the weights of a file, what was read, and its sizes.

    build: takes `sizes` (of PUBLISHED) and `state`, the weights to come, by keyword. optional: how the names of
    parts begin that a file may leave out. Raises CheckpointError.
    """
    usual = _shapes(build, **{size: PUBLISHED[size] for size in sizes})
    names = [name for name in usual if not (optional and name.startswith(optional))]
    checkpoint = read_weights(path, names)
    found = {size: _found(build, size, usual, checkpoint) for size in sizes}
    module = build(**found, state=checkpoint.state)
    fit(module, checkpoint.state, path)
    return module, checkpoint, found


def _found(build: Callable[..., nn.Module], size: str, usual: Shapes, checkpoint: Checkpoint) -> int:
    """One size of the network in a file; the published one where it cannot be told."""
    published = PUBLISHED[size]
    given = {name: tuple(tensor.shape) for name, tensor in checkpoint.state.items()}
    if all(given.get(name) == shape for name, shape in usual.items()):
        return published
    try:
        more = _shapes(build, **{"num_classes": PUBLISHED["num_classes"], size: published + 1})
    except Exception:  # an architecture that has no such size; what does not fit is said by `fit`
        return published
    found = published
    for name, axis in _changed(usual, more):
        if len(given.get(name, ())) > axis:  # the last one counts: heads for training come before the head
            found = given[name][axis] * published // usual[name][axis]
    return max(found, 1)


def _changed(usual: Mapping[str, tuple[int, ...]], more: Mapping[str, tuple[int, ...]]) -> list[tuple[str, int]]:
    """Tensors and axes that are longer in `more`."""
    return [
        (name, axis)
        for name, shape in usual.items()
        for axis, (length, longer) in enumerate(zip(shape, more.get(name, shape), strict=False))
        if length != longer
    ]


def _shapes(build: Callable[..., nn.Module], **sizes: int) -> Shapes:
    """Name and shape of all weights; no memory is filled where the architecture allows that."""
    try:
        with torch.device("meta"):
            module = build(**sizes)
    except RuntimeError:  # it computes its widths with tensors, as regnets do
        module = build(**sizes)
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
