"""Cases of a folder of pictures: what is asked about them, of which networks, and what is said of those that are none."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_nets import CountingNet, SmallNet, seeded, small_model
from torch import Tensor, nn

from layerscope.attribution.checks import redrawn
from layerscope.errors import InputError
from layerscope.faithfulness.cases import ASKED, OTHER, REDRAWN, Case
from layerscope.faithfulness.explainers import of_control, of_method
from layerscope.faithfulness.measures.by_response import noisy
from layerscope.faithfulness.measures.catalogue import judge
from layerscope.faithfulness.photo_cases import MOST, cases_of, choose
from layerscope.models.model import VisionModel, wrap
from layerscope.models.photos import read_photo

NOISES = ("noise0", "noise1", "noise2")


def photo_cases(model, folder, *, masks=None, images=MOST, checked=None, seed=0):
    """The cases of a folder, chosen and made."""
    return cases_of(model, choose(folder, masks, images, seed), checked=checked, seed=seed)


def photo(path: Path, seed: int, width: int = 40, height: int = 36) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((width, height)).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five pictures, in two folders and at the top."""
    for seed, name in enumerate(("owls/b.png", "owls/a.jpg", "cups/c.png", "e.bmp", "d.webp")):
        photo(tmp_path / "photos" / name, seed)
    return tmp_path / "photos"


def test_each_picture_asks_what_speaks_for_what_is_predicted(folder: Path) -> None:
    model = small_model()
    cases = photo_cases(model, folder)
    paths = [folder / name for name in ("cups/c.png", "d.webp", "e.bmp", "owls/a.jpg", "owls/b.png")]
    assert len(cases) == len(paths)
    for case, path in zip(cases, paths, strict=True):
        image = read_photo(path, 32).pixels.float() / 255
        order = model(image[None])[0].argsort(descending=True).tolist()
        assert set(case.questions) == {ASKED, OTHER, REDRAWN, *NOISES}
        assert torch.equal(case.asked.image, image)
        assert (case.asked.target, case.questions[OTHER].target) == tuple(order[:2])
        assert case.asked.model is case.questions[OTHER].model is model
        for draw, name in enumerate(NOISES):
            assert torch.equal(case.questions[name].image, noisy(image, draw))
            assert case.questions[name].target == order[0]
        assert (case.game, case.thing, case.clutter, case.asked.exact) == (None, None, None, None)


def test_one_network_with_redrawn_top_layers_for_all(folder: Path) -> None:
    model = small_model()
    others = {id(case.questions[REDRAWN].model): case.questions[REDRAWN] for case in photo_cases(model, folder)}
    (question,) = others.values()
    expected = redrawn(model.module).state_dict()
    assert all(torch.equal(weights, expected[name]) for name, weights in question.model.module.state_dict().items())
    assert question.model.fingerprint != model.fingerprint


def test_the_same_folder_gives_the_same_cases(folder: Path) -> None:
    def told(cases: list[Case]) -> list[tuple[int, int, bytes]]:
        return [(case.seed, case.asked.target, case.asked.image.numpy().tobytes()) for case in cases]

    assert told(photo_cases(small_model(), folder)) == told(photo_cases(small_model(), str(folder)))
    all_of_them = {one[2]: one for one in told(photo_cases(small_model(), folder, seed=3))}
    some = told(photo_cases(small_model(), folder, images=3, seed=3))
    assert [all_of_them[one[2]] for one in some] == some  # how many are taken changes none of them
    assert len({one[0] for one in all_of_them.values()}) == 5
    drawn = {choose(folder, images=2, seed=seed).pictures for seed in range(20)}
    assert len(drawn) > 5
    assert all(list(one) == sorted(one) for one in drawn)


def test_more_is_asked_about_some(folder: Path) -> None:
    whole = photo_cases(small_model(), folder, seed=1)
    some = photo_cases(small_model(), folder, checked=2, seed=1)
    assert sorted(len(case.questions) for case in some) == [1, 1, 1, 6, 6]
    assert [case.asked.target for case in some] == [case.asked.target for case in whole]
    drawn = {
        tuple(len(case.questions) for case in photo_cases(small_model(), folder, checked=2, seed=seed))
        for seed in range(9)
    }
    assert len(drawn) > 2


