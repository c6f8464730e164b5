from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import numpy as np
import planted_nets as planted
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_nets import image, traces
from torch import Tensor, nn

from layerscope.capture.hooks import capture
from layerscope.capture.memory import Memory, bytes_of, in_words
from layerscope.errors import CaptureError, InputError, StorageError

NET = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(inplace=True), nn.Conv2d(8, 4, 3), nn.ReLU(inplace=True)).eval()
SIZES = {"0": 2 * 8 * 62 * 62 * 4, "2": 2 * 4 * 60 * 60 * 4}  # bytes for two images of 64 px
TOTAL = 2 * sum(SIZES.values())
IMAGES = image(size=64)


def peaks(activation: Tensor) -> Tensor:
    return activation.amax((2, 3))


def test_reduced_values_are_those_of_the_whole_activation() -> None:
    with torch.no_grad(), capture(NET, "*") as whole, capture(NET, "*", reduce=peaks) as reduced:
        NET(IMAGES)
    assert list(reduced) == list(whole) == ["0", "1", "2", "3"]
    for name in whole:
        torch.testing.assert_close(reduced[name], peaks(whole[name]), rtol=0, atol=0)


def test_reduce_may_give_the_activation_itself_or_nothing() -> None:
    seen = []
    with torch.no_grad(), capture(NET, ["0", "1"], reduce=lambda activation: activation) as kept:
        NET(IMAGES)
    assert (kept["0"] < 0).any()  # a copy from before the ReLU
    assert (kept["1"] >= 0).all()
    with torch.no_grad(), capture(NET, "0", reduce=lambda activation: seen.append(activation.shape)) as kept:
        assert NET(IMAGES) is None  # it was reached, so the forward stops there
    assert (len(kept), seen) == (0, [(2, 8, 62, 62)])
    with pytest.raises(CaptureError, match=r"no activation '0': reduce= kept none"):
        kept["0"]
    with (
        pytest.raises(CaptureError, match=r"reduce= gave a tuple for '0'; it has to give a tensor or None"),
        capture(NET, "0", reduce=lambda activation: (activation, activation)),
    ):
        NET(IMAGES)


def test_reduced_values_in_the_graph() -> None:
    images = IMAGES.clone().requires_grad_()
    with capture(NET, "2", reduce=peaks, detach=False) as activations:
        NET(images)
    activations["2"].sum().backward()
    assert images.grad is not None
    assert (images.grad != 0).any()
    NET.zero_grad()


def test_a_reduced_value_in_the_graph_may_be_the_activation_itself() -> None:
    with capture(NET, "*", reduce=lambda activation: activation, detach=False) as activations:
        NET(IMAGES)
    assert (activations["0"] < 0).any()
    assert activations["0"].requires_grad


def test_functions_that_reduce_are_not_sites_of_the_network() -> None:
    net = planted.PlusEquals().eval()
    with capture(net, ["*/*", "conv1", "conv2"], reduce=lambda activation: activation + activation) as activations:
        net(image())
    assert [name for name in activations if "add" in name] == ["/add"]
    assert "conv1/conv2d" in activations


def test_a_budget_refuses_with_the_biggest_sites_and_keeps_nothing() -> None:
    before = traces(NET)
    message = (
        rf"^the activations take {re.escape(in_words(TOTAL))} and the budget is 300 KiB; the biggest of 4 sites: "
        r"0 240 KiB, 1 240 KiB, 2 112 KiB, 3 112 KiB; ask for fewer, .* spill=FOLDER$"
    )
    with capture(NET, "*", budget="300 KiB") as activations, torch.no_grad():
        with pytest.raises(CaptureError, match=message):
            NET(IMAGES)
        assert len(activations) == 0
        NET(IMAGES[:1, :, :32, :32])  # small enough
        assert len(activations) == 4
    assert traces(NET) == before
    with capture(NET, "*", budget=TOTAL), torch.no_grad():
        NET(IMAGES)
    with pytest.raises(CaptureError, match=r"the activations take"), capture(NET, "*", budget=TOTAL - 1):
        NET(IMAGES)
    with pytest.raises(CaptureError, match=r"the activations take"), capture(NET, "*", budget=TOTAL - 1, detach=False):
        NET(IMAGES)


def test_a_refused_capture_lets_go_of_what_it_has() -> None:
    held = []
    with torch.no_grad(), capture(NET, "*", budget="300 KiB") as activations:
        look = NET[3].register_forward_hook(lambda *_: held.append(len(activations._held)))
        with pytest.raises(CaptureError, match=r"the activations take"):
            NET(IMAGES)
        look.remove()
    assert held == [0]


