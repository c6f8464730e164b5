from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from layerscope.capture.hooks import capture
from layerscope.errors import CaptureError, InputError, UnknownNameError
from layerscope.models.model import IMAGENET_MEAN, IMAGENET_STD, VisionModel, wrap


def small(channels: int = 3) -> nn.Module:
    return nn.Sequential(nn.Conv2d(channels, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(4 * 36, 3))


@pytest.fixture
def model() -> VisionModel:
    return wrap(small(), input_size=8, mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 1.0), class_names=["Owl", "cat", "owl"])


def test_a_call_normalises_and_runs_the_module(model: VisionModel) -> None:
    images = torch.rand(2, 3, 8, 8)
    expected = torch.stack([(images[:, i] - model.mean[i]) / model.std[i] for i in range(3)], 1)
    torch.testing.assert_close(model.normalise(images), expected)
    torch.testing.assert_close(model(images), model.module(expected))
    with capture(model, "0") as activations:
        assert model(images) is None
    torch.testing.assert_close(activations["0"], model.module[0](expected).detach())


def test_what_wrap_takes_for_granted() -> None:
    three, one = wrap(small()), wrap(small(1))
    assert (three.channels, three.mean, three.std, three.input_size) == (3, IMAGENET_MEAN, IMAGENET_STD, 224)
    assert (one.channels, one.mean, one.std, one.name) == (1, (0.5,), (0.5,), "Sequential")
    assert wrap(nn.Flatten(), mean=(0.0, 0.0)).channels == 2
    assert wrap(nn.Flatten()).channels == 3
    assert wrap(small().train()).module.training


def test_wrappers_are_taken_off() -> None:
    module = small()
    assert wrap(torch.compile(module, backend="eager")).module is module
    assert wrap(nn.DataParallel(module)).module is module


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (torch.zeros(1, 1, 8, 8), r"images of shape \(1, 1, 8, 8\); .* takes a tensor \[batch, 3, height, width\]"),
        (torch.zeros(3, 8, 8), r"shape \(3, 8, 8\); .*\[batch, 3, height, width\] in \[0, 1\]"),
        ([[1.0]], "images of a list; "),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), r"torch.uint8 and .*pass images.to\(torch.float32\) / 255"),
        (torch.zeros(1, 3, 8, 8).double(), r"torch.float64 and .* computes in torch.float32; pass images.to\("),
        (torch.zeros(1, 3, 8, 8).half(), r"torch.float16 and 'Sequential' computes in torch.float32"),
    ],
)
def test_images_that_do_not_fit(model: VisionModel, images: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        model(images)  # type: ignore[arg-type]


def test_images_in_the_precision_of_the_network_fit() -> None:
    assert wrap(small().double())(torch.rand(1, 3, 8, 8).double()).dtype == torch.float64


def test_settings_that_do_not_fit() -> None:
    with pytest.raises(InputError, match=r"2 means and 3 standard deviations for 2 channels"):
        wrap(small(), mean=(0.5, 0.5), std=(1, 1, 1))
    with pytest.raises(InputError, match=r"have to be positive"):
        wrap(small(), input_size=0)
    for sides in ((96, 64), 64.0, "64"):
        with pytest.raises(InputError, match="images are square: give their side in pixels, one whole number"):
            wrap(small(), input_size=sides)
    with pytest.raises(InputError, match=r"SimpleNamespace is no torch.nn.Module"):
        wrap(SimpleNamespace())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "mean",
    [
        [0.25, 0.5, 0.75],
        np.array([0.25, 0.5, 0.75], np.float32),
        torch.tensor([0.25, 0.5, 0.75]).view(3, 1, 1),
        nn.Parameter(torch.tensor([0.25, 0.5, 0.75])),
    ],
)
def test_normalisation_as_a_list_an_array_or_a_tensor(mean: object) -> None:
    model = wrap(small(), mean=mean, std=0.5)  # type: ignore[arg-type]
    assert (model.mean, model.std) == ((0.25, 0.5, 0.75), (0.5, 0.5, 0.5))
    assert all(type(value) is float for value in model.mean + model.std)
    assert wrap(nn.Flatten(), mean=mean).channels == 3  # type: ignore[arg-type]


def test_one_number_counts_for_all_channels() -> None:
    assert wrap(small(4), mean=0, std=np.float32(0.25)).std == (0.25,) * 4
    assert wrap(nn.Flatten(), mean=torch.tensor(0.5)).mean == (0.5,) * 3


