"""Weights files as people have them: what is in them, found under names that can be proven."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path, PureWindowsPath

import numpy as np
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
    "shadow without buffers": lambda: {"model": STATE, "ema": {"decay": 0.99, "shadow": {"head.bias": STATE["head.bias"] + 1}}},
    "average of other names": lambda: {"state_dict": below("model.") | {"model_ema.decay": torch.ones(()), "model_ema.headbias": torch.ones(2)}},
    "average without tensors": lambda: {"state_dict": STATE, "ema": {"decay": 0.9, "shadow_params": [torch.ones(1)]}},
    "net": lambda: {"net": STATE, "acc": 93, "epoch": 3},
    "network": lambda: {"network": STATE, "step": torch.ones(())},
    "weights": lambda: {"weights": STATE},
    "model_state": lambda: {"model_state": STATE, "student": AVERAGE},
    "params": lambda: {"params": STATE},
    "a name of its own": lambda: {"G": STATE, "D": {"x.weight": torch.ones(2)}},
    "deep": lambda: {"a": {"b": {"state_dict": below("net.")}}},
    "two usual names": lambda: {"model": AVERAGE, "state_dict": STATE},
    "numbers of numpy": lambda: {"model": STATE, "best": np.float64(0.9), "at": np.int64(3)},
    "path": lambda: {"model": STATE, "out": Path("somewhere"), "data": PureWindowsPath("there")},
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
    "basicsr": (lambda: {"params": STATE, "params_ema": AVERAGE}, "params_ema"),
    "with the network beside it": (
        lambda: {"model": STATE, "ema": below("ema_model.", AVERAGE) | below("online_model.")},
        "ema",
    ),
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
    with pytest.raises(CheckpointError, match=r"holds the network 2 times, below 'student.', 'teacher.'; save one"):
        read({"student": STATE, "teacher": AVERAGE}, tmp_path)
    assert same(read(below("teacher.") | STATE, tmp_path).state, STATE | below("teacher."))


def test_words_are_of_what_comes_closest(tmp_path: Path) -> None:
    state = below("encoder.")
    del state["encoder.head.bias"]
    with pytest.raises(CheckpointError, match=r"ModuleDict; 1 missing: head.bias$"):
        fit(network(), read({"ema": {"updates": torch.ones(1)}, "net": state}, tmp_path).state, tmp_path)
    few = {name: value for name, value in below("encoder.").items() if "0.bias" in name}
    with pytest.raises(CheckpointError, match=r"8 missing: .*; 1 unexpected: encoder.features.0.bias$"):
        fit(network(), read(few, tmp_path).state, tmp_path)


def test_a_network_that_has_such_names_itself(tmp_path: Path) -> None:
    own = nn.ModuleDict({"module": nn.Linear(2, 2), "model": nn.Linear(2, 2)})
    torch.save(own.state_dict(), tmp_path / "weights.pth")
    assert same(read_weights(tmp_path / "weights.pth", own.state_dict()).state, own.state_dict())


def test_a_class_in_the_file_is_named_and_not_made(tmp_path: Path) -> None:
    before = torch.serialization.get_safe_globals()
    with pytest.raises(CheckpointError, match=r"holds more than tensors \(a pickled torch.nn.modules.linear.Linear\)"):
        read(nn.Linear(2, 2), tmp_path)
    with pytest.raises(
        CheckpointError,
        match=r"holds more than tensors \(a pickled fractions.Fraction\).*load it yourself and save one",
    ):
        read({"model": STATE, "share": Fraction(1, 3)}, tmp_path)
    assert torch.serialization.get_safe_globals() == before


def test_nothing_of_numpy_or_pathlib_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"model": STATE, "best": np.float64(0.9), "out": PureWindowsPath("here")}, tmp_path / "weights.pth")
    monkeypatch.setattr(PureWindowsPath, "__new__", None)
    monkeypatch.setattr("numpy._core.multiarray.scalar", None)
    assert same(read_weights(tmp_path / "weights.pth", STATE).state)


STRANGE: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "meta": (lambda tensor: tensor.to("meta"), r"head.weight without values \(on the meta device\)"),
    "sparse": (Tensor.to_sparse, "head.weight sparse_coo instead of a dense tensor"),
    "integer": (Tensor.int, "head.weight int32 instead of float32"),
    "complex": (lambda tensor: tensor.to(torch.complex64), "head.weight complex64 instead of float32"),
}


@pytest.mark.filterwarnings("ignore:Validating sparse")
@pytest.mark.parametrize("kind", STRANGE)
def test_values_that_a_weight_cannot_take(kind: str, tmp_path: Path) -> None:
    turned, words = STRANGE[kind]
    state = STATE | {"head.weight": turned(STATE["head.weight"])}
    with pytest.raises(CheckpointError, match=f"does not fit ModuleDict; 1 of another kind: {words}$"):
        fit(network(), read(state, tmp_path).state, tmp_path)


def test_other_precisions_fit(tmp_path: Path) -> None:
    module = network()
    fit(module, {name: value.double() for name, value in STATE.items()}, tmp_path)
    assert same(module.state_dict())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is empty"),
        (b"<!DOCTYPE html><html>", "it begins with '<!DOCTYPE html><html>'"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid",
            "it begins with 'version https://git-lfs.github.com/spec/'",
        ),
    ],
)
def test_no_pytorch_file(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=f"weights.pth' is no PyTorch file: {words}; fetch it again, or save one"):
        read_weights(tmp_path / "weights.pth", STATE)
    with pytest.raises(CheckpointError, match=r"it is a folder; weights takes a \.pth"):
        read_weights(tmp_path, STATE)


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
