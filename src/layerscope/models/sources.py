"""Where networks come from: the bundled ones, torchvision, timm, and Python files."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.metadata
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlparse

import torch
from torch import Tensor, nn

from layerscope.errors import InputError, LayerscopeError, MissingPackageError, UnknownNameError
from layerscope.models.checkpoints import fit, read_weights
from layerscope.models.model import VisionModel, wrap

FORMS = ("menagerie", "menagerie:robust", "torchvision:NAME", "timm:NAME", "path/to/file.py:function")

_IMAGENET_CLASSES = 1000
# Arguments that only these take. Their published weights want the ImageNet normalisation turned into another one.
_INCEPTIONS = ("googlenet", "inception_v3")


def load_model(spec: str, weights: str | None = None, *, seed: int = 0) -> VisionModel:
    """Open a network by name, in eval mode on the CPU.

    Args:
        spec: "menagerie" or "menagerie:robust" (bundled), "torchvision:resnet50", "timm:resnet50.a1_in1k" or
            "path/to/file.py:function", where the function takes nothing and returns an nn.Module, or a VisionModel
            made with `wrap`. The file is run; an error in it becomes an InputError with that error as its cause.
        weights: None for the published weights (downloaded once into the folder of torch.hub, for timm into that of
            Hugging Face), "none" for random ones, or the path of a .pth or .safetensors file. Its number of classes
            may differ from that of the network's head; with as many classes as published, the published names count.
        seed: of the random weights. The random state of the process is left alone.

    Raises UnknownNameError, InputError (weights that are not there and cannot be fetched), CheckpointError for a
    file that does not fit, MissingPackageError.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # that of the CPU alone; torch.manual_seed reaches GPUs too
        return replace(_opened(spec, weights), spec=spec, weights=weights)


def _opened(spec: str, weights: str | None) -> VisionModel:
    source, _, name = spec.partition(":")
    if source == "menagerie":
        return _bundled(spec, weights)
    if source == "torchvision":
        return _torchvision(name, weights)
    if source == "timm":
        return _timm(name, weights)
    if ".py:" in spec:
        return _from_file(spec, weights)
    raise UnknownNameError.among("network", spec, FORMS, advice=f"write one of: {', '.join(FORMS)}")


def _bundled(name: str, weights: str | None) -> VisionModel:
    from layerscope.models import zoo

    if name not in zoo.NAMES:
        raise UnknownNameError.among("bundled network", name, zoo.NAMES)
    if weights is not None:
        raise InputError(f"{name!r} brings its own weights; leave out weights={weights!r}")
    return zoo.load(name)


def _torchvision(name: str, weights: str | None) -> VisionModel:
    models = import_torchvision()
    known = models.list_models(module=models)
    if name not in known:
        raise UnknownNameError.among("torchvision network", name, known)
    published = models.get_model_weights(name).DEFAULT
    if weights is None:
        _fetch(published.url, f"torchvision:{name}")
        module = models.get_model(name, weights=published, progress=False)
    else:
        module = _built(functools.partial(build_torchvision, name), weights)
    transforms, names = published.transforms(), tuple(published.meta["categories"])
    known_names = weights is None or (weights != "none" and _classes(module) == len(names))
    model = wrap(module.eval(), transforms.crop_size[0], transforms.mean, transforms.std, name=name)
    card = _card("torchvision", weights, published.meta | {"published": str(published)} if weights is None else {})
    return replace(model, class_names=names if known_names else None, card=card)


def build_torchvision(
    name: str, classes: int = _IMAGENET_CLASSES, state: Mapping[str, Tensor] | None = None
) -> nn.Module:
    """A classifier of torchvision with random weights (from torch's random state), made ready for those of `state`."""
    more: dict[str, Any] = {"num_classes": classes}
    if name in _INCEPTIONS and state is None:
        more |= {"init_weights": True}
    elif name in _INCEPTIONS:
        auxiliary = any(key.lower().startswith("aux") for key in state or ())
        more |= {"init_weights": False, "transform_input": True, "aux_logits": auxiliary}
    module: nn.Module = import_torchvision().get_model(name, weights=None, **more)
    return module


def _timm(name: str, weights: str | None) -> VisionModel:
    timm = _import_timm()
    known = [*timm.list_models(), *timm.list_pretrained()]
    if name not in known:
        raise UnknownNameError.among("timm network", name, known)

    def build(classes: int = _IMAGENET_CLASSES, state: Mapping[str, Tensor] | None = None) -> nn.Module:
        module: nn.Module = timm.create_model(name, pretrained=False, num_classes=classes)
        return module

    module = _fetched_by_timm(timm, name) if weights is None else _built(build, weights)
    config = timm.data.resolve_model_data_config(module)
    model = wrap(module.eval(), config["input_size"][-1], config["mean"], config["std"], name=name)
    names = None
    if weights != "none" and _classes(module) == _IMAGENET_CLASSES:
        names = tuple(timm.data.ImageNetInfo().label_descriptions())
    return replace(model, class_names=names, card=_card("timm", weights, {}))


def _fetched_by_timm(timm: Any, name: str) -> nn.Module:
    try:
        module: nn.Module = timm.create_model(name, pretrained=True)
    except Exception as error:
        if isinstance(error, OSError) or type(error).__module__.partition(".")[0] in ("huggingface_hub", "httpx"):
            raise _no_weights(f"timm:{name}", "the Hugging Face cache", error) from None
        raise
    return module


