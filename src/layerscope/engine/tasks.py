"""What engines have in common: a task as bytes, what runs it on a worker, and how its future is handed on.

Tasks and results travel as plain pickles. Left to themselves, processes would hand each other tensors through shared
memory, which is lost with the process that made it.
"""

from __future__ import annotations

import pickle
import platform
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from layerscope.errors import InputError
from layerscope.passes.elsewhere import Shared, bringing

ATTEMPTS = 3
"""How often a task may end its worker before it is given up."""
Setup = Mapping[str, str]


@dataclass(frozen=True)
class Parcel:
    """Shared bytes on their way: a buffer, or the file that holds them."""

    digest: str
    held: Any

    def read(self) -> Any:
        """The bytes, as any object with a buffer."""
        return self.held.read_bytes() if isinstance(self.held, Path) else self.held


def packed(task: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
    """A call as bytes. Raises InputError where something in it cannot be found again in another process."""
    try:
        return pickle.dumps((task, args, kwargs))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise InputError(f"this task cannot be sent to other processes ({error}); use the engine 'local'") from None


def brought(args: tuple[Any, ...]) -> list[str]:
    """Digests of the shared bytes among the arguments that the engine has to bring."""
    return [given.digest for given in args if isinstance(given, Shared) and given.data is None]


def run(payload: bytes, *parcels: Parcel) -> bytes:
    """On a worker: do the call on one thread, and pack its result."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with bringing({parcel.digest: parcel.read for parcel in parcels}):
            task, args, kwargs = pickle.loads(payload)
            return pickle.dumps(task(*args, **kwargs))
    finally:
        torch.set_num_threads(before)


def run_alike(wanted: Setup, payload: bytes, *parcels: Parcel) -> bytes:
    """As `run`, on a worker that may have joined late: InputError where it has other versions than wanted."""
    check_setup(wanted, setup_here(), platform.node())
    return run(payload, *parcels)


def setup_here() -> Setup:
    """The versions that decide whether pictures are the same to the last bit, and whether pickles can be read."""
    python = ".".join(platform.python_version_tuple()[:2])
    return {"Python": python, "torch": version("torch"), "layerscope": version("layerscope")}


def check_setup(wanted: Setup, found: Setup, worker: str) -> None:
    """Raise InputError where a worker's versions are others than those here."""
    other = [f"{name} {found[name]} (here {wanted[name]})" for name in wanted if found[name] != wanted[name]]
    if other:
        raise InputError(
            f"worker {worker} has {', '.join(other)}; install the same versions there, or elsewhere in turn"
        )


def hand_on(inner: Future[bytes], outer: Future[Any], translated: Callable[[BaseException], BaseException]) -> None:
    """Settle `outer` with what `inner` came to: the result unpacked, an error as `translated` says it."""
    if not outer.set_running_or_notify_cancel():
        return
    try:
        result = pickle.loads(inner.result())
    except BaseException as error:  # it belongs to whoever waits for `outer`; this thread may be a cluster's own
        outer.set_exception(translated(error))
    else:
        outer.set_result(result)
