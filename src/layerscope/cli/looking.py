"""The commands that say what there is: models, layers, site, figure, spritemap, doctor."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path

import typer

from layerscope.cli import output
from layerscope.cli.opening import open_network
from layerscope.cli.options import (
    OUTPUTS,
    Columns,
    Effective,
    FigureFile,
    FigureName,
    FigureOf,
    Functions,
    GalleryFolder,
    Json,
    Model,
    OneLayer,
    Place,
    Quiet,
    Result,
    Results,
    SpriteFile,
    Tile,
    Verbose,
    Weights,
)
from layerscope.cli.tables import quality, table
from layerscope.errors import InputError


def models(as_json: Json = False, quiet: Quiet = False, verbose: Verbose = False) -> None:
    """List the networks that can be opened.

    \b
    Examples:
      layerscope models
      layerscope models --json
    """
    from layerscope.models.sources import FORMS, import_torchvision
    from layerscope.models.zoo import NAMES, load

    rows = [{"model": name, **quality(load(name).card)} for name in NAMES]
    torchvision = import_torchvision()
    names = [f"torchvision:{name}" for name in torchvision.list_models(module=torchvision)]
    if as_json:
        typer.echo(json.dumps({"bundled": rows, "torchvision": names, "forms": FORMS}))
        return
    typer.echo(table(rows))
    typer.echo(f"\n{len(names)} of torchvision: " + ", ".join(names[:6]) + ", … (all with --json)")
    typer.echo("also: " + ", ".join(form for form in FORMS if not form.startswith(("menagerie", "torchvision"))))


def layers(
    model: Model = "menagerie",
    weights: Weights = None,
    effective: Effective = False,
    functions: Functions = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """List the layers of MODEL, and what hooks do not see of it.

    Names, shapes, units, and receptive fields in pixels; a narrow terminal goes without some columns.

    \b
    Examples:
      layerscope layers
      layerscope layers torchvision:resnet18 --weights none
      layerscope layers torchvision:vit_b_16 --weights none --functions --json
    """
    from layerscope.capture.uncalled import parametrised
    from layerscope.cli import layer_table

    with contextlib.redirect_stdout(sys.stderr):  # what the network's own code prints is no part of the table
        opened = open_network(model, weights)
        rows = opened.layers(functions)
        if not rows:
            raise InputError(f"{model!r} {layer_table.why_none(opened)}; nothing to list")
        facts, leaves, owners = layer_table.facts_of(opened, model), opened.uncalled(), parametrised(opened)
        measured = layer_table.effective(opened) if effective else None
    if as_json:
        typer.echo(json.dumps(layer_table.as_json(facts, rows, leaves, owners, measured)))
        return
    width = output.width()
    typer.echo(layer_table.headline(facts, width))
    typer.echo(f"\n{layer_table.layer_table(rows, width, measured)}")
    if below := layer_table.unseen(leaves, owners, width):
        typer.echo(f"\n{below}")


def site(
    folder: Results = OUTPUTS,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Write the site over a folder of results again.

    Files that would not change are left alone; what is still being made is counted.

    \b
    Examples:
      layerscope site
      layerscope site path/to/results --json
    """
    from layerscope.site.pages import write_site

    page = write_site(folder).resolve().as_uri()
    typer.echo(json.dumps({"folder": str(folder), "site": page}) if as_json else f"open {page}")


def figure(
    folder: Result,
    name: FigureName,
    what: FigureOf = None,
    out: FigureFile = None,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Draw one figure for a paper from a folder of results.

    Text stays text and lines stay lines; seed, key and command are in the file's metadata.

    \b
    Examples:
      layerscope figure outputs/gallery/menagerie sheet --out sheet.pdf
      layerscope figure outputs/gallery/menagerie unit conv3:26 --out unit.svg
      layerscope figure outputs/hierarchy/menagerie hierarchy
    """
    from layerscope.cli.drawing import draw

    path = draw(folder, name, what or [], out or Path(f"{name}.pdf"))
    typer.echo(json.dumps({"figure": name, "file": str(path)}) if as_json else f"figure in {path}")


def spritemap(
    folder: GalleryFolder,
    layer: OneLayer = None,
    tile: Tile = 64,
    columns: Columns = None,
    out: SpriteFile = Path("spritemap.png"),
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Put all pictures of a gallery on one image.

    Beside it, a JSON file says where each lies, and what it scores. Of very many pictures there are several images.

    \b
    Examples:
      layerscope spritemap outputs/gallery/menagerie
      layerscope spritemap outputs/gallery/menagerie --layer conv3 --out c3.webp
      layerscope spritemap outputs/gallery/menagerie --tile 96 --columns 32 --json
    """
    from layerscope.figures.spritemap import spritemap as write_spritemap
    from layerscope.figures.words import plural

    *sheets, listed = write_spritemap(folder, out, tile=tile, columns=columns, layer=layer)
    count = len(json.loads(listed.read_bytes())["units"])
    if as_json:
        typer.echo(
            json.dumps({"sheets": [str(sheet) for sheet in sheets], "positions": str(listed), "pictures": count})
        )
        return
    typer.echo(
        f"{plural(count, 'picture')} in {', '.join(str(sheet) for sheet in sheets)}; where each lies, in {listed}"
    )


def doctor(
    out: Place = OUTPUTS,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> int:
    """Say what is installed, and what this machine can do.

    Takes a few seconds, downloads nothing, and ends with 2 only where something is broken that everybody needs.

    \b
    Examples:
      layerscope doctor
      layerscope doctor --out /path/to/results --json
    """
    from layerscope.cli.doctor import examine

    found = examine(out)
    typer.echo(json.dumps(found.facts()) if as_json else found.words(output.width()))
    for line in found.broken():
        typer.echo(f"error: {line}", err=True)
    return 2 if found.broken() else 0
