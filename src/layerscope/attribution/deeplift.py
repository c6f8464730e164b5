"""DeepLift with the rescale rule (Shrikumar et al. 2017, sections 3.2 and 3.5.1), on operations.

The network runs twice: on the baselines, keeping what each nonlinear operation gets, and on the images, where the
gradient of each such operation is replaced by its multiplier, difference out over difference in. Linear operations keep
their gradient. Differences of the scores are then shared out completely: through maxima, products (symmetrically, half
of the interaction to each factor), quotients, norms and attention too. A network that computes something else for the
baselines than for the images, because it decides by what it sees, is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from layerscope.attribution.call import Call
from layerscope.attribution.multipliers import Maximum, Product, Quotient, Scaled, Softmax, pooling
from layerscope.attribution.operations import Operations, UnsupportedOperationError
from layerscope.attribution.task import Found, Method, Task


class _Baseline(Operations):
    """Keeps what the nonlinear operations get when the network sees the baselines, and what else depends on them."""

    title = "DeepLift"

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[_Kept] = []

    def elementwise(self, call: Call) -> Any:
        self.kept.append((call.name, [tensor.detach() for tensor in call.data]))
        return call.run()

    maximum = product = quotient = softmax = elementwise

    def constant(self, call: Call, cut: list[Tensor]) -> None:
        self.kept.append((call.name, cut))

    def value(self, call: Call, value: Any) -> None:
        self.kept.append((call.name, [torch.tensor(value)]))


class _Rescale(Operations):
    """Gives each nonlinear operation its multiplier with respect to what it got from the baselines."""

    title = "DeepLift"

    def __init__(self, kept: list[_Kept]) -> None:
        super().__init__()
        self._kept = iter(kept)

    def elementwise(self, call: Call) -> Any:
        (before,) = self._before(call, call.data)
        return Scaled.apply(call.data[0], before, call.of)

    def maximum(self, call: Call) -> Any:
        (before,) = self._before(call, call.data)
        self._extended(call, "shared by which value each window has let pass")
        return Maximum.apply(call.data[0], before, pooling(call), int(call.name[-2]))

    def product(self, call: Call) -> Any:
        self._extended(call, "half of the interaction to each factor")
        return Product.apply(*call.data, *self._before(call, call.data), call.of)

    def quotient(self, call: Call) -> Any:
        self._extended(call, "the numerator's change at one end, the denominator's at the other, by their sizes")
        return Quotient.apply(*call.data, *self._before(call, call.data), call.of)

    def softmax(self, call: Call) -> Any:
        (before,) = self._before(call, call.data)
        axis = call.kwargs.get("dim", call.args[1] if len(call.args) > 1 else None)
        self._extended(call, "as exponentials over their sum")
        return self.refuse(call) if axis is None else Softmax.apply(call.data[0], before, axis, call.of)

    def constant(self, call: Call, cut: list[Tensor]) -> None:
        if not all(map(torch.equal, self._before(call, cut), cut)):
            raise _parted(f"{call.name!r} takes a mask, an index or something detached that differs between them")

    def value(self, call: Call, value: Any) -> None:
        now = torch.tensor(value)
        (before,) = self._before(call, [now])
        if not torch.equal(before, now):
            raise _parted("a number that is read from a tensor differs between them")

    def _extended(self, call: Call, how: str) -> None:
        """The rescale rule is for functions of one value."""
        self.approximated[call.name] = how

    def done(self) -> None:
        """Raise UnsupportedOperationError where something that was kept has not been used."""
        if (left := next(self._kept, None)) is not None:
            raise _parted(f"{_told('', [])} on one and {_told(*left)} on the other")

    def _before(self, call: Call, tensors: list[Tensor]) -> list[Tensor]:
        """What the same operation got from the baselines in the place of `tensors`."""
        name, before = next(self._kept, ("", []))
        if name != call.name or [one.shape for one in before] != [one.shape for one in tensors]:
            raise _parted(f"{_told(call.name, tensors)} on one and {_told(name, before)} on the other")
        return before


_Kept = tuple[str, list[Tensor]]  # the name of an operation, and what it got


def _told(name: str, tensors: list[Tensor]) -> str:
    """An operation in the words of a message; nothing has no name."""
    return f"{name!r} of {' and '.join(str(tuple(tensor.shape)) for tensor in tensors)}" if name else "nothing more"


def _parted(how: str) -> UnsupportedOperationError:
    return UnsupportedOperationError(
        f"DeepLift compares the network's run on an image with that on its baseline, and here they part: {how}; the "
        "network decides by what it sees; choose a gradient or perturbation method, as 'integrated_gradients'"
    )


@contextmanager
def _forgetting() -> Iterator[None]:
    """Tensors know what they depend on, and nothing is kept to differentiate it."""
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: None, lambda nothing: nothing):
        yield


def rescaled(
    run: Callable[[Tensor], Tensor], inputs: Tensor, baselines: Tensor
) -> tuple[Tensor, Tensor, Tensor, _Rescale]:
    """Multipliers of `run` between baselines and inputs, both [batch, ...]: the multipliers, like the inputs; the
    scores [batch] of the inputs, and of the baselines; and the rules that were used."""
    baseline = _Baseline()
    with _forgetting(), baseline.following(_leaf(baselines), backward=False) as image:
        before = run(image)
    rules = _Rescale(baseline.kept)
    with rules.following(_leaf(inputs)) as image:
        scores = run(image)
    rules.done()
    before, scores = baseline.given(before), rules.given(scores)
    return rules.gradient(scores), scores.detach(), before.detach(), rules


def _leaf(tensor: Tensor) -> Tensor:
    return tensor.detach().clone().requires_grad_()


def deeplift(task: Task) -> Found:
    """DeepLift-Rescale from the baseline to the images."""
    multipliers, scores, before, rules = rescaled(task.score, task.images, task.references)
    values = multipliers * (task.images - task.references)
    return Found(values, scores - before, dict(rules.covered), dict(rules.approximated))


METHODS = (
    Method(
        "deeplift",
        "DeepLift",
        "Shares out the difference between the scores of the image and of its baseline, from operation to operation, "
        "each by its difference out over its difference in.",
        "Shrikumar et al. 2017, Learning important features through propagating activation differences",
        deeplift,
        needs=("baseline",),
        cost="2 forwards, 1 backward",
        claims="difference",
    ),
)
