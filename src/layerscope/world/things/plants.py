"""Plants and a mushroom."""

from __future__ import annotations

from layerscope.world.fields import blend, circle, ellipse, fold, intersection, segment, trapezium, turn, union
from layerscope.world.parts import Pen


def tree(pen: Pen) -> None:
    x, y = pen.x, pen.y
    width = pen.uniform("trunk", 0.1, 0.17)
    boughs = union(
        segment(x, y, (0.0, 0.3), (-0.35, -0.05), width * 0.5, 0.03),
        segment(x, y, (0.0, 0.22), (0.35, -0.08), width * 0.5, 0.03),
    )
    trunk = union(trapezium(x, y, 0.0, 0.98, width * 0.8, width * 1.3), boughs)
    pen.draw("trunk", trunk, "wood", pen.paints.pair("trunk"), period=0.2, angle=1.57, bevel=0.12, relief=0.12)
    crown = circle(x, y + 0.4, pen.uniform("crown", 0.4, 0.5))
    for index, (cx, cy) in enumerate(((-0.42, -0.15), (0.42, -0.18), (-0.25, -0.62), (0.27, -0.62))):
        dx, dy = pen.uniform(f"ball.{index}.x", -0.08, 0.08), pen.uniform(f"ball.{index}.y", -0.08, 0.08)
        crown = blend(crown, circle(x - cx - dx, y - cy - dy, pen.uniform(f"ball.{index}", 0.24, 0.36)), 0.08)
    period = pen.uniform("period", 0.13, 0.2)
    pen.draw("crown", crown, "foliage", pen.paints.pair("crown"), period=period, bevel=0.35, relief=0.3, lift=0.1)
    fruit = None
    for index in range(4):
        apple = circle(
            x - pen.uniform(f"fruit.{index}.x", -0.5, 0.5), y - pen.uniform(f"fruit.{index}.y", -0.75, 0.0), 0.075
        )
        fruit = apple if fruit is None else union(fruit, apple)
    assert fruit is not None
    ripe = pen.draws.chance("shape/ripe", 0.5)
    pen.draw(
        "fruit",
        fruit,
        "plain",
        pen.paints.one("fruit", (0.5, 1.0), (0.5, 1.0)),
        bevel=0.08,
        relief=0.1,
        lift=0.35,
        shown=ripe,
    )


def flower(pen: Pen) -> None:
    x, y = pen.x, pen.y
    up, green = y + 0.35, pen.paints.one("stem", (0.2, 0.8))
    stem = segment(x, y, (0.0, -0.2), (pen.uniform("bend", -0.15, 0.15), 0.98), 0.045)
    pen.draw("stem", stem, "plain", green, bevel=0.05, relief=0.08)
    leaf_axes = turn(x.abs() - 0.26, y - 0.62, -0.6)
    leaf = ellipse(*leaf_axes, 0.28, 0.1)
    pen.draw(
        "leaf", leaf, "stripes", (green, green * 0.6), period=0.11, angle=0.5, axes=leaf_axes, bevel=0.1, relief=0.08
    )
    count = pen.uniform("petals", 5, 9.99).floor()
    along, across = fold(x, up, count, pen.uniform("phase"))
    petal = ellipse(along - 0.36, across, 0.25, (1.55 / count).clamp(max=0.22))
    pen.draw(
        "petal",
        petal,
        pen.choose("petal", "plain", "stripes", "cloud", "dots"),
        pen.paints.pair("petal"),
        period=pen.uniform("period", 0.12, 0.18),
        angle=1.57,
        axes=(along, across),
        bevel=0.12,
        relief=0.1,
        lift=0.05,
    )
    disc = circle(x, up, pen.uniform("disc", 0.16, 0.22))
    pen.draw(
        "disc",
        disc,
        pen.choose("disc", "dots", "checker", "hexagons"),
        pen.paints.pair("disc"),
        period=0.09,
        angle=0.4,
        bevel=0.2,
        relief=0.16,
        lift=0.08,
    )


def mushroom(pen: Pen) -> None:
    x, y = pen.x, pen.y
    pale, width = pen.paints.one("stem", (0.55, 1.0), (0, 0.4)), pen.uniform("cap", 0.68, 0.86)
    stem = trapezium(x, y, -0.1, 0.95, pen.uniform("stem.top", 0.14, 0.2), pen.uniform("stem.foot", 0.16, 0.28))
    pen.draw("stem", stem, pen.choose("stem", "plain", "fur", "wood"), pale, period=0.25, bevel=0.2, relief=0.2)
    gills = intersection(ellipse(x, y, width * 0.96, 0.17), -(y + 0.03))
    pen.draw("gill", gills, "stripes", (pale, pale * 0.4), period=0.1, bevel=0.1, relief=0.06)
    cap = intersection(ellipse(x, y + 0.02, width, pen.uniform("height", 0.68, 0.9)), y + 0.02)
    pen.draw(
        "cap",
        cap,
        "dots",
        pen.paints.pair("cap"),
        period=pen.uniform("period", 0.28, 0.4),
        angle=pen.uniform("grain", -0.3, 0.3),
        bevel=0.4,
        relief=0.32,
        lift=0.06,
    )
