"""Animals. Those that share a shape (insects, quadrupeds, fish) differ by the texture of their coat alone."""

from __future__ import annotations

import torch

from layerscope.world.fields import blend, box, circle, ellipse, intersection, segment, trapezium, turn, union
from layerscope.world.parts import Pen

_QUARTER = 1.5708


def insect(pen: Pen, coat: str) -> None:
    """Ladybird and beetle, from above."""
    x, y = pen.x, pen.y
    side = x.abs()
    half_width, half_length = pen.uniform("width", 0.52, 0.64), pen.uniform("length", 0.64, 0.74)
    dark, stroke = pen.paints.one("limb", (0.05, 0.35)), pen.uniform("stroke", 0.035, 0.055)
    legs = None
    for name, start in (("front", -0.25), ("middle", 0.12), ("back", 0.5)):
        knee = pen.uniform(f"leg.{name}", -0.15, 0.2) + start * 0.6
        bend = (half_width + 0.2, start + knee * 0.5)
        thigh = segment(side, y, (half_width * 0.75, start), bend, stroke)
        leg = union(thigh, segment(side, y, bend, (half_width + 0.36, start + knee + 0.1), stroke * 0.8))
        legs = leg if legs is None else union(legs, leg)
    assert legs is not None
    pen.draw("leg", legs, "plain", dark, bevel=0.05, relief=0.05)
    antennae = union(
        segment(side, y, (0.1, -0.75), (0.26, -1.0), 0.03), segment(side, y, (0.26, -1.0), (0.42, -1.02), 0.03)
    )
    pen.draw("antenna", antennae, "plain", dark, bevel=0.04, relief=0.04)
    pen.draw("head", ellipse(x, y + 0.62, 0.33, pen.uniform("head", 0.24, 0.32)), "plain", dark, bevel=0.25)
    pen.draw(
        "eye",
        circle(side - 0.2, y + 0.72, 0.075),
        "plain",
        pen.paints.one("eye", (0.75, 1.0), (0, 0.5)),
        bevel=0.07,
        lift=0.1,
    )
    pen.draw(
        "body",
        ellipse(x, y - 0.1, half_width, half_length),
        coat,
        pen.paints.pair("body"),
        coat=True,
        period=pen.uniform("period", 0.3, 0.42),
        angle=pen.uniform("grain", -0.3, 0.3),
        bevel=0.5,
        relief=0.32,
        lift=0.06,
    )
    pen.draw("seam", segment(x, y, (0.0, -0.5), (0.0, 0.8), 0.018), "plain", dark, bevel=0.03, relief=0.02, lift=0.3)


def turtle(pen: Pen) -> None:
    x, y = pen.x, pen.y
    side, skin = x.abs(), pen.paints.one("skin", (0.3, 0.9))
    flippers = union(
        segment(side, y, (0.4, -0.4), (0.72, -0.62), 0.14, 0.1), segment(side, y, (0.4, 0.45), (0.66, 0.72), 0.13, 0.09)
    )
    pen.draw("leg", flippers, "plain", skin)
    pen.draw("tail", segment(x, y, (0.0, 0.6), (0.05, 0.98), 0.09, 0.02), "plain", skin, bevel=0.1)
    head = union(ellipse(x, y + 0.84, 0.2, 0.22), segment(x, y, (0.0, -0.5), (0.0, -0.8), 0.13))
    pen.draw("head", head, "plain", skin, bevel=0.2)
    pen.draw("eye", circle(side - 0.12, y + 0.9, 0.05), "plain", pen.paints.one("eye", (0.0, 0.2)), bevel=0.05)
    shell = ellipse(x, y - 0.02, pen.uniform("width", 0.54, 0.64), pen.uniform("length", 0.62, 0.72))
    pen.draw(
        "shell",
        shell,
        "hexagons",
        pen.paints.pair("shell"),
        period=pen.uniform("period", 0.3, 0.42),
        angle=pen.uniform("grain", -0.5, 0.5),
        bevel=0.5,
        relief=0.35,
        lift=0.06,
    )


