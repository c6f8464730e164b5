"""A linear model of the score in the pieces of an image that are there: KernelSHAP and LIME.

Captum has both, fitted in float32, drawn from torch's global random state and, for LIME, as a lasso whose coefficients
are too small. Here they are fitted in float64 by least squares, so that a score that is linear in the pieces is found
exactly.
"""

from __future__ import annotations

from math import comb

import torch
from torch import Tensor

from layerscope.attribution.forwards import Forwards
from layerscope.attribution.segments import Segments, as_map, segments_of, with_segments
from layerscope.attribution.task import Found, Method, Task, at_least, count
from layerscope.types import Images


def kernel_shap(task: Task, *, segments: Segments = 49, samples: int = 512, precision: str = "full") -> Found:
    """Shapley values of the pieces of the image as the coefficients of a linear model (Lundberg and Lee 2017).

    It is fitted to the scores with some pieces set to the baseline, and held to add up to the difference of the scores
    of image and baseline. Where there are no more choices of pieces than `samples`, all are taken, for exact values.

    segments: about how many superpixels, or whole numbers [height, width] that name the piece of each pixel.
    samples: how many choices of pieces are looked at, half of them the complements of others; two for each piece or
        more.
    precision: "full", or "bfloat16" for about twice the speed where the processor has it.
    """
    forwards, expected, values = Forwards(task, precision), [], []
    for image, reference in zip(task.images.split(1), task.references.split(1), strict=True):
        pieces = segments_of(image, segments)
        nothing, whole = forwards(reference).cpu().double(), forwards(image).cpu().double()
        effects = total = whole - nothing
        if pieces.any():  # there are several
            kept, weights = _choices(int(pieces.max()) + 1, count("samples", samples), task.generator())
            scores = _scores(task, forwards, image, reference, pieces, kept)
            effects = _adding_up(kept.double(), scores - nothing, weights, total)
        expected.append(total)
        values.append(as_map(effects.to(image), pieces))
    return forwards.found(torch.cat(values), torch.cat(expected).to(task.images))


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

    Each piece is there or set to the baseline with even chances; choices near the whole image count more.

    segments, precision: as of `kernel_shap`.
    samples: how many choices of pieces are looked at; more than there are pieces.
    width: of the kernel exp(-distance**2 / (2 * width**2)) that weighs a choice; the distance is one less the cosine
        between it and the whole.
    ridge: penalty on the squares of the coefficients.
    """
    at_least("width", width, 1e-3)
    at_least("ridge", ridge, 0)
    forwards, values = Forwards(task, precision), []
    for image, reference in zip(task.images.split(1), task.references.split(1), strict=True):
        pieces = segments_of(image, segments)
        number = int(pieces.max()) + 1
        kept = torch.rand(count("samples", samples, number + 1), number, generator=task.generator()) < 0.5
        kept[0] = True
        distances = 1 - kept.double().mean(1).sqrt()
        weights = (-(distances**2) / (2 * width**2)).exp()
        scores = _scores(task, forwards, image, reference, pieces, kept)
        inputs = torch.cat([torch.ones(samples, 1), kept], dim=1).double()
        effects = _least_squares(inputs, scores, weights, torch.tensor([0.0] + [ridge] * number))[1:]
        values.append(as_map(effects.to(image), pieces))
    return forwards.found(torch.cat(values))


def _scores(task: Task, forwards: Forwards, image: Images, reference: Images, pieces: Tensor, kept: Tensor) -> Tensor:
    """[choice]: the score of the image with only those pieces, float64 on the CPU."""
    parts = [forwards(with_segments(image, reference, pieces, some)) for some in kept.split(task.batch)]
    return torch.cat(parts).cpu().double()


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
    first = torch.rand(pairs, number, generator=generator).argsort(1) < drawn[:, None]
    return torch.stack([first, ~first], dim=1).flatten(0, 1), torch.ones(2 * pairs)


def _adding_up(kept: Tensor, gains: Tensor, weights: Tensor, total: Tensor) -> Tensor:
    """[piece]: coefficients that add up to `total`: the last one is what the others leave."""
    last = kept[:, -1:]
    others = _least_squares(kept[:, :-1] - last, gains - (last * total)[:, 0], weights, torch.zeros(kept.shape[1] - 1))
    return torch.cat([others, total - others.sum()])


def _least_squares(inputs: Tensor, outputs: Tensor, weights: Tensor, penalties: Tensor) -> Tensor:
    """Coefficients of least weighted squares, in float64; `penalties` on the square of each."""
    scale = weights.double().sqrt()
    rows = torch.cat([inputs * scale[:, None], penalties.double().sqrt().diag()])
    wanted = torch.cat([outputs * scale, torch.zeros(len(penalties), dtype=torch.float64)])
    solution: Tensor = torch.linalg.lstsq(rows, wanted[:, None], driver="gelsd").solution
    return solution[:, 0]


METHODS: tuple[Method, ...] = (
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
