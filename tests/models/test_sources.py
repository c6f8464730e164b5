from __future__ import annotations

import importlib
import importlib.metadata
import logging
import re
import sys
import urllib.error
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from layerscope.errors import CheckpointError, InputError, MissingPackageError, UnknownNameError
from layerscope.models import sources
from layerscope.models.sources import load_model


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No network, an empty cache, and a working folder in which nothing may appear."""
    working = tmp_path / "working"
    working.mkdir()
    monkeypatch.chdir(working)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))

    def no_network(*args: object, **kwargs: object) -> None:
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr("torch.hub.urlopen", no_network)
    yield working
    assert list(working.iterdir()) == []


def squeezenet(classes: int = 1000) -> nn.Module:
    from torchvision import models

    with torch.random.fork_rng():
        torch.manual_seed(5)
        return models.squeezenet1_1(weights=None, num_classes=classes)


def saved(content: object, path: Path) -> str:
    torch.save(content, path)
    return str(path)


def test_random_weights_are_reproducible_and_leave_the_random_state_alone() -> None:
    before = torch.get_rng_state()
    one, same = (load_model("torchvision:squeezenet1_1", weights="none") for _ in range(2))
    other = load_model("torchvision:squeezenet1_1", weights="none", seed=1)
    assert torch.equal(before, torch.get_rng_state())
    assert one.fingerprint == same.fingerprint != other.fingerprint
    assert (one.name, one.input_size, one.class_names, one.module.training) == ("squeezenet1_1", 224, None, False)
    assert one(torch.zeros(1, 3, 64, 64)).shape == (1, 1000)
    assert one.card["weights"] == "none"


def test_the_size_and_normalisation_are_those_of_the_published_weights() -> None:
    model = load_model("torchvision:inception_v3", weights="none")
    assert (model.input_size, model.mean, model.std) == (299, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_published_weights_without_a_network(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = r"the weights of 'torchvision:squeezenet1_1' are not in the cache folder '.*checkpoints'.*no route to host"
    with pytest.raises(InputError, match=words + r".*weights=PATH .*weights=\"none\""):
        load_model("torchvision:squeezenet1_1")
    assert capfd.readouterr() == ("", "")
    assert list((tmp_path / "cache" / "hub" / "checkpoints").iterdir()) == []


def test_published_weights_from_the_cache(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from torchvision import models

    module = squeezenet()
    folder = tmp_path / "cache" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(module.state_dict(), folder / Path(models.SqueezeNet1_1_Weights.DEFAULT.url).name)
    model = load_model("torchvision:squeezenet1_1")
    assert torch.equal(model.module.state_dict()["features.0.weight"], module.state_dict()["features.0.weight"])
    assert model.class_names is not None
    assert model.class_names[:2] == ("tench", "goldfish")
    assert (model.card["source"], model.card["weights"]) == ("torchvision", "published")
    assert capfd.readouterr() == ("", "")


def test_the_number_of_classes_is_that_of_the_file(tmp_path: Path) -> None:
    state = squeezenet(7).state_dict()
    path = saved({"state_dict": {f"module.{name}": value for name, value in state.items()}}, tmp_path / "weights.pth")
    model = load_model("torchvision:squeezenet1_1", weights=path)
    assert all(torch.equal(value, state[name]) for name, value in model.module.state_dict().items())
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 7)
    assert (model.class_names, model.card["weights"]) == (None, path)
    assert "averaged" not in model.card


def test_the_card_says_that_weights_are_averaged(tmp_path: Path) -> None:
    state = squeezenet(7).state_dict()
    average = {name: value + 1 for name, value in state.items()}
    path = saved({"state_dict": state, "state_dict_ema": average}, tmp_path / "weights.pth")
    model = load_model("torchvision:squeezenet1_1", weights=path)
    assert model.card["averaged"] == "moving average: 'state_dict_ema' of the file"
    assert torch.equal(model.module.state_dict()["classifier.1.bias"], average["classifier.1.bias"])


def test_a_file_of_other_channels_where_the_architecture_has_no_such_argument(tmp_path: Path) -> None:
    state = squeezenet(7).state_dict()
    state["features.0.weight"] = state["features.0.weight"][:, :1]
    with pytest.raises(CheckpointError, match=r"1 of another shape: features.0.weight 64x1x3x3 instead of 64x3x3x3$"):
        load_model("torchvision:squeezenet1_1", weights=saved(state, tmp_path / "grey.pth"))


# one of each family whose loading goes its own way, and the small ones
FAMILIES = ("alexnet", "mnasnet0_5", "regnet_x_400mf", "shufflenet_v2_x0_5", "mobilenet_v3_small", "efficientnet_b0")


def seven_classes(name: str, path: Path) -> str:
    from torchvision import models

    settings = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    size = {"image_size": 64} if name.startswith("vit_") else {}
    return saved(models.get_model(name, weights=None, num_classes=7, **settings, **size).state_dict(), path)


def opened(spec: str, path: str) -> tuple[tuple[int, ...], tuple[str, ...] | None, int]:
    """The shape of an output, the class names and the channels of a network with the weights of a file."""
    model = load_model(spec, weights=path)
    with torch.no_grad():
        output = model(torch.zeros(1, model.channels, model.input_size, model.input_size))
    return tuple(output.shape), model.class_names, model.channels


@pytest.mark.parametrize("name", FAMILIES)
def test_seven_classes_in_torchvision(name: str, tmp_path: Path) -> None:
    assert opened(f"torchvision:{name}", seven_classes(name, tmp_path / "seven.pth")) == ((1, 7), None, 3)


@pytest.mark.slow
def test_seven_classes_in_all_families_of_torchvision(tmp_path: Path) -> None:
    from torchvision import models

    families = {re.sub(r"[\d_].*", "", name): name for name in reversed(models.list_models(module=models))}
    assert len(families) > 15
    for name in [*families.values(), "swin_v2_t", "densenet161", "vit_b_32", "wide_resnet50_2", "vgg11_bn"]:
        assert opened(f"torchvision:{name}", seven_classes(name, tmp_path / "seven.pth")) == ((1, 7), None, 3), name


def test_the_size_of_a_vit_is_that_of_its_positions(tmp_path: Path) -> None:
    model = load_model("torchvision:vit_b_32", weights=seven_classes("vit_b_32", tmp_path / "seven.pth"))
    assert (model.input_size, model.module.image_size) == (64, 64)
    words = "ViT_B_32_Weights.IMAGENET1K_V1 (but for 64 px, the size of the positions in the file)"
    assert model.card["input_from"] == words
    with torch.device("meta"):
        assert sources.build_torchvision("vit_h_14").image_size == 518  # published for images of 518 px alone


@pytest.mark.parametrize(("name", "channels"), [("test_resnet", 1), ("test_resnet", 4), ("test_vit", 1)])
def test_channels_and_classes_in_timm(name: str, channels: int, tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    state = timm.create_model(name, num_classes=7, in_chans=channels).state_dict()
    path = saved({"state_dict": state}, tmp_path / "seven.pth")
    assert opened(f"timm:{name}", path) == ((1, 7), None, channels)
    model = load_model(f"timm:{name}", weights=path)
    assert model.mean == model.std == (0.5,) * channels
    origin = f"pretrained_cfg of timm:{name} (mean and std 0.5: none are published for {channels} channels)"
    assert model.card["input_from"] == origin


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["resnet18", "convnext_atto", "vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224", "efficientnet_b0",
     "mobilenetv3_small_050", "regnetx_002", "tresnet_m", "mixer_s32_224", "repvgg_a0", "ghostnet_050", "tiny_vit_5m_224",
     "levit_128s", "edgenext_xx_small", "dla34", "crossvit_9_240", "poolformer_s12", "pit_ti_224", "cait_xxs24_224"],
)  # fmt: skip
def test_seven_classes_in_families_of_timm(name: str, tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    for channels in (1, 3):
        path = saved(timm.create_model(name, num_classes=7, in_chans=channels).state_dict(), tmp_path / "seven.pth")
        assert opened(f"timm:{name}", path) == ((1, 7), None, channels)


def test_timm_networks_for_images_that_are_not_square() -> None:
    pytest.importorskip("timm")
    words = r"'timm:vit_base_patch16_sapiens2' is made for images of 1024 x 768 px, and Layerscope takes square ones"
    with pytest.raises(InputError, match=words + r".*wrap\(module, input_size=SIDE\)"):
        load_model("timm:vit_base_patch16_sapiens2", weights="none")


@pytest.mark.parametrize(
    ("spec", "origin"),
    [
        ("torchvision:squeezenet1_1", "SqueezeNet1_1_Weights.IMAGENET1K_V1"),
        ("timm:test_resnet.r160_in1k", "pretrained_cfg of timm:test_resnet.r160_in1k"),
    ],
)
def test_the_card_says_where_size_and_normalisation_come_from(spec: str, origin: str) -> None:
    if spec.startswith("timm"):
        pytest.importorskip("timm")
    assert load_model(spec, weights="none").card["input_from"] == origin


def test_a_safetensors_file_with_as_many_classes_as_published(tmp_path: Path) -> None:
    state = squeezenet().state_dict()
    save_file(state, tmp_path / "weights.safetensors")
    model = load_model("torchvision:squeezenet1_1", weights=str(tmp_path / "weights.safetensors"))
    assert torch.equal(model.module.state_dict()["classifier.1.bias"], state["classifier.1.bias"])
    assert model.class_names is not None
    assert len(model.class_names) == 1000


def test_the_old_names_in_the_files_of_densenet(tmp_path: Path) -> None:
    from torchvision import models

    state = models.densenet121(weights=None, num_classes=3).state_dict()
    old = {name.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): value for name, value in state.items()}
    assert old.keys() != state.keys()
    model = load_model("torchvision:densenet121", weights=saved(old, tmp_path / "old.pth"))
    assert all(torch.equal(value, state[name]) for name, value in model.module.state_dict().items())


def test_googlenet_with_and_without_its_training_heads(tmp_path: Path) -> None:
    from torchvision import models

    for heads in (True, False):
        module = models.googlenet(weights=None, num_classes=4, aux_logits=heads, init_weights=False)
        model = load_model("torchvision:googlenet", weights=saved(module.state_dict(), tmp_path / "weights.pth"))
        assert model.module.transform_input
        assert model.card["input_from"] == "GoogLeNet_Weights.IMAGENET1K_V1 with transform_input=True"
        assert (model.module.aux1 is not None) == heads


def test_weights_of_another_network(tmp_path: Path) -> None:
    state = squeezenet(7).state_dict()
    for name in list(state)[:7]:
        state[f"new.{name}"] = state.pop(name)
    state["classifier.1.weight"] = state["classifier.1.weight"][:, :5]
    words = (
        r"weights.pth' does not fit SqueezeNet; 7 missing: features.0.weight(, [\w.]+){4}, …; "
        r"7 unexpected: new.features.0.weight(, [\w.]+){4}, …; "
        r"1 of another shape: classifier.1.weight 7x5x1x1 instead of 7x512x1x1$"
    )
    with pytest.raises(CheckpointError, match=words):
        load_model("torchvision:squeezenet1_1", weights=saved(state, tmp_path / "weights.pth"))


def test_files_that_are_no_weights(tmp_path: Path) -> None:
    (tmp_path / "text.pth").write_text("hello")
    (tmp_path / "text.safetensors").write_text("hello")
    whole = torch.load(saved(squeezenet(7).state_dict(), tmp_path / "whole.pth"), weights_only=True)
    (tmp_path / "cut.pth").write_bytes((tmp_path / "whole.pth").read_bytes()[:-1000])
    assert whole
    for path, words in {
        saved(
            squeezenet(7), tmp_path / "network.pth"
        ): r"a pickled torchvision.models.squeezenet.SqueezeNet\).*torch.save\(model.state_dict\(\), PATH\)",
        saved([1, 2], tmp_path / "list.pth"): "holds a list, no state dict",
        saved({"epoch": 1}, tmp_path / "epoch.pth"): "holds no tensors by name, but: epoch",
        str(tmp_path / "none.pth"): "no weights file",
        str(tmp_path / "text.pth"): "text.pth",
        str(tmp_path / "cut.pth"): "cut.pth",
        str(tmp_path / "text.safetensors"): "cannot be read as safetensors",
    }.items():
        with pytest.raises(CheckpointError, match=words) as caught:
            load_model("torchvision:squeezenet1_1", weights=path)
        assert "\n" not in str(caught.value)


def test_a_pickled_network_is_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "evil",)

    with pytest.raises(CheckpointError, match=r"could run code"):
        load_model("torchvision:squeezenet1_1", weights=saved({"a": Evil()}, tmp_path / "evil.pth"))
    assert not (tmp_path / "evil").exists()


def test_names_that_do_not_exist() -> None:
    with pytest.raises(UnknownNameError, match=r"no torchvision network 'resnet19'; nearest: resnet1?[0-9]"):
        load_model("torchvision:resnet19")
    with pytest.raises(UnknownNameError, match=r"no torchvision network 'fasterrcnn_resnet50_fpn'"):
        load_model("torchvision:fasterrcnn_resnet50_fpn")
    for spec in ("resnet18", "keras:resnet50", "", "menagery"):
        with pytest.raises(UnknownNameError, match=r"write one of: menagerie, .*path/to/file.py:function"):
            load_model(spec)
    with pytest.raises(UnknownNameError, match=r"no bundled network 'menagerie:rubust'; nearest: menagerie:robust"):
        load_model("menagerie:rubust")
    with pytest.raises(InputError, match=r"'menagerie' brings its own weights"):
        load_model("menagerie", weights="none")


FILE = """
from __future__ import annotations
from dataclasses import dataclass
import torch
from torch import nn
from beside import WIDTH
import layerscope.models.model as models

