"""What tests in a browser share."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

Visit = Callable[..., Any]
TELEPHONE = {"width": 390, "height": 844}
FAINT_WORDS = """() => {
  const channel = (value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const light = (colour) => colour.slice(0, 3).reduce(
    (sum, value, place) => sum + [0.2126, 0.7152, 0.0722][place] * channel(value / 255), 0);
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const colour = parts(getComputedStyle(node).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), faint = [];
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    const shown = node.checkVisibility() && !node.closest("noscript, script, svg");
    if (!walker.currentNode.data.trim() || !shown) continue;
    const pair = [light(parts(getComputedStyle(node).color)), light(ground(node))].sort((a, b) => a - b);
    if ((pair[1] + 0.05) / (pair[0] + 0.05) < 4.5) faint.push(walker.currentNode.data);
  }
  return faint;
}"""
"""Words whose contrast is below the 4.5 to 1 of WCAG 2."""


def as_shown(name: str) -> str:
    """A name as pages show it: marks that turn the direction of writing are replaced."""
    return re.sub("[\u202a-\u202e\u2066-\u2069]", "\ufffd", name)


def fits_a_telephone(page: Any) -> None:
    page.set_viewport_size(TELEPHONE)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.set_viewport_size({"width": 1280, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == 1280
