"""One use of every operation that attribution has a rule for, and small networks around such uses."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from layerscope.models.model import VisionModel, wrap

Use = Callable[[Tensor], Tensor]
"""From an activation [batch, 4, 6, 6] to any tensor [batch, ...]."""


class Around(nn.Module):
    """A convolution, one use of an operation, and two classes from all that it gives."""

    def __init__(self, use: Use) -> None:
        super().__init__()
        self.conv, self.use = nn.Conv2d(3, 4, 3, padding=1), use

    def forward(self, x: Tensor) -> Tensor:
        y = self.use(self.conv(x)).flatten(1)
        return y @ constant(y.shape[1], 2).to(y)


def around(use: Use, bias: bool = True) -> VisionModel:
    """In float64, for images of 6 pixels."""
    module = Around(use).double().eval()
    with torch.no_grad():
        module.conv.weight.copy_(constant(4, 3, 3, 3, seed=1) / 2)
        module.conv.bias.copy_(constant(4, seed=2) * bias)
    return wrap(module, input_size=6, class_names=("first", "second"), mean=(0.0,) * 3, std=(1.0,) * 3, name="around")


def constant(*shape: int, seed: int = 0) -> Tensor:
    """Of a normal distribution, in float64."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _positive(x: Tensor) -> Tensor:
    return x.square() + 0.5


def _inside(x: Tensor) -> Tensor:
    """In (-0.9, 0.9)."""
    return torch.tanh(x) * 0.9


def _tokens(x: Tensor) -> Tensor:
    """[batch, 9, 16]"""
    return x.reshape(len(x), 9, 16)


def _half(x: Tensor) -> tuple[Tensor, Tensor]:
    return x[:, :2], x[:, 2:]


def _attention(batch_first: bool, weights: bool = False, **more: object) -> Use:
    module = nn.MultiheadAttention(16, 4, batch_first=batch_first, **more).double().eval()
    with torch.no_grad():
        for number, weight in enumerate(module.parameters()):
            weight.copy_(constant(*weight.shape, seed=number) / 3)

    def use(x: Tensor) -> Tensor:
        tokens = _tokens(x) if batch_first else _tokens(x).transpose(0, 1)
        out, attention = module(tokens, tokens, tokens, need_weights=weights)
        out = out if batch_first else out.transpose(0, 1)
        return torch.cat([out.flatten(1), attention.flatten(1)], 1) if weights else out

    return use


