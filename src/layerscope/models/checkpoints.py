"""Weights from a file: read without running any code from it, and fitted to a network with words for what differs."""

from __future__ import annotations

import argparse
import contextlib
import pickle
import re
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from layerscope.errors import CheckpointError

State = dict[str, Tensor]

_SAVE = "save one with torch.save(model.state_dict(), PATH)"
# moving averages of the weights come first, as in timm
_AVERAGES = ("state_dict_ema", "model_ema", "ema_state_dict", "ema")
_WRAPPERS = (*_AVERAGES, "state_dict", "model", "model_state_dict", "module")
# DataParallel and torch.compile put these into names, at any depth
_WRAPPING = frozenset({"module", "_orig_mod"})
_PREFIXES = ("model.", "net.", "network.", "backbone.")
# torchvision's own densenet files still have the names of before 2018
_OLD_DENSENET = re.compile(r"(.*denselayer\d+\.(?:norm|conv))\.([12]\.\w+)")


@dataclass(frozen=True)
class Checkpoint:
    """The tensors of a file, named as in the network. averaged: the entry of the file that they are the moving
    average of ("state_dict_ema"), or None."""

    state: State
    averaged: str | None = None


def read_weights(path: Path, names: Collection[str]) -> Checkpoint:
    """The tensors of a .pth/.pt file or a .safetensors file, named as in a network that has all of these `names`.

    Understands a state dict; one below "state_dict", "model", "module"; moving averages beside it ("state_dict_ema",
    "model_ema", "ema_state_dict", "ema"), which are preferred; what DataParallel and torch.compile put into names; and
    any prefix below which all of `names` are, as in Lightning's files: what is not below it is left out then.
    Raises CheckpointError, also where the network is there below several prefixes and none of them is an average.
    """
    if not path.is_file():
        raise CheckpointError(f"no weights file {str(path)!r}; weights takes a .pth or .safetensors file, or 'none'")
    content = _safetensors(path) if path.suffix == ".safetensors" else _torch(path)
    averaged = None
    while (key := _wrapper(content)) and isinstance(content, Mapping):
        content, averaged = content[key], averaged or (key if key in _AVERAGES else None)
    if not isinstance(content, Mapping) or not content:
        raise CheckpointError(f"{str(path)!r} holds a {type(content).__name__}, no state dict; {_SAVE}")
    state = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    if not state:
        keys = ", ".join(map(str, list(content)[:5]))
        raise CheckpointError(f"{str(path)!r} holds no tensors by name, but: {keys}; {_SAVE}")
    state, prefix = _renamed(state, names, path)
    return Checkpoint(state, averaged or (prefix if _is_average(prefix) else None))


def fit(module: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Load `state` into `module`. Raises CheckpointError naming up to five keys of each kind that do not fit."""
    own = module.state_dict()
    missing = [name for name in own if name not in state and not _counts(name)]
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
    whole = OrderedDict(state)
    whole._metadata = own._metadata  # type: ignore[attr-defined]  # versions of modules, without which mnasnet fails
    module.load_state_dict(whole, strict=False)  # strict above, but for counters that old files lack


def _safetensors(path: Path) -> object:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{str(path)!r} cannot be read as safetensors: {_line(error)}") from error


def _torch(path: Path) -> object:
    try:
        with _plain_arguments():
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        kind = re.search(r"GLOBAL (\S+)", str(error))
        held = f"a pickled {kind[1]}" if kind else "a whole pickled network?"
        raise CheckpointError(
            f"{str(path)!r} holds more than tensors ({held}), or is damaged; opening it could run "
            f"code from the file, so it is not opened; where you trust it, load it yourself and {_SAVE}"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{str(path)!r} cannot be read as a PyTorch file: {_line(error)}; {_SAVE}") from error


def _plain_arguments() -> contextlib.AbstractContextManager[None]:
    """The scripts of torchvision and timm put their arguments beside the weights: a class that holds values only."""
    if not hasattr(torch.serialization, "safe_globals"):  # torch 2.4
        return contextlib.nullcontext()
    allowed: contextlib.AbstractContextManager[None] = torch.serialization.safe_globals([argparse.Namespace])
    return allowed


def _wrapper(content: object) -> str | None:
    """The entry that holds the weights, where `content` is not a state dict itself."""
    if not isinstance(content, Mapping):
        return None
    return next((key for key in _WRAPPERS if isinstance(content.get(key), Mapping) and content[key]), None)


def _renamed(state: State, names: Collection[str], path: Path) -> tuple[State, str]:
    """As in the network, and the prefix that was taken off."""
    wrapping = _WRAPPING - {component for name in names for component in name.split(".")}
    state = {_without(_OLD_DENSENET.sub(r"\1\2", name), wrapping): value for name, value in state.items()}
    if "n_averaged" not in names:
        state.pop("n_averaged", None)  # of torch.optim.swa_utils.AveragedModel
    prefix = _prefix(state, names, path)
    below = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    return below, prefix


def _without(name: str, components: Collection[str]) -> str:
    return ".".join(component for component in name.split(".") if component not in components)


def _prefix(state: State, names: Collection[str], path: Path) -> str:
    """Below which the whole network is; else a usual one that all names of the file have and the network has not."""
    needed = [name for name in names if not _counts(name)]
    ends = [name.removesuffix(needed[0]) for name in state if name.endswith(needed[0])] if needed else []
    whole = [end for end in ends if (not end or end.endswith(".")) and all(f"{end}{name}" in state for name in needed)]
    averages = [end for end in whole if _is_average(end)]
    chosen = [""] if "" in whole else averages or whole
    if len(chosen) > 1:
        found = ", ".join(map(repr, chosen[:5]))
        raise CheckpointError(
            f"{str(path)!r} holds the network {len(chosen)} times, below {found}; save one of them by itself"
        )
    if chosen:
        return chosen[0]
    common = [prefix for prefix in _PREFIXES if all(name.startswith(prefix) for name in state)]
    return next((prefix for prefix in common if not all(name.startswith(prefix) for name in names)), "")


def _is_average(prefix: str) -> bool:
    return any("ema" in component.split("_") for component in prefix.split("."))


def _counts(name: str) -> bool:
    return name.endswith("num_batches_tracked")


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def _some(names: list[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
