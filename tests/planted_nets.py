"""Small networks with exactly one difficulty each, and the same networks written without it."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Base(nn.Module):
    """Each network says by `known`, in plain functions, what its sites put out: {key of the capture: activation}."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, padding=1)

    def first(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.conv1.weight, self.conv1.bias)

    def second(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.conv2.weight, self.conv2.bias, padding=1)


class InPlace(Base):
    """A module that overwrites the output of another one."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(self.relu(self.conv1(x)))

    def known(self, x: Tensor) -> dict[str, Tensor]:
        first = self.first(x)
        return {"conv1": first, "relu": first.clamp(min=0), "conv2": self.second(first.clamp(min=0))}


class PlusEquals(Base):
    """`+=` and an assignment to a slice."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        y = self.conv2(x)
        y += x
        y[:, 0] = -7
        return y.square().sum((2, 3))

    def known(self, x: Tensor) -> dict[str, Tensor]:
        first = self.first(x)
        second = self.second(first)
        whole = torch.cat([torch.full_like(first[:, :1], -7), (second + first)[:, 1:]], 1).square()
        return {"conv1": first, "conv2": second, "/add": second + first, "/square": whole, "/sum": whole.sum((2, 3))}


class Reused(Base):
    """One ReLU, called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.conv2(self.relu(self.conv1(x))))

    def known(self, x: Tensor) -> dict[str, Tensor]:
        first = self.first(x)
        second = self.second(first.clamp(min=0))
        return {"conv1": first, "relu#0": first.clamp(min=0), "conv2": second, "relu#1": second.clamp(min=0)}


class Functional(Base):
    """In-place functions between the modules, one of them called twice."""

    def forward(self, x: Tensor) -> Tensor:
        return F.relu_(self.conv2(F.relu(self.conv1(x), inplace=True)))

    def known(self, x: Tensor) -> dict[str, Tensor]:
        first = self.first(x)
        second = self.second(first.clamp(min=0))
        return {"conv1": first, "/relu#0": first.clamp(min=0), "conv2": second, "/relu#1": second.clamp(min=0)}


class Branches(Base):
    """A way through that depends on the data, so that no trace of one image holds for another."""

    def forward(self, x: Tensor) -> Tensor:
        first = self.conv1(x)
        return self.conv2(first) if x.mean() > 0.4 else first.relu_()

    def known(self, x: Tensor) -> dict[str, Tensor]:
        first = self.first(x)
        return {"conv1": first, **({"conv2": self.second(first)} if x.mean() > 0.4 else {"/relu": first.clamp(min=0)})}


class TupleOutput(Base):
    """A part whose output is a tuple."""

    class Pair(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x + 1, x - 1

    def __init__(self) -> None:
        super().__init__()
        self.pair = self.Pair()

    def forward(self, x: Tensor) -> Tensor:
        plus, minus = self.pair(self.conv1(x))
        return self.conv2(plus.mul_(2) + minus)

    def known(self, x: Tensor) -> dict[str, Tensor]:
        first = self.first(x)
        pair = {"pair[0]": first + 1, "pair[1]": first - 1}
        return {
            "conv1": first,
            **pair,
            "/mul": 2 * first + 2,
            "/add": 3 * first + 1,
            "conv2": self.second(3 * first + 1),
        }


class Nested(Base):
    """A part whose output is a dict of a tuple and a dataclass with a named tuple in it."""

    class Both(NamedTuple):
        low: Tensor
        high: Tensor

    @dataclass
    class Answer:
        both: Nested.Both
        note: str

    class Heads(nn.Module):
        def forward(self, x: Tensor) -> dict[str, object]:
            both = Nested.Both(x - 1, x + 1)
            return {"out": (x, None, [2 * x]), "aux": Nested.Answer(both, "the last")}

    def __init__(self) -> None:
        super().__init__()
        self.heads = self.Heads()

    def forward(self, x: Tensor) -> Tensor:
        heads = self.heads(self.conv1(x))
        return self.conv2(heads["out"][2][0] + heads["aux"].both.high)

    def known(self, x: Tensor) -> dict[str, Tensor]:
        first = self.first(x)
        out = {"heads[out][0]": first, "heads[out][2][0]": 2 * first}
        aux = {"heads[aux][both][0]": first - 1, "heads[aux][both][1]": first + 1}
        return {"conv1": first, **out, **aux, "conv2": self.second(3 * first + 1)}


class Shared(Base):
    """Two names for one module."""

    def __init__(self) -> None:
        super().__init__()
        self.conv3 = self.conv2

    def forward(self, x: Tensor) -> Tensor:
        return self.conv3(self.conv2(self.conv1(x)))

    def known(self, x: Tensor) -> dict[str, Tensor]:
        first = self.first(x)
        second, third = self.second(first), self.second(self.second(first))
        return {"conv1": first, "conv2#0": second, "conv3#0": second, "conv2#1": third, "conv3#1": third}


class SharedWeights(Base):
    """Two modules with the same weights."""

    def __init__(self) -> None:
        super().__init__()
        self.tied = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.tied.weight = self.conv2.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.tied(self.conv2(self.conv1(x)))

    def known(self, x: Tensor) -> dict[str, Tensor]:
        second = self.second(self.first(x))
        return {"conv1": self.first(x), "conv2": second, "tied": F.conv2d(second, self.conv2.weight, padding=1)}


class OwnHooks(Base):
    """Hooks of the user's own: one changes an output, one an input, and one looks on."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[float] = []
        self.conv1.register_forward_hook(lambda module, args, output: 3 * output)
        self.conv2.register_forward_pre_hook(lambda module, args: (args[0] - 1,))
        self.conv2.register_forward_hook(lambda module, args, output: self.seen.append(output.mean().item()))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(self.conv1(x))

    def known(self, x: Tensor) -> dict[str, Tensor]:
        return {"conv1": 3 * self.first(x), "conv2": self.second(3 * self.first(x) - 1)}