_MASK = torch.tensor([True, False, True, True, False, True])
_PLACES = torch.tensor([2, 0, 1])
_MEAN, _VARIANCE = constant(4, seed=3), constant(4, seed=4).square() + 0.5
_GRID = torch.rand(1, 5, 5, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1

ROUTES: dict[str, Use] = {
    "adjoint": lambda x: x.adjoint(),
    "alpha_dropout": lambda x: F.alpha_dropout(x, 0.5, training=False),
    "atleast_1d": torch.atleast_1d,
    "atleast_2d": torch.atleast_2d,
    "atleast_3d": torch.atleast_3d,
    "bfloat16": lambda x: x.bfloat16().double() * 0 + x,
    "broadcast_tensors": lambda x: torch.broadcast_tensors(x[:, :1], x)[0],
    "broadcast_to": lambda x: x[:, :1].broadcast_to(x.shape),
    "cat": lambda x: torch.cat([x, torch.ones_like(x), 2 * x], 1),
    "channel_shuffle": lambda x: F.channel_shuffle(x, 2) if hasattr(F, "channel_shuffle") else torch.channel_shuffle(x, 2),
    "chunk": lambda x: x.chunk(2, 1)[1],
    "clone": lambda x: x.clone(),
    "column_stack": lambda x: torch.column_stack([x.flatten(1), 2 * x.flatten(1)]),
    "concat": lambda x: torch.concat([x, 2 * x], 1),
    "concatenate": lambda x: torch.concatenate([x, 2 * x], 1),
    "constant_pad_nd": lambda x: torch.constant_pad_nd(x, (1, 2), 3.0),
    "contiguous": lambda x: x.transpose(1, 2).contiguous(),
    "copy": lambda x: torch.zeros_like(x).copy_(x[:, :1]),
    "cpu": lambda x: x.cpu(),
    "cuda": lambda x: x.cuda() if x.is_cuda else x,
    "diagonal": lambda x: x.diagonal(0, 2, 3),
    "double": lambda x: x.double(),
    "dropout": lambda x: F.dropout(x, 0.5, training=False) + torch.dropout(x, 0.5, False),
    "dropout1d": lambda x: F.dropout1d(x.flatten(2), 0.5, training=False),
    "dropout2d": lambda x: F.dropout2d(x, 0.5, training=False, inplace=True),
    "dropout3d": lambda x: F.dropout3d(x[..., None], 0.5, training=False),
    "dsplit": lambda x: x[..., None].dsplit(2)[0] if x.ndim == 3 else x.dsplit(2)[0],
    "dstack": lambda x: torch.dstack([x, 2 * x]),
    "expand": lambda x: x[:, :1].expand(-1, 3, -1, -1),
    "expand_as": lambda x: x[:, :1].expand_as(x),
    "feature_alpha_dropout": lambda x: F.feature_alpha_dropout(x, 0.5, training=False),
    "feature_dropout": lambda x: torch.feature_dropout(x, 0.5, False),
    "fill": lambda x: torch.cat([x, x.clone().fill_(2.0)], 1),
    "flatten": lambda x: torch.flatten(x, 1),
    "flip": lambda x: x.flip(2, 3),
    "fliplr": lambda x: x.fliplr(),
    "flipud": lambda x: x.transpose(0, 2).flipud().transpose(0, 2),
    "float": lambda x: x.float().double() * 0 + x,
    "gather": lambda x: x.gather(3, torch.tensor([[[[1, 3]]]]).expand(len(x), 4, 6, 2)),
    "getitem": lambda x: torch.cat([x[:, [2, 0], ..., ::2], x[..., _MASK][:, :2]], 3),
    "half": lambda x: x.half().double() * 0 + x,
    "hsplit": lambda x: x.hsplit(2)[1],
    "hstack": lambda x: torch.hstack([x, 2 * x]),
    "index_copy": lambda x: x.index_copy(1, _PLACES, 2 * x[:, 1:]),
    "index_fill": lambda x: x.index_fill(1, _PLACES[:2], 3.0),
    "index_put": lambda x: x.index_put((torch.tensor([0]), torch.tensor([1])), x[0, :1]),
    "index_select": lambda x: x.index_select(1, _PLACES),
    "masked_fill": lambda x: x.masked_fill(_MASK, 2.0),
    "masked_select": lambda x: x.transpose(0, 1).masked_select(_MASK).reshape(4, len(x), -1).transpose(0, 1),
    "meshgrid": lambda x: torch.meshgrid(x.flatten(), torch.ones(2).to(x), indexing="ij")[0].reshape(len(x), -1),
    "moveaxis": lambda x: x.moveaxis(1, 3),
    "movedim": lambda x: x.movedim(1, 3),
    "narrow": lambda x: x.narrow(1, 1, 2),
    "pad": lambda x: torch.cat([F.pad(x, (1, 1, 1, 1), mode=mode) for mode in ("constant", "reflect", "replicate", "circular")], 1),
    "permute": lambda x: x.permute(0, 2, 3, 1),
    "pixel_shuffle": lambda x: F.pixel_shuffle(x, 2),
    "pixel_unshuffle": lambda x: F.pixel_unshuffle(x, 2),
    "ravel": lambda x: x.ravel().reshape(len(x), -1),
    "repeat": lambda x: x.repeat(1, 2, 1, 1),
    "repeat_interleave": lambda x: x.repeat_interleave(2, 1),
    "reshape": lambda x: x.reshape(len(x), 2, -1),
    "reshape_as": lambda x: x.reshape_as(x.transpose(1, 2)),
    "resolve_conj": lambda x: x.resolve_conj(),
    "resolve_neg": lambda x: x.resolve_neg(),
    "roll": lambda x: torch.roll(x, (1, 2), (2, 3)),
    "rot90": lambda x: torch.rot90(x, 1, (2, 3)),
    "select": lambda x: x.select(1, 2),
    "select_scatter": lambda x: x.select_scatter(x[:, 0], 1, 2),
    "setitem": lambda x: _assigned(x),
    "slice_scatter": lambda x: x.slice_scatter(2 * x[:, :2], 1, 2, 4),
    "split": lambda x: torch.cat([*x.split(2, 1), x.split([1, 3], 1)[0]], 1),
    "split_with_sizes": lambda x: x.split_with_sizes([1, 3], 1)[1],
    "squeeze": lambda x: x[:, :1].squeeze(1),
    "stack": lambda x: torch.stack([x, 2 * x], 1),
    "swapaxes": lambda x: x.swapaxes(1, 2),
    "swapdims": lambda x: x.swapdims(1, 2),
    "t": lambda x: x.flatten(1).t().t(),
    "take": lambda x: torch.stack([image.take(_PLACES) for image in x]),
    "take_along_dim": lambda x: x.take_along_dim(torch.tensor([[[[1, 3]]]]), 3),
    "tensor_split": lambda x: x.tensor_split((1, 3), 1)[1],
    "tile": lambda x: x.tile(1, 2, 1, 1),
    "to": lambda x: x.to(torch.float64).to("cpu"),
    "transpose": lambda x: x.transpose(1, 3),
    "tril": torch.tril,
    "triu": torch.triu,
    "type": lambda x: x.type(torch.float64),
    "type_as": lambda x: x.type_as(2 * x),
    "unbind": lambda x: x.unbind(1)[3],
    "unflatten": lambda x: x.unflatten(1, (2, 2)),
    "unfold": lambda x: torch.cat([F.unfold(x, 3, stride=2).flatten(1), x.unfold(2, 3, 2).flatten(1)], 1),
    "unsafe_chunk": lambda x: x.unsafe_chunk(2, 1)[0],
    "unsafe_split": lambda x: x.unsafe_split(2, 1)[0],
    "unsqueeze": lambda x: x.unsqueeze(2),
    "view": lambda x: x.view(len(x), -1),
    "view_as": lambda x: x.view_as(2 * x),
    "vsplit": lambda x: x.transpose(0, 1).vsplit(2)[0].transpose(0, 1),
    "vstack": lambda x: torch.vstack([x.transpose(0, 1), x.transpose(0, 1)]).transpose(0, 1),
    "where": lambda x: torch.where(_MASK, x, 2 * x),
    "zero": lambda x: torch.cat([x, x.clone().zero_()], 1),
}  # fmt: skip

LINEAR: dict[str, Use] = {
    "adaptive_avg_pool1d": lambda x: F.adaptive_avg_pool1d(x.flatten(2), 5),
    "adaptive_avg_pool2d": lambda x: F.adaptive_avg_pool2d(x, (4, 5)),
    "adaptive_avg_pool3d": lambda x: F.adaptive_avg_pool3d(x, (3, 4, 5)),
    "add": lambda x: torch.add(x, x.roll(1, 1), alpha=2) + 3,
    "avg_pool1d": lambda x: F.avg_pool1d(x.flatten(2), 3, 2),
    "avg_pool2d": lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    "avg_pool3d": lambda x: F.avg_pool3d(x, 2),
    "batch_norm": lambda x: F.batch_norm(x, _MEAN, _VARIANCE, _VARIANCE, _MEAN),
    "conv1d": lambda x: F.conv1d(x.flatten(2), constant(3, 4, 3), constant(3), 2, 1),
    "conv2d": lambda x: F.conv2d(x, constant(4, 1, 3, 3), None, 2, "valid", 1, 4),
    "conv3d": lambda x: F.conv3d(x.unsqueeze(1), constant(2, 1, 2, 2, 2)),
    "conv_transpose1d": lambda x: F.conv_transpose1d(x.flatten(2), constant(4, 3, 3), constant(3)),
    "conv_transpose2d": lambda x: F.conv_transpose2d(x, constant(4, 2, 3, 3), stride=2),
    "conv_transpose3d": lambda x: F.conv_transpose3d(x.unsqueeze(1), constant(1, 2, 2, 2, 2)),
    "cumsum": lambda x: x.cumsum(1),
    "fold": lambda x: F.fold(F.unfold(x, 3), (6, 6), 3),
    "grid_sample": lambda x: F.grid_sample(x, _GRID.expand(len(x), -1, -1, -1), align_corners=False),
    "index_add": lambda x: x.index_add(1, _PLACES, 2 * x[:, 1:]),
    "interpolate": lambda x: torch.cat(
        [F.interpolate(x, size=7, mode=mode) for mode in ("nearest", "nearest-exact", "bilinear", "bicubic", "area")], 1
    ),
    "linear": lambda x: F.linear(x, constant(3, 6), bias=constant(3)),
    "mean": lambda x: x.mean((2, 3)),
    "neg": lambda x: -x,
    "negative": torch.negative,
    "positive": lambda x: +x,
    "rsub": lambda x: torch.rsub(x, 2.0),
    "scatter_add": lambda x: x.scatter_add(1, torch.zeros(len(x), 2, 6, 6, dtype=torch.long), 2 * x[:, 1:3]),
    "sub": lambda x: (2 - x) - x.roll(1, 1),
    "sum": lambda x: x.sum(3),
    "sum_to_size": lambda x: x.sum_to_size(len(x), 4, 1, 1),
}  # fmt: skip

ACTIVATIONS: dict[str, Use] = {
    "celu": F.celu,
    "clamp": lambda x: x.clamp(-0.5, 0.5) + x.clamp(min=-constant(4, 1, 1).abs()),
    "clamp_max": lambda x: x.clamp_max(0.3),
    "clamp_min": lambda x: x.clamp_min(-0.3),
    "clip": lambda x: x.clip(min=0),
    "elu": F.elu,
    "gelu": lambda x: F.gelu(x) + F.gelu(x, approximate="tanh"),
    "hardshrink": F.hardshrink,
    "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish,
    "hardtanh": F.hardtanh,
    "leaky_relu": F.leaky_relu,
    "log_sigmoid": F.logsigmoid,
    "mish": F.mish,
    "prelu": lambda x: F.prelu(x, constant(4).abs()),
    "relu": lambda x: F.relu(x) + torch.relu(2 * x) + (3 * x).relu() + torch.ops.aten.relu(x - 1),
    "relu6": lambda x: F.relu6(4 * x),
    "rrelu": F.rrelu,
    "selu": F.selu,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "softplus": F.softplus,
    "softshrink": F.softshrink,
    "softsign": F.softsign,
    "tanh": torch.tanh,
    "tanhshrink": F.tanhshrink,
    "threshold": lambda x: F.threshold(x, 0.1, -2.0),
}  # fmt: skip

FUNCTIONS: dict[str, Use] = {
    "abs": abs,
    "absolute": torch.absolute,
    "acos": lambda x: torch.acos(_inside(x)),
    "asin": lambda x: torch.asin(_inside(x)),
    "atan": torch.atan,
    "cos": torch.cos,
    "cosh": torch.cosh,
    "erf": torch.erf,
    "erfc": torch.erfc,
    "exp": torch.exp,
    "exp2": torch.exp2,
    "expit": torch.special.expit,
    "expm1": torch.expm1,
    "log": lambda x: _positive(x).log(),
    "log10": lambda x: _positive(x).log10(),
    "log1p": lambda x: _positive(x).log1p(),
    "log2": lambda x: _positive(x).log2(),
    "logit": lambda x: torch.sigmoid(x).logit(),
    "pow": lambda x: x**2 + torch.pow(2, x) + _positive(x[:, :1]) ** constant(4, 1, 1),
    "reciprocal": lambda x: _positive(x).reciprocal(),
    "rpow": lambda x: 2**x,
    "rsqrt": lambda x: _positive(x).rsqrt(),
    "sin": torch.sin,
    "sinh": torch.sinh,
    "sqrt": lambda x: _positive(x).sqrt() + x.relu().sqrt(),
    "square": torch.square,
    "tan": lambda x: torch.tan(_inside(x)),
}

MAXIMA: dict[str, Use] = {
    "adaptive_max_pool1d": lambda x: F.adaptive_max_pool1d(x.flatten(2), 5),
    "adaptive_max_pool2d": lambda x: F.adaptive_max_pool2d(x, (4, 5)),
    "adaptive_max_pool3d": lambda x: F.adaptive_max_pool3d(x.unsqueeze(1), (3, 4, 5)),
    "max_pool1d": lambda x: F.max_pool1d(x.flatten(2), 3, stride=2, padding=1, dilation=2),
    "max_pool2d": lambda x: torch.cat([F.max_pool2d(x, 3, 2, 1, ceil_mode=True).flatten(1), F.max_pool2d(x, 2).flatten(1), torch.max_pool2d(x, [3, 2], [1, 2]).flatten(1), torch.stack([F.max_pool2d(one, 3, 1) for one in x]).flatten(1)], 1),
    "max_pool3d": lambda x: F.max_pool3d(x, 3, 1, 1),
}  # fmt: skip

PRODUCTS: dict[str, Use] = {
    "bmm": lambda x: torch.bmm(_tokens(x), _tokens(x).transpose(1, 2)) + torch.bmm(_tokens(x), constant(1, 16, 9).expand(len(x), -1, -1)),
    "dot": lambda x: torch.stack([one.flatten().dot(one.flatten()) for one in x])[:, None],
    "einsum": lambda x: torch.einsum("bchw,bdhw->bcd", x, x.roll(1, 2)) + torch.einsum("bchw,bdhw->bcd", [x, x]) + torch.einsum("bchw,dc->bdc", x, constant(4, 4)),
    "inner": lambda x: torch.stack([torch.inner(one[0], one[1]) for one in x]),
    "matmul": lambda x: x @ x.transpose(2, 3) + torch.matmul(constant(6, 6), x) + x @ constant(6, 6),
    "mm": lambda x: torch.stack([one[0].mm(one[1]) for one in x]),
    "mul": lambda x: x * x.mean((2, 3), keepdim=True).sigmoid() + x * x * 3 + torch.multiply(x, x[:, :1]),
    "mv": lambda x: torch.stack([one[0].mv(one[1, 0]) for one in x]),
    "outer": lambda x: torch.stack([torch.outer(one[0, 0], one[1, 0]) for one in x]),
}  # fmt: skip

OTHERS: dict[str, Use] = {
    "div": lambda x: x / 2 + x / _positive(x.mean(1, keepdim=True)) + 1 / (x * 0 + 2) + constant(6) / _positive(x) + x[:, :1] / (x.abs() + 1),
    "softmax": lambda x: torch.softmax(x, 1) + F.softmax(9 * x, dim=-1) + x.softmax(-1) + nn.Softmax2d()(x),
}  # fmt: skip

DECOMPOSED: dict[str, Use] = {
    "addcdiv": lambda x: torch.addcdiv(x, x, _positive(x), value=2),
    "addcmul": lambda x: torch.addcmul(constant(6), constant(6), x, value=2) + x.addcmul(x, x),
    "addmm": lambda x: torch.addmm(constant(4), x[:, 0, 0], constant(6, 4), beta=2, alpha=3),
    "amax": lambda x: torch.cat([x.amax((2, 3)), x.amax(1).flatten(1), torch.amax(x, -1, keepdim=True).flatten(1)], 1),
    "amin": lambda x: torch.cat([x.amin((2, 3)), x.amin(1, keepdim=True).flatten(1)], 1),
    "baddbmm": lambda x: torch.baddbmm(constant(9), _tokens(x), _tokens(x).transpose(1, 2), alpha=0.5),
    "glu": lambda x: F.glu(x, 1) + F.glu(x.transpose(1, 2), 2).transpose(1, 2),
    "group_norm": lambda x: F.group_norm(x, 2, _MEAN, _VARIANCE) + torch.group_norm(x, 1),
    "instance_norm": lambda x: F.instance_norm(x) + F.instance_norm(x, _MEAN, _VARIANCE, _VARIANCE, _MEAN, use_input_stats=False),
    "layer_norm": lambda x: F.layer_norm(x, (6,), constant(6), constant(6)) + F.layer_norm(x, (4, 6, 6)) + torch.layer_norm(x, (6,), eps=0.1),
    "local_response_norm": lambda x: F.local_response_norm(x, 3, alpha=2.0) + F.local_response_norm(x, 2),
    "max": lambda x: torch.cat([x.max(1)[0].flatten(1), torch.max(x, x.roll(1, 1)).flatten(1), x.max(dim=2, keepdim=True).values.flatten(1), torch.stack([one.max() for one in x])[:, None]], 1),
    "maximum": lambda x: torch.maximum(x, constant(6)) + torch.maximum(x, x.roll(1, 1)),
    "min": lambda x: torch.cat([x.min(1)[0].flatten(1), x.min(other=x.roll(1, 1)).flatten(1), torch.stack([one.min() for one in x])[:, None]], 1),
    "minimum": lambda x: torch.minimum(x, constant(6)),
    "multi_head_attention_forward": lambda x: torch.cat([_attention(True)(x).flatten(1), _attention(False, bias=False)(x).flatten(1), _attention(True, weights=True)(x)], 1),
    "norm": lambda x: x.norm(dim=(2, 3), keepdim=True) + x.norm(2, 1, keepdim=True) + torch.norm(x, p=2, dim=1, keepdim=True) + torch.stack([one.norm() for one in x])[:, None, None, None],
    "normalize": lambda x: F.normalize(x) + F.normalize(x, dim=-1, eps=0.1),
    "rdiv": lambda x: 1 / _positive(x) + constant(6).tolist()[0] / _positive(x),
    "rms_norm": lambda x: F.rms_norm(x, (6,), constant(6)) + F.rms_norm(x, (6, 6), eps=0.1),
    "scaled_dot_product_attention": lambda x: F.scaled_dot_product_attention(x, x, x, constant(6, 6)) + F.scaled_dot_product_attention(x, x.roll(1, 1), x, _MASK[None], scale=2.0),
    "std": lambda x: x.std((2, 3), keepdim=True) + torch.std(x, 1, keepdim=True, unbiased=False),
    "std_mean": lambda x: torch.cat(torch.std_mean(x, (2, 3)), 1),
    "var": lambda x: x.var((2, 3), keepdim=True) + x.var(1, False, True) + torch.var(x, dim=1, correction=0, keepdim=True) + torch.stack([one.var(False) + one.var() for one in x])[:, None, None, None],
    "var_mean": lambda x: torch.cat([*torch.var_mean(x, (2, 3)), *(one.flatten(1) for one in torch.var_mean(x, 1, keepdim=True, correction=0))], 1),
    "vector_norm": lambda x: torch.linalg.vector_norm(x, dim=1) + torch.linalg.vector_norm(x, ord=2, dim=(1,)),
}  # fmt: skip

USES = ROUTES | LINEAR | ACTIVATIONS | FUNCTIONS | MAXIMA | PRODUCTS | OTHERS | DECOMPOSED


def _assigned(x: Tensor) -> Tensor:
    x = x.clone()
    x[:, 0] = -7
    x[:, 1] = x[:, 2]
    x[..., _MASK] = 2 * x[..., _MASK]
    return x