def test_a_refused_capture_stores_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    held = []
    original = Memory.keep

    def keep(memory: Memory, site: str, tensor: Tensor) -> Tensor | None:
        held.append((site, original(memory, site, tensor) is not None))
        return None

    monkeypatch.setattr(Memory, "keep", keep)
    with torch.no_grad(), pytest.raises(CaptureError), capture(NET, "*", budget="300 KiB"):
        NET(IMAGES)
    assert held == [("0", True), ("1", False), ("2", False), ("3", False)]


def test_what_goes_beyond_the_budget_spills_into_files(tmp_path: Path) -> None:
    with torch.no_grad(), capture(NET, "*") as expected:
        NET(IMAGES)
    with torch.no_grad(), capture(NET, "*", budget=SIZES["0"], spill=tmp_path) as activations:
        NET(IMAGES)
    for name in expected:
        torch.testing.assert_close(activations[name], expected[name], rtol=0, atol=0)
    if Path("/proc/self/maps").exists():
        assert Path("/proc/self/maps").read_text().count(str(tmp_path)) >= 1
    assert list(tmp_path.iterdir()) == []  # nothing is left, whatever happens to this process
    activations["3"].zero_()
    assert (activations["3"] == 0).all()


def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with (
        pytest.raises(StorageError, match=r"cannot spill activations into .*disk or its quota is full"),
        torch.no_grad(),
        capture(NET, "*", budget=0, spill=tmp_path),
    ):
        NET(IMAGES)


def test_words_for_wrong_bounds(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"budget='much'; give a number of bytes, or text such as '2 GiB'"):
        capture(NET, "*", budget="much")
    with pytest.raises(InputError, match=r"spill='.*nowhere' is no folder; make it first"):
        capture(NET, "*", spill=tmp_path / "nowhere", budget=1)
    with pytest.raises(InputError, match=r"detach=False wants the graph itself"):
        capture(NET, "*", spill=tmp_path, budget=1, detach=False)


@pytest.mark.parametrize(
    ("text", "size"), [(7, 7), ("2 GiB", 2 << 30), ("1.5kb", 1500), ("10 MB", 10**7), ("3", 3), (None, None)]
)
def test_bytes_from_text(text: int | str | None, size: int | None) -> None:
    assert bytes_of(text) == size


def test_memory_is_used_again_only_where_nobody_looks() -> None:
    with torch.no_grad(), capture(NET, ["0", "2"], stop=False) as activations:
        NET(IMAGES)
        first = activations["0"].data_ptr()
        NET(IMAGES)
        assert activations["0"].data_ptr() == first
        mine, view, array = activations["0"], activations["2"][0, 0], activations["2"].numpy()
        expected, seen = mine.clone(), (view.clone(), array.copy())
        NET(2 - IMAGES)
        assert not torch.equal(activations["0"], expected)
        torch.testing.assert_close(mine, expected, rtol=0, atol=0)
        del mine
        NET(3 - IMAGES)
        NET(4 - IMAGES)
    torch.testing.assert_close(view, seen[0], rtol=0, atol=0)
    assert np.array_equal(array, seen[1])


def test_values_outlive_the_capture() -> None:
    with torch.no_grad():
        with capture(NET, "0") as activations:
            NET(IMAGES)
        kept = activations["0"]
        del activations
        expected = NET[0](IMAGES)
        for _ in range(3):
            with capture(NET, "0"):
                NET(1 - IMAGES)
    torch.testing.assert_close(kept, expected)


dtypes = st.sampled_from([torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool])


@settings(deadline=None)
@given(shape=st.lists(st.integers(1, 40), min_size=1, max_size=4), dtype=dtypes, how=st.sampled_from(["", "last", "step", "grown"]), small=st.booleans())  # fmt: skip
def test_copies_are_exact_for_every_layout(shape: list[int], dtype: torch.dtype, how: str, small: bool) -> None:
    tensor = (100 * torch.rand(*shape, *(() if small else (1 << 15,))[: 4 - len(shape)])).to(dtype)
    if how == "last" and tensor.ndim == 4:
        tensor = tensor.contiguous(memory_format=torch.channels_last)
    tensor = tensor[..., ::2] if how == "step" else tensor.expand(2, *tensor.shape) if how == "grown" else tensor
    copy = Memory().keep("site", tensor)
    assert copy is not None
    assert (copy.dtype, copy.shape) == (tensor.dtype, tensor.shape)
    assert torch.equal(copy, tensor)
    assert copy.data_ptr() != tensor.data_ptr()
    if how == "last":
        assert copy.stride() == tensor.stride()
