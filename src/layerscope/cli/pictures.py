"""The commands that make other pictures than those of galleries: atlas, animate."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from layerscope.cli.opening import open_network
from layerscope.cli.options import (
    OUTPUTS,
    AtlasLayer,
    Engine,
    Frames,
    Grid,
    Json,
    Layout,
    Model,
    MovingFile,
    Out,
    Probe,
    Quiet,
    Recipe,
    Seed,
    Units,
    Verbose,
    Weights,
)
from layerscope.cli.progress import progress_bar


def atlas(
    layer: AtlasLayer,
    model: Model = "menagerie",
    weights: Weights = None,
    grid: Grid = 10,
    layout: Layout = None,
    probe: Probe = "menagerie",
    recipe: Recipe = "standard",
    out: Out = OUTPUTS,
    seed: Seed = 0,
    engine: Engine = "local",
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Draw the map of what a layer of MODEL tells apart.

    Activations of many images, those that are alike side by side; each cell of the map shows a picture of their mean,
    and how much it is like them. The same command goes on where it was stopped.

    \b
    Examples:
      layerscope atlas menagerie:robust --layer relu7
      layerscope atlas torchvision:resnet18 --layer layer4 --probe photos
      layerscope atlas --layer relu5 --recipe draft --engine processes:4 --json
    """
    from layerscope.engine import open_engine
    from layerscope.figures.words import plural
    from layerscope.site.pages import check_site, write_site
    from layerscope.studies.atlas import atlas as make_atlas

    check_site(out)
    opened = open_network(model, weights)
    with open_engine(engine) as executor, progress_bar(model) as report:
        made = make_atlas(
            opened,
            layer,
            out / "atlas",
            grid=grid,
            probe=probe,
            recipe=recipe,
            seed=seed,
            layout=layout,
            executor=executor,
            on_progress=report,
        )
    page, found = write_site(out).resolve().as_uri(), made.layout
    ranked = [cell for cell in made.cells if cell["rank"] is not None]
    nearest = sum(cell["rank"] == 1 for cell in ranked)
    if as_json:
        facts = {name: getattr(made, name) for name in ("network", "layer", "layout", "made", "found")}
        beside = {"nearest_to_own": nearest, "ranked": len(ranked), "seconds": round(made.seconds, 1)}
        typer.echo(json.dumps({**facts, **beside, "folder": str(made.folder), "site": page}))
        return
    typer.echo(f"{plural(made.made, 'cell')} made, {made.found} found, {made.seconds:.0f} s")
    typer.echo(f"{nearest} of {len(ranked)} pictures are most like their own cell; chance is 1")
    typer.echo(
        f"{found['kept']:.0%} of nearest neighbours kept by {found['method']}, {found['kept_shuffled']:.0%} shuffled"
    )
    typer.echo(f"open {page}")


def animate(
    units: Units,
    model: Model = "menagerie",
    weights: Weights = None,
    recipe: Recipe = "standard",
    frames: Frames = 24,
    out: MovingFile = Path("ascent.webp"),
    seed: Seed = 0,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Show how pictures of units of MODEL come to be.

    One picture that moves, of at most 64 units. Under each runs what it scores, step by step.

    \b
    Examples:
      layerscope animate --units conv3:26 --recipe draft
      layerscope animate menagerie:robust --units logits --out classes.gif
      layerscope animate torchvision:resnet18 --units fc:1 --units fc:2 --json
    """
    from layerscope.capture.units import Unit
    from layerscope.errors import InputError
    from layerscope.figures.animation import MOST, check_moving
    from layerscope.figures.animation import animate as write_moving
    from layerscope.figures.words import plural
    from layerscope.studies.selection import choose_units
    from layerscope.synthesis.ascent import maximise

    check_moving(out)
    opened = open_network(model, weights)
    wanted = [Unit(layer.name, index) for layer, indices in choose_units(opened, units) for index in indices]
    if len(wanted) > MOST:
        raise InputError(f"{len(wanted)} units; a moving sheet shows {MOST} at most, so name some, as in 'conv3:26'")
    with progress_bar(model) as report:
        made = maximise(opened, wanted, recipe=recipe, seed=seed, frames=frames, on_progress=report)
    path = write_moving(made, out)
    if as_json:
        facts = {"file": str(path), "pictures": len(wanted), "frames": frames, "bytes": path.stat().st_size}
        scores = dict(zip(map(str, wanted), map(float, made.scores), strict=True))
        typer.echo(json.dumps({**facts, "scores": scores, "seconds": round(made.seconds, 1)}))
        return
    typer.echo(f"{plural(len(wanted), 'ascent')}, {path.stat().st_size / 1024:.0f} KiB, in {path}")
