"""Training: it learns, it goes on where it was stopped, and what it writes can be read again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from PIL import Image
from torch import nn

from layerscope.errors import CheckpointError, InputError, UnknownNameError
from layerscope.models import release, zoo
from layerscope.models.cards import as_file
from layerscope.models.datasets import LabelledImages, folder_images, menagerie_images
from layerscope.models.evaluation import l2_attack, recall_per_class, robust_accuracy
from layerscope.models.release import make_network, split
from layerscope.models.sources import load_model
from layerscope.models.training import ROBUST, TrainingRecipe, _batch, _chosen, half_state, log_spaced, train, upright

TINY = TrainingRecipe(images=64 * 12, batch=64, shift=2)


@pytest.fixture(scope="module")
def scenes() -> LabelledImages:
    return menagerie_images(192, seed=100)


def folder_of(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def same_weights(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


def rounded(module: nn.Module) -> nn.Module:
    """Its weights as a file holds them: in half precision."""
    same = zoo.Menagerie(20)
    same.load_state_dict(half_state(module))
    return same


def test_a_stopped_training_goes_on_as_if_it_had_not_stopped(scenes, tmp_path, monkeypatch):
    monkeypatch.setattr("layerscope.models.training.SAVE_EVERY", 4)
    whole = train(scenes, TINY, tmp_path / "whole")

    def stop(done: int, total: int, what: str) -> None:
        if done >= 7 * TINY.batch:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(scenes, TINY, tmp_path / "halves", on_progress=stop)
    seen = []
    rest = train(scenes, TINY, tmp_path / "halves", on_progress=lambda done, total, what: seen.append(done))
    assert seen[0] == 5 * TINY.batch  # step 4 was saved, so the fifth comes first
    assert same_weights(whole.module, rest.module)
    assert rest.cpu_seconds > 0


def test_a_state_of_another_training_is_refused(scenes, tmp_path):
    train(scenes, replace(TINY, images=64), tmp_path)
    with pytest.raises(CheckpointError, match="of a training with other data or settings; remove it"):
        train(scenes, replace(TINY, images=64, seed=1), tmp_path)


def test_a_state_of_other_pictures_or_labels_is_refused(scenes, tmp_path):
    recipe = replace(TINY, images=64)
    train(scenes, recipe, tmp_path)
    retouched, relabelled = scenes.pixels.clone(), scenes.labels.clone()
    retouched[7, 1, 2, 3] ^= 1
    relabelled[7] ^= 1
    for other in (replace(scenes, pixels=retouched), replace(scenes, labels=relabelled)):
        with pytest.raises(CheckpointError, match="of a training with other data or settings"):
            train(other, recipe, tmp_path)
    train(replace(scenes, pixels=scenes.pixels.clone()), recipe, tmp_path)


def test_checkpoints_are_log_spaced(scenes, tmp_path):
    train(scenes, TINY, tmp_path)
    steps = sorted(int(path.stem.removeprefix("step-")) for path in tmp_path.glob("step-*.safetensors"))
    assert steps == sorted(log_spaced(12))
    assert steps[0] == 1
    assert steps[-1] == 12
    assert log_spaced(5000) >= {1, 5000}
    assert 10 <= len(log_spaced(5000)) <= 12


def test_checkpoints_open_by_their_path_as_what_they_were_at_that_step(scenes, tmp_path):
    """The last one is the trained network, rounded; each knows its step; and no unit changes its sign between them."""
    trained = train(scenes, TINY, folder_of(tmp_path / "out")).module
    first, last = (load_model(str(tmp_path / "out" / f"step-{step:06d}.safetensors")) for step in (1, 12))
    assert (first.name, last.name) == ("out step-000001", "out step-000012")
    assert (first.card["step"], last.card["step"], last.card["seen"]) == (1, 12, 12 * 64)
    assert first.class_names == last.class_names == scenes.class_names
    assert first.card["spectrum"] == last.card["spectrum"]
    assert not last.module.training
    assert same_weights(last.module, rounded(trained))
    assert not same_weights(first.module, last.module)


def test_a_checkpoint_has_no_negative_gains_and_leaves_the_network_in_training_as_it_is(scenes, tmp_path, monkeypatch):
    def negative(*given: object) -> nn.Module:
        network = zoo.Menagerie(20)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.constant_(module.weight, -1.0)
        return network

    with monkeypatch.context() as patch:
        patch.setattr(zoo, "build", negative)
        train(scenes, replace(TINY, images=64), tmp_path)
    opened = zoo.read(tmp_path / "step-000001.safetensors", "one step").module
    gains = [module.weight for module in opened.modules() if isinstance(module, nn.BatchNorm2d)]
    assert all((gain > 0).all() for gain in gains)
    going_on = safetensors.torch.load_file(tmp_path / "resume.safetensors")
    assert (going_on["module.norm1.weight"] < 0).all()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, r"no weights file '.*x\.safetensors'; give one that"),
        (b"no weights", r"'.*x\.safetensors' cannot be read as safetensors: "),
        (safetensors.torch.save({"a": torch.zeros(1)}, {"card": "{"}), r"does not say of which network it is"),
        (as_file({"a": torch.zeros(1)}, {"architecture": "menagerie"}), r"does not say of which network it is"),
        (safetensors.torch.save({"a": torch.zeros(1)}), r"does not say of which network it is, .*; name the network, "),
        (
            as_file(
                {"a": torch.zeros(1)},
                {"architecture": "menagerie", "class_names": ["a", "b"], "input_size": 64, "mean": [0], "std": [1]},
            ),
            r"does not fit Menagerie; \d+ missing: conv1\.weight, .*1 unexpected: a",
        ),
    ],
)
def test_files_that_no_training_wrote_are_refused_in_one_line(content, words, tmp_path):
    path = tmp_path / "x.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=words) as caught:
        load_model(str(path))
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="brings its own weights; leave out weights='none'"):
        load_model(str(path), weights="none")


def test_attack_stays_in_its_ball_and_raises_the_loss(scenes):
    network = zoo.build("menagerie", 20).eval()
    images, labels = scenes.pixels[:16].float() / 255, scenes.labels[:16]
    for radius, steps in ((0.5, 1), (2.0, 5)):
        attacked = l2_attack(network, images, labels, radius, steps, torch.Generator().manual_seed(0))
        assert (attacked - images).flatten(1).norm(dim=1).max() <= radius * 1.0001
        assert attacked.min() >= 0
        assert attacked.max() <= 1
        before = nn.functional.cross_entropy(network(images), labels)
        assert nn.functional.cross_entropy(network(attacked), labels) > before
    assert all(parameter.grad is None for parameter in network.parameters())


def test_robust_accuracy_of_a_linear_classifier_is_what_geometry_says():
    """Two classes split by one pixel: an attack of radius r flips exactly the images within r of the boundary."""
    distance = torch.tensor([0.1, 0.2, 0.3, 0.4])
    images = torch.full((4, 1, 2, 2), 0.5)
    images[:, 0, 0, 0] = 0.5 + distance
    pixels = (images * 255).round().to(torch.uint8)
    data = LabelledImages(pixels, torch.ones(4, dtype=torch.int64), ("low", "high"), {})

    def classify(batch: torch.Tensor) -> torch.Tensor:
        height = batch[:, 0, 0, 0] - 0.5
        return torch.stack([-height, height], 1)

    assert robust_accuracy(classify, data, 0.25, steps=20) == 0.5
    assert robust_accuracy(classify, data, 0.05, steps=20) == 1.0


def test_recall_counts_each_class_by_itself():
    data = LabelledImages(torch.zeros(4, 1, 1, 1), torch.tensor([0, 0, 1, 1]), ("a", "b", "c"), {})
    assert recall_per_class(torch.tensor([0, 1, 1, 1]), data) == {"a": 0.5, "b": 1.0}


def test_upright_turns_negative_gains_without_changing_the_function():
    torch.manual_seed(0)
    network = zoo.build("menagerie", 5).eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.normal_()
                module.bias.normal_()
                module.running_mean.normal_()
    images = torch.rand(2, 3, 64, 64)
    before = network(images)
    assert torch.allclose(upright(network)(images), before, atol=1e-5)
    assert all((module.weight >= 0).all() for module in network.modules() if isinstance(module, nn.BatchNorm2d))


def test_every_tenth_image_of_a_class_is_kept_for_the_test():
    labels = torch.tensor([0] * 20 + [1] * 3 + [2])
    training, test = split(LabelledImages(torch.arange(24).view(-1, 1, 1, 1), labels, ("a", "b", "c"), {}))
    assert test.labels.tolist() == [0, 0, 1]
    assert len(training) + len(test) == 24


def test_a_network_of_ones_own_pictures(tmp_path):
    """Two classes that differ by colour, as files: trained, measured, written, and read again."""
    for name, colour in (("reds", (200, 40, 40)), ("blues", (40, 40, 200))):
        for index in range(20):
            path = tmp_path / "pictures" / name / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (70 + index, 64), tuple(channel + index for channel in colour)).save(path)
    weights = make_network(str(tmp_path / "pictures"), out=tmp_path / "out", images=64 * 8)
    model = load_model(str(weights))
    assert (model.name, model.spec, "step" in model.card) == ("out", str(weights), False)
    assert model.class_names == ("blues", "reds")
    assert model.card["accuracy"] == 1.0
    assert model.card["recall"] == {"blues": 1.0, "reds": 1.0}
    assert model.card["data"]["train"]["folder"] == "pictures"
    red = torch.zeros(1, 3, 64, 64)
    red[:, 0] = 0.8
    assert model(red).argmax(1).item() == 1


def test_folders_that_hold_nothing_are_said(tmp_path):
    with pytest.raises(
        InputError, match=r"no folder '.*missing'; give a folder that holds one folder of pictures per class"
    ):
        folder_images(tmp_path / "missing", 64)
    with pytest.raises(InputError, match="holds no class folders with pictures"):
        folder_images(tmp_path, 64)
    bad = tmp_path / "class" / "bad.png"
    bad.parent.mkdir()
    bad.write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"cannot read '.*bad.png' as a picture"):
        folder_images(tmp_path, 64)


def test_an_architecture_that_does_not_exist_is_said_before_anything_is_rendered(tmp_path, monkeypatch):
    monkeypatch.setattr(release, "menagerie_images", None)
    monkeypatch.setattr(release, "folder_images", None)
    with pytest.raises(UnknownNameError, match=r"no architecture 'resnet19'; nearest: resnet1?[0-9]"):
        make_network(architecture="resnet19", out=tmp_path)
    Image.new("RGB", (8, 8)).save(folder_of(tmp_path / "pictures" / "class") / "one.png")
    with pytest.raises(UnknownNameError, match=r"no architecture 'menagery'; nearest: menagerie"):
        make_network(str(tmp_path / "pictures"), architecture="menagery", out=tmp_path)
    with pytest.raises(InputError, match=r"no folder '.*missing'"):
        make_network(str(tmp_path / "missing"), architecture="resnet19", out=tmp_path)


@pytest.mark.parametrize(
    ("options", "scenes"),
    [
        ({}, 48_000),
        ({"robust": True}, 48_000),
        ({"images": 64}, 2048),
        ({"images": 3000}, 3000),
        ({"images": 64, "scenes": 100}, 100),
    ],
)
def test_no_more_scenes_are_rendered_than_the_network_sees(options, scenes, tmp_path, monkeypatch):
    class Rendered(Exception):  # noqa: N818
        pass

    def rendered(count: int, *args: object, **kwargs: object) -> None:
        raise Rendered(count)

    monkeypatch.setattr(release, "menagerie_images", rendered)
    with pytest.raises(Rendered, match=f"^{scenes}$"):
        make_network(out=tmp_path, **options)


def test_the_robust_recipe_is_the_one_on_the_card():
    card = zoo.load("menagerie:robust").card
    assert card["recipe"]["radius"] == ROBUST.radius
    assert card["recipe"]["images"] == ROBUST.images


@pytest.mark.parametrize(("name", "accuracy"), [("menagerie", 0.98), ("menagerie:robust", 0.95)])
def test_the_bundled_networks_know_their_world(name, accuracy):
    """Fresh scenes, by a second measurement: what the card says is so, and no class is lost."""
    model = zoo.load(name)
    fresh = menagerie_images(600, seed=20_000_000)
    with torch.no_grad():
        predicted = torch.cat([model(chunk.float() / 255).argmax(1) for chunk in fresh.pixels.split(200)])
    assert (predicted == fresh.labels).float().mean() > accuracy - 0.015
    assert model.card["accuracy"] >= accuracy
    assert min(model.card["recall"].values()) >= 0.8
    assert abs((predicted == fresh.labels).float().mean() - model.card["accuracy"]) < 0.02


def test_bundled_weights_are_small():
    folder = Path(zoo.__file__).parent / "weights"
    assert sum(path.stat().st_size for path in folder.glob("*.safetensors")) < 10_000_000
    card = zoo.load("menagerie").card
    assert 1_000_000 <= card["parameters"] <= 2_000_000
    assert json.dumps(card)


def test_an_architecture_that_wants_larger_images_is_said_before_any_work():
    with pytest.raises(
        InputError, match=r"'vit_b_16' does not take images of 64 px \(.*\); choose another architecture"
    ):
        make_network(architecture="vit_b_16")


def test_an_epoch_shows_every_image_once_in_an_order_of_its_own():
    first, second = ([_chosen(192, TINY, step) for step in range(start, start + 3)] for start in (0, 3))
    assert torch.cat(first).sort().values.tolist() == torch.cat(second).sort().values.tolist() == list(range(192))
    assert not torch.equal(first[0], second[0])
    assert not torch.equal(first[0], _chosen(192, replace(TINY, seed=1), 0))


def test_random_changes_of_a_batch_depend_on_seed_and_step(scenes):
    """With one image over and over, batches differ by their random changes alone."""
    same = replace(scenes, pixels=scenes.pixels[:1].expand(192, -1, -1, -1), labels=scenes.labels[:1].expand(192))
    batches = [_batch(same, replace(TINY, seed=seed), step)[0] for seed, step in ((0, 0), (0, 1), (1, 0))]
    assert torch.equal(batches[0], _batch(same, TINY, 0)[0])
    assert not any(torch.equal(one, other) for place, one in enumerate(batches) for other in batches[:place])