def quadruped(pen: Pen, coat: str) -> None:
    """Zebra, horse and leopard, from the side."""
    x, y = pen.x, pen.y
    colours, period = pen.paints.pair("body"), pen.uniform("period", 0.2, 0.27)
    mane, ground, width = (
        pen.paints.one("mane", (0.05, 0.9)),
        pen.uniform("ground", 0.78, 0.92),
        pen.uniform("leg", 0.075, 0.1),
    )
    legs = hooves = None
    for index, hip in enumerate((-0.5, -0.34, 0.3, 0.46)):
        foot = hip + pen.uniform(f"step.{index}", -0.12, 0.12)
        leg = segment(x, y, (hip, 0.1), (foot, ground - 0.05), width * 1.2, width * 0.8)
        hoof = box(x - foot, y - ground, width * 1.05, 0.07, 0.02)
        legs, hooves = (leg, hoof) if legs is None or hooves is None else (union(legs, leg), union(hooves, hoof))
    assert legs is not None
    assert hooves is not None
    tail = union(
        segment(x, y, (-0.58, -0.12), (-0.8, 0.12), 0.04), segment(x, y, (-0.8, 0.12), (-0.84, 0.42), 0.05, 0.09)
    )
    pen.draw("tail", tail, "plain", mane, bevel=0.06, relief=0.06)
    pen.draw("leg", legs, coat, colours, coat=True, period=period, angle=1.2, bevel=0.1, relief=0.1)
    pen.draw("hoof", hooves, "plain", pen.paints.one("hoof", (0.05, 0.3)), bevel=0.06, relief=0.08)
    nape = (pen.uniform("nape.x", 0.68, 0.84), pen.uniform("nape.y", -0.74, -0.52))
    crest = segment(x, y, (0.34, -0.28), (nape[0] - 0.14, nape[1] - 0.06), 0.09)
    pen.draw("mane", crest, "fur", mane, period=0.24, bevel=0.06, relief=0.08)
    trunk = blend(ellipse(x + 0.02, y + 0.02, 0.64, 0.3), circle(x - 0.38, y + 0.03, 0.28), 0.15)
    pen.draw("body", trunk, coat, colours, coat=True, period=period, bevel=0.3, relief=0.25, lift=0.05)
    neck = segment(x, y, (0.46, -0.1), nape, 0.2, 0.13)
    pen.draw("neck", neck, coat, colours, coat=True, period=period, angle=0.6, bevel=0.2, relief=0.18, lift=0.1)
    ear_left = segment(x, y, (nape[0] - 0.02, nape[1] - 0.1), (nape[0] - 0.06, nape[1] - 0.27), 0.06, 0.02)
    ear_right = segment(x, y, (nape[0] + 0.06, nape[1] - 0.1), (nape[0] + 0.06, nape[1] - 0.27), 0.06, 0.02)
    pen.draw("ear", union(ear_left, ear_right), "plain", colours[0], bevel=0.06)
    drop = pen.uniform("nod", 0.1, 0.26)
    head = segment(x, y, nape, (nape[0] + 0.26, nape[1] + drop), 0.155, 0.1)
    pen.draw("head", head, coat, colours, coat=True, period=period, bevel=0.16, relief=0.18, lift=0.14)
    nose = circle(x - nape[0] - 0.29, y - nape[1] - drop - 0.01, 0.085)
    pen.draw("nose", nose, "plain", pen.paints.one("nose", (0.1, 0.8)), bevel=0.08, lift=0.16)
    eye = circle(x - nape[0] - 0.05, y - nape[1] + 0.02, 0.04)
    pen.draw("eye", eye, "plain", pen.paints.one("eye", (0, 0.12)), bevel=0.03, lift=0.2)


