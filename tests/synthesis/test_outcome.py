"""What the status of a picture means."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import layerscope.objectives as ob
from layerscope.models.model import VisionModel
from layerscope.synthesis.images import Contrast, Pixels
from layerscope.synthesis.outcome import Jury, beside_natural, judge, saturation, to_bytes

SETTLED = np.concatenate([np.linspace(0, 1, 40), np.ones(60)]).astype(np.float32)
RISING = np.linspace(0, 1, 100, dtype=np.float32)


@pytest.mark.parametrize(
    ("trace", "score", "control", "spread", "dead", "status", "note"),
    [
        (SETTLED, 1.0, 0.0, 0.1, False, "converged", ""),
        (SETTLED, 1.0, 0.0, 0.34, False, "weak", "not clearly above 0 before the ascent"),
        (SETTLED, 1.0, 1.2, 0.0, False, "weak", "not clearly above 1.2"),
        (RISING, 1.0, 0.0, 0.1, False, "weak", "still rising: 27% of the gain came in the last quarter"),
        (RISING[:1], 1.0, 0.0, 0.1, False, "weak", "1 step: too few to tell"),
        (RISING[:10], 1.0, 0.0, 0.1, False, "weak", "10 steps: too few to tell"),
        (SETTLED, 1.0, 0.0, 0.1, True, "dead", "no gradient reaches this objective"),
        (np.zeros(100, np.float32), 0.0, 0.0, 0.0, False, "dead", "no gradient reaches this objective"),
    ],
)
def test_status(
    trace: np.ndarray, score: float, control: float, spread: float, dead: bool, status: str, note: str
) -> None:
    found = judge(trace, score, control, spread, dead)
    assert found[0] == status
    assert note in found[1]
    assert bool(note) == bool(found[1])


def test_saturation_counts_values_at_the_ends() -> None:
    assert saturation(np.array([[[0, 2, 3, 252, 253, 255, 128, 100]]], np.uint8)) == 0.5


def test_bytes_round_to_the_nearest() -> None:
    assert to_bytes(torch.tensor([-0.1, 0.499 / 255, 0.501 / 255, 0.5, 1.2])).tolist() == [0, 0, 1, 128, 255]


def test_scores_are_those_of_the_network_itself(model: VisionModel) -> None:
    pictures = torch.randint(0, 256, (8, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    single, group = ob.logit(1).bind(model), (ob.logit(2) - ob.any_class()).bind(model)
    plain = Pixels(Contrast(torch.eye(3), torch.ones(32, 32), 0.1))
    jury = Jury(model, plain, 32, 8)
    got = np.concatenate(jury.scores([(single, pictures[:1]), (group, pictures[1:3])]))
    with torch.no_grad():
        logits = model(pictures.float() / 255)
    wanted = [logits[0, 1], logits.log_softmax(1)[1, 2], logits.log_softmax(1)[2, 2]]
    assert got.tolist() == pytest.approx([float(value) for value in wanted], abs=1e-5)
    assert jury.spreads(pictures, [single])[0] == pytest.approx(float(logits[:, 1].std()), rel=1e-4)


def test_a_picture_far_below_natural_images_is_weak() -> None:
    assert beside_natural(0.51, 1.0, "converged", "") == (0.51, "converged", "")
    assert beside_natural(0.12, None, "converged", "") == (None, "converged", "")
    assert beside_natural(0.12, -1.0, "converged", "") == (None, "converged", "")
    assert beside_natural(0.1, 1.0, "dead", "why") == (0.1, "dead", "why")
    ratio, status, note = beside_natural(0.24, 2.0, "converged", "")
    assert (ratio, status) == (0.12, "weak")
    assert note.startswith("reaches 12% of what a natural image reaches")
