"""A copy of the network that is fast and kind to ascent; the user's own stays as it is.

BatchNorm is folded into the convolution before it, weights are frozen and channels_last (both where the network
computes the same then), and a ReLU lets a little gradient through where it is closed (its forward pass is exact), so
that units that are off can still be climbed.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from layerscope.models.depthwise import depthwise_in_float32
from layerscope.models.fused import fuse
from layerscope.models.leaky import LeakyBackwardReLU
from layerscope.models.memory import out_of_memory
from layerscope.models.packed import can_pack, packed
from layerscope.models.precision import Precision
from layerscope.models.stem import blocked_stem, is_stem

FOLD_TOLERANCE = 1e-4  # of the largest activation; rounding alone stays below
HALF_TOLERANCE = 0.1
"""Of the length of all activations: what bfloat16 may change. Its numbers have three digits, and resnet50's logits of
noise differ by .02."""


def private_copy(
    module: nn.Module,
    example: Tensor,
    targets: Sequence[str],
    leak: float = 0.05,
    precision: Precision = "float32",
    blocked: bool = False,
) -> nn.Module:
    """A frozen eval copy of `module` that computes the same at the layers `targets` ("name" or "name#k").

    leak: of the gradient of a closed ReLU; 0 leaves the ReLUs as they are. precision: the number format of its weights;
    the copy is in float32 all the same where the network does not run in bfloat16, or computes something else in it.
    Of attention the weights are not frozen, only so that torch does not copy frozen ones for every token (nine times
    the time in bfloat16): take gradients by the input with `torch.autograd.grad`.
    blocked: compute a strided first convolution over blocks of pixels (`layerscope.models.stem`); it rounds otherwise.

    `example` [batch, channel, height, width] is an input as the module gets it (normalised); it is run to find which
    BatchNorm reads which convolution, in the order of execution and not by name.
    """
    private = _copied(module).eval().requires_grad_(False).float()
    for parameter in private.parameters():
        parameter.grad = None
    wanted = [name.partition("#")[0] for name in targets]
    private = _fastest(private, example, wanted, blocked)
    if precision == "bfloat16":
        private = _halved(private, example, wanted)
    if leak or blocked:
        alone = len(set(wanted)) == 1  # of several layers, one that is kept could be overwritten by a later one
        _replace(private, lambda child: _leaky(child, leak, alone))
    if blocked and can_pack():
        private = _packed(private, example, wanted)
    for part in private.modules():
        if isinstance(part, nn.MultiheadAttention):
            part.requires_grad_(True)
    return private.eval()


def _copied(module: nn.Module) -> nn.Module:
    """A deep copy. Tensors with a graph that a module has put into its attributes, which cannot be copied, lose it."""
    held = [leaf for part in module.modules() for leaf in _tensors(vars(part)) if leaf.grad_fn is not None]
    return copy.deepcopy(module, {id(tensor): tensor.detach().clone() for tensor in held})


def _fastest(private: nn.Module, example: Tensor, targets: Sequence[str], blocked: bool) -> nn.Module:
    """The first of the copies, the fastest one first, that computes the same as the network.

    Folding goes wrong where a module is reached past its parent's attributes; `view` of a map in channels_last fails.
    """
    pairs, before = _watch(private, example, targets)
    for faster in _faster(private, pairs, blocked):
        try:
            _, after = _watch(faster, example, targets)
        except Exception as error:  # of any kind: the network itself has just run, so it does not take the change
            if out_of_memory(error):
                raise
            continue
        if all(_close(a, b) for a, b in zip(before, after, strict=True)):
            return faster
    return private


def _packed(private: nn.Module, example: Tensor, targets: Sequence[str]) -> nn.Module:
    """With packed weights but in the targets, and what follows fused into these convolutions, where that runs and
    computes the same, else as it is."""
    example = example.to(next(private.parameters(), example).dtype)
    ready = copy.deepcopy(private)
    layers = dict(ready.named_modules())
    asked = {id(layers[name]) for name in targets if name in layers}  # these may be changed by who asked for them
    _replace(ready, lambda child: child if id(child) in asked else packed(child))
    _, before = _watch(private, example, targets)
    try:
        fuse(ready, targets)
        _, after = _watch(ready, example, targets)
    except Exception as error:
        if out_of_memory(error):
            raise
        return private
    tolerance = FOLD_TOLERANCE if example.dtype == torch.float32 else HALF_TOLERANCE
    same = all(_alike(a.float(), b.float(), tolerance) for a, b in zip(before, after, strict=True))
    return ready if same else private


def _halved(private: nn.Module, example: Tensor, targets: Sequence[str]) -> nn.Module:
    """In bfloat16 where that is close enough at the targets, else as it is."""
    half = copy.deepcopy(private).to(torch.bfloat16)
    _replace(half, depthwise_in_float32)
    _, before = _watch(private, example, targets)
    try:
        _, after = _watch(half, example.bfloat16(), targets)
    except Exception as error:  # numbers of two formats meet in it, an operation has no bfloat16, it asks for float32
        if out_of_memory(error):
            raise
        return private
    same = all(_alike(a.float(), b.float(), HALF_TOLERANCE) for a, b in zip(before, after, strict=True))
    return half if same else private


def _faster(private: nn.Module, pairs: Sequence[tuple[str, str]], blocked: bool) -> Iterator[nn.Module]:
    for stems in (True, False) if blocked and any(map(is_stem, private.modules())) else (False,):
        for layout in (torch.channels_last, torch.contiguous_format):
            for some in (pairs, ()) if pairs else ((),):
                faster = copy.deepcopy(private)
                for conv, norm in some:
                    _fold(faster, conv, norm)
                if stems:
                    _replace(faster, blocked_stem)
                yield faster.to(memory_format=layout)


def _fold(folded: nn.Module, conv: str, norm: str) -> None:
    before, after = folded.get_submodule(conv), folded.get_submodule(norm)
    fused = fuse_conv_bn_eval(cast(nn.Conv2d, before), cast(nn.BatchNorm2d, after))
    _put(folded, conv, fused.requires_grad_(False))
    _put(folded, norm, nn.Identity())


def _put(module: nn.Module, name: str, child: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(module.get_submodule(parent), last, child)


def _watch(module: nn.Module, example: Tensor, targets: Sequence[str]) -> tuple[list[tuple[str, str]], list[Tensor]]:
    """The (convolution, BatchNorm) pairs that may be folded, and the outputs of the targets and of the whole."""
    watch = _Watch({name for name in targets if name})
    with torch.no_grad():
        handles = [child.register_forward_hook(watch.seen(name)) for name, child in module.named_modules() if name]
        try:
            with watch:
                output = module(example.clone())  # some change their input
        finally:
            for handle in handles:
                handle.remove()
    pairs = watch.pairs()
    return pairs, [tensor for _, tensor in watch.wanted] + _tensors(output)


class _Watch(TorchFunctionMode):
    """Which convolution's output goes into exactly one operation, and that is a BatchNorm."""

    def __init__(self, targets: set[str]) -> None:
        super().__init__()
        self.targets = targets
        self.wanted: list[tuple[str, Tensor]] = []
        self.uses: Counter[int] = Counter()
        self.calls: Counter[int] = Counter()
        self.names: dict[int, list[str]] = {}
        self.convs: dict[int, tuple[str, nn.Module]] = {}
        self.norms: list[tuple[str, nn.Module, int]] = []
        self.kept: list[Tensor] = []  # an id means nothing once its tensor is gone

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if _tensors(result):
            self.uses.update({id(tensor) for tensor in _tensors((args, kwargs))})
        return result

    def seen(self, name: str) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        """A forward hook for the module of this name."""

        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            self.calls[id(module)] += 1
            if name in self.targets:
                self.wanted.extend((name, tensor) for tensor in _tensors(output))
            if type(module) is nn.Conv2d and _plain(module):
                self.kept.append(output)
                self.convs[id(output)] = (name, module)
                self.uses[id(output)] = 0  # what was counted under this id was another tensor, gone since
            elif type(module) is nn.BatchNorm2d and _plain(module) and module.running_mean is not None:
                at = id(inputs[0]) if inputs else 0
                if at in self.convs:  # asked now: a later convolution may get the id of an input that is gone
                    self.norms.append((name, module, at))

        return hook

    def pairs(self) -> list[tuple[str, str]]:
        held = {id(tensor) for _, tensor in self.wanted}
        found = [(self.convs[at], (name, norm), at) for name, norm, at in self.norms]
        return [
            (conv_name, norm_name)
            for (conv_name, conv), (norm_name, norm), at in found
            if at not in held and self.uses[at] == 1 and self.calls[id(conv)] == 1 and self.calls[id(norm)] == 1
        ]


