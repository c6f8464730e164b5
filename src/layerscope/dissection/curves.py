"""What can be read from whole layers, from the first to the last, and how alike layers are.

The curve that carries the claim is that of configuration: images against the same parts scattered. Textures, colours
and edges can be read from random layers as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from layerscope.dissection.decodability import Decodability, decodability
from layerscope.dissection.discovery import each_of
from layerscope.dissection.measures import LayerMeasures
from layerscope.dissection.pictures import TEXTURE_SWAPPED, Pictures
from layerscope.dissection.similarity import cka_matrix
from layerscope.dissection.stimuli.textures import Textures
from layerscope.types import Progress, no_progress

TASKS = {
    "edge": "the orientation of most edges",
    "texture": "the family of a texture",
    "shape": "the class of a picture in textures of other things",
    "object": "the class of a picture",
    "configuration": "pictures against their first twins, such as the same parts scattered",
}
_LEAST = 10  # images of an orientation; rarer ones are left out
Network = Mapping[str, LayerMeasures]


def decodabilities(
    network: Network,
    twins: Sequence[Network],
    pictures: Pictures,
    textures: Textures,
    *,
    splits: int = 20,
    seed: int = 0,
    on_progress: Progress = no_progress,
) -> dict[str, dict[str, Decodability]]:
    """By layer and task (those of TASKS of which there is truth). Progress counts layers and tasks.

    The intervals of what is beyond the twins hold together, with 95 % for all layers and tasks (Bonferroni).
    """
    missing = {"edge": pictures.contour is None, "shape": not pictures.twins(TEXTURE_SWAPPED)}
    tasks = [task for task in TASKS if not missing.get(task)]
    level = each_of(len(network) * len(tasks))
    found: dict[str, dict[str, Decodability]] = {layer: {} for layer in network}
    for done, layer in enumerate(network):
        for number, task in enumerate(tasks):
            labels, groups = _labels(task, pictures, textures)
            keep = _common(labels) if task == "edge" else torch.ones(len(labels), dtype=torch.bool)
            own, *theirs = (_features(one[layer], task, pictures)[keep] for one in (network, *twins))
            found[layer][task] = decodability(
                own,
                labels[keep],
                theirs,
                groups=None if groups is None else groups[keep],
                splits=splits,
                seed=seed,
                level=level,
            )
            on_progress(done * len(tasks) + number + 1, len(network) * len(tasks), "linear readers")
    return found


def similarities(network: Network, twins: Sequence[Network]) -> tuple[Tensor, Tensor]:
    """Debiased CKA of the means over positions: of the layers with each other, and with those of the twins (the mean
    over twins), float64 [layers, layers] each."""
    own = [one.means for one in network.values()]
    theirs = [cka_matrix(own, [one.means for one in twin.values()]) for twin in twins]
    return cka_matrix(own), torch.stack(theirs).mean(0)


def _features(measures: LayerMeasures, task: str, pictures: Pictures) -> Tensor:
    """Means and maxima over positions, [images, 2 units]; of textures the mean positive part."""
    if task == "texture":
        return measures.of_textures
    if task == "shape":
        return _of_twins(measures, TEXTURE_SWAPPED)
    both = torch.cat([measures.means, measures.maxima], 1)
    if task != "configuration":
        return both
    return torch.cat([both[pictures.chosen :], _of_twins(measures, pictures.controls[0].name)])


def _of_twins(measures: LayerMeasures, control: str) -> Tensor:
    return torch.cat([measures.controls[f"{control}/twins/{name}"] for name in ("means", "maxima")], 1)


def _labels(task: str, pictures: Pictures, textures: Textures) -> tuple[Tensor, Tensor | None]:
    """Labels of the features, and groups that stay on one side of each split."""
    if task == "texture":
        families, exemplars, _ = textures.shape
        return torch.arange(families).repeat_interleave(exemplars), None
    if task == "configuration":
        number = torch.arange(pictures.scored)
        return torch.arange(2).repeat_interleave(pictures.scored), torch.cat([number, number])
    if task == "edge" and pictures.contour is not None:
        return pictures.contour, None
    return (pictures.scored_labels if task == "shape" else pictures.labels), None


def _common(labels: Tensor) -> Tensor:
    return torch.bincount(labels)[labels] >= _LEAST
