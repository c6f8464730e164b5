"""Every number of the pictures, in one table: how each depth of a network is best drawn.

The depth of a layer is its reach: receptive field / input size. Layers that see part of an image get the whole channel
on free coefficients, which shows textures; layers that see most of it one neuron on phases alone, in a round window,
which shows things. Compared by eye and by score on the bundled robust network: phases beat free and softly capped
coefficients in every layer of large reach (higher score, crisper parts), a full window gives single, clean things.
`dataclasses.replace(recipe, rms=0.3)` makes a variant for `maximise(recipe=...)`.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

from layerscope import objectives
from layerscope.capture.layers import Layer
from layerscope.capture.units import Unit
from layerscope.errors import InputError, UnknownNameError
from layerscope.given import shown
from layerscope.models.precision import Precision, fast_precision
from layerscope.models.spectrum import Spectrum, power_law
from layerscope.objectives import Objective
from layerscope.synthesis.alpha import Alpha
from layerscope.synthesis.images import Contrast, Parametrisation, round_window
from layerscope.synthesis.kinds import KINDS, Kind, of_kind
from layerscope.synthesis.transforms import Wander

if TYPE_CHECKING:
    from torch import Tensor

    from layerscope.models.model import VisionModel

Stage = Literal["texture", "thing", "class"]
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Recipe:
    """How a picture is made; two pictures of one objective and seed differ only by it."""

    name: str
    """Seeds the picture's randomness, with the seed and the objective's text: a variant of one name keeps its start."""
    parametrisation: Kind
    view: int = 64
    """Side of the picture, pixels; the ascent's canvas is larger by the transforms' margin."""
    steps: int = 128
    lr: float = 0.05
    lr_end: float = 1.0
    """Share of `lr` that is left at the end; it falls exponentially."""
    rms: float = 0.2
    """Contrast before the tanh and inside the window."""
    flatten: float = 0.5
    """Share of the image's mean that is taken away."""
    decay: float | None = 1.25
    """Magnitudes fall as frequency^-decay; None takes the magnitudes that the spectrum was measured with."""
    chroma_decay: float = 0.25
    """Added to the decay of the colour axes after the first."""
    chroma: float = 0.8
    """Strength of the colour axes after the first."""
    cap: float = 0.0
    """Free magnitudes are softly bounded at this multiple of their mean; 0: not bounded."""
    window: float = 0.0
    """How much of the contrast is lost outside a disc as wide as the view, in [0, 1]."""
    rotate: float = 0.175
    scale: tuple[float, float] = (1.0, 1.16)
    """Pixels of canvas per pixel of the view, least and most; below 1 the picture's border is seen less, and faint."""
    shift: float = 0.0375
    """Largest shift of the view, in sides of it."""
    lse_weight: float = 0.0
    """Logits climb minus this times the log-sum-exp of all logits."""
    alpha: float = 0.0
    """Share of its score that an opaque picture costs, so that what does not matter turns transparent; 0: opaque."""
    leak: float = 0.05
    """Share of the gradient that passes a ReLU where it is closed; the forward pass is exact."""
    magnify: float = 1.0
    """Pixels that the network is shown per pixel of the picture, along a side: 128 pixels shown at 224 are 1.75."""
    precision: Precision = "float32"
    """Number format of the private copy that is climbed; scores are measured on the network itself in any case."""
    settle: float = 0.0
    """A picture stops early where an eighth of its steps gained less than this share of all its gain; 0: never."""
    together: int = 8
    """How many pictures climb in one batch; a larger one is faster in networks of large inputs, up to the cache."""

    def drawn_as(self, kind: Kind) -> Recipe:
        """The same recipe with pictures of another kind, at that kind's learning rate.

        Raises UnknownNameError for a kind that does not exist.
        """
        if kind not in tuple(KINDS):
            raise UnknownNameError.among("parametrisation", kind, KINDS)
        return dataclasses.replace(self, parametrisation=kind, lr=KINDS[kind].lr, lr_end=KINDS[kind].lr_end)

    @property
    def wander(self) -> Wander:
        """Its transforms."""
        return Wander(self.view, self.rotate, self.scale, self.shift, self.shown)

    @property
    def shown(self) -> int:
        """Side of what the network is shown, pixels."""
        return round(self.view * self.magnify)


_TEXTURE = Recipe("texture", "fourier")
_THING = Recipe(
    "thing",
    "phase",
    steps=96,
    lr=0.3,
    lr_end=0.1,
    rms=0.35,
    decay=1.5,
    chroma_decay=0.4,
    chroma=0.6,
    window=1.0,
    rotate=0.1,
    scale=(0.95, 1.2),
    shift=0.05,
)
_CLASS = dataclasses.replace(_THING, name="class", steps=192, lse_weight=0.3)
STAGES: dict[Stage, Recipe] = {"texture": _TEXTURE, "thing": _THING, "class": _CLASS}
LARGE_REACH = 0.7
"""From this reach on, a layer is drawn as a thing."""


@dataclass(frozen=True)
class _Effort:
    steps: float
    lr: float
    largest_view: int


