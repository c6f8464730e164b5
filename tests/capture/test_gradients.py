from __future__ import annotations

import planted_nets as planted
import pytest
import torch
from planted_nets import image, out_of_place, traces
from torch import Tensor, nn

from layerscope.capture.hooks import capture
from layerscope.errors import CaptureError


@pytest.fixture(params=planted.KNOWN, ids=lambda network: network.__name__)
def network(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    return request.param().eval().double()


def loss(output: Tensor) -> Tensor:
    return (output * torch.linspace(-1, 2, output.numel(), dtype=output.dtype).view_as(output)).sum()


def by_differences(net: nn.Module, name: str, at: tuple[int, ...], step: float = 1e-6) -> float:
    """The slope of the loss when one value of an activation is moved: the slow, literal meaning of a gradient."""
    part, _, call = name.partition("#")
    sums = []
    for sign in (1, -1):
        calls = iter(range(9))

        def move(module: nn.Module, args: object, output: Tensor, calls=calls, sign: int = sign) -> Tensor | None:  # type: ignore[no-untyped-def]
            if next(calls) != int(call or 0):
                return None
            moved = output.clone()
            moved[at] += sign * step
            return moved

        hook = net.get_submodule(part).register_forward_hook(move)
        with torch.no_grad():
            sums.append(loss(net(image().double())).item())
        hook.remove()
    return (sums[0] - sums[1]) / (2 * step)


def test_gradients_are_slopes(network: nn.Module) -> None:
    names = [name for name in network.known(image().double()) if "/" not in name and "[" not in name]
    before = traces(network)
    with capture(network, names, gradients=True) as activations:
        loss(network(image().double())).backward()
    network.zero_grad()
    free = out_of_place(network)
    for name in names:
        gradient = activations.gradients[name]
        assert gradient.shape == activations[name].shape
        for at in ((0, 1, 2, 3), (1, 3, 0, 5)):
            torch.testing.assert_close(gradient[at].item(), by_differences(free, name, at), rtol=1e-4, atol=1e-4)
    assert traces(network) == before


def test_gradients_at_functions_and_in_tuples() -> None:
    torch.manual_seed(0)
    net = planted.TupleOutput().eval()
    with capture(net, ["pair", "pair[1]", "/mul", "/add", "conv2"], gradients=True) as activations:
        loss(net(image())).backward()
    gradients = activations.gradients
    assert list(gradients) == ["pair", "pair[1]", "/mul", "/add", "conv2"]
    torch.testing.assert_close(gradients["pair"], 2 * gradients["/mul"])
    torch.testing.assert_close(gradients["pair[1]"], gradients["/add"])
    torch.testing.assert_close(gradients["/mul"], gradients["/add"])


def test_gradients_are_of_the_last_backward_pass_and_may_be_reduced() -> None:
    net = planted.InPlace().eval()
    with capture(net, "relu", gradients=True) as activations:
        output = net(image())
        loss(output).backward(retain_graph=True)
        once = activations.gradients["relu"]
        (2 * loss(output)).backward()
        torch.testing.assert_close(activations.gradients["relu"], 2 * once)
    images = image().requires_grad_()
    with capture(net.requires_grad_(False), "relu", gradients=True, reduce=lambda a: a.sum((2, 3))) as activations:
        torch.autograd.grad(loss(net(images)), images)
    torch.testing.assert_close(activations.gradients["relu"], once.sum((2, 3)))
    assert images.grad is None


class Views(nn.Module):
    """Parts that put out views of memory of their own, which are changed in place afterwards (as GhostNet's)."""

    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return self.conv(x)[:, :3], torch.ones(1)

    def __init__(self) -> None:
        super().__init__()
        self.part, self.flat = self.Half(), nn.Flatten()

    def forward(self, x: Tensor) -> Tensor:
        y, _ = self.part(x)
        y += x
        return self.flat(y * y)


def test_gradients_of_views_that_are_changed_in_place() -> None:
    torch.manual_seed(0)
    net, images = Views().eval(), image()
    plain = net(images)
    with capture(net, "*", gradients=True) as activations:
        output = net(images)
        loss(output).backward()
    torch.testing.assert_close(output, plain, rtol=0, atol=0)
    half = net.part.conv(images)[:, :3].detach()
    slope = loss(torch.autograd.functional.jvp(lambda y: net.flat((y + images) ** 2), half, torch.ones_like(half))[1])
    torch.testing.assert_close(activations["part[0]"], half)
    torch.testing.assert_close(activations.gradients["part[0]"].sum(), slope)
    assert "part[1]" in activations
    assert "part[1]" not in activations.gradients


def test_words_where_there_are_no_gradients() -> None:
    net = planted.InPlace().eval()
    with (
        pytest.raises(CaptureError, match=r"no gradient at 'conv1': nothing before it requires one; call images.req"),
        torch.no_grad(),
        capture(net, "conv1", gradients=True),
    ):
        net(image())
    with (
        torch.no_grad(),
        capture(net, "*", gradients=True),
        pytest.raises(CaptureError, match=r"no gradient anywhere: nothing requires one; call"),
    ):
        net(image())
    with capture(net, "conv1", gradients=True) as activations:
        net(image())
    with pytest.raises(CaptureError, match=r"no gradient 'conv1': no backward pass went through it .or it is"):
        activations.gradients["conv1"]
    with capture(net, "conv1") as activations:
        net(image())
    with pytest.raises(CaptureError, match=r"no gradient 'conv1': capture with gradients=True"):
        activations.gradients["conv1"]


def test_the_budget_counts_gradients_too() -> None:
    net = planted.InPlace().eval()
    size = 2 * 4 * 10 * 10 * 4
    with capture(net, "conv1", gradients=True, budget=2 * size - 1):
        output = net(image())
        with pytest.raises(CaptureError, match=r"the biggest of 2 sites: conv1 .*, gradient at conv1"):
            loss(output).backward()
