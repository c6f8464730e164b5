from __future__ import annotations

from types import SimpleNamespace

import planted_nets as planted
import pytest
import torch
from planted_nets import by_hand, image, out_of_place, traces
from torch import nn

from layerscope.capture.hooks import capture
from layerscope.errors import CaptureError, UnknownNameError


@pytest.fixture(params=planted.KNOWN, ids=lambda network: network.__name__)
def network(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    return request.param().eval()


@pytest.mark.parametrize("detach", [True, False])
@pytest.mark.parametrize("grad", [True, False])
def test_all_activations_are_as_they_were_put_out(network: nn.Module, detach: bool, grad: bool) -> None:
    known, before = network.known(image()), traces(network)
    modules = [key for key in known if "/" not in key]
    with torch.set_grad_enabled(grad), capture(network, ["*", ""], detach=detach) as activations:
        network(image())
    assert sorted(activations) == sorted([*modules, ""])
    for key in modules:
        torch.testing.assert_close(activations[key].detach(), known[key].detach(), rtol=1e-5, atol=1e-5)
        assert activations[key].requires_grad == (grad and not detach)
    assert traces(network) == before


@pytest.mark.parametrize("detach", [True, False])
def test_all_functions_between_modules_are_as_they_were_put_out(network: nn.Module, detach: bool) -> None:
    known, before = network.known(image()), traces(network)
    functions = [key for key in known if "/" in key]
    plain = network(image())
    with capture(network, [*known, "*/*"], detach=detach, stop=False) as activations:
        output = network(image())
    torch.testing.assert_close(output, plain, rtol=0, atol=0)
    for key in functions:
        torch.testing.assert_close(activations[key].detach(), known[key].detach(), rtol=1e-5, atol=1e-5)
    assert {key for key in activations if key.startswith("/")} >= set(functions)
    assert traces(network) == before


def test_each_site_is_found_by_its_own_name(network: nn.Module) -> None:
    known = network.known(image())
    for key, expected in known.items():
        with capture(network, key) as activations:
            network(image())
        assert list(activations) == [key]
        torch.testing.assert_close(activations[key], expected.detach(), rtol=1e-5, atol=1e-5)


def test_another_way_through_on_other_data() -> None:
    net = planted.Branches().eval()
    with torch.no_grad(), capture(net, ["*", "/*"]) as activations:
        for images in (image(), image() / 9, image()):
            net(images)
            known = net.known(images)
            assert set(known) <= set(activations)
            for key, expected in known.items():
                torch.testing.assert_close(activations[key], expected, rtol=1e-5, atol=1e-5)


def test_with_a_graph_each_site_is_on_the_path_to_the_output(network: nn.Module) -> None:
    sites = ["conv1"] if isinstance(network, planted.SkipDepth | planted.Branches) else ["conv1", "conv2"]
    with capture(network, [*sites, ""], detach=False) as activations:
        network(image())
    gradients = torch.autograd.grad(activations[""].square().sum(), [activations[site] for site in sites])
    assert all(gradient.abs().sum() > 0 for gradient in gradients)


def test_the_output_of_the_network_does_not_change(network: nn.Module) -> None:
    plain = network(image())
    for detach in (True, False):
        with capture(network, "*", detach=detach):
            torch.testing.assert_close(network(image()), plain, rtol=0, atol=0)


def test_calls_of_a_reused_module() -> None:
    net = planted.Reused().eval()
    truth = by_hand(net, image())
    with capture(net, ["relu#1", "relu"], stop=False) as activations:
        net(image())
    assert set(activations) == {"relu", "relu#1"}
    assert [key in activations for key in ("relu#0", "relu#1", "relu#2")] == [True, True, False]
    torch.testing.assert_close(activations["relu"], truth["relu", 0])
    torch.testing.assert_close(activations["relu#0"], truth["relu", 0])
    torch.testing.assert_close(activations["relu#1"], truth["relu", 1])
    with (
        pytest.raises(CaptureError, match=r"'relu#2' gave no activation: 'relu' was called 2 times"),
        capture(net, "relu#2"),
    ):
        net(image())


@pytest.mark.parametrize(("layer", "ran"), [("relu", ["conv1"]), ("relu#1", ["conv1", "conv2"]), ("conv1", ["conv1"])])
def test_the_forward_stops_at_the_last_wanted_call(layer: str, ran: list[str]) -> None:
    net, seen = planted.Reused().eval(), []
    for name in ("conv1", "conv2"):
        getattr(net, name).register_forward_hook(lambda *_, name=name: seen.append(name))
    with capture(net, layer) as activations:
        assert net(image()) is None
    assert (seen, list(activations)) == (ran, [layer])
    with capture(net, layer, stop=False) as activations:
        assert net(image()) is not None
    assert seen == [*ran, "conv1", "conv2"]


def test_nested_captures_do_not_stop_one_another() -> None:
    net = planted.Reused().eval()
    truth, before = by_hand(net, image()), traces(net)
    with capture(net, "conv2") as outer, capture(net, "conv1") as inner:
        assert net(image()) is None
    torch.testing.assert_close(outer["conv2"], truth["conv2", 0])
    torch.testing.assert_close(inner["conv1"], truth["conv1", 0])
    assert traces(net) == before


def test_captures_may_end_in_any_order() -> None:
    net = planted.InPlace().eval()
    before = traces(net)
    first, second = capture(net, "conv1"), capture(net, "conv2")
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    net(image())
    assert ("conv2" in second, "conv1" in first) == (True, False)
    second.__exit__(None, None, None)
    assert traces(net) == before


def test_a_part_of_a_running_network_is_not_stopped() -> None:
    net = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), nn.Conv2d(4, 4, 3)).eval()
    with capture(net[0], "0") as activations:
        assert net(image()) is not None
        assert "0" in activations
        assert net[0](image()) is None


