"""The cells of an atlas: what is climbed for each, and what is measured of its picture.

Carter et al. 2019, "Activation Atlas" (Distill): a cell stands for the mean of its activations; its picture climbs that
mean, whitened.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from layerscope.capture.evaluating import evaluating
from layerscope.capture.hooks import capture
from layerscope.capture.layers import Layer, units_first
from layerscope.figures.pictures import as_rgb
from layerscope.models.model import VisionModel
from layerscope.studies.atlas_vectors import Readers, Vectors, as_input, at_positions
from layerscope.studies.exemplars import CROP_SIDE, window
from layerscope.studies.probe import Probe

CROPS = 6
"""Natural crops beside a picture: those of the vectors most like their mean."""
_TOLD = 3  # classes that a mean is attributed to
Floats = NDArray[np.float64]


def directions(values: NDArray[np.float32], means: Floats) -> Floats:
    """[cells, units]: each mean times the inverse of the vectors' second moments, scaled to length one.

    Moments are about zero, as in the article's own notebook, and shrunk (Ledoit and Wolf 2004), so that fewer vectors
    than units will do. About the mean, the inverse takes away what the means of cells have in common with it: of 17
    cells of the bundled robust network's relu7, 1 picture was most like its own cell, and 17 with moments about zero
    (recipe "draft").
    """
    from sklearn.covariance import LedoitWolf

    inverse = LedoitWolf(assume_centered=True).fit(values.astype(np.float64)).precision_
    found: Floats = means @ inverse
    unit: Floats = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-300)
    return unit


def mean_activation(model: VisionModel, layer: Layer, picture: NDArray[np.uint8]) -> Floats:
    """[units]: the mean over positions of what the network itself makes of a picture [height, width, channel]."""
    pixels = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None]
    with evaluating(model.module), capture(model, layer.name) as activations:
        model(as_input(pixels, model))
    found = at_positions(units_first(activations[layer.name], layer.unit_axis))
    mean: Floats = found[0].double().mean(1).cpu().numpy()
    return mean


def likeness(found: Floats, means: Floats, cell: int, seed: int) -> dict[str, Any]:
    """How a picture's mean activation [units] stands to the mean of its own cell and of all others [cells, units].

    cosine: with its own cell. other: with another one, drawn from seed and cell: the control. rank: of its own cell
    among all, 1 where no other is more like the picture; of: how many there are. None without another cell, or where
    the picture excites nothing.
    """
    length = float(np.linalg.norm(found))
    cosines = means @ found / (np.linalg.norm(means, axis=1) * length) if length > 0 else None
    others = [place for place in range(len(means)) if place != cell]
    if cosines is None or not others:
        own = None if cosines is None else float(cosines[cell])
        return {"cosine": own, "other": None, "rank": None, "of": len(means)}
    drawn = others[int(np.random.default_rng([seed, cell]).integers(len(others)))]
    rank = 1 + int((cosines > cosines[cell]).sum())
    return {"cosine": float(cosines[cell]), "other": float(cosines[drawn]), "rank": rank, "of": len(means)}


def classes_of(members: NDArray[np.int64], vectors: Vectors, probe: Probe) -> list[list[Any]]:
    """[class name, vectors]: what images the members come from, the most frequent class first."""
    labels = (probe.label(int(image)) for image in vectors.images[members])
    return [[name, count] for name, count in sorted(Counter(labels).items(), key=lambda one: (-one[1], one[0]))]


def attributed(mean: Floats, readers: Readers | None, names: Sequence[str] | None) -> list[list[Any]]:
    """[class name, logit]: what the network says where the mean stands at every position, the highest three; nothing
    where the rest of the network is not linear."""
    if readers is None:
        return []
    logits = readers.weights @ mean + readers.offset
    best = np.argsort(-logits, kind="stable")[:_TOLD]
    return [[names[place] if names else str(place), float(logits[place])] for place in best]


def nearest(members: NDArray[np.int64], vectors: Vectors, mean: Floats) -> NDArray[np.int64]:
    """Those of the members that are most like their mean by cosine, at most six, the nearest first."""
    values = vectors.values[members].astype(np.float64)
    cosines = values @ mean / np.linalg.norm(values, axis=1)
    return members[np.argsort(-cosines, kind="stable")[:CROPS]]


def strip(chosen: NDArray[np.int64], vectors: Vectors, layer: Layer, probe: Probe) -> NDArray[np.uint8]:
    """What the vectors saw: square crops side by side, as the bytes of a WebP image: uint8 [bytes]."""
    row = Image.new("RGB", (CROP_SIDE * len(chosen), CROP_SIDE))
    for place, vector in enumerate(chosen):
        pixels = probe.data.pixels[int(vectors.images[vector])]
        where = (int(vectors.rows[vector]), int(vectors.columns[vector]))
        left, top, side = window(layer, *where, pixels.shape[-1])
        crop = as_rgb(pixels[:, top : top + side, left : left + side].permute(1, 2, 0).numpy())
        how = Image.Resampling.NEAREST if side < CROP_SIDE else Image.Resampling.LANCZOS
        row.paste(Image.fromarray(crop).resize((CROP_SIDE, CROP_SIDE), how), (place * CROP_SIDE, 0))
    encoded = io.BytesIO()
    row.save(encoded, "WEBP", quality=90, method=4)
    return np.frombuffer(encoded.getvalue(), dtype=np.uint8)