def _leaky(module: nn.Module, leak: float, inplace: bool) -> nn.Module:
    """A ReLU with a leak, in place where the network's own is and that is allowed; any other module as it is."""
    return LeakyBackwardReLU(leak, inplace and module.inplace) if type(module) is nn.ReLU else module


def _plain(module: nn.Module) -> bool:
    """Without hooks of its own (weight norm, pruning, a user's): the one that watches is the only one."""
    return not module._forward_pre_hooks and len(module._forward_hooks) <= 1


def _replace(module: nn.Module, new: Callable[[nn.Module], nn.Module]) -> None:
    replaced: dict[int, nn.Module] = {}  # a module that is used in several places stays one module
    for parent in list(module.modules()):
        for name, child in list(parent._modules.items()):
            if child is not None:
                setattr(parent, name, replaced.setdefault(id(child), new(child)))


def _tensors(value: object) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]


def _alike(a: Tensor, b: Tensor, tolerance: float) -> bool:
    return a.shape == b.shape and bool((a - b).norm() <= tolerance * a.norm())


def _close(a: Tensor, b: Tensor) -> bool:
    if a.shape != b.shape or a.dtype == torch.bool:
        return torch.equal(a, b)
    return not a.numel() or bool((a - b).abs().max() <= FOLD_TOLERANCE * a.abs().max() + 1e-8)
