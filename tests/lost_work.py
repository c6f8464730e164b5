"""An executor that gives up some of the work of a crew."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from layerscope.errors import WorkerError

DIED = "its worker died"


class Deadly(ThreadPoolExecutor):
    """Gives up those tasks of a crew for which `deadly` holds, given the task and the first of its arguments."""

    def __init__(self, deadly: Callable[[Any, Any], bool]) -> None:
        super().__init__(2)
        self.deadly = deadly

    def submit(self, task: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        if len(args) == 3 and self.deadly(args[1], args[2][0]):
            lost: Future[Any] = Future()
            lost.set_exception(WorkerError(DIED))
            return lost
        return super().submit(task, *args, **kwargs)
