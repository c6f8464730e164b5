"""The layer that a class activation map is read from, where nobody names one: the last one that still has places."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NoReturn
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from layerscope.attribution.score import Score
from layerscope.capture.forward import bare_module
from layerscope.capture.hooks import capture
from layerscope.capture.layers import Layer
from layerscope.capture.positions import extra_tokens
from layerscope.capture.sites import split
from layerscope.errors import InputError
from layerscope.models.model import VisionModel
from layerscope.objectives import OUTPUT
from layerscope.types import Images

_SHARE = 1 / 4  # of the units have to matter: a layer whose units are the classes explains nothing
_REARRANGE = ("Pool", "Flatten", "Permute")  # parts of class names
_PASS_ON = ("Dropout", "Identity", "DropPath", "StochasticDepth")
_LINEAR = ("Conv", "Linear")


def default_layer(score: Score, images: Images) -> Layer:
    """The last layer of rows and columns through which the score gets a gradient at more than one position.

    That is where the field reads its maps: the last stage of a residual network, the last activation before the last
    pooling of a plain one, the first LayerNorm of the last block of a vision transformer with a class token (behind
    its attention only that token matters). Pooling, dropout and what else only passes values on do not count, nor do
    layers few of whose units matter (the classes of a network that is convolutional to its end), nor what comes after
    the layers that a unit's objective reads. Convolutions and linear maps count where nothing else does: their output
    before the activation function is not yet what the network goes on with. Of a layer and the containers that end
    with it the largest container is named.

    Decided on one image of noise of the size of `images` [batch, channel, height, width], so that it depends on network
    and objective alone; on the first image only where noise moves nothing. Costs a forward and a backward of an image,
    once for each model, objective (for all classes together) and size. Raises InputError where there is no such layer.
    """
    known = _KNOWN.setdefault(score.model, {})
    read = score.objective.layers
    key = (read if read == (OUTPUT,) else (*read, str(score)), tuple(images.shape[1:]))
    if key not in known:
        generator = torch.Generator().manual_seed(0)
        noise = torch.rand(1, *images.shape[1:], generator=generator, dtype=torch.float32).to(images)
        found = _last(score, noise)
        if found is None:
            return _last(score, images[:1]) or _none(score)
        known[key] = found
    return known[key]


_KNOWN: WeakKeyDictionary[VisionModel, dict[object, Layer]] = WeakKeyDictionary()


def _none(score: Score) -> NoReturn:
    raise InputError(
        f"no layer of {score.model.name!r} has rows and columns through which {score} gets a gradient, so there is no "
        "map of one; name a layer with layer=, or take a method that needs none, such as integrated_gradients"
    )


def _last(score: Score, image: Images) -> Layer | None:
    """The last layer that counts, for one image."""
    sites = _alive(score, image)
    bent = [site for site in sites if not _is_leaf(score, site, _LINEAR)]
    return next((some[-1].layer for some in (bent, sites) if some), None)


@dataclass(frozen=True)
class _Site:
    """One layer in one forward.

    Attributes:
        layer: with its unit axis.
        content: of its activation [axis, 4]: see `_summary`.
        gradient: of the gradient there; None where there is none.
    """

    layer: Layer
    content: Tensor
    gradient: Tensor | None

    @property
    def counts(self) -> bool:
        """Whether enough units matter, at more than one place of a map of rows and columns."""
        if self.gradient is None:
            return False
        units, (sizes, alive, patches, _) = self.layer.unit_axis - 1, self.gradient.T.tolist()
        if alive[units] < _SHARE * sizes[units]:
            return False
        places = [axis for axis in range(len(sizes)) if axis != units]
        if len(places) == 2:
            return bool(max(alive[axis] for axis in places) > 1)
        return bool(patches[places[0]] > 1) and extra_tokens(int(sizes[places[0]])) is not None


def _alive(score: Score, image: Images) -> list[_Site]:
    """The layers that count, in the order in which they finish; one for each run of layers of one content."""
    runs = itertools.groupby(_not_read(score, _sites(score, image)), lambda site: site.content.flatten().tolist())
    return [chosen for _, run in runs if (chosen := _largest(score, list(run))) is not None and chosen.counts]


def _largest(score: Score, run: list[_Site]) -> _Site | None:
    """Of layers that put out the same, one after the other: the last container, else the one that computed it."""
    making = [site for site in run if not _is_leaf(score, site, _PASS_ON)]
    if not making or _is_leaf(score, making[0], _REARRANGE):
        return None
    return next((site for site in reversed(making) if _has_parts(score, site.layer)), making[0])


def _not_read(score: Score, sites: Mapping[str, _Site]) -> list[_Site]:
    """The layers that do not put out what the objective reads; behind that there is no gradient."""
    read = [sites[name].content for name in score.objective.layers if name in sites]
    return [site for site in sites.values() if not any(torch.equal(site.content, one) for one in read)]


def _sites(score: Score, image: Images) -> dict[str, _Site]:
    """All layers with places, by the names that `capture` gives them."""
    model, inside = score.model, [name for name in score.objective.layers if name]
    if not model.layers():
        return {}
    image = image.detach().clone().requires_grad_()
    with torch.enable_grad(), capture(model, ["*", *inside], reduce=_summary, gradients=True) as activations:
        scores = score(image)
        if not scores.requires_grad:
            return {}
        torch.autograd.grad(scores.sum(), image, allow_unused=True)
    layers = {layer.name: layer for layer in model.layers()} | {name: model.layer(name) for name in inside}
    return {
        name: _Site(layers[name], content, activations.gradients.get(name))
        for name, content in activations.items()
        if name in layers
    }


def _summary(tensor: Tensor) -> Tensor | None:
    """[axis, 4] of each axis but the first. None for what is no map.

    Its length; at how many places of it there is a value that is not zero; the same without what comes before a square
    of patches, if it were an axis of tokens; and a number that differs where the values do.
    """
    if tensor.ndim not in (3, 4) or not tensor.is_floating_point():
        return None
    axes, sizes = range(1, tensor.ndim), tensor.detach().abs()
    profiles = [sizes.sum([other for other in range(tensor.ndim) if other != axis]).double().cpu() for axis in axes]
    return torch.stack([_facts(profile) for profile in profiles])


def _facts(profile: Tensor) -> Tensor:
    places = torch.arange(1, len(profile) + 1, dtype=profile.dtype)
    patches = profile[extra_tokens(len(profile)) or 0 :]
    counts = [torch.count_nonzero(some).to(profile) for some in (profile, patches)]
    return torch.stack([places[-1], *counts, (profile * places).sum()])


def _is_leaf(score: Score, site: _Site, kinds: Iterable[str]) -> bool:
    """Whether it is a layer without parts whose class is one of these kinds."""
    return any(kind in site.layer.kind for kind in kinds) and not _has_parts(score, site.layer)


def _has_parts(score: Score, layer: Layer) -> bool:
    name, _, _ = split(layer.name)
    return "/" not in name and next(bare_module(score.model).get_submodule(name).children(), None) is not None
