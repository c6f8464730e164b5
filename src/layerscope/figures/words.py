"""Numbers and names as figures, notebooks and the site write them: the same number is written the same way
everywhere."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

NOTHING = "–"


def short(text: object, most: int = 60) -> str:
    """A name that somebody gave, printable, on one line, of at most `most` signs; "unnamed" where it is empty."""
    signs = ["?" if _is_surrogate(sign) or not sign.isprintable() else sign for sign in str(text)[: most + 1]]
    cut = "".join(signs) if len(signs) <= most else "".join(signs[: most - 1]) + "…"
    return cut.strip() or "unnamed"


def tail(text: object, most: int = 20) -> str:
    """As `short`, but the end is kept: names of layers differ there."""
    whole = short(text, 600)
    return whole if len(whole) <= most else "…" + whole[len(whole) - most + 1 :]


def number(value: float | None) -> str:
    """Three significant digits or so: "12.3", "0.250", "−4.1e-05"."""
    if value is None or not math.isfinite(value):
        return NOTHING
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e5 or size < 1e-3:
        mantissa, exponent = f"{value:.1e}".split("e")
        return _minus(f"{mantissa}e{int(exponent)}")
    return _minus(f"{value:.{0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3}f}")


def signed(value: float | None) -> str:
    """As `number`, with a plus before what is above zero."""
    return ("+" if value is not None and value > 0 else "") + number(value)


def ratio(value: float | None) -> str:
    """How many times: "1.24×"."""
    if value is None or not math.isfinite(value):
        return NOTHING
    return _minus(f"{value:.{0 if abs(value) >= 100 else 2}f}") + "×"


def percent(value: float | None) -> str:
    """A share in [0, 1] as "12.3%": hardly anything is not nothing, and nearly all is not all."""
    if value is None or not math.isfinite(value):
        return NOTHING
    if value in (0, 1):
        return f"{100 * value:.0f}%"
    if 0 < value < 5e-4:
        return "<0.05%"
    return _minus(f"{min(100 * value, 99.99):.{2 if 0.9995 < value < 1 else 1}f}") + "%"


def between(interval: Mapping[str, Any], write: Any = number) -> str:
    """The ends of an interval: "0.21 to 0.43"."""
    return f"{write(interval['low'])} to {write(interval['high'])}"


def plural(count: int, one: str, many: str | None = None) -> str:
    """ "1 unit", "1,024 units"."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def sizes(shape: Any) -> str:
    """ "64 × 8 × 8"; a dash for none."""
    return " × ".join(str(size) for size in shape) or NOTHING


def _minus(text: str) -> str:
    return text.replace("-", "\u2212", 1) if text.startswith("-") else text


def _is_surrogate(sign: str) -> bool:
    return 0xD800 <= ord(sign) <= 0xDFFF
