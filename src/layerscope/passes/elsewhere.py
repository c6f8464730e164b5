"""What travels to other processes: large values once for each of them, not with every task.

Any `concurrent.futures.Executor` will do. One that has a `share` method of its own brings shared bytes to each of its
workers once; with others they go with every task.
"""

from __future__ import annotations

import hashlib
import pickle
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from layerscope.errors import InputError
from layerscope.given import shown

if TYPE_CHECKING:
    from layerscope.models.model import VisionModel

Fetch = Callable[[], Any]
"""Gives the bytes of something shared, as any object with a buffer."""


@dataclass(frozen=True)
class Shared:
    """Bytes as a task is given them: their sha256 (hex), and themselves where the executor does not bring them."""

    digest: str
    data: bytes | None = None


@runtime_checkable
class Sharing(Protocol):
    """An executor that brings bytes to each worker once, and says how many tasks it does at a time."""

    @property
    def slots(self) -> int: ...

    def share(self, data: bytes) -> Shared: ...


def share(executor: Executor, data: bytes) -> Shared:
    """A handle of `data`, to be given to tasks of this executor as an argument of its own."""
    return executor.share(data) if isinstance(executor, Sharing) else Shared(digest_of(data), data)


def slots_of(executor: Executor) -> int:
    """How many tasks it does at a time; a guess for executors that do not say."""
    return executor.slots if isinstance(executor, Sharing) else 8


def digest_of(data: bytes) -> str:
    """sha256, hex."""
    return hashlib.sha256(data).hexdigest()


def send(model: VisionModel, executor: Executor) -> Shared:
    """The network for tasks of this executor; they get at it with `received`.

    Packed here, since torch, left to itself, would move the user's weights into shared memory. Networks of a file that
    was run, or made of local classes, cannot be found again elsewhere: InputError, as for what is no executor.
    """
    if not isinstance(executor, Executor):
        raise InputError(
            f"executor={shown(executor)} is no executor; give one of concurrent.futures, or what open_engine gives"
        )
    try:
        packed = pickle.dumps(model)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise InputError(
            f"{model.name!r} cannot be sent to other processes ({error}); use the engine 'local', "
            "or define the network in an installed module"
        ) from None
    return share(executor, packed)


class _OfThread(threading.local):
    """Of one thread: a network is hooked while it runs, so tasks that run side by side need one each."""

    def __init__(self) -> None:
        self.brought: Mapping[str, Fetch] = {}
        self.last: tuple[str, Any] | None = None


_HERE = _OfThread()


def received(shared: Shared) -> Any:
    """The value that was pickled and shared; unpacked once for each thread, as long as it asks for no other."""
    if _HERE.last is None or _HERE.last[0] != shared.digest:
        data = shared.data if shared.data is not None else _HERE.brought[shared.digest]()
        _HERE.last = None  # two large networks at a time may not fit
        _HERE.last = (shared.digest, pickle.loads(data))
    return _HERE.last[1]


@contextmanager
def bringing(brought: Mapping[str, Fetch]) -> Iterator[None]:
    """For engines: tasks that run inside, in this thread, find these shared bytes by their digests."""
    before, _HERE.brought = _HERE.brought, brought
    try:
        yield
    finally:
        _HERE.brought = before
