"""PG-2: units that are known over five layers get their labels, and a study that is broken anywhere is told from a whole one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from planted_hierarchy import (
    DEAD,
    RANDOM,
    SITES,
    PlantedNet,
    planted_exhibits,
    planted_model,
)

from layerscope.capture.hooks import capture
from layerscope.dissection import scores as scoring
from layerscope.dissection import verdicts as judging
from layerscope.dissection.areas import measure_areas
from layerscope.dissection.discovery import benjamini_hochberg
from layerscope.dissection.early import early_tuning
from layerscope.dissection.measures import Exhibits, LayerMeasures, measure
from layerscope.dissection.pictures import Pictures, TruthMasks
from layerscope.dissection.responses import respond
from layerscope.dissection.scores import LayerScores, score
from layerscope.dissection.texture import texture_tuning
from layerscope.dissection.twins import random_twin
from layerscope.dissection.verdicts import CODED, LayerVerdict, layer_verdict
from layerscope.models.model import VisionModel

TWINS = 5
MORE = {("energised", "edge"): {"part"}}
"""What a unit may be called beside its own name: the energy of bars does lie on parts more than that of random filters."""
INDIFFERENT = "part: does not take its own object and the same parts elsewhere for the same"
FALSE = "random units called anything"
Measured = dict[str, LayerMeasures]
KINDS = ("edge", "colour", "colour-edge", "texture", "part", "object")


@dataclass(frozen=True)
class Planted:
    """The network and its twins, and what was measured of them."""

    networks: list[VisionModel]
    exhibits: Exhibits
    measured: list[Measured]

    @property
    def net(self) -> PlantedNet:
        module = self.networks[0].module
        assert isinstance(module, PlantedNet)
        return module

    def kinds(self, layer: str) -> NDArray[np.str_]:
        return np.array([unit.label for unit in self.net.known[layer]])

    def judged(self, pictures: Pictures | None = None) -> dict[str, Judged]:
        """Scores and verdicts of each layer, as a report makes them."""
        shown, found = pictures or self.exhibits.pictures, {}
        for site in SITES:
            own, *twins = [score(one[site.name], shown, permutations=100) for one in self.measured]
            verdict = layer_verdict(own, twins)
            found[site.name] = Judged(self.kinds(site.name), self.measured[0][site.name], own, verdict)
        return found


@dataclass(frozen=True)
class Judged:
    """A layer: what its units are, and what is said of them."""

    kind: NDArray[np.str_]
    measures: LayerMeasures
    scores: LayerScores
    verdict: LayerVerdict

    @property
    def called(self) -> NDArray[np.str_]:
        return np.array([label.category for label in self.verdict.labels])


def plant(seed: int = 0) -> Planted:
    model, exhibits = planted_model(seed), planted_exhibits(seed)
    chosen = exhibits.pictures.pixels[: exhibits.pictures.chosen].float() / 255
    networks = [model, *(random_twin(model, chosen, seed=100 * seed + twin) for twin in range(TWINS))]
    return Planted(networks, exhibits, [measure(one, SITES, exhibits) for one in networks])


@pytest.fixture(scope="module")
def planted() -> Planted:
    return plant()


@pytest.fixture(scope="module")
def judged(planted: Planted) -> dict[str, Judged]:
    return planted.judged()


def complaints(found: Mapping[str, Judged]) -> Iterator[str]:
    """Which bounds of the issue for a planted network do not hold."""
    for layer, one in found.items():
        for kind in KINDS:
            called = one.called[one.kind == kind]
            wrong = {*called.tolist()} - {kind, *MORE.get((layer, kind), ())}
            if wrong:
                yield f"{layer}: {kind} called {sorted(wrong)}"
        if not bool(one.verdict.passed["edge"].numpy()[np.isin(one.kind, ("edge", "colour-edge"))].all()):
            yield f"{layer}: edges that do not pass the test for edges"
        certain = one.kind != "none"  # a random unit may be dead after its rectifier
        if not np.array_equal((one.called == "dead")[certain], (one.kind == "dead")[certain]):
            yield f"{layer}: others than the dead called dead, or dead ones not"
    random = np.concatenate([one.called[one.kind == "none"] for one in found.values()])
    if float(np.isin(random, CODED).mean()) > 0.1:
        yield f"{np.isin(random, CODED).sum()} of {len(random)} {FALSE}"
    yield from _unsupported(found)


def _unsupported(found: Mapping[str, Judged]) -> Iterator[str]:
    """What the evidence for textures, parts and objects should say, and does not."""
    textures, parts, objects = (found[layer] for layer in ("textured", "matched", "fired"))
    p, spectral = textures.scores.texture_p.numpy(), textures.kind == "spectral"
    if bool((p[textures.kind == "texture"] >= 0.01).any()):
        yield "texture: p of 0.01 or more"
    if bool((p[spectral] <= 0.05).any() | (textures.called[spectral] == "texture").any()):
        yield "texture: energy taken for it"
    if not {*textures.called[spectral].tolist()} <= {"none", "edge"}:
        yield f"texture: energy called {sorted({*textures.called[spectral].tolist()})}"
    configured = parts.scores.configured
    indifferent = ((configured.low <= 0.5) & (configured.high >= 0.5)).numpy()
    if not bool(indifferent[parts.kind == "part"].all()):
        yield INDIFFERENT
    if bool((objects.scores.configured.auc.numpy()[objects.kind == "object"] < 0.9).any()):
        yield "object: does not tell it from the same parts elsewhere"


def check(found: Mapping[str, Judged]) -> None:
    """Raises AssertionError where a bound does not hold."""
    wrong = list(complaints(found))
    assert not wrong, "; ".join(wrong)


def test_all_planted_units_get_their_labels(judged: dict[str, Judged]) -> None:
    check(judged)


@pytest.mark.slow
def test_other_draws_pass_too() -> None:
    """Other filters, scenes and twins; false labels over all of them. That the interval of a part unit does not hold .5
    happens to 5 in 100."""
    random = []
    for seed in range(1, 5):
        found = plant(seed).judged()
        wrong = [one for one in complaints(found) if one != INDIFFERENT and not one.endswith(FALSE)]
        assert not wrong, (seed, wrong)
        random += [one.called[one.kind == "none"] for one in found.values()]
    assert float(np.isin(np.concatenate(random), CODED).mean()) <= 0.1


def test_preferences_are_those_that_were_planted(planted: Planted, judged: dict[str, Judged]) -> None:
    for layer in ("rectified", "energised"):
        known, tuned = planted.net.known[layer], judged[layer].measures.early
        edges = judged[layer].kind == "edge"
        error = apart(tuned.gratings.orientation, np.array([unit.orientation for unit in known]), 180)[edges]
        assert float(np.quantile(error, 0.95)) <= 2
        frequency = np.array([unit.frequency for unit in known])[edges]
        assert float(np.quantile(np.abs(np.log2(tuned.gratings.frequency[edges] / frequency)), 0.95)) <= 0.2
    colour, hue = (
        judged["rectified"].measures.early.colour,
        np.array([unit.hue for unit in planted.net.known["rectified"]]),
    )
    assert colour is not None
    kind = judged["rectified"].kind
    assert apart(colour.hue, hue, 360)[kind == "colour"].max() <= 1
    assert apart(colour.axis, hue, 180)[kind == "colour-edge"].max() <= 1


def test_concepts_are_those_that_were_planted(planted: Planted, judged: dict[str, Judged]) -> None:
    """Each unit for a part overlaps with its own, each unit for an object tells its own class."""
    pictures = planted.exhibits.pictures
    parts, objects = judged["matched"], judged["fired"]
    assert parts.scores.parts is not None
    names = [concept.name for concept in pictures.concepts if concept.category == "part"]
    for unit, known in enumerate(planted.net.known["matched"]):
        if known.label == "part":
            assert names[int(parts.scores.parts[unit].argmax())] == known.name
            assert float(parts.scores.parts[unit].max()) > 0.5
            assert float(parts.scores.configured.auc[unit]) == pytest.approx(0.5, abs=0.1)
    for unit, known in enumerate(planted.net.known["fired"]):
        if known.label == "object":
            assert pictures.class_names[int(objects.scores.own[unit])] == known.name
            assert float(objects.scores.auc[unit].max()) >= 0.9


@pytest.mark.parametrize(("p", "category"), [(0.5, "texture"), (0.002, "none")])
def test_twins_that_answer_by_chance_set_no_limit(planted: Planted, p: float, category: str) -> None:
    """Of a unit that answers to a single swatch the modulation is 1; only where it is no accident textures need more."""
    own, *twins = [score(one["textured"], planted.exhibits.pictures, permutations=20) for one in planted.measured]
    modulation, chance = twins[0].texture.clone(), twins[0].texture_p.clone()
    modulation[-RANDOM - DEAD], chance[-RANDOM - DEAD] = 1.0, p
    twins[0] = replace(twins[0], texture=modulation, texture_p=chance)
    labels = layer_verdict(own, twins).labels
    assert {label.category for label in labels[:5]} == {category}


def test_parts_that_are_in_every_picture_tell_nothing(planted: Planted) -> None:
    pictures = planted.exhibits.pictures
    assert pictures.masks is not None
    truth = {name: one.clone() for name, one in pictures.masks.truth.items()}
    truth["part"][:, :16, :16] = 0
    masks = TruthMasks(truth, [one for one in pictures.masks.concepts if one[:2] == ("part", "ring")])
    p = score(planted.measured[0]["matched"], replace(pictures, masks=masks), permutations=5).part_p
    assert p is not None
    assert p.tolist() == [1.0] * len(p)


def test_a_few_units_among_many_are_found(planted: Planted) -> None:
    """Five units for objects among 256 that take scattered parts for the same."""
    scores = score(planted.measured[0]["fired"], planted.exhibits.pictures, permutations=100)
    among = torch.cat([scores.configured.p[:5], torch.linspace(0.05, 1, 256, dtype=torch.float64)])
    assert benjamini_hochberg(among).found.nonzero()[:, 0].tolist() == [0, 1, 2, 3, 4]


def test_fields_are_exact(planted: Planted) -> None:
    """By hand, and by what a gradient reaches."""
    known = {
        "edges": (13, 2),
        "energised": (13, 2),
        "textured": (13, 2),
        "parts": (29, 2),
        "matched": (41, 4),
        "fired": (65, 4),
    }
    layers = {layer.name: layer for layer in planted.networks[0].layers()}
    assert {name: (layers[name].receptive_field, layers[name].stride) for name in known} == known
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    random = slice(-RANDOM - DEAD, -DEAD)
    for name in ("edges", "energies", "textures", "parts"):
        with capture(planted.networks[0], name, detach=False) as seen:
            planted.networks[0](images)
        (reached,) = torch.autograd.grad(seen[name][0, random, 16, 16].sum(), images)
        there = reached[0].abs().sum(0).nonzero()
        field = layers[name].receptive_field
        assert (there.amax(0) - there.amin(0) + 1).tolist() == [field, field]
        assert ((there.amax(0) + there.amin(0)) / 2).tolist() == [32, 32]


def labels_shuffled(planted: Planted, patch: pytest.MonkeyPatch) -> dict[str, Judged]:
    pictures = planted.exhibits.pictures
    halves = pictures.labels.split(pictures.chosen)
    random = torch.Generator().manual_seed(0)
    shuffled = torch.cat([half[torch.randperm(len(half), generator=random)] for half in halves])
    return planted.judged(replace(pictures, labels=shuffled))


def twins_dropped(planted: Planted, patch: pytest.MonkeyPatch) -> dict[str, Judged]:
    def everything(judge: object, scores: LayerScores) -> dict[str, torch.Tensor]:
        return {test: torch.ones_like(scores.alive) for test in ("edge", "colour", "texture", "object", "part")}

    patch.setattr(judging.Judge, "beyond", everything)
    return planted.judged()


def half_of_the_twins_are_enough(planted: Planted, patch: pytest.MonkeyPatch) -> dict[str, Judged]:
    patch.setattr(judging.Judge.__init__, "__defaults__", (0.5,))
    return planted.judged()


def parts_taken_for_objects(planted: Planted, patch: pytest.MonkeyPatch) -> dict[str, Judged]:
    groups = judging._groups

    def swapped(scores: LayerScores) -> dict[str, judging.Groups]:
        found = groups(scores)
        return {**found, "part": found["object"], "object": found["part"]}

    patch.setattr(judging, "_groups", swapped)
    return planted.judged()


def configuration_not_asked(planted: Planted, patch: pytest.MonkeyPatch) -> dict[str, Judged]:
    """Any unit that tells a class would be one for objects."""
    groups = judging._groups
    patch.setattr(judging, "_groups", lambda scores: {**groups(scores), "object": (scores.auc,)})
    responds = LayerScores.responds

    def more(scores: LayerScores, rate: float = 0.05) -> dict[str, torch.Tensor]:
        return {**responds(scores, rate), "object": scores.alive}

    patch.setattr(LayerScores, "responds", more)
    return planted.judged()


def masks_shuffled(planted: Planted, patch: pytest.MonkeyPatch) -> dict[str, Judged]:
    """Among the images of each half; no matter for the twins."""
    pictures = planted.exhibits.pictures
    assert pictures.masks is not None
    order = torch.cat([torch.arange(pictures.chosen).roll(5), torch.arange(pictures.chosen, len(pictures)).roll(5)])
    masks = TruthMasks({name: one[order] for name, one in pictures.masks.truth.items()}, pictures.masks.concepts)
    shuffled, (own, *twins) = replace(pictures, masks=masks), planted.measured
    areas = measure_areas(planted.networks[0], ["matched"], shuffled)["matched"]
    own = {**own, "matched": replace(own["matched"], areas=areas)}
    return replace(planted, measured=[own, *twins]).judged(shuffled)


def nothing_scattered(planted: Planted, patch: pytest.MonkeyPatch) -> dict[str, Judged]:
    def same(measures: LayerMeasures, pictures: Pictures, control: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
        return (measures.maxima[pictures.chosen :],) * 2

    patch.setattr(scoring, "compared", same)
    return planted.judged()


def spectra_left_in(planted: Planted, patch: pytest.MonkeyPatch) -> dict[str, Judged]:
    """Textures compared with nothing, where they should be with phase-randomised twins."""
    network, textures = planted.networks[0], planted.exhibits.textures
    shown = respond(network, textures, ["textured"], reading="excitation")["textured"].numpy().copy()
    shown[1::2] = 0
    own, *twins = planted.measured
    own = {**own, "textured": replace(own["textured"], texture=texture_tuning(shown, textures, bootstraps=0))}
    return replace(planted, measured=[own, *twins]).judged()


def after_the_rectifier(planted: Planted, patch: pytest.MonkeyPatch) -> dict[str, Judged]:
    measured = []
    for network, one in zip(planted.networks, planted.measured, strict=True):
        early = early_tuning(network, ["rectified"], planted.exhibits.early, bootstraps=0)["rectified"]
        measured.append({**one, "rectified": replace(one["rectified"], early=early)})
    return replace(planted, measured=measured).judged()


def dead_taken_for_living(planted: Planted, patch: pytest.MonkeyPatch) -> dict[str, Judged]:
    living = [
        {layer: replace(one, alive=torch.ones_like(one.alive)) for layer, one in measured.items()}
        for measured in planted.measured
    ]
    return replace(planted, measured=living).judged()


Mutation = Callable[[Planted, pytest.MonkeyPatch], dict[str, Judged]]
MUTATIONS: list[tuple[Mutation, str]] = [
    (labels_shuffled, "fired: object called .'none'.*object: does not tell it"),
    (twins_dropped, "random units called anything"),
    (half_of_the_twins_are_enough, "random units called anything"),
    (parts_taken_for_objects, "matched: part called .*fired: object called"),
    (configuration_not_asked, "matched: part called .*'object'"),
    (masks_shuffled, "^matched: part called .'none'"),
    (nothing_scattered, "object: does not tell it from the same parts elsewhere"),
    (spectra_left_in, "texture: energy taken for it"),
    (after_the_rectifier, "rectified: edge called .'none'"),
    (dead_taken_for_living, "others than the dead called dead, or dead ones not"),
]


@pytest.mark.parametrize(("mutation", "words"), MUTATIONS, ids=[mutation.__name__ for mutation, _ in MUTATIONS])
def test_a_broken_study_is_told(
    mutation: Mutation, words: str, planted: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(AssertionError, match=words):
        check(mutation(planted, monkeypatch))


def apart(first: NDArray[np.float64], second: NDArray[np.float64], circle: float) -> NDArray[np.float64]:
    return np.abs((first - second + circle / 2) % circle - circle / 2)
