"""Where the work runs: in this process, on several processes of this machine, or on the machines of a cluster.

Studies take any `concurrent.futures.Executor`; an engine is a name for one.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

from layerscope.engine.specs import FORMS, parse_engine, usable_cores

__all__ = ["FORMS", "open_engine", "parse_engine", "usable_cores"]


@contextmanager
def open_engine(spec: str) -> Iterator[Executor | None]:
    """The executor of an engine; None for "local", where work is done in place.

    "processes:N": N processes of this machine. "dask:ADDRESS": the workers of a Dask cluster, by the address of its
    scheduler or the path of its scheduler file. "ray": the Ray cluster of this machine, or one that is started for as
    long; "ray:ADDRESS": another. Each task runs on one thread. A task whose worker dies is done again; WorkerError for
    one that ends its worker each time. On an error or an interrupt, what is under way is dropped. Raises
    UnknownNameError and InputError for what is no engine, MissingPackageError without the extra, and InputError for
    clusters that do not answer, or have other versions of Python, torch or Layerscope.
    """
    kind, argument = parse_engine(spec)
    if kind == "local":
        yield None
    elif kind == "processes":
        from layerscope.engine.processes import open_processes

        with open_processes(int(argument)) as executor:
            yield executor
    elif kind == "dask":
        from layerscope.engine.dask_cluster import open_dask

        with open_dask(argument) as executor:
            yield executor
    else:
        from layerscope.engine.ray_cluster import open_ray

        with open_ray(argument) as executor:
            yield executor