@dataclass
class Settings:
    width: int = WIDTH

def network():
    return nn.Sequential(nn.Conv2d(1, Settings().width, 3), nn.Dropout())

def wrapped():
    return models.wrap(network(), input_size=32, name="mine")

def number():
    return 7
"""


def test_a_function_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(FILE)
    (tmp_path / "beside.py").write_text("WIDTH = 5")
    file, path = f"{tmp_path / 'nets.py'}", list(sys.path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", True)
        model, wrapped = load_model(f"{file}:network"), load_model(f"{file}:wrapped")
        assert (model.name, model.channels, model.module.training) == ("network", 1, False)
        assert (wrapped.name, wrapped.input_size) == ("mine", 32)
        assert (model.card["weights"], model.card["input_from"]) == ("of the file", "the defaults of wrap")
        assert wrapped.card["input_from"] == "the file"
        assert model.fingerprint == wrapped.fingerprint
        assert load_model(f"{file}:network", seed=3).fingerprint != model.fingerprint
        weights = saved({"0.weight": torch.ones(5, 1, 3, 3), "0.bias": torch.zeros(5)}, tmp_path / "w.pth")
        assert load_model(f"{file}:network", weights=weights).module[0].weight.sum() == 45
        with pytest.raises(UnknownNameError, match=r"no function in '.*nets.py' 'netwerk'; nearest: network"):
            load_model(f"{file}:netwerk")
        with pytest.raises(InputError, match=r"nets.py:number' returned a int; it has to return a torch.nn.Module"):
            load_model(f"{file}:number")
        with pytest.raises(InputError, match=r"no file 'nothing.py'"):
            load_model("nothing.py:network")
    assert sys.path == path
    assert not any(name.startswith("layerscope_file") for name in sys.modules)
    sys.modules.pop("beside", None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def network(:", r"SyntaxError: invalid syntax \(nets.py, line 1\)"),
        ("import no_such_package", r"ModuleNotFoundError: No module named 'no_such_package'"),
        ("def network():\n    raise RuntimeError('one\\ntwo')", r"RuntimeError: one two"),
        ("raise SystemExit", r"SystemExit"),
        ("def network():\n    exit(3)", r"SystemExit: 3"),
        ("def network():\n    assert False", r"AssertionError"),
    ],
)
def test_a_file_that_fails_is_named(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(text)
    path = list(sys.path)
    with pytest.raises(InputError, match=rf"^'.*nets.py:network' failed: {words}; mend the file$") as caught:
        load_model(f"{tmp_path / 'nets.py'}:network")
    assert caught.value.__cause__ is not None
    assert sys.path == path


def test_what_passes_through_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(
        "import layerscope.models.model as models\n"
        "def wrong():\n    return models.wrap(7)\n"
        "def stopped():\n    raise KeyboardInterrupt\n"
    )
    with pytest.raises(InputError, match=r"^int is no torch.nn.Module"):
        load_model(f"{tmp_path / 'nets.py'}:wrong")
    with pytest.raises(KeyboardInterrupt):
        load_model(f"{tmp_path / 'nets.py'}:stopped")


def broken(error: Exception) -> object:
    def fail(name: str) -> ModuleType:
        raise error

    return fail


def test_torchvision_that_does_not_belong_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"torch": "2.15.0", "torchvision": "0.19.1"}
    monkeypatch.setattr(importlib.metadata, "version", versions.__getitem__)
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: ["numpy", "torch (==2.4.1)", "pillow>=5"])
    error = RuntimeError("operator torchvision::nms does not exist")
    monkeypatch.setattr(sources.importlib, "import_module", broken(error))
    words = r"torchvision 0.19.1 is installed and belongs to torch\(==2.4.1\), but torch is 2.15.0 \(operator .*nms"
    with pytest.raises(MissingPackageError, match=words + r".*pip install --upgrade torch torchvision"):
        load_model("torchvision:resnet18")
    monkeypatch.setattr(sources.importlib, "import_module", broken(ModuleNotFoundError(name="torchvision")))
    with pytest.raises(MissingPackageError, match=r"torchvision is not installed; run: pip install"):
        load_model("torchvision:resnet18")


def test_timm_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources.importlib, "import_module", broken(ModuleNotFoundError(name="timm")))
    with pytest.raises(MissingPackageError, match=r"run: pip install 'layerscope\[timm\]'"):
        load_model("timm:resnet18")


class FakeTimm(ModuleType):
    """The few names of timm that are used, with one network."""

    data = SimpleNamespace(
        resolve_model_data_config=lambda module: {"input_size": (3, 48, 48), "mean": (0.5,) * 3, "std": (0.2,) * 3},
        ImageNetInfo=lambda: SimpleNamespace(label_descriptions=lambda: [f"class {i}" for i in range(1000)]),
    )
    list_models = staticmethod(lambda: ["tiny"])
    list_pretrained = staticmethod(lambda: ["tiny.a1_in1k"])
    fetch_error: Exception = OSError("offline")

    get_pretrained_cfg = staticmethod(lambda name: None)

    def create_model(self, name: str, pretrained: bool = False, num_classes: int = 1000) -> nn.Module:
        if pretrained:
            raise self.fetch_error
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, num_classes))


def test_a_file_without_a_function_and_weights_without_a_name() -> None:
    with pytest.raises(InputError, match=r"'nets.py' names no function; write nets.py:FUNCTION, which returns the"):
        load_model("nets.py")
    for weights in ("", " "):
        with pytest.raises(InputError, match=r"weights is empty; leave it out, or give 'none' or the path"):
            load_model("torchvision:resnet18", weights=weights)


def test_the_function_of_a_file_decides_on_its_weights(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("from torch import nn\ndef net():\n    return nn.Sequential(nn.Conv2d(3, 4, 3))\n")
    spec = f"{tmp_path / 'net.py'}:net"
    assert load_model(spec, weights="none").card["weights"] == "of the file"
    path = saved(nn.Sequential(nn.Conv2d(3, 4, 3)).state_dict(), tmp_path / "weights.pth")
    assert load_model(spec, weights=path).card["weights"] == path


def test_attempts_to_fetch_are_silent_and_the_log_is_put_back(caplog: pytest.LogCaptureFixture) -> None:
    logger, below = logging.getLogger("some_hub"), logging.getLogger("some_hub.http")
    logger.setLevel(logging.INFO)
    with sources._silent("some_hub"):
        below.warning("retrying")
    below.warning("said")
    assert (logger.level, caplog.messages) == (logging.INFO, ["said"])
    with pytest.raises(OSError, match="offline"), sources._silent("some_hub"):
        raise OSError("offline")
    assert logger.level == logging.INFO


def test_timm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = FakeTimm("timm")
    monkeypatch.setitem(sys.modules, "timm", fake)
    model = load_model("timm:tiny", weights="none")
    assert (model.input_size, model.std, model.class_names) == (48, (0.2, 0.2, 0.2), None)
    path = saved(model.module.state_dict(), tmp_path / "weights.pth")
    loaded = load_model("timm:tiny", weights=path, seed=9)
    assert loaded.class_names is not None
    assert (loaded.class_names[1], loaded.fingerprint) == ("class 1", model.fingerprint)
    with pytest.raises(UnknownNameError, match=r"no timm network 'tony'; nearest: tiny"):
        load_model("timm:tony")
    with pytest.raises(InputError, match=r"the weights of 'timm:tiny' are not in the Hugging Face cache .*\(offline\)"):
        load_model("timm:tiny")
    fake.fetch_error = TypeError("a defect")
    with pytest.raises(TypeError, match=r"a defect"):
        load_model("timm:tiny")
