"""What a call may leave behind: a snapshot of a network and of the process around it, and what differs between two."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

_REPLACEABLE = {"torch": torch, "torch.nn.functional": nn.functional, "torch.Tensor": torch.Tensor}

RANDOM_STATES = ("torch's random state", "CUDA's random states", "numpy's random state", "random's state")


@dataclass(frozen=True, eq=False)
class State:
    """A snapshot by `state_of`: what is compared, by a name that says where it is.

    It holds on to the objects that it saw (an address means nothing once its object is gone), to no copy of any.
    """

    facts: Mapping[str, object]
    kept: tuple[object, ...] = ()


@dataclass(frozen=True, eq=False)
class _Same:
    """Equal only to the very same object."""

    value: object

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.value is self.value

    def __str__(self) -> str:
        plain = self.value is None or isinstance(self.value, (bool, int, float, str))
        return repr(self.value) if plain else f"<{type(self.value).__name__}>"


@dataclass(frozen=True)
class _Entries:
    """The entries of a container, in their order, each equal only to itself."""

    items: tuple[tuple[object, _Same], ...]

    def __str__(self) -> str:
        return f"{len(self.items)} entries"


def state_of(module: nn.Module, content: bool = True) -> State:
    """All that a call could change and should not.

    Of every part of `module`: attributes (the objects, and the entries of dicts, lists and tuples: hooks, parts,
    flags). Of every tensor among them: the object, its memory, content bit for bit (as a hash), dtype, device, shape,
    strides, requires_grad, hooks, .grad and its content. Of the process: torch's global module hooks, the methods of
    the classes of the parts, the functions of torch, random states (torch, CUDA where it is in use, numpy's global
    one, random) and torch's modes. Reads only. A network of 100 MB takes a tenth of a second; without the `content` of
    its tensors hardly anything.
    """
    facts: dict[str, object] = {}
    kept: list[object] = []
    seen: set[int] = set()
    for name, part in module.named_modules():
        facts.update(_attributes(name or "the network", part))
        for key, tensor in _tensors(name or "the network", part):
            if id(tensor) not in seen:  # tied weights are hashed once
                seen.add(id(tensor))
                kept.append(tensor if nn.parameter.is_lazy(tensor) else tensor.detach())
                facts.update(_tensor(key, tensor, content))
    facts.update(_classes(module))
    return State(facts | _hooks_of_torch() | _functions() | _random_states() | _modes(), tuple(kept))


def differences(before: State, after: State) -> tuple[str, ...]:
    """One line for each thing that is not as it was: where, what it was and what it is. Empty where nothing changed."""
    return tuple(named_differences(before, after).values())


def named_differences(before: State, after: State) -> Mapping[str, str]:
    """The lines of `differences`, by the names of the things."""
    lines = {}
    for key in dict.fromkeys((*before.facts, *after.facts)):
        if key not in after.facts:
            lines[key] = f"{key} is gone, was {before.facts[key]}"
        elif key not in before.facts:
            lines[key] = f"{key} is new: {after.facts[key]}"
        elif before.facts[key] != after.facts[key]:
            was, now = str(before.facts[key]), str(after.facts[key])
            lines[key] = f"{key} is {now}, was {was}" if was != now else f"{key} is another one: {now}"
    return lines


def _attributes(name: str, part: nn.Module) -> Iterator[tuple[str, object]]:
    for key, value in vars(part).items():
        yield f"{name}: {key}", _Same(value)
        if isinstance(value, (dict, list, tuple)):
            yield f"{name}: inside {key}", _entries(value)
        elif isinstance(value, (set, frozenset)):
            yield f"{name}: inside {key}", frozenset(value)


def _entries(value: Mapping[Any, Any] | Sequence[Any]) -> _Entries:
    return _Entries(tuple((key, _Same(item)) for key, item in _pairs(value)))


def _pairs(value: Mapping[Any, Any] | Sequence[Any]) -> Iterable[tuple[Any, Any]]:
    return value.items() if isinstance(value, Mapping) else enumerate(value)


def _tensors(name: str, part: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters, buffers, and tensors in plain attributes or in containers there."""
    for key, value in vars(part).items():
        inside = _pairs(value) if isinstance(value, (dict, list, tuple)) else ()
        prefix = name if key in ("_parameters", "_buffers") else f"{name}.{key}"
        if isinstance(value, Tensor):
            yield prefix, value
        yield from ((f"{prefix}.{place}", item) for place, item in inside if isinstance(item, Tensor))


