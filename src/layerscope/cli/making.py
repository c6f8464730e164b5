"""The commands that make something to look at: tour, gallery, explain, hierarchy."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

from layerscope.cli.opening import open_network
from layerscope.cli.options import (
    OUTPUTS,
    Baseline,
    Engine,
    Engines,
    Images,
    Json,
    Known,
    Layer,
    Memory,
    Methods,
    Model,
    ModelOption,
    Naturals,
    Out,
    Plan,
    Probe,
    Profile,
    Quiet,
    Recipe,
    Seed,
    Seeds,
    Target,
    Units,
    Verbose,
    Versus,
    Weights,
)
from layerscope.cli.output import heard
from layerscope.cli.progress import progress_bar

if TYPE_CHECKING:
    from layerscope.studies.gallery import Gallery


def tour(
    out: Out = OUTPUTS,
    recipe: Recipe = "standard",
    engine: Engines = None,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Draw, measure and explain the bundled networks on one site.

    The site is there after a minute or two, with the classes of the robust network and a few units of each layer; the
    rest is added as it is made: all units of both networks, the hierarchy from edges to objects, leaderboards of
    attribution methods, and explanations of scenes, of a photograph, and of an image by a network that is trained here.
    It needs no download. What was made before is not made again, so an interrupted tour goes on where it was.

    \b
    Examples:
      layerscope tour
      layerscope tour --recipe draft --out sketch
      layerscope tour --engine processes:8 --json > tour.json
    """
    from layerscope.cli.tour import Tour
    from layerscope.engine import usable_cores

    hushed = heard.quiet or as_json
    made = Tour(out, progress_bar, _unsaid if hushed else typer.echo)
    facts = made.make(recipe, engine or f"processes:{usable_cores()}")
    typer.echo(json.dumps(facts) if as_json else f"open {facts['site']}")


def _unsaid(line: str) -> None:
    """What is told of each stage, where only the result is wanted."""


def gallery(
    model: Model = "menagerie",
    units: Units = ["*"],  # noqa: B006
    recipe: Recipe = "standard",
    weights: Weights = None,
    out: Out = OUTPUTS,
    probe: Naturals = "menagerie",
    seed: Seed = 0,
    seeds: Seeds = None,
    engine: Engine = "local",
    plan: Plan = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Draw what the units of MODEL respond to.

    Each picture stands beside the natural images that excite its unit most, and is measured on the unchanged network.
    What was made before is not made again: the same command goes on where it was stopped.

    \b
    Examples:
      layerscope gallery --units conv3:26 --recipe draft
      layerscope gallery torchvision:resnet18 --units 'layer4.*' --probe photos
      layerscope gallery torchvision:resnet18 --weights seven.pth --units fc
      layerscope gallery nets.py:net --engine processes:4 --plan
    """
    from layerscope.cli import planning
    from layerscope.engine import open_engine
    from layerscope.site.pages import check_site, write_site
    from layerscope.studies.gallery import gallery as make_gallery

    check_site(out)
    opened, natural = open_network(model, weights), None if probe == "none" else probe
    if plan:
        expected = planning.plan(opened, units, out / "gallery", recipe, seed, seeds, natural, engine)
        typer.echo(planning.as_json(expected) if as_json else planning.summary(expected))
        return
    with open_engine(engine) as executor, progress_bar(model) as report:
        made = make_gallery(
            opened,
            units,
            out / "gallery",
            recipe=recipe,
            seed=seed,
            seeds=seeds,
            probe=natural,
            executor=executor,
            on_progress=report,
        )
    page = write_site(out).resolve().as_uri()
    typer.echo(_gallery_facts(made, page) if as_json else f"{_gallery_words(made)}\nopen {page}")


def _gallery_facts(made: Gallery, page: str) -> str:
    facts = {name: getattr(made, name) for name in ("network", "layers", "made", "found")}
    return json.dumps({**facts, "folder": str(made.folder), "seconds": round(made.seconds, 1), "site": page})


def _gallery_words(made: Gallery) -> str:
    from layerscope.figures.words import plural

    pictures, layers = plural(made.made, "picture"), plural(len(made.layers), "layer")
    return f"{pictures} made, {made.found:,} found, {layers}, {made.seconds:.0f} s"


def explain(
    images: Images,
    model: ModelOption = "menagerie",
    weights: Weights = None,
    target: Target = None,
    versus: Versus = None,
    methods: Methods = None,
    layer: Layer = None,
    baseline: Baseline = "blur",
    probe: Known = None,
    out: Out = OUTPUTS,
    seed: Seed = 0,
    memory: Memory = "1 GiB",
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> int:
    """Explain why IMAGES got their labels.

    Several attribution methods, each with what says how far to trust it: + good, ! poor, - open. An image that cannot
    be read is told in one line, and the others go on.

    \b
    Examples:
      layerscope explain photo.jpg --model torchvision:resnet50
      layerscope explain scene:owl:7 scene:ladybird:3
      layerscope explain scene:owl:7 --versus cat --methods deeplift,saliency
      layerscope explain pictures/ --model nets.py:net --json > explained.json
    """
    from layerscope.cli.explanations import explain_all, facts_of, summary
    from layerscope.site.pages import check_site, write_site
    from layerscope.studies.asked import DEFAULT_METHODS
    from layerscope.studies.explain import Explainer

    check_site(out)
    chosen = DEFAULT_METHODS if methods is None else [name.strip() for name in methods.split(",") if name.strip()]
    with progress_bar("explain") as report:
        explainer = Explainer(
            open_network(model, weights),
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


def hierarchy(
    model: Model = "menagerie",
    weights: Weights = None,
    probe: Probe = "menagerie",
    profile: Profile = "quick",
    out: Out = OUTPUTS,
    seed: Seed = 0,
    engine: Engine = "local",
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Measure what the layers of MODEL code, edges to objects.

    Everything is told beside networks of the same architecture with random weights; where no hierarchy survives that,
    none is shown. What it will take is said before it starts, and it goes on where it was stopped. The engine shows
    the images to the networks, a chunk at a time, and draws pictures.

    \b
    Examples:
      layerscope hierarchy
      layerscope hierarchy menagerie:robust --profile full
      layerscope hierarchy torchvision:resnet50 --probe path/to/class/folders
      layerscope hierarchy torchvision:resnet18 --engine processes:4
    """
    from layerscope.cli import hierarchy as command
    from layerscope.engine import open_engine
    from layerscope.site.pages import check_site, write_site

    check_site(out)
    opened = open_network(model, weights)
    with open_engine(engine) as executor:
        made = command.report(opened, probe, profile, out, seed, executor)
    page = write_site(out).resolve().as_uri()
    typer.echo(command.as_json(made) if as_json else f"{command.summary(made)}\n\nopen {page}")
