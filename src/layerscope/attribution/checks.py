"""What is measured on every map: does it add up, is anything in it, does it notice what the network has learned."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from scipy.stats import rankdata
from torch import Tensor, nn

from layerscope.attribution.completeness import completeness_gaps, rounding
from layerscope.attribution.result import Checks, Mark, Verdict
from layerscope.attribution.task import Found
from layerscope.errors import InputError
from layerscope.types import Images

NOISE = 0.02
"""Standard deviation of the noise, of values in [0, 1]: five grey levels, which nobody sees."""

COMPLETE, STEADY, NOTICES = 0.01, 0.7, 0.7
"""Largest gap that counts as complete, least correlation under noise, largest under redrawn layers."""

REDRAWN_SHARE = 0.25
"""The share of the layers with weights, from the top, that are drawn anew; at least two."""


def redrawn(module: nn.Module, seed: int = 0, read: Sequence[str] = ("",)) -> nn.Module:
    """A copy whose top layers have weights of the same mean and deviation, drawn anew (Adebayo et al. 2018, section 3).

    read: the layers that a score reads, "" for the output: what comes after all of them does not count. The order of
    the layers is that in which they are registered. Biases and factors per channel stay. Hooks are copied with what
    they hang on. Raises InputError for a network without weights there, and whatever stops it from being copied.
    """
    other = copy.deepcopy(module)
    layers = [weights for part in _up_to(other, read) if (weights := _weights(part))]
    if not layers:
        raise InputError(f"{type(module).__name__} has no weights up to {' and '.join(read) or 'its output'}")
    generator = torch.Generator().manual_seed(seed)
    for weight in itertools.chain(*layers[-max(2, round(REDRAWN_SHARE * len(layers))) :]):
        noise = torch.randn(weight.shape, generator=generator, dtype=torch.float64).to(weight)
        with torch.no_grad():
            weight.copy_(weight.mean() + noise * weight.std(correction=0))
    return other


def _up_to(module: nn.Module, read: Sequence[str]) -> list[nn.Module]:
    """The parts that are registered no later than the last of these layers, with what is inside of it."""
    named = list(module.named_modules())
    if "" in read:
        return [part for _, part in named]
    plain = {name.partition("#")[0].partition("/")[0] for name in read}
    ends = [at for at, (name, _) in enumerate(named) if any(f"{name}.".startswith(f"{one}.") for one in plain)]
    return [part for _, part in named[: max(ends, default=len(named)) + 1]]


def with_noise(images: Images, seed: int = 0) -> Images:
    """The images with noise of a standard deviation of NOISE, the same for an image in any company."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(images.shape[1:], generator=generator, dtype=torch.float64).to(images)
    return (images + NOISE * noise).clamp(0, 1)


def rank_correlation(a: Tensor, b: Tensor) -> float | None:
    """Spearman's, of the values of two maps of one shape, in [-1, 1]; None where one of them is constant."""
    first, second = (torch.from_numpy(rankdata(one.detach().double().cpu().flatten().numpy())) for one in (a, b))
    first, second = first - first.mean(), second - second.mean()
    scale = float(first.norm() * second.norm())
    return min(1.0, max(-1.0, float(first @ second) / scale)) if scale > 0 else None


def checks_of(
    found: Found,
    scores: Tensor,
    seconds: float,
    others: Sequence[Tensor | None],
) -> tuple[Checks, ...]:
    """One per image. others: the values under redrawn layers, and under noise; None where they were not made."""
    expected = torch.full_like(scores, math.nan) if found.expected is None else found.expected
    gaps = completeness_gaps(found.values, expected, scores)
    rounded = expected.double().abs() <= rounding(found.values, expected, scores)
    own = found.own_notes or ((),) * len(scores)
    return tuple(
        _of_image(
            replace(found, notes=(*found.notes, *own[number], *((_ROUNDED,) if rounded[number] else ()))),
            number,
            score=float(scores[number]),
            expected=_known(expected[number]),
            gap=_known(gaps[number]),
            seconds=seconds / len(scores),
            others=others,
        )
        for number in range(len(scores))
    )


_ROUNDED = "What the values have to add up to is no more than the rounding of the scores."
_OTHERS = ("of the network with its top layers drawn anew", "of the image under noise")


