"""The same map, whatever a network is wrapped in, in whatever company an image comes; and nothing left on the network."""

from __future__ import annotations

import copy
import functools
import warnings
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from operation_examples import constant
from small_nets import CountingNet, SmallNet, seeded
from tasks import found, pictures
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize
from torch.utils.checkpoint import checkpoint

from layerscope.attribution.deeplift import deeplift
from layerscope.attribution.guided import deconvolution, guided_backprop
from layerscope.attribution.lrp import lrp
from layerscope.attribution.operations import UnsupportedOperationError
from layerscope.attribution.task import Found
from layerscope.conformance.trace import differences, state_of
from layerscope.models.model import VisionModel, wrap

METHODS = (deeplift, guided_backprop, lrp)


def small(module: nn.Module | None = None) -> VisionModel:
    module = seeded(SmallNet()).double() if module is None else module
    return wrap(module, input_size=16, class_names=tuple("abcde"), name="small")


@functools.cache
def known(method: Callable[..., Found]) -> Tensor:
    return found(method, small(), pictures(size=16, dtype=torch.float64), "c", baseline="blur").values


def _frozen(net: nn.Module) -> nn.Module:
    return net.requires_grad_(False)


def _weight_norm(net: nn.Module) -> nn.Module:
    parametrizations.weight_norm(net.conv2)
    return net


def _hook_weight_norm(net: nn.Module) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated, and in use
        nn.utils.weight_norm(net.conv2)
    return net


def _shared(net: nn.Module) -> nn.Module:
    net.conv4 = nn.Conv2d(8, 8, 3, padding=1).double()
    net.conv4.weight, net.conv4.bias = net.conv2.weight, net.conv2.bias
    net.conv2 = net.conv4
    return net


def _leaf_that_is_no_parameter(net: nn.Module) -> nn.Module:
    weight = net.fc.weight.detach().clone().requires_grad_()
    net.fc.weight = None
    net.fc.forward = lambda x: F.linear(x, weight * 1, net.fc.bias)
    return net


def _hooks(net: nn.Module) -> nn.Module:
    net.bn2.register_forward_hook(lambda module, args, output: output * 2 / 2)
    net.fc.register_forward_pre_hook(lambda module, args: (args[0] + 0,))
    net.relu.register_forward_hook(lambda module, args, output: print(end=str(output.shape)[:0]))
    return net


def _channels_last(net: nn.Module) -> nn.Module:
    return net.to(memory_format=torch.channels_last)


