"""How alike the layers of a network are, among themselves and with those of its random twins."""

from __future__ import annotations

from layerscope.figures.heat import draw_heat
from layerscope.figures.paper import DOUBLE, PaperFigure, drawing, finished, layer_name, note, sheet_of
from layerscope.figures.words import plural


def similarity(source: object, *, width: float = DOUBLE) -> PaperFigure:
    """Debiased linear CKA of what the layers answer to the same images, of the network, and with its twins beside it.

    source: a Hierarchy, or the folder that holds a hierarchy.json. width: in inches. Raises InputError where there is
    no such report.
    """
    with drawing("hierarchy", source) as report:
        names = [layer_name(layer["name"], 16) for layer in report.facts["layers"]]
        figure = sheet_of(width, 0.5 * width + 0.3, square=True)
        own, twins = figure.subplots(1, 2)
        draw_heat(own, report.arrays["cka"].tolist(), names, names)
        own.set_title("among the layers of the network")
        draw_heat(twins, report.arrays["cka_twins"].tolist(), names, names)
        twins.set_title(f"with those of {plural(report.facts['twins'], 'random twin')} (columns)")
        note(figure, "debiased linear CKA: 1 alike up to a rotation, 0 unrelated; striped: below 0")
        return finished(figure, report.said(f"Similarity of the layers of {report.facts['network']['name']}"))
