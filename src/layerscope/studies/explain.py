"""Why this label: several methods on one image, each with the evidence that it can be trusted, the units that mattered,
and for rendered scenes what truly caused the label.

An explanation is one record, named by all that it depends on; what is there already is not made again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from layerscope.attribution.baselines import BASELINES
from layerscope.attribution.methods import METHODS
from layerscope.attribution.score import Target, as_objective
from layerscope.capture.memory import bytes_of
from layerscope.errors import InputError, UnknownNameError
from layerscope.models.model import VisionModel
from layerscope.models.photo_files import Source
from layerscope.names import slug
from layerscope.records import Record, Store, content_key, write_whole
from layerscope.studies.account import Account, Asked
from layerscope.studies.explanation_figure import write_figures
from layerscope.studies.main_layers import main_layers
from layerscope.studies.manifest import network_facts
from layerscope.studies.probe import open_probe
from layerscope.studies.reference import Reference, measure_reference
from layerscope.studies.subject import Subject, read_subject
from layerscope.studies.unit_pictures import UnitPictures
from layerscope.types import Progress, no_progress
from layerscope.world import CLASS_NAMES, Scenes

SCHEMA = 1
DEFAULT_METHODS = (
    "deeplift",
    "integrated_gradients",
    "lrp",
    "occlusion",
    "saliency",
    "smoothgrad",
    "guided_backprop",
    "grad_cam",
)
PROBED = 512
"""Probe scenes that make the reference of a network of the menagerie."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """An explanation on disk: its folder, its facts and arrays, and whether this call made it or found it there."""

    folder: Path
    record: Record
    made: bool

    @property
    def facts(self) -> dict[str, Any]:
        """All that was found, as JSON."""
        return self.record.facts

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """The image, and the maps by name ("map/target/deeplift": float32 [height, width])."""
        return self.record.arrays

    @property
    def label(self) -> str:
        """The predicted class."""
        return str(self.facts["labels"][0]["class"])

    @property
    def probability(self) -> float:
        """That the network gives to the predicted class."""
        return float(self.facts["labels"][0]["probability"])


class Explainer:
    """Explains images of one network; what it measures over the probe set serves all of them.

    Raises UnknownNameError for methods, classes and layers that do not exist, before any work.
    """

    def __init__(
        self,
        model: VisionModel,
        *,
        target: Target | None = None,
        versus: str | int | None = None,
        methods: Sequence[str] = DEFAULT_METHODS,
        layer: str | None = None,
        baseline: str = "blur",
        probe: str | None = None,
        gallery: str | Path | None = None,
        seed: int = 0,
        memory: float | str = "1 GiB",
        on_progress: Progress = no_progress,
    ) -> None:
        if not isinstance(model, VisionModel):
            raise InputError(f"a {type(model).__name__} is no VisionModel; open it with load_model, or wrap(module)")
        for method in methods:
            if method not in METHODS or METHODS[method].layered:
                pictured = [name for name, one in METHODS.items() if not one.layered]
                raise UnknownNameError.among("method that draws maps of images:", method, pictured)
        if not methods:
            raise InputError(f"no methods asked for; give some of {', '.join(DEFAULT_METHODS)}")
        if baseline not in BASELINES:
            raise UnknownNameError.among("baseline", baseline, BASELINES)
        bytes_of(memory)  # what is no budget is said before any work
        self.model, self.methods = model, tuple(dict.fromkeys(methods))
        self.target = None if target is None else as_objective(model, target)
        self._asked_target = target if isinstance(target, str | int) else str(self.target)
        self.versus = None if versus is None else model.class_index(versus)
        self.layer = None if layer is None else model.layer(layer).name
        self.baseline, self.seed, self.memory = baseline, seed, memory
        self._progress, self._pictures = on_progress, UnitPictures(model, Path(gallery) if gallery else None)
        self._gallery = str(gallery) if gallery else None
        self._layers = main_layers(model)
        self.probe = probe or ("menagerie" if _is_of_the_menagerie(model) else None)
        self._reference: Reference | None = None
        self._probe_fingerprint: str | None = None

    def explain(self, source: Source | Scenes, out: Path) -> Explanation:
        """Explain one picture in a folder of its own below `out`."""
        began, subject = time.perf_counter(), read_subject(source, self.model)
        reference = self._measured()
        key = self._key(subject)
        folder = self._folder(out, subject, key)
        store = Store(folder)
        found = store.find(key)
        if found is not None:
            return Explanation(folder, found, made=False)
        asked = Asked(self.target, self.versus, self.methods, self.layer, self.baseline, self.seed, self.memory)
        account = Account(self.model, subject, asked, self._layers, reference, self._pictures, self._progress)
        facts, arrays = account.facts(), account.arrays
        record = store.write(key, {**facts, "seconds": round(time.perf_counter() - began, 1)}, arrays)
        write_figures(folder, record)
        write_whole(folder / "explanation.json", json.dumps(self._manifest(subject, key), indent=1).encode())
        return Explanation(folder, record, made=True)

    def _measured(self) -> Reference | None:
        """What the network does on its probe set, measured once."""
        if self._reference is None and self.probe is not None:
            probe = open_probe(self.probe, self.model, PROBED, self._progress)
            self._probe_fingerprint = probe.fingerprint
            self._reference = measure_reference(self.model, self._layers, probe, self._progress)
        return self._reference

    def _key(self, subject: Subject) -> str:
        return content_key(
            schema=SCHEMA,
            layerscope=version("layerscope"),
            network=self.model.fingerprint,
            image=subject.facts,
            target=None if self.target is None else str(self.target),
            versus=self.versus,
            methods=list(self.methods),
            layer=self.layer,
            baseline=self.baseline,
            seed=self.seed,
            probe=self._probe_fingerprint,
            pictures=self._pictures.fingerprint,
        )

    def _folder(self, out: Path, subject: Subject, key: str) -> Path:
        """One folder per picture; another picture, or other questions, under the same name get one of their own."""
        folder = out / slug(self.model.name) / slug(subject.name)
        known = _key_in(folder)
        return folder if known in (None, key) else folder.with_name(f"{folder.name}-{key[:8]}")

    def _manifest(self, subject: Subject, key: str) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "kind": "explanation",
            "layerscope": version("layerscope"),
            "key": key,
            "network": network_facts(self.model),
            "image": subject.facts,
            "command": self._command(subject),
        }

    def _command(self, subject: Subject) -> str:
        """The line of Python that makes the explanation again, where `load_model` can open the network."""
        model, given = self.model, []
        weights = f", weights={model.weights!r}" if model.weights else ""
        opening = "model" if model.spec is None else f"ls.load_model({model.spec!r}{weights})"
        if self.target is not None:
            given.append(f"target={self._asked_target!r}")
        if self.versus is not None:
            given.append(f"versus={self.versus!r}")
        if self.methods != DEFAULT_METHODS:
            given.append(f"methods={list(self.methods)!r}")
        given += [f"{name}={value!r}" for name, value in (("layer", self.layer), ("probe", self.probe)) if value]
        given += [f"baseline={self.baseline!r}"] if self.baseline != "blur" else []
        given += [f"seed={self.seed}"] if self.seed else []
        arguments = ", ".join([opening, repr(subject.facts["source"]), *given])
        return f"import layerscope as ls; ls.explain({arguments})"


def explain(
    model: VisionModel,
    image: Source | Scenes,
    out: str | Path = "outputs/explain",
    *,
    target: Target | None = None,
    versus: str | int | None = None,
    methods: Sequence[str] = DEFAULT_METHODS,
    layer: str | None = None,
    baseline: str = "blur",
    probe: str | None = None,
    gallery: str | Path | None = "outputs/gallery",
    seed: int = 0,
    memory: float | str = "1 GiB",
    on_progress: Progress = no_progress,
) -> Explanation:
    """Explain why one image got its label, in a folder of its own below `out`; what is there already is found again.

    Args:
        image: a picture file, "-" for standard input, bytes, or a scene of the menagerie: "scene:owl:7", or one that
            `world.render` made. Only of scenes the true causes can be taken away.
        target: what is explained (see `attribute`); default the predicted class.
        versus: the class that it is set against; default the runner-up.
        methods: names in METHODS, of methods that draw maps of images.
        layer: for class activation maps; default the last with several positions.
        baseline: what images are compared with, by name.
        probe: images that the network knows: a folder of class folders, or "menagerie", which is the default for
            networks of its classes. Without one it is not said whether the image is like them, nor are probabilities
            calibrated.
        gallery: folder of galleries, whose pictures of units are shown where they are of this network.
        memory: about how much the activations of images run at once may take.

    Writes `explanation.json`, a record, `maps.npz`, `explanation.png` and `explanation.svg`, each whole or not at all.
    Raises InputError for what is no picture, and for methods, classes and layers that do not exist; StorageError where
    `out` cannot be written. A method that has no rule for an operation of the network says so in its place.
    """
    explainer = Explainer(
        model,
        target=target,
        versus=versus,
        methods=methods,
        layer=layer,
        baseline=baseline,
        probe=probe,
        gallery=gallery,
        seed=seed,
        memory=memory,
        on_progress=on_progress,
    )
    return explainer.explain(image, Path(out))


def _is_of_the_menagerie(model: VisionModel) -> bool:
    """Whether its classes are the menagerie's, so that scenes are what it knows."""
    return model.class_names is not None and set(CLASS_NAMES) <= set(model.class_names) and model.channels == 3


def _key_in(folder: Path) -> str | None:
    try:
        facts = json.loads((folder / "explanation.json").read_bytes())
    except (OSError, ValueError):
        return None
    return str(facts.get("key")) if isinstance(facts, dict) else None
