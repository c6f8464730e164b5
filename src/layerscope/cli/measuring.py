"""The commands that train and measure: train, benchmark."""

from __future__ import annotations

import json
import time
from pathlib import Path

import typer

from layerscope.cli.options import (
    OUTPUTS,
    Architecture,
    Conformance,
    Data,
    Json,
    Judged,
    Masks,
    Networks,
    Pictures,
    Quick,
    Quiet,
    Records,
    Robust,
    Rounds,
    Seed,
    Seen,
    Subject,
    Threads,
    Training,
    Truth,
    Verbose,
)
from layerscope.cli.progress import progress_bar
from layerscope.cli.tables import quality, table


def train(
    robust: Robust = False,
    data: Data = "menagerie",
    arch: Architecture = "menagerie",
    out: Training = None,
    images: Seen = None,
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
    folder = out or OUTPUTS / "train" / f"{Path(data).name}-{arch}{'-robust' if robust else ''}"
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
    subject: Subject = "world",
    networks: Networks = "*",
    rounds: Rounds = 9,
    threads: Threads = None,
    quick: Quick = False,
    conformance: Conformance = False,
    truth: Truth = False,
    images: Pictures = None,
    masks: Masks = None,
    methods: Judged = None,
    out: Records = None,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Measure speed and correctness here, beside other tools.

    \b
    Examples:
      layerscope benchmark attribution --truth --quick
      layerscope benchmark attribution --images photos --networks menagerie
      layerscope benchmark attribution --conformance --networks alexnet,resnet18
      layerscope benchmark synthesis --rounds 5 --out outputs/synthesis
    """
    from layerscope.benchmarks.report import Options
    from layerscope.cli.benchmarks import measured, printed
    from layerscope.site.pages import check_site, write_site

    options = Options(
        networks, threads, min(rounds, 3) if quick else rounds, quick, conformance, truth, out, images, masks, methods
    )
    folder, recorded = out or OUTPUTS, truth or images is not None
    if recorded:
        check_site(folder)
    made = measured(subject, options)
    typer.echo(
        json.dumps({**made.tables, "summary": made.summary, "manifest": made.manifest}) if as_json else printed(made)
    )
    if recorded:
        page = write_site(folder).resolve().as_uri()
        typer.echo(f"\nopen {page}#/leaderboard", err=as_json)
