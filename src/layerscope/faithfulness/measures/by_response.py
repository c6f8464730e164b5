"""How a map answers to changes: of the image's squares (infidelity), of nothing that counts, and of the network.

Infidelity and max-sensitivity: Yeh, Hsieh, Suggala, Inouye, Ravikumar 2019, arXiv:1901.09392.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from weakref import WeakKeyDictionary

import torch
from captum.metrics import infidelity as captum_infidelity
from torch import Tensor

from layerscope.attribution.baselines import blurred
from layerscope.attribution.checks import rank_correlation
from layerscope.faithfulness.cases import ASKED, NOISE, NOISES, REDRAWN, Case
from layerscope.faithfulness.measures.measure import Answers, Measure, Values
from layerscope.faithfulness.scoring import scored
from layerscope.types import Images

SQUARES = 16
"""Squares of an image that are changed, one at a time."""
SIDE = 0.25
"""Of a square, in shorter sides of the image."""
GREY = 0.1
"""By how much a square is made brighter or darker, of values in [0, 1]."""
NOISY = 0.02
"""Most that noise changes a value, of values in [0, 1]: five grey levels, which nobody sees."""

_NOISY = tuple(f"{NOISE}{draw}" for draw in range(NOISES))

MEASURES = (
    Measure(
        "infidelity",
        "infidelity",
        "low",
        "While random squares are made brighter or darker: the part of the score's changes that the map's sums over "
        "the squares do not foretell, at their best scale (Yeh et al. 2019). 0 foretells all, as a gradient does for a "
        "linear score; 1 is an empty map, or one that foretells the opposite.",
    ),
    Measure(
        "infidelity_blur",
        "infidelity, blur",
        "low",
        "The same while random squares are blurred: 0 is a map that says what the detail of each pixel adds to the "
        "score, 1 an empty map or one that foretells the opposite.",
    ),
    Measure(
        "max_sensitivity",
        "max-sensitivity",
        "low",
        "The largest change of the map under noise that nobody sees, over the size of the map (Yeh et al. 2019): 0 "
        "stays as it is, as a map that knows nothing may too; 1 changes by as much as there is of it.",
        questions=(ASKED, *_NOISY),
    ),
    Measure(
        "redrawn",
        "redrawn",
        "low",
        "Size of the rank correlation with the map of the network whose top layers are drawn anew (Adebayo et al. "
        "2018): 0 is another map; 1 the same one, which says nothing about what those layers have learned.",
        questions=(ASKED, REDRAWN),
    ),
)

Changed = Callable[[Tensor, int], tuple[Tensor, Images]]
"""An image [channel, height, width] and a seed -> what was taken from it, float64 [SQUARES, 1, height, width], in
units of the map, and the images without it, [SQUARES, channel, height, width]."""


def judge(case: Case, answers: Answers) -> Values:
    """Measures of MEASURES; those whose questions are not answered are missing, NaN where there is nothing to compare.

    Raises InputError for scores that are not finite.
    """
    if ASKED not in answers:
        return {}
    values = answers[ASKED]
    found = {name: infidelity(values, *_responses(case, changed)) for name, changed in _CHANGES.items()}
    if all(name in answers for name in _NOISY):
        found["max_sensitivity"] = max_sensitivity(values, [answers[name] for name in _NOISY])
    if REDRAWN in answers:
        correlation = rank_correlation(values, answers[REDRAWN])
        found["redrawn"] = math.nan if correlation is None else abs(correlation)
    return found


def infidelity(values: Tensor, taken: Tensor, scores: Tensor) -> float:
    """Captum's normalised infidelity of a map over the mean square of the score's changes, in [0, 1].

    That is 1 - cos^2 between what the map says of the changes and what the score does, since Captum's scale of the map
    is the best there is. It may be negative; here a map that foretells the opposite gets 1, as an empty one does. NaN
    for a score that does not change.

    Args:
        values: the map, [height, width], added up over channels.
        taken: [n, 1, height, width], what is taken from every channel, so that the sum over the channels is all that
            counts of a map.
        scores: float64 [1 + n], of the image and of the images without it.
    """
    changes = scores[0] - scores[1:]
    whole = changes.square().mean()
    if whole == 0:
        return math.nan
    if changes @ (taken * values.detach().double().cpu()).sum((1, 2, 3)) < 0:
        return 1.0
    missed = captum_infidelity(
        lambda changes: scores[1:] if len(changes) > 1 else scores[:1],  # known: the same for all maps of an image
        lambda none: (taken, taken),
        torch.zeros_like(taken[:1]),
        values.detach().double().cpu()[None, None],
        n_perturb_samples=len(taken),
        normalize=True,
    )
    return min(1.0, max(0.0, float(missed / whole)))


def max_sensitivity(values: Tensor, others: Sequence[Tensor]) -> float:
    """The largest |other - values| over |values| in the L2 norm, as Captum's `sensitivity_max` has it.

    values, others: the maps [height, width] of the image and of it under noise. NaN for an empty map, of which Captum
    returns |other|, and for maps that are not finite.
    """
    own = values.detach().double().cpu()
    size = own.norm()
    changes = torch.stack([(other.detach().double().cpu() - own).norm() for other in others])
    return float(changes.max() / size) if 0 < size < math.inf and changes.isfinite().all() else math.nan


def noisy(image: Tensor, draw: int, seed: int = 0) -> Tensor:
    """An image [channel, height, width] with noise within +-NOISY, drawn evenly as Captum's `sensitivity_max` does.

    Held within [0, 1], as methods ask of images. draw: number of the noise question, below NOISES.
    """
    generator = torch.Generator().manual_seed(NOISES * seed + draw)
    noise = torch.empty(image.shape).uniform_(-NOISY, NOISY, generator=generator)
    return (image + noise.to(image)).clamp(0, 1)


def shifted(image: Tensor, seed: int) -> tuple[Tensor, Images]:
    """GREY more or less in all channels of a square, so that only a map's sum over the channels counts.

    That is the change of which gradients speak: exact where the score is linear. Values may leave [0, 1] by GREY, since
    a shift cut off there would no longer be the same for all channels.
    """
    generator = torch.Generator().manual_seed(seed)
    inside, up = _squares(image, generator), torch.randint(2, (SQUARES, 1, 1, 1), generator=generator)
    taken = inside.double() * (2 * up - 1) * GREY
    return taken, image - taken.to(image)


def without_detail(image: Tensor, seed: int) -> tuple[Tensor, Images]:
    """Squares of the image blurred: all that the map says of their pixels is taken, in all channels alike.

    That is the change of which maps speak that share out a difference to the blurred image.
    """
    inside = _squares(image, torch.Generator().manual_seed(seed))
    return inside.double(), torch.where(inside.to(image.device), blurred(image[None]), image)


def _squares(image: Tensor, generator: torch.Generator) -> Tensor:
    """Bool [SQUARES, 1, height, width]: true in one square each, anywhere in the image."""
    height, width = image.shape[-2:]
    side = max(1, round(SIDE * min(height, width)))
    rows, columns = (
        (start <= torch.arange(length)) & (torch.arange(length) < start + side)
        for length in (height, width)
        for start in [torch.randint(length - side + 1, (SQUARES, 1), generator=generator)]
    )
    return (rows[:, :, None] & columns[:, None, :])[:, None]


_CHANGES: dict[str, Changed] = {"infidelity": shifted, "infidelity_blur": without_detail}
_SCORES: WeakKeyDictionary[Case, dict[Changed, Tensor]] = WeakKeyDictionary()
"""Of cases that somebody else holds: every map of a case is compared with the same scores."""


def _responses(case: Case, changed: Changed) -> tuple[Tensor, Tensor]:
    """What is taken from the image, and the scores of it and of the images without: float64 [1 + SQUARES]."""
    image = case.asked.image
    taken, images = changed(image, case.seed)
    known = _SCORES.setdefault(case, {})
    if changed not in known:
        known[changed] = scored(case.asked.score, [torch.cat([image[None], images])])
    return taken, known[changed]
