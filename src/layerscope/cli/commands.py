"""All commands, in the order in which `layerscope --help` lists them."""

from __future__ import annotations

from layerscope.cli import looking, making, measuring, pictures
from layerscope.cli.app import app

__all__ = ["app"]

for _command in (
    *(making.tour, making.gallery, pictures.atlas, pictures.animate, making.explain, making.hierarchy),
    *(looking.models, looking.layers, looking.site, looking.figure, looking.spritemap),
    *(measuring.train, measuring.benchmark, looking.doctor),
):
    app.command()(_command)
