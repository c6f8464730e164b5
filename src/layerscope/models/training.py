"""Train a network from nothing: the bundled ones on the menagerie, or a user's own on a folder of pictures.

Adversarial training follows Madry et al. (2018) with one step and a random start (Wong, Rice, Kolter 2020), in the L2
norm; the radius grows during training, so that classes are learned before they are defended.
Every batch depends on (seed, step) alone, so a training that was stopped goes on as if it had not been.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import time
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from layerscope.errors import CheckpointError
from layerscope.models import zoo
from layerscope.models.cards import as_file, card_of
from layerscope.models.datasets import LabelledImages
from layerscope.models.evaluation import l2_attack
from layerscope.records import write_whole
from layerscope.types import Progress, no_progress


@dataclass(frozen=True)
class TrainingRecipe:
    """images: seen in all. radius: largest L2 attack (0 trains without); it is reached after `ramp` of the training.
    shift: random displacement in pixels. jitter: random gain per colour channel."""

    images: int = 200_000
    batch: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 0.05
    smoothing: float = 0.05
    radius: float = 0.0
    ramp: float = 0.75
    shift: int = 4
    jitter: float = 0.08
    seed: int = 0

    @property
    def steps(self) -> int:
        return max(1, self.images // self.batch)


SAVE_EVERY = 500  # steps

STANDARD = TrainingRecipe(images=200_000)
ROBUST = TrainingRecipe(images=330_000, radius=4.0)


@dataclass(frozen=True)
class Trained:
    """A trained network in eval mode, and the processor time that it took over all runs, in seconds."""

    module: nn.Module
    cpu_seconds: float


def train(
    data: LabelledImages,
    recipe: TrainingRecipe,
    out: Path,
    architecture: str = "menagerie",
    *,
    cpu_seconds: float = 0.0,
    on_progress: Progress = no_progress,
) -> Trained:
    """Train a network; `out` holds checkpoints at log-spaced steps, which `load_model` opens, and where to go on.

    cpu_seconds: what was spent on the data before. Calling it again with the same arguments goes on from the last
    state; a state of other arguments, or of other pictures or labels, is refused with CheckpointError.
    """
    module = zoo.build(architecture, len(data.class_names), recipe.seed).to(memory_format=torch.channels_last)
    optimiser = _optimiser(module, recipe)
    identity = _identity(data, recipe, architecture)
    first, spent = _resume(out, identity, module, optimiser)
    began = time.process_time() - cpu_seconds

    def total() -> float:
        return spent + (time.process_time() - began if first < recipe.steps else 0.0)

    milestones, card = log_spaced(recipe.steps), card_of(module, data, architecture, asdict(recipe))
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (zoo.MEAN, zoo.STD))

    def classify(images: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=fast_bfloat16()):
            return module(((images - mean) / std).contiguous(memory_format=torch.channels_last)).float()  # type: ignore[no-any-return]

    module.train()
    for step in range(first, recipe.steps):
        images, labels, generator = _batch(data, recipe, step)
        radius = recipe.radius * min(1.0, (step + 1) / (recipe.ramp * recipe.steps))
        if radius:
            images = l2_attack(classify, images, labels, radius, 1, generator)
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate * _schedule(step / recipe.steps)
        optimiser.zero_grad(set_to_none=True)
        F.cross_entropy(classify(images), labels, label_smoothing=recipe.smoothing).backward()
        optimiser.step()
        if step + 1 in milestones:
            seen = {"step": step + 1, "seen": (step + 1) * recipe.batch}
            write_whole(out / f"step-{step + 1:06d}.safetensors", as_file(_so_far(module), {**card, **seen}))
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == recipe.steps:
            _save_resume(
                out, {"identity": identity, "step": str(step + 1), "cpu_seconds": str(total())}, module, optimiser
            )
        on_progress((step + 1) * recipe.batch, recipe.steps * recipe.batch, "training")
    return Trained(upright(module.eval().to(memory_format=torch.contiguous_format)), total())


def fast_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 in hardware."""
    return bool(torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def log_spaced(steps: int, count: int = 12) -> set[int]:
    """About `count` steps from 1 to `steps`, each a constant factor after the one before."""
    return {round(steps ** (index / (count - 1))) for index in range(count)}


def _schedule(progress: float, warm: float = 0.06) -> float:
    """Share of the learning rate: a linear rise, then half a cosine down."""
    if progress < warm:
        return progress / warm + 0.01
    return 0.5 * (1 + math.cos(math.pi * (progress - warm) / (1 - warm))) + 1e-3


def _optimiser(module: nn.Module, recipe: TrainingRecipe) -> torch.optim.AdamW:
    """AdamW that decays weights, not biases and normalisation."""
    decayed = [parameter for parameter in module.parameters() if parameter.ndim > 1]
    free = [parameter for parameter in module.parameters() if parameter.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": free, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.98))


def _batch(data: LabelledImages, recipe: TrainingRecipe, step: int) -> tuple[Tensor, Tensor, torch.Generator]:
    """The images [batch, channels, size, size] in [0, 1] and labels of one step, mirrored, shifted and tinted."""
    chosen = _chosen(len(data), recipe, step)
    generator = torch.Generator().manual_seed(recipe.seed * 1_000_003 + step)
    images, size = data.pixels[chosen].float() / 255, data.pixels.shape[-1]
    mirrored = torch.rand(len(images), 1, 1, 1, generator=generator) < 0.5
    images = torch.where(mirrored, images.flip(3), images)
    if recipe.shift:
        top, left = torch.randint(0, 2 * recipe.shift + 1, (2,), generator=generator).tolist()
        images = F.pad(images, (recipe.shift,) * 4, mode="reflect")[:, :, top : top + size, left : left + size]
    gain = 1 + recipe.jitter * (2 * torch.rand(len(images), images.shape[1], 1, 1, generator=generator) - 1)
    return (images * gain).clamp(0, 1), data.labels[chosen], generator


def _chosen(count: int, recipe: TrainingRecipe, step: int) -> Tensor:
    """The images of one step: epoch after epoch, each in an order of its own."""
    first = step * recipe.batch
    epochs = range(first // count, (first + recipe.batch - 1) // count + 1)
    order = torch.cat([_epoch_order(count, recipe.seed, epoch) for epoch in epochs])
    start = first - epochs[0] * count
    return order[start : start + recipe.batch]


@lru_cache(maxsize=4)
def _epoch_order(count: int, seed: int, epoch: int) -> Tensor:
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed * 7919 + epoch))


def half_state(module: nn.Module) -> dict[str, Tensor]:
    """The state dict with floating-point tensors in half precision."""
    return {
        key: value.detach().half().contiguous() if value.is_floating_point() else value.detach().clone()
        for key, value in module.state_dict().items()
    }


def _so_far(module: nn.Module) -> dict[str, Tensor]:
    """The weights of a network in training, as those of the trained one are written: with no negative gain."""
    return half_state(upright(copy.deepcopy(module)))


def upright(module: nn.Module) -> nn.Module:
    """The same function with no negative batch-norm gain, so that a convolution's unit and its ReLU agree in sign.

    Where a gain is negative, the unit's weights, running mean and gain change sign together, which changes no output.
    """
    children = list(module.children())
    for conv, norm in pairwise(children):
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            sign = torch.where(norm.weight.detach() < 0, -1.0, 1.0)
            with torch.no_grad():
                conv.weight.mul_(sign.view(-1, 1, 1, 1))
                for values in (norm.weight, norm.running_mean):
                    if values is not None:
                        values.mul_(sign)
    return module


def _identity(data: LabelledImages, recipe: TrainingRecipe, architecture: str) -> str:
    content = hashlib.sha256(data.pixels.contiguous().numpy().data)
    content.update(data.labels.contiguous().numpy().data)
    facts = {
        "data": data.origin,
        "content": content.hexdigest(),
        "classes": data.class_names,
        "recipe": asdict(recipe),
        "architecture": architecture,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _save_resume(out: Path, facts: dict[str, str], module: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """Parameters and moments of AdamW as one safetensors file: no pickle anywhere."""
    tensors = {f"module.{key}": value.contiguous() for key, value in module.state_dict().items()}
    for index, moments in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{key}": torch.as_tensor(value).contiguous() for key, value in moments.items()}
    write_whole(out / "resume.safetensors", save(tensors, facts))


def _resume(out: Path, identity: str, module: nn.Module, optimiser: torch.optim.Optimizer) -> tuple[int, float]:
    """Load the last state, if there is one; returns the step to go on with and the processor time spent so far."""
    path = out / "resume.safetensors"
    if not path.exists():
        return 0, 0.0
    with safe_open(path, framework="pt") as file:
        facts = file.metadata()
        if facts["identity"] != identity:
            raise CheckpointError(
                f"{str(path)!r} is of a training with other data or settings; "
                "remove it to begin anew, or choose another --out"
            )
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    module.load_state_dict({key[7:]: value for key, value in tensors.items() if key.startswith("module.")})
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimiser."):
            _, index, name = key.split(".")
            moments.setdefault(int(index), {})[name] = value
    optimiser.load_state_dict({"state": moments, "param_groups": optimiser.state_dict()["param_groups"]})
    return int(facts["step"]), float(facts["cpu_seconds"])
