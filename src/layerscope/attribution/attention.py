"""Attention written out in products and a softmax, which then get the rules of their kinds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def scaled_dot_product_attention(
    held: object,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Callable[[], Tensor] | None:
    """softmax(query key^T / sqrt(width)) value (Vaswani et al. 2017, equation 1).

    attn_mask: what is added, or True where a key may be seen. None for attention that is causal, grouped or random.
    """
    if is_causal or enable_gqa or dropout_p:
        return None
    return lambda: _attended(query, key, value, None if attn_mask is None else _added(attn_mask, query), scale)[0]


def multi_head_attention_forward(
    held: object,
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
    average_attn_weights: bool = True,
    **more: Any,
) -> Callable[[], tuple[Tensor, Tensor | None]] | None:
    """Of [tokens, batch, width], through the projections of `nn.MultiheadAttention`.

    attn_mask: what is added, or True where a key may not be seen. None for attention with keys of its own, with
    padding, random, or of a single image.
    """
    unusual = (bias_k, bias_v, key_padding_mask, more.get("static_k"), more.get("static_v"))
    if add_zero_attn or (training and dropout_p) or query.ndim != 3 or any(one is not None for one in unusual):
        return None
    separate = (more.get("q_proj_weight"), more.get("k_proj_weight"), more.get("v_proj_weight"))
    weights: tuple[Any, ...] = separate if in_proj_weight is None else in_proj_weight.chunk(3)

    def parts() -> tuple[Tensor, Tensor | None]:
        biases = (None,) * 3 if in_proj_bias is None else in_proj_bias.chunk(3)
        given = zip((query, key, value), weights, biases, strict=True)
        q, k, v = (_heads(F.linear(one.transpose(0, 1), weight, bias), num_heads) for one, weight, bias in given)
        seen = None if attn_mask is None else ~attn_mask if attn_mask.dtype == torch.bool else attn_mask
        if seen is not None:
            seen = _added(seen.view(-1, num_heads, *seen.shape[1:]) if seen.ndim == 3 else seen, q)
        attended, attention = _attended(q, k, v, seen, None)
        out = F.linear(attended.transpose(1, 2).flatten(2), out_proj_weight, out_proj_bias).transpose(0, 1)
        return out, (attention.mean(1) if average_attn_weights else attention) if need_weights else None

    return parts


def _attended(
    query: Tensor, key: Tensor, value: Tensor, added: Tensor | None, scale: float | None
) -> tuple[Tensor, Tensor]:
    """What is attended to [..., queries, width], and how much: [..., queries, keys]."""
    scores = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
    attention = torch.softmax(scores if added is None else scores + added, -1)
    return attention @ value, attention


def _heads(tokens: Tensor, heads: int) -> Tensor:
    """[batch, tokens, width] -> [batch, heads, tokens, width of a head]."""
    split: Tensor = tokens.unflatten(2, (heads, -1))
    return split.transpose(1, 2)


def _added(mask: Tensor, like: Tensor) -> Tensor:
    """What a mask adds to the scores; of booleans, True may be seen."""
    if mask.dtype != torch.bool:
        return mask
    return torch.zeros_like(mask, dtype=like.dtype).masked_fill(~mask, -torch.inf)
