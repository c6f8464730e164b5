"""Every operation is seen once, as what it is, or refused by its name."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from operation_examples import USES, Use, around, constant
from tasks import found, pictures, task_for
from torch import Tensor, nn

from layerscope.attribution.decompositions import DECOMPOSED
from layerscope.attribution.deeplift import deeplift
from layerscope.attribution.guided import guided_backprop
from layerscope.attribution.kinds import KINDS
from layerscope.attribution.lrp import lrp
from layerscope.attribution.operations import Operations, UnsupportedOperationError
from layerscope.attribution.task import Found
from layerscope.capture.evaluating import evaluating


class Names(Operations):
    """Notes what is called."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def _by_kind(self, call: Any) -> Any:
        self.names.add(call.name)
        return call.run()


def test_there_is_a_use_of_every_operation() -> None:
    assert set(USES) == set(KINDS) | set(DECOMPOSED)


@pytest.mark.parametrize("name", USES)
def test_every_operation_is_complete_in_float64(name: str) -> None:
    model, images = around(USES[name]), pictures(size=6, dtype=torch.float64)
    names = Names()
    with evaluating(model.module, gradients=True):
        if name != "cuda":  # is seen on a GPU alone
            with names.following(images.clone().requires_grad_()) as image:
                model(image)
            assert name in names.names
        task = task_for(model, images, "second", baseline=pictures(size=6, dtype=torch.float64, seed=1))
        explained = deeplift(task)
    difference = task.score(images) - task.score(task.references)
    assert torch.allclose(explained.expected, difference, rtol=1e-12, atol=1e-12)
    scale = difference.abs() + explained.values.abs().sum((1, 2, 3))
    assert ((explained.values.sum((1, 2, 3)) - difference).abs() <= 1e-12 * scale).all()


