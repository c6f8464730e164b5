"""All that is measured of one network: the same for the trained one and for each of its random twins.

Nothing here knows of any null; `scores` makes statistics of it, and `verdicts` compares networks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from layerscope.dissection.areas import Areas, measure_areas
from layerscope.dissection.colour import ColourTuning
from layerscope.dissection.early import EarlyStimuli, EarlyTuning, early_responses, tuning_of
from layerscope.dissection.pictures import Pictures
from layerscope.dissection.redraws import early_draws, texture_draws
from layerscope.dissection.responses import respond
from layerscope.dissection.stimuli.textures import Textures
from layerscope.dissection.texture import TextureTuning, texture_tuning
from layerscope.dissection.tuning import GratingTuning
from layerscope.errors import InputError
from layerscope.passes.accumulators import ImageMaxima, ImageMeans, Top, TopK
from layerscope.passes.moments import Moments, Statistics
from layerscope.passes.spread import HERE, Workers, sweep_over
from layerscope.types import Progress, Steps, no_progress

if TYPE_CHECKING:
    from layerscope.models.model import VisionModel

Arrays = dict[str, NDArray[Any]]
SILENT = 1e-6
"""A unit whose standard deviation is less, in parts of its mean or of 1, is dead."""
RARELY = 1e-4
"""So is one that is above 0 at so few positions, and never below."""
EXEMPLARS = 9
"""The pictures that excite a unit most, so many are kept."""


@dataclass(frozen=True)
class Site:
    """A layer to measure. `early`: the layer with the same units before the rectifier, for edges and colours."""

    name: str
    early: str


@dataclass(frozen=True, eq=False)
class Exhibits:
    """What every network is shown."""

    early: EarlyStimuli
    textures: Textures
    pictures: Pictures

    @property
    def forwards(self) -> int:
        """How many images one network is shown in all."""
        return len(self.early) + len(self.textures) + self.pictures.forwards


@dataclass(frozen=True, eq=False)
class LayerMeasures:
    """What was measured of the units of one layer.

    Attributes:
        early: tuning to edges and colours, before the rectifier.
        texture: tuning to textures.
        of_textures: mean positive part for each texture, without the twins: float32 [textures, units].
        means, maxima: over positions, of the pictures: float32 [images, units].
        controls: the same of the twins, by "<control>/twins/maxima" and so on: float32 [scored, units].
        active: share of positions above 0, float64 [units].
        alive: bool [units].
        areas: where units are strong and concepts are; None without masks.
        draws: what some measures are for stimuli drawn anew: float32 [draws, units] by name; none for twins.
        top: the EXEMPLARS pictures that excite each unit most, and where; None for twins.
    """

    early: EarlyTuning
    texture: TextureTuning
    of_textures: Tensor
    means: Tensor
    maxima: Tensor
    controls: dict[str, Tensor]
    active: Tensor
    alive: Tensor
    areas: Areas | None
    draws: dict[str, NDArray[np.float32]]
    top: Top | None

    @property
    def units(self) -> int:
        return len(self.alive)

    def arrays(self) -> Arrays:
        """All of it by name, as a record keeps it."""
        found = {f"early/gratings/{name}": value for name, value in _fields(self.early.gratings).items()}
        if self.early.colour is not None:
            found |= {f"early/colour/{name}": value for name, value in _fields(self.early.colour).items()}
        found |= {f"texture/{name}": value for name, value in _fields(self.texture).items() if name != "families"}
        for name in ("of_textures", "means", "maxima", "active", "alive"):
            found[name] = getattr(self, name).numpy()
        found |= {f"controls/{name}": value.numpy() for name, value in self.controls.items()}
        if self.areas is not None:
            found |= {f"areas/{name}": value.numpy() for name, value in _fields(self.areas).items()}
        if self.top is not None:
            found |= {f"top/{name}": value.numpy() for name, value in _fields(self.top).items()}
        return found | {f"draws/{name}": value for name, value in self.draws.items()}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]], families: tuple[str, ...]) -> LayerMeasures:
        """From what `arrays` gave; `families` are the textures."""
        colour = _below(arrays, "early/colour/")
        controls, areas, top = (_tensors(arrays, start) for start in ("controls/", "areas/", "top/"))
        return cls(
            early=EarlyTuning(
                GratingTuning(**_below(arrays, "early/gratings/")), ColourTuning(**colour) if colour else None
            ),
            texture=TextureTuning(families=families, **_below(arrays, "texture/")),
            controls=controls,
            areas=Areas(**areas) if areas else None,
            draws=_below(arrays, "draws/"),
            top=Top(**top) if top else None,
            **{name: torch.from_numpy(arrays[name]) for name in ("of_textures", "means", "maxima", "active", "alive")},
        )


def measure(
    model: VisionModel,
    sites: Sequence[Site],
    exhibits: Exhibits,
    *,
    draws: int = 0,
    seed: int = 0,
    workers: Workers = HERE,
    on_progress: Progress = no_progress,
) -> dict[str, LayerMeasures]:
    """Measure the units of all sites at once, by name. Progress counts images, to `exhibits.forwards`.

    draws: how often stimuli are drawn anew, for the confidence of labels; twins need none, nor `top`, and 0 leaves both
    out. workers: do all the sweeps; the bytes are the same whoever they are. Memory: 4 bytes for each unit, of all
    sites together, and image. Raises InputError where the images do not fit
    the network, and for activations that are no numbers.
    """
    step = Steps(on_progress, exhibits.forwards)
    names, before = [site.name for site in sites], list(dict.fromkeys(site.early for site in sites))
    strongest = {name: TopK(EXEMPLARS) for name in names} if draws else {}
    seen, statistics = _see(model, names, exhibits.pictures, strongest, workers, step)
    _refuse_what_is_no_number(model, seen["means"])
    shown = early_responses(model, before, exhibits.early, workers=workers, on_progress=step)
    step.on(len(exhibits.early))
    swatches = respond(model, exhibits.textures, names, reading="excitation", workers=workers, on_progress=step)
    step.on(len(exhibits.textures))
    blocks = 8 if draws else 1
    areas = measure_areas(model, names, exhibits.pictures, blocks=blocks, workers=workers, on_progress=step)
    bootstraps = 200 if draws else 0
    found = {}
    for site in sites:
        answers, textures = shown[site.early], swatches[site.name].numpy()
        drawn = early_draws(answers, exhibits.early, draws, seed) | texture_draws(
            textures, exhibits.textures, draws, seed
        )
        pictures = {name: values[site.name] for name, values in seen.items()}
        found[site.name] = LayerMeasures(
            early=tuning_of(answers, exhibits.early, bootstraps, seed),
            texture=texture_tuning(textures, exhibits.textures, bootstraps=bootstraps, seed=seed),
            of_textures=torch.from_numpy(textures[::2].copy()),
            means=pictures.pop("means"),
            maxima=pictures.pop("maxima"),
            controls=pictures,
            active=statistics[site.name].active,
            alive=_alive(statistics[site.name]),
            areas=areas.get(site.name),
            draws=drawn,
            top=strongest[site.name].compute() if draws else None,
        )
    return found


def _see(
    model: VisionModel,
    names: Sequence[str],
    pictures: Pictures,
    strongest: Mapping[str, TopK],
    workers: Workers,
    step: Steps,
) -> tuple[dict[str, dict[str, Tensor]], dict[str, Statistics]]:
    """Means and maxima of the pictures and of their twins, and statistics of the pictures alone; these also go to
    `strongest`, by layer."""
    found: dict[str, dict[str, Tensor]] = {}
    statistics: dict[str, Statistics] = {}
    for label, pixels in _shown(pictures):
        kept = {name: (ImageMeans(), ImageMaxima(), Moments()) for name in names}
        also = {} if label else strongest
        every = {name: (*kept[name], also[name]) if name in also else kept[name] for name in names}
        sweep_over(model, pixels, every, workers=workers, on_progress=step)
        step.on(len(pixels))
        found[f"{label}means"] = {name: kept[name][0].compute() for name in names}
        found[f"{label}maxima"] = {name: kept[name][1].compute() for name in names}
        statistics = statistics or {name: kept[name][2].compute() for name in names}
    return found, statistics


def _refuse_what_is_no_number(model: VisionModel, means: Mapping[str, Tensor]) -> None:
    for name, values in means.items():
        wrong = int((~values.isfinite().all(1)).sum())
        if wrong:
            raise InputError(
                f"layer {name!r} of {model.name!r} gives NaN or infinity for {wrong} of {len(values)} pictures; "
                "mend the network, or the pictures that it gets"
            )


def _shown(pictures: Pictures) -> Iterator[tuple[str, Tensor]]:
    yield "", pictures.pixels
    for control in pictures.controls:
        yield f"{control.name}/twins/", control.twins
        if control.images is not None:
            yield f"{control.name}/images/", control.images


def _alive(statistics: Statistics) -> Tensor:
    moves = statistics.variance.sqrt() > SILENT * statistics.mean.abs().clamp(min=1)
    return moves & ~((statistics.active <= RARELY) & (statistics.mean >= 0))


def _fields(one: Any) -> dict[str, Any]:
    return {field.name: getattr(one, field.name) for field in fields(one)}


def _tensors(arrays: Mapping[str, NDArray[Any]], start: str) -> dict[str, Tensor]:
    return {name: torch.from_numpy(value) for name, value in _below(arrays, start).items()}


def _below(arrays: Mapping[str, NDArray[Any]], start: str) -> Arrays:
    return {name.removeprefix(start): value for name, value in arrays.items() if name.startswith(start)}
