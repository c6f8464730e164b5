"""A vision model: a network together with what its input has to be and what its outputs mean."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from numbers import Integral
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from layerscope.capture.forward import bare_module
from layerscope.capture.layers import LAYER_HEADS, Layer, layer_cells, list_layers
from layerscope.capture.sites import first_name
from layerscope.capture.uncalled import Uncalled, uncalled
from layerscope.errors import InputError, LayerscopeError, UnknownNameError
from layerscope.given import shown
from layerscope.models.layout import fast_layout
from layerscope.types import Images

Found = TypeVar("Found")

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, eq=False)
class VisionModel:
    """A network for images in [0, 1].

    Attributes:
        module: the network. Its train and eval flags stay as you set them.
        name: how results call it.
        input_size: side of the square images that it was made for, in pixels.
        channels: of an image; 3 is red, green, blue.
        mean, std: per channel, for values in [0, 1]; the network gets (image - mean) / std.
        class_names: of the outputs, in their order, or None where they are not known.
        card: facts about the network (source, licence, accuracy); may be empty.
        spec, weights: what `load_model` opened it with; None for a network that was wrapped.
    """

    module: nn.Module
    name: str
    input_size: int
    channels: int = 3
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    class_names: tuple[str, ...] | None = None
    card: Mapping[str, Any] = field(default_factory=dict)
    spec: str | None = None
    weights: str | None = None

    def __post_init__(self) -> None:
        if not len(self.mean) == len(self.std) == self.channels:
            raise InputError(
                f"{len(self.mean)} means and {len(self.std)} standard deviations for {self.channels} channels; "
                "give one of each per channel"
            )
        if not isinstance(self.input_size, Integral):
            raise InputError(
                f"input_size={self.input_size!r}; images are square: give their side in pixels, one whole number"
            )
        if self.input_size < 1 or min(self.std) <= 0:
            raise InputError(f"input size {self.input_size} and std {self.std} have to be positive")

    def __repr__(self) -> str:
        classes = f", {len(self.class_names)} classes" if self.class_names else ""
        return f"VisionModel({self.name!r}: {self.channels} x {self.input_size} x {self.input_size}{classes})"

    def _repr_html_(self) -> str:
        """What the network takes, and its layers."""
        from layerscope.figures.value_cards import table_card
        from layerscope.figures.words import plural, short

        side = self.input_size
        about: dict[str, str | None] = {
            "input": f"{self.channels} × {side} × {side}",
            "parameters": f"{sum(weight.numel() for weight in self.module.parameters()):,}",
            "classes": str(len(self.class_names)) if self.class_names else None,
            "opened with": short(self.spec, 60) if self.spec else None,
        }
        try:
            rows = layer_cells(self.layers())
        except InputError as error:  # as for an input size that the network does not take
            return table_card(short(self.name, 60), {**about, "layers": str(error)}, (), ())
        return table_card(short(self.name, 60), {**about, "": plural(len(rows), "layer")}, LAYER_HEADS, rows, (3, 4, 5))

    @property
    def device(self) -> torch.device:
        """Where the weights are; the CPU for a network without any."""
        return self._some.device

    @property
    def dtype(self) -> torch.dtype:
        """The number format of the weights; float32 for a network without any."""
        return self._some.dtype

    @property
    def _some(self) -> Tensor:
        return next(iter(self.module.parameters()), torch.empty(0, dtype=torch.float32))

    def __call__(self, images: Images) -> Tensor:
        """Normalise images [batch, channel, height, width] in [0, 1] and run the network. Nothing is resized.

        Raises InputError for another number of axes or channels, or another dtype than that of the network.
        """
        output: Tensor = self.module(self.normalise(images))
        return output

    def normalise(self, images: Images) -> Images:
        """(images - mean) / std. Raises InputError as a call does."""
        self._check(images)
        mean, std = (images.new_tensor(values).view(-1, 1, 1) for values in (self.mean, self.std))
        return (images - mean) / std

    def layers(self, functions: bool = False) -> tuple[Layer, ...]:
        """All layers for one image of `input_size`, in the order in which they finish. Measured once.

        With `functions`, also what modules compute between their parts, such as "layer4.0/add".
        Raises InputError where the network fails on such an image.
        """
        return self._with_functions if functions else self._layers

    def uncalled(self) -> tuple[Uncalled, ...]:
        """The leaves that a forward never calls, so that no layer shows them, each with the reason.

        Raises InputError where the network fails on an image of `input_size`.
        """
        return self._probed(uncalled)

    def layer(self, name: str) -> Layer:
        """The layer of this name; a plain name finds the first call of a reused module, as in `capture`.

        Raises UnknownNameError.
        """
        named = {layer.name: layer for layer in self.layers(functions="/" in str(name))}
        if not isinstance(name, str):
            raise UnknownNameError.among("layer", shown(name), named)
        asked, name = name, first_name(self.module, name)
        for spelling in (name, f"{name}#0", name.removesuffix("#0")):
            if spelling in named:
                return named[spelling]
        raise UnknownNameError.among("layer", asked, named)

    def around(self, layer: Layer) -> tuple[tuple[Layer, ...], tuple[Layer, ...]]:
        """The layers that finish before this one; and it with all that finish after it. With functions where it is one.

        Raises ValueError for a layer of another network.
        """
        layers = self.layers(functions="/" in layer.name)
        at = [other.name for other in layers].index(layer.name)
        return layers[:at], layers[at:]

    @property
    def fingerprint(self) -> str:
        """sha256 (hex) of weights, buffers, architecture and normalisation. Computed anew when the weights change."""
        state = self.module.state_dict()
        stamps = tuple(
            (tensor.data_ptr(), -1 if tensor.is_inference() else tensor._version) for tensor in state.values()
        )
        if self._stamped.get("stamps") != stamps:
            self._stamped.update(stamps=stamps, digest=self._digest(state))
        return str(self._stamped["digest"])

    def class_index(self, name_or_index: str | int) -> int:
        """The number of a class from its name (upper or lower case) or its number.

        Digits in a string are a number only where no class has them for its name; an int is always a number.
        Raises UnknownNameError for a class that does not exist, InputError for a name that several classes have.
        """
        text, names = str(name_or_index).strip(), self.class_names
        found = _called(text, names or ()) if isinstance(name_or_index, str) else []
        if len(found) > 1:
            raise InputError(f"class {text!r} is ambiguous; give its number, one of {', '.join(map(str, found))}")
        if found:
            return found[0]
        if re.fullmatch(r"-?\d+", text):
            if int(text) < 0 or (names is not None and int(text) >= len(names)):
                among = f"classes count from 0 to {len(names) - 1}" if names else "classes count from 0"
                raise UnknownNameError(f"no class {text!r} in {self.name!r}; {among}")
            return int(text)
        if names is None:
            raise InputError(f"{self.name!r} has no class names; give the number of the class instead of {text!r}")
        raise UnknownNameError.among("class", text, names)

    @cached_property
    def layout(self) -> torch.memory_format:
        """In which order of memory the network is fed fastest, among those that it takes. Measured once."""
        return fast_layout(self.module, (self.channels, self.input_size, self.input_size))

    @cached_property
    def _layers(self) -> tuple[Layer, ...]:
        return self._probed(list_layers)

    @cached_property
    def _with_functions(self) -> tuple[Layer, ...]:
        return self._probed(partial(list_layers, functions=True))

    def _probed(self, probe: Callable[[nn.Module, tuple[int, int, int]], Found]) -> Found:
        """What a probe finds with an image of the size and the channels that the network was made for."""
        shape = (self.channels, self.input_size, self.input_size)
        try:
            return probe(self.module, shape)
        except LayerscopeError:
            raise
        except Exception as error:
            what = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}".removesuffix(": ")
            raise InputError(
                f"{self.name!r} cannot run on an image of shape {shape} ({what}); "
                "is it made for another input_size= or number of channels? wrap takes both, the channels from mean="
            ) from error

    @cached_property
    def _stamped(self) -> dict[str, object]:
        return {}

    def _digest(self, state: Mapping[str, Tensor]) -> str:
        # addresses, as in the repr of a function, differ from run to run
        architecture = re.sub(r"0x[0-9a-f]+", "", repr(bare_module(self.module)))
        digest = hashlib.sha256(f"{architecture}\n{self.mean}\n{self.std}\n".encode())
        for name, tensor in state.items():
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def _check(self, images: Tensor) -> None:
        if not isinstance(images, Tensor) or images.ndim != 4 or images.shape[1] != self.channels:
            given = f"shape {tuple(images.shape)}" if isinstance(images, Tensor) else f"a {type(images).__name__}"
            raise InputError(
                f"images of {given}; {self.name!r} takes a tensor [batch, {self.channels}, height, width] in [0, 1]"
            )
        weights = (weight for weight in self.module.parameters() if weight.is_floating_point())
        dtype = next((weight.dtype for weight in weights), torch.float32)
        if images.dtype != dtype:
            mend = f"images.to({dtype})" if images.is_floating_point() else f"images.to({dtype}) / 255"
            raise InputError(f"images are {images.dtype} and {self.name!r} computes in {dtype}; pass {mend}")


def wrap(
    module: nn.Module,
    input_size: int = 224,
    mean: ArrayLike | Tensor | None = None,
    std: ArrayLike | Tensor | None = None,
    class_names: Sequence[str] | None = None,
    name: str | None = None,
) -> VisionModel:
    """Wrap any network for images.

    Args:
        module: the network; it takes [batch, channel, height, width]. `torch.compile` and DataParallel are unwrapped,
            since hooks do not fire inside them; nothing of the module is changed.
        input_size: side of the square images that it was made for.
        mean, std: per channel, for values in [0, 1], as a sequence, array or tensor; one number counts for all
            channels. Default: those of ImageNet for 3 channels, otherwise 0.5.
        class_names: of the outputs, in their order.
        name: default the class of the module.

    The number of channels is that of `mean` or `std`, otherwise that of the first convolution, otherwise 3.
    Raises InputError where mean and std do not fit, CaptureError for a scripted module.
    """
    if not isinstance(module, nn.Module):
        raise InputError(f"{type(module).__name__} is no torch.nn.Module; wrap takes the network itself")
    bare = bare_module(module)
    means, stds = _numbers("mean", mean), _numbers("std", std)
    given = [values.size for values in (means, stds) if values is not None and values.ndim]
    channels = next(iter(given), 0) or _channels(bare) or 3
    usual = (IMAGENET_MEAN, IMAGENET_STD) if channels == 3 else ((0.5,) * channels, (0.5,) * channels)
    return VisionModel(
        module=bare,
        name=name or type(bare).__name__,
        input_size=input_size,
        channels=channels,
        mean=_per_channel(means, channels, usual[0]),
        std=_per_channel(stds, channels, usual[1]),
        class_names=None if class_names is None else tuple(class_names),
    )


def _channels(module: nn.Module) -> int:
    """Of the first convolution; 0 where there is none, or a lazy one."""
    return next((part.in_channels for part in module.modules() if isinstance(part, nn.Conv2d)), 0)


def _numbers(what: str, values: ArrayLike | Tensor | None) -> NDArray[np.float64] | None:
    """As an array without axes for one number, and with one axis for several."""
    if values is None:
        return None
    given = values.detach().cpu().double().numpy() if isinstance(values, Tensor) else values
    try:
        array = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{what}={values!r} holds no numbers; give one number, or one per channel") from None
    return array.reshape(-1) if array.ndim else array


def _per_channel(values: NDArray[np.float64] | None, channels: int, usual: tuple[float, ...]) -> tuple[float, ...]:
    if values is None:
        return usual
    return tuple(values.tolist()) if values.ndim else (float(values),) * channels


def _called(text: str, names: Sequence[str]) -> list[int]:
    """The classes of exactly this name, otherwise those that differ from it in case alone."""
    exact = [index for index, name in enumerate(names) if name == text]
    return exact or [index for index, name in enumerate(names) if name.casefold() == text.casefold()]
