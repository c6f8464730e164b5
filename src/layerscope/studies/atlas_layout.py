"""Where the vectors of an atlas lie: a layout in the plane that keeps neighbours together, how well it keeps them, and
the cells of a grid over it.

Carter et al. 2019, "Activation Atlas" (Distill): "Aggregating Multiple Images". UMAP (McInnes et al. 2018) where
umap-learn is installed, else the first 50 principal components and t-SNE (van der Maaten and Hinton 2008).
"""

from __future__ import annotations

import importlib.util
import warnings
from dataclasses import dataclass
from importlib.metadata import version
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from layerscope.errors import InputError, UnknownNameError

UMAP, TSNE = "umap", "pca+t-sne"
LEAST_VECTORS = 32
NEIGHBOURS = 15
"""Of each vector: how many are looked for again in the layout."""
_EDGE = 0.01  # share of the points on each side that are moved to the border, so that a few far ones squeeze no others
_COMPONENTS, _PERPLEXITY = 50, 30.0
_MIN_DIST = 0.3
"""Of UMAP. On relu7 of the bundled robust network 60 % of neighbours are kept, as with 0.05, and 62 cells are full
instead of 46; with 0.8 it is 52 %."""
_MOST_MEASURED = 4096  # vectors; distances between all pairs of more take gigabytes
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Layout:
    """points: float64 [vectors, 2], in [0, 1]. method: "umap" or "pca+t-sne".

    kept: mean share of the nearest neighbours of a vector (by cosine) that are among its nearest in the layout;
    neighbours: how many those are. trust: trustworthiness (Venna and Kaski 2001), 1 where no stranger came close. Each
    in [0, 1] and with a control: the same of the layout with its points dealt out at random.
    """

    points: Floats
    method: str
    kept: float
    kept_shuffled: float
    trust: float
    trust_shuffled: float
    neighbours: int


def methods() -> tuple[str, ...]:
    """Those that can be used here, the best first."""
    return (UMAP, TSNE) if importlib.util.find_spec("umap") is not None else (TSNE,)


def chosen_method(asked: str | None) -> tuple[str, str]:
    """The method that is asked for, or the best there is, and the version of the library that it comes from.

    Raises UnknownNameError for one that is not there.
    """
    name = methods()[0] if asked is None else asked
    if name not in methods():
        hint = "UMAP needs the extra: pip install 'layerscope[umap]'" if name == UMAP else ""
        raise UnknownNameError.among("layout", name, methods(), hint)
    return name, version("umap-learn" if name == UMAP else "scikit-learn")


def lay_out(values: NDArray[np.float32], method: str, seed: int) -> Layout:
    """Lay out vectors [vectors, units], none of them zero, by their cosines. On one thread, so that the same vectors
    and seed give the same layout.

    Raises InputError for fewer than 32 vectors.
    """
    if len(values) < LEAST_VECTORS:
        raise InputError(f"{len(values)} vectors that are not zero; an atlas needs {LEAST_VECTORS} at least")
    long = values.astype(np.float64)
    unit = long / np.linalg.norm(long, axis=1, keepdims=True)
    with threadpool_limits(1):
        found = (_by_umap if method == UMAP else _by_tsne)(unit, seed)
        points = _into_square(found)
        return Layout(points, method, *_measured(unit, points, seed))


def grid_cells(points: Floats, grid: int, least: int) -> list[tuple[int, int, NDArray[np.int64]]]:
    """Row, column and members of each cell of a grid of `grid` times `grid` that has `least` members, in reading order;
    the first axis of the points goes right, the second down."""
    places = np.minimum((points * grid).astype(np.int64), grid - 1)
    number = places[:, 1] * grid + places[:, 0]
    counts = np.bincount(number, minlength=grid * grid)
    return [
        (int(one) // grid, int(one) % grid, np.flatnonzero(number == one)) for one in np.flatnonzero(counts >= least)
    ]


def _by_umap(unit: Floats, seed: int) -> Floats:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the parts that it is made of, about each other's versions
        import umap

        reducer = umap.UMAP(
            n_neighbors=min(NEIGHBOURS, len(unit) - 1), min_dist=_MIN_DIST, metric="cosine", random_state=seed, n_jobs=1
        )
        return np.asarray(reducer.fit_transform(unit), dtype=np.float64)


def _by_tsne(unit: Floats, seed: int) -> Floats:
    from sklearn import decomposition, manifold

    parts = decomposition.PCA(min(_COMPONENTS, *unit.shape), svd_solver="full").fit_transform(unit)
    perplexity = min(_PERPLEXITY, (len(unit) - 1) / 3)
    reducer = manifold.TSNE(
        perplexity=perplexity, init="random" if parts.shape[1] < 2 else "pca", random_state=seed, n_jobs=1
    )
    return np.asarray(reducer.fit_transform(parts.astype(np.float64)), dtype=np.float64)


def _into_square(points: Floats) -> Floats:
    """Each axis from 0 to 1."""
    low, high = np.quantile(points, (_EDGE, 1 - _EDGE), axis=0)
    square: Floats = np.clip((points - low) / np.maximum(high - low, 1e-12), 0, 1)
    return square


class _Numbers(NamedTuple):
    kept: float
    kept_shuffled: float
    trust: float
    trust_shuffled: float
    neighbours: int


def _measured(unit: Floats, points: Floats, seed: int) -> _Numbers:
    """How well the layout keeps neighbours, and how well chance does."""
    from sklearn.manifold import trustworthiness
    from sklearn.neighbors import NearestNeighbors

    generator = np.random.default_rng(seed)
    if len(unit) > _MOST_MEASURED:
        some = np.sort(generator.choice(len(unit), _MOST_MEASURED, replace=False))
        unit, points = unit[some], points[some]
    count = min(NEIGHBOURS, (len(unit) - 1) // 2)
    shuffled = generator.permutation(points)

    def nearest(values: Floats) -> NDArray[np.int64]:
        found: NDArray[np.int64] = NearestNeighbors(n_neighbors=count).fit(values).kneighbors(return_distance=False)
        return found

    truly = nearest(unit)  # of vectors of length one, nearest by distance is nearest by cosine
    kept, kept_shuffled = (_overlap(truly, nearest(some)) for some in (points, shuffled))
    trust, trust_shuffled = (float(trustworthiness(unit, some, n_neighbors=count)) for some in (points, shuffled))
    return _Numbers(kept, kept_shuffled, trust, trust_shuffled, count)


def _overlap(one: NDArray[np.int64], other: NDArray[np.int64]) -> float:
    """Mean share of the entries of a row of one that are in the same row of the other."""
    shares = [len(np.intersect1d(*pair)) / len(pair[0]) for pair in zip(one, other, strict=True)]
    return float(np.mean(shares))
