"""What kind of function each operation is, as far as attribution is concerned. What is in no list is refused."""

from __future__ import annotations

from enum import Enum


class Kind(Enum):
    """The value is the method of `Operations` that handles the kind."""

    ROUTE = "route"
    LINEAR = "linear"
    ELEMENTWISE = "elementwise"
    MAXIMUM = "maximum"
    PRODUCT = "product"
    SOFTMAX = "softmax"


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


ROUTES = _names("""
    adjoint alias alpha_dropout atleast_1d atleast_2d atleast_3d bfloat16 broadcast_to cat channel_shuffle chunk clone
    concat concatenate constant_pad_nd contiguous cpu cuda diagonal double dropout dropout1d dropout2d dropout3d expand
    expand_as feature_alpha_dropout feature_dropout flatten flip float gather getitem half hsplit hstack identity
    index_select masked_fill moveaxis movedim narrow native_dropout pad permute pixel_shuffle pixel_unshuffle ravel
    repeat repeat_interleave reshape reshape_as resolve_conj roll rot90 select split split_with_sizes squeeze stack
    swapaxes swapdims t take_along_dim tensor_split tile to transpose tril triu type type_as unbind unflatten unfold
    unsqueeze view view_as vsplit vstack where
""")
"""Move values to other places, or copy them."""

LINEAR = _names("""
    adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d add avg_pool1d avg_pool2d avg_pool3d batch_norm conv1d
    conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d cumsum fold grid_sample interpolate linear mean neg
    negative positive rsub sub sum upsample upsample_bilinear upsample_nearest
""")
"""Linear, or affine, in all of what depends on the image."""

WEIGHTED = _names("conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d linear")
"""Linear in their input and in their weight."""

ACTIVATIONS = _names("""
    celu elu gelu hardshrink hardsigmoid hardswish hardtanh leaky_relu logsigmoid mish prelu relu relu6 rrelu selu
    sigmoid silu softplus softshrink softsign tanh tanhshrink threshold
""")

FUNCTIONS = _names("""
    abs absolute acos asin atan clamp clamp_max clamp_min clip cos erf erfc exp exp2 expit expm1 log log10 log1p log2
    logit pow reciprocal rpow rsqrt sin sinh sqrt square tan
""")
"""Functions of each value by itself that are no activations."""

MAXIMA = _names("""
    adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d amax max_pool1d max_pool2d max_pool3d
""")

PRODUCTS = _names("bmm div dot einsum inner matmul mm mul mv outer")
"""Of two tensors that depend on the image; with one they are linear. A quotient of two is decomposed."""

ONE_INPUT = _names("batch_norm clamp clip grid_sample hardtanh prelu threshold")
"""Linear or elementwise only while none but their first argument depends on the image."""

RECTIFIERS = _names("celu elu gelu hardswish hardtanh leaky_relu mish prelu relu relu6 selu silu softplus")
"""Activations that pass what is positive and hold back what is negative."""

GATES = _names("hardsigmoid sigmoid tanh")
"""Activations whose output may scale another tensor rather than carry evidence of its own."""

KINDS: dict[str, Kind] = {
    **dict.fromkeys(ROUTES, Kind.ROUTE),
    **dict.fromkeys(LINEAR, Kind.LINEAR),
    **dict.fromkeys(ACTIVATIONS | FUNCTIONS, Kind.ELEMENTWISE),
    **dict.fromkeys(MAXIMA, Kind.MAXIMUM),
    **dict.fromkeys(PRODUCTS, Kind.PRODUCT),
    "softmax": Kind.SOFTMAX,
}