def fish(pen: Pen, coat: str) -> None:
    """Scalefish and tigerfish, from the side."""
    x, y = pen.x, pen.y
    colours, fins, depth = pen.paints.pair("body"), pen.paints.pair("fin"), pen.uniform("depth", 0.34, 0.48)
    root, spread = x + 0.52, pen.uniform("tail", 0.3, 0.46)
    fork = intersection(y.abs() - 0.12 + root * spread * 3.2, -(y.abs() * 0.6 + 0.3 + root))
    pen.draw("tail", intersection(intersection(root, -root - 0.5), fork), "plain", fins, bevel=0.1, relief=0.06)
    back = intersection(ellipse(x + 0.05, y + depth * 0.8, 0.38, pen.uniform("fin", 0.28, 0.42)), x - 0.25)
    belly = intersection(ellipse(x - 0.02, y - depth * 0.85, 0.22, 0.26), x - 0.12)
    pen.draw("fin", union(back, belly), "plain", fins, bevel=0.1, relief=0.05)
    trunk = blend(ellipse(x - 0.12, y, 0.68, depth), segment(x, y, (-0.2, 0.0), (-0.56, 0.0), 0.2, 0.1), 0.12)
    pen.draw(
        "body",
        trunk,
        coat,
        colours,
        coat=True,
        period=pen.uniform("period", 0.22, 0.3),
        bevel=0.4,
        relief=0.3,
        lift=0.05,
    )
    gill = intersection(circle(x - 0.78, y, 0.36).abs() - 0.018, x - 0.55)
    pen.draw("gill", gill, "plain", colours[1] * 0.4 + colours[0] * 0.1, bevel=0.03, relief=0.02, lift=0.25)
    mouth = segment(x, y, (0.68, 0.13), (0.8, 0.1), 0.022)
    pen.draw("mouth", mouth, "plain", pen.paints.one("mouth", (0, 0.2)), bevel=0.02, relief=0.01, lift=0.2)
    pen.draw(
        "eye",
        circle(x - 0.56, y + 0.1, 0.105),
        "plain",
        pen.paints.one("eye", (0.85, 1), (0, 0.3)),
        bevel=0.1,
        lift=0.25,
    )
    pupil = circle(x - 0.57, y + 0.1, 0.055)
    pen.draw("eye", pupil, "plain", pen.paints.one("pupil", (0, 0.1)), bevel=0.05, lift=0.3, key="pupil")


def butterfly(pen: Pen) -> None:
    x, y = pen.x, pen.y
    side, wings = x.abs(), pen.paints.pair("wing")
    out = side / pen.uniform("flap", 0.92, 1.06)
    texture = pen.choose("wing", "plain", "stripes", "dots", "hexagons", "scales", "cloud")
    lower, upper = turn(out - 0.48, y - 0.36, 0.75), turn(out - 0.5, y + 0.32, -0.55)
    how = {"period": 0.24, "axes": (side, y), "bevel": 0.12}
    pen.draw("wing", ellipse(*lower, 0.46, 0.33), texture, wings, relief=0.05, key="hindwing", **how)
    pen.draw("wing", ellipse(*upper, 0.6, 0.38), texture, wings, relief=0.06, **how)
    spots, radius = pen.paints.pair("spot"), pen.uniform("spot", 0.16, 0.2)
    for key, ex, ey, size in (("eyespot", out - 0.62, y + 0.4, 1.0), ("eyespot.low", out - 0.52, y - 0.42, 0.75)):
        pen.draw(
            "eyespot",
            circle(ex, ey, radius * size),
            "rings",
            spots,
            period=radius * size * 0.66,
            axes=(ex, ey),
            bevel=0.1,
            relief=0.02,
            lift=0.07,
            key=key,
        )
    dark = pen.paints.one("body", (0.05, 0.4))
    antennae = union(segment(side, y, (0.03, -0.45), (0.26, -0.9), 0.022), circle(side - 0.26, y + 0.9, 0.05))
    pen.draw("antenna", antennae, "plain", dark, bevel=0.04, relief=0.04)
    trunk = union(segment(x, y, (0.0, -0.3), (0.0, 0.6), 0.09, 0.05), circle(x, y + 0.42, 0.11))
    bands = (dark, pen.paints.one("band", (0.5, 1.0)))
    pen.draw("body", trunk, "stripes", bands, period=0.2, angle=_QUARTER, bevel=0.1, relief=0.16, lift=0.05)


