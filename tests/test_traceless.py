"""Every public function that takes a network leaves it, and the process, as they came: done, failed or interrupted.

What the network's own forward changes about it (a buffer that counts forwards, a cache) is the network's affair, so the
user's network here has none of that: whatever differs afterwards is ours.
"""

from __future__ import annotations

import inspect
import io
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from cheap_options import few
from PIL import Image
from small_exhibits import small_reports
from torch import Tensor, nn

import layerscope as ls
from layerscope.attribution.methods import METHODS
from layerscope.capture.effective_field import effective_receptive_fields
from layerscope.capture.interventions import ablate, replace
from layerscope.capture.layers import list_layers
from layerscope.capture.uncalled import uncalled
from layerscope.conformance.trace import differences, state_of
from layerscope.models.model import VisionModel
from layerscope.studies import explain as _imported  # noqa: F401 (a library that it imports draws a random number then)

SIZE = 24


def images() -> Tensor:
    return torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


class Snag(nn.Module):
    """Passes its input on, until it is told to raise after so many more calls."""

    def __init__(self) -> None:
        super().__init__()
        self.plan = SimpleNamespace(error=None, calls=0)  # shared by copies of the network: they fail too

    def __deepcopy__(self, memo: object) -> Snag:
        twin = Snag()
        twin.plan = self.plan
        return twin

    def forward(self, x: Tensor) -> Tensor:
        if self.plan.error is not None:
            self.plan.calls -= 1
            if self.plan.calls < 0:
                raise self.plan.error("the snag")
        return x


