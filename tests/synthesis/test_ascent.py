"""Pictures climb, depend on nothing but what they should, and leave no trace."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch
from small_nets import SmallNet, ViewingNet, seeded
from torch import Tensor, nn

import layerscope.objectives as ob
from layerscope.capture.units import Unit
from layerscope.errors import InputError, UnknownNameError
from layerscope.models.model import VisionModel, wrap
from layerscope.models.spectrum import Spectrum
from layerscope.synthesis.ascent import maximise
from layerscope.synthesis.images import Contrast, Pixels
from layerscope.synthesis.outcome import Jury
from layerscope.synthesis.recipes import Recipe, recipe_for

UNITS = [f"conv2:{index}" for index in range(8)]
FAST = 12


def test_every_kind_of_objective_climbs(model: VisionModel) -> None:
    sought = [
        "conv1:3",
        "/add:1",
        Unit("conv2", 1),
        ob.neuron("conv3:2"),
        "owl",
        ob.margin("cat", "hut"),
        ob.layer_energy("conv2"),
    ]
    art = maximise(model, [*sought, ob.direction("conv3", range(12))], steps=60)
    assert art.images.shape == (8, 32, 32, 3)
    assert art.images.dtype == np.uint8
    assert (art.scores > art.controls).all()
    assert (art.trace[:, -5:].mean(1) > art.trace[:, :5].mean(1)).all()
    assert set(art.status) <= {"converged", "weak"}
    first = ("excitation conv1:3", "excitation /add:1", "excitation conv2:1", "neuron conv3:2", "logit owl")
    assert art.objectives[:5] == first
    assert art.saturated.max() < 0.2
    assert art.seconds > 0


def test_scores_are_of_the_picture_as_shown_on_the_network_itself(model: VisionModel) -> None:
    art = maximise(model, ["owl", "conv3:4"], steps=FAST)
    shown = torch.from_numpy(art.images[:1]).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        assert art.scores[0] == pytest.approx(float(model(shown)[0, 0]), abs=1e-5)


@pytest.mark.parametrize("unit", ["conv1:3", "conv3:2", "owl"])
def test_bytes_are_the_same_in_any_company_place_and_number_of_threads(model: VisionModel, unit: str) -> None:
    others = {"conv1:3": "conv1:", "conv3:2": "conv3:", "owl": ""}[unit]
    rest = [f"{others}{i}" for i in (0, 1, 4, 5, 6, 7)] if others else ["cat", "hut", "tree", "cup"]
    alone = maximise(model, [unit], steps=4)
    threads = torch.get_num_threads()
    try:
        for number, sought in enumerate(([unit, *rest], [*rest[:2], unit], [*rest, *rest, *rest, unit], [unit] * 3)):
            torch.set_num_threads((1, 2, 4, 1)[number])  # more on a busy machine is slow, not different
            art = maximise(model, sought, steps=4)
            for place in (place for place, one in enumerate(sought) if one == unit):
                assert art.images[place].tobytes() == alone.images[0].tobytes()
                assert art.trace[place].tobytes() == alone.trace[0].tobytes()
                assert art.scores[place] == alone.scores[0]
                assert art.controls[place] == alone.controls[0]
                assert art.status[place] == alone.status[0]
    finally:
        torch.set_num_threads(threads)


def test_bytes_are_the_same_among_other_layers_and_recipes(model: VisionModel) -> None:
    alone = maximise(model, ["conv3:2"], steps=FAST).images[0]
    mixed = maximise(model, ["conv1:1", "conv3:2", "owl", "bn2:1", "conv2:1"], steps=FAST)
    assert mixed.images[1].tobytes() == alone.tobytes()


def test_odd_sizes_grey_images_and_any_place(grey_model: VisionModel) -> None:
    whole = maximise(grey_model, UNITS, steps=FAST)
    assert whole.images.shape == (8, 33, 33, 1)
    back = maximise(grey_model, UNITS[::-1], steps=FAST)
    assert back.images[::-1].tobytes() == whole.images.tobytes()
    assert maximise(grey_model, UNITS[2:5], steps=FAST).images.tobytes() == whole.images[2:5].tobytes()


def test_the_seed_and_the_weights_decide(model: VisionModel) -> None:
    first = maximise(model, ["conv2:1"], steps=FAST, seed=1)
    assert maximise(model, ["conv2:1"], steps=FAST, seed=1).images.tobytes() == first.images.tobytes()
    assert maximise(model, ["conv2:1"], steps=FAST, seed=2).images.tobytes() != first.images.tobytes()
    other = dataclasses.replace(model, module=seeded(SmallNet(), seed=9))
    assert maximise(other, ["conv2:1"], steps=FAST, seed=1).images.tobytes() != first.images.tobytes()


def test_each_objective_has_a_start_of_its_own(model: VisionModel) -> None:
    still = Recipe("still", "fourier", view=32, steps=1, lr=0.0)
    starts = maximise(model, ["conv2:1", "conv2:2", "conv2:1"], recipe=still).images.astype(int)
    assert np.abs(starts[0] - starts[1]).mean() > 10
    assert (starts[0] == starts[2]).all()


def test_diversity_gives_different_pictures_of_one_objective(model: VisionModel) -> None:
    plain = ob.channel("conv2:3")
    diverse = plain - 5 * ob.diversity("conv2")
    same = maximise(model, [plain] * 3, steps=40).images
    art = maximise(model, [ob.channel("conv2:1"), diverse, diverse, plain, diverse], steps=40)
    assert same[0].tobytes() == same[1].tobytes() == same[2].tobytes() == art.images[3].tobytes()
    group = art.images[[1, 2, 4]].astype(float)
    assert min(np.abs(group[i] - group[j]).mean() for i, j in ((0, 1), (0, 2), (1, 2))) > 10
    alike = [_alike(model, "conv2", art.images[[1, 2, 4]]), _alike(model, "conv2", _other_seeds(model, plain))]
    assert alike[0] < alike[1]
    assert maximise(model, [diverse] * 3, steps=40).images.tobytes() == art.images[[1, 2, 4]].tobytes()


def _alike(model: VisionModel, layer: str, images: np.ndarray) -> float:
    pictures = torch.from_numpy(images).permute(0, 3, 1, 2)
    plain = Pixels(Contrast(torch.eye(3), torch.ones(32, 32), 0.1))
    return float(Jury(model, plain, 32, 8).scores([(ob.diversity(layer).bind(model), pictures)])[0].mean())


def _other_seeds(model: VisionModel, objective: ob.Objective) -> np.ndarray:
    return np.concatenate([maximise(model, [objective], steps=40, seed=seed).images for seed in range(3)])


def test_a_function_of_a_part_of_two_names_is_one_layer() -> None:
    twice = TwiceNet()
    model = wrap(seeded(twice), input_size=32)
    names = [layer.name for layer in model.layers(functions=True)]
    assert names == [
        "stem",
        "a.conv#0",
        "a/add#0",
        "a/relu#0",
        "a#0",
        "a.conv#1",
        "a/add#1",
        "a/relu#1",
        "a#1",
        "/mean",
        "fc",
    ]
    art = maximise(model, ["a/add#1:1", "b/add#1:1", "b/add:1"], steps=FAST)
    with torch.no_grad():
        before = twice.stem(model.normalise(torch.from_numpy(art.images).permute(0, 3, 1, 2).float() / 255))
        within = before + twice.a.conv(before)
        after = within.relu() + twice.a.conv(within.relu())
    scores = [float(one[1].relu().mean()) for one in (after[0], after[1], within[2])]
    assert art.scores.tolist() == pytest.approx(scores, rel=1e-4)


class Sum(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(6, 6, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.conv(x))


class TwiceNet(nn.Module):
    """Two names of one part, and two calls of it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.a, self.fc = nn.Conv2d(3, 6, 5, stride=2), Sum(), nn.Linear(6, 2)
        self.b = self.a

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.fc(self.b(self.a(self.stem(x))).mean((2, 3)))
        return y


