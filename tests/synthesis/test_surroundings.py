"""What is set around a call, and what a network does to itself, neither changes pictures nor is changed."""

from __future__ import annotations

import random
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from small_nets import CountingNet, SmallNet, seeded
from torch import Tensor, nn

from layerscope.errors import InputError
from layerscope.models.model import VisionModel, wrap
from layerscope.synthesis import work
from layerscope.synthesis.ascent import maximise
from layerscope.synthesis.recipes import Recipe

RECIPE = Recipe("of the test", "fourier", view=32, steps=6)
SOUGHT = ["conv2:1", "fc:1", "conv1:2"]


class Noisy(SmallNet):
    def forward(self, x: Tensor) -> Tensor:
        random.random()
        np.random.rand()
        return super().forward(x + 0.01 * torch.rand_like(x))


def test_random_states_are_what_they_were() -> None:
    model = wrap(seeded(Noisy()), 32)
    before = torch.random.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    art = maximise(model, SOUGHT, recipe=RECIPE)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert np.random.get_state()[1].tolist() == before[2]
    assert maximise(model, SOUGHT, recipe=RECIPE).images.tobytes() == art.images.tobytes()


class FailingError(Exception):
    pass


def test_buffers_are_what_they_were_after_errors_too() -> None:
    def fail(*_: object) -> None:
        raise FailingError

    model = wrap(seeded(CountingNet()), 32)
    buffer, version = model.module.calls, model.module.calls._version
    maximise(model, SOUGHT, recipe=RECIPE)
    with pytest.raises(FailingError):
        maximise(model, SOUGHT, recipe=RECIPE, on_progress=fail)
    assert model.module.calls is buffer
    assert (int(buffer), buffer._version) == (0, version)


def test_autocast_changes_nothing(model: VisionModel) -> None:
    wanted = maximise(model, SOUGHT, recipe=RECIPE)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        art = maximise(model, SOUGHT, recipe=RECIPE)
        assert torch.is_autocast_enabled("cpu")
    assert art.images.tobytes() == wanted.images.tobytes()
    assert art.scores.tobytes() == wanted.scores.tobytes()


def test_another_default_format_changes_nothing(model: VisionModel) -> None:
    wanted = maximise(model, [*SOUGHT, "owl"]), maximise(model, SOUGHT, recipe=RECIPE.drawn_as("phase"))
    torch.set_default_dtype(torch.float64)
    try:
        art = maximise(model, [*SOUGHT, "owl"]), maximise(model, SOUGHT, recipe=RECIPE.drawn_as("phase"))
    finally:
        torch.set_default_dtype(torch.float32)
    for one, other in zip(art, wanted, strict=True):
        assert [image.tobytes() for image in one.images] == [image.tobytes() for image in other.images]
        assert one.trace.tobytes() == other.trace.tobytes()


def test_a_compiled_network_is_drawn_as_it_is(model: VisionModel) -> None:
    compiled = wrap(torch.compile(model.module), 32)
    wanted = maximise(wrap(model.module, 32), SOUGHT, recipe=RECIPE)
    assert maximise(compiled, SOUGHT, recipe=RECIPE).images.tobytes() == wanted.images.tobytes()


def test_a_network_that_keeps_activations_and_one_with_weight_norm_are_drawn() -> None:
    class Keeping(SmallNet):
        def forward(self, x: Tensor) -> Tensor:
            self.seen = self.conv1(x)
            return super().forward(x)

    module = seeded(Keeping())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        nn.utils.weight_norm(module.conv2)
    module(torch.rand(1, 3, 32, 32)).sum().backward()
    seen, weight = module.seen, module.conv2.weight
    grads = [parameter.grad.clone() for parameter in module.parameters()]
    art = maximise(wrap(module, 32), SOUGHT, recipe=RECIPE)
    assert (art.scores > art.controls).all()
    assert module.seen is seen
    assert module.conv2.weight is weight
    assert all(torch.equal(one.grad, grad) for one, grad in zip(module.parameters(), grads, strict=True))


@pytest.mark.parametrize("kind", [tuple, list, dict])
def test_networks_that_give_more_than_scores(kind: type) -> None:
    class Several(SmallNet):
        def forward(self, x: Tensor) -> object:
            y = super().forward(x)
            return {"scores": y, "sure": y > 0} if kind is dict else kind([y, y > 0])

    art = maximise(wrap(seeded(Several()), 32), SOUGHT, recipe=RECIPE)
    assert art.images.tobytes() == maximise(wrap(seeded(SmallNet()), 32), SOUGHT, recipe=RECIPE).images.tobytes()


def test_scores_that_overflow_in_the_network_s_own_format_are_an_error() -> None:
    module = seeded(SmallNet())
    with torch.no_grad():
        module.conv2.weight.mul_(1e5)
    with pytest.raises(
        InputError, match=r"'excitation conv2:1' is inf on the network itself, in float16; look for inf"
    ):
        maximise(wrap(module.half(), 32), ["conv2:1"], recipe=RECIPE)


def test_threads_take_turns() -> None:
    module = seeded(CountingNet()).train()
    model, buffer = wrap(module, 32), module.calls
    wanted = maximise(model, SOUGHT, recipe=RECIPE).images.tobytes()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: maximise(model, SOUGHT, recipe=RECIPE).images.tobytes(), range(8)))
    assert set(found) == {wanted}
    assert module.calls is buffer
    assert all(part.training for part in module.modules())


@pytest.mark.parametrize("how", [torch.no_grad(), torch.inference_mode()])
def test_a_network_that_computes_without_gradients_is_dead(how: torch.no_grad | torch.inference_mode) -> None:
    class Still(SmallNet):
        def forward(self, x: Tensor) -> Tensor:
            with how:
                return super().forward(x)

    art = maximise(wrap(seeded(Still()), 32), ["conv2:1"], recipe=RECIPE)
    assert art.status == ("dead",)
    assert art.notes[0].startswith("no gradient reaches this objective")
    assert art.scores.tolist() == art.controls.tolist()


def test_copies_of_layers_that_are_done_are_not_kept(model: VisionModel, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[int] = []

    class Watched(work.Work):
        def _private(self, *given: object) -> object:
            found = super()._private(*given)  # type: ignore[arg-type]
            held.append(len(self.copies))
            return found

    monkeypatch.setattr("layerscope.synthesis.ascent.Work", Watched)
    maximise(model, ["conv1:1", "bn1:1", "conv2:1", "bn2:2", "conv3:1", "owl"], recipe=RECIPE)
    assert held == [1] * 6