def test_a_second_forward_replaces_the_first() -> None:
    net = planted.InPlace().eval()
    with capture(net, "conv1") as activations:
        net(image(batch=2))
        net(image(batch=3))
    assert len(activations["conv1"]) == 3


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failed_forward_leaves_nothing(error: type[BaseException]) -> None:
    net = planted.Fails().eval()
    before = traces(net)
    with capture(net, ["conv1", "boom"]) as activations:
        net.boom.error = None
        net(image())
        assert set(activations) == {"conv1", "boom"}
        net.boom.error = error
        with pytest.raises(error, match=r"boom"):
            net(image())
        assert len(activations) == 0
        with pytest.raises(CaptureError, match=r"no activation 'conv1': the last forward failed"):
            activations["conv1"]
    del net.boom.error
    assert traces(net) == before
    with pytest.raises(RuntimeError, match=r"boom"), capture(net, "boom"):
        net(image())
    assert traces(net) == before


def test_words_for_what_is_not_there() -> None:
    net = planted.Unused().eval()
    for wrong in ("conv3", "conv3.*", "conv3#1"):
        with pytest.raises(UnknownNameError, match=r"no layer 'conv3.*nearest: conv"):
            capture(net, wrong)
    for layer, why in (
        ("aux", "did not call it"),
        ("conv2", "weights used functionally by the network"),
        ("nothing", "holds no tensor"),
    ):
        with pytest.raises(CaptureError, match=f"{layer!r} gave no activation: .*{why}"), capture(net, layer):
            net(image())
    with pytest.raises(CaptureError, match=r"none of what it matches"), capture(net, "aux*"):
        net(image())
    with capture(net, "conv1") as activations, pytest.raises(CaptureError, match=r"^no activation 'conv1': no forward"):
        activations["conv1"]
    with capture(net, "*") as activations:
        net(image())
    assert (list(activations), activations.get("conv2")) == (["conv1"], None)
    with pytest.raises(CaptureError, match=r"no captured activation 'conv2'; nearest: conv1"):
        activations["conv2"]


def test_a_pattern_takes_all_calls_and_dots() -> None:
    net = nn.Sequential(planted.Reused(), nn.Flatten()).eval()
    with capture(net, "0.*") as activations:
        assert net(image()) is not None
    assert list(activations) == ["0.conv1", "0.relu#0", "0.conv2", "0.relu#1"]
    with capture(net, "*.relu#1") as activations:
        net(image())
    assert list(activations) == ["0.relu#1"]


def test_the_caller_may_overwrite_images_and_output() -> None:
    net = nn.Sequential(nn.Identity(), nn.Conv2d(3, 2, 1)).eval()
    images = image()
    with torch.no_grad(), capture(net, ["0", "1", ""]) as activations:
        output = net(images)
    expected = output.clone()
    images.zero_()
    output.zero_()
    torch.testing.assert_close(activations["0"], image())
    for key in ("1", ""):
        torch.testing.assert_close(activations[key], expected)


def test_hooks_of_the_user_stay_and_see_the_forward() -> None:
    net, seen = planted.InPlace().eval(), []
    net.register_forward_hook(lambda module, args, output: seen.append(output.shape))
    net.conv1.register_forward_hook(lambda module, args, output: output * 2)
    with capture(net, ["conv1"], stop=False) as activations:
        net(image())
    torch.testing.assert_close(activations["conv1"], 2 * net.conv1.forward(image()).detach())
    assert (len(seen), len(net.conv1._forward_hooks)) == (1, 1)


def test_wrappers_are_bypassed() -> None:
    net = planted.InPlace().eval()
    truth = by_hand(net, image())
    for wrapper in (nn.DataParallel(net), SimpleNamespace(module=net)):
        with capture(wrapper, "conv1") as activations:
            wrapper.module(image())
        torch.testing.assert_close(activations["conv1"], truth["conv1", 0])
    with capture(nn.DataParallel(net), "conv1") as activations:
        net(image())
    compiled = torch.compile(net, backend="eager")
    with capture(compiled, "conv1") as activations:
        compiled(image())
    torch.testing.assert_close(activations["conv1"], truth["conv1", 0])
    net.compile(backend="eager")
    before = traces(net)
    with capture(net, "conv1") as activations:
        net(image())
    torch.testing.assert_close(activations["conv1"], truth["conv1", 0])
    assert traces(net) == before
    assert net._compiled_call_impl is not None


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_scripted_network_is_refused() -> None:
    with pytest.raises(CaptureError, match=r"scripted .*hooks do not fire"):
        capture(torch.jit.script(nn.Sequential(nn.ReLU())), "0")


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("resnet18", 32),
        ("densenet121", 32),
        ("vgg11_bn", 32),
        ("googlenet", 32),
        ("mobilenet_v3_small", 32),
        ("efficientnet_b0", 32),
        ("swin_t", 32),
        ("vit_b_16", 32),
    ],
)
def test_torchvision_networks_agree_with_themselves_without_in_place_operations(name: str, size: int) -> None:
    from torchvision import models

    more = {"init_weights": False} if name == "googlenet" else {"image_size": size} if name == "vit_b_16" else {}
    torch.manual_seed(0)
    net = models.get_model(name, weights=None, num_classes=10, **more).eval()
    images, before = image(1, size), traces(net)
    truth = by_hand(out_of_place(net), images)
    with torch.no_grad(), capture(net, ["*", ""]) as activations:
        net(images)
    assert len(activations) == len(truth)
    for (layer, call), value in truth.items():
        torch.testing.assert_close(activations[f"{layer}#{call}"], value)
    assert traces(net) == before
