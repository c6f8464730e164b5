"""What holds for every method, whichever it is, as `attribute` runs it."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import pytest
import torch
from cheap_options import few
from small_nets import SmallNet, ViewingNet, seeded
from tasks import pictures
from torch import Tensor, nn

import layerscope as ls
from layerscope.attribution.methods import METHODS, attribute
from layerscope.attribution.result import Attribution
from layerscope.conformance.trace import differences, state_of
from layerscope.models.model import VisionModel

CLASSES = ("owl", "cat", "hut", "tree", "cup")
TARGETS = ("owl", "cat", "owl")
IMAGES = pictures(3)
LAYER = "relu#1"

every_method = pytest.mark.parametrize("name", METHODS)


class Users(SmallNet):
    """Drops out in train mode."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__(channels)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.dropout(x))


def users_model(channels: int = 3, dtype: torch.dtype = torch.float32) -> VisionModel:
    return ls.wrap(seeded(Users(channels)).to(dtype), 32, class_names=CLASSES, name="users")


def explained(
    name: str, model: VisionModel, images: Tensor = IMAGES, target: Any = TARGETS, **more: Any
) -> Attribution:
    layer = {"layer": LAYER} if "layer" in METHODS[name].needs else {}
    return attribute(model, images, target, name, **layer, **few(name), **more)


@cache
def usual(name: str) -> Attribution:
    """The answer that other circumstances must not change."""
    return explained(name, users_model())


def assert_same(values: Tensor, expected: Tensor, tolerance: float = 2e-5) -> None:
    """Up to a share of the largest value."""
    torch.testing.assert_close(values, expected, rtol=0, atol=tolerance * float(expected.abs().max()))


@every_method
def test_an_answer_is_plain_whole_and_measured(name: str) -> None:
    made, method = usual(name), METHODS[name]
    values = made.values
    assert (values.dtype, values.device.type, values.requires_grad) == (torch.float32, "cpu", False)
    assert values.shape == (3, 8, 16, 16) if method.layered else values.shape in [(3, 3, 32, 32), (3, 1, 32, 32)]
    assert values.flatten(1).any(1).all()
    assert made.maps.shape == (3, *values.shape[2:])
    assert (made.method, made.targets) == (name, ("logit owl", "logit cat", "logit owl"))
    assert (made.layer, made.chosen) == ((LAYER, False) if "layer" in method.needs else (None, False))
    assert made.baseline == ("blur" if "baseline" in method.needs else None)
    logits = users_model()(IMAGES).detach()
    torch.testing.assert_close(made.scores, logits[torch.arange(3), torch.tensor([0, 1, 0])])
    assert made.seconds == pytest.approx(sum(check.seconds for check in made.checks))
    assert made.seconds > 0


@every_method
def test_all_is_checked_that_is_claimed_and_no_more(name: str) -> None:
    made, method = usual(name), METHODS[name]
    for check, values, score in zip(made.checks, made.values, made.scores, strict=True):
        assert check.finite
        assert check.score == pytest.approx(float(score))
        assert check.total == pytest.approx(float(values.double().sum()), abs=1e-5 * float(values.abs().sum()))
        assert (check.expected is None) == (check.gap is None) == (method.claims is None)
        if method.claims == "score":
            assert check.expected == pytest.approx(check.score)
        assert -1 <= check.redrawn <= 1
        assert -1 <= check.noise <= 1
        assert (check.redrawn > 0.999) == (name == "eigen_cam")  # reads nothing of what comes after the layer


@every_method
def test_without_checks_the_values_are_the_same_and_nothing_is_asked_twice(name: str) -> None:
    made = explained(name, users_model(), checks=False)
    assert torch.equal(made.values, usual(name).values)
    assert [(check.redrawn, check.noise) for check in made.checks] == [(None, None)] * 3
    assert [check.gap for check in made.checks] == [check.gap for check in usual(name).checks]


@every_method
def test_an_image_is_explained_alike_in_any_company_and_memory(name: str) -> None:
    model, expected = users_model(), usual(name)
    alone = explained(name, model, IMAGES[1:2], TARGETS[1])
    assert_same(alone.values, expected.values[1:2])
    assert alone.checks[0].noise == pytest.approx(expected.checks[1].noise, abs=0.01)
    assert alone.checks[0].redrawn == pytest.approx(expected.checks[1].redrawn, abs=0.01)
    backwards = explained(name, model, IMAGES.flip(0), TARGETS[::-1], memory=1, checks=False)
    assert_same(backwards.values.flip(0), expected.values)


