"""The commands that train and measure: train, benchmark."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from layerscope.cli import completion
from layerscope.cli.app import Json, Quiet, Seed, Verbose
from layerscope.cli.progress import progress_bar
from layerscope.cli.tables import quality, table


def train(
    robust: Annotated[bool, typer.Option("--robust", help="train adversarially: its pictures are far clearer")] = False,
    data: Annotated[
        str,
        typer.Option(
            metavar="FOLDER",
            help='"menagerie", or a folder of class folders with pictures',
            autocompletion=completion.probes,
        ),
    ] = "menagerie",
    arch: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="menagerie, or a network of torchvision by name",
            autocompletion=completion.architectures,
        ),
    ] = "menagerie",
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="folder for checkpoints and weights (default: outputs/train/...)")
    ] = None,
    images: Annotated[int | None, typer.Option(metavar="N", help="how many the network sees in all", min=64)] = None,
    seed: Seed = 0,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Train a network from nothing, with checkpoints.

    The checkpoints let one watch features form; the same command goes on where it was stopped.

    \b
    Examples:
      layerscope train
      layerscope train --robust --images 200000
      layerscope train --data photos --arch resnet18 --out my-network
    """
    from layerscope.models.release import make_network
    from layerscope.models.zoo import read

    began = time.monotonic()
    folder = out or Path("outputs/train") / f"{Path(data).name}-{arch}{'-robust' if robust else ''}"
    with progress_bar("train") as report:
        weights = make_network(
            data, robust=robust, architecture=arch, out=folder, images=images, seed=seed, on_progress=report
        )
    row = quality(read(weights, folder.name).card)
    if as_json:
        facts = {"folder": str(folder), "weights": str(weights), "seconds": round(time.monotonic() - began, 1)}
        typer.echo(json.dumps({**facts, **row}))
        return
    typer.echo(table([row]))
    typer.echo(f"weights in {weights}")


def benchmark(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="SUBJECT", help="world, capture, passes or attribution", autocompletion=completion.subjects
        ),
    ] = "world",
    networks: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help='capture, attribution --conformance: names or patterns ("resnet*,timm:vit_tiny*"); "*" is all of '
            "torchvision, for attribution one per family; capture: or none",
        ),
    ] = "*",
    rounds: Annotated[
        int, typer.Option(metavar="N", help="capture, attribution: of timing; capture: 0 leaves it out", min=0)
    ] = 9,
    threads: Annotated[int | None, typer.Option(metavar="N", help="of torch (default: as it decides)", min=1)] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="3 rounds; capture: one network per family; attribution: 3, and few methods")
    ] = False,
    conformance: Annotated[
        bool, typer.Option("--conformance", help="attribution: compare methods with slow references instead of timing")
    ] = False,
    truth: Annotated[
        bool,
        typer.Option(
            "--truth",
            help="attribution: how right methods are about scenes whose causes are known, for the bundled --networks "
            "or others; --quick: few scenes, fast methods",
        ),
    ] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="--truth: folder for records and site (default: outputs)")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Measure speed and correctness here, beside other tools.

    \b
    Examples:
      layerscope benchmark world
      layerscope benchmark capture --networks 'resnet*' --rounds 0
      layerscope benchmark attribution --truth --quick
      layerscope benchmark attribution --conformance --networks alexnet,resnet18
    """
    from layerscope.benchmarks.report import Options
    from layerscope.cli.benchmarks import measured, printed
    from layerscope.site.pages import check_site, write_site

    options = Options(networks, threads, min(rounds, 3) if quick else rounds, quick, conformance, truth, out)
    folder = out or Path("outputs")
    if truth:
        check_site(folder)
    made = measured(subject, options)
    typer.echo(
        json.dumps({**made.tables, "summary": made.summary, "manifest": made.manifest}) if as_json else printed(made)
    )
    if truth:
        page = write_site(folder).resolve().as_uri()
        typer.echo(f"\nopen {page}#/leaderboard", err=as_json)
