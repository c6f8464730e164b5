"""The application, and the options that its commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from layerscope.cli import completion, output
from layerscope.errors import UnknownNameError


class _Commands(TyperGroup):
    """Commands in the order in which they are made; a name that is none of them is answered with the nearest."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and not ctx.resilient_parsing and not args[0].startswith("-") and args[0] not in self.commands:
            raise UnknownNameError.among("command", args[0], self.commands, "see layerscope --help")
        return super().resolve_command(ctx, args)


app = typer.Typer(
    name="layerscope",
    cls=_Commands,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="menagerie, menagerie:robust, torchvision:NAME, timm:NAME or path/to/file.py:function",
        autocompletion=completion.models,
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help='a .pth or .safetensors file; "none": random, but for a file.py',
        autocompletion=completion.weights,
    ),
]
Recipe = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="draft, standard or fine: how much work goes into each picture",
        autocompletion=completion.recipes,
    ),
]
Engine = Annotated[
    str,
    typer.Option(
        metavar="ENGINE",
        help='where the work runs: "local", or "processes:N" for N processes',
        autocompletion=completion.engines,
    ),
]
Out = Annotated[
    Path,
    typer.Option(metavar="DIR", help="folder for what is made, and its site", autocompletion=completion.folders),
]
Seed = Annotated[int, typer.Option(metavar="N", help="of everything random", min=0)]
Json = Annotated[bool, typer.Option("--json", help="print the result as JSON, and nothing else")]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", callback=output.hush, help="say nothing but the result and errors"),
]
Verbose = Annotated[
    bool,
    typer.Option("--verbose", callback=output.speak, help="say how far it is also where there is no terminal"),
]


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"layerscope {version('layerscope')}")
        raise typer.Exit


@app.callback()
def _root(
    show: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="say the version")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """See what a convolutional network has learned, and how far each picture of it can be trusted.

    \b
    Examples:
      layerscope tour
      layerscope explain photo.jpg --model torchvision:resnet50
      layerscope gallery torchvision:resnet18 --units 'layer4.*' --recipe draft
      layerscope doctor

    Each command has examples of its own: layerscope COMMAND --help. Results go to standard output, progress to standard
    error where that is a terminal. NO_COLOR is respected.
    """
