"""Capture against computations that share nothing with it, on the networks of torchvision; and broken captures, seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import planted_nets as planted
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from layerscope.benchmarks.networks import ONE_PER_FAMILY, find, opened
from layerscope.conformance.conform import Conformance, conform, redraw_zeros, smallest_input
from layerscope.conformance.out_of_place import OutOfPlace, out_of_place

PLANTED = (
    planted.InPlace,
    planted.PlusEquals,
    planted.Reused,
    planted.Functional,
    planted.TupleOutput,
    planted.Shared,
    planted.SkipDepth,
)


def small(name: str) -> tuple[nn.Module, tuple[int, int, int]]:
    """A network of torchvision with few classes, and the smallest image it takes; transformers for small images."""
    from torchvision import models

    torch.manual_seed(0)
    if name == "maxvit_t":
        blocks = {"block_channels": [16, 32], "block_layers": [1, 2], "stochastic_depth_prob": 0.2, "partition_size": 4}
        net = models.MaxVit(input_size=(32, 32), stem_channels=16, head_dim=8, num_classes=10, **blocks)
    else:
        more = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
        more |= {"image_size": 32} if name == "vit_b_16" else {}
        net = models.get_model(name, weights=None, num_classes=10, **more)
    net = redraw_zeros(net.eval())
    side = smallest_input(net)
    return net, (3, side, side)


@pytest.mark.parametrize("name", ONE_PER_FAMILY)
def test_capture_conforms_on_one_network_per_family(name: str) -> None:
    found = conform(*small(name))
    assert found.conforms, found
    assert found.unturned == 0
    assert found.sites > 20


@pytest.mark.slow
@pytest.mark.parametrize("spec", find("*"))
def test_capture_conforms_on_all_of_torchvision(spec: str) -> None:
    net, shapes = opened(spec)
    found = conform(net, shapes[0])
    assert found.conforms, found
    assert found.unturned == 0


@pytest.mark.parametrize("network", PLANTED, ids=lambda network: network.__name__)
def test_capture_conforms_on_planted_networks(network: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    found = conform(network().eval(), (3, 12, 12))
    assert found.conforms, found


def test_what_is_counted() -> None:
    torch.manual_seed(0)
    found = conform(planted.Reused().eval(), (3, 12, 12), batch=3)
    assert (found.size, found.sites, found.calls, found.overwritten, found.reused) == (12, 4, 5, 2, 1)
    found = conform(planted.Unused().eval(), (3, 12, 12))
    assert (found.uncalled, found.unexplained, found.error) == (2, 0, None)


class Naive(dict[str, Any]):
    """Hooks as one writes them, correct by themselves; each test breaks one thing."""

    copy: Callable[[Tensor], Tensor] = staticmethod(torch.clone)

    def __init__(self, module: nn.Module, asked: list[str], *, stop: bool = False, gradients: bool = False) -> None:
        super().__init__()
        self.module, self.wants_gradients = module, gradients
        self.gradients: dict[str, Tensor] = {}

    def __enter__(self) -> Naive:
        self.handles = [part.register_forward_hook(self.hook(name)) for name, part in self.module.named_modules()]
        self.calls: Counter[str] = Counter()
        self.seen: dict[tuple[str, int], Tensor] = {}
        self.arrived: dict[tuple[str, int], Tensor] = {}
        return self

    def hook(self, name: str) -> Callable[..., Any]:
        def note(part: nn.Module, inputs: object, output: Tensor) -> object:
            site = name, self.calls[name]
            self.calls[name] += 1
            self.seen[site] = self.copy(output.detach())
            if self.wants_gradients and output.requires_grad:
                output.register_hook(lambda gradient: self.arrive(site, gradient))
            if name == "":
                self.update({self.key(*site): value for site, value in self.seen.items()})
                self.number = dict(self.calls)
                self.calls.clear()
                self.seen.clear()
            return None

        return note

    def arrive(self, site: tuple[str, int], gradient: Tensor) -> None:
        name, call = site
        self.gradients[name if self.number[name] == 1 else f"{name}#{call}"] = gradient

    def key(self, name: str, call: int) -> str:
        return name if self.calls[name] == 1 else f"{name}#{call}"

    def __exit__(self, *_: object) -> None:
        for handle in self.handles:
            handle.remove()


class NotCopied(Naive):
    copy = staticmethod(lambda tensor: tensor)


class LastCallOnly(Naive):
    def key(self, name: str, call: int) -> str:
        return name


class Stale(Naive):
    def update(self, values: Any) -> None:
        super().update({key: self.get(key, value) for key, value in values.items()})


class HookLeft(Naive):
    def __exit__(self, *_: object) -> None:
        for handle in self.handles[1:]:
            handle.remove()


class Draws(Naive):
    copy = staticmethod(lambda tensor: tensor + 0 * torch.rand(1))


class Trains(Naive):
    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self.module.conv2.train()


class Changes(Naive):
    def hook(self, name: str) -> Callable[..., Any]:
        note = super().hook(name)

        def changed(part: nn.Module, inputs: object, output: Tensor) -> Tensor:
            note(part, inputs, output)
            return output * (1 + 1e-6)

        return changed


class Rounds(Naive):
    copy = staticmethod(lambda tensor: tensor * (1 + 1e-6))


class HalfTheGradient(Naive):
    def arrive(self, site: tuple[str, int], gradient: Tensor) -> None:
        super().arrive(site, gradient * (0.5 if site[0] == "conv1" else 1))


class NoGradient(Naive):
    def arrive(self, site: tuple[str, int], gradient: Tensor) -> None:
        super().arrive(site, gradient * 0)


class Fails(Naive):
    def __enter__(self) -> Naive:
        raise LookupError("lost\nmore")


def with_tool(tool: Any) -> Conformance:
    torch.manual_seed(0)
    return conform(planted.Reused().eval(), (3, 12, 12), capture=tool)


def test_hooks_that_copy_and_number_their_calls_conform() -> None:
    assert with_tool(Naive).conforms


@pytest.mark.parametrize(
    ("tool", "field", "said"),
    [
        (NotCopied, "wrong", ("conv1", "conv2")),
        (LastCallOnly, "missing", ("relu", "relu#0", "relu#1")),
        (Stale, "wrong", ("", "conv1", "conv2", "relu#0", "relu#1")),
        (HookLeft, "traces", ("the network: inside _forward_hooks is 1 entries, was 0 entries",)),
        (Trains, "traces", ("conv2: training is True, was False",)),
        (Changes, "output_same", False),
        (Rounds, "wrong", ("", "conv1", "conv2", "relu#0", "relu#1")),
        (HalfTheGradient, "gradients_wrong", ("conv1: differs by 5.0e-01 of the largest",)),
        (NoGradient, "gradients_wrong", tuple(f"{key}: is all zero" for key in ("conv1", "relu#0", "conv2", "relu#1", ""))),
        (Fails, "error", "capture: LookupError: lost"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)  # fmt: skip
def test_a_broken_capture_is_reported(tool: type[Naive], field: str, said: object) -> None:
    found = with_tool(tool)
    assert not found.conforms
    value = getattr(found, field)
    assert (tuple(sorted(value)) if field in ("wrong", "missing") else value) == said


def test_a_capture_that_draws_random_numbers_is_reported() -> None:
    (line,) = with_tool(Draws).traces
    assert line.startswith("torch's random state is ")


def test_an_exception_of_the_network_is_no_pass() -> None:
    found = conform(planted.Fails().eval(), (3, 12, 12))
    assert (found.error, found.conforms) == ("the network: RuntimeError: boom", False)
    with pytest.raises(RuntimeError, match="boom"):
        smallest_input(planted.Fails().eval())


def test_a_network_that_gives_two_outputs_cannot_be_compared() -> None:
    class Counts(nn.Module):
        calls = 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            return x + self.calls

    found = conform(Counts(), (3, 4, 4))
    assert (
        found.error == "the network: RuntimeError: two forwards on the same images differ, so nothing can be compared"
    )


def test_a_zero_head_is_reported_and_can_be_drawn_anew() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 2)).eval()
    nn.init.zeros_(net[3].weight)
    nn.init.zeros_(net[3].bias)
    found = conform(net, (3, 8, 8))
    assert (found.gradients_zero, found.gradients_wrong, found.conforms) == (("0", "1", "2"), (), False)
    before = net[0].weight.clone()
    assert conform(redraw_zeros(net), (3, 8, 8)).conforms
    assert torch.equal(net[0].weight, before)


def test_the_smallest_image_is_found() -> None:
    net = nn.Sequential(nn.Conv2d(3, 2, 70), nn.Flatten()).eval()
    assert smallest_input(net) == 75
    assert smallest_input(net, (71, 75)) == 71
    with pytest.raises(RuntimeError, match="Kernel size"):
        smallest_input(net, (32, 64))


def test_what_is_turned_out_of_place() -> None:
    x = torch.tensor([-2.0, 3.0])
    with OutOfPlace():
        total = x
        total += 1
        product = x.mul_(2)
        clipped = F.relu(x, inplace=True)
        also = torch.relu_(x)
        half = torch.tensor([1], dtype=torch.int32)
        half *= 3
    assert x.tolist() == [-2, 3]
    assert [value.tolist() for value in (total, product, clipped, also)] == [[-1, 4], [-4, 6], [0, 3], [0, 3]]
    assert half.dtype == torch.int32


def test_what_is_not_turned_out_of_place() -> None:
    x = torch.tensor([-2.0, 3.0])
    with OutOfPlace():
        x.add_(1)  # the result is not used: the effect is what is wanted
        x[0] = 7
        other = torch.zeros(2).copy_(x)
    assert x.tolist() == other.tolist() == [7, 4]


def test_a_copy_out_of_place_shares_the_weights() -> None:
    net = planted.InPlace()
    twin = out_of_place(net)
    assert twin.conv1.weight is net.conv1.weight
    assert (twin.relu.inplace, net.relu.inplace) == (False, True)


def test_another_name_for_what_is_overwritten_is_no_pass() -> None:
    class Alias(planted.Base):
        def forward(self, x: Tensor) -> Tensor:
            x = self.conv1(x)
            y = x
            y += 1
            return self.conv2(x)

    torch.manual_seed(0)
    found = conform(Alias().eval(), (3, 12, 12))
    assert (found.wrong, found.unturned, found.conforms) == ((), found.calls, False)


class Counting(nn.Module):
    """Counts its forwards in a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.part = nn.Conv2d(3, 3, 3)
        self.register_buffer("forwards", torch.zeros(()))

    def forward(self, images: Tensor) -> Tensor:
        self.forwards += 1
        result: Tensor = self.part(images)
        return result


