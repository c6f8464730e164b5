"""Atlases: vectors, layout, cells and numbers against slow references; whole or resumed, the same bytes."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from lost_work import DIED, Deadly
from sklearn.covariance import ledoit_wolf
from small_nets import seeded
from torch import Tensor, nn

from layerscope.capture.hooks import capture
from layerscope.errors import InputError, StorageError, UnknownNameError, WorkerError
from layerscope.models.model import VisionModel, wrap
from layerscope.objectives import direction
from layerscope.records import Store
from layerscope.studies import atlas as atlas_module
from layerscope.studies import atlas_cells as cells
from layerscope.studies.atlas import atlas
from layerscope.studies.atlas_layout import TSNE, UMAP, grid_cells, lay_out, methods
from layerscope.studies.atlas_vectors import linear_readers, sample_vectors
from layerscope.studies.crew import Crew
from layerscope.studies.probe import Probe, open_probe
from layerscope.synthesis.ascent import maximise
from layerscope.synthesis.recipes import EFFORTS

IMAGES = 96
DRAFT = {"grid": 3, "recipe": "draft", "layout": TSNE}


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    """Few images, and few steps for each picture."""
    monkeypatch.setattr(atlas_module, "open_probe", functools.partial(open_probe, count=IMAGES))
    monkeypatch.setitem(EFFORTS, "draft", dataclasses.replace(EFFORTS["draft"], steps=0.15))


@pytest.fixture(scope="module")
def probe() -> Probe:
    return open_probe("menagerie", wrap(nn.Flatten(), 32), IMAGES)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


class Tokens(nn.Module):
    """Patches of 8 pixels as a sequence after one class token, which stands out."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.mix = nn.Conv2d(3, 6, 8, 8), nn.LayerNorm(6)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        first = tokens.new_full((len(x), 1, 6), 50.0) * torch.arange(1, 7)
        tokens = self.mix(torch.cat([first, tokens], 1))
        return self.head(tokens[:, 0])


