"""The public surface is exactly this, loads on first use, and says what it is."""

from __future__ import annotations

import inspect
import subprocess
import sys

import layerscope as ls

PUBLIC = {
    "Attribution", "InputError", "Layer", "LayerscopeError", "METHODS", "Recipe", "Spectrum", "Unit", "VisionModel", "ablate", "accentuate", "animate", "atlas", "attribute", "capture", "caricature", "channel",
    "direction", "diversity", "effective_receptive_fields", "excitation", "explain", "figures", "gallery", "gallery_plan", "hierarchy", "inhibition", "interpolate", "layer_energy", "leaderboard", "load_model", "logit", "margin", "maximise", "neuron", "recipe_for", "replace", "spritemap", "world", "wrap", "write_site",
}  # fmt: skip


def test_the_public_names_are_these_and_have_words():
    assert set(ls.__all__) == PUBLIC
    for name in PUBLIC:
        assert inspect.getdoc(getattr(ls, name)), name


def test_capture_is_the_function_whatever_was_imported_before():
    code = (
        "import layerscope.capture.layers, layerscope.models.sources\n"
        "import layerscope as ls\n"
        "from layerscope.capture.hooks import capture\n"
        "assert ls.capture is capture\n"
        "import layerscope.capture.units\n"
        "assert ls.capture is capture"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_importing_the_package_imports_no_torch():
    code = "import layerscope, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    meta = "import layerscope, sys; layerscope.world; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", meta], check=False).returncode == 1  # the check can fail
