"""RISE: the score of the image seen through random masks, and which pixels were seen when it was high."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from layerscope.attribution.forwards import Forwards
from layerscope.attribution.task import Found, Method, Task, count
from layerscope.errors import InputError


def rise(task: Task, *, masks: int = 1000, cells: int = 7, keep: float = 0.5, precision: str = "full") -> Found:
    """The covariance of a pixel's visibility and the score, over random masks (Petsiuk et al. 2018).

    A mask is a coarse random grid of visible and hidden cells, drawn smooth at the size of the image and shifted at
    random. What is hidden fades to the baseline, which was black in the publication (baseline="black" here). The
    published map is the mean of score times mask; here both are taken less their means over the masks, so that the map
    has a sign, and does not change when the score of every image grows by the same.

    masks: how many.
    cells: of the grid along each side.
    keep: the chance of a cell to be visible, between 0 and 1.
    precision: "full", or "bfloat16" for about twice the speed where the processor has it.
    """
    count("masks", masks, 2)
    count("cells", cells)
    if not isinstance(keep, float) or not 0 < keep < 1:
        raise InputError(f"keep={keep!r}; it has to lie between 0 and 1")
    forwards, size = Forwards(task, precision, masks * len(task.images)), (task.images.shape[-2], task.images.shape[-1])
    start = forwards(task.images).cpu().double()  # sums of small differences from it lose fewer digits
    products = torch.zeros(len(task.images), *size, dtype=torch.float64)
    seen, gains = torch.zeros_like(products[0]), torch.zeros_like(start)
    for some in _masks(masks, cells, keep, size, task):
        seen += some.sum(0)
        for number, (image, reference) in enumerate(zip(task.images, task.references, strict=True)):
            gain = forwards(reference + some[:, None].to(image) * (image - reference)).cpu().double() - start[number]
            gains[number] += gain.sum()
            products[number] += torch.einsum("m,mij->ij", gain, some)
    covariance = products / masks - gains.view(-1, 1, 1) * seen / masks**2
    return forwards.found(covariance[:, None].to(task.images))


def _masks(masks: int, cells: int, keep: float, size: tuple[int, int], task: Task) -> Iterator[Tensor]:
    """[mask, height, width] in [0, 1], a batch at a time, float64 on the CPU; all are drawn before the first."""
    generator = task.generator()
    grids = (torch.rand(masks, cells, cells, generator=generator, dtype=torch.float32) < keep).double()
    cell = [-(-side // cells) for side in size]
    large = [(cells + 1) * side for side in cell]
    rows, columns = (torch.randint(side, (masks,), generator=generator).tolist() for side in cell)
    for numbers in torch.arange(masks).split(task.light):
        smooth = F.interpolate(grids[numbers][:, None], large, mode="bilinear", align_corners=False)[:, 0]
        yield torch.stack(
            [
                mask[rows[number] : rows[number] + size[0], columns[number] : columns[number] + size[1]]
                for number, mask in zip(numbers.tolist(), smooth, strict=True)
            ]
        )


METHODS: tuple[Method, ...] = (
    Method(
        name="rise",
        title="RISE",
        about="The covariance of a pixel's visibility through random smooth masks and the score.",
        source="Petsiuk et al. 2018, RISE: randomized input sampling for explanation, arXiv:1806.07421",
        run=rise,
        needs=("baseline",),
        cost="1000 forwards",
    ),
)
