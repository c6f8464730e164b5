"""How Lucent is run: `render_vis` of torch-lucent, as it is by default.

It leaves hooks and gradients on the network, so each run gets a copy, made before the clock starts; and it draws from
the random states of the process, which are seeded before and put back after. Pictures may be made sooner than it makes
them, without a change to them: weights are frozen, what comes after the layer left out, and several units climb as one
batch, which is Lucent's own way for many units.
"""

from __future__ import annotations

import contextlib
import io
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module, metadata
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from layerscope.benchmarks.synthesis.settings import CANVAS, own_copy
from layerscope.models.model import VisionModel

HOW = "pip install torch-lucent, then pip install --no-deps kornia==0.4.1"
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
Pictures = NDArray[np.uint8]
"""[n, height, width, 3]"""


def why_not(device: str = "cpu") -> str | None:
    """Why Lucent cannot be measured here on `device`; None where it can."""
    if find_spec("lucent") is None:
        return f"Lucent is not installed: {HOW}"
    if torch.cuda.is_available() != (device == "cuda"):
        return "Lucent computes on the GPU wherever there is one: hide it (CUDA_VISIBLE_DEVICES=) to measure the CPU"
    with _quiet():
        try:
            kornia = import_module("kornia")
            import_module("lucent.optvis.render")
        except ImportError as error:
            return f"Lucent cannot be imported ({error}): {HOW}"
    if not hasattr(kornia, "get_rotation_matrix2d"):
        return f"kornia {metadata.version('kornia')} is too new for Lucent: {HOW}"
    return None


def clock(model: VisionModel, layer: str, channel: int, device: str = "cpu") -> Callable[[int], float]:
    """Processor seconds of a call that makes one picture of so many steps, everything by default; wall seconds on
    another device, which the picture comes back from."""
    now = time.process_time if device == "cpu" else time.perf_counter

    def seconds(steps: int) -> float:
        module = own_copy(model).to(device)
        with _quiet(), _own_randomness(0):
            began = now()
            _render(module, _objective(layer, [channel]), steps)
            return now() - began

    return seconds


def draw(
    model: VisionModel,
    layer: str,
    channels: Sequence[int],
    steps: int,
    *,
    canvas: int = CANVAS,
    shown: int | None = None,
    whole: bool = False,
) -> Pictures:
    """Pictures [n, canvas, canvas, 3] of channels, one batch, by Lucent's own ascent.

    shown: the side at which the network sees them; by default Lucent's. whole: leave all of the network in.
    """
    module = own_copy(model)
    if not whole:
        _shorten(module.requires_grad_(False), layer)
    with _quiet(), _own_randomness(0):
        param = import_module("lucent.optvis.param")
        more: dict[str, Any] = {"param_f": lambda: param.image(canvas, batch=len(channels)), "fixed_image_size": shown}
        if (tuple(model.mean), tuple(model.std)) != IMAGENET:
            more |= {"preprocess": False, "transforms": _transforms(model)}
        images = _render(module, _objective(layer, channels), steps, **more)
    made: Pictures = (np.clip(images[0], 0, 1) * 255).round().astype(np.uint8)
    return made


def _render(module: nn.Module, objective: object, steps: int, **more: Any) -> list[NDArray[np.float32]]:
    render = import_module("lucent.optvis.render")
    images: list[NDArray[np.float32]] = render.render_vis(
        module, objective, thresholds=(steps,), show_image=False, progress=False, **more
    )
    return images


def _objective(layer: str, channels: Sequence[int]) -> object:
    objectives, name = import_module("lucent.optvis.objectives"), layer.replace(".", "_")
    if len(channels) == 1:
        return objectives.channel(name, channels[0])
    return objectives.Objective.sum([objectives.channel(name, one, batch=row) for row, one in enumerate(channels)])


def _transforms(model: VisionModel) -> list[Callable[[torch.Tensor], torch.Tensor]]:
    """Its own, and the network's normalisation in the place of ImageNet's."""
    return [*import_module("lucent.optvis.transform").standard_transforms, model.normalise]


def _shorten(module: nn.Module, layer: str) -> None:
    """Let each forward end after `layer`: with an error, which Lucent takes for a part that does not fit the size."""
    passed = threading.Event()

    def refuse(part: nn.Module, inputs: object) -> None:
        if passed.is_set():
            raise RuntimeError("the layer is computed, and the rest is left out")

    module.register_forward_pre_hook(lambda *_: passed.clear())
    module.get_submodule(layer).register_forward_hook(lambda *_: passed.set())
    for part in module.modules():
        if not [*part.children()]:
            part.register_forward_pre_hook(refuse)


@contextlib.contextmanager
def _own_randomness(seed: int) -> Iterator[None]:
    state = np.random.get_state()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        np.random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(state)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stderr(io.StringIO()),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield
