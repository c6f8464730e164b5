"""Networks whose attribution is known exactly, and checks that hold for every method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from small_nets import SmallNet, seeded, small_model
from tasks import found
from torch import Tensor, nn

from layerscope.attribution.task import Found
from layerscope.conformance.trace import differences, state_of
from layerscope.models.model import VisionModel, wrap

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
CLASSES = ("owl", "cat", "hut", "tree", "cup")


def linear_model(size: int = 16, dtype: torch.dtype = torch.float64) -> VisionModel:
    """Scores that are linear in the pixels, with an offset."""
    module = seeded(nn.Sequential(nn.Flatten(), nn.Linear(3 * size * size, 5))).to(dtype)
    return wrap(module, input_size=size, mean=MEAN, std=STD, class_names=CLASSES, name="linear")


def slopes(model: VisionModel, size: int = 16) -> Tensor:
    """[1, 3, size, size]: the gradient of "owl" of a linear model at the image in [0, 1]."""
    weight = model.module[1].weight[0].detach()
    return (weight.view(1, 3, size, size)) / weight.new_tensor(STD).view(1, 3, 1, 1)


def patch_model(size: int = 16, patch: int = 8, dtype: torch.dtype = torch.float64) -> VisionModel:
    """Scores that are a sum over patches, and not linear within one."""
    module = seeded(nn.Sequential(nn.Conv2d(3, 6, patch, patch), nn.ReLU(), nn.Conv2d(6, 5, 1))).to(dtype)
    return wrap(module, input_size=size, mean=MEAN, std=STD, class_names=CLASSES, name="patches")


def patches(size: int = 16, patch: int = 8) -> Tensor:
    """[size, size]: the number of the patch of each pixel."""
    places = torch.arange(size) // patch
    return places[:, None] * (size // patch) + places


def double_model() -> VisionModel:
    module = seeded(SmallNet()).double()
    return wrap(module, input_size=32, mean=MEAN, std=STD, class_names=CLASSES, name="small, float64")


def by_patch(values: Tensor, numbers: Tensor) -> Tensor:
    """[batch, patch]: sums over the pixels and channels of each patch."""
    flat = values.sum(1).flatten(1)
    return flat.new_zeros(len(values), int(numbers.max()) + 1).index_add_(1, numbers.flatten(), flat)


def check_alone(run: Callable[..., Found], images: Tensor, **options: Any) -> None:
    """The values of an image depend neither on the other images nor on how many are run at once."""
    model = small_model()
    together = found(run, model, images, "cat", baseline="blur", batch=64, options=options).values
    scale = float(together.abs().max())
    for batch in (1, 3, 16):
        again = found(run, model, images, "cat", baseline="blur", batch=batch, options=options).values
        torch.testing.assert_close(again, together, rtol=0, atol=2e-5 * scale)
    for number in range(len(images)):
        alone = found(run, model, images[number : number + 1], "cat", baseline="blur", options=options).values
        torch.testing.assert_close(alone[0], together[number], rtol=0, atol=2e-5 * scale)


def check_traceless(
    run: Callable[..., Found], images: Tensor, model: VisionModel | None = None, **options: Any
) -> None:
    """Nothing is left on the network and the process; images, baseline and seed give the same values again."""
    model = model or small_model()
    model.module.train()
    before, given = state_of(model.module), images.clone()
    first = found(run, model, images, "cat", baseline="blur", options=options)
    again = found(run, model, images, "cat", baseline="blur", options=options)
    assert differences(before, state_of(model.module)) == ()
    assert torch.equal(images, given)
    assert torch.equal(first.values, again.values)


def check_seeded(run: Callable[..., Found], images: Tensor, **options: Any) -> None:
    """Another seed gives other values."""
    values = [
        found(run, small_model(), images, "cat", baseline="blur", seed=seed, options=options).values for seed in (0, 1)
    ]
    assert not torch.allclose(*values)


class Rude(nn.Module):
    """A network that changes its input and its activations in place, from frozen weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, padding=1)
        self.fc = nn.Linear(6, 5)
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        x *= 1.5
        x[:, 0] += 0.25
        hidden = self.conv(x)
        hidden[:, :3].mul_(2.0)
        hidden.flatten(2)[:, :, 0].zero_()
        hidden.relu_()
        return self.fc(hidden.flatten(2).square().mean(2))


class Polite(Rude):
    """The same function, without a change in place."""

    def forward(self, x: Tensor) -> Tensor:
        x = x * 1.5 + x.new_tensor([0.25, 0.0, 0.0]).view(3, 1, 1)
        factors = x.new_tensor([2.0, 2.0, 2.0, 1.0, 1.0, 1.0]).view(6, 1, 1)
        hidden = self.conv(x) * factors
        corner = torch.ones_like(hidden[:1, :1])
        corner[..., 0, 0] = 0
        return self.fc((hidden * corner).relu().square().mean((2, 3)))


def rude_and_polite() -> tuple[VisionModel, VisionModel]:
    rude, polite = (
        wrap(seeded(kind()), input_size=16, mean=MEAN, std=STD, class_names=CLASSES, name="net")
        for kind in (Rude, Polite)
    )
    return rude, polite


def check_rude(run: Callable[..., Found], images: Tensor, **options: Any) -> None:
    """A network that works in place is explained as the one that does not; so from within inference mode."""
    rude, polite = rude_and_polite()
    wanted = found(run, polite, images, "cat", baseline="blur", options=options).values
    with torch.inference_mode():
        values = found(run, rude, images, "cat", baseline="blur", options=options).values
    torch.testing.assert_close(values, wanted, rtol=0, atol=2e-5 * float(wanted.abs().max()))
    assert not values.is_inference()
    assert not values.requires_grad


def effects_of_patches(model: VisionModel, images: Tensor, references: Tensor) -> Tensor:
    """[batch, patch]: what each patch adds to "cat" of a patch model."""
    numbers = patches()
    without = [torch.where(numbers == number, references, images) for number in range(4)]
    with torch.no_grad():
        return torch.stack([(model(images) - model(one)).mean((2, 3))[:, 1] for one in without], dim=1)
