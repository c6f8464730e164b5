"""What hierarchy reports are made of: a folder's classes in halves, no more read than is used, and scenes with twins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_exhibits import small_early, small_reports
from small_nets import SmallNet, seeded

from layerscope.dissection.measures import Exhibits
from layerscope.dissection.pictures import Control, Pictures
from layerscope.dissection.stimuli.textures import Textures
from layerscope.errors import InputError
from layerscope.models.model import VisionModel, wrap
from layerscope.studies import hierarchy as study
from layerscope.studies import hierarchy_pictures as probes
from layerscope.studies.hierarchy import Hierarchy, hierarchy, plan_hierarchy
from layerscope.studies.hierarchy_networks import Subject, _calibration
from layerscope.studies.hierarchy_pictures import folder_files, folder_pictures, menagerie_pictures
from layerscope.studies.main_layers import main_layers


def network(channels: int = 3) -> VisionModel:
    return wrap(seeded(SmallNet(channels)), 32, name="small")


@pytest.fixture(scope="module", autouse=True)
def _small() -> Iterator[None]:
    with small_reports():
        yield


def written(below: Path) -> Path:
    """A folder with twelve pictures of cats, and as many of dogs: "00.png" to "11.png"."""
    random = np.random.default_rng(0)
    for name in ("cats", "dogs"):
        (below / "pictures" / name).mkdir(parents=True)
        for at in range(12):
            pixels = random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(below / "pictures" / name / f"{at:02}.png")
    return below / "pictures"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path)


@pytest.fixture(scope="module")
def scenes() -> Pictures:
    return menagerie_pictures(network(), 5)


@pytest.fixture(scope="module")
def grey_report(tmp_path_factory: pytest.TempPathFactory) -> Hierarchy:
    """Of a network that takes grey pictures, on a folder."""
    folder = tmp_path_factory.mktemp("grey")
    return hierarchy(network(channels=1), written(folder), out=folder / "out")


def check_without_hue(report: Hierarchy) -> None:
    assert report.shown is False
    assert [row["units"] for row in report.layers] == [8, 8, 12]
    assert {unit["label"] for unit in report.units}.isdisjoint({"colour", "colour-edge"})
    assert not any("hue" in name for name in (*report.record.arrays, *report.units[0]))
    assert any(name.endswith("/orientation") for name in report.record.arrays)


def test_a_network_that_takes_grey_pictures_has_a_report_without_hue(grey_report: Hierarchy) -> None:
    check_without_hue(grey_report)


@pytest.mark.slow
def test_so_it_has_on_scenes(tmp_path: Path) -> None:
    report = hierarchy(network(channels=1), out=tmp_path)
    check_without_hue(report)
    assert "part_passed" in report.units[0]


def test_a_folder_has_no_test_for_parts_and_says_so(grey_report: Hierarchy) -> None:
    assert grey_report.facts["skipped"] == [
        "colours: the network takes images without hues, so there is no test for them",
        "parts: the folder has no masks, so there is no test for them",
    ]
    assert "part_passed" not in grey_report.units[0]
    assert {"versus_tiles_shuffled_auc", "versus_phases_random_auc"} <= set(grey_report.units[0])
    assert set(grey_report.layers[0]["decodability"]) == {"texture", "object", "configuration"}


def test_folders_choose_and_score_with_other_pictures(folder: Path) -> None:
    pictures = folder_pictures(folder, network())
    assert (len(pictures), pictures.chosen, pictures.name) == (24, 12, "pictures")
    assert torch.bincount(pictures.labels[:12]).tolist() == torch.bincount(pictures.scored_labels).tolist() == [6, 6]
    shuffled, phases = pictures.controls
    scored = pictures.pixels[12:]
    assert torch.equal(shuffled.twins.flatten(2).sort().values, scored.flatten(2).sort().values)
    assert not torch.equal(shuffled.twins, scored)
    assert phases.images is not None
    files = folder_files(folder)
    for place, (path, pixels) in enumerate(zip(files.paths, pictures.pixels, strict=True)):
        assert (path.parent.name, int(path.stem) % 2) == (("cats", "dogs")[place % 12 // 6], place // 12)
        assert np.array_equal(pixels.permute(1, 2, 0), np.asarray(Image.open(path)))


def test_of_many_classes_each_keeps_as_many_pictures_as_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Laid out like the pictures that ImageNet is validated on: a thousand classes of fifty."""
    labels = [label for label in range(1000) for _ in range(50)]
    paths = [Path(f"{label}/{at % 50}.png") for at, label in enumerate(labels)]
    names = tuple(map(str, range(1000)))
    monkeypatch.setattr(probes, "picture_files", lambda folder: (paths, labels, names))
    files = folder_files(tmp_path)
    assert (len(files.paths), files.chosen, files.forwards) == (10_000, 5000, 25_000)
    for half, first in ((slice(0, 5000), 0), (slice(5000, None), 1)):
        assert files.labels[half].tolist() == sorted(list(range(1000)) * 5)
        assert files.paths[half] == tuple(Path(f"{label}/{at}.png") for label in names for at in range(first, 10, 2))