def _of_image(
    found: Found,
    number: int,
    *,
    score: float,
    expected: float | None,
    gap: float | None,
    seconds: float,
    others: Sequence[Tensor | None],
) -> Checks:
    values = found.values[number].detach().double()
    finite, mass = bool(values.isfinite().all()), float(values.abs().sum())
    positive = float(values.clamp(min=0).sum()) / mass if finite and mass > 0 else 0.0
    correlations = [None if other is None else rank_correlation(_map(values), _map(other[number])) for other in others]
    constant = (
        f"This map, or that {what}, is the same everywhere, so that there are no ranks to compare."
        for what, other, found_ in zip(_OTHERS, others, correlations, strict=True)
        if other is not None and found_ is None
    )
    return Checks(
        score=score,
        total=float(values.sum()),
        expected=expected,
        gap=gap,
        finite=finite,
        positive=positive,
        negative=1 - positive if finite and mass > 0 else 0.0,
        redrawn=correlations[0],
        noise=correlations[1],
        seconds=seconds,
        covered=found.covered,
        approximated=found.approximated,
        notes=(*found.notes, *constant),
    )


def _known(value: Tensor) -> float | None:
    """None for NaN, which stands where nothing is claimed."""
    return None if value.isnan() else float(value)


def verdicts(checks: Checks) -> tuple[Verdict, ...]:
    """The checks in plain words, the gravest first."""
    if not checks.finite:
        return (Verdict("finite", "poor", "holds values that are not finite: it says nothing"),)
    if checks.empty:
        return (Verdict("evidence", "poor", "empty: no evidence for or against was found"),)
    said = [_adds_up(checks), _sides(checks), _notices(checks.redrawn), _holds_still(checks.noise)]
    if checks.approximated:
        words = "; ".join(f"{name}: {how}" for name, how in checks.approximated.items())
        said.append(Verdict("rules", "open", f"extended beyond what was published: {words}"))
    return tuple(said)


def _adds_up(checks: Checks) -> Verdict:
    if checks.gap is None:
        return Verdict("complete", "open", "does not claim to add up to the score")
    mark: Mark = "good" if checks.gap <= COMPLETE else "poor"
    verb = "adds up to what it explains" if mark == "good" else "does not add up to what it explains"
    return Verdict("complete", mark, f"{verb}: off by {_percent(checks.gap)}")


def _sides(checks: Checks) -> Verdict:
    if checks.positive == 0:
        return Verdict("evidence", "poor", "all evidence is negative: nothing here speaks for it")
    return Verdict("evidence", "good", f"{checks.positive:.0%} for, {checks.negative:.0%} against")


def _notices(correlation: float | None) -> Verdict:
    if correlation is None:
        return Verdict("redrawn", "open", "no comparison with a network whose top layers are drawn anew")
    if abs(correlation) > NOTICES:
        words = "hardly changes, but for its sign," if correlation < 0 else "hardly changes"
        words += " when the network's top layers are drawn anew: no explanation of what it has learned"
        return Verdict("redrawn", "poor", f"{words} ({_rank(correlation)})")
    words = "changes when the network's top layers are drawn anew, as it has to"
    return Verdict("redrawn", "good", f"{words} ({_rank(correlation)})")


def _holds_still(correlation: float | None) -> Verdict:
    if correlation is None:
        return Verdict("noise", "open", "no comparison with the image under noise")
    if correlation < STEADY:
        return Verdict("noise", "poor", f"changes under noise that nobody sees ({_rank(correlation)})")
    return Verdict("noise", "good", f"stays the same under noise that nobody sees ({_rank(correlation)})")


def _percent(share: float) -> str:
    return f"{share:.1%}" if share >= 0.001 else "less than 0.1%"


def _weights(part: nn.Module) -> list[Tensor]:
    """Those that it holds itself; also under another name, as parametrisations and attention keep them."""
    own = part.parameters(recurse=False)
    return [weight for weight in own if weight.ndim > 1 and weight.is_floating_point()]


def _map(values: Tensor) -> Tensor:
    """Added up over channels or units; units without positions stay."""
    return values.sum(0) if values.ndim > 1 else values


def _rank(correlation: float) -> str:
    return f"rank correlation {correlation:.2f}".replace("-", "\N{MINUS SIGN}")
