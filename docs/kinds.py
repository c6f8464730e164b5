"""Draw the pictures of docs/tutorials/kinds.md: docs/pictures/{kinds,starts,atlas}.webp, on the bundled networks.

    python docs/kinds.py            all three; the atlas takes a few minutes
    python docs/kinds.py kinds      one of them

Under each picture stands its control, and what it scores.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray
from PIL import Image

import layerscope as ls
from layerscope.synthesis.kinds import Kind
from layerscope.synthesis.outcome import Synthesis
from layerscope.synthesis.recipes import recipe_for

PICTURES = Path(__file__).parent / "pictures"
LARGEST = 150_000  # bytes
COLUMNS = 5
CHECKED, LIGHT, DARK = 8, 235, 200
"""Of the checkerboard behind what is transparent: pixels of a field, and its two greys."""


@dataclass(frozen=True)
class Shown:
    """One picture [height, width, channel], with a line under it."""

    picture: NDArray[Any]
    told: str


def kinds(model: ls.VisionModel) -> list[tuple[str, list[Shown]]]:
    """Rows of pictures that start from noise."""
    wanted, layer = ls.excitation("conv5:40"), "conv5"
    alone = ls.maximise(model, wanted)
    apart = ls.maximise(model, [wanted - 0.5 * ls.diversity(layer)] * 4)
    units = [make(f"conv4:{unit}") for unit in (5, 12) for make in (ls.excitation, ls.inhibition)]
    cut = dataclasses.replace(recipe_for("standard", model.layer("logits"), model), alpha=0.7)
    plain = recipe_for("standard", model.layer("conv6"), model)
    ways: tuple[Kind, ...] = ("phase", "fourier", "pyramid", "cppn", "pixels")
    return [
        ("conv5:40 alone,\nand four apart", [*_all(alone), *_all(apart)]),
        ("conv4:5 and 12,\nfor and against", _all(ls.maximise(model, units))),
        (
            "classes,\ncut out",
            _all(ls.maximise(model, ["mushroom", "owl", "umbrella", "ladybird", "cup"], recipe=cut)),
        ),
        (
            "conv6:16, by\nparametrisation",
            [
                dataclasses.replace(one, told=f"{way}\n{one.told}")
                for way in ways
                for one in _all(ls.maximise(model, "conv6:16", recipe=plain.drawn_as(way)))
            ],
        ),
        ("from conv5:3\nto conv5:60", _all(ls.interpolate(model, "conv5:3", "conv5:60", COLUMNS, align=0.1))),
    ]


def starts(model: ls.VisionModel) -> list[tuple[str, list[Shown]]]:
    """Rows of pictures of an image: the image, more of its class, more of a unit, and what two layers see of it."""
    rows = []
    for thing in ("owl", "ladybird"):
        image = ls.world.render(1, seed=7, size=model.input_size, things=thing).images
        own = Shown(np.asarray((image[0].permute(1, 2, 0) * 255).round().byte()), "the image\n")
        made = {
            f"more {thing}": ls.accentuate(model, image, thing, keep=0.3),
            "more conv4:5": ls.accentuate(model, image, "conv4:5", keep=0.3),
            "conv3 sees": ls.caricature(model, image, "conv3"),
            "conv5 sees": ls.caricature(model, image, "conv5"),
        }
        pictures = [
            dataclasses.replace(one, told=f"{what}\n{one.told}") for what, art in made.items() for one in _all(art)
        ]
        rows.append((f"scene:{thing}:7", [own, *pictures]))
    return rows


def _all(made: Synthesis) -> list[Shown]:
    return [
        Shown(picture, f"{_short(control)} to {_short(score)}")
        for picture, control, score in zip(made.images, made.controls, made.scores, strict=True)
    ]


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2f}"


def sheet(rows: Sequence[tuple[str, Sequence[Shown]]]) -> Image.Image:
    """Rows with their names on the left."""
    figure, panels = plt.subplots(
        len(rows), COLUMNS + 1, figsize=(8, 1.55 * len(rows)), dpi=110, squeeze=False, layout="constrained",
        gridspec_kw={"width_ratios": [0.8, *[1] * COLUMNS]},
    )  # fmt: skip
    for line, (name, shown) in zip(panels, rows, strict=True):
        for axes in line:
            axes.set(frame_on=False, xticks=[], yticks=[])
        line[0].text(0, 0.5, name, fontsize=8, va="center", transform=line[0].transAxes)
        for axes, one in zip(line[1:], shown, strict=False):
            axes.imshow(on_checks(one.picture), interpolation="bilinear")
            axes.set_xlabel(one.told, fontsize=7, color="#444", labelpad=2)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    plt.close(figure)
    return Image.open(file).convert("RGB")


def on_checks(picture: NDArray[Any]) -> NDArray[Any]:
    """A picture of four channels over a checkerboard; others as they are."""
    if picture.shape[2] != 4:
        return picture
    fields = (np.indices(picture.shape[:2]) // CHECKED).sum(0) % 2
    behind, alpha = np.where(fields, DARK, LIGHT)[..., None], picture[..., 3:] / 255
    return (picture[..., :3] * alpha + behind * (1 - alpha)).round().astype(np.uint8)


def atlas(model: ls.VisionModel) -> Image.Image:
    """The map of a layer, as `ls.figures.atlas` draws it."""
    with tempfile.TemporaryDirectory() as folder:
        made = ls.atlas(model, "relu7", folder, layout="pca+t-sne")
        path = ls.figures.save(ls.figures.atlas(made), Path(folder) / "atlas.png")
        with Image.open(path) as drawn:
            drawn.thumbnail((1100, 1100))
            return drawn.convert("RGB")


def save(image: Image.Image, path: Path) -> None:
    """As WebP, as good as fits into LARGEST bytes. Raises ValueError where none does."""
    for quality in range(90, 30, -10):
        packed = io.BytesIO()
        image.save(packed, "WEBP", quality=quality, method=6)
        if packed.tell() <= LARGEST:
            path.write_bytes(packed.getvalue())
            return
    raise ValueError(f"{path.name} takes more than {LARGEST} bytes at any quality")


MADE: dict[str, Callable[[ls.VisionModel], Image.Image]] = {
    "kinds": lambda model: sheet(kinds(model)),
    "starts": lambda model: sheet(starts(model)),
    "atlas": atlas,
}


def main() -> int:
    """See the first lines of this file."""
    asks = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asks.add_argument("names", nargs="*", help=f"which to draw: {', '.join(MADE)}")
    model = ls.load_model("menagerie:robust")
    for name in asks.parse_args().names or MADE:
        save(MADE[name](model), PICTURES / f"{name}.webp")
        print(PICTURES / f"{name}.webp")
    return 0


if __name__ == "__main__":
    sys.exit(main())
