"""Named random numbers: every draw is hash(scene seed, name).

A scene is therefore the same in any batch, and can be drawn again with one thing changed and all else the same:
leaving a part out, or giving one group of names another salt, moves no other draw.
Hash: the finaliser of SplitMix64 (Steele, Lea, Flood 2014, section 3).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_GOLDEN = 0x9E3779B97F4A7C15
_MASK = 0xFFFFFFFFFFFFFFFF


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@lru_cache(maxsize=4096)
def _key(name: str, salt: int) -> int:
    return ((zlib.crc32(name.encode()) + (salt << 32)) * _GOLDEN) & _MASK


class Draws:
    """The random numbers of a batch of scenes.

    seeds: one integer per scene. salts: group of names -> extra salt; the group of "clutter/0.x" is "clutter", and the
    longest group that fits wins ("clutter.place" before "clutter"). Every method returns one value per scene.
    """

    def __init__(
        self, seeds: Sequence[int], salts: Mapping[str, int] | None = None, device: torch.device | None = None
    ):
        self.count = len(seeds)
        self.device = device or torch.device("cpu")
        self._state = _mix(np.asarray(seeds, dtype=np.int64).astype(np.uint64) * np.uint64(_GOLDEN))
        self._salts = dict(salts or {})

    def _unit(self, name: str) -> NDArray[np.float32]:
        group = name.split("/")[0]
        salt = self._salts.get(group, self._salts.get(group.split(".")[0], 0))
        bits = _mix(self._state + np.uint64(_key(name, salt))) >> np.uint64(40)
        return bits.astype(np.float32) * np.float32(2.0**-24)

    def uniform(self, name: str, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Uniform in [low, high): float [batch, 1]."""
        drawn = self._unit(name) * np.float32(high - low) + np.float32(low)
        return torch.from_numpy(drawn).to(self.device).view(-1, 1)

    def chance(self, name: str, probability: float) -> Tensor:
        """1.0 with `probability`, else 0.0: float [batch, 1]."""
        return torch.from_numpy((self._unit(name) < probability).astype(np.float32)).to(self.device).view(-1, 1)

    def pick(self, name: str, count: int) -> Tensor:
        """One of 0 .. count - 1: int64 [batch]."""
        drawn = (self._unit(name) * np.float32(count)).astype(np.int64)
        return torch.from_numpy(np.minimum(drawn, count - 1)).to(self.device)
