"""What kind of function each operation is, as far as attribution is concerned. What is in no list is refused."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from types import BuiltinFunctionType
from typing import Any

from torch import Tensor

from layerscope.attribution.call import Call


class Kind(Enum):
    """The value is the method of `Operations` that handles the kind."""

    ROUTE = "route"
    LINEAR = "linear"
    ELEMENTWISE = "elementwise"
    MAXIMUM = "maximum"
    PRODUCT = "product"
    QUOTIENT = "quotient"
    SOFTMAX = "softmax"


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


DROPOUTS = _names("""
    alpha_dropout dropout dropout1d dropout2d dropout3d feature_alpha_dropout feature_dropout
""")

ROUTES = DROPOUTS | _names("""
    adjoint atleast_1d atleast_2d atleast_3d bfloat16 broadcast_tensors broadcast_to cat channel_shuffle chunk clone
    column_stack concat concatenate constant_pad_nd contiguous copy cpu cuda diagonal double dsplit dstack expand
    expand_as fill flatten flip fliplr flipud float gather getitem half hsplit hstack index_copy index_fill index_put
    index_select masked_fill masked_select meshgrid moveaxis movedim narrow pad permute pixel_shuffle pixel_unshuffle
    ravel repeat repeat_interleave reshape reshape_as resolve_conj resolve_neg roll rot90 select select_scatter setitem
    slice_scatter split split_with_sizes squeeze stack swapaxes swapdims t take take_along_dim tensor_split tile to
    transpose tril triu type type_as unbind unflatten unfold unsafe_chunk unsafe_split unsqueeze view view_as vsplit
    vstack where zero
""")
"""Move values to other places, or copy them."""

SHAPED = _names("expand_as reshape_as type_as view_as")
"""Of what is given to these besides their input, only shape or type counts."""

LINEAR = _names("""
    adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d add avg_pool1d avg_pool2d avg_pool3d batch_norm conv1d
    conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d cumsum fold grid_sample index_add interpolate
    linear mean neg negative positive rsub scatter_add sub sum sum_to_size
""")
"""Linear, or affine, in all of their data."""

WEIGHTED = _names("conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d linear")
"""Linear in their input and in their weight."""

ACTIVATIONS = _names("""
    celu clamp clamp_max clamp_min clip elu gelu hardshrink hardsigmoid hardswish hardtanh leaky_relu log_sigmoid mish
    prelu relu relu6 rrelu selu sigmoid silu softplus softshrink softsign tanh tanhshrink threshold
""")

FUNCTIONS = _names("""
    abs absolute acos asin atan cos cosh erf erfc exp exp2 expit expm1 log log10 log1p log2 logit pow reciprocal rpow
    rsqrt sin sinh sqrt square tan
""")
"""Functions of each value by itself that are no activations."""

MAXIMA = _names("""
    adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d max_pool1d max_pool2d max_pool3d
""")

PRODUCTS = _names("bmm dot einsum inner matmul mm mul mv outer")
"""Of two tensors of data; with one they are linear."""

ONE_INPUT = _names("""
    batch_norm celu clamp clamp_max clamp_min clip elu grid_sample hardtanh leaky_relu prelu softplus threshold
""")
"""Linear or elementwise only while none but their first argument is data."""

RECTIFIERS = _names("celu elu gelu hardswish leaky_relu mish prelu relu relu6 rrelu selu silu softplus")
"""Activations that pass what is positive and hold back what is negative."""

GATES = _names("hardsigmoid sigmoid tanh")
"""Activations whose output may scale another tensor rather than carry evidence of its own."""

KINDS: dict[str, Kind] = {
    **dict.fromkeys(ROUTES, Kind.ROUTE),
    **dict.fromkeys(LINEAR, Kind.LINEAR),
    **dict.fromkeys(ACTIVATIONS | FUNCTIONS, Kind.ELEMENTWISE),
    **dict.fromkeys(MAXIMA, Kind.MAXIMUM),
    **dict.fromkeys(PRODUCTS, Kind.PRODUCT),
    "div": Kind.QUOTIENT,
    "softmax": Kind.SOFTMAX,
}


def kind_of(call: Call) -> Kind | None:
    """The kind of a call, None where it is of none with these arguments.

    A product with a constant is linear, and a convolution with a weight that is data is a product.
    """
    kind, count = KINDS.get(call.name), len(call.data)
    first = bool(call.args) and call.args[0] is call.data[0]
    if kind is None or unlike(call):
        return None
    if call.name in WEIGHTED and not (first and count == 1):
        return Kind.PRODUCT if first and count == 2 and _is_data(call, 1, "weight") else None
    if kind in (Kind.PRODUCT, Kind.QUOTIENT) and count == 1:
        return Kind.LINEAR
    if call.name in ONE_INPUT and not first:
        return None
    most = {Kind.PRODUCT: 2, Kind.QUOTIENT: 2, Kind.ROUTE: count, Kind.LINEAR: count}
    return kind if count <= (1 if call.name in ONE_INPUT else most.get(kind, 1)) else None


def unlike(call: Call) -> bool:
    """Whether the arguments make another function of it than its name says."""
    if call.name in _OTHER_BUILTINS and isinstance(call.func, BuiltinFunctionType):
        return True
    return call.name in _UNLIKE and _UNLIKE[call.name](*call.args, **call.kwargs)


_OTHER_BUILTINS = _names("adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d batch_norm instance_norm")
"""Take or give something else in `torch` than in `torch.nn.functional`."""


def _drops(x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, train: bool | None = None) -> bool:
    return p > 0 and (training if train is None else train)


def _mixes(x: Tensor, running_mean: Any = None, running_var: Any = None, *more: Any, **others: Any) -> bool:
    training = more[2] if len(more) > 2 else others.get("training", False)
    return running_mean is None or running_var is None or bool(training)


_UNLIKE: dict[str, Callable[..., bool]] = {
    **dict.fromkeys(DROPOUTS, _drops),
    "batch_norm": _mixes,
    "div": lambda a, b, rounding_mode=None: rounding_mode is not None,
    "rrelu": lambda x, lower=0.0, upper=0.0, training=False, inplace=False: training,
}
"""Whether a function is another one with these arguments: random, rounded, or a mixture of the images of a batch."""


def _is_data(call: Call, place: int, name: str) -> bool:
    value = call.args[place] if len(call.args) > place else call.kwargs.get(name)
    return isinstance(value, Tensor) and value.requires_grad