@pytest.mark.parametrize(("most", "each"), [(4000, 6), (24, 6), (22, 5), (20, 5), (4, 5)])
def test_what_is_passed_over_is_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch, most: int, each: int) -> None:
    monkeypatch.setattr(probes, "MOST", most)
    for path in [path for path in folder.rglob("*.png") if int(path.stem) >= 2 * each]:
        path.write_bytes(b"damaged")
    pictures = folder_pictures(folder, network())
    assert torch.bincount(pictures.labels[: pictures.chosen]).tolist() == [each, each]
    assert torch.bincount(pictures.scored_labels).tolist() == [each, each]
    assert folder_files(folder).forwards == pictures.forwards == 10 * each


def test_plans_tell_networks_and_images(scenes: Pictures) -> None:
    model = network()
    model.module.train()
    before = model.fingerprint
    plan = plan_hierarchy(model)
    assert model.fingerprint == before
    assert model.module.training
    assert plan.networks == 4
    assert plan.seconds > 0
    assert plan.images == Exhibits(small_early(), Textures(32, 3, 6), scenes).forwards


def test_workers_share_the_images_and_nothing_else(scenes: Pictures, monkeypatch: pytest.MonkeyPatch) -> None:
    before, threads = torch.get_num_threads(), list[int]()

    def timed(model: VisionModel) -> float:
        threads.append(torch.get_num_threads())
        return 0.5

    monkeypatch.setattr(study, "_seconds_per_image", timed)
    torch.set_num_threads(2)
    try:
        alone, shared = plan_hierarchy(network()), plan_hierarchy(network(), workers=3)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    units = sum(layer.units for layer in main_layers(network()))
    assert alone.seconds == pytest.approx(4 * (alone.images * 0.5 + units * 0.02))
    assert shared.seconds == pytest.approx(4 * (alone.images * 0.5 / 3 + units * 0.02))
    assert (alone.workers, shared.workers, threads) == (None, 3, [2, 1])
    with pytest.raises(InputError, match=r"^workers=0; give a whole number of at least 1, or None for this process$"):
        plan_hierarchy(network(), workers=0)


def test_plans_count_the_pictures_that_a_report_shows(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "dogs" / "11.png").unlink()
    early, swatches = small_early(), Textures(32, 3, 6)

    def forwards() -> int:
        return Exhibits(early, swatches, folder_pictures(folder, network())).forwards

    every = plan_hierarchy(network(), str(folder)).images
    assert every == forwards()
    monkeypatch.setattr(probes, "MOST", 20)
    assert plan_hierarchy(network(), str(folder)).images == forwards() < every


