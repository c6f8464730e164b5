"""Options with which attribution methods cost little, where a test runs all of them."""

from __future__ import annotations

from typing import Any

from layerscope.attribution.methods import METHODS


def few(method: str) -> dict[str, Any]:
    """Options with which a method costs little."""
    cheap = {
        "steps": 4, "most_steps": 4, "samples": 14, "segments": 6, "masks": 6, "window": 16, "stride": 8, "cells": 3
    }  # fmt: skip
    return {option: cheap[option] for option in METHODS[method].options() if option in cheap}
