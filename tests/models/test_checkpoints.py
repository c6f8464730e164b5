"""Weights files as people have them: what is in them, found under names that can be proven."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from layerscope.errors import CheckpointError
from layerscope.models.checkpoints import Checkpoint, State, fit, read_weights


def network() -> nn.Module:
    parts = {"features": nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), "head": nn.Linear(4, 2)}
    return nn.ModuleDict(parts)


STATE = network().state_dict()
AVERAGE = {name: value + 1 for name, value in STATE.items()}


def below(prefix: str, state: State = STATE) -> State:
    return {f"{prefix}{name}": value for name, value in state.items()}


def read(content: object, folder: Path) -> Checkpoint:
    torch.save(content, folder / "weights.pth")
    return read_weights(folder / "weights.pth", STATE)


def same(state: State, other: State = STATE) -> bool:
    return state.keys() == other.keys() and all(torch.equal(state[name], other[name]) for name in other)


FORMS: dict[str, Callable[[], object]] = {
    "plain": lambda: STATE,
    "state_dict": lambda: {"state_dict": STATE, "epoch": 3},
    "model": lambda: {"model": STATE, "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]}},
    "module": lambda: {"module": STATE, "ds_version": "0.14"},
    "DataParallel": lambda: below("module."),
    "compiled": lambda: below("_orig_mod."),
    "both": lambda: {"state_dict": below("module._orig_mod.")},
    "DataParallel inside": lambda: {name.replace("features.", "features.module."): value for name, value in STATE.items()},
    "Lightning": lambda: {"state_dict": below("model.") | {"loss.weight": torch.ones(2), "metric.count": torch.ones(())}},
    "Lightning, compiled": lambda: {"state_dict": below("net._orig_mod.")},
    "any prefix": lambda: below("encoder.backbone_7."),
    "old, without counters": lambda: {name: value for name, value in below("net.").items() if "num_batches" not in name},
    "arguments of a script": lambda: {"model": STATE, "args": argparse.Namespace(lr=0.1, data="here"), "epoch": 3},
    "empty average": lambda: {"model": STATE, "model_ema": {}, "state_dict_ema": None},
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_forms(form: str, tmp_path: Path) -> None:
    checkpoint = read(FORMS[form](), tmp_path)
    expected = STATE if form != "old, without counters" else {key: STATE[key] for key in checkpoint.state}
    assert same(checkpoint.state, expected)
    assert checkpoint.averaged is None
    fit(network(), checkpoint.state, tmp_path)


AVERAGED: dict[str, tuple[Callable[[], object], str]] = {
    "timm": (lambda: {"state_dict": STATE, "state_dict_ema": AVERAGE}, "state_dict_ema"),
    "torchvision": (
        lambda: {"model": STATE, "model_ema": {"n_averaged": torch.tensor(7), **below("module.", AVERAGE)}},
        "model_ema",
    ),
    "ema_state_dict": (lambda: {"state_dict": STATE, "ema_state_dict": AVERAGE}, "ema_state_dict"),
    "nested": (lambda: {"model": STATE, "ema": {"module": AVERAGE, "updates": 5}}, "ema"),
    "by name": (lambda: {"state_dict": below("model.") | below("model_ema.module.", AVERAGE)}, "model_ema."),
}


@pytest.mark.parametrize("form", AVERAGED)
def test_the_moving_average_is_preferred_and_said(form: str, tmp_path: Path) -> None:
    content, averaged = AVERAGED[form]
    checkpoint = read(content(), tmp_path)
    assert same(checkpoint.state, AVERAGE)
    assert checkpoint.averaged == averaged


def test_two_networks_in_one_file_are_not_guessed_at(tmp_path: Path) -> None:
    words = r"holds the network 2 times, below 'student.', 'teacher.'; save one of them by itself"
    with pytest.raises(CheckpointError, match=words):
        read(below("student.") | below("teacher."), tmp_path)
    assert same(read(below("teacher.") | STATE, tmp_path).state, STATE | below("teacher."))


def test_a_prefix_that_does_not_make_all_names_fit_stays_in_the_words(tmp_path: Path) -> None:
    state = below("encoder.")
    del state["encoder.head.bias"]
    with pytest.raises(CheckpointError, match=r"7 missing|8 missing") as caught:
        fit(network(), read(state, tmp_path).state, tmp_path)
    assert "unexpected: encoder.features.0.weight" in str(caught.value)
    state = below("model.")
    del state["model.head.bias"]
    with pytest.raises(CheckpointError, match=r"ModuleDict; 1 missing: head.bias$"):
        fit(network(), read(state, tmp_path).state, tmp_path)


def test_a_network_that_has_such_names_itself(tmp_path: Path) -> None:
    own = nn.ModuleDict({"module": nn.Linear(2, 2), "model": nn.Linear(2, 2)})
    torch.save(own.state_dict(), tmp_path / "weights.pth")
    assert same(read_weights(tmp_path / "weights.pth", own.state_dict()).state, own.state_dict())


def test_a_class_in_the_file_is_named_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"holds more than tensors \(a pickled torch.nn.modules.linear.Linear\)"):
        read(nn.Linear(2, 2), tmp_path)
    with pytest.raises(
        CheckpointError, match=r"holds more than tensors \(a pickled pathlib\S+\).*load it yourself and save one"
    ):
        read({"model": STATE, "folder": tmp_path}, tmp_path)
    assert argparse.Namespace not in torch.serialization.get_safe_globals()


def test_five_of_each_kind(tmp_path: Path) -> None:
    wide: dict[str, Tensor] = nn.ModuleList([nn.Linear(3, 3) for _ in range(4)]).state_dict()
    module = nn.ModuleList([nn.Linear(2, 2) for _ in range(4)] + [nn.Linear(2, 2) for _ in range(3)])
    state = wide | {f"new.{index}": torch.ones(1) for index in range(9)}
    words = (
        r"6 missing: 4.weight, 4.bias, 5.weight, 5.bias, 6.weight, …; 9 unexpected: new.0, new.1, new.2, new.3, new.4, …; "
        r"8 of another shape: 0.weight 3x3 instead of 2x2, (\S+ \S+ instead of \S+, ){4}…$"
    )
    with pytest.raises(CheckpointError, match=words):
        fit(module, state, tmp_path)


COMPONENT = st.text("abcdefgh_0123456789", min_size=1, max_size=8)


@settings(deadline=None, max_examples=40)
@given(prefix=st.lists(COMPONENT, max_size=3), more=st.lists(COMPONENT, max_size=3))
def test_any_prefix_comes_off_and_other_parts_stay_out(
    tmp_path_factory: pytest.TempPathFactory, prefix: list[str], more: list[str]
) -> None:
    stem = "".join(f"{component}." for component in prefix)
    other = {f"zz.{name}.weight": torch.ones(1) for name in more}
    content = below(stem) | (other if stem else {})
    assert same(read(content, tmp_path_factory.mktemp("any")).state)