def _tensor(name: str, tensor: Tensor, content: bool) -> Iterator[tuple[str, object]]:
    if nn.parameter.is_lazy(tensor):  # no shape, no memory, nothing to ask
        return
    if content:
        yield f"{name}: content", _digest(tensor)
    for aspect in ("dtype", "device", "shape", "requires_grad"):
        yield f"{name}: {aspect}", getattr(tensor, aspect)
    if tensor.layout is torch.strided:
        yield f"{name}: strides", tensor.stride()
        yield f"{name}: memory", tensor.data_ptr() if tensor.device.type != "meta" else 0
    for hooks in ("_backward_hooks", "_post_accumulate_grad_hooks"):
        yield f"{name}: {hooks}", _entries(getattr(tensor, hooks, None) or {})
    if tensor.is_leaf or tensor.retains_grad:  # asking any other tensor for its gradient warns
        yield f"{name}: grad", _Same(tensor.grad)
        if content:
            yield f"{name}: content of grad", None if tensor.grad is None else _digest(tensor.grad)


def _digest(tensor: Tensor) -> str:
    if tensor.device.type == "meta":
        return "none"
    dense = tensor.detach() if tensor.layout is torch.strided else tensor.detach().to_dense()
    values = dense.resolve_conj().resolve_neg().cpu().contiguous().reshape(-1)
    if not values.numel():
        return "empty"
    held: Any = values.view(torch.uint8).numpy()  # a buffer, which its types do not say
    return hashlib.sha256(held).hexdigest()[:16]


def _classes(module: nn.Module) -> Iterator[tuple[str, object]]:
    """The methods of the classes: who replaces one there changes every network."""
    classes = {kind for part in module.modules() for kind in type(part).__mro__ if kind is not object}
    for kind in sorted(classes, key=lambda kind: (kind.__module__, kind.__qualname__)):
        methods = {key: value for key, value in vars(kind).items() if callable(value)}
        yield from ((f"{kind.__module__}.{kind.__qualname__}.{key}", _Same(value)) for key, value in methods.items())


def _hooks_of_torch() -> dict[str, object]:
    held = vars(nn.modules.module)
    return {f"torch's {key}": _entries(held[key]) for key in held if key.startswith("_global_") and _is_dict(held[key])}


def _is_dict(value: object) -> bool:
    return isinstance(value, dict)


def _functions() -> dict[str, object]:
    """The functions of torch that other tools are known to replace; those that torch loads late are not among them."""
    return {
        f"{place}.{key}": _Same(value)
        for place, holder in _REPLACEABLE.items()
        for key, value in vars(holder).items()
        if callable(value) and not isinstance(value, type) and key != "manual_seed"  # torch's compiler replaces it
    }


def _random_states() -> dict[str, object]:
    torch_, cuda, numpy_, random_ = RANDOM_STATES
    states: dict[str, object] = {torch_: _digest(torch.get_rng_state())}
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        states[cuda] = tuple(_digest(state) for state in torch.cuda.get_rng_state_all())
    kind, keys, place, has_gauss, gauss = np.random.get_state(legacy=True)
    digest = hashlib.sha256(np.asarray(keys).tobytes()).hexdigest()[:16]
    states[numpy_] = (str(kind), digest, place, has_gauss, gauss)
    states[random_] = hashlib.sha256(repr(random.getstate()).encode()).hexdigest()[:16]
    return states


def _modes() -> dict[str, object]:
    devices = ("cpu", "cuda")
    return {
        "grad mode": torch.is_grad_enabled(),
        "inference mode": torch.is_inference_mode_enabled(),
        "anomaly mode": torch.is_anomaly_enabled(),
        "default dtype": torch.get_default_dtype(),
        "default device": torch.get_default_device(),
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "deterministic algorithms": torch.get_deterministic_debug_mode(),
        "cuDNN": tuple(getattr(torch.backends.cudnn, flag) for flag in ("enabled", "benchmark", "deterministic")),
        "precision of matmul": torch.get_float32_matmul_precision(),
        "autocast": tuple((torch.is_autocast_enabled(one), torch.get_autocast_dtype(one)) for one in devices),
        "torch function modes": torch._C._len_torch_function_stack(),
        "dispatch modes": _entries(_get_current_dispatch_mode_stack()),
    }
