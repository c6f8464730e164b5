"""The networks that capture is tested on: all classifiers of torchvision, and any of timm."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

import torch
from torch import nn

from layerscope.conformance.conform import SIZES, redraw_zeros, smallest_input
from layerscope.errors import InputError, UnknownNameError
from layerscope.models.sources import import_timm, import_torchvision, load_model

# The smallest of each family of torchvision, in the order of the names.
ONE_PER_FAMILY = (
    "alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_v2_s", "googlenet", "inception_v3",
    "maxvit_t", "mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small", "regnet_x_400mf", "regnet_y_400mf", "resnet18",
    "resnext50_32x4d", "shufflenet_v2_x0_5", "squeezenet1_1", "swin_t", "swin_v2_t", "vgg11", "vit_b_16",
    "wide_resnet50_2",
)  # fmt: skip


def find(asked: str, quick: bool = False) -> list[str]:
    """Specs as `load_model` takes them, for names and patterns separated by commas: "resnet*,timm:vit_tiny*".

    A name without a source is torchvision's; quick: of a bare "*", one per family. InputError where there is no name,
    UnknownNameError where one matches nothing.
    """
    if asked == "none":
        return []
    found: dict[str, None] = {}
    for pattern in filter(None, (part.strip() for part in asked.split(","))):
        source, _, name = pattern.rpartition(":")
        known = _known(source or "torchvision")
        matches = ONE_PER_FAMILY if pattern == "*" and quick else fnmatch.filter(known, name)
        if not matches and source == "timm":  # "resnet50.a1_in1k", which a pattern alone does not ask for
            matches = fnmatch.filter(_published_by_timm(), name)
        if not matches:
            raise UnknownNameError.among(f"{source or 'torchvision'} network", name, known)
        found.update((f"{source or 'torchvision'}:{match}", None) for match in matches)
    if not found:
        raise InputError(f"{asked!r} names no network; give names or patterns separated by commas, or none")
    return list(found)


def opened(spec: str) -> tuple[nn.Module, list[tuple[int, int, int]]]:
    """The network with random weights, none of them all zero, and the shapes of images for it, the smallest first."""
    source, _, name = spec.partition(":")
    if source == "torchvision":
        module, channels, largest = _of_torchvision(name), 3, SIZES[-1]
    else:
        model = load_model(spec, weights="none")
        module, channels, largest = model.module, model.channels, model.input_size
    sizes = [*(size for size in SIZES if size < largest), largest]
    smallest = smallest_input(redraw_zeros(module), sizes, channels)
    return module, [(channels, size, size) for size in sizes if size >= smallest]


def _of_torchvision(name: str) -> nn.Module:
    """As torchvision builds it by itself: its best weights want other sizes (vit_h_14 one of 518 pixels)."""
    more = {"init_weights": True} if name in ("googlenet", "inception_v3") else {}
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        module: nn.Module = import_torchvision().get_model(name, weights=None, **more)
    return module.eval()


def _known(source: str) -> Sequence[str]:
    if source == "torchvision":
        models = import_torchvision()
        return list(models.list_models(module=models))
    if source == "timm":
        return list(import_timm().list_models())
    raise UnknownNameError.among("source of networks", source, ("torchvision", "timm"))


def _published_by_timm() -> Sequence[str]:
    return list(import_timm().list_pretrained())