class _Swish(torch.autograd.Function):
    """As memory-saving implementations write it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * torch.sigmoid(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        slope = torch.sigmoid(ctx.saved_tensors[0])
        return gradients[0] * slope * (1 + ctx.saved_tensors[0] * (1 - slope))


def _replaced(x: Tensor) -> Tensor:
    y = x * 2
    y.data = x * 3
    return y


def _without_gradients(use: Use) -> Use:
    def call(x: Tensor) -> Tensor:
        with torch.no_grad():
            weight = use(x)
        return x * weight

    return call


def _batch_norm(x: Tensor) -> Tensor:
    return F.batch_norm(x, None, None, training=True)


with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it is deprecated, and in use
    _SCRIPTED = torch.jit.trace(lambda x: torch.tanh(x) * 2, constant(2, 4, 6, 6), check_trace=False)

WITHOUT_RULE: dict[str, tuple[Use, str]] = {
    "sort": (lambda x: x.sort(1)[0], "'sort'"),
    "topk": (lambda x: x.topk(2, 1)[0], "'topk'"),
    "median": (lambda x: x.median(1)[0], "'median'"),
    "cumprod": (lambda x: x.cumprod(1), "'cumprod'"),
    "prod": (lambda x: x.prod(1), "'prod'"),
    "logsumexp": (lambda x: x.logsumexp(1), "'logsumexp'"),
    "log_softmax": (lambda x: F.log_softmax(x, 1), "'log_softmax'"),
    "softmax without an axis": (lambda x: F.softmax(x, None, _stacklevel=5), "'softmax'"),
    "lstm": (nn.LSTM(16, 3, batch_first=True).double(), "'lstm'"),
    "ctc": (lambda x: F.ctc_loss(x.flatten(2).permute(2, 0, 1), torch.ones(2, 3, dtype=torch.long), (36, 36), (3, 3), reduction="none"), "'ctc_loss'"),
    "fft": (lambda x: torch.fft.fft2(x).real, "'fft_fft2'"),
    "spectral norm": (lambda x: torch.linalg.norm(x, 2, (2, 3)), "'linalg_norm'"),
    "max norm": (lambda x: x.norm(float("inf"), 1), "'norm'"),
    "normalize in another norm": (lambda x: F.normalize(x, 1.0), "'normalize'"),
    "max_unpool": (lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2), "'max_pool2d_with_indices'"),
    "places of a maximum": (lambda x: torch._C._nn.adaptive_max_pool2d(x, (2, 2))[0], "'adaptive_max_pool2d'"),
    "lp_pool": (lambda x: F.lp_pool2d(x, 2.0, 2), "'lp_pool2d'"),
    "rounded quotient": (lambda x: torch.div(x, 2, rounding_mode="floor") + x, "'div'"),
    "floor": (lambda x: x // 2 + x, "'floordiv'"),
    "sign": (lambda x: x.sign() * x, "'sign'"),
    "dropout": (lambda x: F.dropout(x), "'dropout'"),
    "dropout of torch": (lambda x: torch.dropout(x, 0.5, train=True), "'dropout'"),
    "noisy rectifier": (lambda x: F.rrelu(x, training=True), "'rrelu'"),
    "statistics of the batch": (_batch_norm, "'batch_norm'"),
    "instance_norm of torch": (lambda x: torch.instance_norm(x, None, None, None, None, True, 0.1, 1e-5, False), "'instance_norm'"),
    "data as the grid": (lambda x: F.grid_sample(x[:, :2], x[:, :2].permute(0, 2, 3, 1).tanh(), align_corners=False), "'grid_sample'"),
    "data as a bound": (lambda x: x.clamp(max=x.mean(1, keepdim=True)), "'clamp'"),
    "data as a slope": (lambda x: F.prelu(x, x.mean((0, 2, 3)).relu()), "'prelu'"),
    "data as an exponent": (lambda x: (x.relu() + 1) ** x, "'pow'"),
    "data as a bias": (lambda x: F.linear(x, constant(6, 6), x[0, 0, 0]), "'linear'"),
    "data as the weight alone": (lambda x: F.conv2d(constant(2, 3, 6, 6), x[:1, :3, :2, :2]), "'conv2d'"),
    "three factors": (lambda x: torch.einsum("bchw,bchw,bchw->bc", x, x, x), "'einsum'"),
    "lerp": (lambda x: torch.lerp(x, x.roll(1, 1), x.sigmoid()), "'lerp'"),
    "causal attention": (lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True), "'scaled_dot_product_attention'"),
    "attention of one image": (lambda x: torch.stack([F.multi_head_attention_forward(*(one.reshape(9, 16),) * 3, 16, 2, constant(48, 16), None, None, None, False, 0.0, constant(16, 16), None)[0] for one in x]), "'multi_head_attention_forward'"),
    "another attribute": (_replaced, "'data'"),
    "gradients": (lambda x: (x * 2).requires_grad_(), "'requires_grad'"),
    "list in place": (lambda x: torch._foreach_mul_([x], 2)[0], "'foreach_mul'"),
    "custom function": (_Swish.apply, "cannot see into '_Swish'"),
    "custom function at the end": (lambda x: _Swish.apply(x) * 2, "cannot see into '_Swish'"),
    "scripted function": (lambda x: _SCRIPTED(x) + 1, "cannot see into"),
}  # fmt: skip

PARTING: dict[str, Use] = {
    "branch": lambda x: F.conv2d(x, constant(4, 4, 1, 1)) if x.mean() > -0.4 else F.conv2d(x, constant(4, 4, 1, 1, seed=1)),
    "branch by item": lambda x: x * 2 if x.mean().item() > -0.4 else x * 3,
    "number": lambda x: x * float(x.mean().detach()),
    "whole number": lambda x: x * int(100 * x.mean().detach()),
    "list": lambda x: x * x.mean((0, 2, 3)).tolist()[0],
    "array": lambda x: x * torch.from_numpy(x.mean((2, 3), keepdim=True).detach().numpy().copy()),
    "mask": lambda x: x * (x > 0),
    "where": lambda x: torch.where(x > 0, x, 0.1 * x),
    "masked_fill": lambda x: x.masked_fill(x < 0, 0),
    "assignment by mask": lambda x: x.index_put((x < 0,), torch.zeros(()).to(x)),
    "setitem by mask": lambda x: _below_zero(x),
    "winner": lambda x: x.gather(1, x.argmax(1, keepdim=True)),
    "order": lambda x: x[:, x.mean((0, 2, 3)).argsort()],
    "detached": lambda x: x - x.mean(1, keepdim=True).detach(),
    "data attribute": lambda x: x * x.data,
    "no_grad": _without_gradients(lambda x: x.abs().amax(1, keepdim=True)),
    "in place without gradients": _without_gradients(lambda x: x.clone().mul_(2)),
    "rounded": lambda x: x + x.detach().round(),
    "noise": lambda x: x * torch.rand_like(x),
    "constant tensor that becomes one": lambda x: x * torch.zeros(6, dtype=x.dtype).add_(x.detach().mean()),
    "count": lambda x: x / ((x > 0).sum((2, 3), keepdim=True) + 1),
    "the end of a slice": lambda x: x[:, : (x.detach() > -0.4).sum() // 100 + 1].sum(1),
    "longer on one": lambda x: torch.relu(torch.relu(x)) if x.isfinite().all() and x.mean().gt(-0.4) else torch.relu(x),
}  # fmt: skip

CONSTANT: dict[str, Use] = {
    "shape": lambda x: x.view(int(x.shape[0]), x.size(1), -1) / x[0].numel(),
    "zeros_like": lambda x: torch.cat([x, torch.zeros_like(x)], 1),
    "same on both": lambda x: x * x.isfinite() if bool(x.isfinite().all()) else x,
    "shape of something detached": lambda x: x[:, :1].expand_as(x.detach()),
    "an unused mask": lambda x: _unused(x),
    "an equal number": lambda x: x * int(x.mean().detach() * 0),
    "attributes": lambda x: (x.flatten(1).T + x.flatten(1).mT).mT if x.requires_grad or not x.is_leaf else x.flatten(1) * 2,
    "dtype": lambda x: x.float().double() * 0 + x.to(x.dtype),
}  # fmt: skip


def _below_zero(x: Tensor) -> Tensor:
    x = x.clone()
    x[x < 0] = 0
    return x


def _unused(x: Tensor) -> Tensor:
    _ = (x > 0) & (x < 1)
    return x


@pytest.mark.parametrize("name", WITHOUT_RULE)
@pytest.mark.parametrize("method", [deeplift, lrp])
@pytest.mark.filterwarnings("ignore")
def test_what_has_no_rule_is_refused_by_name(method: Callable[..., Found], name: str) -> None:
    use, words = WITHOUT_RULE[name]
    if method is lrp and name == "softmax without an axis":
        words = "LRP takes a softmax as weights"
    model = around(lambda x: _first(use(x.reshape(2, 9, 16) if name == "lstm" else x)))
    with pytest.raises(UnsupportedOperationError, match=words):
        found(method, model, pictures(size=6, dtype=torch.float64), 0, baseline="black")


@pytest.mark.parametrize("name", PARTING)
def test_deeplift_refuses_networks_that_decide_by_what_they_see(name: str) -> None:
    model = around(PARTING[name])
    images = pictures(size=6, dtype=torch.float64)
    with pytest.raises(UnsupportedOperationError, match=r"they part: .*decides by what it sees; choose"):
        found(deeplift, model, images, 0, baseline="black")
    if name != "noise":
        assert found(deeplift, model, images, 0, baseline=images).values.abs().max() == 0  # nothing differs


@pytest.mark.parametrize("name", CONSTANT)
def test_what_is_the_same_in_both_runs_parts_nothing(name: str) -> None:
    model, images = around(CONSTANT[name]), pictures(size=6, dtype=torch.float64)
    explained = found(deeplift, model, images, 0, baseline="black")
    with torch.no_grad():
        difference = model(images)[:, 0] - model(torch.zeros_like(images))[:, 0]
    assert torch.allclose(explained.expected, difference, rtol=1e-12)
    assert torch.allclose(explained.values.sum((1, 2, 3)), difference, rtol=1e-9)


@pytest.mark.parametrize("method", [deeplift, lrp, guided_backprop])
def test_tokens_of_a_normed_map_of_a_single_image(method: Callable[..., Found]) -> None:
    """The gradient of batch_norm is wrong there in torch 2.14 on the CPU; with a second image it is right."""

    def use(x: Tensor) -> Tensor:
        return F.relu(F.batch_norm(F.relu(x), constant(4), constant(4).square() + 1).flatten(2).transpose(1, 2))

    images = pictures(2, size=6, dtype=torch.float64)
    alone = found(method, around(use), images[:1], 1, baseline="black").values
    together = found(method, around(use), images, 1, baseline="black").values
    assert torch.allclose(alone, together[:1], rtol=1e-9, atol=1e-12)


def _first(result: Any) -> Tensor:
    """The tensor of a tuple."""
    tensor = result[0] if isinstance(result, tuple) else result
    return tensor if len(tensor) == 2 else tensor.flatten().expand(2, -1)
