"""Masks of pictures: what a file outlines is what its format says, at the pixels that the network gets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from picture_bytes import raw_png
from PIL import Image
from skimage.draw import polygon2mask

from layerscope.errors import InputError
from layerscope.models.coco_masks import CocoMasks
from layerscope.models.photo_masks import PhotoMasks, Regions, shown_pixels
from layerscope.models.photos import read_photo

SQUARE = [[10, 20, 30, 20, 30, 50, 10, 50]]
CATEGORIES = [{"id": 1, "name": "owl"}, {"id": 2, "name": "wing"}]


def coco(path: Path, annotations: list[dict[str, Any]], width: int = 64, height: int = 64, more: Any = {}) -> Path:  # noqa: B006
    """A file about the picture `a.png`."""
    image = {"id": 7, "file_name": "a.png", "width": width, "height": height}
    full = [{"id": number, "image_id": 7, "category_id": 1, **one} for number, one in enumerate(annotations)]
    path.write_text(json.dumps({"images": [image], "annotations": full, "categories": CATEGORIES} | more))
    return path


def outline(path: Path, segmentation: Any, width: int = 64, height: int = 64) -> NDArray[np.bool_]:
    """The first region of `a.png`, at all of its pixels."""
    read = CocoMasks(coco(path, [{"segmentation": segmentation}], width, height)).outlined("a.png")
    assert read.size == (width, height)
    return read.regions[0][1](np.arange(height), np.arange(width))


def regions(masks: Path, picture: Path, size: int = 32) -> Regions:
    return PhotoMasks(masks, picture.parent, [picture]).regions(picture, read_photo(picture, size))


def runs(mask: NDArray[np.bool_]) -> list[int]:
    """Run lengths, counted pixel by pixel down the columns, those outside first."""
    lengths, inside = [0], False
    for pixel in mask.T.ravel().tolist():
        if pixel != inside:
            lengths.append(0)
            inside = pixel
        lengths[-1] += 1
    return lengths


def compressed(lengths: list[int]) -> str:
    """`rleToString` of maskApi.c, word for word."""
    text = ""
    for number, length in enumerate(lengths):
        value, more = length - (lengths[number - 2] if number > 2 else 0), True
        while more:
            bits = value & 0x1F
            value >>= 5
            more = value != -1 if bits & 0x10 else value != 0
            text += chr(48 + (bits | 0x20 if more else bits))
    return text


def blob(seed: int, height: int = 40, width: int = 56) -> NDArray[np.bool_]:
    """A random mask with runs of all lengths."""
    coarse = np.random.default_rng(seed).random((5, 7)) > 0.5
    return np.kron(coarse, np.ones((height // 5, width // 7))).astype(bool) ^ (
        np.indices((height, width)).sum(0) % 17 == 3
    )


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.new("RGB", (64, 64), "grey").save(folder / "a.png")
    return folder / "a.png"


# --- outlines


def test_a_polygon_covers_the_pixels_whose_middles_it_holds(tmp_path: Path) -> None:
    found = outline(tmp_path / "m.json", SQUARE)
    assert found.sum() == 20 * 30
    assert found[20:50, 10:30].all()


def literally_inside(points: NDArray[np.float64], x: float, y: float) -> bool:
    """How often a ray to the right crosses the border."""
    crossed = 0
    for (x1, y1), (x2, y2) in zip(points, np.roll(points, -1, axis=0), strict=True):
        crossed += (y1 > y) != (y2 > y) and x < x1 + (y - y1) * (x2 - x1) / (y2 - y1)
    return crossed % 2 == 1


@given(st.lists(st.tuples(st.integers(-50, 450), st.integers(-50, 370)), min_size=3, max_size=9))
@settings(max_examples=40, deadline=None)
def test_any_polygon_is_that_of_a_literal_ray(tmp_path_factory: pytest.TempPathFactory, points: list[Any]) -> None:
    corners = np.array(points) / 10 + [0.03, 0.071]  # no middle of a pixel lies on the border
    if not np.ptp(corners, axis=0).all():
        return
    found = outline(tmp_path_factory.mktemp("m") / "m.json", [corners.ravel().tolist()], 40, 32)
    expected = [[literally_inside(corners, column + 0.5, row + 0.5) for column in range(40)] for row in range(32)]
    assert (found == expected).all()


def test_several_polygons_are_one_region_and_agree_with_scikit_image(tmp_path: Path) -> None:
    triangle, star = [3.2, 4.1, 30.7, 8.3, 12.4, 28.9], [40.3, 30.1, 60.2, 34.4, 55.5, 58.8, 47.7, 41.2, 33.3, 55.1]
    found = outline(tmp_path / "m.json", [triangle, star])
    expected = [polygon2mask((64, 64), np.array(one).reshape(-1, 2)[:, ::-1] - 0.5) for one in (triangle, star)]
    assert (found == np.any(expected, axis=0)).all()


@pytest.mark.parametrize("seed", range(4))
def test_run_lengths_come_back_as_the_mask(tmp_path: Path, seed: int) -> None:
    mask = blob(seed) if seed else np.ones((40, 56), bool)
    lengths = runs(mask)
    for counts in (lengths, compressed(lengths)):
        found = outline(tmp_path / "m.json", {"size": [40, 56], "counts": counts}, 56, 40)
        assert (found == mask).all()


def test_run_lengths_as_pycocotools_writes_them(tmp_path: Path) -> None:
    """What its `encode` makes of the first and the last three columns of 20, but for one pixel."""
    mask = np.zeros((300, 20), bool)
    mask[:, :3] = mask[:, -3:] = True
    mask[150, 1] = False
    assert runs(mask) == [0, 450, 1, 449, 4200, 900]
    assert compressed(runs(mask)) == "0R>1OWS4S>"
    assert (outline(tmp_path / "m.json", {"size": [300, 20], "counts": "0R>1OWS4S>"}, 20, 300) == mask).all()


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")
@pytest.mark.parametrize("seed", range(3))
def test_the_text_is_that_of_pycocotools(tmp_path: Path, seed: int) -> None:
    mask_of = pytest.importorskip("pycocotools.mask")
    mask = blob(seed)
    written = mask_of.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    assert written == compressed(runs(mask))
    assert (outline(tmp_path / "m.json", {"size": [40, 56], "counts": written}, 56, 40) == mask).all()


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")
@pytest.mark.parametrize("seed", range(3))
def test_polygons_are_those_of_pycocotools_but_for_their_border(tmp_path: Path, seed: int) -> None:
    mask_of = pytest.importorskip("pycocotools.mask")
    corners = np.random.default_rng(seed).random((7, 2)) * [56, 40]
    offsets = corners - corners.mean(0)
    polygon = corners[np.argsort(np.arctan2(*offsets.T))].ravel().tolist()
    theirs = mask_of.decode(mask_of.merge(mask_of.frPyObjects([polygon], 40, 56))).astype(bool)
    ours = outline(tmp_path / "m.json", [polygon], 56, 40)
    inner = ours[1:-1, 1:-1] & ours[:-2, 1:-1] & ours[2:, 1:-1] & ours[1:-1, :-2] & ours[1:-1, 2:]
    assert theirs[1:-1, 1:-1][inner].all()
    assert (ours != theirs).sum() < 0.05 * ours.sum()


# --- at the pixels of the network


@pytest.mark.parametrize(("width", "height"), [(64, 64), (96, 64), (64, 150), (37, 51), (20, 20), (640, 481)])
@pytest.mark.parametrize("kind", ["png", "polygon", "runs"])
def test_a_white_square_and_its_mask_end_up_at_the_same_pixels(
    tmp_path: Path, width: int, height: int, kind: str
) -> None:
    left, top = width // 3, height // 2
    white = np.zeros((height, width), np.uint8)
    white[top : top + height // 5 + 2, left : left + width // 4 + 2] = 255
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(white).save(folder / "a.png")
    right, bottom = left + width // 4 + 2, top + height // 5 + 2
    if kind == "png":
        masks = tmp_path / "masks"
        masks.mkdir()
        Image.fromarray(white // 255 * 3).save(masks / "a.png")
    else:
        polygon = [[left, top, right, top, right, bottom, left, bottom]]
        counts = {"size": [height, width], "counts": runs(white > 0)}
        segmentation = polygon if kind == "polygon" else counts
        masks = coco(tmp_path / "m.json", [{"segmentation": segmentation}], width, height)
    photo = read_photo(folder / "a.png", 32)
    found = regions(masks, folder / "a.png").thing
    bright = photo.pixels[0].float() / 255
    assert found.any()
    assert not found.all()
    assert (bright[found] > 0.2).all()  # a pixel of which a half is white, or at a corner a quarter, may be in or out
    assert (bright[~found] < 0.8).all()


def test_the_middle_pixel_is_looked_at(picture: Path) -> None:
    Image.new("RGB", (200, 100)).save(picture)
    rows, columns = shown_pixels(read_photo(picture, 10))
    assert rows.tolist() == [5, 15, 25, 35, 45, 55, 65, 75, 85, 95]
    assert columns.tolist() == [55, 65, 75, 85, 95, 105, 115, 125, 135, 145]


def test_masks_are_of_the_upright_picture(tmp_path: Path) -> None:
    folder, masks = tmp_path / "photos", tmp_path / "masks"
    folder.mkdir()
    masks.mkdir()
    upright = np.zeros((48, 32), np.uint8)
    upright[:20, :10] = 255
    exif = Image.Exif()
    exif[274] = 6  # turn clockwise to show
    Image.fromarray(np.rot90(upright)).save(folder / "a.jpg", exif=exif, quality=95)
    Image.fromarray(upright).save(masks / "a.png")
    found = regions(masks, folder / "a.jpg").thing
    assert ((read_photo(folder / "a.jpg", 32).pixels[0] > 128) == found).float().mean() > 0.99


def test_regions_have_names_and_their_union_is_the_thing(tmp_path: Path, picture: Path) -> None:
    left, right = [0, 0, 20, 0, 20, 64, 0, 64], [44, 0, 64, 0, 64, 64, 44, 64]
    middle, outside = [28, 0, 36, 0, 36, 64, 28, 64], [70, 0, 90, 0, 90, 64]
    file = coco(
        tmp_path / "m.json",
        [
            {"segmentation": [left], "category_id": 2},
            {"segmentation": [middle], "category_id": 1},
            {"segmentation": {"size": [64, 64], "counts": [44 * 64, 20 * 64]}, "category_id": 2, "iscrowd": 1},
        ],
    )
    found = regions(file, picture)
    assert set(found.named) == {"owl", "wing"}
    assert found.named["wing"][0].tolist() == [True] * 10 + [False] * 12 + [True] * 10
    assert torch.equal(found.thing, found.named["owl"] | found.named["wing"])
    assert found.thing.dtype == torch.bool
    file = coco(tmp_path / "m.json", [{"segmentation": [right]}, {"segmentation": [outside], "category_id": 2}])
    assert set(regions(file, picture).named) == {"owl"}


def test_a_thing_outside_of_the_crop_is_nowhere(tmp_path: Path, picture: Path) -> None:
    Image.new("RGB", (200, 64)).save(picture)
    found = regions(coco(tmp_path / "m.json", [{"segmentation": SQUARE}], 200, 64), picture)
    assert not found.thing.any()
    assert not found.named


def test_pictures_are_found_by_their_place_or_their_name(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    (folder / "owls").mkdir(parents=True)
    pictures = [folder / "a.png", folder / "owls" / "b.png"]
    for path in pictures:
        Image.new("RGB", (64, 64)).save(path)
    images = [
        {"id": number, "file_name": name, "width": 64, "height": 64}
        for number, name in enumerate(["val/a.png", "owls/b.png", "else/b.png", "c.png"])
    ]
    of = [{"id": one, "image_id": one, "category_id": 1, "segmentation": SQUARE} for one in (0, 1)]
    file = coco(tmp_path / "m.json", [], more={"images": images, "annotations": of})
    masks = PhotoMasks(file, folder, pictures)
    assert [masks.regions(path, read_photo(path, 32)).thing.sum() for path in pictures] == [150, 150]
    assert (masks.kind, masks.files(pictures)) == ("coco", [file])


# --- PNG masks


@pytest.mark.parametrize("mode", ["L", "P", "1", "I;16"])
def test_pixel_values_number_the_things(tmp_path: Path, picture: Path, mode: str) -> None:
    numbers = np.zeros((64, 64), np.uint16)
    numbers[:20], numbers[40:] = 1, 1 if mode == "1" else 5
    mask = Image.fromarray(numbers) if mode == "I;16" else Image.fromarray(numbers.astype(np.uint8))
    if mode == "P":
        mask.putpalette([0, 0, 0, 250, 10, 10] * 128)
    if mode == "1":
        mask = Image.fromarray(numbers > 0)
    (tmp_path / "masks").mkdir()
    mask.save(tmp_path / "masks" / "a.png")
    with Image.open(tmp_path / "masks" / "a.png") as saved:
        assert saved.mode == mode
    found = regions(tmp_path / "masks", picture)
    assert set(found.named) == ({"1"} if mode == "1" else {"1", "5"})
    assert found.named["1"][:10].all()
    assert found.thing.sum() == 22 * 32


@pytest.mark.parametrize(("depth", "byte", "number"), [(2, 0b11_10_01_00, "2"), (4, 0x5A, "5")])
def test_numbers_of_few_bits_stand_as_they_are(
    tmp_path: Path, picture: Path, depth: int, byte: int, number: str
) -> None:
    width = 8 // depth
    Image.new("RGB", (width, width)).save(picture)
    (tmp_path / "masks").mkdir()
    rows = bytes([0, byte]) * width
    (tmp_path / "masks" / "a.png").write_bytes(raw_png(width, width, depth, 0, rows))
    assert number in regions(tmp_path / "masks", picture).named
    assert set(regions(tmp_path / "masks", picture).named) == ({"1", "2", "3"} if depth == 2 else {"5", "10"})


def test_png_masks_lie_in_subfolders_or_at_the_top(tmp_path: Path) -> None:
    folder, masks = tmp_path / "photos", tmp_path / "masks"
    (folder / "x").mkdir(parents=True)
    (masks / "x").mkdir(parents=True)
    pictures = [folder / "x" / "a.jpg", folder / "x" / "b.jpg"]
    for path in pictures:
        Image.new("RGB", (8, 8)).save(path)
    for path in (masks / "x" / "a.png", masks / "b.png"):
        Image.new("L", (8, 8), 1).save(path)
    found = PhotoMasks(masks, folder, pictures)
    assert (found.kind, found.files(pictures)) == ("png", [masks / "x" / "a.png", masks / "b.png"])


# --- what is wrong, in one line


def refusal(masks: Path, picture: Path) -> str:
    """What is said in refusing these masks, one line."""
    with pytest.raises(InputError) as error:
        regions(masks, picture)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("segmentation", "words"),
    [
        ([[1, 2, 3, 4, 5, 6, 7]], "annotation 0 of '{file}' has a polygon of 7 numbers; give an x and a y for each"),
        ([[1, 2, 3, 4]], "has a polygon of 4 numbers"),
        ([1, 2, 3, 4, 5, 6], "has a polygon that is no list of numbers"),
        ([[1, 2, 3, 4, float("nan"), 6]], "has a polygon that is no list of numbers"),
        ([[1, 2, 3, 4, 10**400, 6]], "has a polygon that is no list of numbers"),
        ([[1, 2, 3, 2, 5, 2]], "has a polygon without any area"),
        ([], "has no outline (segmentation=[]); give polygons or run lengths, not a box"),
        (None, "has no outline (segmentation=None)"),
        ({"size": [64, 64], "counts": [100, 100]}, "has run lengths for 200 pixels; the picture has 64 x 64"),
        ({"size": [64, 64], "counts": [4096]}, "is empty: its run lengths outline no pixel"),
        ({"size": [64, 64], "counts": [5000, -904]}, "has run lengths that are no whole numbers of pixels"),
        ({"size": [64, 64], "counts": None}, "has run lengths that are no whole numbers of pixels"),
        ({"size": [32, 64], "counts": [4096]}, "has run lengths for a size of [32, 64]; give [64, 64]"),
        ({"size": [64, 64], "counts": "~"}, "has compressed run lengths with the character '~'"),
        ({"size": [64, 64], "counts": "0R"}, "has compressed run lengths that break off"),
        ({"size": [64, 64], "counts": "0R>1"}, "has run lengths for 451 pixels"),
    ],
)
def test_annotations_that_cannot_be_read(tmp_path: Path, picture: Path, segmentation: Any, words: str) -> None:
    file = coco(tmp_path / "m.json", [{"segmentation": segmentation, "bbox": [1, 2, 3, 4]}])
    assert words.replace("{file}", str(file)) in refusal(file, picture)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is no JSON (Expecting value"),
        ("[" * 100_000, "is no JSON ("),
        ("[]", "holds no list 'images' of objects; give COCO-style JSON with lists 'images', 'annotations'"),
        ('{"images": [3]}', "holds no list 'images' of objects"),
        ('{"images": []}', "holds no list 'annotations'"),
        ('{"images": [], "annotations": []}', "holds no list 'categories'"),
        ('{"images": [{"id": []}], "annotations": [], "categories": []}', "holds ids in 'images' that are no numbers"),
        ('{"images": [{"id": 1}], "annotations": [], "categories": []}', "has file_name=None, which is no text"),
        ('{"images": [], "annotations": [], "categories": []}', "has no masks of 1 of 1 pictures, the first of them '"),
    ],
)
def test_files_that_are_no_annotations(tmp_path: Path, picture: Path, text: str, words: str) -> None:
    (tmp_path / "m.json").write_text(text)
    assert words in refusal(tmp_path / "m.json", picture)


def test_bytes_that_are_no_text_and_files_that_are_not_there(tmp_path: Path, picture: Path) -> None:
    (tmp_path / "m.json").write_bytes(b"\xff\xfe\xfa\x00")
    assert "is no JSON (" in refusal(tmp_path / "m.json", picture)
    assert "cannot read the masks" in refusal(tmp_path / "none.json", picture)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"annotations": []}, "has no annotation; outline something in it, or leave the picture out"),
        ({"categories": [{"id": 4, "name": "x"}]}, "is of category 1, which is not among 'categories'"),
        ({"categories": [{"id": 1, "name": None}]}, "has name=None, which is no text"),
        ({"images": [{"id": 7, "file_name": "a.png", "width": 64}]}, "has height=None; give the picture's number of"),
        ({"images": [{"id": 7, "file_name": "a.png", "width": 64, "height": 10**30}]}, "has height=1000000"),
        (
            {"images": [{"id": 7, "file_name": "a.png", "width": 64, "height": 32}]},
            "are of 64 x 32 pixels, the upright",
        ),
        ({"images": [{"id": one, "file_name": "a.png"} for one in (1, 2)]}, "lists an image twice"),
    ],
)
def test_annotations_that_do_not_fit(tmp_path: Path, picture: Path, more: dict[str, Any], words: str) -> None:
    assert words in refusal(coco(tmp_path / "m.json", [{"segmentation": SQUARE}], more=more), picture)


def test_masks_in_colours_or_of_another_size_or_of_nothing(tmp_path: Path, picture: Path) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    assert "has no masks of 1 of 1 pictures" in refusal(masks, picture)
    for mask, words in (
        (Image.new("RGB", (64, 64), "red"), "holds colours (RGB); save it with a palette, or grey"),
        (Image.new("LA", (64, 64)), "holds colours (LA)"),
        (Image.new("L", (32, 64), 1), "are of 32 x 64 pixels, the upright picture has 64 x 64"),
        (Image.new("L", (64, 64)), "is empty: all of it is 0"),
    ):
        mask.save(masks / "a.png")
        assert words in refusal(masks, picture)
    Image.new("L", (64, 64), 1).save(masks / "a.png", "JPEG")
    assert "is a JPEG; save it as PNG" in refusal(masks, picture)
    (masks / "a.png").write_bytes((picture).read_bytes()[:60])
    assert "cannot read '" in refusal(masks, picture)
    assert "the masks are in the folder of the pictures" in refusal(picture.parent, picture)


def test_two_pictures_with_the_same_mask(tmp_path: Path) -> None:
    folder, masks = tmp_path / "photos", tmp_path / "masks"
    pictures = [folder / sub / "a.jpg" for sub in ("x", "y")]
    masks.mkdir()
    Image.new("L", (8, 8), 1).save(masks / "a.png")
    with pytest.raises(InputError, match="both have the masks"):
        PhotoMasks(masks, folder, pictures)