def test_a_group_fits_in_a_batch(model: VisionModel) -> None:
    diverse = ob.channel("conv2:1") - ob.diversity("conv2")
    with pytest.raises(InputError, match=r"9 pictures of 'channel conv2:1 - diversity conv2', and one batch holds 8; "):
        maximise(model, [diverse] * 9, steps=1)


def test_a_recipe_of_ones_own_is_used_as_it_is(model: VisionModel) -> None:
    recipe = dataclasses.replace(recipe_for("draft", None, model), view=24, steps=3, rms=0.05)
    art = maximise(model, ["conv1:1", "conv3:1"], recipe=recipe)
    assert art.images.shape == (2, 24, 24, 3)
    assert art.trace.shape == (2, 3)
    assert art.images.std() < 0.06 * 255


def test_a_position_means_the_network_s_own_size(model: VisionModel) -> None:
    small = Recipe("small", "fourier", view=16, steps=2)
    assert maximise(model, [ob.neuron("conv1:1")], recipe=small).images.shape == (1, 16, 16, 3)
    assert maximise(model, [ob.neuron("conv1:1@15,15")], recipe=small).images.shape == (1, 32, 32, 3)


def test_a_network_that_takes_one_size_gets_it() -> None:
    module = seeded(nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 64 * 64, 3)))
    art = maximise(wrap(module, input_size=64), ["0:1", "3:2"], recipe=Recipe("small", "fourier", view=48, steps=2))
    assert [image.shape for image in art.images] == [(48, 48, 3), (64, 64, 3)]


