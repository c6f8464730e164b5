"""The application: its commands, and what stands before one."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from layerscope.cli.options import Quiet, Verbose
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
