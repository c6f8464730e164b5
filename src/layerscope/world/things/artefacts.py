"""Things that people make."""

from __future__ import annotations

import torch

from layerscope.world.fields import (
    box,
    circle,
    ellipse,
    fold,
    intersection,
    length,
    segment,
    trapezium,
    turn,
    union,
    wave,
)
from layerscope.world.parts import Pen


def umbrella(pen: Pen) -> None:
    x, y = pen.x, pen.y
    dark, width = pen.paints.one("handle", (0.1, 0.9)), pen.uniform("width", 0.8, 0.95)
    hook = intersection(circle(x - 0.15, y - 0.75, 0.15).abs() - 0.04, 0.75 - y)
    stick = union(segment(x, y, (0.0, -0.8), (0.0, 0.75), 0.04), hook)
    pen.draw("handle", stick, pen.choose("handle", "plain", "wood"), dark, period=0.1, bevel=0.04, relief=0.1)
    scallop = 0.1 * wave(x / width * 2.5 + 0.25).abs()
    canopy = intersection(ellipse(x, y - 0.02, width, pen.uniform("height", 0.72, 0.9)), y - 0.09 + scallop)
    texture = pen.choose("canopy", "stripes", "dots", "checker", "plain", "chevron", "rings", "hexagons")
    pen.draw(
        "canopy",
        canopy,
        texture,
        pen.paints.pair("canopy"),
        period=pen.uniform("period", 0.26, 0.38),
        angle=pen.uniform("grain", -0.5, 0.5),
        bevel=0.4,
        relief=0.3,
        lift=0.08,
    )
    pen.draw("cap", segment(x, y, (0.0, -0.72), (0.0, -0.95), 0.035), "plain", dark, bevel=0.04, relief=0.05)


def _window(pen: Pen, x: torch.Tensor, y: torch.Tensor, pane: torch.Tensor) -> None:
    """A frame and, inside it, glass behind a cross; (x, y) from the window's centre."""
    how = {"bevel": 0.03, "lift": 0.03}
    pen.draw("window", pane, "plain", pen.paints.one("frame", (0.7, 1.0), (0, 0.4)), relief=0.03, **how)
    glass = intersection(pane + 0.03, 0.025 - union(x.abs(), y.abs()))
    pen.draw("window", glass, "plain", pen.paints.one("glass", (0.1, 0.6), (0.2, 0.9)), relief=0.0, key="glass", **how)


def brick_house(pen: Pen) -> None:
    """A tall brick box under a flat-topped slate roof, with a chimney."""
    x, y = pen.x, pen.y
    width = pen.uniform("width", 0.54, 0.66)
    chimney = box(x - pen.uniform("chimney", 0.2, 0.36), y + 0.72, 0.1, 0.24)
    pen.draw("chimney", chimney, "brick", pen.paints.pair("chimney"), period=0.12, bevel=0.04, relief=0.1)
    wall, period = box(x, y - 0.3, width, 0.64), pen.uniform("period", 0.24, 0.32)
    pen.draw("wall", wall, "brick", pen.paints.pair("wall"), period=period, bevel=0.05, relief=0.08)
    roof = trapezium(x, y, pen.uniform("ridge", -0.88, -0.74), -0.28, width * 0.55, width + 0.16)
    tiles = pen.uniform("tiles", 0.19, 0.27)
    pen.draw(
        "roof", roof, "scales", pen.paints.pair("roof"), period=tiles, angle=1.57, bevel=0.06, relief=0.1, lift=0.06
    )
    left = pen.uniform("door", -0.32, -0.05)
    door, brown = box(x - left, y - 0.6, 0.14, 0.33, 0.03), pen.paints.one("door", (0.15, 0.9))
    pen.draw(
        "door",
        door,
        pen.choose("door", "plain", "wood"),
        brown,
        period=0.12,
        angle=1.57,
        bevel=0.04,
        relief=0.05,
        lift=0.03,
    )
    wx, wy = x - left - pen.uniform("window", 0.38, 0.46), y - 0.28
    _window(pen, wx, wy, box(wx, wy, 0.15, 0.17))


def wood_hut(pen: Pen) -> None:
    """A low log cabin under a steep overhanging gable, with round log ends and a round window."""
    x, y = pen.x, pen.y
    width, colours = pen.uniform("width", 0.56, 0.66), pen.paints.pair("wall")
    wall = box(x, y - 0.6, width, 0.36)
    pen.draw("wall", wall, "wood", colours, period=pen.uniform("period", 0.26, 0.34), bevel=0.05, relief=0.08)
    ends = circle(x.abs() - width, (y - 0.6).abs() - 0.09, 0.1)
    ends = union(ends, circle(x.abs() - width, (y - 0.6).abs() - 0.27, 0.1))
    pen.draw("log", ends, "rings", colours, period=0.07, axes=(x.abs() - width, y), bevel=0.08, relief=0.1, lift=0.06)
    gable = trapezium(x, y, pen.uniform("ridge", -0.98, -0.84), 0.3, 0.0, width + 0.28)
    pen.draw("roof", gable, "fur", pen.paints.pair("roof"), period=0.3, bevel=0.06, relief=0.12, lift=0.08)
    door = box(x, y - 0.68, 0.15, 0.28, 0.03)
    pen.draw("door", door, "plain", pen.paints.one("door", (0.15, 0.9)), bevel=0.04, relief=0.05, lift=0.03)
    wy = y + 0.12
    _window(pen, x, wy, circle(x, wy, 0.19))