class Counted(Counting):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images).argmax(1)


def test_what_the_network_changes_by_itself_is_no_trace_of_capture() -> None:
    found = conform(Counting().eval(), (3, 12, 12))
    assert found.conforms, found


def test_an_output_of_integers_has_no_gradients() -> None:
    found = conform(Counted().eval(), (3, 12, 12))
    assert found.conforms, found
    assert set(found.without_gradient) == {"", "part"}


class Both(Counting):
    def forward(self, images: Tensor) -> dict[str, Tensor]:
        maps = super().forward(images)
        return {"class": maps.argmax(1), "maps": maps}


def test_an_output_of_which_the_first_part_has_no_gradient() -> None:
    found = conform(Both().eval(), (3, 12, 12))
    assert found.conforms, found
    assert found.without_gradient == ("",)


def test_why_a_comparison_shows_too_little() -> None:
    network = nn.Sequential(*(nn.Conv2d(3, 3, 3) for _ in range(4)))
    for weight in network.parameters():
        nn.init.zeros_(weight)
    found = conform(network.eval(), (3, 12, 12))
    assert not found.conforms
    assert found.untelling.startswith("of 5 calls, 0 could not be compared without in-place operations, and 3 have")
    assert conform(redraw_zeros(network), (3, 12, 12)).untelling == ""
