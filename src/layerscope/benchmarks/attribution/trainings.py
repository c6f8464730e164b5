"""Other trainings of the bundled networks, from other first weights: made here where they are missing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from layerscope.models.model import VisionModel
from layerscope.models.release import make_network
from layerscope.models.zoo import NAMES, WEIGHTS, read
from layerscope.types import Progress


def trainings(spec: str, seeds: Iterable[int], out: Path, on_progress: Progress) -> list[VisionModel]:
    """A bundled network trained again with these seeds, in folders of their own below `out`; none of other networks.

    A training that was stopped goes on. Takes 12 minutes of a processor for each, 25 for a robust one.
    """
    if spec not in NAMES:
        return []
    found = []
    for seed in seeds:
        folder = out / f"{spec.replace(':', '-')}-seed-{seed}"
        weights = folder / WEIGHTS
        if not weights.is_file():
            weights = make_network(robust=spec.endswith(":robust"), out=folder, seed=seed, on_progress=on_progress)
        found.append(read(weights, f"{spec}, seed {seed}"))
    return found
