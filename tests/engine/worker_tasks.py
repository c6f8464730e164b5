"""What the tests have workers do: each notes in a file that it began, so that a test sees how often it was done."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import torch

from layerscope.errors import InputError
from layerscope.passes.elsewhere import Shared, received


def noted(path: Path, value: Any, seconds: float = 0) -> Any:
    with path.open("a") as file:
        file.write(f"{os.getpid()}\n")
    time.sleep(seconds)
    return value


def dies(path: Path, times: int, value: Any) -> Any:
    """Kills its worker the first times it is done."""
    noted(path, value)
    if len(path.read_text().split()) <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return value


def refuses(words: str) -> None:
    raise InputError(words)


def threads() -> int:
    return torch.get_num_threads()


def tensor(size: int) -> torch.Tensor:
    return torch.arange(size, dtype=torch.float32)


class Weighty:
    """Notes in a file each time that it is unpacked."""

    def __init__(self, path: Path, value: int) -> None:
        self.path, self.value = path, value

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        noted(self.path, None)


def weighed(shared: Shared, more: int) -> tuple[int, int]:
    time.sleep(0.05)  # so that all workers have a share
    return os.getpid(), received(shared).value + more


def times(path: Path) -> int:
    """How often it was noted."""
    return len(path.read_text().split())
