"""Small networks with exactly one difficulty each, and the same networks written without it."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Base(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, padding=1)


class InPlace(Base):
    """A module that overwrites the output of another one."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(self.relu(self.conv1(x)))


class PlusEquals(Base):
    """`+=` and an assignment to a slice."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        y = self.conv2(x)
        y += x
        y[:, 0] = -7
        return y.square().sum((2, 3))


class Reused(Base):
    """One ReLU, called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.conv2(self.relu(self.conv1(x))))


class Functional(Base):
    """In-place functions between the modules."""

    def forward(self, x: Tensor) -> Tensor:
        return F.relu_(self.conv2(F.relu(self.conv1(x), inplace=True)))


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


class Shared(Base):
    """Two names for one module."""

    def __init__(self) -> None:
        super().__init__()
        self.conv3 = self.conv2

    def forward(self, x: Tensor) -> Tensor:
        return self.conv3(self.conv2(self.conv1(x)))


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
