"""What an image is compared with: the same image without its detail, or one flat colour."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from layerscope.errors import InputError, UnknownNameError
from layerscope.models.model import VisionModel
from layerscope.types import Images

BLUR = 1 / 16
"""Standard deviation of the blur, in sides of the image: what a thing is goes, its colours stay."""

Baseline = str | Tensor
"""A name in BASELINES, or images that broadcast to those explained, values in [0, 1]."""


def blurred(images: Images, sigma: float = BLUR) -> Images:
    """The images blurred by a Gaussian whose standard deviation is `sigma` of their side, mirrored at the border."""
    height, width = images.shape[-2:]
    side = min(height, width)
    reach = min(round(3 * sigma * side), (side - 1) // 2)  # more cannot be mirrored
    if not reach:
        return _spread(images.mean((2, 3), keepdim=True), images)
    dtype, images = images.dtype, images.to(torch.promote_types(images.dtype, torch.float32))
    for kernel in ([2 * reach + 1, 1], [1, 2 * reach + 1]):  # along both axes at once it costs 25 times as much
        images = gaussian_blur(images, kernel, [max(sigma * side, 0.1)] * 2)  # half precision takes very long
    return images.to(dtype)


def _grey(value: float) -> Callable[[Images, VisionModel], Images]:
    return lambda images, model: torch.full_like(images, value)


def _network_mean(images: Images, model: VisionModel) -> Images:
    return _spread(images.new_tensor(model.mean).view(1, -1, 1, 1), images)


def _own_mean(images: Images, model: VisionModel) -> Images:
    return _spread(images.mean((2, 3), keepdim=True), images)


def _spread(values: Tensor, images: Images) -> Images:
    """Values over images, in their dtype, device and order of memory. Raises RuntimeError where they do not fit."""
    return torch.empty_like(images).copy_(values)


BASELINES: dict[str, Callable[[Images, VisionModel], Images]] = {
    "blur": lambda images, model: blurred(images),
    "black": _grey(0.0),
    "white": _grey(1.0),
    "mean": _network_mean,
    "own mean": _own_mean,
}
"""blur: the image without detail. mean: the colour that normalisation turns into zero. own mean: the image's own."""


def baseline_images(images: Images, model: VisionModel, baseline: Baseline) -> Images:
    """[batch, channel, height, width]: one baseline per image, by name or as given.

    Raises UnknownNameError for a name that does not exist, InputError for images that do not fit or are not finite.
    """
    if isinstance(baseline, str):
        if baseline not in BASELINES:
            raise UnknownNameError.among("baseline", baseline, BASELINES, "or give images")
        return BASELINES[baseline](images, model)
    if not isinstance(baseline, Tensor):
        raise InputError(f"baseline is a {type(baseline).__name__}; give one of {', '.join(BASELINES)}, or images")
    if baseline.is_complex():
        raise InputError("baseline holds complex numbers; give images in [0, 1]")
    try:
        given = _spread(baseline.detach(), images)
    except RuntimeError:
        raise InputError(
            f"baseline of shape {tuple(baseline.shape)} does not fit images of {tuple(images.shape)}"
        ) from None
    if not given.isfinite().all():
        raise InputError("baseline holds values that are not finite; give images in [0, 1]")
    return given
