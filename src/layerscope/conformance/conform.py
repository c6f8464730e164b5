"""Does capture tell the truth? Each value and gradient of a network against computations that share nothing with it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from layerscope.capture import hooks
from layerscope.capture.uncalled import uncalled
from layerscope.conformance.comparison import TOLERANCE, Captured, Experiment, Tool, Truth, Twin, like
from layerscope.conformance.witness import difference, same_bits

SIZES = (32, 64, 75, 96, 128, 224)


@dataclass(frozen=True)
class Conformance:
    """How the capture of one network compares with what the network computes.

    Attributes:
        size: side of the square images, in pixels.
        sites, calls: modules that were called and put out a tensor, the network itself included, and their calls.
        overwritten: calls whose output a later in-place operation overwrites: hooks that do not copy get these wrong.
        reused: modules that are called several times: hooks that keep one value per name lose calls of these.
        missing: calls that capture left out, or that it gave though they did not happen.
        wrong: calls whose captured value is not, bit for bit, what a plain hook that copies at once saw.
        worst: largest difference between a captured value and the same without in-place operations, over the largest
            value there.
        unturned: calls that could not be compared so, since an in-place operation on them could not be replaced.
        uncalled, unexplained: leaves that were not called, and those of them for which no reason is known.
        without_gradient: calls that do not lie on the way to the output, in both computations.
        gradients_wrong: calls whose gradient is missing, all zero, not finite, or not that of the network without
            in-place operations (to 1e-4 of the largest).
        gradients_zero: calls whose gradient is all zero in both computations, which shows little: attention over one
            position (a larger image helps), what the last block gives for positions that the head does not read.
        output_same: whether the network put out the same under capture, bit for bit.
        traces: what capture left behind, by `trace.differences`.
        error: of the network or of capture, where one raised; then the numbers say nothing.
        seconds: of the whole comparison.
    """

    size: int
    sites: int = 0
    calls: int = 0
    overwritten: int = 0
    reused: int = 0
    missing: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    worst: float = 0.0
    unturned: int = 0
    uncalled: int = 0
    unexplained: int = 0
    without_gradient: tuple[str, ...] = ()
    gradients_wrong: tuple[str, ...] = ()
    gradients_zero: tuple[str, ...] = ()
    output_same: bool = False
    traces: tuple[str, ...] = ()
    error: str | None = None
    seconds: float = 0.0

    @property
    def conforms(self) -> bool:
        """Whether all is as it should be, and the comparison shows something: `untelling` is empty."""
        faults = (self.missing, self.wrong, self.gradients_wrong, self.traces, self.unexplained, self.error)
        return not any(faults) and not self.untelling and self.output_same and self.worst <= TOLERANCE

    @property
    def untelling(self) -> str:
        """Why the comparison shows too little to speak of conformance, in words; "" where it shows enough."""
        zero = len(self.gradients_zero)
        if self.error or 2 * (self.unturned + zero) < self.calls:
            return ""
        return (
            f"of {self.calls} calls, {self.unturned} could not be compared without in-place operations, "
            f"and {zero} have gradients that are all zero in both computations"
        )


def conform(
    module: nn.Module,
    input_shape: tuple[int, int, int],
    *,
    batch: int = 2,
    seed: int = 0,
    capture: Tool = hooks.capture,
) -> Conformance:
    """Compare every value and every gradient that `capture` gives of `module` with two independent computations.

    One is a forward with plain hooks that copy each output at once; the other, which also gives the gradients, a
    forward of a copy in which nothing is overwritten (`out_of_place`). Both run before `capture` is used. Capture
    sees two forwards on different images, so that values of the first one show where they are given for the second.

    `module` is used as it is: call it with eval mode set, and with random weights none of which are all zero
    (`redraw_zeros`), or the gradients say nothing. `input_shape` is (channel, height, width), `batch` the number of
    images of noise, `capture` what is tested. An exception, be it the network's or capture's, is in `error`.
    """
    began, stage = time.perf_counter(), "the network"
    found = Conformance(max(input_shape[1:]))
    try:
        experiment = Experiment(module, input_shape, batch, seed)
        found = _counted(found, module, truth := experiment.truth())
        stage = "the network without in-place operations"
        twin = experiment.twin(truth)
        stage = "capture"
        found = _with_values(found, truth, twin, experiment.captured(capture, truth))
        truth.seen.kept.clear()  # some networks fill the memory
        twin.values.clear()
        stage = "capture of gradients"
        found = _with_gradients(found, truth, twin, experiment.gradients(capture, truth))
        stage = "uncalled"
        found = _with_uncalled(found, module, truth, input_shape)
    except Exception as error:
        found = replace(found, error=f"{stage}: {in_one_line(error)}")
    return replace(found, seconds=time.perf_counter() - began)


def smallest_input(module: nn.Module, sizes: Sequence[int] = SIZES, channels: int = 3) -> int:
    """The first of `sizes` (side of a square image, in pixels) that the network runs on.

    Runs one black image of each size in the mode that the network is in. Where it runs on none, its error with the
    last one is raised.
    """
    for size in sizes[:-1]:
        try:
            _run(module, channels, size)
        except Exception:
            continue
        return size
    _run(module, channels, sizes[-1])
    return sizes[-1]


@torch.no_grad()
def redraw_zeros(module: nn.Module, seed: int = 0) -> nn.Module:
    """Draw parameters that are all zero from N(0, 0.1) instead, in place: zero heads and norms stop all gradients."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        if parameter.is_floating_point() and not parameter.any():
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    return module


