"""What the tab key offers for the values of options, without loading torch.

Each function takes what has been typed of a value and returns whole values that begin with it. Bash, which takes words
apart at colons, is answered in `bash_words`.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import typer

from layerscope.cli import tables_in_source as tables

_SCENES = 3  # of each class


def models(incomplete: str) -> list[str]:
    """Bundled networks, those of torchvision, and Python files; of timm only the beginning: its list takes long."""
    names = [*tables.bundled_networks(), *(f"torchvision:{name}" for name in tables.torchvision_names())]
    timm = ["timm:"] if find_spec("timm") is not None else []
    return [*_starting([*names, *timm], incomplete), *_paths(incomplete, (".py",))]


def weights(incomplete: str) -> list[str]:
    """ "none", and files of weights."""
    return [*_starting(["none"], incomplete), *_paths(incomplete, (".pth", ".pt", ".safetensors"))]


def images(incomplete: str) -> list[str]:
    """Scenes of each class, folders and pictures."""
    scenes = [f"scene:{name}:{seed}" for name in tables.bundled_card()[0] for seed in range(_SCENES)]
    pictures = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
    return [*_starting(["-", *scenes], incomplete), *_paths(incomplete, pictures)]


def probes(incomplete: str) -> list[str]:
    """ "menagerie", and folders."""
    return [*_starting(["menagerie"], incomplete), *_paths(incomplete, ())]


def naturals(incomplete: str) -> list[str]:
    """ "none", "menagerie", and folders."""
    return [*_starting(["none"], incomplete), *probes(incomplete)]


def folders(incomplete: str) -> list[str]:
    """Folders."""
    return _paths(incomplete, ())


def units(ctx: typer.Context, incomplete: str) -> list[str]:
    """The layers of a bundled network; those of others are not known before they are opened."""
    model = ctx.params.get("model") or tables.bundled_networks()[0]
    return _starting(tables.bundled_card()[1], incomplete) if model in tables.bundled_networks() else []


def classes(ctx: typer.Context, incomplete: str) -> list[str]:
    """The classes of a bundled network."""
    model = ctx.params.get("model") or tables.bundled_networks()[0]
    return _starting(tables.bundled_card()[0], incomplete) if model in tables.bundled_networks() else []


def methods(incomplete: str) -> list[str]:
    """Attribution methods; of a list with commas, the last one, and none twice."""
    chosen, comma, last = incomplete.rpartition(",")
    taken = set(chosen.split(","))
    return [f"{chosen}{comma}{name}" for name in _starting(tables.attribution_methods(), last) if name not in taken]


def recipes(incomplete: str) -> list[str]:
    """How much work goes into pictures."""
    return _starting(tables.keys_of("synthesis.recipes", "EFFORTS"), incomplete)


def profiles(incomplete: str) -> list[str]:
    """How much a hierarchy report measures."""
    return _starting(tables.keys_of("studies.hierarchy", "PROFILES"), incomplete)


def layouts(incomplete: str) -> list[str]:
    """How the activations of an atlas can be laid out here."""
    umap = ["umap"] if find_spec("umap") is not None else []
    return _starting([*umap, "pca+t-sne"], incomplete)


def baselines(incomplete: str) -> list[str]:
    """What images are compared with."""
    return _starting(tables.keys_of("attribution.baselines", "BASELINES"), incomplete)


def subjects(incomplete: str) -> list[str]:
    """What can be measured."""
    return _starting(tables.keys_of("benchmarks.subjects", "SUBJECTS"), incomplete)


def engines(incomplete: str) -> list[str]:
    """Where work can run; of clusters the beginning, since nobody knows their addresses here, and schedulers' files."""
    from layerscope.engine import usable_cores

    known = ["local", f"processes:{usable_cores()}"]
    known += ["dask:"] if find_spec("distributed") is not None else []
    known += ["ray", "ray:"] if find_spec("ray") is not None else []
    kind, colon, typed = incomplete.partition(":")
    found = _paths(typed, (".json",)) if (kind, colon) == ("dask", ":") else []
    return [*_starting(known, incomplete), *(f"dask:{path}" for path in found)]


def architectures(incomplete: str) -> list[str]:
    """What can be trained."""
    return _starting(["menagerie", *tables.torchvision_names()], incomplete)


def figures(incomplete: str) -> list[str]:
    """The figures that can be drawn."""
    return _starting(tables.figure_names(), incomplete)


def _starting(names: Sequence[Any], incomplete: str) -> list[str]:
    return [str(name) for name in names if str(name).startswith(incomplete)]


def _paths(incomplete: str, endings: tuple[str, ...]) -> list[str]:
    """Folders, and files with one of these endings, whose path begins so; hidden ones only where that is typed."""
    typed, slash, name = incomplete.rpartition("/")
    folder = Path(f"{typed}{slash}") if slash else Path()
    try:
        found = sorted(path for path in folder.iterdir() if path.name.startswith(name))
    except OSError:
        return []
    return [
        f"{typed}{slash}{path.name}{'/' if path.is_dir() else ''}"
        for path in found
        if (path.is_dir() or path.name.lower().endswith(endings or ("/",)))
        and (name.startswith(".") or not path.name.startswith("."))
    ]
