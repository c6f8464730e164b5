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

from layerscope.attribution.score import Target
from layerscope.errors import InputError
from layerscope.models.model import VisionModel
from layerscope.models.photo_files import Source
from layerscope.names import slug
from layerscope.records import Record, Store, content_key, storage_errors, write_whole
from layerscope.studies.account import Account
from layerscope.studies.asked import DEFAULT_METHODS, ask
from layerscope.studies.explanation_files import FIGURES, write_figures
from layerscope.studies.main_layers import main_layers
from layerscope.studies.manifest import network_facts, opening
from layerscope.studies.probe import open_probe
from layerscope.studies.reference import Reference, measure_reference
from layerscope.studies.subject import Subject, read_subject
from layerscope.studies.unit_pictures import UnitPictures
from layerscope.synthesis.checks import checked_model
from layerscope.types import Progress, no_progress
from layerscope.world import CLASS_NAMES, Scenes

SCHEMA = 1
PROBED = 512
"""Probe scenes that make the reference of a network of the menagerie."""
_MANIFEST = "explanation.json"


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
        """The predicted class. Raises InputError for a network that puts out no classes."""
        return str(self._first["class"])

    @property
    def probability(self) -> float:
        """That the network gives to the predicted class. Raises InputError where it has less than two."""
        probability = self._first["probability"]
        if probability is None:
            raise InputError(f"{self.facts['network']!r} has a single output, so no probability; see facts['target']")
        return float(probability)

    def __repr__(self) -> str:
        return f"Explanation({self.facts['image']['name']!r}: {_question(self.facts)}; in {str(self.folder)!r})"

    def _repr_html_(self) -> str:
        """The image, its labels, and the maps with their checks."""
        from layerscope.figures.cards import explanation_card

        return explanation_card(self)

    @property
    def _first(self) -> dict[str, Any]:
        if not self.facts["labels"]:
            raise InputError(f"{self.facts['network']!r} puts out no classes, so no label; see facts['target']")
        first: dict[str, Any] = self.facts["labels"][0]
        return first


class Explainer:
    """Explains images of one network; what it measures over the probe set serves all of them.

    Raises UnknownNameError and InputError as `ask` does, before any work.
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
        self.model, self._layers = checked_model(model), main_layers(model)
        self.asked = ask(
            model,
            target=target,
            versus=versus,
            methods=methods,
            layer=layer,
            baseline=baseline,
            seed=seed,
            memory=memory,
        )
        self._progress, self._pictures = on_progress, UnitPictures(model, Path(gallery) if gallery else None)
        self.probe = probe or ("menagerie" if _is_of_the_menagerie(model) else None)
        self._reference: Reference | None = None
        self._probe_fingerprint: str | None = None

    def explain(self, source: Source | Scenes, out: Path) -> Explanation:
        """Explain one picture in a folder of its own below `out`; what an interrupt left out there is made up for."""
        began, subject = time.perf_counter(), read_subject(source, self.model)
        reference = self._measured()
        key = self._key(subject)
        folder = self._folder(out, subject, key)
        store = Store(folder)
        found = store.find(key)
        if found is not None and _key_in(folder) == key and all((folder / name).is_file() for name in FIGURES):
            return Explanation(folder, found, made=False)
        if found is None:
            account = Account(self.model, subject, self.asked, self._layers, reference, self._pictures, self._progress)
            with storage_errors("write", folder / _MANIFEST):
                folder.mkdir(parents=True, exist_ok=True)  # what cannot be written is said before the work
            facts, arrays = account.facts(), account.arrays
            record = store.write(key, {**facts, "seconds": round(time.perf_counter() - began, 1)}, arrays)
        else:
            record = found
        manifest = self._manifest(subject, record)
        write_figures(folder, record, manifest)
        write_whole(folder / _MANIFEST, json.dumps(manifest, indent=1).encode())
        return Explanation(folder, record, made=found is None)

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
            target=None if self.asked.target is None else str(self.asked.target),
            versus=self.asked.versus,
            methods=list(self.asked.methods),
            layer=self.asked.layer,
            baseline=self.asked.baseline,
            seed=self.asked.seed,
            probe=self._probe_fingerprint,
            pictures=self._pictures.fingerprint,
        )

    def _folder(self, out: Path, subject: Subject, key: str) -> Path:
        """One folder per picture; another picture, or other questions, under the same name get one of their own."""
        folder = out / slug(self.model.name) / slug(subject.name)
        known = _key_in(folder)
        return folder if known in (None, key) else folder.with_name(f"{folder.name}-{key[:8]}")

    def _manifest(self, subject: Subject, record: Record) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "kind": "explanation",
            "layerscope": version("layerscope"),
            "key": record.key,
            "network": network_facts(self.model),
            "image": subject.facts,
            "question": _question(record.facts),
            "command": self._command(subject),
        }

    def _command(self, subject: Subject) -> str:
        """The line of Python that makes the explanation again."""
        arguments = ", ".join([opening(self.model), repr(subject.source), *self.asked.arguments(self.probe)])
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
        versus: the class that it is set against; default the runner-up. Where the network predicts it for an image and
            there is no target, the record says so, and nothing is set against each other.
        methods: names in METHODS, of methods that draw maps of images.
        layer: for class activation maps; default the last with several positions.
        baseline: what images are compared with, by name.
        probe: images that the network knows: a folder of class folders, or "menagerie", which is the default for
            networks of its classes. Without one it is not said whether the image is like them, nor are probabilities
            calibrated.
        gallery: folder of galleries, whose pictures of units are shown where they are of this network.
        memory: about how much the activations of images run at once may take.

    Writes `explanation.json`, a record, `maps.npz`, `explanation.png` and `explanation.svg`, each whole or not at all.
    Raises InputError for what is no picture, for methods, classes and layers that do not exist, for a target or a rival
    that the network cannot be asked about, and where it puts out what is not finite; StorageError where `out` cannot be
    written. A method that has no rule for an operation of the network says so in its place.
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


def _question(facts: dict[str, Any]) -> str:
    """What was asked, in words that tell explanations of one image apart."""
    versus, target = facts["versus"], facts["target"]
    asked = f"why {target['label']}" if target["index"] is not None else f"what speaks for {target['label']}"
    return asked if versus is None else f"{asked} and not {versus['label']}"


def _key_in(folder: Path) -> str | None:
    """Of the explanation that lies in a folder; None where there is none that can be read."""
    try:
        facts = json.loads((folder / _MANIFEST).read_bytes())
    except (OSError, ValueError):
        return None
    return str(facts.get("key")) if isinstance(facts, dict) else None