def test_a_network_that_views_its_maps_is_drawn() -> None:
    art = maximise(wrap(seeded(ViewingNet()), 32), ob.logit(1), steps=FAST)
    assert art.scores[0] > art.controls[0]


def test_shorter_traces_end_in_nan(model: VisionModel) -> None:
    art = maximise(model, ["conv1:1", "owl"], recipe="draft")
    steps = [recipe_for("draft", layer, model).steps for layer in (model.layer("conv1"), None)]
    assert steps[0] < steps[1] == art.trace.shape[1]
    assert np.isnan(art.trace[0, steps[0] :]).all()
    assert np.isfinite(art.trace[0, : steps[0]]).all()


class Block(nn.Module):
    def __init__(self, bias: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        nn.init.constant_(self.conv.bias, bias)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv(x))


def test_a_dead_unit_climbs_the_value_before_its_activation_function() -> None:
    module = nn.Sequential(seeded(Block(0.0)))
    with torch.no_grad():
        module[0].conv.bias.fill_(-1.0)
        module[0].conv.weight.mul_(0.3)
    art = maximise(wrap(module, input_size=16, mean=[0.5] * 3, std=[0.5] * 3), ["0:1", "0:2"], steps=40)
    assert art.notes[0].startswith("its gradient was zero, so excitation 0.conv:1 was climbed in its place")
    assert (art.trace[:, -1] > art.trace[:, 0]).all()
    assert "dead" not in art.status


def test_a_dead_unit_without_a_way_says_so() -> None:
    class Cut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)
            self.cut = nn.Threshold(1e6, 0.0)

        def forward(self, x: Tensor) -> Tensor:
            return self.cut(self.conv(x))

    art = maximise(wrap(seeded(Cut()), input_size=16), ["cut:1", "conv:1"], steps=20)
    assert art.status[0] == "dead"
    assert "no gradient reaches this objective" in art.notes[0]
    assert art.status[1] != "dead"
    assert np.isfinite(art.scores).all()


def test_an_infinite_score_is_an_error_that_names_the_objective(model: VisionModel) -> None:
    with torch.no_grad():
        model.module.conv2.weight[3] = float("inf")
    with pytest.raises(InputError, match=r"objective 'excitation conv2:3' is (nan|inf) at step 0"):
        maximise(model, ["conv2:1", "conv2:3"], steps=2)


