"""What a linear reader can tell from a layer, and how much of that random weights and shuffled labels tell (Alain and
Bengio 2016; Hewitt and Liang 2019 for the control).

Random features decode much: texture at .84 in the first layer of an untrained network. So the accuracy alone says
nothing; the differences do. Splits share images, so intervals are those of Nadeau and Bengio 2003.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import t as student
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeClassifierCV
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GroupShuffleSplit, StratifiedShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
from torch import Tensor

from layerscope.dissection.discovery import Interval
from layerscope.errors import InputError

WIDEST = 256
"""Principal components that a reader sees at most, so that wide layers have no head start."""
PENALTIES = tuple(np.logspace(0, 5, 6).tolist())
TEST_SHARE = 0.2
Floats = NDArray[np.float64]
Split = tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True)
class Decodability:
    """Balanced accuracy (mean recall over the classes) of a linear reader on images that it was not fitted to.

    Attributes:
        accuracy: of the layer, 95 % interval over splits.
        shuffled: of the same reader where the labels of all images are shuffled; about `chance`.
        beyond_shuffled: the difference, split by split.
        beyond_twins: accuracy minus the mean of the twins', split by split; the interval, at the level that was asked
            for, counts that one random network differs from the next, so that another random network would lie in it.
            None without twins.
        twins: accuracy of each twin.
        chance: 1 / classes.
    """

    accuracy: Interval
    shuffled: Interval
    beyond_shuffled: Interval
    beyond_twins: Interval | None
    twins: tuple[float, ...]
    chance: float


def decodability(
    features: Tensor,
    labels: Tensor,
    twins: Sequence[Tensor] = (),
    *,
    groups: Tensor | None = None,
    splits: int = 20,
    seed: int = 0,
    level: float = 0.95,
) -> Decodability:
    """How well labels can be read from the features of a layer, beyond twins and beyond shuffled labels.

    Standardised features, at most 256 principal components, ridge regression onto the classes with the penalty chosen
    by leave-one-out inside the fitted images; all is fitted on 4 of 5 images and scored on the fifth, `splits` times.

    `features`: [images, ...] (means and maxima over positions, say); `labels`: int [images]; `twins`: as `features`, of
    the random twins. `groups`: int [images]; images of one group, such as an image and its scrambled twin, stay on one
    side of each split. `level`: of the interval beyond the twins; the others have 95 %. Raises InputError for fewer
    than 2 classes, fewer than 5 images (or 5 groups) of a class, or fewer than 2 splits.
    """
    names, classes = np.unique(labels.detach().cpu().numpy(), return_inverse=True)
    parts = _splits(classes.astype(np.int64), groups, splits, seed)
    generator = np.random.default_rng(seed)
    orders = [generator.permutation(len(classes)) for _ in parts]
    own = _matrix(features, len(classes))
    with threadpool_limits(1):  # the matrices are small: threads wait for each other longer than they work
        accuracy = _read(own, [classes] * splits, parts)
        shuffled = _read(own, [classes[order] for order in orders], parts)
        of_twins = [_read(_matrix(twin, len(classes)), [classes] * splits, parts) for twin in twins]
    ratio = len(parts[0][1]) / len(parts[0][0])
    return Decodability(
        accuracy=corrected_interval(accuracy, ratio),
        shuffled=corrected_interval(shuffled, ratio),
        beyond_shuffled=corrected_interval(accuracy - shuffled, ratio),
        beyond_twins=_beyond(accuracy, np.stack(of_twins), ratio, level) if of_twins else None,
        twins=tuple(float(one.mean()) for one in of_twins),
        chance=1 / len(names),
    )


def corrected_interval(
    values: Floats, ratio: float, more: float = 0.0, level: float = 0.95, freedom: int = 1
) -> Interval:
    """Mean over splits of the same images and its interval, by the corrected resampled t (Nadeau and Bengio 2003).

    `ratio`: images to score / images to fit. The plain variance of the mean, s^2 / splits, takes splits for independent
    draws; theirs is (1 / splits + ratio) s^2. `more` is added to it, a variance of so many degrees of `freedom`;
    the sum has those of Welch and Satterthwaite.
    """
    mean, splits = float(values.mean()), len(values)
    own = (1 / splits + ratio) * float(values.var(ddof=1))
    parts = own**2 / (splits - 1) + more**2 / freedom
    degrees = (own + more) ** 2 / parts if parts > 0 else splits - 1
    half = float(student.ppf(0.5 + level / 2, degrees)) * (own + more) ** 0.5
    return Interval(mean, mean - half, mean + half)


def _beyond(accuracy: Floats, twins: Floats, ratio: float, level: float) -> Interval:
    """The network is one draw, the mean over twins one of several: with nothing learned, so far apart is chance."""
    networks = len(twins)
    between = float(twins.mean(1).var(ddof=1)) * (1 + 1 / networks) if networks > 1 else 0.0
    return corrected_interval(accuracy - twins.mean(0), ratio, between, level, max(1, networks - 1))


def _read(features: Floats, labels: Sequence[NDArray[np.int64]], parts: Sequence[Split]) -> Floats:
    """Balanced accuracy in each split, with the labels for it."""
    return np.array([_accuracy(features, classes, *part) for classes, part in zip(labels, parts, strict=True)])


def _accuracy(features: Floats, classes: NDArray[np.int64], fit: NDArray[np.int64], score: NDArray[np.int64]) -> float:
    steps: list[object] = [StandardScaler()]
    if features.shape[1] > WIDEST:  # a ridge does not see a mere rotation
        steps.append(PCA(min(WIDEST, len(fit) - 1), svd_solver="randomized", random_state=0))
    reader = make_pipeline(*steps, RidgeClassifierCV(PENALTIES, class_weight="balanced"))
    reader.fit(features[fit], classes[fit])
    with warnings.catch_warnings():  # by shuffled labels or groups, a class may be read that is not in the scored ones
        warnings.filterwarnings("ignore", "y_pred contains classes not in y_true")
        return float(balanced_accuracy_score(classes[score], reader.predict(features[score])))


def _splits(classes: NDArray[np.int64], groups: Tensor | None, splits: int, seed: int) -> list[Split]:
    if splits < 2:
        raise InputError(f"splits={splits}; an interval needs at least 2")
    counts = np.bincount(classes)
    if len(counts) < 2 or counts.min() < 1 / TEST_SHARE:
        raise InputError(
            f"{len(counts)} classes with {counts.tolist()} images; give 2 classes or more, 5 images of each"
        )
    if groups is None:
        return list(StratifiedShuffleSplit(splits, test_size=TEST_SHARE, random_state=seed).split(classes, classes))
    names = groups.detach().cpu().numpy()
    if names.shape != classes.shape or len(np.unique(names)) < 1 / TEST_SHARE:
        raise InputError(f"groups of shape {names.shape}; give one per image, and 5 different ones or more")
    parts = list(GroupShuffleSplit(splits, test_size=TEST_SHARE, random_state=seed).split(classes, groups=names))
    if any(len(np.unique(classes[fit])) < len(counts) for fit, _ in parts):
        raise InputError("some class is in so few groups that a split has none of it to fit; give more groups")
    return parts


def _matrix(features: Tensor, images: int) -> Floats:
    matrix: Floats = features.detach().to("cpu", torch.float64).reshape(len(features), -1).numpy()
    if len(matrix) != images or not matrix.shape[1] or not np.isfinite(matrix).all():
        raise InputError(f"features of shape {tuple(features.shape)} for {images} labels; give finite [images, ...]")
    return matrix
