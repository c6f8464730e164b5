"""Operations that are made of simpler ones, written out in those: norms, attention, quotients.

Each gives a function that runs the simpler operations, which then get the rules of their kinds, or None where the
operation is simple for these arguments. `held(function, x)` computes a normaliser: a method may hold it constant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from layerscope.errors import InputError

Held = Callable[[Callable[[Tensor], Tensor], Tensor], Tensor]
Parts = Callable[[], Any]


def layer_norm(
    held: Held,
    x: Tensor,
    shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
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
    return lambda: _affine(x * held(lambda x: ((x * x).mean(axes, keepdim=True) + least).rsqrt(), x), weight, None)


def group_norm(
    held: Held, x: Tensor, groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
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
        shape = (1, -1, *(1,) * (x.ndim - 2))
        scale = (running_var + eps).rsqrt().view(shape)
        return _per_channel((x - running_mean.view(shape)) * scale, weight, bias)

    return parts


def normalize(
    held: Held, x: Tensor, p: float = 2.0, dim: int | tuple[int, ...] = 1, eps: float = 1e-12, out: None = None
) -> Parts | None:
    """To length one along an axis."""
    return (
        (lambda: x * held(lambda x: (x * x).sum(dim, keepdim=True).sqrt().clamp_min(eps).reciprocal(), x))
        if p == 2
        else None
    )


def norm(
    held: Held, x: Tensor, p: float | str | None = "fro", dim: Any = None, keepdim: bool = False, **more: Any
) -> Parts | None:
    """The Euclidean length."""
    axes = tuple(range(x.ndim)) if dim is None else dim
    return (lambda: held(lambda x: (x * x).sum(axes, keepdim=keepdim).sqrt(), x)) if p in ("fro", 2, None) else None


def div(held: Held, a: Any, b: Any, *, rounding_mode: None = None, **more: Any) -> Parts | None:
    """A quotient whose denominator depends on the image."""
    if rounding_mode is not None or not _depends(b):
        return None
    return lambda: a * held(torch.reciprocal, b)


def rdiv(held: Held, b: Tensor, a: Any) -> Parts:
    """A constant over what depends on the image."""
    return lambda: b.reciprocal() * a


def addcmul(held: Held, x: Any, a: Any, b: Any, *, value: float = 1) -> Parts:
    return lambda: x + a * b * value


def addcdiv(held: Held, x: Any, a: Any, b: Any, *, value: float = 1) -> Parts:
    return lambda: x + a / b * value


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
    axes = tuple(range(x.ndim)) if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    count = 1
    for axis in axes:
        count *= x.shape[axis]
    less = float(unbiased) if correction is None else correction

    def parts() -> Tensor:
        centred = x - x.mean(axes, keepdim=True)
        return (centred * centred).sum(axes, keepdim=keepdim) / (count - less)

    return parts


def scaled_dot_product_attention(
    held: Held,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Parts:
    """softmax(query key^T / sqrt(width)) value (Vaswani et al. 2017, equation 1)."""
    if is_causal or enable_gqa or dropout_p:
        raise InputError("attention that is causal, grouped or with dropout has no rule; choose a gradient method")

    def parts() -> Tensor:
        scores = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
        if attn_mask is not None:
            seen = attn_mask if attn_mask.dtype.is_floating_point else _masked(attn_mask, scores)
            scores = scores + seen
        return torch.softmax(scores, -1) @ value

    return parts


def multi_head_attention_forward(
    held: Held,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    **more: Any,
) -> Parts:
    """[tokens, batch, width] through the projections of `nn.MultiheadAttention`, without its attention weights."""
    unusual = (bias_k, bias_v, key_padding_mask, *(more.get(f"{side}_proj_weight") for side in "qkv"))
    if in_proj_weight is None or add_zero_attn or any(one is not None for one in unusual) or query.ndim != 3:
        raise InputError(
            "attention with biases of keys, padding or separate weights has no rule; choose a gradient method"
        )

    def parts() -> tuple[Tensor, None]:
        biases = [None] * 3 if in_proj_bias is None else in_proj_bias.chunk(3)
        projected = [
            F.linear(given, weight, bias)
            for given, weight, bias in zip((query, key, value), in_proj_weight.chunk(3), biases, strict=True)
        ]
        q, k, v = (_heads(one, num_heads) for one in projected)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask)
        return F.linear(out.permute(2, 0, 1, 3).flatten(2), out_proj_weight, out_proj_bias), None

    return parts


def _heads(tokens: Tensor, heads: int) -> Tensor:
    """[tokens, batch, width] -> [batch, heads, tokens, width of a head]."""
    split: Tensor = tokens.unflatten(2, (heads, -1))
    return split.permute(1, 2, 0, 3)


def _normalised(held: Held, x: Tensor, axes: tuple[int, ...], eps: float) -> Tensor:
    centred = x - x.mean(axes, keepdim=True)
    return centred * held(lambda c: ((c * c).mean(axes, keepdim=True) + eps).rsqrt(), centred)


def _affine(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    scaled = x if weight is None else x * weight
    return scaled if bias is None else scaled + bias


def _per_channel(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    shape = (1, -1, *(1,) * (x.ndim - 2))
    return _affine(x, *(None if one is None else one.view(shape) for one in (weight, bias)))


def _masked(mask: Tensor, scores: Tensor) -> Tensor:
    """What a mask of booleans (True: may be seen) adds to the scores."""
    return torch.zeros_like(mask, dtype=scores.dtype).masked_fill(~mask, -torch.inf)


def _depends(value: Any) -> bool:
    return isinstance(value, Tensor) and value.requires_grad


DECOMPOSED: dict[str, Callable[..., Parts | None]] = {
    "layer_norm": layer_norm,
    "rms_norm": rms_norm,
    "group_norm": group_norm,
    "instance_norm": instance_norm,
    "normalize": normalize,
    "norm": norm,
    "vector_norm": norm,
    "div": div,
    "rdiv": rdiv,
    "addcmul": addcmul,
    "addcdiv": addcdiv,
    "maximum": maximum,
    "minimum": minimum,
    "var": var,
    "scaled_dot_product_attention": scaled_dot_product_attention,
    "multi_head_attention_forward": multi_head_attention_forward,
}
