"""What cannot be captured rightly is refused with words, never returned wrong."""

from __future__ import annotations

import copy
import threading
import warnings

import planted_nets as planted
import pytest
import torch
from planted_nets import by_hand, image, traces
from torch import Tensor, nn

from layerscope.capture.hooks import capture
from layerscope.capture.interventions import ablate
from layerscope.errors import CaptureError


def normalised() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval()


def test_batch_statistics_are_refused_and_nothing_moves() -> None:
    net = normalised().train()
    before = traces(net)
    message = r"'1' is in training mode: .* call model.eval\(\), or allow it with batch_statistics=True"
    for context in (capture(net, "0"), ablate(net, "0:1")):
        with context, pytest.raises(CaptureError, match=message):
            net(image())
    assert traces(net) == before
    with capture(net, "1", batch_statistics=True) as activations:
        net(image())
    torch.testing.assert_close(activations["1"].mean((0, 2, 3)), torch.zeros(4), atol=1e-5, rtol=0)
    without = nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False)).eval()
    with capture(without, "0"), pytest.raises(CaptureError, match=r"'0' has no statistics of its own: .*; allow it"):
        without(image())


def test_training_mode_without_batch_statistics_is_as_it_runs() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout(0.5), nn.ReLU(inplace=True)).train()
    with capture(net, ["1", "2"], stop=False) as activations:
        output = net(image())
    torch.testing.assert_close(activations["1"].clamp(min=0), output.detach())
    assert (activations["1"] == 0).float().mean() > 0.3


def test_networks_without_values_are_refused() -> None:
    with torch.device("meta"):
        net = normalised()
    with pytest.raises(CaptureError, match=r"'0.weight' is on the meta device: .*load the weights first"):
        capture(net, "0")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("script", [torch.jit.script, lambda part: torch.jit.trace(part, torch.rand(1, 4, 10, 10))])
def test_scripted_parts_are_refused(script: object) -> None:
    inside = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU()).eval()
    net = nn.Sequential(nn.Conv2d(3, 4, 3), script(inside), nn.ReLU()).eval()  # type: ignore[operator]
    for asked in ("1.0", "1"):
        with pytest.raises(CaptureError, match=f"layer '{asked}' is part of the scripted .* '1', where hooks do not"):
            capture(net, asked)
    with capture(net, ["0", "2"]) as activations:
        net(image())
    torch.testing.assert_close(activations["2"], inside(activations["0"]).clamp(min=0).detach())


def test_compiled_parts_are_run_uncompiled_for_a_while() -> None:
    net = normalised()
    truth = by_hand(net, image())
    net[0] = torch.compile(net[0], backend="eager")
    with torch.no_grad(), capture(net, "0") as activations:
        net(image())
    torch.testing.assert_close(activations["0"], truth["0", 0])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_kept(dtype: torch.dtype) -> None:
    net = normalised().to(dtype)
    with torch.no_grad(), capture(net, "*") as activations:
        net(image().to(dtype))
    assert {value.dtype for value in activations.values()} == {dtype}
    torch.testing.assert_close(activations["2"], activations["1"].clamp(min=0), rtol=0, atol=0)


def test_autocast_and_inference_mode() -> None:
    net = normalised()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16), capture(net, "*") as activations:
        net(image())
    assert activations["0"].dtype == torch.bfloat16
    truth = by_hand(net, image())
    with torch.inference_mode(), capture(net, "*") as activations:
        net(image())
    torch.testing.assert_close(activations["2"], truth["2", 0])


@pytest.mark.filterwarnings("ignore")
def test_quantised_activations_are_dequantised() -> None:
    if torch.backends.quantized.engine == "none":
        pytest.skip("this build of torch computes no quantised networks")
    quantisation = torch.ao.quantization
    net = nn.Sequential(quantisation.QuantStub(), nn.Conv2d(3, 4, 3), nn.ReLU(), quantisation.DeQuantStub()).eval()
    net.qconfig = quantisation.get_default_qconfig(torch.backends.quantized.engine)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        prepared = quantisation.prepare(net)
        plain = prepared(image())
        small = quantisation.convert(prepared)
    with torch.no_grad(), capture(small, ["1", "2", "3"], stop=False) as activations:
        output = small(image())
    assert (activations["1"].dtype, activations["1"].is_quantized) == (torch.float32, False)
    torch.testing.assert_close(activations["1"].clamp(min=0), output)
    torch.testing.assert_close(activations["1"].clamp(min=0), plain, atol=0.05, rtol=0.1)


def test_another_thread_is_not_mixed_in() -> None:
    net = planted.InPlace().eval()
    other, own = image() - 1, image()

    class Waits(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            if threading.current_thread() is threading.main_thread():
                thread = threading.Thread(target=lambda: net(other))
                thread.start()
                thread.join()
            return x

    net.conv2 = nn.Sequential(Waits(), net.conv2)
    truth = by_hand(copy.deepcopy(net), own)
    with torch.no_grad(), capture(net, "*") as activations:
        net(own)
    assert sorted(activations) == sorted({name for name, _ in truth} - {""})
    torch.testing.assert_close(activations["conv1"], truth["conv1", 0])


def test_functions_that_one_part_runs_inside_another_belong_to_the_inner_one() -> None:
    net = nn.Sequential(planted.PlusEquals(), nn.Flatten()).eval()
    with capture(net, "*/*") as activations:
        net(image())
    assert {name for name in activations if "/add" in name} == {"0/add"}
    assert "1/flatten" in activations
    with (
        pytest.raises(CaptureError, match=r"no function that '0' itself ran: 'mul'; there are: add, square, sum"),
        capture(net, "0/mul"),
    ):
        net(image())
    with (
        pytest.raises(CaptureError, match=r"'0/add' was called 1 times, and calls count from #0"),
        capture(net, "0/add#1"),
    ):
        net(image())