def test_the_steadying_of_relevance_is_that_of_each_image() -> None:
    model, images = users_model(), IMAGES * torch.tensor([1.0, 0.1, 1.0]).view(3, 1, 1, 1)
    options = {"composite": "epsilon", "epsilon": 0.5, "checks": False}
    together = attribute(model, images, "owl", "lrp", **options)
    assert_same(attribute(model, images[1:2], "owl", "lrp", **options).values, together.values[1:2])


@every_method
def test_a_seed_gives_the_same_again_and_another_one_other_draws(name: str) -> None:
    first, again, other = (explained(name, users_model(), seed=seed, checks=False).values for seed in (3, 3, 4))
    assert torch.equal(first, again)
    draws = bool({"samples", "masks"} & set(METHODS[name].options()))
    assert torch.equal(first, other) != draws


@pytest.mark.parametrize("trained", [True, False], ids=["train mode, no_grad", "frozen weights, inference_mode"])
@every_method
def test_circumstances_change_nothing(name: str, trained: bool) -> None:
    model = users_model()
    model.module.train(trained).requires_grad_(trained)
    model.module.bn1.eval()
    with torch.no_grad() if trained else torch.inference_mode():
        before = state_of(model.module)
        images = IMAGES.clone()  # in inference mode one that no graph can hold
        made = explained(name, model, images, checks=trained)
        assert differences(before, state_of(model.module)) == ()
    flags = {part for part, module in model.module.named_modules() if module.training}
    assert flags == ({part for part, _ in model.module.named_modules()} - {"bn1"} if trained else set())
    assert torch.equal(images, IMAGES)
    assert_same(made.values, usual(name).values)
    assert not made.values.is_inference()


@every_method
def test_networks_in_float64_agree_with_those_in_float32(name: str) -> None:
    made = explained(name, users_model(dtype=torch.float64), IMAGES.double(), checks=False)
    assert made.values.dtype == torch.float32
    assert_same(made.values, usual(name).values, tolerance=2e-3)


@pytest.mark.parametrize("channels", [1, 4])
@every_method
def test_images_may_have_other_channels_than_three(name: str, channels: int) -> None:
    images = pictures(2, channels=channels)
    made = explained(name, users_model(channels), images, "owl")
    assert made.values.isfinite().all()
    assert made.values.shape[1] in ((8,) if METHODS[name].layered else (1, channels))
    if METHODS[name].claims == "difference" and few(name).get("steps") is None and name != "gradient_shap":
        assert all(check.gap < 1e-3 for check in made.checks)


class _ChannelsLast(nn.Module):
    """Computes in the middle with the units on the last axis, as Swin and ConvNeXt do."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.middle, self.fc = nn.Conv2d(3, 6, 4, stride=4), nn.Linear(6, 10), nn.Linear(10, 5)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.middle(self.conv(x).permute(0, 2, 3, 1)).relu()
        return self.fc(hidden.square().mean((1, 2)))


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.layered])
def test_values_of_layers_have_the_units_first(name: str) -> None:
    net = seeded(_ChannelsLast())
    first = copy.deepcopy(net)
    first.middle = nn.Conv2d(6, 10, 1)
    with torch.no_grad():
        first.middle.weight.copy_(net.middle.weight[:, :, None, None])
        first.middle.bias.copy_(net.middle.bias)
    first.forward = lambda x: first.fc(first.middle(first.conv(x)).relu().square().mean((2, 3)))
    made, expected = (
        attribute(ls.wrap(one, 32), IMAGES, 1, name, layer="middle", checks=False, **few(name)) for one in (net, first)
    )
    assert made.values.shape == (3, 10, 8, 8)
    assert_same(made.values, expected.values)


@every_method
def test_networks_may_view_their_maps(name: str) -> None:
    """As those of many a tutorial do, which run only on what is laid out as usual."""
    model = ls.wrap(seeded(ViewingNet()), 32, class_names=CLASSES)
    with pytest.raises(RuntimeError, match="view size"):
        model.module(IMAGES.contiguous(memory_format=torch.channels_last))
    assert_same(explained(name, model).values, usual(name).values)