def in_one_line(error: Exception) -> str:
    """The class of an error and the first line of what it says."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def _run(module: nn.Module, channels: int, size: int) -> None:
    with torch.no_grad():
        module(torch.zeros(1, channels, size, size, **like(module)))


def _counted(found: Conformance, module: nn.Module, truth: Truth) -> Conformance:
    places = {(name, call) for name, call, _ in truth.seen.kept}
    return replace(
        found,
        sites=len({name for name, _ in places}),
        calls=len(places),
        overwritten=truth.overwritten,
        reused=sum(count > 1 for count in truth.seen.calls.values()),
    )


def _with_values(found: Conformance, truth: Truth, twin: Twin, captured: Captured) -> Conformance:
    expected = {truth.seen.key(site): site for site in truth.seen.kept}
    pairs = [(key, captured.values[key], site) for key, site in expected.items() if key in captured.values]
    apart = (difference(value, twin.values[site]) for _, value, site in pairs if site in twin.values)
    return replace(
        found,
        missing=tuple(sorted(expected.keys() ^ captured.values.keys())),
        wrong=tuple(key for key, value, site in pairs if not same_bits(value, truth.seen.kept[site])),
        worst=max(apart, default=0.0),
        unturned=sum(site not in twin.values for site in truth.seen.kept),
        output_same=same_bits(captured.output, truth.output),
        traces=captured.traces,
    )


def _with_gradients(found: Conformance, truth: Truth, twin: Twin, gradients: Mapping[str, Tensor]) -> Conformance:
    wanted = {truth.seen.key(site): gradient for site, gradient in twin.gradients.items()}
    zero = [key for key, gradient in wanted.items() if _zero(gradient) and _zero(gradients.get(key))]
    faults = {key: _fault(gradients.get(key), gradient) for key, gradient in wanted.items() if key not in zero}
    return replace(
        found,
        gradients_zero=tuple(zero),
        without_gradient=tuple(key for key, gradient in wanted.items() if gradient is None),
        gradients_wrong=tuple(f"{key}: {fault}" for key, fault in faults.items() if fault),
    )


def _zero(gradient: Tensor | None) -> bool:
    return gradient is not None and not gradient.any()


def _fault(found: Tensor | None, wanted: Tensor | None) -> str:
    """What is wrong with a gradient; nothing where it is as it should be."""
    if wanted is None:
        return "" if found is None else "is there, though the output does not depend on the site"
    if found is None:
        return "is missing"
    if not found.isfinite().all() or not found.any():
        return "is all zero" if found.isfinite().all() else "is not finite"
    apart = difference(found, wanted)
    return f"differs by {apart:.1e} of the largest" if apart > TOLERANCE else ""


def _with_uncalled(
    found: Conformance, module: nn.Module, truth: Truth, input_shape: tuple[int, int, int]
) -> Conformance:
    leaves = [name for name, part in module.named_modules() if not any(True for _ in part.children())]
    idle = {name for name in leaves if not truth.seen.calls[name]}
    explained = {leaf.name for leaf in uncalled(module, input_shape)}
    return replace(found, uncalled=len(idle), unexplained=len(idle - explained))
