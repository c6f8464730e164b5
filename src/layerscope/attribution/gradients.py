"""The gradient of the score at the image, and means of it: over a path from the baseline, and over noise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from captum.attr import InputXGradient, IntegratedGradients, Saliency
from torch import Tensor

from layerscope.attribution.steps import until_complete
from layerscope.attribution.task import Found, Method, Task, at_least, count
from layerscope.capture.evaluating import frozen
from layerscope.errors import InputError
from layerscope.objectives import Scores
from layerscope.types import Images


def saliency(task: Task) -> Found:
    """The gradient of the score at the image (Simonyan et al. 2013), with its sign: what a brighter pixel would do."""
    return Found(_gradients(task, task.images))


def input_x_gradient(task: Task) -> Found:
    """The gradient times the image in [0, 1] (Shrikumar et al. 2016); exact where the score is linear in it."""
    with _differentiating(task):
        parts = [InputXGradient(task.score).attribute(_leaf(part)) for part in task.images.split(task.batch)]
    return Found(torch.cat(parts).detach())


def integrated_gradients(task: Task, *, steps: int = 32, most_steps: int = 512, tolerance: float = 0.01) -> Found:
    """The mean gradient on the line from baseline to image, times their difference (Sundararajan et al. 2017).

    The integral is a Gauss-Legendre sum.

    steps: of the sum, to begin with. They are doubled for the images whose values do not add up.
    most_steps: never more than these.
    tolerance: how far the values of an image may be from adding up to the difference of the scores, as a share of it.
    """
    explain = IntegratedGradients(task.score)

    def run(steps: int, chosen: Tensor) -> Tensor:
        return torch.cat(
            [
                explain.attribute(
                    task.images[place : place + 1],
                    task.references[place : place + 1],
                    n_steps=steps,
                    method="gausslegendre",
                    internal_batch_size=task.batch,
                )
                for place in chosen.tolist()
            ]
        )

    scores, before = _both_scores(task)
    with _differentiating(task):
        values, notes = until_complete(
            run, scores - before, scores, steps=steps, most_steps=most_steps, tolerance=tolerance
        )
    return Found(values, scores - before, own_notes=notes)


def smoothgrad(task: Task, *, samples: int = 16, noise: float = 0.1) -> Found:
    """The mean gradient over noisy copies of the image (Smilkov et al. 2017).

    samples: number of copies.
    noise: standard deviation of the Gaussian noise, where 1 is the range of the image.
    """
    mean, _ = _moments_under_noise(task, samples, noise)
    return Found(mean)


def vargrad(task: Task, *, samples: int = 16, noise: float = 0.1) -> Found:
    """The variance of the gradient over noisy copies of the image (Adebayo et al. 2018): where it is unsteady.

    It has no sign. Options as of `smoothgrad`.
    """
    _, variance = _moments_under_noise(task, samples, noise)
    return Found(variance)


def gradient_shap(task: Task, *, samples: int = 32, noise: float = 0.02) -> Found:
    """The mean gradient at random places between baseline and image, times their difference (Lundberg and Lee 2017).

    Image and baseline get the same noise, so that it does not add to their difference; and the places are spread: one
    in each of `samples` equal parts of the line. Both leave the expected value as it is and make it less noisy.

    samples: number of places.
    noise: standard deviation of the Gaussian noise, where 1 is the range of the image.
    """
    count("samples", samples)
    at_least("noise", noise, 0)
    generator = task.generator()
    offsets = torch.rand(samples, generator=generator, dtype=torch.float64)
    places = ((torch.arange(samples) + offsets) / samples).to(task.images)
    between = task.images - task.references
    total = torch.zeros_like(task.images)
    for numbers, noisy in _noises(task, samples, noise, generator):
        points = task.references + noisy + places[numbers].view(-1, 1, 1, 1, 1) * between
        total += _gradients(task, points.flatten(0, 1)).view_as(points).sum(0)
    scores, before = _both_scores(task)
    return Found(between * total / samples, scores - before)


def _moments_under_noise(task: Task, samples: int, noise: float) -> tuple[Tensor, Tensor]:
    """Mean and variance of the gradient, of the shape of the images; those of parts are merged (Chan et al. 1979)."""
    count("samples", samples)
    at_least("noise", noise, 0)
    mean, squares, taken = torch.zeros_like(task.images), torch.zeros_like(task.images), 0
    for numbers, noisy in _noises(task, samples, noise, task.generator()):
        points = task.images + noisy
        gradients = _gradients(task, points.flatten(0, 1)).view_as(points)
        here, more = gradients.mean(0), len(numbers)
        change, total = here - mean, taken + more
        squares += ((gradients - here) ** 2).sum(0) + change**2 * (taken * more / total)
        mean += change * (more / total)
        taken = total
    return mean, squares / taken


def _noises(task: Task, samples: int, noise: float, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Numbers of samples and their noise [sample, 1, channel, height, width], as many as fit into a batch.

    Each is drawn for itself, and all images get the same, so that it depends neither on the batch nor on the company.
    """
    shape = (1, *task.images.shape[1:])
    for numbers in torch.arange(samples).split(max(1, task.batch // len(task.images))):
        drawn = [torch.randn(shape, generator=generator, dtype=torch.float32) for _ in numbers]
        yield numbers, noise * torch.stack(drawn).to(task.images)


def _gradients(task: Task, images: Images) -> Tensor:
    """[batch, channel, height, width]: the gradient of the score of each image at that image."""
    explain = Saliency(task.score)
    with _differentiating(task):
        return torch.cat([explain.attribute(_leaf(part), abs=False) for part in images.split(task.batch)])


def _both_scores(task: Task) -> tuple[Scores, Scores]:
    """[batch] each: the scores of the images, and of their baselines."""
    with torch.no_grad():
        scores, before = (
            torch.cat([task.score(part) for part in images.split(task.batch)])
            for images in (task.images, task.references)
        )
    return scores, before


def _leaf(images: Images) -> Images:
    return images.detach().clone().requires_grad_()


@contextmanager
def _differentiating(task: Task) -> Iterator[None]:
    """Without the gradients of weights, and with our words where the score has none at the image."""
    try:
        with frozen(task.score.model.module):
            yield
    except RuntimeError as cause:
        if not any(words in str(cause) for words in ("does not require grad", "not have been used in the graph")):
            raise
        raise InputError(
            f"{str(task.score)!r} has no gradient at the image: {task.score.model.name!r} leaves it on the way; "
            "use a method without gradients, as 'occlusion'"
        ) from None


METHODS: tuple[Method, ...] = (
    Method(
        name="saliency",
        title="Saliency",
        about="The gradient of the score at each pixel, with its sign: what a brighter pixel would do to the score.",
        source="Simonyan et al. 2013, Deep inside convolutional networks, arXiv:1312.6034",
        run=saliency,
    ),
    Method(
        name="input_x_gradient",
        title="Input x gradient",
        about="The gradient of the score at each pixel, times the pixel in [0, 1].",
        source="Shrikumar et al. 2016, Not just a black box, arXiv:1605.01713",
        run=input_x_gradient,
    ),
    Method(
        name="integrated_gradients",
        title="Integrated gradients",
        about="The mean gradient on the line from baseline to image, times their difference; as many steps as it takes "
        "to add up.",
        source="Sundararajan et al. 2017, Axiomatic attribution for deep networks, arXiv:1703.01365",
        run=integrated_gradients,
        needs=("baseline",),
        cost="32 to 992 forwards and backwards",
        claims="difference",
    ),
    Method(
        name="smoothgrad",
        title="SmoothGrad",
        about="The mean gradient over noisy copies of the image.",
        source="Smilkov et al. 2017, SmoothGrad, arXiv:1706.03825",
        run=smoothgrad,
        cost="16 forwards and backwards",
    ),
    Method(
        name="vargrad",
        title="VarGrad",
        about="The variance of the gradient over noisy copies of the image: where the gradient is unsteady. It has no "
        "sign.",
        source="Adebayo et al. 2018, Sanity checks for saliency maps, arXiv:1810.03292",
        run=vargrad,
        cost="16 forwards and backwards",
        signed=False,
    ),
    Method(
        name="gradient_shap",
        title="GradientShap",
        about="The mean gradient at random places between baseline and image under noise, times their difference.",
        source="Lundberg and Lee 2017, A unified approach to interpreting model predictions, arXiv:1705.07874",
        run=gradient_shap,
        needs=("baseline",),
        cost="32 forwards and backwards",
        claims="difference",
    ),
)