WRAPPERS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "frozen": _frozen,
    "weight_norm": _weight_norm,
    "weight_norm by hook": _hook_weight_norm,
    "shared weights": _shared,
    "a leaf that is no parameter": _leaf_that_is_no_parameter,
    "hooks": _hooks,
    "channels_last": _channels_last,
    "DataParallel": nn.DataParallel,
    "Sequential": nn.Sequential,
    "compiled": lambda net: torch.compile(net, backend="eager"),
    "with a compiled part": lambda net: setattr(net, "fc", torch.compile(net.fc, backend="eager")) or net,
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", WRAPPERS)
def test_wrapped_networks_get_the_same_map(name: str, method: Callable[..., Found]) -> None:
    module = WRAPPERS[name](seeded(SmallNet()).double()).eval()
    images = pictures(size=16, dtype=torch.float64)
    if name == "channels_last":
        images = images.contiguous(memory_format=torch.channels_last)
    before = state_of(module)
    values = found(method, small(module), images, "c", baseline="blur").values
    left = [line for line in differences(before, state_of(module)) if not ("conv2" in line and "weight" in line)]
    assert not left  # weight_norm by hook makes that weight anew in each forward
    assert torch.allclose(values, known(method), rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("method", METHODS)
def test_a_parametrization_computed_before_counts_as_a_weight(method: Callable[..., Found]) -> None:
    module = _weight_norm(seeded(SmallNet()).double()).eval()
    with parametrize.cached():
        module.conv2.weight  # noqa: B018 - computed, with a graph
        values = found(method, small(module), pictures(size=16, dtype=torch.float64), "c", baseline="blur").values
    assert torch.allclose(values, known(method), rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_the_mode_around_it_does_not_matter(context: Callable[[], object], method: Callable[..., Found]) -> None:
    model, images = small(), pictures(size=16, dtype=torch.float64)
    with context():
        values = found(method, model, images, "c", baseline="blur").values
    assert torch.allclose(values, known(method), rtol=1e-12)


@pytest.mark.parametrize("method", [deeplift, guided_backprop, deconvolution, lrp])
def test_values_of_an_image_do_not_depend_on_its_company(method: Callable[..., Found]) -> None:
    images = pictures(3, size=16, dtype=torch.float64) * torch.tensor([1.0, 0.01, 0.7]).view(-1, 1, 1, 1)
    together = found(method, small(), images, "c", baseline="blur").values
    for number in range(3):
        alone = found(method, small(), images[number : number + 1], "c", baseline="blur").values
        assert torch.allclose(together[number], alone[0], rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("method", METHODS)
def test_float32_gives_the_map_of_float64(method: Callable[..., Found]) -> None:
    module = seeded(SmallNet())
    values = found(method, small(module), pictures(size=16), "c", baseline="blur").values
    assert values.dtype == torch.float32
    assert torch.allclose(values.double(), known(method), rtol=1e-3, atol=1e-4 * known(method).abs().max())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.filterwarnings("ignore:.*requires_grad")
def test_checkpointing_is_refused(reentrant: bool, method: Callable[..., Found]) -> None:
    """The network would run again in the backward pass, where nobody watches."""

    class Checkpointed(SmallNet):
        def forward(self, x: Tensor) -> Tensor:
            x = checkpoint(lambda x: F.gelu(self.bn1(self.conv1(x))), x, use_reentrant=reentrant)
            return self.fc(F.gelu(self.conv3(x)).mean((2, 3)))

    module = seeded(Checkpointed()).double()
    before = state_of(module)
    words = "'CheckpointFunction'" if reentrant else "runs once.*activation checkpointing.*turn that off"
    with pytest.raises(UnsupportedOperationError, match=words):
        found(method, small(module), pictures(size=16, dtype=torch.float64), "c", baseline="blur")
    assert differences(before, state_of(module)) == ()
    assert torch._C._autograd._saved_tensors_hooks_is_enabled()


@pytest.mark.parametrize("method", METHODS)
def test_an_error_of_the_network_comes_through_and_leaves_nothing(method: Callable[..., Found]) -> None:
    class Failing(SmallNet):
        def forward(self, x: Tensor) -> Tensor:
            super().forward(x)
            raise RuntimeError("the network's own")

    module = seeded(Failing()).double()
    before = state_of(module)
    with pytest.raises(RuntimeError, match="the network's own"):
        found(method, small(module), pictures(size=16, dtype=torch.float64), "c", baseline="blur")
    assert differences(before, state_of(module)) == ()


@pytest.mark.parametrize("method", METHODS)
def test_a_score_without_a_way_to_the_image_is_refused(method: Callable[..., Found]) -> None:
    class Deaf(SmallNet):
        def forward(self, x: Tensor) -> Tensor:
            return (
                F.relu(super().forward(x)).detach()
                if self.detaches
                else F.relu(constant(len(x), 5)) * x.isfinite().all()
            )

    for detaches in (True, False):
        module = seeded(Deaf()).double()
        module.detaches = detaches
        with pytest.raises(UnsupportedOperationError, match=r"no way from the score to the image|no rectifier"):
            found(method, small(module), pictures(size=16, dtype=torch.float64), "c", baseline="blur")


@pytest.mark.parametrize("method", METHODS)
def test_what_the_network_does_to_its_own_weights_stays_and_buffers_are_as_before(method: Callable[..., Found]) -> None:
    """Weights that are written over in the forward, as without us; a counter."""

    class Writing(CountingNet):
        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                self.fc.bias.copy_(torch.arange(5.0))
            self.fc.bias.data = self.fc.bias.data + 1
            return super().forward(x)

    module = seeded(Writing()).double()
    plain = copy.deepcopy(module)
    images = pictures(size=16, dtype=torch.float64)
    small(plain)(images)
    found(method, small(module), images, "c", baseline="blur")
    assert module.calls == 0
    assert torch.equal(module.fc.bias, plain.fc.bias)
    assert torch.equal(module.fc.bias, torch.arange(1.0, 6).double())
