"""Where networks come from: the bundled ones, torchvision, timm, Python files, and what `layerscope train` wrote."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.metadata
import logging
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
from torch import Tensor, nn

from layerscope.errors import InputError, MissingPackageError, UnknownNameError
from layerscope.models.checkpoints import Checkpoint, fit, read_weights
from layerscope.models.model import VisionModel, wrap
from layerscope.models.python_file import run_file
from layerscope.models.sized import PUBLISHED, built_for

_WRITTEN = ".safetensors"  # by `layerscope train`
FORMS = (
    "menagerie",
    "menagerie:robust",
    "torchvision:NAME",
    "timm:NAME",
    "path/to/file.py:function",
    f"path/to/weights{_WRITTEN}",
)

_IMAGENET_CLASSES = 1000
# Arguments that only these take. Their published weights want the ImageNet normalisation turned into another one.
_INCEPTIONS = ("googlenet", "inception_v3")


def load_model(spec: str, weights: str | None = None, *, seed: int = 0) -> VisionModel:
    """Open a network by name, in eval mode on the CPU.

    Args:
        spec: "menagerie" or "menagerie:robust" (bundled), "torchvision:resnet50", "timm:resnet50.a1_in1k",
            "path/to/weights.safetensors" or "path/to/step-000100.safetensors" (what `layerscope train` wrote, which
            says of which network it is), or "path/to/file.py:function", where the function takes nothing and returns
            an nn.Module, or a VisionModel made with `wrap`. THAT FILE IS RUN, with all that it may do on your machine:
            name only files that you trust. An error in it becomes an InputError with that error as its cause.
        weights: None for the published weights (downloaded once into the folder of torch.hub, for timm into that of
            Hugging Face), "none" for random ones, or the path of a .pth or .safetensors file, from which no code is
            run; the function of a Python file decides by itself on its weights, so there "none" changes nothing. The
            number of classes is that of the file, with timm that of channels too; with as many classes as
            published, the published names count. A moving average in the file is preferred, and the card says so.
        seed: of the random weights. The random state of the process is left alone.

    Input size and normalisation are those published for the network ("input_from" in the card), for other weights
    too. Raises UnknownNameError, InputError (weights that are not there and cannot be fetched; a network for images
    that are not square), CheckpointError for a file that does not fit, MissingPackageError.
    """
    if weights is not None and not str(weights).strip():
        raise InputError("weights is empty; leave it out, or give 'none' or the path of a .pth or .safetensors file")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # that of the CPU alone; torch.manual_seed reaches GPUs too
        return replace(_opened(spec, weights), spec=spec, weights=weights)


def _opened(spec: str, weights: str | None) -> VisionModel:
    source, _, name = spec.partition(":")
    if spec.endswith(_WRITTEN):
        return _written(spec, weights)
    if source == "menagerie":
        return _bundled(spec, weights)
    if source == "torchvision":
        return _torchvision(name, weights)
    if source == "timm":
        return _timm(name, weights)
    if ".py:" in spec:
        return _from_file(spec, weights)
    if spec.endswith(".py"):
        raise InputError(f"{spec!r} names no function; write {spec}:FUNCTION, which returns the network")
    raise UnknownNameError.among("network", spec, FORMS, advice=f"write one of: {', '.join(FORMS)}")


def _bundled(name: str, weights: str | None) -> VisionModel:
    from layerscope.models import zoo

    if name not in zoo.NAMES:
        raise UnknownNameError.among("bundled network", name, zoo.NAMES)
    if weights is not None:
        raise InputError(f"{name!r} brings its own weights; leave out weights={weights!r}")
    return zoo.load(name)


def _written(spec: str, weights: str | None) -> VisionModel:
    """A file of `layerscope train`: the network is called by its folder, a checkpoint also by its step."""
    from layerscope.models import zoo

    if weights is not None:
        raise InputError(f"{spec!r} brings its own weights; leave out weights={weights!r}")
    path = Path(spec)
    folder = path.absolute().parent.name
    return zoo.read(path, folder if path.name == zoo.WEIGHTS else f"{folder} {path.stem}")


def _torchvision(name: str, weights: str | None) -> VisionModel:
    models = import_torchvision()
    known = models.list_models(module=models)
    if name not in known:
        raise UnknownNameError.among("torchvision network", name, known)
    published = models.get_model_weights(name).DEFAULT
    names = tuple(published.meta["categories"])
    facts: dict[str, Any] = {"input_from": str(published)}
    if weights is None:
        _fetch(published.url, f"torchvision:{name}")
        module = models.get_model(name, weights=published, progress=False)
        sizes: Mapping[str, int] = PUBLISHED
        facts |= published.meta | {"published": str(published)}
    else:
        build = functools.partial(build_torchvision, name)
        module, sizes, more = _built(build, weights, ("num_classes",), "aux" if name in _INCEPTIONS else "")
        facts |= more
        facts["input_from"] += " with transform_input=True" if getattr(module, "transform_input", False) else ""
    transforms = published.transforms()
    size = getattr(module, "image_size", transforms.crop_size[0])  # a ViT takes images of one size
    if size != transforms.crop_size[0]:
        facts["input_from"] += f" (but for {size} px, the size of the positions in the file)"
    return VisionModel(
        module.eval(),
        name,
        size,
        mean=tuple(transforms.mean),
        std=tuple(transforms.std),
        class_names=names if sizes.get("num_classes") == len(names) else None,
        card=_card("torchvision", weights, facts),
    )


def build_torchvision(
    name: str, num_classes: int = _IMAGENET_CLASSES, state: Mapping[str, Tensor] | None = None
) -> nn.Module:
    """A classifier of torchvision with random weights (from torch's random state), made ready for those of `state`."""
    more: dict[str, Any] = {"num_classes": num_classes}
    if name in _INCEPTIONS and state is None:
        more |= {"init_weights": True}
    elif name in _INCEPTIONS:
        auxiliary = any(key.lower().startswith("aux") for key in state or ())
        more |= {"init_weights": False, "transform_input": True, "aux_logits": auxiliary}
    elif name.startswith("vit_"):
        more |= {"image_size": _image_size(name, state)}
    module: nn.Module = import_torchvision().get_model(name, weights=None, **more)
    return module


def _image_size(name: str, state: Mapping[str, Tensor] | None) -> int:
    """Side of the images that a ViT of torchvision takes, and no others: from its positions, else as published."""
    positions = (state or {}).get("encoder.pos_embedding", torch.empty(0))
    if positions.ndim == 3:
        return math.isqrt(max(positions.shape[1] - 1, 1)) * int(name.rpartition("_")[2])
    return int(import_torchvision().get_model_weights(name).DEFAULT.meta["min_size"][0])


def _timm(name: str, weights: str | None) -> VisionModel:
    timm = import_timm()
    known = [*timm.list_models(), *timm.list_pretrained()]
    if name not in known:
        raise UnknownNameError.among("timm network", name, known)

    def build(num_classes: int = _IMAGENET_CLASSES, in_chans: int = 3, state: object = None) -> nn.Module:
        sizes = {"num_classes": num_classes} | ({} if in_chans == 3 else {"in_chans": in_chans})
        module: nn.Module = timm.create_model(name, pretrained=False, **sizes)
        return module

    _refuse_oblong(timm, name)
    if weights is None:
        module = _fetched_by_timm(timm, name)
        more: dict[str, str] = {}
        sizes: Mapping[str, int] = {"num_classes": module.num_classes}  # type: ignore[dict-item]
    else:
        module, sizes, more = _built(build, weights, ("num_classes", "in_chans"))
    config, origin = timm.data.resolve_model_data_config(module), f"pretrained_cfg of timm:{name}"
    channels = sizes.get("in_chans", config["input_size"][0])
    if channels != len(config["mean"]):
        config = {**config, "mean": (0.5,) * channels, "std": (0.5,) * channels}
        origin += f" (mean and std 0.5: none are published for {channels} channels)"
    named = sizes.get("num_classes") == _IMAGENET_CLASSES
    return VisionModel(
        module.eval(),
        name,
        config["input_size"][-1],
        channels,
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        class_names=tuple(timm.data.ImageNetInfo().label_descriptions()) if named else None,
        card=_card("timm", weights, {"input_from": origin} | more),
    )


def _refuse_oblong(timm: Any, name: str) -> None:
    config = timm.get_pretrained_cfg(name)
    if config is not None and config.input_size[-2] != config.input_size[-1]:
        height, width = config.input_size[-2:]
        raise InputError(
            f"'timm:{name}' is made for images of {height} x {width} px, and Layerscope takes square ones; "
            "where it can take those too, build it in a file with wrap(module, input_size=SIDE)"
        )


def _fetched_by_timm(timm: Any, name: str) -> nn.Module:
    try:
        with _silent("huggingface_hub"):
            module: nn.Module = timm.create_model(name, pretrained=True)
    except Exception as error:
        if isinstance(error, OSError) or type(error).__module__.partition(".")[0] in ("huggingface_hub", "httpx"):
            raise _no_weights(f"timm:{name}", "the Hugging Face cache", error) from None
        raise
    return module


@contextlib.contextmanager
def _silent(package: str) -> Iterator[None]:
    """Without the log of a package, which says every attempt; the error says what came of them."""
    level = (logger := logging.getLogger(package)).level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _from_file(spec: str, weights: str | None) -> VisionModel:
    made = run_file(spec)
    if not isinstance(made, (nn.Module, VisionModel)):
        raise InputError(f"{spec!r} returned a {type(made).__name__}; it has to return a torch.nn.Module")
    file, _, function = spec.rpartition(":")
    model = made if isinstance(made, VisionModel) else wrap(made, name=function)
    model.module.eval()
    of_file = weights is None or weights == "none"
    facts = {"input_from": "the file" if isinstance(made, VisionModel) else "the defaults of wrap"}
    if not of_file:
        path = Path(str(weights))
        checkpoint = read_weights(path, model.module.state_dict())
        fit(model.module, checkpoint.state, path)
        facts |= _averaged(checkpoint)
    return replace(model, card={**model.card, **_card(file, "of the file" if of_file else weights, facts)})


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


def import_timm() -> Any:
    """timm. Raises MissingPackageError where it is missing."""
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


def _built(
    build: Callable[..., nn.Module], weights: str, sizes: tuple[str, ...], optional: str = ""
) -> tuple[nn.Module, Mapping[str, int], dict[str, str]]:
    """With random weights ("none"), or those of a file; the sizes of the network there, and facts for the card."""
    if weights == "none":
        return build(), {}, {}
    module, checkpoint, found = built_for(build, Path(weights), sizes, optional)
    return module, found, _averaged(checkpoint)


def _averaged(checkpoint: Checkpoint) -> dict[str, str]:
    return {"averaged": f"moving average: {checkpoint.averaged!r} of the file"} if checkpoint.averaged else {}


def _card(source: str, weights: str | None, more: Mapping[str, Any]) -> dict[str, Any]:
    facts = {key: value for key, value in more.items() if isinstance(value, (str, int, float))}
    return {"source": source, "weights": "published" if weights is None else weights, **facts}
