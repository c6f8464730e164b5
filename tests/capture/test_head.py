from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import planted_nets as planted
import pytest
import torch
import torchvision.models as tv
from planted_nets import image
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision.models.vision_transformer import VisionTransformer

from layerscope.capture.head import Head, gradient_at, run_from
from layerscope.capture.hooks import capture
from layerscope.capture.interventions import replace
from layerscope.capture.layers import list_layers
from layerscope.conformance.trace import differences, state_of
from layerscope.errors import CaptureError, InputError, UnknownNameError
from layerscope.models.leaky import LeakyBackwardReLU


def whole(net: nn.Module, layer: str, images: Tensor, activation: Tensor) -> Tensor:
    """The slow reference: the whole network, with another activation at the layer."""
    with replace(net, {layer: activation}):
        output: Tensor = net(images.expand(len(activation), *images.shape[1:]))
    return output


def variants(activation: Tensor, count: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    noise = torch.rand(count, *activation.shape[1:], generator=generator, dtype=torch.float64).to(activation)
    return activation + (noise - 0.3) * activation.abs().mean()


def assert_close(a: Tensor, b: Tensor, tolerance: float) -> None:
    assert a.shape == b.shape
    assert float((a - b).abs().max()) <= tolerance * float(b.abs().max())


# --- networks of the field


def small_vit() -> nn.Module:
    net = VisionTransformer(64, 16, 2, 4, 64, 128, num_classes=10)
    nn.init.normal_(net.heads.head.weight)
    return net


NETS: dict[str, tuple[Callable[[], nn.Module], list[str]]] = {
    "resnet18": (
        tv.resnet18,
        ["layer1.0.relu#1", "layer2.0/add", "layer3.0.downsample.0"],
    ),
    "densenet121": (
        tv.densenet121,
        ["features.denseblock2.denselayer3.conv1", "/relu"],
    ),
    "shufflenet": (
        tv.shufflenet_v2_x0_5,
        ["stage2.0.branch1.2", "stage3.1/chunk[1]", "stage4.0/transpose"],
    ),
    "swin_t": (tv.swin_t, ["features.1.1.attn", "features.6.norm"]),
    "vit": (
        small_vit,
        ["conv_proj", "encoder/add", "encoder.layers.encoder_layer_1.ln_1", "encoder.layers.encoder_layer_0/add#1"],
    ),
}


@pytest.mark.parametrize("name", NETS)
def test_the_head_gives_what_the_whole_network_gives(name: str) -> None:
    make, layers = NETS[name]
    torch.manual_seed(0)
    net, x = make().eval().requires_grad_(False), image(1, 64)
    for layer in layers:
        head = Head(net, layer, net, x)
        assert head.fast, layer
        given = variants(head.activation, 2)
        assert_close(head(given), whole(net, layer, x, given), 1e-4)
    assert_close(head.output, net(x), 1e-5)
    ours, theirs = given.clone().requires_grad_(), given.clone().requires_grad_()
    head(ours).square().sum().backward()
    whole(net, layer, x, theirs).square().sum().backward()
    assert ours.grad is not None
    assert theirs.grad is not None
    assert_close(ours.grad, theirs.grad, 1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("make", [tv.resnet18, tv.densenet121, tv.shufflenet_v2_x0_5, tv.swin_t, tv.vit_b_16])
def test_the_head_of_every_third_layer(make: Callable[..., nn.Module]) -> None:
    torch.manual_seed(0)
    net = make(image_size=64) if make is tv.vit_b_16 else make()
    net, x = net.eval().requires_grad_(False), image(1, 64)
    layers, slow = list_layers(net, (3, 64, 64), functions=True)[::3], list[str]()
    for layer in layers:
        head = Head(net, layer.name, net, x)
        given = variants(head.activation)
        if not head.fast:
            slow.append(layer.name)
        try:
            expected = whole(net, layer.name, x, given)
        except (CaptureError, RuntimeError):  # a mask of shifted windows: one for all images, it cannot be three
            assert not head.fast
        else:
            torch.testing.assert_close(head(given), expected, rtol=1e-4, atol=1e-4)
    assert len(slow) <= 0.02 * len(layers), slow


# --- one difficulty each


@pytest.mark.parametrize("kind", planted.KNOWN)
def test_difficult_networks(kind: type[planted.Base]) -> None:
    torch.manual_seed(0)
    net, x = kind().eval().double(), image(1).double()
    for layer in net.known(x):
        head = Head(net, layer, lambda images: net(images), x)
        given = variants(head.activation)
        if kind is not planted.OwnHooks:  # a hook of the user's own comes after an intervention
            torch.testing.assert_close(head.activation, net.known(x)[layer].detach(), rtol=1e-12, atol=1e-12)
        assert head.fast, layer
        torch.testing.assert_close(head(given), whole(net, layer, x, given), rtol=1e-12, atol=1e-12)


class _Chain(nn.Module):
    """Five convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.Sequential(*(nn.Conv2d(3, 3, 3, padding=1) for _ in range(5)))

    def forward(self, x: Tensor) -> Tensor:
        return self.convs(x)


class _Skips(_Chain):
    """The head reads what was made before the layer: from the image, from no image, in place, and by assignment."""

    def forward(self, x: Tensor) -> Tensor:
        first = self.convs[0](x)
        ramp = torch.arange(12.0).to(x) * x.new_full((12,), 2)
        buffer = torch.zeros(x.shape, dtype=x.dtype)
        buffer[:, 1:] = first[:, 1:]
        raised = first.clone()
        raised.add_(1)
        mean = first.mean()
        y = self.convs[1](first)
        y = torch.cat([y, buffer], 1)[:, 1:4]
        return self.convs[2](y) * ramp + buffer * raised.relu_() + mean + first.flatten(2).amax(2)[..., None, None] + x


class _Decides(_Chain):
    """Decisions from values, as numbers, before the layer."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.convs[0](x).detach()
        if y.sum().item() > -1e9 and not torch.equal(y, x) and bool((y > -1e9).all()):
            y = y * float(y.abs().max()) + y.tolist()[0][0][0][0]
        return self.convs[2](self.convs[1](y))


class _Own(_Chain):
    """An operation before the layer that no mode sees."""

    def forward(self, x: Tensor) -> Tensor:
        y = LeakyBackwardReLU(0.1)(self.convs[0](x))
        return self.convs[1](y) + y


class _Countable(_Chain):
    """Another way, to the same result, for more than one image."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.convs[0](x)
        y = 2 * y if len(y) == 1 else y + y
        return self.convs[1](y) + y


class _Fickle(_Chain):
    """Another way, to the same result, after two forwards."""

    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        y = self.convs[0](x)
        y = 2 * y if self.calls <= 2 else y + y
        return self.convs[1](y) + y


class _TokensFirst(_Chain):
    """What the head reads of the trunk has its images along the second axis."""

    def forward(self, x: Tensor) -> Tensor:
        turned = self.convs[0](x).transpose(0, 1)
        return self.convs[1](x) + turned.transpose(0, 1)


@pytest.mark.parametrize(
    ("kind", "layer", "fast"),
    [
        (_Skips, "convs.1", True),
        (_Decides, "convs.1", True),
        (_Own, "convs.1", None),
        (_Countable, "convs.1", False),
        (_Fickle, "convs.1", True),
        (_TokensFirst, "convs.1", False),
    ],
)
def test_what_cannot_be_replayed_runs_whole(kind: type[_Chain], layer: str, fast: bool | None) -> None:
    torch.manual_seed(0)
    net, x = kind().eval().double(), image(1).double()
    head = Head(net, layer, net, x)
    assert head.fast is fast or fast is None
    given = variants(head.activation)
    expected = whole(net, layer, x, given)
    torch.testing.assert_close(head(given), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(head(given[:1]), expected[:1], rtol=1e-12, atol=1e-12)


def test_a_network_that_changes_its_way_runs_whole_from_then_on() -> None:
    net, x = _Fickle().eval(), image(1)
    head = Head(net, "convs.1", net, x)
    assert head.fast
    head(variants(head.activation))
    assert not head.fast


# --- what it is for


class _Counter(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.convolutions = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.convolutions += "convolution" in str(func)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("layer", "after"), [("convs.0", 4), ("convs.2", 2), ("convs.4", 0)])
def test_only_what_comes_after_the_layer_is_computed(layer: str, after: int) -> None:
    net, x = _Chain().eval(), image(1)
    head = Head(net, layer, net, x)
    with torch.no_grad(), _Counter() as counter:
        head(variants(head.activation))
    assert counter.convolutions == after


def _bytes() -> int:
    gc.collect()
    tensors = [one for one in gc.get_objects() if issubclass(type(one), Tensor)]
    return sum({one.untyped_storage().data_ptr(): one.untyped_storage().nbytes() for one in tensors}.values())


def test_it_holds_what_the_head_reads_and_nothing_else() -> None:
    chain, x = _Chain().eval(), image(1, 64)
    before = _bytes()
    head = Head(chain, "convs.3", chain, x)
    activation, output = head.activation.nbytes, head.output.nbytes
    assert _bytes() - before <= activation + output + 1000
    skip = planted.SkipDepth().eval()
    before = _bytes()
    other = Head(skip, "identity", skip, x)
    assert _bytes() - before <= other.activation.nbytes + other.output.nbytes + skip.first(x).nbytes + 1000


def test_a_value_does_not_depend_on_its_company() -> None:
    net, x = _Skips().eval().double(), image(1).double()
    head = Head(net, "convs.1", net, x)
    given = variants(head.activation, 5)
    together = head(given)
    for number in range(5):
        torch.testing.assert_close(head(given[number : number + 1])[0], together[number], rtol=1e-12, atol=1e-12)


def test_given_activations_stay_as_they_are() -> None:
    net, x = planted.InPlace().eval(), image(1)
    head = Head(net, "conv1", net, x)
    given = variants(head.activation)
    before, kept = given.clone(), head.activation.clone()
    head(given)
    assert torch.equal(given, before)
    assert torch.equal(head.activation, kept)


def test_the_run_may_read_a_layer_rather_than_the_output() -> None:
    net, x = _Chain().eval(), image(1)

    def run(images: Tensor) -> Tensor:
        with capture(net, "convs.2", detach=False) as activations:
            net(images)
        return activations["convs.2"].mean((2, 3))

    head = Head(net, "convs.1", run, x)
    given = variants(head.activation)
    torch.testing.assert_close(head(given), net.convs[2](given).mean((2, 3)))
    itself = Head(net, "convs.2", run, x)
    torch.testing.assert_close(itself(given), given.mean((2, 3)))
    for after in ("convs.3", "convs"):
        with pytest.raises(CaptureError, match=rf"computed before layer '{after}'; name an earlier layer"):
            Head(net, after, run, x)
        with pytest.raises(CaptureError, match=rf"computed before layer '{after}'; name an earlier layer"):
            run_from(net, after, run, x)


# --- a graph from one layer on


@pytest.mark.parametrize("kind", planted.KNOWN)
def test_run_from_gives_the_gradient_at_the_layer(kind: type[planted.Base]) -> None:
    torch.manual_seed(0)
    net, x = kind().eval().double(), image(2).double()
    for layer in net.known(x):
        output, activation = run_from(net, layer, net, x)
        if kind is not planted.OwnHooks:
            torch.testing.assert_close(activation.detach(), net.known(x)[layer].detach(), rtol=1e-12, atol=1e-12)
        if layer in ("heads[out][0]", "heads[aux][both][0]"):
            with pytest.raises(CaptureError, match="has no gradient: what is explained does not depend on it"):
                gradient_at(layer, activation, output)
            continue
        found = gradient_at(layer, activation, output)
        step = 1e-6 * torch.randn(found.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
        with replace(net, {layer: lambda a, step=step: a + step}):
            up = net(x).sum()
        with replace(net, {layer: lambda a, step=step: a - step}):
            down = net(x).sum()
        torch.testing.assert_close((found * step).sum(), (up - down) / 2, rtol=1e-5, atol=1e-11)


def test_the_graph_goes_no_further_than_the_layer() -> None:
    net, x = _Chain().eval(), image(2).requires_grad_()
    output, activation = run_from(net, "convs.2", net, x)
    wanted = [x, *net.parameters()]
    reached = [found is not None for found in torch.autograd.grad(output.sum(), wanted, allow_unused=True)]
    assert reached == [False] * 7 + [True] * 4
    assert activation.is_leaf


def test_what_comes_before_the_layer_runs_once_and_without_a_graph() -> None:
    net, modes = _Chain().eval(), list[bool]()
    for part in net.convs:
        part.register_forward_hook(lambda *_: modes.append(torch.is_grad_enabled()))
    for grad in (True, False):
        with torch.set_grad_enabled(grad):
            run_from(net, "convs.2", net, image(1))
            assert torch.is_grad_enabled() is grad
    assert modes == [False, False, True, True, True] * 2  # an intervention comes before hooks


def test_a_network_that_turns_gradients_off_itself() -> None:
    class Frozen(_Chain):
        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                x = self.convs[:3](x)
            return self.convs[3](x)

    net, x = Frozen().eval().requires_grad_(False), image(1)
    output, activation = run_from(net, "convs.1", net, x)
    expected = activation.detach().requires_grad_()
    net.convs[3](net.convs[2](expected)).sum().backward()
    torch.testing.assert_close(gradient_at("convs.1", activation, output), expected.grad)


# --- what is left behind, and words


@pytest.mark.parametrize("grad", [True, False])
def test_nothing_is_left(grad: bool) -> None:
    net, x = planted.Reused().eval(), image(1)
    with torch.set_grad_enabled(grad):
        before = state_of(net)
        head = Head(net, "relu#1", net, x)
        head(variants(head.activation))
        output, activation = run_from(net, "relu#0", net, x)
        gradient_at("relu#0", activation, output)
        assert differences(before, state_of(net)) == ()


def test_nothing_is_left_after_an_error() -> None:
    net, x = planted.Fails().eval(), image(1)
    before = state_of(net)
    for call in (lambda: Head(net, "conv2", net, x), lambda: run_from(net, "conv2", net, x)):
        with pytest.raises(RuntimeError, match="boom"):
            call()
    assert differences(before, state_of(net)) == ()


def test_words_for_what_is_wrong() -> None:
    net = planted.InPlace().eval()
    with pytest.raises(InputError, match="2 images; a head is that of one image, so make one for each"):
        Head(net, "conv1", net, image(2))
    with pytest.raises(UnknownNameError, match="no layer 'canv1'; nearest: conv1"):
        Head(net, "canv1", net, image(1))
    with pytest.raises(CaptureError, match="'relu' was called 1 times"):
        Head(net, "relu#1", net, image(1))