def test_what_is_chosen_has_a_fingerprint(folder: Path, tmp_path: Path) -> None:
    first = choose(folder)
    assert (first.found, first.numbers, MOST) == (5, (0, 1, 2, 3, 4), 200)
    assert choose(folder).fingerprint == first.fingerprint
    assert choose(folder, images=4).fingerprint != first.fingerprint
    photo(folder / "e.bmp", 77)
    assert choose(folder).fingerprint != first.fingerprint
    masks = tmp_path / "masks"
    masks.mkdir()
    for path in first.pictures:
        Image.new("L", (40, 36), 1).save(masks / f"{path.stem}.png")
    masked = choose(folder, masks).fingerprint
    Image.new("L", (40, 36), 2).save(masks / "a.png")
    assert choose(folder, masks).fingerprint not in {masked, choose(folder).fingerprint}


# --- masks


def test_masks_say_where_the_thing_is(folder: Path, tmp_path: Path) -> None:
    masks = folder / "masks"  # below the pictures, as some have them: they are no pictures
    masks.mkdir()
    square = np.zeros((36, 40), np.uint8)
    square[:18, 2:20], square[18:, 2:20] = 1, 2
    for name in "abcde":
        Image.fromarray(square).save(masks / f"{name}.png")
    cases = photo_cases(small_model(), folder, masks=masks)
    assert len(cases) == 5
    for case in cases:
        assert case.thing is not None
        assert case.thing.shape == (32, 32)
        assert case.thing[:, :16].all()
        assert not case.thing[:, 16:].any()


def test_coco_masks_of_one_picture(tmp_path: Path) -> None:
    picture = photo(tmp_path / "photos" / "a.png", 0, 32, 32)
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[8, 0, 24, 0, 24, 32, 8, 32]]}
    facts = {
        "images": [{"id": 1, "file_name": "a.png", "width": 32, "height": 32}],
        "categories": [{"id": 1, "name": "owl"}],
        "annotations": [annotation],
    }
    (tmp_path / "m.json").write_text(json.dumps(facts))
    (case,) = photo_cases(small_model(), picture.parent, masks=tmp_path / "m.json", seed=2)
    assert case.thing is not None
    assert case.thing.any(0).tolist() == [False] * 8 + [True] * 16 + [False] * 8


def test_measures_are_taken_of_them(tmp_path: Path) -> None:
    """A network that sums the left half of an image: its gradient lies there, where the masks are."""

    class Left(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(2, 3 * 8 * 8))
            with torch.no_grad():
                self.weight.view(2, 3, 8, 8)[0, :, :, :4] = 1.0

        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1) @ self.weight.T

    photo(tmp_path / "photos" / "a.png", 0, 8, 8)
    (tmp_path / "masks").mkdir()
    Image.fromarray(np.array([[1] * 4 + [0] * 4] * 8, np.uint8)).save(tmp_path / "masks" / "a.png")
    model = wrap(Left(), 8, mean=0.0, std=1.0)
    (case,) = photo_cases(model, tmp_path / "photos", masks=tmp_path / "masks")
    names = list(case.questions)
    for method, mass, pointing in ((of_method("saliency"), 2.0, 1.0), (of_control("even"), 1.0, 0.5)):
        maps = method([case.questions[name] for name in names])
        found = judge(case, {name: values for name, values in zip(names, maps, strict=True) if values is not None})
        assert (found["mass"], found["pointing"]) == (pytest.approx(mass), pytest.approx(pointing))
        assert not np.isnan(
            [found["deletion_black"], found["insertion_black"], found["infidelity"], found["max_sensitivity"]]
        ).any()
        assert np.isnan(found["part_rank"])


# --- other networks


def grey() -> VisionModel:
    return wrap(seeded(SmallNet(1)), 32)


