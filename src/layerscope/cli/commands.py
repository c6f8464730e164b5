"""The commands, one short function each."""

from __future__ import annotations

import contextlib
import json
import sys
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from layerscope.cli.progress import progress_bar
from layerscope.cli.tables import quality, table
from layerscope.errors import InputError

if TYPE_CHECKING:
    from layerscope.models.model import VisionModel

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
Weights = Annotated[str | None, typer.Option(help='a .pth or .safetensors file; "none": random, but for a file.py')]
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
    """Galleries and the hierarchy of the bundled networks, explanations of a scene, a photograph and a checkpoint."""
    from layerscope.cli.tour import make_explanations, make_galleries, make_hierarchy
    from layerscope.engine import open_engine, usable_cores
    from layerscope.site.pages import check_site, write_site

    check_site(out)
    with open_engine(engine or f"processes:{usable_cores()}") as executor:
        for line in make_galleries(out, recipe, executor, progress_bar):
            typer.echo(line)
    for line in chain(make_hierarchy(out), make_explanations(out, progress_bar)):
        typer.echo(line)
    typer.echo(f"\nopen {write_site(out).resolve().as_uri()}")


@app.command()
def models(as_json: Json = False) -> None:
    """List what can be opened."""
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


@app.command()
def layers(
    model: Model = "menagerie",
    weights: Weights = None,
    effective: Annotated[
        bool, typer.Option("--effective", help="measure effective receptive fields too, by gradients: takes a while")
    ] = False,
    functions: Annotated[
        bool, typer.Option("--functions", help="also what modules compute between their parts, as layer4.0/add")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the layers of MODEL with their shapes, units and receptive fields (pixels), and what hooks do not see."""
    import shutil

    from layerscope.capture.uncalled import parametrised
    from layerscope.cli import layer_table

    with contextlib.redirect_stdout(sys.stderr):  # what the network's own code prints is no part of the table
        opened = _open(model, weights)
        rows = opened.layers(functions)
        if not rows:
            raise InputError(f"{model!r} {layer_table.why_none(opened)}; nothing to list")
        facts, leaves, owners = layer_table.facts_of(opened, model), opened.uncalled(), parametrised(opened)
        measured = layer_table.effective(opened) if effective else None
    if as_json:
        typer.echo(json.dumps(layer_table.as_json(facts, rows, leaves, owners, measured)))
        return
    width = max(shutil.get_terminal_size((10_000, 24)).columns, 40)  # as wide as it gets where nobody looks at it
    typer.echo(layer_table.headline(facts, width))
    typer.echo(f"\n{layer_table.layer_table(rows, width, measured)}")
    if below := layer_table.unseen(leaves, owners, width):
        typer.echo(f"\n{below}")


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
    from layerscope.site.pages import check_site, write_site
    from layerscope.studies.gallery import gallery as make_gallery

    check_site(out)
    opened, natural = _open(model, weights), None if probe == "none" else probe
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
def explain(
    images: Annotated[
        list[str], typer.Argument(help='picture files, folders, "-" for standard input, or scenes as scene:owl:7')
    ],
    model: Annotated[str, typer.Option(help="as for the other commands")] = "menagerie",
    weights: Weights = None,
    target: Annotated[str | None, typer.Option(help="class, 'owl versus cat' or unit (default: predicted)")] = None,
    versus: Annotated[str | None, typer.Option(help="class that it is set against (default: the runner-up)")] = None,
    methods: Annotated[str | None, typer.Option(help="attribution methods, separated by commas")] = None,
    layer: Annotated[str | None, typer.Option(help="for class activation maps (default: the last)")] = None,
    baseline: Annotated[
        str, typer.Option(help="what images are compared with: blur, black, white, mean, own mean")
    ] = "blur",
    probe: Annotated[str | None, typer.Option(help="images that the network knows: a folder of class folders")] = None,
    out: Annotated[Path, typer.Option(help="folder for explanations and their site")] = Path("outputs"),
    seed: Seed = 0,
    memory: Annotated[str, typer.Option(help="about how much activations may take at once")] = "1 GiB",
    as_json: Json = False,
) -> int:
    """Explain why IMAGES got their labels: several methods, each with what says how far to trust it."""
    from layerscope.cli.explanations import explain_all, facts_of, summary
    from layerscope.site.pages import check_site, write_site
    from layerscope.studies.asked import DEFAULT_METHODS
    from layerscope.studies.explain import Explainer

    check_site(out)
    chosen = DEFAULT_METHODS if methods is None else [name.strip() for name in methods.split(",") if name.strip()]
    with progress_bar("explain") as report:
        explainer = Explainer(
            _open(model, weights),
            target=target,
            versus=versus,
            methods=chosen,
            layer=layer,
            baseline=baseline,
            probe=probe,
            gallery=out / "gallery",
            seed=seed,
            memory=memory,
            on_progress=report,
        )
        made, refused = explain_all(explainer, images, out)
    if made:
        page = write_site(out).resolve().as_uri()
        typer.echo(json.dumps(facts_of(made)) if as_json else f"{summary(made)}\n\nopen {page}")
    elif as_json:
        typer.echo("[]")
    for error in refused:
        typer.echo(f"error: {error}", err=True)
    return 2 if refused else 0


@app.command()
def hierarchy(
    model: Model = "menagerie",
    weights: Weights = None,
    probe: Annotated[str, typer.Option(help='"menagerie", or a folder of class folders')] = "menagerie",
    profile: Annotated[str, typer.Option(help='"quick" or "full": how much is measured')] = "quick",
    out: Annotated[Path, typer.Option(help="folder for the report and its site")] = Path("outputs"),
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Measure what the layers of MODEL code, edges to objects, against random twins; goes on where it was stopped."""
    from layerscope.cli import hierarchy as command
    from layerscope.site.pages import check_site, write_site

    check_site(out)
    made = command.report(_open(model, weights), probe, profile, out, seed)
    page = write_site(out).resolve().as_uri()
    typer.echo(command.as_json(made) if as_json else f"{command.summary(made)}\n\nopen {page}")


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
    typer.echo(table([quality(read(weights, folder.name).card)]))
    typer.echo(f"weights in {weights}")


@app.command()
def benchmark(
    subject: Annotated[str, typer.Argument(help="world, capture, passes or attribution")] = "world",
    networks: Annotated[
        str,
        typer.Option(
            help='capture, attribution --conformance: names or patterns ("resnet*,timm:vit_tiny*"); "*" is all of '
            "torchvision, for attribution one per family; capture: or none"
        ),
    ] = "*",
    rounds: Annotated[int, typer.Option(help="capture, attribution: of timing; capture: 0 leaves it out", min=0)] = 9,
    threads: Annotated[int | None, typer.Option(help="of torch (default: as it decides)", min=1)] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="3 rounds; capture: one network per family; attribution: 3, and few methods")
    ] = False,
    conformance: Annotated[
        bool, typer.Option("--conformance", help="attribution: compare methods with slow references instead of timing")
    ] = False,
    as_json: Json = False,
) -> None:
    """Measure here and now: speed, and whether capture and attribution are right, with other tools beside them."""
    from layerscope.benchmarks.report import Options
    from layerscope.cli.benchmarks import measured, printed

    options = Options(networks, threads, min(rounds, 3) if quick else rounds, quick, conformance)
    made = measured(subject, options)
    typer.echo(
        json.dumps({**made.tables, "summary": made.summary, "manifest": made.manifest}) if as_json else printed(made)
    )


def _open(spec: str, weights: str | None) -> VisionModel:
    """Open a network for a command; a file that is run for it is said."""
    from layerscope.models.sources import load_model

    file, _, function = spec.rpartition(":")
    if file.endswith(".py") and Path(file).is_file():
        typer.echo(f"running {file} for {function}(): all code in it; open only files that you trust", err=True)
    return load_model(spec, weights=weights)