class Users(nn.Module):
    """A network with a life of its own: what could be forgotten to be put back, is here."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm = nn.Conv2d(3, 8, 5, stride=2, padding=2), nn.BatchNorm2d(8)
        self.relu, self.dropout, self.snag = nn.ReLU(inplace=True), nn.Dropout(0.1), Snag()
        self.conv2, self.tied = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.tied.weight = self.conv2.weight
        self.spare, self.head = nn.Linear(3, 3), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm(self.conv1(x)))
        y = self.tied(self.snag(self.conv2(self.dropout(x))))
        y += x
        return self.head(self.relu(y).mean((2, 3)))


def _seen(*_: object) -> None:
    """A hook of the user."""


def users_model() -> VisionModel:
    torch.manual_seed(0)
    net = Users().eval().to(memory_format=torch.channels_last)
    net.dropout.train()
    net.conv1.requires_grad_(False)  # a frozen part
    net.norm.weight.requires_grad_(False)
    for weight in (net.conv2.weight, net.head.bias):
        weight.grad = torch.rand_like(weight)
    net.register_forward_hook(_seen)
    net.conv2.register_forward_hook(_seen)
    net.conv1.register_forward_pre_hook(_seen)
    net.head.register_full_backward_hook(_seen)
    net.head.weight.register_hook(_seen)
    net.remark = ["the user's"]
    net.conv2.colour = "blue"
    return ls.wrap(net, SIZE, name="users", class_names=["a", "b", "c", "d"])


@dataclass(frozen=True)
class Use:
    """One way to use a public function.

    names: the functions that it tries. calls: after how many calls of the snag it raises, one run for each; none where
    the network does not run. as_it_is: the network runs in the mode that the user left it in, so that its dropout draws.
    """

    title: str
    names: tuple[str, ...]
    run: Callable[[VisionModel, Path], object]
    calls: tuple[int, ...] = (0,)
    as_it_is: bool = False


def _capture(layers: str | list[str], **more: object) -> Callable[[VisionModel, Path], None]:
    def run(model: VisionModel, folder: Path) -> None:
        with ls.capture(model, layers, **more) as activations:
            model(images())
        assert len(activations) > 0

    return run


def _capture_into_files(model: VisionModel, folder: Path) -> None:
    _capture("*", budget=1000, spill=folder)(model, folder)
    assert not list(folder.iterdir())


def _capture_gradients(model: VisionModel, folder: Path) -> None:
    seen = images().requires_grad_()
    with ls.capture(model, ["conv2", "relu#1"], gradients=True) as activations:
        torch.autograd.grad(model(seen).sum(), seen)
    assert all(activations.gradients[name].any() for name in ("conv2", "relu#1"))


def _capture_and_differentiate(model: VisionModel, folder: Path) -> None:
    with ls.capture(model, ["conv2", ""], detach=False) as activations:
        model(images())
    (gradient,) = torch.autograd.grad(activations[""].sum(), [activations["conv2"]])
    assert gradient.any()


def _capture_twice(model: VisionModel, folder: Path) -> None:
    with ls.capture(model, "conv2") as outer, ls.capture(model.module, "relu#1"):
        model(images())
        model(images())
    assert "conv2" in outer


def _ablated(to: object, **more: object) -> Callable[[VisionModel, Path], None]:
    def run(model: VisionModel, folder: Path) -> None:
        for network in (model, model.module):
            with ablate(network, ["conv2:3", "relu#1:2@1,1"], to, **more), ls.capture(model, "conv2") as activations:
                model(images())
            assert activations["conv2"][:, 3].std() < 1e-6

    return run


def _replaced(value: object) -> Callable[[VisionModel, Path], None]:
    def run(model: VisionModel, folder: Path) -> None:
        with replace(model, {"conv2": value, "/mean": torch.zeros_like}):
            assert model(images()).std(0).max() < 1e-6

    return run


def _effective(model: VisionModel, folder: Path) -> None:
    assert effective_receptive_fields(model, ["conv1", "relu#1"], images=images(), batch_size=1)


def _explain(model: VisionModel, folder: Path) -> None:
    picture = io.BytesIO()
    Image.fromarray((images()[0].permute(1, 2, 0) * 255).byte().numpy()).save(picture, "PNG")
    ls.explain(model, picture.getvalue(), folder, methods=["deeplift", "occlusion"])


def _noise(folder: Path, count: int) -> Path:
    """Pictures of noise, of two classes."""
    for number in range(count):
        path = folder / f"class {number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = torch.rand(SIZE, SIZE, 3, generator=torch.Generator().manual_seed(number))
        Image.fromarray((noise * 255).byte().numpy()).save(path)
    return folder


def _hierarchy(model: VisionModel, folder: Path) -> None:
    probe = _noise(folder / "pictures", 20)
    with small_reports():
        assert ls.hierarchy(model, probe, out=folder / "out").layers


def _leaderboard(model: VisionModel, folder: Path) -> None:
    larger = ls.wrap(model.module, 32, name="users", class_names=model.class_names)  # as small as scenes get
    assert ls.leaderboard(larger, ["saliency"], folder, scenes=6, proved=0).made == 2


def _atlas(model: VisionModel, folder: Path) -> None:
    probe = str(_noise(folder / "pictures", 40))
    assert ls.atlas(model, "tied", folder, grid=2, probe=probe, recipe="draft", layout="pca+t-sne").cells


def _attribute(method: str) -> Callable[[VisionModel, Path], None]:
    def run(model: VisionModel, folder: Path) -> None:
        layer = {"layer": "conv2"} if "layer" in METHODS[method].needs else {}
        for checks, target in ((True, "b"), (False, "tied:2@1,1")):
            made = ls.attribute(model, images(), target, method, checks=checks, **layer, **few(method))
            assert made.values.any()

    return run


def _largest(activation: Tensor) -> Tensor:
    return activation.flatten(1).amax(1)


USES = (
    Use("a call", ("VisionModel", "wrap"), lambda model, _: model(images()), as_it_is=True),
    Use("layers", ("Layer",), lambda model, _: model.layers()),
    Use("list_layers", ("list_layers",), lambda model, _: list_layers(model, (3, SIZE, SIZE))),
    Use("uncalled", ("uncalled",), lambda model, _: uncalled(model, (3, SIZE, SIZE))),
    Use("fingerprint", ("VisionModel",), lambda model, _: model.fingerprint, calls=()),
    Use("capture one and stop", ("capture",), _capture("tied"), as_it_is=True),
    Use("capture all", ("capture",), _capture(["*", ""]), as_it_is=True),
    Use("capture functions", ("capture",), _capture(["/*", "relu#1"]), as_it_is=True),
    Use("capture reduced", ("capture",), _capture("*", reduce=_largest), as_it_is=True),
    Use("capture within a budget", ("capture",), _capture("*", budget="1 MiB"), as_it_is=True),
    Use("capture into files", ("capture",), _capture_into_files, as_it_is=True),
    Use("capture gradients", ("capture",), _capture_gradients, as_it_is=True),
    Use("capture in the graph", ("capture",), _capture_and_differentiate, as_it_is=True),
    Use("capture inside capture", ("capture",), _capture_twice, calls=(0, 1), as_it_is=True),
    Use("ablate to zero", ("ablate",), _ablated("zero"), calls=(0, 1), as_it_is=True),
    Use("ablate to the mean", ("ablate",), _ablated("mean"), calls=(0, 1), as_it_is=True),
    Use("ablate to a mean over images", ("ablate",), _ablated("mean", reference=images()), calls=(0, 2), as_it_is=True),
    Use("ablate to a tensor", ("ablate",), _ablated(torch.tensor(0.5)), calls=(0, 1), as_it_is=True),
    Use("replace by a tensor", ("replace",), _replaced(torch.ones(8, 1, 1)), as_it_is=True),
    Use("replace by a function", ("replace",), _replaced(torch.negative), as_it_is=True),
    *(Use(f"attribute by {method}", ("attribute",), _attribute(method), calls=(0, 2)) for method in METHODS),
    Use("explain", ("explain",), _explain, calls=(0, 3, 40)),
    Use("hierarchy", ("hierarchy",), _hierarchy, calls=(0, 2, 60)),
    Use("leaderboard", ("leaderboard",), _leaderboard, calls=(0, 30)),
    Use("effective_receptive_fields", ("effective_receptive_fields",), _effective, calls=(0, 1)),
    Use("maximise", ("maximise",), lambda model, _: ls.maximise(model, ["conv2:3", "b"], recipe="draft", steps=3), (0, 4)),
    Use("accentuate", ("accentuate",), lambda model, _: ls.accentuate(model, images(), ["conv2:3", "b"], layer="conv1", steps=3), (0, 4)),
    Use("caricature", ("caricature",), lambda model, _: ls.caricature(model, images(), "tied", steps=3), (0, 4)),
    Use("interpolate", ("interpolate",), lambda model, _: ls.interpolate(model, "conv2:3", "b", 3, recipe=ls.Recipe("few", "fourier", view=SIZE, steps=6)), (0, 4)),
    Use("atlas", ("atlas",), _atlas, calls=(0, 9)),
    Use("gallery", ("gallery",), lambda model, out: ls.gallery(model, "head:1", out, recipe="draft", probe=None), (0, 9)),
    Use("recipe_for", ("recipe_for",), lambda model, _: ls.recipe_for("draft", model.layer("conv2"), model)),
    Use("gallery_plan", ("gallery_plan",), lambda model, out: ls.gallery_plan(model, ["conv2:1", "head"], out, recipe="draft", probe=None, workers=2), (0, 4)),
)  # fmt: skip

# Take no network: they describe, open or write.
WITHOUT_A_NETWORK = {
    "Attribution", "InputError", "LayerscopeError", "METHODS", "Recipe", "Spectrum", "Unit", "animate", "channel", "direction", "diversity", "excitation", "figures", "inhibition", "layer_energy",
    "load_model", "logit", "margin", "neuron", "spritemap", "world", "write_site",
}  # fmt: skip


def _dice_of(use: Use) -> AbstractContextManager[object]:
    """Where the user's dropout draws, as it would in a plain forward, the random state is not the function's affair."""
    return torch.random.fork_rng(devices=[]) if use.as_it_is else nullcontext()


def _title(value: object) -> str:
    return value.title if isinstance(value, Use) else str(value)


@pytest.fixture
def model() -> VisionModel:
    return users_model()


@pytest.mark.parametrize("use", USES, ids=lambda use: use.title)
def test_what_works_leaves_the_network_as_it_came(model: VisionModel, use: Use, tmp_path: Path) -> None:
    before = state_of(model.module)
    with _dice_of(use):
        use.run(model, tmp_path)
    assert differences(before, state_of(model.module)) == ()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize(("use", "calls"), [(use, calls) for use in USES for calls in use.calls], ids=_title)
def test_what_fails_leaves_the_network_as_it_came(
    model: VisionModel, use: Use, calls: int, error: type[BaseException], tmp_path: Path
) -> None:
    plan = model.module.snag.plan
    before = state_of(model.module)
    plan.error, plan.calls = error, calls
    told = error if error is KeyboardInterrupt else (error, ls.InputError)
    with _dice_of(use), pytest.raises(told, match=r"the snag"):
        use.run(model, tmp_path)
    assert plan.calls < 0
    plan.error, plan.calls = None, 0
    assert differences(before, state_of(model.module)) == ()


def test_every_public_function_that_takes_a_network_is_in_the_table() -> None:
    tried = {name for use in USES for name in use.names}
    assert set(ls.__all__) - WITHOUT_A_NETWORK <= tried
    for name in WITHOUT_A_NETWORK:
        public = getattr(ls, name)
        if callable(public) and not isinstance(public, type):
            assert "model" not in inspect.signature(public).parameters, name