EFFORTS = {"draft": _Effort(0.5, 1.6, 96), "standard": _Effort(1.0, 1.0, 128), "fine": _Effort(2.0, 0.7, 224)}
"""Steps and learning rate go opposite ways: what counts is their product, the length of the path."""
SMALL_INPUT = 96
"""Networks up to this input size are drawn at it, in float32, eight at a time: nothing else is faster there. Larger
ones up to an effort's largest view."""
_TOGETHER, _CACHED = (8, 32), 16 * 128**2
"""Pictures in a batch, least and most, and how many pixels of them go through a network before the activations fall out
of the cache (found on resnet50)."""
_ON_GPU, PER_PIXEL = 64, 1024
"""Most pictures in a batch there, since rows are looked after one by one; and bytes of memory for a pixel of them, more
than twice what resnet50 keeps for its gradient in bfloat16, of a quarter of the GPU's. Too large ones are halved."""


def recipe_for(name: str, layer: Layer | None, model: VisionModel) -> Recipe:
    """The recipe "draft", "standard" or "fine" for a layer of `model`; None is the network's output (its classes)."""
    if name not in tuple(EFFORTS):
        raise UnknownNameError.among("recipe", name, EFFORTS)
    if not isinstance(layer, Layer | None):
        raise InputError(f"{shown(layer)} is no Layer; give model.layer(name), or None for the network's output")
    effort, stage = EFFORTS[name], stage_of(layer, model)
    basis, view = STAGES[stage], _view(stage, layer, model, effort)
    large = model.input_size > SMALL_INPUT
    return dataclasses.replace(
        basis,
        name=f"{name} {stage}",
        view=view,
        precision=fast_precision(model.device) if large else "float32",
        together=together(view, model.device) if large else _TOGETHER[0],
        steps=round(basis.steps * effort.steps),
        lr=basis.lr * effort.lr,
    )


def together(shown: int, device: torch.device = CPU) -> int:
    """How many pictures of `shown` pixels a side climb in one batch, a power of two: as many as the processor's cache
    holds, or a quarter of the memory of a GPU."""
    least, most = _TOGETHER
    pixels = _CACHED
    if device.type == "cuda":
        most, pixels = _ON_GPU, torch.cuda.get_device_properties(device).total_memory // (4 * PER_PIXEL)
    return max(least, min(most, 1 << int(math.log2(pixels / shown**2)))) if shown**2 <= pixels else least


def at_size(recipe: Recipe, side: int, device: torch.device = CPU) -> Recipe:
    """The recipe with pictures that the network is shown at `side` pixels, in batches that suit them and the device.

    It magnifies a little more or less where a whole number of pixels asks for it.
    """
    view = max(round(side / recipe.magnify), 1)
    fewer = min(recipe.together, together(side, device))
    return dataclasses.replace(recipe, view=view, magnify=side / view, together=fewer)


def default_objective(unit: Unit, model: VisionModel) -> Objective:
    """What a gallery climbs for a unit, bound to `model`: an excited channel where a layer sees textures, a
    neuron where it sees things, a logit at the output."""
    layer = model.layer(unit.layer)
    stage = stage_of(layer, model)
    if unit.position is not None or stage == "thing":
        return objectives.neuron(unit).bind(model)
    excited = objectives.excitation(unit).bind(model)
    return objectives.logit(unit.index).bind(model) if stage == "class" else excited


def climbed(objective: Objective, recipe: Recipe) -> Objective:
    """What the ascent climbs in place of `objective`: excitations leak, so that no unit is stuck where it is off, and
    logits lose their share of all classes (none in a margin)."""
    share, climbs = recipe.lse_weight * objective.logits, objective.leaky(recipe.leak)
    return climbs - share * objectives.any_class() if share else climbs


def parametrisation(recipe: Recipe, spectrum: Spectrum, device: torch.device | None = None) -> Parametrisation:
    """The recipe's parametrisation with the colours of `spectrum`; it renders on `device`, by default the CPU."""
    side, many = recipe.wander.canvas, len(spectrum.mean)
    weights = spectrum.mean.new_tensor([1.0] + [recipe.chroma if spectrum.chromatic() else 1.0] * (many - 1))
    window = round_window(side, side, recipe.view, recipe.window)
    contrast = Contrast((spectrum.colour * weights).to(device), window.to(device), recipe.rms, recipe.flatten)
    magnitude = _magnitude(recipe, spectrum, side).to(device)
    images = of_kind(recipe.parametrisation, contrast, magnitude, recipe.view, recipe.cap)
    return Alpha(images, recipe.alpha) if recipe.alpha else images


def stage_of(layer: Layer | None, model: VisionModel) -> Stage:
    """How deep a layer lies: by reach, or where each position sees the whole image, by its place among the layers."""
    if layer is None or _is_output(layer, model):
        return "class"
    if layer.receptive_field is not None:
        return "thing" if layer.receptive_field / model.input_size >= LARGE_REACH else "texture"
    before, after = model.around(layer)
    return "thing" if len(before) >= len(after) else "texture"


def _is_output(layer: Layer, model: VisionModel) -> bool:
    return len(layer.shape) == 1 and all(other.shape == layer.shape for other in model.around(layer)[1])


def _view(stage: Stage, layer: Layer | None, model: VisionModel, effort: _Effort) -> int:
    size = model.input_size
    limit = size if size <= SMALL_INPUT else min(size, effort.largest_view)
    if layer is None or stage == "class" or layer.receptive_field is None:
        return limit
    return min(limit, 16 * math.ceil(max(48, layer.receptive_field) / 16))


def _magnitude(recipe: Recipe, spectrum: Spectrum, side: int) -> Tensor:
    if recipe.decay is None:
        return spectrum.resized(side, side)
    chroma = recipe.decay + (recipe.chroma_decay if spectrum.chromatic() else 0.0)
    return power_law(side, side, [recipe.decay] + [chroma] * (len(spectrum.mean) - 1))
