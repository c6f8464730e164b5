"""Twins: nothing learned is left in them, they are alive, and the user's network stays as it was."""

from __future__ import annotations

import copy

import pytest
import torch
from small_nets import SmallNet, seeded, small_model
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

from layerscope.conformance.trace import differences, state_of
from layerscope.dissection.twins import random_twin
from layerscope.errors import InputError
from layerscope.models.model import VisionModel, wrap


def images(n: int = 24, side: int = 32) -> Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(1))


def deep_without_norms(depth: int = 12) -> VisionModel:
    parts: list[nn.Module] = []
    for at in range(depth):
        parts += [nn.Conv2d(8 if at else 3, 8, 3, padding=1), nn.ReLU(inplace=True)]
    module = seeded(nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)))
    return wrap(module, 32)


def outputs_of(model: VisionModel, name: str, batch: Tensor) -> Tensor:
    found: list[Tensor] = []
    handle = model.module.get_submodule(name).register_forward_hook(
        lambda m, i, output: found.append(output.detach().clone())
    )
    with torch.no_grad():
        model(batch)
    handle.remove()
    return found[0]


@pytest.mark.parametrize("make", [small_model, deep_without_norms, lambda: wrap(seeded(Tripled()), 32)])
def test_the_users_network_is_untouched(make):
    model = make()
    model.module.train()
    for parameter in model.module.parameters():
        parameter.grad = torch.ones_like(parameter)
    before = state_of(model.module)
    twin = random_twin(model, images(), seed=3)
    assert differences(before, state_of(model.module)) == ()
    mine = {parameter.data_ptr() for parameter in (*model.module.parameters(), *model.module.buffers())}
    assert not mine & {parameter.data_ptr() for parameter in (*twin.module.parameters(), *twin.module.buffers())}
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in twin.module.parameters())
    assert not any(part.training for part in twin.module.modules())


def test_weights_are_drawn_by_reset_parameters():
    model = small_model()
    twin = random_twin(model, images(), seed=5)
    known = copy.deepcopy(model.module)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        for part in reversed(list(known.modules())):
            if hasattr(part, "reset_parameters"):
                part.reset_parameters()
    for name, parameter in known.named_parameters():
        torch.testing.assert_close(twin.module.get_parameter(name), parameter, rtol=0, atol=0)


def test_nothing_learned_is_left():
    model = small_model()
    twin = random_twin(model, images())
    for name, parameter in model.module.named_parameters():
        assert not torch.equal(parameter, twin.module.get_parameter(name)), name
    for name, buffer in model.module.named_buffers():
        assert not torch.equal(buffer, twin.module.get_buffer(name)), name


def test_norm_statistics_are_those_of_the_images():
    twin = random_twin(small_model(), images(24), batch_size=24)
    norm = twin.module.bn1
    into = outputs_of(twin, "conv1", images(24)).double()
    torch.testing.assert_close(norm.running_mean.double(), into.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(norm.running_var.double(), into.var((0, 2, 3)), rtol=1e-4, atol=1e-5)
    out = outputs_of(twin, "bn1", images(24))
    torch.testing.assert_close(out.mean((0, 2, 3)), torch.zeros(8), rtol=0, atol=1e-3)
    torch.testing.assert_close(out.std((0, 2, 3)), torch.ones(8), rtol=0, atol=1e-2)
    assert norm.momentum == 0.1


def test_norm_statistics_of_several_batches_are_their_mean():
    twin = random_twin(small_model(), images(25), batch_size=8)  # 9, 8 and 8 images
    into = outputs_of(twin, "conv1", images(25))
    mean = torch.stack([part.mean((0, 2, 3)) for part in into.tensor_split(3)]).mean(0)
    torch.testing.assert_close(twin.module.bn1.running_mean, mean, rtol=1e-4, atol=1e-5)
    assert twin.module.bn1.num_batches_tracked == 3


def test_parts_in_train_mode_other_than_norms_stay_quiet():
    class Dropping(SmallNet):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(nn.functional.dropout(x, 0.9, self.training))

    model = wrap(seeded(Dropping()).train(), 32)
    plain = random_twin(small_model(), images(), seed=2)
    torch.testing.assert_close(random_twin(model, images(), seed=2).module.state_dict(), plain.module.state_dict())


def test_without_norms_each_unit_has_the_mean_and_scatter_of_the_trained_one():
    model = deep_without_norms()
    twin = random_twin(model, images(), batch_size=24)
    for name in ("0", "10", "22", "26"):
        axes = (0, 2, 3) if name != "26" else (0,)
        own, other = (outputs_of(one, name, images()).double() for one in (model, twin))
        torch.testing.assert_close(other.mean(axes), own.mean(axes), rtol=1e-3, atol=1e-3)
        alive = own.std(axes) > 1e-4 * own.abs().max()
        torch.testing.assert_close(other.std(axes)[alive], own.std(axes)[alive], rtol=1e-2, atol=1e-4)
    for name in ("0", "10", "22"):
        weights = [one.module.get_submodule(name).weight.flatten() for one in (model, twin)]
        assert abs(torch.corrcoef(torch.stack(weights))[0, 1]) < 0.25
    untouched = copy.deepcopy(model.module)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for part in untouched.modules():
            if hasattr(part, "reset_parameters"):
                part.reset_parameters()
    plain = outputs_of(wrap(untouched, 32), "22", images())
    assert plain.std(0).mean() < 0.01 * outputs_of(twin, "22", images()).std(0).mean()  # why they are matched


def test_hooks_that_change_outputs_are_not_matched_away():
    model = wrap(seeded(Tripled()), 32)
    twin = random_twin(model, images(), batch_size=24)
    for name in ("0", "2"):
        own, other = (outputs_of(one, name, images()) for one in (model, twin))
        torch.testing.assert_close(other.mean((0, 2, 3)), own.mean((0, 2, 3)), rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(other.std((0, 2, 3)), own.std((0, 2, 3)), rtol=1e-3, atol=1e-3)


class Odd(nn.Module):
    """Weights that no `reset_parameters` reaches: its own, those of a parametrisation, and those behind arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.linspace(1, 3, 8).reshape(8, 1, 1))
        self.shift = nn.Parameter(torch.full((1,), 0.5))
        self.conv1 = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 8, 3))
        self.conv2 = nn.ConvTranspose2d(8, 6, 3, groups=2)
        self.head = Asking(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.conv2(self.gain * self.conv1(x).relu() + self.shift).mean((2, 3)))


class Asking(nn.Module):
    """Its `reset_parameters` wants to know more than anyone can tell."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(outputs, inputs))

    def reset_parameters(self, std: float) -> None:
        raise AssertionError("called without its arguments")

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight)


class Tripled(nn.Sequential):
    """A hook of the user's own that changes what a part gives."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 3))
        self[0].register_forward_hook(lambda module, inputs, output: 3 * output)


def test_weights_that_nothing_draws_are_drawn_with_their_own_mean_and_scatter():
    model = wrap(seeded(Odd()), 16)
    gain = model.module.gain.detach()
    twin = random_twin(model, images(side=16))
    for name, parameter in model.module.named_parameters():
        if name != "shift":
            assert not torch.equal(parameter, twin.module.get_parameter(name)), name
    assert abs(twin.module.gain.mean() - gain.mean()) < 3 * gain.std() / 8**0.5
    wide = wrap(seeded(nn.Sequential(nn.Flatten(), Asking(3 * 256, 64))), 16)
    with torch.no_grad():
        wide.module[1].weight.mul_(3).add_(7)
    weight = random_twin(wide, images(side=16)).module[1].weight
    assert weight.shape == (64, 768)
    rows = wide.module[1].weight
    assert torch.corrcoef(torch.stack([weight.flatten(), rows.flatten()]))[0, 1].abs() < 0.05


def test_a_part_that_has_the_last_word_over_its_parts():
    class Careful(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, bias=False)
            self.norm = nn.BatchNorm2d(4)

        def reset_parameters(self) -> None:
            nn.init.zeros_(self.norm.weight)

        def forward(self, x: Tensor) -> Tensor:
            return self.norm(self.conv(x))

    assert float(random_twin(wrap(seeded(Careful()), 16), images(side=16)).module.norm.weight.abs().sum()) == 0


def test_a_twin_is_of_its_seed_alone():
    model = small_model()
    first = random_twin(model, images(), seed=1).module.state_dict()
    torch.rand(3)
    torch.testing.assert_close(random_twin(model, images(), seed=1).module.state_dict(), first, rtol=0, atol=0)
    other = random_twin(model, images(), seed=2).module.state_dict()
    assert not torch.equal(first["conv1.weight"], other["conv1.weight"])
    twin = random_twin(model, images(), seed=2)
    assert (twin.name, twin.spec, twin.input_size) == ("small, random twin 2", None, 32)
    assert twin.fingerprint != model.fingerprint


def test_too_few_images_or_no_weights_are_refused():
    with pytest.raises(InputError, match="1 images in batches of 64; statistics need at least 2 images in each"):
        random_twin(small_model(), images(1))
    with pytest.raises(
        InputError, match="'Identity' has no weights, so it has no random twin; give a network with weights"
    ):
        random_twin(wrap(nn.Identity(), 16), images())


def test_statistics_that_were_never_estimated_stay_so_in_twins():
    """Otherwise a network that learned nothing would differ from its twins: it is no better centred than it began."""
    raw = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4))
    twin = random_twin(wrap(raw.eval(), 16), torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(0)))
    for at in (1, 4):
        assert not bool(twin.module[at].running_mean.any())
        assert bool((twin.module[at].running_var == 1).all())
    assert not torch.equal(twin.module[0].weight, raw[0].weight)


def test_norms_that_were_frozen_into_buffers_are_redrawn():
    frozen, norm = FrozenBatchNorm2d(8), nn.BatchNorm2d(8)
    for buffer in frozen.buffers():
        buffer.copy_(torch.rand(8, generator=torch.Generator().manual_seed(0)) + 0.5)
    norm.running_mean.fill_(0.3)  # so that it counts as estimated
    first = nn.Conv2d(3, 8, 3)
    made = [wrap(seeded(nn.Sequential(first, one, nn.ReLU())).eval(), 32) for one in (frozen, norm)]
    before = state_of(made[0].module)
    twin, plain = (random_twin(model, images()).module for model in made)
    assert isinstance(made[0].module[1], FrozenBatchNorm2d)
    assert differences(before, state_of(made[0].module)) == ()
    for name, value in plain[1].state_dict().items():
        assert torch.equal(twin[1].state_dict()[name], value), name