def drawn(place: int, positions: int, seed: int) -> int:
    """The position that image `place` is given: the generator's number for it."""
    numbers = torch.rand(IMAGES, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return int(float(numbers[place]) * positions)


@pytest.mark.parametrize("seed", [0, 5])
def test_each_image_gives_one_vector_at_its_position(model: VisionModel, probe: Probe, seed: int):
    layer = model.layer("2")
    found = sample_vectors(Crew(model), layer, probe, seed)
    side = layer.shape[1]
    assert found.values.shape == (IMAGES - found.silent, 10)
    assert len(set(zip(found.rows.tolist(), found.columns.tolist(), strict=True))) > side
    for row, image in enumerate(found.images):
        with torch.no_grad(), capture(model, "2") as seen:
            model(probe.data.pixels[int(image)][None].float() / 255)
        place = drawn(int(image), side * side, seed)
        assert (found.rows[row], found.columns[row]) == divmod(place, side)
        np.testing.assert_allclose(found.values[row], seen["2"][0, :, place // side, place % side], atol=1e-5)


def test_class_tokens_are_no_positions(probe: Probe):
    model = wrap(seeded(Tokens()), 32)
    found = sample_vectors(Crew(model), model.layer("mix"), probe, 0)
    for row, image in enumerate(found.images):
        with torch.no_grad(), capture(model, "mix") as seen:
            model(probe.data.pixels[int(image)][None].float() / 255)
        place = drawn(int(image), 16, 0)
        assert (found.rows[row], found.columns[row]) == divmod(place, 4)
        np.testing.assert_allclose(found.values[row], seen["mix"][0, 1 + place], atol=1e-5)


def test_layers_without_positions_give_their_vector_and_silent_images_are_counted(probe: Probe):
    net = nn.Sequential(nn.Flatten(), nn.Linear(3072, 5), nn.ReLU(), nn.Linear(5, 2))
    torch.manual_seed(0)
    for part in (net[1], net[3]):
        nn.init.normal_(part.weight, std=0.02)
    net[1].bias.data[:] = torch.tensor([-9.0, -9.0, 0.0, 0.0, -9.0])
    model = wrap(net, 32)
    with torch.no_grad(), capture(model, "2") as seen:
        model(probe.data.pixels.float() / 255)
    heard = seen["2"].abs().amax(1) > 0
    found = sample_vectors(Crew(model), model.layer("2"), probe, 0)
    assert 0 < found.silent == int((~heard).sum())
    np.testing.assert_allclose(found.values, seen["2"][heard], atol=1e-5)
    assert found.images.tolist() == heard.nonzero()[:, 0].tolist()
    assert not found.rows.any()


def test_readers_are_the_network_where_the_rest_is_linear(model: VisionModel, probe: Probe):
    net = nn.Sequential(nn.Conv2d(3, 4, 5, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    pooled = wrap(seeded(net), 32)
    readers = linear_readers(pooled, pooled.layer("1"), probe)
    assert readers is not None
    vector = np.array([0.5, -1.0, 2.0, 0.25])
    everywhere = torch.tensor(vector, dtype=torch.float32)[None, :, None, None].expand(1, 4, 10, 10)
    with torch.no_grad():
        truth = net[4](net[3](net[2](everywhere)))[0]
    np.testing.assert_allclose(readers.weights @ vector + readers.offset, truth, atol=1e-5)
    assert linear_readers(pooled, pooled.layer("0"), probe) is None  # a rectifier follows
    told = cells.attributed(vector, readers, ["a", "b", "c"])
    assert [name for name, _ in told] == [["a", "b", "c"][place] for place in np.argsort(-truth.numpy())]


def clusters(count: int = 90) -> np.ndarray:
    """Three directions, each with its own noise."""
    generator = np.random.default_rng(0)
    basis = np.eye(3, 12)[np.arange(count) % 3]
    return (basis * generator.uniform(1, 5, (count, 1)) + 0.05 * generator.normal(size=(count, 12))).astype(np.float32)


@pytest.mark.parametrize("method", [TSNE, pytest.param(UMAP, marks=pytest.mark.slow)])
def test_what_is_alike_by_cosine_lies_together(method: str):
    if method not in methods():
        pytest.skip("umap-learn is not installed")
    found = lay_out(clusters(), method, 0)
    assert found.points.min() >= 0
    assert found.points.max() <= 1
    gaps = np.linalg.norm(found.points[:, None] - found.points[None], axis=-1)
    same = (np.arange(90)[:, None] - np.arange(90)[None]) % 3 == 0
    assert gaps[same].max() < gaps[~same].min()
    assert found.trust > 0.9 > 0.7 > found.trust_shuffled
    again = lay_out(clusters(), method, 0)
    assert np.array_equal(found.points, again.points)


def test_how_many_neighbours_are_kept_is_counted_one_by_one():
    values = clusters()
    found = lay_out(values, TSNE, 0)
    unit = values.astype(float) / np.linalg.norm(values.astype(float), axis=1, keepdims=True)

    def nearest(points: np.ndarray, of: int) -> set[int]:
        far = [(float(np.sum((points[of] - points[other]) ** 2)), other) for other in range(90) if other != of]
        return {other for _, other in sorted(far)[:15]}

    kept = np.mean([len(nearest(unit, one) & nearest(found.points, one)) / 15 for one in range(90)])
    assert found.neighbours == 15
    assert found.kept == pytest.approx(kept)
    assert found.kept > 2 * found.kept_shuffled


def test_cells_are_those_of_a_grid_with_enough_points():
    points = np.random.default_rng(1).uniform(size=(200, 2))
    points[0] = (1.0, 1.0)  # the border belongs to the last cell
    found = {(row, column): members.tolist() for row, column, members in grid_cells(points, 4, 12)}
    truth: dict[tuple[int, int], list[int]] = {}
    for place, (right, down) in enumerate(points):
        truth.setdefault((min(3, int(down * 4)), min(3, int(right * 4))), []).append(place)
    assert found == {cell: members for cell, members in truth.items() if len(members) >= 12}
    assert list(found) == sorted(found)
    assert 0 < len(found) < 16


def test_directions_are_means_by_the_inverse_of_second_moments():
    values = np.random.default_rng(2).normal(3, 1, (60, 4)).astype(np.float32) * [1, 2, 3, 4]
    means = np.array([values[:20].mean(0), values[20:].mean(0)], float)
    moments, _ = ledoit_wolf(values.astype(float), assume_centered=True)
    for mean, found in zip(means, cells.directions(values.astype(np.float32), means), strict=True):
        truth = np.linalg.solve(moments, mean)
        np.testing.assert_allclose(found, truth / np.linalg.norm(truth), rtol=1e-4)


def test_likeness_tells_the_control_and_the_rank():
    means = np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    told = cells.likeness(np.array([3.0, 1.0]), means, 0, seed=0)
    assert told["cosine"] == pytest.approx(3 / 10**0.5)
    assert told["other"] in (pytest.approx(1 / 10**0.5), pytest.approx(4 / 20**0.5))
    assert (told["rank"], told["of"]) == (1, 3)
    assert cells.likeness(np.array([3.0, 1.0]), means, 1, seed=0)["rank"] == 3
    assert cells.likeness(np.zeros(2), means, 1, seed=0) == {"cosine": None, "other": None, "rank": None, "of": 3}
    assert cells.likeness(np.array([3.0, 1.0]), means[:1], 0, seed=0)["other"] is None


def test_an_atlas_is_measured(model: VisionModel, probe: Probe, tmp_path: Path):
    made = atlas(model, "2", tmp_path, **DRAFT)
    assert made.made == len(made.cells) > 2
    assert (made.found, made.layer) == (0, "2")
    assert made.layout["kept"] > made.layout["kept_shuffled"]
    vectors = sample_vectors(Crew(model), model.layer("2"), probe, 0)
    shares = grid_cells(lay_out(vectors.values, TSNE, 0).points, 3, 5)
    means = [vectors.values[members].astype(float).mean(0) for _, _, members in shares]
    aims = cells.directions(vectors.values, np.array(means))
    art = maximise(model, [direction("2", aim.tolist()) for aim in aims], recipe="draft")
    for place, (cell, (row, column, members)) in enumerate(zip(made.cells, shares, strict=True)):
        assert (cell["row"], cell["column"], cell["activations"]) == (row, column, len(members))
        labels = [probe.label(int(vectors.images[one])) for one in members]
        assert {name: count for name, count in cell["classes"]} == {name: labels.count(name) for name in set(labels)}
        with torch.no_grad(), capture(model, "2") as seen:
            model(torch.from_numpy(art.images[place]).permute(2, 0, 1)[None].float() / 255)
        mean = seen["2"][0].double().mean((1, 2)).numpy()
        cosines = [mean @ one / np.linalg.norm(mean) / np.linalg.norm(one) for one in means]
        assert cell["cosine"] == pytest.approx(cosines[place], abs=1e-5)
        assert cell["rank"] == 1 + sum(one > cosines[place] for one in cosines)
        assert any(cell["other"] == pytest.approx(one, abs=1e-5) for at, one in enumerate(cosines) if at != place)
        assert cell["score"] == art.scores[place]
    assert "cells of 2" in repr(made)


def test_a_stopped_atlas_goes_on_and_ends_in_the_same_bytes(model: VisionModel, tmp_path: Path):
    whole = atlas(model, "2", tmp_path / "whole", **DRAFT)
    again = atlas(model, "2", tmp_path / "whole", **DRAFT)
    assert (again.made, again.found) == (0, whole.made)
    parts = atlas(model, "2", tmp_path / "parts", **DRAFT)
    listed = json.loads((parts.folder / "atlas.json").read_text())["cells"]
    store = Store(parts.folder)
    for cell in listed[1:]:
        store.remove(cell["key"])
    with ThreadPoolExecutor(2) as executor:
        rest = atlas(model, "2", tmp_path / "parts", executor=executor, **DRAFT)
    assert (rest.made, rest.found) == (whole.made - 1, 1)
    assert files(whole.folder) == files(rest.folder)


def _in_twos(chunks: Callable[..., object], jobs: object, together: int) -> object:
    return chunks(jobs, 2)


def test_cells_that_are_given_up_cost_no_others(model: VisionModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(atlas_module, "CHUNK", 2)
    monkeypatch.setattr(atlas_module, "_chunks", functools.partial(_in_twos, atlas_module._chunks))
    whole = atlas(model, "2", tmp_path / "whole", **DRAFT)
    first, second = ((cell["row"], cell["column"]) for cell in whole.cells[:2])
    chunks: list[object] = []

    def deadly(task: object, given: object) -> bool:
        chunks.extend([given] if task is atlas_module._pictures else [])
        return task is atlas_module._pictures and len(chunks) == 1

    with Deadly(deadly) as executor, pytest.raises(WorkerError) as error:
        atlas(model, "2", tmp_path / "parts", executor=executor, **DRAFT)
    cells = f"cells {first[0]},{first[1]} to {second[0]},{second[1]} of 2"
    assert str(error.value) == f"{cells} could not be made: {DIED}; all others are kept"
    assert len(chunks) == -(-whole.made // 2)
    rest = atlas(model, "2", tmp_path / "parts", **DRAFT)
    assert (rest.made, rest.found) == (2, whole.made - 2)
    assert files(whole.folder) == files(rest.folder)


def test_a_folder_that_cannot_be_written_is_said_before_the_work(model: VisionModel, tmp_path: Path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(atlas_module, "open_probe", None)
    with pytest.raises(StorageError, match="is a file, not a folder"):
        atlas(model, "2", tmp_path / "file", **DRAFT)
    assert files(tmp_path) == {"file": b""}


def test_another_question_gets_a_folder_of_its_own(model: VisionModel, tmp_path: Path):
    first = atlas(model, "2", tmp_path, **DRAFT)
    other = atlas(model, "2", tmp_path, **{**DRAFT, "seed": 1})
    assert other.found == 0
    assert other.folder != first.folder
    assert atlas(model, "2", tmp_path, **DRAFT).made == 0


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"layer": "conv9"}, "no layer 'conv9'"),
        ({"recipe": "rough"}, "no recipe 'rough'"),
        ({"layout": "som"}, "no layout 'som'"),
        ({"grid": 1}, "^grid=1; give a whole number from 2 to 64$"),
        ({"grid": "x"}, "^grid='x'; give a whole number from 2 to 64$"),
        ({"least": 0}, "^least=0; give a whole number of at least 1$"),
        ({"least": 1.5}, "^least=1.5; give a whole number of at least 1$"),
        ({"seed": "a"}, "^seed='a'; give a whole number from 0 to 4,294,967,295$"),
        ({"seed": 2**32}, "^seed=4294967296; give a whole number from 0 to 4,294,967,295$"),
        ({"out": 5}, "^out=5 is no path; give a text or a pathlib.Path$"),
        ({"probe": 5}, "^probe=5 is no path; give a text or a pathlib.Path$"),
        ({"executor": "zz"}, "^executor='zz' is no executor; give one of concurrent.futures"),
        ({"on_progress": "a"}, "^on_progress='a' is no function; give one that takes"),
        ({"model": nn.ReLU()}, "^a ReLU is no VisionModel; open it with load_model"),
        ({"least": IMAGES + 1}, r"no cell of 3 times 3 has 97 of the \d+ vectors; give a smaller grid= or least="),
    ],
)
def test_what_cannot_be_made_is_said(model: VisionModel, tmp_path: Path, asked: dict[str, object], message: str):
    with pytest.raises((InputError, UnknownNameError), match=message):
        atlas(**{"model": model, "layer": "2", "out": tmp_path, **DRAFT, **asked})
    assert not list(tmp_path.rglob("*.json"))


def test_umap_that_is_not_installed_is_named_with_its_extra(model: VisionModel, tmp_path: Path, monkeypatch):
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "umap" else there(name, *more))
    assert methods() == (TSNE,)
    with pytest.raises(UnknownNameError, match=r"pip install 'layerscope\[umap\]'"):
        atlas(model, "2", tmp_path, layout=UMAP)


def test_too_few_vectors_are_no_map():
    with pytest.raises(InputError, match="31 vectors that are not zero; an atlas needs 32 at least"):
        lay_out(clusters()[:31], TSNE, 0)