def _from_file(spec: str, weights: str | None) -> VisionModel:
    file, _, function = spec.rpartition(":")
    path = Path(file)
    if not path.is_file():
        raise InputError(f"no file {file!r}; the form is path/to/file.py:function")
    try:
        made = _made_by(path, file, function)
    except LayerscopeError:
        raise
    except (Exception, SystemExit) as error:
        message = textwrap.shorten(f"{type(error).__name__}: {error}", 300, placeholder=" …").removesuffix(":")
        raise InputError(f"{spec!r} failed: {message}; mend the file") from error
    if not isinstance(made, (nn.Module, VisionModel)):
        raise InputError(f"{spec!r} returned a {type(made).__name__}; it has to return a torch.nn.Module")
    model = made if isinstance(made, VisionModel) else wrap(made, name=function)
    model.module.eval()
    if weights not in (None, "none"):
        fit(model.module, read_weights(Path(str(weights)), model.module.state_dict()), Path(str(weights)))
    return replace(model, card={**model.card, **_card(file, weights, {})})


def _made_by(path: Path, file: str, function: str) -> object:
    with _executed(path) as code:
        functions = {key: value for key, value in vars(code).items() if callable(value) and not key.startswith("_")}
        if function not in functions:
            raise UnknownNameError.among(f"function in {file!r}", function, functions)
        return functions[function]()


def import_torchvision() -> Any:
    """torchvision.models. Raises MissingPackageError where torchvision is missing or made for another torch."""
    try:
        return importlib.import_module("torchvision.models")
    except ModuleNotFoundError as error:
        if error.name != "torchvision":
            raise
        raise MissingPackageError(
            "torchvision is not installed; run: pip install --upgrade torch torchvision"
        ) from None
    except (RuntimeError, OSError) as error:
        raise MissingPackageError(_mismatch(error)) from error


def _mismatch(error: Exception) -> str:
    """Which torch is there, which torchvision, and which torch that torchvision was made for."""
    there = {name: importlib.metadata.version(name) for name in ("torch", "torchvision")}
    wanted = [need for need in importlib.metadata.requires("torchvision") or [] if re.match(r"torch\b", need)]
    belongs = f" and belongs to {wanted[0].replace(' ', '')}" if wanted else ""
    return (
        f"torchvision {there['torchvision']} is installed{belongs}, but torch is {there['torch']} "
        f"({str(error).splitlines()[0]}); "
        "install both from the same index: pip install --upgrade torch torchvision"
    )


def _import_timm() -> Any:
    try:
        return importlib.import_module("timm")
    except ModuleNotFoundError as error:
        if error.name != "timm":
            raise
        raise MissingPackageError("timm is not installed; run: pip install 'layerscope[timm]'") from None


def _fetch(url: str, spec: str) -> None:
    """Put published weights into the cache of torch.hub, where torchvision looks, without its messages."""
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    path = folder / Path(urlparse(url).path).name
    if path.exists():
        return
    digest = re.search(r"-([a-f0-9]{8,})\.", path.name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), digest[1] if digest else None, progress=False)
    except (OSError, RuntimeError) as error:
        raise _no_weights(spec, f"the cache folder {str(folder)!r}", error) from None


def _no_weights(spec: str, place: str, error: Exception) -> InputError:
    why = (str(getattr(error, "reason", error)).strip() or type(error).__name__).splitlines()[0]
    return InputError(
        f"the weights of {spec!r} are not in {place} and cannot be fetched, with no network or none to there ({why}); "
        'pass weights=PATH of a .pth or .safetensors file, or weights="none" for random ones'
    )


def _built(build: Callable[..., nn.Module], weights: str) -> nn.Module:
    """With random weights ("none"), or those of a file and as many classes as the head in the file has."""
    if weights == "none":
        return build()
    with torch.device("meta"):
        names = build().state_dict()
    path = Path(weights)
    state = read_weights(path, names)
    head = _head(names)
    classes = len(state[head]) if head in state and state[head].ndim else _IMAGENET_CLASSES
    module = build(classes, state=state)
    fit(module, state, path)
    return module


def _head(state: Mapping[str, Tensor]) -> str:
    """The name of the last tensor with one entry per class."""
    return [name for name, tensor in state.items() if tensor.ndim and len(tensor) == _IMAGENET_CLASSES][-1]


def _classes(module: nn.Module) -> int:
    """Outputs of the last layer that has weights: the head, in torchvision and timm."""
    return next(len(weight) for weight in reversed(list(module.parameters())))


def _card(source: str, weights: str | None, more: Mapping[str, Any]) -> dict[str, Any]:
    facts = {key: value for key, value in more.items() if isinstance(value, (str, int, float))}
    return {"source": source, "weights": "published" if weights is None else weights, **facts}


@contextlib.contextmanager
def _executed(path: Path) -> Iterator[ModuleType]:
    """The namespace of a Python file that was run; imports from its own folder work meanwhile. Nothing is written."""
    code = ModuleType(f"layerscope_file_{path.stem}")
    code.__file__ = str(path)
    folder = str(path.resolve().parent)
    sys.modules[code.__name__] = code  # dataclasses look themselves up there
    sys.path.insert(0, folder)
    try:
        exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), vars(code))
        yield code
    finally:
        sys.path.remove(folder)
        del sys.modules[code.__name__]
