"""Engines: names for executors, and the same bytes from each."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from layerscope.engine import open_engine, usable_cores
from layerscope.errors import InputError, UnknownNameError
from layerscope.models.sources import load_model
from layerscope.studies.gallery import gallery


def test_local_is_no_executor():
    with open_engine("local") as executor:
        assert executor is None


def test_processes_have_one_thread_each():
    with open_engine("processes:2") as executor:
        assert [future.result() for future in [executor.submit(torch.get_num_threads) for _ in range(3)]] == [1, 1, 1]
    assert usable_cores() >= 1


def test_processes_make_the_same_bytes(tmp_path):
    model = load_model("menagerie")
    units = ["conv2:3", "conv8:1", "logits:17"]
    gallery(model, units, tmp_path / "here", recipe="draft", probe=None)
    with open_engine("processes:2") as executor:
        gallery(model, units, tmp_path / "there", recipe="draft", probe=None, executor=executor)
    here, there = (
        {path.relative_to(folder): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}
        for folder in (tmp_path / "here", tmp_path / "there")
    )
    assert here == there
    assert len(here) == 4


def test_bad_engines_are_said():
    with (
        pytest.raises(UnknownNameError, match="no engine 'cloud'; there are: local, processes:N"),
        open_engine("cloud"),
    ):
        pass
    with (
        pytest.raises(
            InputError, match="engine 'processes:0' has no number of processes; write for example 'processes:"
        ),
        open_engine("processes:0"),
    ):
        pass