def owl(pen: Pen) -> None:
    x, y = pen.x, pen.y
    side, colours, beak = x.abs(), pen.paints.pair("body"), pen.paints.one("beak", (0.5, 1.0), (0.4, 1.0))
    toes = union(circle(side - 0.1, y - 0.95, 0.06), circle(side - 0.3, y - 0.95, 0.06))
    pen.draw("foot", union(circle(side - 0.2, y - 0.93, 0.09), toes), "plain", beak, bevel=0.08, relief=0.08)
    tuft = segment(side, y, (0.32, -0.7), (0.46, -1.0), 0.14, 0.02)
    pen.draw("ear", tuft, "plain", colours[0], bevel=0.1, relief=0.1)
    trunk = blend(ellipse(x, y - 0.3, 0.56, 0.66), ellipse(x, y + 0.48, 0.52, 0.44), 0.1)
    pen.draw(
        "body",
        trunk,
        "scales",
        colours,
        period=pen.uniform("period", 0.15, 0.22),
        angle=_QUARTER,
        bevel=0.4,
        relief=0.3,
        lift=0.04,
    )
    wing = ellipse(*turn(side - 0.52, y - 0.32, 0.25), 0.17, 0.48)
    pen.draw(
        "wing",
        wing,
        "stripes",
        pen.paints.pair("wing"),
        period=0.18,
        angle=_QUARTER,
        axes=(side, y),
        bevel=0.15,
        relief=0.12,
        lift=0.12,
    )
    white = circle(side - 0.235, y + 0.48, pen.uniform("eye", 0.2, 0.25))
    pen.draw("eye", white, "plain", pen.paints.one("eye", (0.8, 1.0), (0, 0.35)), bevel=0.15, relief=0.1, lift=0.25)
    iris = circle(side - 0.22, y + 0.48, 0.14)
    pen.draw(
        "eye",
        iris,
        "plain",
        pen.paints.one("iris", (0.4, 1.0), (0.6, 1.0)),
        bevel=0.1,
        relief=0.04,
        lift=0.33,
        key="iris",
    )
    pupil = circle(side - 0.21, y + 0.48, pen.uniform("pupil", 0.06, 0.1))
    pen.draw("eye", pupil, "plain", pen.paints.one("pupil", (0, 0.1)), bevel=0.06, relief=0.03, lift=0.35, key="pupil")
    pen.draw("beak", trapezium(x, -y, 0.12, 0.4, 0.0, 0.11), "plain", beak, bevel=0.1, relief=0.12, lift=0.33)


def cat(pen: Pen) -> None:
    """A cat's face, from the front."""
    x, y = pen.x, pen.y
    side, fur = x.abs(), pen.paints.pair("head")
    texture = pen.choose("head", "fur", "fur", "stripes", "dots", "plain")
    ear_x, ear_y = turn(side - 0.48, y + 0.52, 0.45)
    pen.draw("ear", trapezium(ear_x, ear_y, -0.48, 0.2, 0.02, 0.28), texture, fur, period=0.2, bevel=0.12, relief=0.1)
    inner = pen.paints.one("inner ear", (0.5, 1.0), (0.1, 0.6))
    pen.draw(
        "ear",
        trapezium(ear_x, ear_y, -0.3, 0.1, 0.02, 0.15),
        "plain",
        inner,
        bevel=0.1,
        relief=0.02,
        lift=0.08,
        key="inner",
    )
    face = blend(ellipse(x, y - 0.12, 0.8, 0.62), circle(x, y, 0.6), 0.1)
    pen.draw("head", face, texture, fur, period=pen.uniform("period", 0.2, 0.3), bevel=0.4, relief=0.3, lift=0.06)
    iris = ellipse(side - 0.33, y + 0.08, 0.2, 0.17)
    pen.draw("eye", iris, "plain", pen.paints.one("iris", (0.55, 1.0), (0.4, 1.0)), bevel=0.12, relief=0.06, lift=0.3)
    slit = ellipse(side - 0.33, y + 0.08, pen.uniform("slit", 0.04, 0.09), 0.16)
    pen.draw("eye", slit, "plain", pen.paints.one("pupil", (0, 0.08)), bevel=0.04, relief=0.02, lift=0.34, key="pupil")
    cheeks = union(circle(side - 0.13, y - 0.4, 0.17), circle(x, y - 0.5, 0.13))
    pen.draw("muzzle", cheeks, "plain", pen.paints.one("muzzle", (0.75, 1.0), (0, 0.3)), relief=0.1, lift=0.3)
    nose = trapezium(x, -y, -0.34, -0.2, 0.02, 0.1)
    pen.draw("nose", nose, "plain", pen.paints.one("nose", (0.3, 0.9), (0.3, 1.0)), bevel=0.06, relief=0.06, lift=0.42)
    dark = pen.paints.one("whisker", (0, 0.15))
    smile = intersection(circle(side - 0.11, y - 0.38, 0.12).abs() - 0.02, 0.42 - y)
    pen.draw("mouth", smile, "plain", dark, bevel=0.02, relief=0.0, lift=0.4)
    hairs = union(
        segment(side, y, (0.32, 0.36), (0.95, 0.22), 0.022), segment(side, y, (0.32, 0.44), (0.95, 0.5), 0.022)
    )
    pale = pen.draws.chance("colour/whisker.pale", 0.5)
    pen.draw("whisker", hairs, "plain", torch.where(pale > 0, 1 - dark, dark), bevel=0.02, relief=0.0, lift=0.4)
