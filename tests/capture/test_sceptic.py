"""Small networks that once got wrong answers, each with what is right."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
import torch
from planted_nets import traces
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from layerscope.capture.hooks import capture
from layerscope.capture.interventions import ablate, replace
from layerscope.errors import CaptureError, InputError, LayerscopeError, UnknownNameError
from layerscope.models.model import wrap


class Net(nn.Module):
    """A forward in one line."""

    def __init__(self, function: Callable[..., object], **parts: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, *args: object) -> object:
        return self.function(self, *args)


def linear(weight: float) -> nn.Linear:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, weight)
    return layer


ONE = torch.ones(1, 1)


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("same", [torch.Tensor.contiguous, torch.Tensor.float])
def test_a_function_that_gives_its_argument_is_not_one_that_works_in_place(
    same: Callable[[Tensor], Tensor], grad: bool
) -> None:
    net, images = Net(lambda self, x: x * 10 + same(x)), ONE.clone()
    with torch.set_grad_enabled(grad), replace(net, {f"/{same.__name__}": lambda value: value * 0}):
        output = net(images)
    assert (output.item(), images.item()) == (10, 1)


def test_what_the_user_gives_is_not_overwritten_by_the_network() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(inplace=True))
    value = torch.tensor([[-1.0, 2.0]], requires_grad=True)
    for given in (value.detach(), torch.full((1,), -1.0), value):
        with replace(net, {"0": given}), capture(net, "0", stop=False) as activations:
            for _ in range(2):
                net(torch.ones(1, 2))
                assert torch.equal(activations["0"], given.detach().expand(1, 2))
    assert torch.equal(value.detach(), torch.tensor([[-1.0, 2.0]]))


def test_interventions_hold_in_every_thread_and_captures_in_their_own() -> None:
    meet = threading.Barrier(3)
    net = Net(lambda self, x: (self.a(x), meet.wait())[0], a=linear(1.0))
    with replace(net, {"a": lambda value: value * 3}), ThreadPoolExecutor(3) as threads:
        assert list(threads.map(lambda n: net(n * ONE).item(), range(3))) == [0, 3, 6]

    def own(number: int) -> float:
        with capture(net, "a", stop=False) as activations:
            net(number * ONE)
            return activations["a"].item()

    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(own, range(3))) == [0, 1, 2]


def test_functions_of_several_threads_are_kept_apart() -> None:
    meet = threading.Barrier(2)

    def forward(self: nn.Module, x: Tensor) -> Tensor:
        meet.wait()
        y = self.b(x)
        meet.wait()
        return y + 1

    net = Net(forward, b=Net(lambda self, x: (meet.wait(), x * 2)[1]))

    def own(number: int) -> list[str]:
        with capture(net, "*/*") as activations:
            net(number * ONE)
            return [*activations]

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(own, range(2))) == [["b/mul", "/add"]] * 2


def test_a_recomputation_is_refused() -> None:
    net = Net(
        lambda self, x: checkpoint(lambda y: self.b(self.a(y)), x, use_reentrant=False), a=linear(2.0), b=linear(3.0)
    )
    with replace(net, {"a": lambda value: value * 0}):
        output = net(ONE.clone().requires_grad_())
        with pytest.raises(CaptureError, match=r"'a' ran outside of a forward .* turn checkpointing off, or intervene"):
            output.sum().backward()


def test_a_tensor_that_an_output_does_not_hold_is_said() -> None:
    net = Net(lambda self, x: self.pair(x)[0], pair=Net(lambda self, x: (x * 2, x * 3)), fc=linear(1.0))
    message = r"layer 'pair\[5\]' gave no activation: the output of 'pair' holds \[0\], \[1\]"
    for context in (capture(net, "pair[5]"), replace(net, {"pair[5]": torch.zeros(())})):
        with context, pytest.raises(CaptureError, match=message):
            net(ONE)


def test_nothing_stays_on_parameters_and_images() -> None:
    net = Net(lambda self, x: self.fc(self.same(x) + self.pos()), pos=Net(lambda self: self.w), fc=linear(5.0))
    net.pos.w, net.same = nn.Parameter(torch.ones(1)), nn.Identity()
    images = ONE.clone().requires_grad_()
    before = traces(net)
    with capture(net, ["pos", "same"], gradients=True) as activations:
        net(images).sum().backward()
    assert [activations.gradients[name].item() for name in ("pos", "same")] == [5, 5]
    assert (net.pos.w._backward_hooks, images._backward_hooks) == (None, None)
    net.zero_grad()
    assert traces(net)[0] == before[0]
    (net(images).sum() * 100).backward()
    assert activations.gradients["pos"].item() == 5


def test_the_gradient_at_a_site_is_not_that_of_others_that_use_its_input() -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        y = x * 1
        return self.shortcut(y) + self.conv(y)

    net = Net(forward, shortcut=nn.Identity(), conv=linear(10.0))
    with capture(net, "*", gradients=True) as activations:
        net(ONE.clone().requires_grad_()).sum().backward()
    assert activations.gradients["shortcut"].item() == 1


def test_gradients_of_what_is_passed_through_and_then_changed_in_place() -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        y = self.same(self.a(x))
        y += x
        return y * y

    net = Net(forward, a=linear(2.0), same=nn.Identity())
    with capture(net, ["same", "a"], gradients=True) as activations:
        net(ONE.clone().requires_grad_()).sum().backward()
    assert [activations.gradients[name].item() for name in ("same", "a")] == [6, 6]


def test_a_plain_name_is_the_first_tensor_or_none() -> None:
    net = Net(lambda self, x: self.pair(x)[0], pair=Net(lambda self, x: (x * 2, x * 3)))
    with capture(net, "pair[1]") as activations:
        net(ONE)
    assert ("pair" in activations, activations["pair[1]"].item()) == (False, 3)
    with capture(net, "pair", gradients=True) as activations:
        net(ONE.clone().requires_grad_()).sum().backward()
    for name in ("pair", "pair[0]", "pair#0", "pair#0[0]"):
        assert (activations[name].item(), activations.gradients[name].item()) == (2, 1)
        assert name in activations.gradients
        assert activations.gradients.get(name) is not None


def test_a_pattern_changes_a_module_of_two_names_once() -> None:
    net = Net(lambda self, x: self.a(x), a=nn.Identity())
    net.b = net.a
    with replace(net, {"*": lambda value: value * 2}):
        assert net(ONE).item() == 2


def test_a_reduced_view_in_the_graph_is_as_it_was() -> None:
    net = nn.Sequential(nn.Linear(3, 8), nn.ReLU(inplace=True))
    with capture(net, "0", reduce=lambda a: a[:, :6], detach=False, stop=False) as activations:
        net(torch.randn(40, 3))
    assert (activations["0"] < 0).any()


def test_values_do_not_depend_on_what_else_is_asked_for() -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        y = self.a(x)
        y.data.mul_(2)
        return self.b(y)

    net = Net(forward, a=linear(3.0), b=nn.Identity())
    with capture(net, ["a", "b"]) as activations:
        net(ONE)
    assert (activations["a"].item(), activations["b"].item()) == (3, 6)


def test_tokens_of_no_square_have_no_positions() -> None:
    tokens = Net(lambda self, x: self.same(x.flatten(2).transpose(1, 2)), same=nn.Identity())
    with ablate(tokens, "same:0@1,1"), pytest.raises(InputError, match=r"32 tokens are no square of patches"):
        tokens(torch.rand(1, 3, 4, 8))


def test_a_reference_is_not_seen_by_open_captures() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU()).eval()
    with capture(net, "1", stop=False) as activations:
        net(torch.ones(1, 1, 4, 4))
        with ablate(net, "0:0", "mean", reference=torch.rand(4, 1, 8, 8)):
            assert activations["1"].shape == (1, 2, 4, 4)
            net(torch.ones(3, 1, 4, 4))
    assert activations["1"].shape == (3, 2, 4, 4)


def test_gradients_of_many_backward_passes_take_the_memory_of_one() -> None:
    net, images = nn.Sequential(nn.Conv2d(3, 4, 3)), torch.rand(2, 3, 32, 32, requires_grad=True)
    size = 2 * 4 * 30 * 30 * 4
    with capture(net, "0", gradients=True, budget=2 * size) as activations:
        output = net(images)
        for place in range(5):
            torch.autograd.grad(output[0, 0, 0, place], images, retain_graph=True)
            assert activations.gradients["0"][0, 0, 0].nonzero().flatten().tolist() == [place]


def test_a_reduced_view_holds_its_own_memory_only() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3))
    with torch.no_grad(), capture(net, "0", reduce=lambda a: a.sigmoid()[0, 0, 0, :1], budget=1000) as activations:
        net(torch.rand(2, 3, 64, 64))
    assert activations["0"].untyped_storage().nbytes() == 4


class Output(OrderedDict[str, Tensor]):
    def update(self, *args: object, **kwargs: object) -> None:  # as Hugging Face's ModelOutput
        raise TypeError("no update")


@dataclass
class Late:
    logits: Tensor
    made: str = field(init=False, default="late")


class Triple(tuple[Tensor, ...]):
    def __new__(cls, a: Tensor, b: Tensor, c: Tensor) -> Triple:
        return super().__new__(cls, (a, b, c))


@pytest.mark.parametrize(
    ("make", "path"), [(lambda x: Output(a=x), "[a]"), (Late, "[logits]"), (lambda x: Triple(x, x, x), "[1]")]
)
def test_odd_containers_can_be_changed(make: Callable[[Tensor], object], path: str) -> None:
    net = Net(lambda self, x: self.part(x), part=Net(lambda self, x: make(x)))
    with replace(net, {f"part{path}": lambda value: value + 1}), capture(net, f"part{path}", stop=False) as activations:
        output = net(ONE)
    assert type(output) is type(make(ONE))
    assert activations[f"part{path}"].item() == 2


def test_a_size_beside_a_tensor_stays_as_it_is() -> None:
    net = Net(lambda self, x: self.part(x)[0], part=Net(lambda self, x: (x * 2, x.shape)))
    with replace(net, {"part[0]": lambda value: value + 1}), capture(net, "*", gradients=True) as activations:
        net(ONE.clone().requires_grad_()).sum().backward()
    assert (activations["part[0]"].item(), activations.gradients["part[0]"].item()) == (3, 1)


@pytest.mark.filterwarnings("ignore")
def test_sparse_and_nested_tensors_are_copied_too() -> None:
    sparse = torch.eye(400).to_sparse()
    net = Net(lambda self, x: self.part(x), part=Net(lambda self, x: sparse * x))
    with capture(net, "part", stop=False) as activations:
        net(torch.tensor(2.0))
    assert torch.equal(activations["part"].to_dense(), 2 * torch.eye(400))


def test_a_capture_is_entered_once_at_a_time() -> None:
    net = nn.Sequential(nn.Linear(1, 1))
    activations = capture(net, "0")
    with activations, pytest.raises(CaptureError, match=r"open already"), activations:
        pass
    with activations:
        net(ONE)
    assert "0" in activations


def test_names_with_signs_in_them() -> None:
    net = Net(lambda self, x: self.parts["a#1"](self.parts["b[0]"](x)), parts=nn.ModuleDict({"a#1": linear(2.0)}))
    net.parts["b[0]"] = linear(3.0)
    with capture(net, ["parts.a#1", "parts.b[0]"]) as activations:
        net(ONE)
    assert [activations[name].item() for name in ("parts.a#1", "parts.b[0]")] == [6, 3]


def test_units_of_a_second_name() -> None:
    net = nn.Sequential(OrderedDict(a=nn.Conv2d(1, 2, 1)))
    net.b = net.a
    for model in (net, wrap(net, 8, mean=0, std=1)):
        with ablate(Net(lambda self, x: self.net.a(x), net=net), "net.b:0"):
            pass
        assert model is not None
    whole = Net(lambda self, x: self.net.a(x), net=net)
    with ablate(whole, "net.b:0"), capture(whole, "net.a") as activations:
        whole(torch.ones(1, 1, 4, 4))
    assert (activations["net.a"][:, 0] == 0).all()
    with ablate(wrap(whole, 8), "net.b:1"), capture(whole, "net.a") as activations:
        whole(torch.ones(1, 1, 4, 4))
    assert (activations["net.a"][:, 1] == 0).all()


def test_the_last_entered_intervention_has_the_last_word() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 1))
    with ablate(net, "0:0", 1.0), ablate(net, "0:0", 2.0), capture(net, "0", stop=False) as activations:
        net(torch.rand(1, 1, 3, 3))
    assert (activations["0"][:, 0] == 2).all()


def test_positions_are_those_of_the_images_that_run() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 1))
    with ablate(wrap(net, 8, mean=0, std=1), "0:0@12,12"), capture(net, "0") as activations:
        net(torch.rand(1, 1, 16, 16))
    assert activations["0"][0, 0, 12, 12] == 0


def test_inside_a_transformation_there_is_nothing_to_keep() -> None:
    net = nn.Sequential(nn.Linear(2, 2))
    with capture(net, "0", stop=False), pytest.raises(CaptureError, match=r"inside a transformation of torch.func"):
        torch.vmap(net)(torch.rand(3, 2))


def test_many_spilled_sites_take_few_open_files(tmp_path) -> None:  # type: ignore[no-untyped-def]
    import os

    net = nn.Sequential(*[nn.Linear(64, 64) for _ in range(200)])
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0  # noqa: PTH208, PTH112
    with torch.no_grad(), capture(net, "*", budget=0, spill=tmp_path) as activations:
        net(torch.rand(8, 64))
    after = len(os.listdir("/proc/self/fd")) if before else 0  # noqa: PTH208
    assert len(activations) == 200
    assert after - before < 30


MISTAKES: list[tuple[Callable[[nn.Module], object], type[LayerscopeError], str]] = [
    (lambda net: capture(None, "0"), InputError, r"None is no network; give a torch.nn.Module"),  # type: ignore[arg-type]
    (lambda net: capture("resnet18", "0"), InputError, r"'resnet18' is no network"),  # type: ignore[arg-type]
    (lambda net: capture(net, None), InputError, r"layers=None are no layers"),  # type: ignore[arg-type]
    (lambda net: capture(net, [3]), InputError, r"3 is no layer; layers are named by text"),  # type: ignore[list-item]
    (lambda net: capture(net, []), InputError, r"no layers asked for"),
    (lambda net: capture(net, "0", reduce="mean"), InputError, r"reduce='mean' cannot be called"),  # type: ignore[arg-type]
    (lambda net: capture(net, "0", spill="", budget=1), InputError, r"spill='' is no folder"),
    (lambda net: capture(net, "0", spill="."), InputError, r"give budget= too"),
    (lambda net: capture(net, "0", budget=-1), InputError, r"budget=-1; give a number of bytes"),
    (lambda net: replace(net, {"0": 0.0}), InputError, r"the replacement of '0' is 0.0; give a tensor"),  # type: ignore[dict-item]
    (lambda net: replace(net, ["0"]), InputError, r"list is no mapping"),  # type: ignore[arg-type]
    (lambda net: ablate(net, None), InputError, r"units=None; give a unit"),  # type: ignore[arg-type]
    (lambda net: ablate(net, []), InputError, r"units=\[\]; give a unit"),
    (lambda net: ablate(net, "0:0", None), InputError, r"to=None; give 'zero'"),  # type: ignore[arg-type]
    (lambda net: ablate(net, "0:0", reference=ONE), InputError, r"give to='mean' with it"),
    (lambda net: ablate(net, "x:0"), UnknownNameError, r"no layer 'x'"),
]


@pytest.mark.parametrize(("mistake", "kind", "words"), MISTAKES)
def test_mistakes_are_said_in_words(
    mistake: Callable[[nn.Module], object], kind: type[LayerscopeError], words: str
) -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 1))
    with pytest.raises(kind, match=words), mistake(net):  # type: ignore[attr-defined]
        pass
    assert not net[0]._forward_hooks