@pytest.mark.parametrize(
    ("mean", "words"),
    [
        ((), r"0 means and 3 standard deviations for 3 channels"),
        ("grey", r"mean='grey' holds no numbers; give one number, or one per channel"),
    ],
)
def test_a_normalisation_that_is_none(mean: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        wrap(small(), mean=mean)  # type: ignore[arg-type]


def test_a_given_mean_decides_on_the_channels() -> None:
    stem = nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(12, 4, 3))
    model = wrap(stem, input_size=16, mean=[0.1, 0.2, 0.3])
    assert (model.channels, model.std) == (3, (0.229, 0.224, 0.225))
    assert model.layers()[1].shape == (4, 6, 6)
    assert wrap(stem, std=[0.1, 0.2, 0.3]).mean == (0.485, 0.456, 0.406)
    for wrong in (wrap(stem), wrap(small(), mean=(0.5,))):
        with pytest.raises(InputError, match=r"; is it made for another input_size= or number of channels\?"):
            wrong.layers()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_scripted_network_is_refused() -> None:
    with pytest.raises(CaptureError, match=r"scripted"):
        wrap(torch.jit.script(nn.Sequential(nn.ReLU())))


def test_layers_by_name(model: VisionModel) -> None:
    assert [layer.name for layer in model.layers()] == ["0", "1", "2", "3"]
    assert model.layers() is model.layers()
    assert model.layer("0").receptive_field == 3
    assert model.layer("0#0") is model.layer("0")
    with pytest.raises(UnknownNameError, match=r"no layer '4'; there are: 0, 1, 2, 3"):
        model.layer("4")
    relu = nn.ReLU()
    twice = wrap(nn.Sequential(nn.Conv2d(3, 4, 3), relu, nn.Conv2d(4, 4, 3), relu), input_size=8)
    assert twice.layer("1").name == "1#0"
    assert twice.layer("1#1").receptive_field == 5


class Failing(nn.Module):
    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        raise self.error


def test_a_network_that_fails_while_its_layers_are_listed() -> None:
    words = r"'Sequential' cannot run on an image of shape \(3, 9, 9\) \(RuntimeError: .*mat1 and mat2 [^)]*\)\); is it made for another input_size="
    with pytest.raises(InputError, match=words) as caught:
        wrap(small(), input_size=9).layers()
    assert isinstance(caught.value.__cause__, RuntimeError)
    for error, words in (
        (IndexError("first\nsecond"), r"\(IndexError: first\); "),
        (AssertionError(), r"\(AssertionError\); "),
        (CaptureError("what it was"), "^what it was$"),
    ):
        with pytest.raises(InputError, match=words):
            wrap(Failing(error)).layers()
    with pytest.raises(KeyboardInterrupt):
        wrap(Failing(KeyboardInterrupt())).layers()


def test_classes_that_are_called_by_numbers() -> None:
    digits = wrap(small(), class_names=["2", "10", "1"])
    assert [digits.class_index(given) for given in ("2", "10", "1", "0", 0, 1, 2)] == [0, 1, 2, 0, 0, 1, 2]
    with pytest.raises(UnknownNameError, match=r"no class '7' in 'Sequential'; classes count from 0 to 2"):
        digits.class_index("7")


def test_classes(model: VisionModel) -> None:
    assert [model.class_index(given) for given in (1, "1", "cat", "CAT", " owl", "Owl")] == [1, 1, 1, 1, 2, 0]
    with pytest.raises(InputError, match=r"class 'OWL' is ambiguous; give its number, one of 0, 2"):
        model.class_index("OWL")
    with pytest.raises(UnknownNameError, match=r"no class 'cut'; nearest: cat"):
        model.class_index("cut")
    for wrong in (3, "-1"):
        with pytest.raises(UnknownNameError, match=r"classes count from 0 to 2"):
            model.class_index(wrong)
    nameless = wrap(small())
    assert nameless.class_index("7") == 7
    with pytest.raises(InputError, match=r"has no class names; give the number"):
        nameless.class_index("cat")


def test_the_fingerprint_changes_with_all_that_computes_and_with_nothing_else() -> None:
    torch.manual_seed(0)
    module = small()
    first = wrap(module)
    before = first.fingerprint
    assert len(before) == 64
    assert wrap(module, name="other", class_names=["a"]).fingerprint == before
    same = small()
    same.load_state_dict(module.state_dict())
    assert wrap(same).fingerprint == before
    assert wrap(torch.compile(module, backend="eager")).fingerprint == before
    assert wrap(module, std=(1, 1, 1)).fingerprint != before
    assert wrap(nn.Sequential(*module[:3], nn.Identity(), module[3])).fingerprint != before
    assert wrap(small().bfloat16()).fingerprint != before
    with torch.no_grad():
        module[0].weight[0, 0, 0, 0] += 1
    assert first.fingerprint != before
    with torch.no_grad():
        module[0].weight.copy_(same[0].weight)
    assert first.fingerprint == before


def test_the_fingerprint_does_not_depend_on_addresses() -> None:
    class Act(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.function = lambda x: x

        def extra_repr(self) -> str:
            return repr(self.function)

    assert wrap(Act()).fingerprint == wrap(Act()).fingerprint