@pytest.mark.parametrize(
    ("objectives", "message"),
    [
        ([], r"^\[\] names nothing to climb; give an objective or a unit, or a list of them$"),
        (["conv9:1"], "no layer 'conv9'; nearest: conv"),
        (["conv1:8"], "no unit 'conv1:8'; conv1 has units 0 to 7"),
        (["dog"], "no class 'dog'"),
        (["conv1:x"], "is no unit"),
    ],
)
def test_what_is_not_there_is_named(model: VisionModel, objectives: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        maximise(model, objectives)


def test_unknown_recipes_and_no_steps_are_refused(model: VisionModel) -> None:
    with pytest.raises(UnknownNameError, match="no recipe 'best'"):
        maximise(model, ["owl"], recipe="best")
    with pytest.raises(InputError, match="steps=0"):
        maximise(model, ["owl"], steps=0)


def test_the_spectrum_colours_the_picture(model: VisionModel) -> None:
    grey = dataclasses.replace(Spectrum.natural(3), colour=torch.tensor([[1.0, 0, 0]] * 3))
    image = maximise(model, ["conv1:1"], steps=FAST, spectrum=grey).images[0].astype(int)
    assert np.ptp(image, axis=2).max() <= 1


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("stop_at", [None, 3])
def test_no_trace_on_the_users_module(model: VisionModel, stop_at: int | None) -> None:
    module = model.module.train()
    module.bn1.eval()
    module.conv1.weight.requires_grad_(False)
    module.fc.weight.grad = torch.ones_like(module.fc.weight)
    handle = module.conv2.register_forward_hook(lambda *_: None)
    before = _state(module)

    def progress(done: int, total: int, what: str) -> None:
        if done == stop_at:
            raise StoppedError

    if stop_at is None:
        maximise(model, ["conv2:1", "owl"], steps=5, on_progress=progress)
    else:
        with pytest.raises(StoppedError):
            maximise(model, ["conv2:1", "owl"], steps=5, on_progress=progress)
    assert _state(module) == before
    handle.remove()


def _state(module: nn.Module) -> list[object]:
    return [
        [(name, value.numpy().tobytes(), value.stride()) for name, value in module.state_dict().items()],
        [(p.requires_grad, None if p.grad is None else p.grad.numpy().tobytes()) for p in module.parameters()],
        [
            (part.training, len(part._forward_hooks), len(part._backward_hooks), sorted(vars(part)))
            for part in module.modules()
        ],
        torch.random.get_rng_state().numpy().tobytes(),
        torch.is_grad_enabled(),
    ]


def test_works_where_gradients_are_off(model: VisionModel) -> None:
    wanted = maximise(model, ["conv2:1"], steps=5).images.tobytes()
    with torch.no_grad():
        assert maximise(model, ["conv2:1"], steps=5).images.tobytes() == wanted
    with torch.inference_mode():
        assert maximise(model, ["conv2:1"], steps=5).images.tobytes() == wanted


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_networks_of_other_dtypes_are_drawn(model: VisionModel, dtype: torch.dtype) -> None:
    other = dataclasses.replace(model, module=copy.deepcopy(model.module).to(dtype))
    art = maximise(other, ["conv2:1", "owl"], steps=FAST)
    assert art.scores.dtype == np.float32
    assert (art.scores > art.controls).all()
    assert next(other.module.parameters()).dtype == dtype


def test_progress_counts_up_to_its_total(model: VisionModel) -> None:
    seen: list[tuple[int, int, str]] = []
    maximise(model, ["conv2:1", "conv2:2", "owl"], steps=4, on_progress=lambda *now: seen.append(now))
    assert [done for done, _, _ in seen] == list(range(1, 9))
    assert {total for _, total, _ in seen} == {8}
    assert seen[0][2] == "excitation conv2:1"


def test_one_objective_needs_no_list_and_class_names_come_first(model: VisionModel) -> None:
    named = dataclasses.replace(model, class_names=("conv1: blue", "cat", "hut", "tree", "cup"))
    assert maximise(named, "cat", steps=FAST).objectives == ("logit cat",)
    assert maximise(named, ["conv1: blue"], steps=FAST).objectives == ("logit conv1: blue",)
    with pytest.raises(InputError, match=r"2 is nothing to climb; give an objective, a unit such as 'conv3:5'"):
        maximise(named, [2])  # type: ignore[list-item]
    with pytest.raises(InputError, match=r"a SmallNet is no VisionModel; open it with load_model, or wrap"):
        maximise(model.module, "cat")  # type: ignore[arg-type]
