"""Weights from a file: read without running any code from it, and fitted to a network with words for what differs."""

from __future__ import annotations

import argparse
import contextlib
import pickle
import re
from collections import Counter, OrderedDict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from layerscope.errors import CheckpointError

State = dict[str, Tensor]

_SAVE = "save one with torch.save(model.state_dict(), PATH)"
# Entries that hold the network, the preferred ones first, as in timm; before them come moving averages of the weights
_PREFERRED = ("state_dict", "model", "model_state_dict", "model_state", "module", "net", "network", "weights", "params")
_DEEPEST = 4  # entries within entries
# DataParallel and torch.compile put these into names, at any depth
_WRAPPING = frozenset({"module", "_orig_mod"})
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

    Takes the entry of the file, at any depth, that holds all of `names`, be it below a prefix as in Lightning's files:
    what is not below it is left out then. What DataParallel and torch.compile put into names is taken off. Where
    several entries hold the network, moving averages ("ema" in their names) are preferred, then the file itself, then
    "state_dict", "model" and the like. Where none does, what comes closest is given, for `fit` to say what is amiss.
    Raises CheckpointError, also where the network is there several times and nothing tells which is meant.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "is no file" if path.exists() else "does not exist"
        raise CheckpointError(
            f"no weights file {str(path)!r}: it {what}; weights takes a .pth or .safetensors file, or 'none'"
        )
    content = _safetensors(path) if path.suffix == ".safetensors" else _torch(path)
    if not isinstance(content, Mapping) or not content:
        raise CheckpointError(f"{str(path)!r} holds a {type(content).__name__}, no state dict; {_SAVE}")
    entries = sorted(_entries(content, names), key=_Entry.rank)
    if not entries:
        keys = ", ".join(map(str, list(content)[:5]))
        raise CheckpointError(f"{str(path)!r} holds no tensors by name, but: {keys}; {_SAVE}")
    return _chosen(entries, path).checkpoint()


@dataclass(frozen=True)
class _Entry:
    """Tensors of a file in one place, `where`, below one prefix; `missing`: how many names of the network are not."""

    where: tuple[str, ...]
    prefix: str
    state: State
    missing: int

    @property
    def average(self) -> str | None:
        return next((part for part in (*self.where, self.prefix) if _is_average(part)), None)

    def rank(self) -> tuple[object, ...]:
        """The smaller, the more it is preferred."""
        order = [_PREFERRED.index(part) if part in _PREFERRED else len(_PREFERRED) for part in self.where]
        inner = not _is_average(self.prefix) if self.prefix else -1
        larger = -len(self.state) if self.missing else 0  # for words that say more
        return self.missing, larger, self.average is None, order, inner

    def checkpoint(self) -> Checkpoint:
        below = {
            name.removeprefix(self.prefix): value for name, value in self.state.items() if name.startswith(self.prefix)
        }
        return Checkpoint(below, self.average)

    def __str__(self) -> str:
        return repr(".".join((*self.where, self.prefix)))


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
    strange = [f"{name} {kind}" for name in own if name in state and (kind := _strange(state[name], own[name]))]
    kinds = (
        ("missing", missing),
        ("unexpected", unexpected),
        ("of another shape", shapes),
        ("of another kind", strange),
    )
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
    with path.open("rb") as file:
        start = file.read(40)
    if not start.startswith((b"PK", b"\x80")):  # a zip, or a pickle of before 2020
        begins = f"begins with {start.decode('latin-1')!r}" if start else "is empty"
        raise CheckpointError(f"{str(path)!r} is no PyTorch file: it {begins}; fetch it again, or {_SAVE}")
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


class _Ignored:
    """Takes the place of a value beside the weights, so that nothing of its class is run."""

    def __init__(self, *values: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


_NUMPY = [("numpy", "dtype"), ("numpy._core.multiarray", "scalar"), ("numpy.core.multiarray", "scalar")]
_PATHS = [
    (module, f"{pure}{system}Path")
    for module in ("pathlib", "pathlib._local")
    for pure in ("", "Pure")
    for system in ("Posix", "Windows")
]
_STAND_INS = [type(name, (_Ignored,), {"__module__": module}) for module, name in (*_NUMPY, *_PATHS)]


def _plain_arguments() -> contextlib.AbstractContextManager[None]:
    """Scripts put arguments, paths and numpy's numbers beside the weights: the first hold values only."""
    if not hasattr(torch.serialization, "safe_globals"):  # torch 2.4
        return contextlib.nullcontext()
    allowed: contextlib.AbstractContextManager[None] = torch.serialization.safe_globals(
        [argparse.Namespace, *_STAND_INS]
    )
    return allowed


def _chosen(entries: list[_Entry], path: Path) -> _Entry:
    best = entries[0]
    equal = [entry for entry in entries if entry.rank() == best.rank()]
    if best.missing or len(equal) == 1:
        return best
    found = ", ".join(map(str, equal[:5]))
    raise CheckpointError(
        f"{str(path)!r} holds the network {len(equal)} times, below {found}; save one of them by itself"
    )


def _entries(content: Mapping[object, object], names: Collection[str], where: tuple[str, ...] = ()) -> Iterator[_Entry]:
    """Every place in a file that has tensors by name, once for each prefix below which the network may be."""
    state = _renamed({str(name): value for name, value in content.items() if isinstance(value, Tensor)}, names)
    needed = {name for name in names if not _counts(name)}
    if state:
        below = _prefixes(state, needed)
        yield from (_Entry(where, prefix, state, len(needed) - count) for prefix, count in below.items())
    if len(where) < _DEEPEST:
        for key, value in content.items():
            if isinstance(value, Mapping):
                yield from _entries(value, names, (*where, str(key)))


def _renamed(state: State, names: Collection[str]) -> State:
    """Without what torch and old versions of torchvision put into names."""
    wrapping = _WRAPPING - {component for name in names for component in name.split(".")}
    state = {_without(_OLD_DENSENET.sub(r"\1\2", name), wrapping): value for name, value in state.items()}
    if "n_averaged" not in names:
        state.pop("n_averaged", None)  # of torch.optim.swa_utils.AveragedModel
    return state


def _prefixes(state: State, needed: Collection[str]) -> Mapping[str, int]:
    """How many of the names `needed` are below each prefix; the empty one, and those that have more than half."""
    found = Counter({"": 0})
    for name in state:
        parts = name.split(".")
        ends = ((".".join(parts[:at]), ".".join(parts[at:])) for at in range(len(parts)))
        found.update(f"{start}." if start else "" for start, end in ends if end in needed)
    return {prefix: count for prefix, count in found.items() if not prefix or 2 * count > len(needed)}


def _without(name: str, components: Collection[str]) -> str:
    return ".".join(component for component in name.split(".") if component not in components)


def _is_average(prefix: str) -> bool:
    return any("ema" in component.split("_") for component in prefix.split("."))


def _counts(name: str) -> bool:
    return name.endswith("num_batches_tracked")


def _strange(given: Tensor, own: Tensor) -> str:
    """Why the values of one tensor cannot become those of the other; "" where they can."""
    if given.is_meta:
        return "without values (on the meta device)"
    if given.layout is not torch.strided:
        return f"{given.layout} instead of a dense tensor".replace("torch.", "")
    fits = own.is_complex() or (given.is_floating_point() if own.is_floating_point() else not given.is_complex())
    return "" if fits else f"{given.dtype} instead of {own.dtype}".replace("torch.", "")


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def _some(names: list[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