def car(pen: Pen) -> None:
    x, y = pen.x, pen.y
    paint, half, centre = pen.paints.pair("body"), pen.uniform("cabin", 0.42, 0.55), pen.uniform("cabin.x", -0.15, 0.05)
    cabin = trapezium(x - centre, y, -0.5, -0.02, half * 0.68, half)
    pen.draw("cabin", cabin, "plain", paint[0] * 0.9, bevel=0.06, relief=0.1)
    panes = intersection(trapezium(x - centre, y, -0.42, -0.1, half * 0.6, half * 0.82), 0.03 - (x - centre).abs())
    pen.draw(
        "window", panes, "plain", pen.paints.one("glass", (0.1, 0.9), (0.1, 0.7)), bevel=0.04, relief=0.03, lift=0.06
    )
    arches = circle(x.abs() - 0.52, y - 0.4, 0.25)
    body = intersection(box(x, y - 0.16, 0.95, pen.uniform("height", 0.22, 0.28), 0.12), -arches)
    texture = pen.choose("body", "plain", "plain", "plain", "stripes", "checker", "dots", "chevron")
    pen.draw("body", body, texture, paint, period=0.22, relief=0.2, lift=0.04)
    lamp = pen.paints.one("light", (0.85, 1.0), (0.1, 0.6))
    pen.draw("light", circle(x - 0.84, y - 0.1, 0.08), "plain", lamp, bevel=0.07, lift=0.2)
    grip = box(x - centre - 0.12, y - 0.06, 0.07, 0.018)
    pen.draw("handle", grip, "plain", paint[0] * 0.3, bevel=0.02, lift=0.2, relief=0.02)
    radius = pen.uniform("wheel", 0.2, 0.24)
    tyre = pen.paints.one("tyre", (0.03, 0.2), (0, 0.5))
    pen.draw("wheel", circle(x.abs() - 0.52, y - 0.42, radius), "plain", tyre, bevel=0.08, relief=0.12)
    hub = pen.paints.one("hub", (0.6, 1.0), (0, 0.4))
    pen.draw("hub", circle(x.abs() - 0.52, y - 0.42, radius * 0.5), "plain", hub, bevel=0.06, relief=0.08, lift=0.08)


def clock(pen: Pen) -> None:
    x, y = pen.x, pen.y
    radius, from_centre = pen.uniform("radius", 0.78, 0.92), length(x, y)
    foot = segment(x.abs(), y, (0.4, 0.6), (0.6, 0.95), 0.08)
    pen.draw("foot", foot, "plain", pen.paints.one("foot", (0.2, 1.0)), bevel=0.07)
    texture = pen.choose("rim", "plain", "wood", "stripes", "checker", "dots", "brick")
    pen.draw("rim", from_centre - radius, texture, pen.paints.pair("rim"), period=0.2, bevel=0.12)
    dial = pen.paints.one("dial", (0.75, 1.0), (0, 0.35))
    face = pen.choose("dial", "plain", "cloud")
    pen.draw("disc", from_centre - radius * 0.8, face, dial, period=0.5, bevel=0.05, relief=0.02, lift=0.08)
    along, across = fold(x, y, 12, 0.5 / 12)
    ticks, ink = box(along - radius * 0.68, across, 0.07, 0.028), pen.paints.one("ink", (0, 0.3), (0.2, 1.0))
    pen.draw("tick", ticks, "plain", ink, bevel=0.02, relief=0.01, lift=0.1)
    hour, minute = turn(x, y, pen.uniform("hour", 0, 6.2832)), turn(x, y, pen.uniform("minute", 0, 6.2832))
    hands = union(segment(*hour, (0.0, 0.05), (0.0, -0.34), 0.05), segment(*minute, (0.0, 0.08), (0.0, -0.56), 0.03))
    pen.draw("hand", hands, "plain", pen.paints.one("hand", (0, 0.35), (0.2, 1.0)), bevel=0.03, relief=0.03, lift=0.12)
    pen.draw("hub", circle(x, y, 0.07), "plain", pen.paints.one("hub", (0.3, 1.0)), bevel=0.05, relief=0.06, lift=0.14)


def cup(pen: Pen) -> None:
    x, y = pen.x, pen.y
    centred, paint, saucer = x + 0.14, pen.paints.pair("body"), pen.paints.one("saucer", (0.4, 1.0))
    pen.draw("saucer", ellipse(centred, y - 0.74, 0.8, 0.15), "plain", saucer, bevel=0.1, relief=0.08)
    ear = ellipse(x - 0.5, y + 0.05, pen.uniform("handle", 0.26, 0.34), 0.34).abs() - 0.08
    pen.draw("handle", ear, "plain", paint[0], bevel=0.07, relief=0.1)
    mouth = pen.uniform("mouth", 0.52, 0.62)
    wall = trapezium(centred, y, -0.55, 0.72, mouth, pen.uniform("foot", 0.3, 0.48))
    texture = pen.choose("body", "checker", "chevron", "dots", "stripes", "plain", "brick", "hexagons", "scales")
    pen.draw("body", wall, texture, paint, period=pen.uniform("period", 0.2, 0.3), bevel=0.35, relief=0.3, lift=0.05)
    rim = pen.paints.one("rim", (0.6, 1.0), (0, 0.5))
    pen.draw("rim", ellipse(centred, y + 0.55, mouth, 0.14), "plain", rim, bevel=0.05, relief=0.05, lift=0.2)
    tea = pen.paints.one("tea", (0.05, 0.6))
    pen.draw("disc", ellipse(centred, y + 0.54, mouth * 0.86, 0.09), "plain", tea, bevel=0.05, relief=0.0, lift=0.18)
