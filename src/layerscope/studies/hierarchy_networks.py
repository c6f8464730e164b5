"""Measures of a network and of its twins, one record each, so that a report that was interrupted goes on."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import torch

from layerscope.dissection.measures import Exhibits, LayerMeasures, Site, measure
from layerscope.dissection.twins import random_twin
from layerscope.models.model import VisionModel
from layerscope.passes.spread import Workers, as_the_network_takes_them
from layerscope.records import Record, Store, content_key
from layerscope.studies.crew import Crew
from layerscope.types import Images, Progress, Steps, no_progress

SCHEMA = 1
_CALIBRATION = 256  # images on which the statistics of twins are estimated
Measured = dict[str, LayerMeasures]


@dataclass(frozen=True, eq=False)
class Subject:
    """A network, what of it is measured, and with what.

    exhibits_key: what the exhibits are known by. draws: how often stimuli are drawn anew, for the network alone.
    """

    model: VisionModel
    sites: tuple[Site, ...]
    exhibits: Exhibits
    exhibits_key: str
    draws: int
    seed: int

    def key(self, twin: int | None = None) -> str:
        """The key of the record of the network, or of one of its twins."""
        return content_key(
            schema=SCHEMA,
            kind="measures",
            layerscope=version("layerscope"),
            network=self.model.fingerprint,
            twin=twin,
            sites=[[site.name, site.early] for site in self.sites],
            exhibits=self.exhibits_key,
            draws=self.draws if twin is None else 0,
            seed=self.seed,
        )


def measured(
    subject: Subject, store: Store, twins: int, crew: Crew, on_progress: Progress = no_progress
) -> tuple[Measured, list[Measured], int]:
    """The measures of the network, those of its twins, and how many of all these were made now.

    What the store has already is not measured again. crew: sweeps; each twin is drawn here, one after the other, and
    then sent to it as the network was. Progress counts images, over all networks.
    """
    each, wanted = subject.exhibits.forwards, [None, *range(twins)]
    found, made, step = [], 0, Steps(on_progress, len(wanted) * each)
    for twin in wanted:
        record = store.find(subject.key(twin))
        if record is None:
            record = _made(subject, store, twin, crew, step)
            made += 1
        found.append(_read(subject, record))
        step.on(each)
        step(0, 0, "images")
    return found[0], found[1:], made


def _made(subject: Subject, store: Store, twin: int | None, crew: Crew, on_progress: Progress) -> Record:
    model, workers, draws = subject.model, crew.workers, subject.draws
    if twin is not None:
        model, draws = random_twin(model, _calibration(subject), seed=subject.seed * 1000 + twin), 0
        workers = Workers.of(model, crew.workers.executor)
    how: dict[str, Any] = {"draws": draws, "seed": subject.seed, "workers": workers, "on_progress": on_progress}
    layers = measure(model, subject.sites, subject.exhibits, **how)
    facts: dict[str, Any] = {
        "schema": SCHEMA,
        "kind": "measures",
        "network": subject.model.name,
        "twin": twin,
        "layers": list(layers),
    }
    arrays = {f"{layer}/{name}": array for layer, one in layers.items() for name, array in one.arrays().items()}
    return store.write(subject.key(twin), facts, arrays)


def _read(subject: Subject, record: Record) -> Measured:
    families = subject.exhibits.textures.families
    return {site.name: LayerMeasures.of(_of_layer(record, site.name), families) for site in subject.sites}


def _of_layer(record: Record, layer: str) -> dict[str, Any]:
    start = f"{layer}/"
    return {name.removeprefix(start): value for name, value in record.arrays.items() if name.startswith(start)}


def _calibration(subject: Subject) -> Images:
    """Some of the images that choose, evenly from all of them: folders list class by class.

    Shuffled, always alike, since twins without BatchNorm are matched to the network on the first batch of them.
    """
    pictures = subject.exhibits.pictures
    places = torch.linspace(0, pictures.chosen - 1, min(_CALIBRATION, pictures.chosen)).round().long().unique()
    places = places[torch.randperm(len(places), generator=torch.Generator().manual_seed(0))]
    images = pictures.pixels[places].float() / 255
    return next(as_the_network_takes_them(subject.model, [images]))
