"""The hierarchy of a network: what the units of each layer code, from edges to objects, beyond what random twins show.

The network and each of its twins go through the same measures; the twins then say what is nothing that was learned. The
report is one record; beside it lie `hierarchy.json` (what it is of), tables, `report.json` (all facts) and a figure.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from layerscope.capture.evaluating import evaluating
from layerscope.capture.layers import Layer
from layerscope.dissection.early import EarlyStimuli
from layerscope.dissection.measures import Exhibits, Site
from layerscope.dissection.pictures import Pictures
from layerscope.dissection.stimuli.textures import Textures
from layerscope.errors import InputError, UnknownNameError
from layerscope.figures.hierarchy_panels import hierarchy as draw
from layerscope.figures.saving import save
from layerscope.figures.words import plural
from layerscope.given import progress_to
from layerscope.models.model import VisionModel
from layerscope.passes.spread import as_the_network_takes_them
from layerscope.records import Record, Store, content_key, write_whole
from layerscope.studies.crew import Crew, checked_workers
from layerscope.studies.hierarchy_account import Account
from layerscope.studies.hierarchy_files import FIGURE, MANIFEST, checked_place, is_complete, manifest_of, write_manifest
from layerscope.studies.hierarchy_networks import Subject, measured
from layerscope.studies.hierarchy_pictures import CHANGES, MENAGERIE, folder_files, folder_pictures, menagerie_pictures
from layerscope.studies.hierarchy_synthesis import RECIPE, Drawn, shown_units
from layerscope.studies.hierarchy_tables import Row, as_csv, flat
from layerscope.studies.main_layers import before_rectifier, main_layers
from layerscope.studies.manifest import folder_of
from layerscope.studies.probe import named_probe
from layerscope.synthesis.checks import checked_model
from layerscope.synthesis.cost import torch_threads
from layerscope.types import Images, Progress, no_progress
from layerscope.world.catalogue import CLASS_NAMES

LEAST_NULL_UNITS = 99
"""Of the other twins in each layer: with fewer, their largest value is exceeded more often than once in a hundred."""
MOST_TWINS = 16
_SECONDS_PER_UNIT = 0.02  # statistics, readers and pictures, whatever the network
_HOOKED = 2.0  # a forward with all that is kept of it, and with making the image
HONEST = 0.05
"""Share of the units of held-out twins that may be called anything, at most."""


@dataclass(frozen=True)
class Profile:
    """How much work goes into a report.

    twins: networks with random weights, at least; narrow layers take more (`twins_for`). per_class: scenes of each
    class in each half. exemplars: of each texture. draws: of stimuli, for the confidence of labels. splits: of linear
    readers.
    """

    twins: int
    per_class: int
    exemplars: int
    draws: int
    splits: int


PROFILES = {
    "quick": Profile(twins=5, per_class=20, exemplars=28, draws=40, splits=8),
    "full": Profile(twins=10, per_class=50, exemplars=40, draws=200, splits=20),
}


@dataclass(frozen=True)
class Plan:
    """What a report will take: networks, images that each is shown, and about how many seconds in all.

    workers: who share what can be shared; None: this process does all.
    """

    networks: int
    images: int
    seconds: float
    workers: int | None = None


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """A hierarchy report on disk.

    folder: where it lies. record: all facts and arrays. made: networks measured by this call; the others were found.
    """

    folder: Path
    record: Record
    made: int
    seconds: float

    def __repr__(self) -> str:
        return f"Hierarchy({self.words!r}, {plural(len(self.layers), 'layer')}, in {str(self.folder)!r})"

    def _repr_html_(self) -> str:
        """The finding, the figure, and the shares of labels beside those of the twins."""
        from layerscope.figures.cards import hierarchy_card

        return hierarchy_card(self)

    @property
    def facts(self) -> dict[str, Any]:
        """All that was found, as JSON."""
        return self.record.facts

    @property
    def shown(self) -> bool:
        """Whether a hierarchy survives the nulls."""
        return bool(self.facts["shown"])

    @property
    def words(self) -> str:
        """The finding in a sentence."""
        return str(self.facts["words"])

    @property
    def false_rate(self) -> float:
        """Share of the units of held-out twins that are called anything: all of these labels are false."""
        return float(self.facts["false_rate"])

    @property
    def honest(self) -> bool:
        """Whether that share is as small as is promised; otherwise more twins, or wider layers, are needed."""
        return self.false_rate <= HONEST

    @property
    def layers(self) -> tuple[Row, ...]:
        """A row for each layer, in the order of the network."""
        return tuple(self.facts["layers"])

    @cached_property
    def units(self) -> tuple[Row, ...]:
        """A row for each unit, layer by layer."""
        columns = self.facts["units"]
        return tuple(dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))


def twins_for(profile: Profile, main: Sequence[Layer]) -> int:
    """How many twins a report needs, so that those which judge one of them have enough units in the narrowest layer."""
    narrowest = min(layer.units for layer in main)
    return min(max(profile.twins, math.ceil(LEAST_NULL_UNITS / narrowest) + 1), max(profile.twins, MOST_TWINS))


def plan_hierarchy(
    model: VisionModel, probe: str | Path = MENAGERIE, profile: str = "quick", *, workers: int | None = None
) -> Plan:
    """What a report would take; the network is run on a few images to find out.

    workers: of one thread each, who share the images of each network evenly, at best; None: this process shows them.
    Raises as `hierarchy` does, for what can be seen before the work.
    """
    checked_model(model)
    chosen, probe, workers = _profile(profile), named_probe(probe), checked_workers(workers)
    main = _main_layers(model)
    early = EarlyStimuli.of(model.input_size, model.channels)
    swatches = Textures(model.input_size, model.channels, chosen.exemplars)
    if probe == MENAGERIE:
        half = chosen.per_class * len(CLASS_NAMES)
        pictures = half * (6 + len(CHANGES))  # for the masks once more, without textures, and for thresholds
    else:
        pictures = folder_files(probe).forwards
    images, networks = len(early) + len(swatches) + pictures, 1 + twins_for(chosen, main)
    with torch_threads(workers and 1):
        showing = images * _seconds_per_image(model) / (workers or 1)
    rest = _SECONDS_PER_UNIT * sum(layer.units for layer in main)
    return Plan(networks, images, networks * (showing + rest), workers)


def _seconds_per_image(model: VisionModel) -> float:
    grey = torch.full((16, model.channels, model.input_size, model.input_size), 0.5)
    images = next(as_the_network_takes_them(model, [grey]))
    with evaluating(model.module), torch.no_grad():
        taken = [_seconds(model, images) for _ in range(5)]  # the first one warms up; the least is the least disturbed
    return _HOOKED * min(taken) / len(images)


def _seconds(model: VisionModel, images: Images) -> float:
    began = time.perf_counter()
    model(images)
    return time.perf_counter() - began


def hierarchy(
    model: VisionModel,
    probe: str | Path = MENAGERIE,
    profile: str = "quick",
    out: str | Path = "outputs/hierarchy",
    *,
    seed: int = 0,
    executor: Executor | None = None,
    on_progress: Progress = no_progress,
) -> Hierarchy:
    """Measure what the units of each main layer code, and whether that rises from edges to objects.

    probe: "menagerie", or a folder of class folders; without masks there is no test for parts. profile: "quick" or
    "full". seed: from 0 to 2^32 - 1. The report lies in a folder of its own below `out`; what was measured before is
    not measured again, network by network, and what was measured of the twins goes when the report is whole. executor:
    shows all networks all images, in chunks, and draws the pictures, by default here; rendering scenes, drawing twins,
    effective receptive fields, linear readers and statistics stay here, and the bytes are the same whoever does it.
    Raises UnknownNameError for another profile, InputError for a network without layers to tell of, or whose
    activations are no numbers, or that cannot be sent to an executor, for a folder without classes or with too few
    pictures, and for another seed; StorageError where `out` cannot be written, before any work but for a report of
    something else that lies there whole, and WorkerError for a chunk that ends its worker each time: where it was to
    draw pictures, after all others.
    """
    checked_model(model)
    progress_to(on_progress)
    began, chosen, probe = time.perf_counter(), _profile(profile), named_probe(probe)
    out, seed = checked_place(model, out, seed)
    main, crew = _main_layers(model), Crew.of(model, executor)
    pictures = _pictures(model, probe, chosen, seed, on_progress)
    subject, twins = _subject(model, main, pictures, chosen, seed), twins_for(chosen, main)
    how = [RECIPE, model.card.get("spectrum")]
    key = content_key(measures=subject.key(), twins=twins, splits=chosen.splits, drawn=how)
    folder = folder_of(out, model, key, MANIFEST)
    store = Store(folder)
    drawn = Drawn(store, key, pictures, seed)
    found, made = store.find(key), 0
    manifest = manifest_of(model, key, probe, profile, twins, pictures, seed)
    if found is None:
        write_manifest(folder, {**manifest, "complete": False})
        own, others, made = measured(subject, store, twins, crew, on_progress)
        account = Account(subject, main, own, others, chosen.splits, on_progress)
        found = store.write(key, *_told(account, manifest, crew, drawn, on_progress))
    report = Hierarchy(folder, found, made, time.perf_counter() - began)
    if made or not is_complete(folder, key):
        _write_beside(report)
        for part in (*map(subject.key, range(twins)), *drawn.keys(shown_units(report.layers))):
            store.remove(part)  # nobody looks at them any more, and twins are large
        summary = {name: found.facts[name] for name in ("shown", "words", "false_rate")}
        write_manifest(folder, {**manifest, **summary, "seconds": round(report.seconds, 1), "complete": True})
    return report


def _subject(model: VisionModel, main: Sequence[Layer], pictures: Pictures, profile: Profile, seed: int) -> Subject:
    """What is shown to the network, and where it is looked at."""
    size, channels, exemplars = model.input_size, model.channels, profile.exemplars
    early, textures = EarlyStimuli.of(size, channels, seed=seed), Textures(size, channels, exemplars, seed=seed)
    sites = tuple(Site(layer.name, before_rectifier(model, layer)) for layer in main)
    known_by = content_key(pictures=pictures.fingerprint(), size=size, channels=channels, exemplars=exemplars)
    return Subject(model, sites, Exhibits(early, textures, pictures), known_by, profile.draws, seed)


def _write_beside(report: Hierarchy) -> None:
    """Tables, all facts and the figure, beside the record."""
    write_whole(report.folder / "layers.csv", as_csv([flat(row) for row in report.layers]))
    write_whole(report.folder / "units.csv", as_csv(report.units))
    write_whole(report.folder / "report.json", json.dumps({**report.facts, "units": report.units}).encode())
    figure = draw(report)
    for suffix in (".png", ".svg"):
        save(figure, report.folder / f"{FIGURE}{suffix}")


def _told(
    account: Account, manifest: dict[str, Any], crew: Crew, drawn: Drawn, on_progress: Progress
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Facts and arrays of the report, with synthetic pictures of the units that it shows."""
    facts, arrays = account.facts(), account.arrays()
    told, pictures = drawn.by(crew, shown_units(facts["layers"]), on_progress)
    rows = [{**row, "pictures": told[row["name"]]} for row in facts["layers"]]
    return {**manifest, **facts, "layers": rows, "recipe": RECIPE}, {**arrays, **pictures}


def _profile(name: str) -> Profile:
    if not isinstance(name, str) or name not in PROFILES:
        raise UnknownNameError.among("profile", name, PROFILES)
    return PROFILES[name]


def _main_layers(model: VisionModel) -> tuple[Layer, ...]:
    found = main_layers(model)
    if not found:
        raise InputError(
            f"{model.name!r} has no layers before its output; a hierarchy needs some, give a deeper network"
        )
    return found


def _pictures(model: VisionModel, probe: str, profile: Profile, seed: int, on_progress: Progress) -> Pictures:
    if probe != MENAGERIE:
        return folder_pictures(probe, model, seed=seed, on_progress=on_progress)
    return menagerie_pictures(model, profile.per_class, seed=seed, on_progress=on_progress)
