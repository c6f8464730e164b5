"""The score with only some pieces of the image there, the others set to the baseline: Shapley values and LIME.

Captum has these methods too, but draws from torch's global random state, adds and fits in float32, visits every pixel
in a loop for every order of the pieces, and fits LIME as a lasso, whose coefficients are too small. Here they are
fitted by least squares in float64, so that a score that is a sum over pieces is found exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from math import comb

import torch
from torch import Tensor

from layerscope.attribution.forwards import Forwards
from layerscope.attribution.segments import Segments, as_map, segments_of, with_segments
from layerscope.attribution.task import Found, Method, Task, at_least, count
from layerscope.types import Images


def shapley_sampling(task: Task, *, segments: Segments = 49, samples: int = 24, precision: str = "full") -> Found:
    """What each piece of the image adds to the score, on average over orders in which they come (Castro et al. 2009).

    An estimate of Shapley values that adds up in any case, to the difference of the scores of image and baseline. Every
    second order is the one before it backwards, for a less noisy estimate.

    segments: about how many superpixels, or whole numbers [height, width] that name the piece of each pixel.
    samples: number of orders. Each costs a forward for every piece.
    precision: "full", or "bfloat16" for about twice the speed where the processor has it.
    """
    count("samples", samples)

    def gains(seen: _Seen) -> Tensor:
        orders = _orders(seen.pieces, samples, task.generator())
        ranks = orders.argsort(1)  # [order, piece]: when it comes
        kept = ranks[:, None, :] < torch.arange(1, seen.pieces)[:, None]
        scores = seen.scores(kept.flatten(0, 1)).view(samples, -1)
        ends = [end.expand(samples, 1) for end in (seen.nothing, seen.whole)]
        steps = torch.cat([ends[0], scores, ends[1]], dim=1).diff(dim=1)  # [order, place in it]
        return steps.gather(1, ranks).mean(0)

    pieces = segments if isinstance(segments, int) else 49
    return _by_pieces(task, segments, precision, gains, samples * pieces, adds_up=True)


def kernel_shap(task: Task, *, segments: Segments = 49, samples: int = 512, precision: str = "full") -> Found:
    """Shapley values of the pieces of the image as the coefficients of a linear model (Lundberg and Lee 2017).

    It is fitted to the scores of choices of pieces, and held to add up to the difference of the scores of image and
    baseline. Where there are no more choices than `samples`, all are taken, and the values are exact.

    segments, precision: as of `shapley_sampling`.
    samples: how many choices of pieces are looked at, half of them the complements of others; two or more for each
        piece.
    """
    count("samples", samples)

    def coefficients(seen: _Seen) -> Tensor:
        kept, weights = _choices(seen.pieces, samples, task.generator())
        return _adding_up(kept.double(), seen.scores(kept) - seen.nothing, weights, seen.whole - seen.nothing)

    return _by_pieces(task, segments, precision, coefficients, samples, adds_up=True)


def lime(
    task: Task,
    *,
    segments: Segments = 49,
    samples: int = 512,
    width: float = 0.25,
    ridge: float = 0.0,
    precision: str = "full",
) -> Found:
    """The coefficients of a linear model of the score in the pieces of the image that are there (Ribeiro et al. 2016).

    Each piece is there or not with even chances; choices near the whole image count more.

    segments, precision: as of `shapley_sampling`.
    samples: how many choices of pieces are looked at; more than there are pieces.
    width: of the kernel exp(-distance**2 / (2 * width**2)) that weighs a choice; the distance is one less the cosine
        between it and the whole.
    ridge: penalty on the squares of the coefficients.
    """
    count("samples", samples)
    at_least("width", width, 1e-3)
    at_least("ridge", ridge, 0)

    def coefficients(seen: _Seen) -> Tensor:
        shape = count("samples", samples, seen.pieces + 1), seen.pieces
        kept = torch.rand(shape, generator=task.generator(), dtype=torch.float32) < 0.5
        kept[0] = True
        distances = 1 - kept.double().mean(1).sqrt()
        weights = (-(distances**2) / (2 * width**2)).exp()
        inputs = torch.cat([torch.ones(samples, 1), kept], dim=1).double()
        return _least_squares(inputs, seen.scores(kept), weights, torch.tensor([0.0] + [ridge] * seen.pieces))[1:]

    return _by_pieces(task, segments, precision, coefficients, samples)


class _Seen:
    """One image, of which some pieces may be there. Scores are float64 on the CPU.

    Attributes:
        pieces: how many there are.
        nothing, whole: [1], the scores of the baseline and of the image.
    """

    def __init__(self, forwards: Forwards, image: Images, reference: Images, numbers: Tensor) -> None:
        self._forwards, self._image, self._reference, self._numbers = forwards, image, reference, numbers
        self.pieces = int(numbers.max()) + 1
        self.nothing, self.whole = (forwards(one).cpu().double() for one in (reference, image))

    def scores(self, kept: Tensor) -> Tensor:
        """[choice]: the scores of choices [choice, piece], true where a piece is there."""
        parts = [
            self._forwards(with_segments(self._image, self._reference, self._numbers, some))
            for some in kept.split(self._forwards.batch)
        ]
        return torch.cat(parts).cpu().double()


def _by_pieces(
    task: Task,
    segments: Segments,
    precision: str,
    effects: Callable[[_Seen], Tensor],
    runs: int,
    adds_up: bool = False,
) -> Found:
    """What `effects` finds for the pieces of each image, with about so many runs, each spread evenly over its piece."""
    forwards, values, expected = Forwards(task, precision, runs * len(task.images)), [], []
    for image, reference in zip(task.images.split(1), task.references.split(1), strict=True):
        numbers = segments_of(image, segments)
        seen = _Seen(forwards, image, reference, numbers)
        total = seen.whole - seen.nothing
        found = effects(seen) if seen.pieces > 1 else total
        values.append(as_map(found.to(image), numbers))
        expected.append(total.to(image))
    return forwards.found(torch.cat(values), torch.cat(expected) if adds_up else None)


def _orders(pieces: int, samples: int, generator: torch.Generator) -> Tensor:
    """[sample, place]: the pieces in random orders, each followed by its reverse."""
    drawn = [torch.randperm(pieces, generator=generator) for _ in range(-(-samples // 2))]
    return torch.stack([order for one in drawn for order in (one, one.flip(0))])[:samples]


def _choices(number: int, samples: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Choices [choice, piece] of some but not all pieces, and their weights [choice], for Shapley values.

    All of them weighed by the Shapley kernel where they are few enough, otherwise drawn by it in pairs of complements.
    """
    sizes = torch.arange(1, number)
    kernel = (number - 1) / (sizes * (number - sizes)).double()  # of all choices of a size together
    if 2**number - 2 <= samples:
        kept = torch.cartesian_prod(*[torch.tensor([False, True])] * number)[1:-1]
        chosen = kept.sum(1)
        each = torch.tensor([comb(number, size) for size in chosen.tolist()], dtype=torch.float64)
        return kept, kernel[chosen - 1] / each
    pairs = count("samples", samples, 2 * number) // 2
    drawn = sizes[kernel.multinomial(pairs, replacement=True, generator=generator)]
    first = torch.rand(pairs, number, generator=generator, dtype=torch.float32).argsort(1) < drawn[:, None]
    return torch.stack([first, ~first], dim=1).flatten(0, 1), torch.ones(2 * pairs)


