"""What galleries, explanations and hierarchies show in a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from layerscope.figures.galleries import GalleryLayer, evenly, how_chosen, layers_of, spread
from layerscope.figures.html import (
    drawing,
    el,
    facts,
    line,
    name,
    page,
    picture,
    share_bar,
    strong,
    table,
    tile,
    tiles,
    warning,
)
from layerscope.figures.palette import CATEGORIES, CODED
from layerscope.figures.pictures import as_rgb, over_grey
from layerscope.figures.source import Report, opened
from layerscope.figures.words import between, number, percent, plural, ratio, short, signed
from layerscope.records import Record

_COLUMNS = 12
_LAYERS = 16  # of a gallery at most: a card is looked at, not studied
_LABELS = 5


def gallery_card(source: object) -> str:
    """Of each layer twelve units evenly spaced over it, with their ratios."""
    with opened("gallery", source) as gallery:
        layers = layers_of(gallery)
        shown = [layers[place] for place in spread(len(layers), _LAYERS)]
        rest = f", {len(shown)} of {len(layers)} layers" if len(shown) < len(layers) else ""
        return page(
            ["Gallery of ", name(gallery.facts["network"]["name"])],
            line(
                how_chosen(layers).capitalize(),
                rest,
                ". Under each picture its score as a multiple of the strongest natural activation, or its status.",
            ),
            [_layer_row(layer) for layer in shown],
            _made_by(gallery),
        )


def _layer_row(layer: GalleryLayer) -> Markup:
    records = list(layer.records(evenly(layer, _COLUMNS)))
    seen = layer.facts.get("receptive_field")
    words = [
        strong(name(layer.name, 40)),
        f" {plural(layer.facts['units'], 'unit')}",
        f", sees {seen} px" if seen else None,
    ]
    missing = None if records else line("nothing made yet")
    return el("div", el("div", words, style="margin-top:8px"), tiles([_unit_tile(one) for one in records], 6), missing)


def _unit_tile(record: Record) -> Markup:
    told = record.facts
    label = f"#{told['unit']}" if told["label"] is None else short(told["label"], 20)
    status = None if told["status"] == "converged" else str(told["status"])
    alt = (
        f"unit {told['unit']}{'' if told['label'] is None else f', {label}'}: {ratio(told['ratio'])}, {told['status']}"
    )
    measured = ratio(told["ratio"]) if told["ratio"] is not None else f"score {number(told['score'])}"
    numbers = [strong(measured), f" {status}" if status else None]
    return tile(picture(record.arrays["picture"], alt, 72), [name(label, 20)], numbers, side=72)


def explanation_card(source: object) -> str:
    """The image, what the network says, and the maps with their checks."""
    with opened("explanation", source) as found:
        told, target = found.facts, found.facts["target"]
        asked = "Why " if target["index"] is not None else "What speaks for "
        image = as_rgb(found.arrays["image"])
        shown = [one for one in told["methods"] if one["question"] == told["questions"][0]]
        return page(
            [asked, name(target["label"], 40), "?"],
            line(name(told["image"]["name"], 60), ", by ", name(told["network"], 40), _truth(told)),
            warning(strong("This image is unlike what the network knows. "), name(told["familiar"]["words"], 400))
            if told["familiar"]["unlike"]
            else line(name(told["familiar"]["words"], 400)),
            tiles([tile(picture(image, f"the image {told['image']['name']}", 160), side=160), _labels(told)], 20),
            tiles([_map_tile(one, found, image) for one in shown]),
            line(
                "Orange speaks for it, blue against it; opaque at the number given. parts: rank correlation with the "
                "true effects of the parts, where they are known (1 best). redrawn: that with the map of the network "
                "with its top layers drawn anew (0 best). gap: what is missing in the sum."
            ),
            _made_by(found),
        )


def _truth(told: Mapping[str, Any]) -> str:
    if told["truth"] is None or not told["labels"]:
        return ""
    right = "right" if told["truth"] == told["labels"][0]["class"] else "wrong"
    return f"; {right}: the scene shows {short(told['truth'], 40)}"


def _labels(told: Mapping[str, Any]) -> Markup:
    rows = []
    for one in told["labels"][:_LABELS]:
        sure = one["probability"]
        bar = None if sure is None else share_bar(sure)
        rows.append([name(one["class"], 40), bar, percent(sure), percent(one["calibrated"]), number(one["logit"])])
    return el("div", table(["label", "", "probability", "calibrated", "logit"], rows, (2, 3, 4)))


def _map_tile(one: Mapping[str, Any], found: Report, image: Any) -> Markup:
    title = strong(name(one["title"], 40))
    if one["error"] is not None:
        return tile(line("no map"), title, name(one["error"], 160), side=112)
    checks, scale = one["checks"], one["scale"]
    values = found.arrays[one["map"]]
    numbers = {
        "parts": number(one.get("part_rank")),
        "redrawn": number(checks["redrawn"]),
        "gap": percent(checks["gap"]),
    }
    if one.get("part_rank") is None:
        del numbers["parts"]
    alt = f"{one['title']}: {', '.join(f'{key} {value}' for key, value in numbers.items())}"
    full = f"full colour at {'±' if one['signed'] else ''}{number(scale)}" if scale else "empty map"
    poor = [verdict["words"] for verdict in one["verdicts"] if verdict["mark"] == "poor"]
    return tile(
        picture(over_grey(image, values, scale or 0.0), alt, 112),
        title,
        *([f"{key} ", strong(value)] for key, value in numbers.items()),
        full,
        [el("span", "not good: ", style="color:#d55e00;font-weight:650"), name("; ".join(poor), 120)] if poor else None,
        side=112,
    )


def hierarchy_card(source: object) -> str:
    """The finding, the shares of labels beside those of the twins, and the figure."""
    from layerscope.figures.hierarchy_panels import hierarchy  # draws with matplotlib, which takes a moment to load

    with opened("hierarchy", source) as found:
        told = found.facts
        drawn = hierarchy(found)
        return page(
            [
                "A hierarchy is shown" if told["shown"] else "No hierarchy is shown",
                ": ",
                name(told["network"]["name"], 40),
            ],
            facts(
                {
                    "false labels in held-out twins": percent(told["false_rate"]),
                    "twins with random weights": str(told["twins"]),
                    "units": f"{sum(layer['units'] for layer in told['layers']):,}",
                    "probe": name(told["probe"]["name"], 40),
                }
            ),
            drawing(drawn.png(), f"Shares of labels, net shares and readers by layer. {told['words']}", 1000),
            _shares(told["layers"]),
            line(
                "Shares of units, in small that of the random twins; bold where the share beyond them is above 0 for "
                f"sure (all labels and layers together, {percent(told['together'])}). depth: 0 edges to 3 objects."
            ),
            _made_by(found),
        )


def _shares(layers: list[dict[str, Any]]) -> Markup:
    coded = [one for one in CODED if one in layers[0]["net"]]
    heads = [[el("span", style=_swatch(one)), one] for one in coded]
    rows = [
        [
            name(layer["name"], 30),
            str(layer["units"]),
            *(_share(layer["shares"][one], layer["net"][one]) for one in coded),
            [strong(signed(layer["net"]["any"]["value"])), f" ({between(layer['net']['any'])})"],
            "–"
            if layer["depth"] is None
            else [strong(number(layer["depth"]["value"])), f" ({between(layer['depth'])})"],
        ]
        for layer in layers
    ]
    return table(["layer", "units", *heads, "any, beyond twins", "depth"], rows, range(1, len(coded) + 2))


def _share(share: Mapping[str, Any], net: Mapping[str, Any]) -> list[Markup]:
    sure = net["low"] is not None and net["low"] > 0
    value = f"{share['share']:.2f}"
    return [
        strong(value) if sure else el("span", value),
        el("span", f" {share['twins']:.2f}", style="font-size:10px;opacity:.7"),
    ]


def _swatch(category: str) -> str:
    return f"display:inline-block;width:9px;height:9px;margin-right:4px;background:{CATEGORIES[category]}"


def _made_by(report: Report) -> Markup:
    """The line of Python that makes it again."""
    command = report.header.get("command")
    folder = None if report.folder is None else short(report.folder, 200)
    code = el("code", short(command, 400), style="font-size:11px;overflow-wrap:anywhere;background:none;color:inherit")
    return line("in ", folder, el("br"), code) if command else line("in ", folder)