def test_too_few_pictures_are_said_before_any_is_read(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes, "read_pictures", None)
    for path in sorted((folder / "dogs").iterdir())[3:]:
        path.unlink()
    message = (
        "2 classes, the smallest with 1 pictures in one of two halves; give 2 classes or more, 10 pictures of each"
    )
    with pytest.raises(InputError, match=f"^'pictures' has {message}$"):
        hierarchy(network(), folder, out=tmp_path / "out")
    with pytest.raises(InputError, match=message):
        plan_hierarchy(network(), str(folder))
    for path in sorted(folder.rglob("*.png"))[1:]:
        path.unlink()
    with pytest.raises(InputError, match="'pictures' has 1 classes, the smallest with 0 pictures in one of two halves"):
        folder_pictures(folder, network())


def test_scenes_score_scattered_in_silhouette_and_in_other_textures_or_none(scenes: Pictures) -> None:
    pictures = scenes
    assert (len(pictures), pictures.chosen, [one.name for one in pictures.controls]) == (
        200,
        100,
        ["scattered", "silhouette", "texture swapped", "untextured"],
    )
    scored = pictures.pixels[100:]
    for one in pictures.controls:
        assert one.images is None
        changed = (one.twins != scored).flatten(1).any(1)
        assert bool(changed.any() if one.name == "untextured" else changed.all())  # some things have no textures
        assert float((one.twins == scored).float().mean()) > 0.3  # what is around stays
    assert pictures.masks is not None
    thing = pictures.masks.truth["object"][100:] < 255
    inside = [one.twins.float().mean(1)[thing].mean() for one in pictures.controls]
    assert inside[1] < 50 < inside[2]
    assert torch.bincount(pictures.scored_labels).tolist() == [5] * 20
    there = pictures.masks.seen()
    numbers = [at for at, one in enumerate(pictures.concepts) if one.category == "object"]
    shown = [pictures.concepts[at].value for at in numbers]
    for at, value in zip(numbers, shown, strict=True):
        assert not bool((there[:, at] & (pictures.labels != value)).any())


def of_classes_in_turn(each: int, classes: int = 4) -> Pictures:
    """Pictures listed class by class, in each half; every one has a brightness of its own."""
    half = each * classes
    labels = (torch.arange(half) // each).repeat(2)
    brightness = (torch.arange(2 * half) % 256).to(torch.uint8)
    pixels = brightness[:, None, None, None].expand(-1, 3, 32, 32).contiguous()
    return Pictures("in turn", pixels, labels, tuple("abcd"), half, (Control("none", pixels[half:]),))


@pytest.mark.parametrize("each", [40, 64, 100])
def test_the_first_batch_that_twins_are_matched_on_shows_every_class(each: int) -> None:
    """Whatever the order of the pictures; the images are those evenly from all, the same ones at every call."""
    pictures = of_classes_in_turn(each)
    subject = Subject(
        network(), (), Exhibits(small_early(), Textures(32, 3, 4, ("stripes", "dots")), pictures), "", 0, 0
    )
    state = torch.get_rng_state()
    images = _calibration(subject)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(_calibration(subject), images)
    half, found = 4 * each, (images[:, 0, 0, 0] * 255).round().long()
    places = torch.linspace(0, half - 1, min(256, half)).round().long()
    assert found.sort().values.tolist() == (places % 256).sort().values.tolist()
    if half <= 256:  # so that brightness tells the picture
        counts = torch.bincount(pictures.labels[found[:64]], minlength=4)
        assert int(counts.min()) >= 8


def test_a_folder_of_the_same_name_is_a_folder(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder.rename(folder.parent / "menagerie")
    monkeypatch.chdir(folder.parent)
    plan = plan_hierarchy(network(), Path("menagerie"))
    assert plan.images < plan_hierarchy(network(), "menagerie").images
    report = hierarchy(network(), Path("menagerie"), out=tmp_path / "out")
    assert report.facts["probe"]["classes"] == ["cats", "dogs"]
    assert "probe='./menagerie'" in report.facts["command"]