def _adding_up(kept: Tensor, gains: Tensor, weights: Tensor, total: Tensor) -> Tensor:
    """[piece]: coefficients that add up to `total`: the last one is what the others leave."""
    last = kept[:, -1:]
    others = _least_squares(kept[:, :-1] - last, gains - (last * total)[:, 0], weights, torch.zeros(kept.shape[1] - 1))
    return torch.cat([others, total - others.sum()])


def _least_squares(inputs: Tensor, outputs: Tensor, weights: Tensor, penalties: Tensor) -> Tensor:
    """Coefficients of least weighted squares, in float64; `penalties` on the square of each.

    NaN where an output is not finite.
    """
    if not outputs.isfinite().all():
        return torch.full_like(penalties, torch.nan, dtype=torch.float64)
    scale = weights.double().sqrt()
    rows = torch.cat([inputs * scale[:, None], penalties.double().sqrt().diag()])
    wanted = torch.cat([outputs * scale, torch.zeros(len(penalties), dtype=torch.float64)])
    solution: Tensor = torch.linalg.lstsq(rows, wanted[:, None], driver="gelsd").solution
    return solution[:, 0]


METHODS: tuple[Method, ...] = (
    Method(
        name="shapley_sampling",
        title="Shapley sampling",
        about="What each superpixel adds to the score, on average over random orders; spread evenly over it.",
        source="Castro et al. 2009, Polynomial calculation of the Shapley value based on sampling, Computers & OR 36",
        run=shapley_sampling,
        needs=("baseline",),
        cost="about 1150 forwards",
        claims="difference",
    ),
    Method(
        name="kernel_shap",
        title="KernelSHAP",
        about="Shapley values of superpixels, as the coefficients of a linear model of the score that add up; spread "
        "evenly over each superpixel.",
        source="Lundberg and Lee 2017, A unified approach to interpreting model predictions, arXiv:1705.07874",
        run=kernel_shap,
        needs=("baseline",),
        cost="514 forwards",
        claims="difference",
    ),
    Method(
        name="lime",
        title="LIME",
        about="The coefficients of a linear model of the score in the superpixels that are there, near the whole "
        "image; spread evenly over each superpixel.",
        source="Ribeiro et al. 2016, Why should I trust you?, arXiv:1602.04938",
        run=lime,
        needs=("baseline",),
        cost="512 forwards",
    ),
)