class SkipDepth(Base):
    """A part whose output is its input, which is overwritten afterwards (as StochasticDepth in EfficientNet)."""

    def __init__(self) -> None:
        super().__init__()
        self.identity = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        y = self.identity(self.conv2(x))
        y += x
        return y

    def known(self, x: Tensor) -> dict[str, Tensor]:
        first = self.first(x)
        second = self.second(first)
        return {"conv1": first, "conv2": second, "identity": second, "/add": second + first}


class OwnParameters(Base):
    """A container with weights of its own, which no leaf shows (as `layer_scale` in ConvNeXt)."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([1.0, -2.0, 3.0, 0.5]).view(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.conv2(self.conv1(x))

    def known(self, x: Tensor) -> dict[str, Tensor]:
        second = self.second(self.first(x))
        return {"conv1": self.first(x), "conv2": second, "/mul": second * self.scale}


class Fails(Base):
    """An exception in the third layer."""

    class Boom(nn.Module):
        error: type[BaseException] | None = RuntimeError

        def forward(self, x: Tensor) -> Tensor:
            if self.error is not None:
                raise self.error("boom")
            return x

    def __init__(self) -> None:
        super().__init__()
        self.boom = self.Boom()

    def forward(self, x: Tensor) -> Tensor:
        return self.boom(self.conv2(self.conv1(x)))


class Unused(Base):
    """A module that is never called, one without a tensor, and weights that are used without a call."""

    class Nothing(nn.Module):
        def forward(self, x: Tensor) -> None:
            return None

    def __init__(self) -> None:
        super().__init__()
        self.nothing, self.aux = self.Nothing(), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        self.nothing(x)
        return F.conv2d(self.conv1(x), self.conv2.weight)


KNOWN = (
    InPlace,
    PlusEquals,
    Reused,
    Functional,
    Branches,
    TupleOutput,
    Nested,
    Shared,
    SharedWeights,
    OwnHooks,
    SkipDepth,
    OwnParameters,
)


def image(batch: int = 2, size: int = 12, channels: int = 3) -> Tensor:
    return torch.rand(batch, channels, size, size, generator=torch.Generator().manual_seed(1))


def out_of_place(module: nn.Module) -> nn.Module:
    """A copy in which no module works in place."""
    module = copy.deepcopy(module)
    for part in module.modules():
        if hasattr(part, "inplace"):
            part.inplace = False
    return module


def by_hand(module: nn.Module, images: Tensor) -> dict[tuple[str, int], Tensor]:
    """What every call of every module put out, cloned at once: the slow reference."""
    seen: dict[tuple[str, int], Tensor] = {}
    hooks = []
    for name, part in module.named_modules(remove_duplicate=False):

        def note(_part: nn.Module, _args: object, output: object, name: str = name) -> None:
            tensor = output[0] if isinstance(output, tuple) else output
            if isinstance(tensor, Tensor):
                call = sum(known == name for known, _ in seen)
                seen[name, call] = tensor.detach().clone()

        hooks.append(part.register_forward_hook(note))
    with torch.no_grad():
        module(images.clone())
    for hook in hooks:
        hook.remove()
    return seen


def traces(module: nn.Module) -> list[object]:
    """All that capturing could leave on a network."""
    parts = [
        (name, part.training, [(key, len(held) if key.endswith("_hooks") else 0) for key, held in vars(part).items()])
        for name, part in module.named_modules()
    ]
    weights = [(name, weight.requires_grad, weight.grad) for name, weight in module.named_parameters()]
    state = {name: value.sum().item() for name, value in module.state_dict().items()}
    return [parts, weights, state, torch.get_rng_state().tolist()]
