"""A copy of the network that is fast and kind to ascent; the user's own stays as it is.

BatchNorm is folded into the convolution before it, weights are frozen and channels_last (both where the network
computes the same then), and a ReLU lets a little gradient through where it is closed (its forward pass is exact), so
that units that are off can still be climbed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from layerscope.capture.sites import first_name, split
from layerscope.models.depthwise import depthwise_in_float32
from layerscope.models.fused import fuse
from layerscope.models.hooked import hooked
from layerscope.models.leaky import LeakyBackwardReLU
from layerscope.models.memory import out_of_memory
from layerscope.models.packed import can_pack, packed
from layerscope.models.precision import Precision
from layerscope.models.stem import blocked_stem, is_stem
from layerscope.models.watch import Seen, tensors_of, watch

T = TypeVar("T")
FOLD_TOLERANCE = 1e-4  # of the largest activation; rounding alone stays below
SLOPE_TOLERANCE = 0.1
"""Of the gradient's length. ReLUs that rounding opens or closes turn it: in a random resnet50 by a cosine of .999, or a
twentieth (`layerscope benchmark synthesis`)."""
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

    leak: of the gradient of a closed ReLU, unless it has hooks. precision: the number format of its weights; the copy
    is in float32 all the same where the network does not run in bfloat16, or computes something else in it.
    Of attention the weights are not frozen, only so that torch does not copy frozen ones for every token (which
    takes most of the time in bfloat16): take gradients by the input with `torch.autograd.grad`.
    blocked: compute a strided first convolution over blocks of pixels (`layerscope.models.stem`); it rounds otherwise.

    `example` [batch, channel, height, width] is an input as the module gets it (normalised); it is run to find which
    BatchNorm reads which convolution, in the order of execution and not by name.
    """
    private = _copied(module).eval().requires_grad_(False).float()
    for parameter in private.parameters():
        parameter.grad = None
    wanted = [split(first_name(private, name))[0] for name in targets]
    private = _fastest(private, example, wanted, blocked)
    if leak or blocked:
        private = _with_leak(private, example, wanted, leak)
    if blocked and can_pack():
        private = _packed(private, example, wanted)
    if precision == "bfloat16":
        private = _halved(private, example, wanted)
    for part in private.modules():
        if isinstance(part, nn.MultiheadAttention):
            part.requires_grad_(True)
    return private.eval()


def _copied(module: nn.Module) -> nn.Module:
    """A deep copy. Tensors with a graph that a module has put into its attributes, which cannot be copied, lose it."""
    held = [leaf for part in module.modules() for leaf in tensors_of(vars(part)) if leaf.grad_fn is not None]
    return copy.deepcopy(module, {id(tensor): tensor.detach().clone() for tensor in held})


def _fastest(private: nn.Module, example: Tensor, targets: Sequence[str], blocked: bool) -> nn.Module:
    """The first of the copies, the fastest one first, that computes the same as the network.

    Folding goes wrong where a module is reached past its parent's attributes; `view` of a map in channels_last fails.
    """
    before = watch(private, example, targets)
    faster = _faster(private, before.pairs, blocked)
    return _first(faster, lambda copied: _equal(before, watch(copied, example, targets))) or private


def _with_leak(private: nn.Module, example: Tensor, targets: Sequence[str], leak: float) -> nn.Module:
    """With ReLUs that leak, in place where the network's own are, unless one of several targets could be overwritten.

    A network may need that all the same: a skip that starts before a ReLU in place, and means what comes after.
    """
    as_they_are, apart = (partial(_leaky, leak=leak, inplace=inplace) for inplace in (True, False))
    if len(set(targets)) == 1:
        return _replaced(private, as_they_are)
    leaking = (_replaced(private, new) for new in (apart, as_they_are))
    before = _tried(lambda: watch(private, example, targets, gradients=True))
    if before is None:
        return next(leaking)
    return _first(leaking, lambda copied: _equal(before, watch(copied, example, targets, gradients=True))) or private


