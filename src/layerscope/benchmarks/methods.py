"""Ways to get the activations of all leaves of a network: ours, plain hooks, and the tools that others use."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from layerscope.capture.hooks import capture

Values = Mapping[str, Tensor]  # "relu#1" for the second call of relu
Take = Callable[[Tensor], Values]


def same(value: Tensor) -> Tensor:
    return value


def mean(value: Tensor) -> Tensor:
    """Of each channel over its positions: [batch, channel]."""
    return value.flatten(2).mean(2) if value.ndim > 2 else value.clone()


def mean_and_largest(value: Tensor) -> Tensor:
    """Of each channel over its positions: [2, batch, channel]."""
    flat = value.flatten(2) if value.ndim > 2 else value.unsqueeze(-1)
    return torch.stack([flat.mean(-1), flat.amax(-1)])


@dataclass(frozen=True)
class Method:
    """One way to get activations.

    prepare: takes the network and the images, gives the function that is timed. reduced: what that should give of each
    activation. package: which has to be installed. undo: takes back what a call did to torch.
    """

    name: str
    prepare: Callable[[nn.Module, Tensor], Take]
    reduced: Callable[[Tensor], Tensor] = same
    package: str = "torch"
    undo: Callable[[], None] | None = None

    @property
    def installed(self) -> bool:
        return find_spec(self.package) is not None


def leaves(net: nn.Module) -> list[str]:
    return [name for name, part in net.named_modules() if name and not [*part.children()]]


def hooked(net: nn.Module, images: Tensor, keep: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    """Plain hooks on every leaf: each call by its number."""
    seen: dict[str, Tensor] = {}
    calls: Counter[str] = Counter()

    def hook(name: str) -> Callable[..., None]:
        def note(part: nn.Module, inputs: object, output: object) -> None:
            seen[f"{name}#{calls[name]}"] = keep(next(leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)))
            calls[name] += 1

        return note

    handles = [net.get_submodule(name).register_forward_hook(hook(name)) for name in leaves(net)]
    try:
        net(images)
    finally:
        for handle in handles:
            handle.remove()
    return seen


def _plain(net: nn.Module, images: Tensor) -> Take:
    def take(images: Tensor) -> Values:
        net(images)
        return {}

    return take


def _hooks(keep: Callable[[Tensor], Tensor]) -> Callable[[nn.Module, Tensor], Take]:
    return lambda net, _: lambda images: hooked(net, images, keep)


def _ours(**more: Any) -> Callable[[nn.Module, Tensor], Take]:
    def prepare(net: nn.Module, images: Tensor) -> Take:
        captured = capture(net, [*hooked(net, images[:1], same)], stop=False, **more)

        def take(images: Tensor) -> Values:
            with captured:
                net(images)
            return captured

        return take

    return prepare


def _torchvision(every_node: bool) -> Callable[[nn.Module, Tensor], Take]:
    def prepare(net: nn.Module, images: Tensor) -> Take:
        from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

        known, calls = set(leaves(net)), Counter[str]()
        wanted = {}
        for node in get_graph_node_names(net)[1]:
            name = node if node in known else re.sub(r"_\d+$", "", node)
            if name in known:
                wanted[node] = f"{name}#{calls[name]}"
                calls[name] += 1
            elif every_node and node != "x":
                wanted[node] = f"node {node}"
        extractor = create_feature_extractor(net, wanted)
        return lambda images: extractor(images)

    return prepare


def _nnsight(net: nn.Module, images: Tensor) -> Take:
    order = list(dict.fromkeys(call.partition("#")[0] for call in hooked(net, images[:1], same)))
    model = import_module("nnsight").NNsight(net)

    def take(images: Tensor) -> Values:
        saved: dict[str, Tensor] = {}
        with model.trace(images):
            for name in order:  # in the order of their calls: nnsight takes no other
                saved[f"{name}#0"] = model.get(name).output.save()
        return saved

    return take


def _torchlens(net: nn.Module, images: Tensor) -> Take:
    torchlens, known = import_module("torchlens"), set(leaves(net))
    # Left to itself it refuses where little memory is free just now.
    unlimited = import_module("torchlens.options").CaptureOptions(save_budget=None)

    def take(images: Tensor) -> Values:
        seen: dict[str, Tensor] = {}
        for operation in torchlens.trace(net, images, capture=unlimited).ops:
            calls = [call.rpartition(":") for call in operation.output_of_module_calls]
            held = [f"{name}#{int(number) - 1}" for name, _, number in calls if name in known]
            seen.update(dict.fromkeys(held or [f"node {operation.label}"], operation.out))
        return seen

    return take


def _unwrap_torch() -> None:
    import_module("torchlens.backends.torch.wrappers").unwrap_torch()


PLAIN = Method("plain forward", _plain)
METHODS = (
    PLAIN,
    Method("hooks on leaves, no copy", _hooks(same)),
    Method("hooks on leaves, copy", _hooks(torch.clone)),
    Method("layerscope, stored", _ours()),
    Method("layerscope, means", _ours(reduce=mean), mean),
    Method("hooks on leaves, means", _hooks(mean), mean),
    Method("layerscope, means and maxima", _ours(reduce=mean_and_largest), mean_and_largest),
    Method("torchvision extractor, leaves", _torchvision(every_node=False), package="torchvision"),
    Method("torchvision extractor, all nodes", _torchvision(every_node=True), package="torchvision"),
    Method("nnsight", _nnsight, package="nnsight"),
)
# Wraps every function of torch on its first call, and its undo leaves something: so it runs after all others.
LAST = (PLAIN, Method("torchlens, all operations", _torchlens, package="torchlens", undo=_unwrap_torch))
