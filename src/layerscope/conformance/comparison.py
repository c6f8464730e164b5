"""The steps of a conformance test: what the network computes, and what capture says that it computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from layerscope.conformance.out_of_place import OutOfPlace, out_of_place
from layerscope.conformance.trace import RANDOM_STATES, named_differences, state_of
from layerscope.conformance.witness import Site, Witness, difference, same_bits, tensors

TOLERANCE = 1e-4  # of the largest value at a site; what float32 sums in another order differ by

Tool = Callable[..., AbstractContextManager[Any]]  # called as `layerscope.capture.hooks.capture` is


@dataclass(frozen=True)
class Truth:
    """What the network does with nobody watching.

    output: of a plain forward. own: what that forward itself changes (caches, counters), as `named_differences`.
    seen: copies of all that its modules put out. overwritten: how many of those change after the module has returned.
    """

    output: Any
    own: Mapping[str, str]
    seen: Witness
    overwritten: int


@dataclass(frozen=True)
class Twin:
    """The same by a network in which nothing is overwritten. Sites that could not be had so are not among the values.

    gradients: of a random projection of the output; None where there is no way from the site to it.
    """

    values: dict[Site, Tensor]
    gradients: Mapping[Site, Tensor | None]


@dataclass(frozen=True)
class Captured:
    """What capture gave: values by key, the output of the network under it, and what it left behind."""

    values: Mapping[str, Tensor]
    output: Any
    traces: tuple[str, ...]


class Experiment:
    """Forwards of one network on the same noise, each with the same random numbers.

    `earlier` runs before `images` wherever a value or trace of an earlier forward could show.
    """

    def __init__(self, module: nn.Module, input_shape: tuple[int, int, int], batch: int, seed: int) -> None:
        self.module, self.seed = module, seed
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(2, batch, *input_shape, generator=generator).to(**like(module))
        self.earlier, self.images = noise.unbind()
        self.asked = ["*", ""] if any(True for _ in module.children()) else [""]

    def truth(self) -> Truth:
        """Plain forwards, then one with hooks that copy at once and hooks that do not."""
        with self._same_dice(), torch.no_grad():
            before = state_of(self.module)
            output = self._forwards()
            own = named_differences(before, state_of(self.module))
            seen, uncopied = Witness(Tensor.clone), Witness(lambda tensor: tensor)
            with seen.watching(self.module), uncopied.watching(self.module):
                self._roll()
                again = self.module(self.images)
        if not same_bits(again, output):
            raise RuntimeError("two forwards on the same images differ, so nothing can be compared")
        changed = sum(not same_bits(uncopied.kept[site], value) for site, value in seen.kept.items())
        return Truth(output, own, seen, changed)

    def twin(self, truth: Truth) -> Twin:
        """Values and gradients where in-place operations make new tensors instead; none if that changes the output."""
        seen = Witness(lambda tensor: (tensor, tensor._version), apart=True)
        twin = out_of_place(self.module)
        with self._same_dice(), torch.enable_grad(), seen.watching(twin), OutOfPlace():
            self._roll()
            images = self._images()
            output = twin(images.clone())
        pairs = zip(tensors(output), tensors(truth.output), strict=True)
        if not all(difference(ours, plain) <= TOLERANCE for ours, plain in pairs):
            return Twin({}, {})
        kept = {site: tensor for site, (tensor, version) in seen.kept.items() if tensor._version == version}
        ways = {site: tensor for site, tensor in kept.items() if tensor.requires_grad}
        found = self._gradients(output, [*ways.values()])
        gradients = dict.fromkeys(kept) | dict(zip(ways, found, strict=True))
        return Twin({site: tensor.detach() for site, tensor in kept.items()}, gradients)

    def captured(self, capture: Tool, truth: Truth) -> Captured:
        """Two forwards inside one capture; what is left behind that a plain forward does not leave."""
        with self._same_dice(), torch.no_grad():
            before = state_of(self.module)
            with capture(self.module, self.asked, stop=False) as captured:
                output = self._forwards()
            lines = named_differences(before, state_of(self.module))
        # a counter differs each time; random states do not, since every forward begins with the same
        traces = (line for key, line in lines.items() if key not in truth.own or key in RANDOM_STATES)
        return Captured(dict(captured), output, tuple(line for line in traces if line not in truth.own.values()))

    def gradients(self, capture: Tool, truth: Truth) -> Mapping[str, Tensor]:
        """The gradients that capture gives, of the same projection of the output. No .grad is touched."""
        smooth = [leaf.is_floating_point() or leaf.is_complex() for leaf in tensors(truth.output)]
        if not any(smooth):
            return {}
        asked = self.asked if smooth[0] else self.asked[:-1]  # "" is the first tensor of the output
        with self._same_dice(), torch.enable_grad():
            images = self._images()
            with capture(self.module, asked, gradients=True) as captured:
                self._roll()
                output = self.module(images.clone())
                weights = [weight for weight in self.module.parameters() if weight.requires_grad]
                self._gradients(output, [images, *weights])
            return dict(captured.gradients)

    def _images(self) -> Tensor:
        return self.images.clone().requires_grad_()

    def _gradients(self, output: Any, inputs: list[Tensor]) -> Sequence[Tensor | None]:
        """Of a random projection of the output; none where nothing can be differentiated, as with classes' numbers."""
        generator = torch.Generator().manual_seed(self.seed)
        leaves = [leaf for leaf in tensors(output) if leaf.requires_grad]
        if not leaves or not inputs:
            return [None] * len(inputs)
        terms = [(leaf * torch.randn(leaf.shape, generator=generator).to(leaf)).sum() for leaf in leaves]
        return torch.autograd.grad(torch.stack(terms).sum(), inputs, allow_unused=True)

    def _forwards(self) -> Any:
        self._roll()
        self.module(self.earlier)
        self._roll()
        return self.module(self.images)

    def _roll(self) -> None:
        torch.manual_seed(self.seed)

    def _same_dice(self) -> AbstractContextManager[None]:
        return torch.random.fork_rng(devices=[self.images.device] if self.images.is_cuda else [])


def like(module: nn.Module) -> dict[str, Any]:
    """dtype and device of the images that the network takes: those of its first weight."""
    weight = next((weight for weight in module.parameters() if weight.is_floating_point()), torch.empty(0))
    return {"dtype": weight.dtype, "device": weight.device}
