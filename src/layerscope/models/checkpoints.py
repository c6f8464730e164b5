"""Weights from a file: read without running any code from it, and fitted to a network with words for what differs."""

from __future__ import annotations

import pickle
import re
from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from layerscope.errors import CheckpointError

State = dict[str, Tensor]

_SAVE = "save one with torch.save(model.state_dict(), PATH)"
_WRAPPERS = ("state_dict", "model", "model_state_dict")
_PREFIXES = ("module.", "_orig_mod.", "model.")
# torchvision's own densenet files still have the names of before 2018
_OLD_DENSENET = re.compile(r"(.*denselayer\d+\.(?:norm|conv))\.([12]\.\w+)")


def read_weights(path: Path, names: Collection[str]) -> State:
    """The tensors of a .pth/.pt file or a .safetensors file, named as in a network whose tensors have these `names`.

    Understands a state dict, {"state_dict": ..}, {"model": ..}, and the prefixes that DataParallel ("module."),
    torch.compile and training frameworks put before all names. Raises CheckpointError.
    """
    if not path.is_file():
        raise CheckpointError(f"no weights file {str(path)!r}; weights takes a .pth or .safetensors file, or 'none'")
    content = _safetensors(path) if path.suffix == ".safetensors" else _torch(path)
    for key in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), (Mapping, nn.Module)):
            content = content[key]
    if not isinstance(content, Mapping) or not content:
        raise CheckpointError(f"{str(path)!r} holds a {type(content).__name__}, no state dict; {_SAVE}")
    state = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    if not state:
        keys = ", ".join(map(str, list(content)[:5]))
        raise CheckpointError(f"{str(path)!r} holds no tensors by name, but: {keys}; {_SAVE}")
    return _renamed(state, names)


def fit(module: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Load `state` into `module`. Raises CheckpointError naming up to five keys of each kind that do not fit."""
    own = module.state_dict()
    missing = [name for name in own if name not in state and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in state if name not in own]
    shapes = [
        f"{name} {_shape(state[name])} instead of {_shape(own[name])}"
        for name in own
        if name in state and own[name].shape != state[name].shape
    ]
    kinds = (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes))
    faults = [f"{len(names)} {kind}: {_some(names)}" for kind, names in kinds if names]
    if faults:
        raise CheckpointError(f"{str(path)!r} does not fit {type(module).__name__}; {'; '.join(faults)}")
    module.load_state_dict(dict(state), strict=False)  # strict above, but for counters that old files lack


def _safetensors(path: Path) -> object:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{str(path)!r} cannot be read as safetensors: {_line(error)}") from error


def _torch(path: Path) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{str(path)!r} holds more than tensors (a whole pickled network?), or is damaged; opening it could run "
            f"code from the file, so it is not opened; where you trust it, load it yourself and {_SAVE}"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{str(path)!r} cannot be read as a PyTorch file: {_line(error)}; {_SAVE}") from error


def _renamed(state: State, names: Collection[str]) -> State:
    """Without the prefixes that all names of the file have and the network has not."""
    stripped = True
    while stripped:
        stripped = False
        for prefix in _PREFIXES:
            if all(name.startswith(prefix) for name in state) and not all(name.startswith(prefix) for name in names):
                state, stripped = {name.removeprefix(prefix): value for name, value in state.items()}, True
    return {_OLD_DENSENET.sub(r"\1\2", name): value for name, value in state.items()}


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def _some(names: list[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
