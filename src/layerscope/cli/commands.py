"""The commands, one short function each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from layerscope.cli.progress import progress_bar
from layerscope.errors import InputError, UnknownNameError

app = typer.Typer(
    name="layerscope",
    help="See what a convolutional network has learned, and how far each picture of it can be trusted.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Model = Annotated[
    str, typer.Argument(help="menagerie, menagerie:robust, torchvision:NAME, timm:NAME or path/to/file.py:function")
]
Weights = Annotated[str | None, typer.Option(help='a .pth or .safetensors file, or "none" for random weights')]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]
Seed = Annotated[int, typer.Option(help="of everything random", min=0)]
Engine = Annotated[str, typer.Option(help='where the work runs: "local", or "processes:N" for N processes')]
Recipe = Annotated[str, typer.Option(help="draft, standard or fine: how much work goes into each picture")]


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"layerscope {version('layerscope')}")
        raise typer.Exit


@app.callback()
def _root(
    show: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="say the version")] = False,
) -> None:
    """See what a convolutional network has learned, and how far each picture of it can be trusted."""


@app.command()
def tour(
    out: Annotated[Path, typer.Option(help="folder for galleries and site")] = Path("outputs"),
    recipe: Recipe = "standard",
    engine: Annotated[str | None, typer.Option(help='"local" or "processes:N" (default: one per core)')] = None,
) -> None:
    """Make the galleries of the bundled networks, standard and robust, and the site that shows them."""
    from layerscope.engine import open_engine, usable_cores
    from layerscope.models.sources import load_model
    from layerscope.models.zoo import NAMES
    from layerscope.site.pages import check_site, write_site
    from layerscope.studies.gallery import gallery
    from layerscope.studies.sheet import write_sheet

    check_site(out)
    with open_engine(engine or f"processes:{usable_cores()}") as executor:
        for name in NAMES:
            with progress_bar(name) as report:
                made = gallery(
                    load_model(name), out=out / "gallery", recipe=recipe, executor=executor, on_progress=report
                )
            typer.echo(f"{name}: {made.made} pictures made, {made.found} found, {made.seconds:.0f} s")
            typer.echo(f"  from edges to objects on one page: {write_sheet(made.folder)}")
    typer.echo(f"\nopen {write_site(out).resolve().as_uri()}")


@app.command()
def models(as_json: Json = False) -> None:
    """List what can be opened."""
    from layerscope.models.sources import FORMS, import_torchvision
    from layerscope.models.zoo import NAMES, load

    rows = [{"model": name, **_quality(load(name).card)} for name in NAMES]
    torchvision = import_torchvision()
    names = [f"torchvision:{name}" for name in torchvision.list_models(module=torchvision)]
    if as_json:
        typer.echo(json.dumps({"bundled": rows, "torchvision": names, "forms": FORMS}))
        return
    typer.echo(_table(rows))
    typer.echo(f"\n{len(names)} of torchvision: " + ", ".join(names[:6]) + ", … (all with --json)")
    typer.echo("also: " + ", ".join(form for form in FORMS if not form.startswith(("menagerie", "torchvision"))))


@app.command()
def layers(model: Model = "menagerie", weights: Weights = None, as_json: Json = False) -> None:
    """List the layers of MODEL with their shapes, units, strides and receptive fields (pixels)."""
    import dataclasses

    from layerscope.models.sources import load_model

    rows = [dataclasses.asdict(layer) for layer in load_model(model, weights=weights).layers()]
    if not rows:
        raise InputError(f"{model!r} has no layers that put out one tensor; there is nothing to list")
    if as_json:
        typer.echo(json.dumps({"model": model, "layers": rows}))
        return
    for row in rows:
        row["shape"] = " x ".join(map(str, row["shape"]))
    typer.echo(_table(rows))


@app.command()
def gallery(
    model: Model = "menagerie",
    units: Annotated[
        list[str], typer.Option(help="layer pattern ('layer4.*'), layer, or unit ('conv3:5'); may be repeated")
    ] = ["*"],  # noqa: B006
    recipe: Recipe = "standard",
    weights: Weights = None,
    out: Annotated[Path, typer.Option(help="folder for the gallery and its site")] = Path("outputs"),
    probe: Annotated[
        str, typer.Option(help='natural images: "menagerie", a folder of class folders, or "none"')
    ] = "menagerie",
    seed: Seed = 0,
    engine: Engine = "local",
) -> None:
    """Make a gallery of what the units of MODEL respond to; goes on where it was stopped."""
    from layerscope.engine import open_engine
    from layerscope.models.sources import load_model
    from layerscope.site.pages import check_site, write_site
    from layerscope.studies.gallery import gallery as make_gallery

    check_site(out)
    opened, natural = load_model(model, weights=weights), None if probe == "none" else probe
    with open_engine(engine) as executor, progress_bar(model) as report:
        made = make_gallery(
            opened,
            units,
            out / "gallery",
            recipe=recipe,
            seed=seed,
            probe=natural,
            executor=executor,
            on_progress=report,
        )
    typer.echo(f"{made.made} pictures made, {made.found} found, {len(made.layers)} layers, {made.seconds:.0f} s")
    typer.echo(f"open {write_site(out).resolve().as_uri()}")


@app.command()
def train(
    robust: Annotated[bool, typer.Option("--robust", help="train adversarially: its pictures are far clearer")] = False,
    data: Annotated[str, typer.Option(help='"menagerie", or a folder of class folders with pictures')] = "menagerie",
    arch: Annotated[str, typer.Option(help="menagerie, or a network of torchvision by name")] = "menagerie",
    out: Annotated[
        Path | None, typer.Option(help="folder for checkpoints and weights (default: outputs/train/...)")
    ] = None,
    images: Annotated[int | None, typer.Option(help="how many the network sees in all", min=64)] = None,
    seed: Seed = 0,
) -> None:
    """Train a network from nothing, with checkpoints to watch features form; goes on where it was stopped."""
    from layerscope.models.release import make_network
    from layerscope.models.zoo import read

    folder = out or Path("outputs/train") / f"{Path(data).name}-{arch}{'-robust' if robust else ''}"
    with progress_bar("train") as report:
        weights = make_network(
            data, robust=robust, architecture=arch, out=folder, images=images, seed=seed, on_progress=report
        )
    typer.echo(_table([_quality(read(weights, folder.name).card)]))
    typer.echo(f"weights in {weights}")


@app.command()
def benchmark(
    subject: Annotated[str, typer.Argument(help="world")] = "world",
    as_json: Json = False,
) -> None:
    """Measure speed here and now."""
    from layerscope.cli.benchmarks import SUBJECTS

    if subject not in SUBJECTS:
        raise UnknownNameError.among("benchmark", subject, SUBJECTS)
    rows = SUBJECTS[subject]()
    typer.echo(json.dumps({"rows": rows}) if as_json else _table(rows))


def _quality(card: Mapping[str, Any]) -> dict[str, Any]:
    """What a model card says of a network that `layerscope train` made."""
    lowest = min(card["recall"], key=card["recall"].get)
    return {
        "parameters": card["parameters"],
        "accuracy": round(card["accuracy"], 4),
        "lowest_recall": f"{card['recall'][lowest]:.3f} ({lowest})",
        **{f"under_{attack.replace(' ', '_')}": round(value, 3) for attack, value in card["robust_accuracy"].items()},
        "cpu_minutes": card["cpu_minutes"],
    }


def _table(rows: list[dict[str, Any]]) -> str:
    """Rows as aligned columns; what is None is a dash."""
    cells = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )


def _cell(value: object) -> str:
    return "-" if value is None else str(value)
