"""The menagerie on a GPU."""

from __future__ import annotations

import pytest
import torch

from layerscope.world import render


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no NVIDIA GPU here to render on")
def test_a_gpu_renders_the_same_scenes():
    """The same scenes; a processor and a GPU may round a last bit differently, which moves few bytes by one."""
    here, there = render(40, seed=3), render(40, seed=3, device="cuda")
    assert torch.equal(here.labels, there.labels)
    assert (here.part == there.part).float().mean() > 0.999
    assert (here.pixels.int() - there.pixels.int()).abs().float().mean() < 0.05
    assert there.pixels.device.type == "cpu"
