"""The options of all commands, each one type: what it is called in the help, what it means, what completes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from layerscope.cli import completion, output

OUTPUTS = Path("outputs")
Complete = Callable[..., Any]


def _option(metavar: str, help: str, complete: Complete | None = None, least: int | None = None) -> Any:
    return typer.Option(metavar=metavar, help=help, autocompletion=complete, min=least)


def _flag(name: str, help: str) -> Any:
    return typer.Option(name, help=help)


# --- of most commands
Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="menagerie, menagerie:robust, torchvision:NAME, timm:NAME, path/to/weights.safetensors of a training or "
        "path/to/file.py:function",
        autocompletion=completion.models,
    ),
]
Weights = Annotated[
    str | None, _option("FILE", 'a .pth or .safetensors file; "none": random, but for a file.py', completion.weights)
]
Recipe = Annotated[
    str, _option("NAME", "draft, standard or fine: how much work goes into each picture", completion.recipes)
]
Engine = Annotated[
    str,
    _option(
        "ENGINE",
        "where the work runs: local, processes:N, dask:ADDRESS of a scheduler or its file, ray or ray:ADDRESS",
        completion.engines,
    ),
]
Plan = Annotated[bool, _flag("--plan", "say what it will take, layer by layer, and make nothing")]
Out = Annotated[Path, _option("DIR", "folder for what is made, and its site", completion.folders)]
Seed = Annotated[int, _option("N", "of everything random", least=0)]
Seeds = Annotated[
    int | None,
    _option("N", "pictures of each unit, to measure whether they agree (default: 3 in fine, else 1)", least=1),
]
Json = Annotated[bool, _flag("--json", "print the result as JSON, and nothing else")]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", callback=output.hush, help="say nothing but the result and errors")
]
Verbose = Annotated[
    bool, typer.Option("--verbose", callback=output.speak, help="say how far it is also where there is no terminal")
]

# --- tour, gallery, hierarchy
Engines = Annotated[
    str | None, _option("ENGINE", "as for gallery (default: processes, one per core)", completion.engines)
]
Units = Annotated[
    list[str],
    _option("GLOB", "layer pattern ('layer4.*'), layer, or unit ('conv3:5'); may be repeated", completion.units),
]
Naturals = Annotated[
    str, _option("FOLDER", 'natural images: "menagerie", a folder of class folders, or "none"', completion.naturals)
]
Probe = Annotated[str, _option("FOLDER", '"menagerie", or a folder of class folders', completion.probes)]
Profile = Annotated[str, _option("NAME", '"quick" or "full": how much is measured', completion.profiles)]

# --- atlas, animate
AtlasLayer = Annotated[str, _option("LAYER", "whose activations are laid out", completion.units)]
Grid = Annotated[int, _option("N", "cells in a row and in a column of the map", least=2)]
Layout = Annotated[
    str | None,
    _option("NAME", '"umap" or "pca+t-sne" (default: UMAP where umap-learn is installed)', completion.layouts),
]
Frames = Annotated[int, _option("N", "pictures of each ascent that are shown", least=2)]
MovingFile = Annotated[Path, _option("FILE", "a .webp or .gif file")]

# --- explain
Images = Annotated[
    list[str],
    typer.Argument(
        metavar="IMAGE",
        help='picture files, folders, "-" for standard input, or scenes as scene:owl:7',
        autocompletion=completion.images,
    ),
]
ModelOption = Annotated[str, _option("MODEL", "as for the other commands", completion.models)]
Target = Annotated[
    str | None, _option("CLASS", "class, 'owl versus cat' or unit (default: predicted)", completion.classes)
]
Versus = Annotated[
    str | None, _option("CLASS", "class that it is set against (default: the runner-up)", completion.classes)
]
Methods = Annotated[str | None, _option("A,B,C", "attribution methods, separated by commas", completion.methods)]
Layer = Annotated[str | None, _option("LAYER", "for class activation maps (default: the last)", completion.units)]
Baseline = Annotated[
    str, _option("NAME", "what images are compared with: blur, black, white, mean, own mean", completion.baselines)
]
Known = Annotated[
    str | None, _option("FOLDER", "images that the network knows: a folder of class folders", completion.probes)
]
Memory = Annotated[str, _option("SIZE", "about how much activations may take at once")]

# --- train, benchmark
Robust = Annotated[bool, _flag("--robust", "train adversarially: its pictures are far clearer")]
Data = Annotated[str, _option("FOLDER", '"menagerie", or a folder of class folders with pictures', completion.probes)]
Architecture = Annotated[
    str, _option("NAME", "menagerie, or a network of torchvision by name", completion.architectures)
]
Training = Annotated[Path | None, _option("DIR", "folder for checkpoints and weights (default: outputs/train/...)")]
Seen = Annotated[int | None, _option("N", "how many the network sees in all", least=64)]
Subject = Annotated[
    str,
    typer.Argument(
        metavar="SUBJECT", help="world, capture, passes, attribution or synthesis", autocompletion=completion.subjects
    ),
]
Networks = Annotated[
    str,
    _option(
        "NAMES",
        'capture, attribution --conformance: names or patterns ("resnet*,timm:vit_tiny*"); "*" is all of '
        "torchvision, for attribution one per family; capture: or none",
    ),
]
Rounds = Annotated[
    int, _option("N", "capture, passes, attribution, synthesis: of timing; capture: 0 leaves it out", least=0)
]
Threads = Annotated[int | None, _option("N", "of torch (default: as it decides; synthesis: 1)", least=1)]
Quick = Annotated[
    bool,
    _flag(
        "--quick",
        "3 rounds; capture: one network per family; attribution: 3, and few methods; synthesis: few layers and steps",
    ),
]
Conformance = Annotated[
    bool, _flag("--conformance", "attribution: compare methods with slow references instead of timing")
]
Truth = Annotated[
    bool,
    _flag(
        "--truth",
        "attribution: how right methods are about scenes whose causes are known, for the bundled --networks or "
        "others; --quick: few scenes, fast methods",
    ),
]
Pictures = Annotated[
    Path | None,
    _option(
        "FOLDER",
        "attribution: which method to choose for --networks, by your own pictures: what can be measured without truth",
        completion.folders,
    ),
]
Masks = Annotated[
    Path | None,
    _option(
        "PATH",
        "--images: where the things are: COCO-style JSON, or a folder of PNG masks, 0 being nothing",
    ),
]
Judged = Annotated[
    str | None,
    _option("A,B,C", '--truth, --images: attribution methods, or "all" (default: the usual ones)', completion.methods),
]
Records = Annotated[
    Path | None,
    _option(
        "DIR", "--truth, --images: folder for records and site (default: outputs); synthesis: for a sheet of pictures"
    ),
]

# --- layers, site, figure, spritemap, doctor
Effective = Annotated[bool, _flag("--effective", "measure effective receptive fields too, by gradients: takes a while")]
Functions = Annotated[bool, _flag("--functions", "also what modules compute between their parts, as layer4.0/add")]
Results = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="that results were made in", autocompletion=completion.folders)
]
Result = Annotated[
    Path,
    typer.Argument(
        metavar="FOLDER", help="of one gallery, explanation, report or leaderboard", autocompletion=completion.folders
    ),
]
FigureName = Annotated[
    str,
    typer.Argument(metavar="NAME", help="which figure, as sheet, maps or hierarchy", autocompletion=completion.figures),
]
FigureOf = Annotated[
    list[str] | None, typer.Argument(metavar="WHAT", help="what it is of, where it asks: a layer, a unit, a network")
]
GalleryFolder = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="of one gallery", autocompletion=completion.folders)
]
SpriteFile = Annotated[Path, _option("FILE", "a .png or .webp file; the JSON lies beside it")]
Tile = Annotated[int, _option("N", "side of each picture, pixels", least=1)]
Columns = Annotated[int | None, _option("N", "pictures in a row (default: about as many as rows)", least=1)]
OneLayer = Annotated[str | None, _option("LAYER", "of which the pictures are (default: all)", completion.units)]
FigureFile = Annotated[Path | None, _option("FILE", "a .pdf, .svg or .png file (default: NAME.pdf)")]
Place = Annotated[Path, _option("DIR", "folder that results would go to", completion.folders)]
