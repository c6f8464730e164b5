"""What is written out in simpler operations gives what torch gives, in all forms of the call, or is not written out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from operation_examples import constant
from torch import Tensor, nn

from layerscope.attribution.call import Call
from layerscope.attribution.decompositions import DECOMPOSED

X, Y = constant(2, 4, 6, 5, seed=1).requires_grad_(), constant(2, 4, 6, 5, seed=2).requires_grad_()
C, W = constant(4, seed=3), constant(4, seed=4).square() + 0.5
MASK = torch.tensor([[True, False, True, True, False, True]] * 6)

FORMS: dict[str, list[Callable[[], Any]]] = {
    "layer_norm": [lambda: F.layer_norm(X, (5,)), lambda: F.layer_norm(X, (6, 5), constant(6, 5)), lambda: F.layer_norm(X, [5], bias=constant(5), eps=0.5), lambda: torch.layer_norm(X, [5], constant(5), None, 0.1, False)],
    "rms_norm": [lambda: F.rms_norm(X, (5,)), lambda: F.rms_norm(X, (6, 5), constant(6, 5), 0.3), lambda: torch.rms_norm(X, [5])],
    "group_norm": [lambda: F.group_norm(X, 1), lambda: F.group_norm(X, 2, C, W, 0.2), lambda: F.group_norm(X, 4, bias=C), lambda: F.group_norm(X.flatten(2), 2, C)],
    "instance_norm": [lambda: F.instance_norm(X, C.clone(), W.clone(), W, C), lambda: F.instance_norm(X, C, W, use_input_stats=False, eps=0.1), lambda: F.instance_norm(X.flatten(2), weight=W)],
    "local_response_norm": [lambda: F.local_response_norm(X, 2), lambda: F.local_response_norm(X, 5, 3.0, 0.5, 2.0), lambda: F.local_response_norm(X.flatten(2), 3), lambda: F.local_response_norm(X.unsqueeze(3), 3)],
    "normalize": [lambda: F.normalize(X), lambda: F.normalize(X, 2, -1), lambda: F.normalize(X, dim=(2, 3), eps=3.0)],
    "norm": [lambda: X.norm(), lambda: torch.norm(X, 2), lambda: X.norm(dim=1), lambda: X.norm("fro", (2, 3), True), lambda: torch.norm(X, dim=[1], keepdim=True)],
    "vector_norm": [lambda: torch.linalg.vector_norm(X), lambda: torch.linalg.vector_norm(X, 2, (1, -1)), lambda: torch.linalg.vector_norm(X, ord=2.0, dim=0, keepdim=True)],
    "div": [lambda: torch.div(C[:, None, None], X), lambda: constant(5) / X],
    "rdiv": [lambda: 2 / X],
    "addcmul": [lambda: torch.addcmul(X, Y, Y, value=0.5), lambda: C[:, None, None].addcmul(X, Y)],
    "addcdiv": [lambda: torch.addcdiv(X, Y, Y + 9, value=0.5)],
    "addmm": [lambda: torch.addmm(X[0, 0], X[0, 1], constant(5, 5), beta=0.5, alpha=2)],
    "baddbmm": [lambda: torch.baddbmm(X[:, 0], X[:, 0], constant(2, 5, 5)), lambda: X[:, 0].baddbmm(X[:, 1], constant(2, 5, 5), beta=2)],
    "glu": [lambda: F.glu(X, 1), lambda: F.glu(X, dim=-2)],
    "amax": [lambda: X.amax(), lambda: X.amax(1), lambda: X.amax((1, -1)), lambda: torch.amax(X, dim=(3, 0), keepdim=True)],
    "amin": [lambda: X.amin(), lambda: X.amin((1, -1), True)],
    "max": [lambda: X.max(), lambda: X.max(1), lambda: X.max(-1, True), lambda: torch.max(X, dim=2, keepdim=False), lambda: torch.max(X, Y), lambda: torch.max(X, other=Y)],
    "min": [lambda: X.min(), lambda: X.min(1), lambda: X.min(-1, True), lambda: torch.min(X, Y)],
    "maximum": [lambda: torch.maximum(X, Y)],
    "minimum": [lambda: torch.minimum(X, Y), lambda: torch.minimum(X, torch.zeros(()).double())],
    "var": [lambda: X.var(), lambda: X.var(False), lambda: X.var(1), lambda: X.var((1, 2), False, True), lambda: X.var(dim=-1, unbiased=False), lambda: torch.var(X, correction=0), lambda: X.var([2, 3], correction=2)],
    "std": [lambda: X.std(), lambda: X.std(True), lambda: X.std(1, False), lambda: torch.std(X, dim=(2, 3), keepdim=True)],
    "var_mean": [lambda: torch.var_mean(X), lambda: torch.var_mean(X, 1), lambda: torch.var_mean(X, (2, 3), False, True), lambda: torch.var_mean(X, False), lambda: torch.var_mean(X, dim=1, correction=0, keepdim=True)],
    "std_mean": [lambda: torch.std_mean(X, (2, 3)), lambda: torch.std_mean(X, 1, True, True), lambda: torch.std_mean(X, False)],
    "scaled_dot_product_attention": [lambda: F.scaled_dot_product_attention(X, Y, X), lambda: F.scaled_dot_product_attention(X, Y, X, MASK, 0.0, False, scale=0.3), lambda: F.scaled_dot_product_attention(X, Y, X, attn_mask=constant(2, 1, 6, 6))],
}  # fmt: skip

UNWRITTEN: dict[str, list[Callable[[], Any]]] = {
    "normalize": [lambda: F.normalize(X, 1.0)],
    "norm": [lambda: X.norm(1), lambda: torch.norm(X, float("inf")), lambda: X.norm("nuc", (2, 3)), lambda: torch.norm(X, dtype=torch.float64)],
    "vector_norm": [lambda: torch.linalg.vector_norm(X, 1), lambda: torch.linalg.vector_norm(X, ord=3, dim=1)],
    "div": [lambda: X / 2, lambda: X / Y, lambda: torch.div(3 * C[:, None, None], X, rounding_mode="trunc")],
    "scaled_dot_product_attention": [lambda: F.scaled_dot_product_attention(X, Y, X, is_causal=True)],
}  # fmt: skip


class Written(torch.overrides.TorchFunctionMode):
    """Compares each function of a name with what it is written out to."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name, self.held = name, 0
        self.pairs: list[tuple[Any, Any]] = []

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result, call = func(*args, **(kwargs or {})), Call(func, args, kwargs or {}, lambda tensor: tensor)
        if call.name == self.name:
            parts = DECOMPOSED[call.name](self._hold, *call.args, **call.kwargs)
            self.pairs.append((result, None if parts is None else parts()))
        return result

    def _hold(self, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        self.held += 1
        return function(x)


def assert_written_out_alike(result: Any, written: Any) -> None:
    if result is None:
        assert written is None
        return
    if not isinstance(result, Tensor):
        assert type(written) is type(result)
        assert len(result) == len(written)
        for one, other in zip(result, written, strict=True):
            assert_written_out_alike(one, other)
        return
    assert written.shape == result.shape
    assert torch.allclose(written.double(), result.double(), rtol=1e-12, atol=1e-14)


def test_every_decomposition_is_compared() -> None:
    assert {*FORMS, "multi_head_attention_forward"} == set(DECOMPOSED)


@pytest.mark.parametrize(
    ("name", "number"), [(name, number) for name, forms in FORMS.items() for number in range(len(forms))]
)
def test_gives_what_torch_gives(name: str, number: int) -> None:
    with Written(name) as mode:
        FORMS[name][number]()
    assert len(mode.pairs) == 1
    assert_written_out_alike(*mode.pairs[0])
    normalises = ("layer_norm", "rms_norm", "local_response_norm", "normalize", "norm", "vector_norm", "std")
    assert mode.held == (name in normalises or name == "group_norm" or (name == "instance_norm" and number != 1))


@pytest.mark.parametrize(
    ("name", "number"), [(name, number) for name, forms in UNWRITTEN.items() for number in range(len(forms))]
)
def test_other_forms_are_not_written_out(name: str, number: int) -> None:
    with Written(name) as mode:
        UNWRITTEN[name][number]()
    assert [written for _, written in mode.pairs] == [None]


def attention(**more: Any) -> nn.MultiheadAttention:
    module = nn.MultiheadAttention(8, 2, **more).double().eval()
    with torch.no_grad():
        for number, weight in enumerate(module.parameters()):
            weight.copy_(constant(*weight.shape, seed=number))
    return module


TOKENS, OTHERS = constant(3, 5, 8, seed=1).requires_grad_(), constant(4, 5, 6, seed=2).requires_grad_()
SEEN = torch.tensor([[False, True, False], [False, False, True], [True, False, False]])

ATTENTIONS: dict[str, Callable[[], Any]] = {
    "plain": lambda: attention()(TOKENS, TOKENS, TOKENS),
    "without weights": lambda: attention()(TOKENS, TOKENS, TOKENS, need_weights=False),
    "weights of heads": lambda: attention()(TOKENS, TOKENS, TOKENS, average_attn_weights=False),
    "batch first": lambda: attention(batch_first=True)(TOKENS, TOKENS, TOKENS),
    "without biases": lambda: attention(bias=False)(TOKENS, TOKENS, TOKENS),
    "mask of booleans": lambda: attention()(TOKENS, TOKENS, TOKENS, attn_mask=SEEN),
    "mask of booleans by hand": lambda: _by_hand(SEEN),
    "mask of booleans of each head by hand": lambda: _by_hand(SEEN.expand(10, -1, -1)),
    "mask to add": lambda: attention()(TOKENS, TOKENS, TOKENS, attn_mask=constant(3, 3), need_weights=False),
    "mask of each head": lambda: attention()(TOKENS, TOKENS, TOKENS, attn_mask=constant(10, 3, 3)),
    "mask of booleans of each head": lambda: attention()(TOKENS, TOKENS, TOKENS, attn_mask=SEEN.expand(10, -1, -1)),
    "other keys": lambda: attention(kdim=6, vdim=6)(TOKENS, OTHERS, OTHERS),
    "dropout of training": lambda: attention(dropout=0.5)(TOKENS, TOKENS, TOKENS),
}  # fmt: skip


def _by_hand(mask: Tensor) -> Any:
    """Without the module, which makes numbers of a mask of booleans."""
    weights = constant(24, 8), constant(24), None, None, False, 0.0, constant(8, 8), constant(8)
    return F.multi_head_attention_forward(TOKENS, TOKENS, TOKENS, 8, 2, *weights, training=False, attn_mask=mask)


OTHER_ATTENTIONS: dict[str, Callable[[], Any]] = {
    "padding": lambda: attention()(TOKENS, TOKENS, TOKENS, key_padding_mask=torch.zeros(5, 3).bool()),
    "biases of keys": lambda: attention(add_bias_kv=True)(TOKENS, TOKENS, TOKENS),
    "a zero": lambda: attention(add_zero_attn=True)(TOKENS, TOKENS, TOKENS),
    "one image": lambda: attention()(TOKENS[:, 0], TOKENS[:, 0], TOKENS[:, 0]),
    "training": lambda: attention(dropout=0.5).train()(TOKENS, TOKENS, TOKENS),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTENTIONS)
def test_attention_gives_what_torch_gives(name: str) -> None:
    with Written("multi_head_attention_forward") as mode:
        ATTENTIONS[name]()
    assert_written_out_alike(*mode.pairs[0])


@pytest.mark.parametrize("name", OTHER_ATTENTIONS)
def test_other_attention_is_not_written_out(name: str) -> None:
    with torch.random.fork_rng(devices=[]), Written("multi_head_attention_forward") as mode:
        OTHER_ATTENTIONS[name]()
    assert [written for _, written in mode.pairs] == [None]
