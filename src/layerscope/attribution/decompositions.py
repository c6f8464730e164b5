"""Operations that are made of simpler ones, written out in those: norms, extremes, statistics.

Each gives a function that runs the simpler operations, which then get the rules of their kinds, or None where it is not
made of simpler ones with these arguments. `held(function, x)` computes a normaliser: a method may hold it constant.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from layerscope.attribution.attention import multi_head_attention_forward, scaled_dot_product_attention

Held = Callable[[Callable[[Tensor], Tensor], Tensor], Tensor]
Parts = Callable[[], Any]


def layer_norm(
    held: Held,
    x: Tensor,
    shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn: bool = True,
) -> Parts:
    """Over the last axes (Ba et al. 2016)."""
    axes = tuple(range(-len(shape), 0))
    return lambda: _affine(_normalised(held, x, axes, eps), weight, bias)


def rms_norm(
    held: Held, x: Tensor, shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Parts:
    """Without a mean (Zhang & Sennrich 2019)."""
    axes = tuple(range(-len(shape), 0))
    least = torch.finfo(x.dtype).eps if eps is None else eps
    return lambda: _affine(x / held(lambda x: _deviation(x, axes, least), x), weight, None)


def group_norm(
    held: Held,
    x: Tensor,
    groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn: bool = True,
) -> Parts:
    """Over groups of channels and all positions (Wu & He 2018)."""

    def parts() -> Tensor:
        grouped = x.reshape(x.shape[0], groups, -1)
        return _per_channel(_normalised(held, grouped, (-1,), eps).reshape(x.shape), weight, bias)

    return parts


def instance_norm(
    held: Held,
    x: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Parts:
    """Over the positions of each channel, or with statistics that were kept (Ulyanov et al. 2016)."""

    def parts() -> Tensor:
        if use_input_stats or running_mean is None or running_var is None:
            return _per_channel(_normalised(held, x, tuple(range(2, x.ndim)), eps), weight, bias)
        scale = (running_var + eps).rsqrt()
        return _per_channel(_per_channel(x, scale, -running_mean * scale), weight, bias)

    return parts


def local_response_norm(
    held: Held, x: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Parts:
    """Over neighbouring channels (Krizhevsky et al. 2012, section 3.3)."""

    def normaliser(x: Tensor) -> Tensor:
        squares = F.pad((x * x).flatten(2).unsqueeze(1), (0, 0, size // 2, (size - 1) // 2))
        return (F.avg_pool2d(squares, (size, 1), stride=1).reshape(x.shape) * alpha + k) ** beta

    return lambda: x / held(normaliser, x)


def normalize(
    held: Held, x: Tensor, p: float = 2.0, dim: int | tuple[int, ...] = 1, eps: float = 1e-12, out: None = None
) -> Parts | None:
    """To length one along an axis."""
    return (lambda: x / held(lambda x: _length(x, dim, True).clamp_min(eps), x)) if p == 2 else None


def norm(
    held: Held, x: Tensor, p: float | str | None = "fro", dim: Any = None, keepdim: bool = False, **more: Any
) -> Parts | None:
    """The Euclidean length."""
    if more.get("ord", p) not in ("fro", 2, None) or more.get("dtype") is not None:
        return None
    return lambda: held(lambda x: _length(x, _axes(x, dim), keepdim), x)


def div(held: Held, a: Any, b: Any, *, rounding_mode: str | None = None) -> Parts | None:
    """A constant over data."""
    over_data = isinstance(b, Tensor) and b.requires_grad and not (isinstance(a, Tensor) and a.requires_grad)
    return (lambda: b.reciprocal() * a) if over_data and rounding_mode is None else None


def rdiv(held: Held, b: Tensor, a: float) -> Parts:
    """A number over data."""
    return lambda: b.reciprocal() * a


def addcmul(held: Held, x: Any, a: Any, b: Any, *, value: float = 1) -> Parts:
    return lambda: x + a * b * value


def addcdiv(held: Held, x: Any, a: Any, b: Any, *, value: float = 1) -> Parts:
    return lambda: x + a / b * value


def addmm(held: Held, x: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1) -> Parts:
    return lambda: x * beta + a @ b * alpha


def glu(held: Held, x: Tensor, dim: int = -1) -> Parts:
    """One half gates the other (Dauphin et al. 2017)."""

    def parts() -> Tensor:
        value, gate = x.chunk(2, dim)
        return value * torch.sigmoid(gate)

    return parts


def amax(held: Held, x: Tensor, dim: Any = None, keepdim: bool = False) -> Parts:
    """Over one or several axes: as one pooling window."""
    axes = _axes(x, dim)
    others = [axis for axis in range(x.ndim) if axis not in axes]

    def parts() -> Tensor:
        rows = x.permute(*others, *axes).reshape(-1, math.prod(x.shape[axis] for axis in axes))
        shape = [1 if axis in axes else size for axis, size in enumerate(x.shape) if keepdim or axis in others]
        return F.adaptive_max_pool1d(rows, 1).reshape(shape)

    return parts


def amin(held: Held, x: Tensor, dim: Any = None, keepdim: bool = False) -> Parts:
    return lambda: -(-x).amax(_axes(x, dim), keepdim)


def max_(held: Held, x: Tensor, dim: Any = None, keepdim: bool = False, *, other: Tensor | None = None) -> Parts:
    """Of all values, along an axis (with the places), or of two tensors."""
    second = dim if isinstance(dim, Tensor) else other
    if second is not None:
        return maximum(held, x, second)
    if dim is None:
        return amax(held, x)
    return lambda: torch.return_types.max((x.amax(dim, keepdim), x.detach().argmax(dim, keepdim)))


def min_(held: Held, x: Tensor, dim: Any = None, keepdim: bool = False, *, other: Tensor | None = None) -> Parts:
    """As `max_`."""
    second = dim if isinstance(dim, Tensor) else other
    if second is not None:
        return minimum(held, x, second)
    if dim is None:
        return amin(held, x)
    return lambda: torch.return_types.min((x.amin(dim, keepdim), x.detach().argmin(dim, keepdim)))


def maximum(held: Held, a: Tensor, b: Tensor) -> Parts:
    return lambda: b + torch.relu(a - b)


def minimum(held: Held, a: Tensor, b: Tensor) -> Parts:
    return lambda: b - torch.relu(b - a)


def var(
    held: Held,
    x: Tensor,
    dim: Any = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Parts:
    """The variance along axes, or over all values."""
    if isinstance(dim, bool):  # var(x, unbiased)
        dim, unbiased = None, dim
    axes = _axes(x, dim)
    less = float(unbiased) if correction is None else correction
    count = math.prod(x.shape[axis] for axis in axes) - less

    def parts() -> Tensor:
        centred = x - x.mean(axes, keepdim=True)
        return (centred * centred).sum(axes, keepdim=keepdim) / count

    return parts


def std(held: Held, x: Tensor, *args: Any, **kwargs: Any) -> Parts:
    """As `var`."""
    return lambda: held(lambda x: x.var(*args, **kwargs).sqrt(), x)


def var_mean(held: Held, x: Tensor, dim: Any = None, *args: Any, **kwargs: Any) -> Parts:
    """As `var`, and the mean."""
    keepdim = kwargs.get("keepdim", len(args) > 1 and args[1])
    axes = _axes(x, None if isinstance(dim, bool) else dim)
    return lambda: (x.var(dim, *args, **kwargs), x.mean(axes, keepdim))


def std_mean(held: Held, x: Tensor, dim: Any = None, *args: Any, **kwargs: Any) -> Parts:
    """As `var_mean`."""

    def parts() -> tuple[Tensor, Tensor]:
        variance, mean = torch.var_mean(x, dim, *args, **kwargs)
        return variance.sqrt(), mean

    return parts


def _axes(x: Tensor, dim: Any) -> tuple[int, ...]:
    """As counted from the front; all of them for None."""
    named = range(x.ndim) if dim in (None, (), []) else (dim,) if isinstance(dim, int) else dim
    return tuple(axis % x.ndim for axis in named)


def _length(x: Tensor, axes: int | tuple[int, ...], keepdim: bool) -> Tensor:
    return (x * x).sum(axes, keepdim=keepdim).sqrt()


def _deviation(x: Tensor, axes: tuple[int, ...], eps: float) -> Tensor:
    return ((x * x).mean(axes, keepdim=True) + eps).sqrt()


def _normalised(held: Held, x: Tensor, axes: tuple[int, ...], eps: float) -> Tensor:
    centred = x - x.mean(axes, keepdim=True)
    return centred / held(lambda centred: _deviation(centred, axes, eps), centred)


def _affine(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    scaled = x if weight is None else x * weight
    return scaled if bias is None else scaled + bias


def _per_channel(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    shape = (1, -1, *(1,) * (x.ndim - 2))
    return _affine(x, *(None if one is None else one.view(shape) for one in (weight, bias)))


DECOMPOSED: dict[str, Callable[..., Parts | None]] = {
    "addcdiv": addcdiv,
    "addcmul": addcmul,
    "addmm": addmm,
    "amax": amax,
    "amin": amin,
    "baddbmm": addmm,
    "div": div,
    "glu": glu,
    "group_norm": group_norm,
    "instance_norm": instance_norm,
    "layer_norm": layer_norm,
    "local_response_norm": local_response_norm,
    "max": max_,
    "maximum": maximum,
    "min": min_,
    "minimum": minimum,
    "multi_head_attention_forward": multi_head_attention_forward,
    "norm": norm,
    "normalize": normalize,
    "rdiv": rdiv,
    "rms_norm": rms_norm,
    "scaled_dot_product_attention": scaled_dot_product_attention,
    "std": std,
    "std_mean": std_mean,
    "var": var,
    "var_mean": var_mean,
    "vector_norm": norm,
}