def _packed(private: nn.Module, example: Tensor, targets: Sequence[str]) -> nn.Module:
    """With packed weights but in the targets, and what follows fused into these convolutions, where that runs and
    computes the same, with the same gradient; else only packed, or as it is."""
    layers = dict(private.named_modules())
    asked = {name for name in targets if name in layers}  # these may be changed by who asked for them

    def packing() -> Iterator[nn.Module]:
        for fused in (True, False):
            ready = _replaced(private, packed, asked)
            if fused:
                fuse(ready, targets)
            yield ready

    before = _tried(lambda: watch(private, example, targets, gradients=True))
    if before is None:
        return private

    def same(copied: nn.Module) -> bool:
        after = watch(copied, example, targets, gradients=True)
        return _alike(before.values, after.values, FOLD_TOLERANCE) and _sloped_alike(before.gradient, after.gradient)

    return _first(packing(), same) or private


def _halved(private: nn.Module, example: Tensor, targets: Sequence[str]) -> nn.Module:
    """In bfloat16 where that is close enough at the targets, else as it is.

    It is not where numbers of two formats meet, an operation has no bfloat16, or asks for float32.
    """

    def half() -> Iterator[nn.Module]:
        ready = _copied(private).to(torch.bfloat16)
        _replace(ready, depthwise_in_float32)
        yield ready

    before = watch(private, example, targets).values
    return (
        _first(half(), lambda copied: _alike(before, watch(copied, example.bfloat16(), targets).values, HALF_TOLERANCE))
        or private
    )


def _first(copies: Iterator[nn.Module], same: Callable[[nn.Module], bool]) -> nn.Module | None:
    """The first copy that runs and computes the same."""
    return next((copied for copied in copies if _tried(partial(same, copied))), None)


def _tried(run: Callable[[], T]) -> T | None:
    """What a run gives; None where the network does not take it, or does not go through with gradients.

    Want of memory is raised: another copy would round otherwise.
    """
    try:
        return run()
    except Exception as error:  # of any kind that torch, or the network's own code, raises
        if out_of_memory(error):
            raise
        return None


def _faster(private: nn.Module, pairs: Sequence[tuple[str, str]], blocked: bool) -> Iterator[nn.Module]:
    for stems in (True, False) if blocked and any(map(is_stem, private.modules())) else (False,):
        for layout in (torch.channels_last, torch.contiguous_format):
            for some in (pairs, ()) if pairs else ((),):
                faster = _copied(private)
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


def _leaky(module: nn.Module, leak: float, inplace: bool) -> nn.Module:
    """A ReLU with a leak, in place where the network's own is and that is allowed; any other module as it is."""
    if type(module) is not nn.ReLU or hooked(module):
        return module
    return LeakyBackwardReLU(leak, inplace and module.inplace)


def _replaced(module: nn.Module, new: Callable[[nn.Module], nn.Module], but: Collection[str] = ()) -> nn.Module:
    """A copy with other modules in the place of some, but for those of these names."""
    copied = _copied(module)
    kept = {id(part) for name, part in copied.named_modules() if name in but}
    _replace(copied, lambda child: child if id(child) in kept else new(child))
    return copied


def _replace(module: nn.Module, new: Callable[[nn.Module], nn.Module]) -> None:
    replaced: dict[int, nn.Module] = {}  # a module that is used in several places stays one module
    for parent in list(module.modules()):
        for name, child in list(parent._modules.items()):
            if child is not None:
                setattr(parent, name, replaced.setdefault(id(child), new(child)))


def _equal(before: Seen, after: Seen) -> bool:
    """To rounding, value by value."""
    return len(before.values) == len(after.values) and all(map(_close, before.values, after.values))


def _close(a: Tensor, b: Tensor) -> bool:
    if a.shape != b.shape or a.dtype == torch.bool:
        return torch.equal(a, b)
    return not a.numel() or bool((a - b).abs().max() <= FOLD_TOLERANCE * a.abs().max() + 1e-8)


def _alike(before: Sequence[Tensor], after: Sequence[Tensor], tolerance: float) -> bool:
    """To a share of the length of all."""
    return len(before) == len(after) and all(
        a.shape == b.shape and bool((a.float() - b.float()).norm() <= tolerance * a.float().norm())
        for a, b in zip(before, after, strict=True)
    )


def _sloped_alike(before: Tensor | None, after: Tensor | None) -> bool:
    if before is None or after is None:
        return before is after
    return bool((before - after).norm() <= SLOPE_TOLERANCE * before.norm())