def one_output() -> VisionModel:
    return wrap(nn.Sequential(nn.Conv2d(3, 1, 4), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval(), 16)


def five_channels() -> VisionModel:
    return wrap(seeded(SmallNet(5)), 48)


def in_double() -> VisionModel:
    return wrap(seeded(SmallNet()).double(), 32)


@pytest.mark.parametrize("make", [grey, one_output, five_channels, in_double])
def test_networks_of_any_channels_sizes_outputs_and_precision(folder: Path, make: Callable[[], VisionModel]) -> None:
    model = make()
    cases = photo_cases(model, folder, images=2)
    for case in cases:
        assert case.asked.image.shape == (model.channels, model.input_size, model.input_size)
        assert case.asked.image.dtype == torch.float32
        assert (OTHER in case.questions) is (make is not one_output)
        assert REDRAWN in case.questions
    assert make is not grey or torch.equal(
        cases[0].asked.image, read_photo(choose(folder, images=2).pictures[0], 32, 1).pixels / 255
    )


def test_a_network_without_weights_is_not_drawn_anew(folder: Path) -> None:
    model = wrap(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), 16)
    assert all(REDRAWN not in case.questions for case in photo_cases(model, folder))


def test_the_network_stays_as_it_was(folder: Path) -> None:
    module = seeded(CountingNet()).train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    photo_cases(wrap(module, 32), folder)
    assert module.training
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_ties_are_settled_by_the_order_of_the_classes(folder: Path) -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 4))
    nn.init.zeros_(module[1].weight)
    nn.init.zeros_(module[1].bias)
    for case in photo_cases(wrap(module, 16), folder, images=2):
        assert (case.asked.target, case.questions[OTHER].target) == (0, 1)


# --- what is wrong, in one line


def refusal(*given: object, **more: object) -> str:
    """What is said in refusing these arguments, one line."""
    with pytest.raises(InputError) as error:
        photo_cases(*given, **more)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)
    return str(error.value)


def test_folders_without_pictures(tmp_path: Path) -> None:
    model = small_model()
    assert "no folder '" in refusal(model, tmp_path / "none")
    assert "holds no pictures (.bmp, " in refusal(model, tmp_path)
    assert "no folder '" in refusal(model, photo(tmp_path / "a.png", 0))


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_that_cannot_be_listed(folder: Path) -> None:
    (folder / "owls").chmod(0)
    try:
        assert "cannot read '" in refusal(small_model(), folder)
    finally:
        (folder / "owls").chmod(0o700)


def test_a_picture_that_cannot_be_read(folder: Path) -> None:
    (folder / "owls" / "a.jpg").write_bytes(b"nothing")
    assert f"cannot read '{folder / 'owls' / 'a.jpg'}' as a picture" in refusal(small_model(), folder)
    (folder / "owls" / "a.jpg").unlink()
    chosen = choose(folder)
    (folder / "e.bmp").unlink()
    with pytest.raises(InputError, match=r"cannot read .*no such file"):
        _ = chosen.fingerprint


def test_networks_that_predict_no_class(folder: Path) -> None:
    assert "not [batch, classes]: it predicts no class" in refusal(wrap(nn.Conv2d(3, 4, 3), 16), folder)
    module = seeded(SmallNet())
    nn.init.constant_(module.fc.bias, float("nan"))
    assert "puts out values that are not finite for '" in refusal(wrap(module, 32), folder)


@pytest.mark.parametrize(("name", "value"), [("images", 0), ("images", 2.0), ("seed", -1), ("seed", True)])
def test_numbers_out_of_range(folder: Path, name: str, value: object) -> None:
    assert f"{name}={value!r}; it has to be a whole number" in refusal(small_model(), folder, **{name: value})


def test_a_picture_without_a_mask(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    assert "has no masks of 5 of 5 pictures" in refusal(small_model(), folder, masks=tmp_path / "masks")
    assert "cannot read the masks" in refusal(small_model(), folder, masks=tmp_path / "none")
