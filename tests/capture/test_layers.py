from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import planted_nets as planted
import pytest
import torch
from planted_nets import traces
from torch import Tensor, nn

from layerscope.capture.hooks import capture
from layerscope.capture.layers import Layer, list_layers, units_first
from layerscope.errors import InputError


def network(name: str, **more: object) -> nn.Module:
    from torchvision import models

    if name in ("googlenet", "inception_v3"):
        more |= {"init_weights": False}
    with torch.random.fork_rng():
        module: nn.Module = models.get_model(name, weights=None, num_classes=10, **more)
    return module


def sketch(name: str, **more: object) -> nn.Module:
    """A network without memory for its weights."""
    if name.startswith("regnet"):  # computes its shape with tensors
        return network(name, **more).to("meta")
    with torch.device("meta"):
        return network(name, **more)


def by_name(module: nn.Module, size: int, channels: int = 3) -> dict[str, Layer]:
    return {layer.name: layer for layer in list_layers(module, (channels, size, size))}


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        (
            "resnet18",
            {"conv1": 7, "layer1": 43, "layer2": 99, "layer3": 211, "layer4": 435, "avgpool": None, "fc": None},
        ),
        ("resnet50", {"layer4": 427}),
        ("alexnet", {"features.0": 11, "features.3": 51, "features.6": 99, "features.10": 163, "classifier.1": None}),
        ("vgg16", {"features.0": 3, "features.30": 212, "classifier": None}),
        ("densenet121", {"features": 2071}),
        ("googlenet", {"conv3": 19, "inception3a.branch1": 27, "inception3a.branch2": 43, "inception3a": 43}),
        ("shufflenet_v2_x0_5", {"conv1": 3, "stage2.0.branch2.3": 15}),
        ("convnext_tiny", {"features.0": 4, "features.1.0": 28, "features.1.1": 52}),
        ("mobilenet_v3_small", {"features.0": 3, "features.1.block.0": 7, "features.1.block.1": None}),
        ("swin_t", {"features.0": 4, "features.1.0.norm1": 4, "features.1.0": None}),
    ],
)
def test_receptive_fields_of_known_networks(name: str, fields: dict[str, int | None]) -> None:
    layers = by_name(sketch(name), 224)
    assert {layer: layers[layer].receptive_field for layer in fields} == fields


class Branches(nn.Module):
    """A residual, a concatenation, a dilated branch, a slice, unequal padding and a pool that divides."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 5, stride=2, padding=1)
        self.dilated = nn.Conv2d(4, 4, 3, dilation=3, padding=3)
        self.small = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(inplace=True), nn.BatchNorm2d(4))
        self.pad = nn.ZeroPad2d((2, 0, 2, 0))
        self.pool = nn.MaxPool2d(3, 2)
        self.wide = nn.Conv2d(8, 4, (1, 3), padding=(0, 1))
        self.linear = nn.Linear(4, 6)
        self.adaptive = nn.AdaptiveAvgPool2d(7)
        self.uneven = nn.AdaptiveAvgPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = torch.cat([self.dilated(x), self.small(x) + x], 1)
        x = self.wide(self.pool(self.pad(x)))[:, :, 1:, 1:]
        x = self.linear(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.uneven(self.adaptive(x))


def seen_by(module: nn.Module, layer: Layer, size: int, axis: int, place: int) -> tuple[int, int]:
    """First and last image row (axis 2) or column (3) that can reach a place of a layer: not-a-number spreads there."""
    images = torch.zeros(size, 3, size, size, dtype=torch.float64)
    for line, image in enumerate(images):
        image.select(axis - 1, line).fill_(torch.nan)
    with torch.no_grad(), capture(module, layer.name) as activations:
        module(images)
    values = units_first(activations[layer.name], layer.unit_axis)[:, 0].select(axis - 1, place)
    reached = values.isnan().any(-1).nonzero()[:, 0]
    return int(reached.min()), int(reached.max())


@pytest.mark.parametrize("kind", [Branches, planted.Reused])
def test_receptive_fields_agree_with_what_spreads(kind: type[nn.Module]) -> None:
    module, size = kind().eval().double(), 59
    checked = 0
    for layer in list_layers(module, (3, size, size)):
        if layer.receptive_field is None or layer.offset is None or layer.stride is None or layer.status != "exact":
            continue
        place = round((size / 2 - layer.offset) / layer.stride)
        centre = layer.offset + place * layer.stride
        half = (layer.receptive_field - 1) / 2
        rows, columns = (seen_by(module, layer, size, axis, place) for axis in (2, 3))
        assert columns == (centre - half, centre + half), layer
        assert sum(rows) == sum(columns), layer
        checked += 1
    assert checked >= 4


def test_windows_that_are_not_square_or_not_even() -> None:
    layers = by_name(Branches(), 59)
    assert (layers["wide"].receptive_field, layers["wide"].stride, layers["wide"].offset) == (29, 4, -1.0)
    assert layers["linear"].unit_axis == 3
    assert layers["adaptive"].receptive_field == 29 + 4
    assert (layers["uneven"].receptive_field, layers["uneven"].stride) == (61, 28)
    assert [layers[name].status for name in ("wide", "adaptive", "uneven")] == ["exact", "exact", "upper bound"]


def test_a_window_is_not_claimed_after_an_unseen_write() -> None:
    class Writes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.small, self.large, self.last = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 5, padding=2), nn.Identity()

        def forward(self, x: Tensor) -> Tensor:
            y, z = self.small(x), torch.zeros(len(x), 4, *x.shape[2:])
            y[:, :2] = self.large(x)[:, :2]
            z[:, 2:] = y[:, 2:]
            return self.last(y + z)

    layers = by_name(Writes(), 9)
    assert (layers["small"].receptive_field, layers["large"].receptive_field) == (1, 5)
    assert (layers["last"].receptive_field, layers["last"].status) == (None, "unknown")


def test_no_window_after_a_part_was_called_in_another_thread() -> None:
    class Threads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.beside, self.last = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 5, padding=2), nn.Conv2d(4, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            y = self.first(x)
            with ThreadPoolExecutor(1) as threads:
                return self.last(y + threads.submit(self.beside, x).result())

    statuses = {name: layer.status for name, layer in by_name(Threads(), 9).items()}
    assert statuses == {"first": "exact", "beside": "unknown", "last": "unknown"}


@pytest.mark.parametrize(
    ("name", "size", "axes"),
    [
        ("resnet18", 64, {"conv1": (1, 64), "layer4": (1, 512), "avgpool": (1, 512), "fc": (1, 10)}),
        ("swin_t", 64, {"features.0.0": (1, 96), "features.0.1": (3, 96), "features.1.0.attn": (3, 96),
                        "features.1.0.stochastic_depth#0": (3, 96), "features.7": (3, 768), "permute": (1, 768),
                        "flatten": (1, 768), "head": (1, 10)}),
        ("vit_b_16", 32, {"conv_proj": (1, 768), "encoder.layers.encoder_layer_0.mlp.0": (2, 3072),
                          "encoder.layers.encoder_layer_3": (2, 768), "encoder": (2, 768), "heads": (1, 10)}),
        ("convnext_tiny", 64, {"features.1.0.block.3": (3, 384), "features.1.0": (1, 96), "classifier.0": (1, 768)}),
        ("vgg11_bn", 64, {"features": (1, 512), "avgpool": (1, 512), "classifier.0": (1, 4096)}),
    ],
)  # fmt: skip
def test_the_axis_of_the_units(name: str, size: int, axes: dict[str, tuple[int, int]]) -> None:
    layers = by_name(sketch(name, **({"image_size": size} if name == "vit_b_16" else {})), size)
    assert {layer: (layers[layer].unit_axis, layers[layer].units) for layer in axes} == axes
    assert all(layer.shape[layer.unit_axis - 1] == layer.units for layer in layers.values())


def test_names_are_those_of_capture_and_in_order() -> None:
    net = network("resnet18").eval()
    layers = list_layers(net, (3, 32, 32))
    with torch.no_grad(), capture(net, "*") as activations:
        net(torch.zeros(1, 3, 32, 32))
    assert [layer.name for layer in layers] == list(activations)
    assert all(tuple(activations[layer.name].shape[1:]) == layer.shape for layer in layers)
    assert "layer1.0.relu#1" in activations


@dataclass
class Out:
    main: Tensor
    aux: list[Tensor]


class Several(nn.Module):
    """Parts that put out several tensors, one of them twice."""

    class Pair(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor], Tensor]:
            return x + 1, {"flat": x.flatten(1), "a.b": x[:, :, 1:]}, x.sum()

    class Single(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor]:
            return (x * 2,)

    class Structured(nn.Module):
        def forward(self, x: Tensor) -> Out:
            return Out(x, [x[..., 1:]])

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.pair, self.single, self.structured = (
            nn.Conv2d(3, 4, 3),
            self.Pair(),
            self.Single(),
            self.Structured(),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.pair(self.conv(x))[0]
        return self.structured(self.single(self.pair(x)[0])[0]).main


def test_each_tensor_of_an_output_is_a_layer() -> None:
    pair = ["pair{}[0]", "pair{}[1][flat]", "pair{}[1][a.b]"]
    names = ["conv", *(name.format("#0") for name in pair), *(name.format("#1") for name in pair), "single[0]"]
    layers = by_name(Several(), 9)
    assert list(layers) == [*names, "structured[main]", "structured[aux][0]"]
    assert [layers[name].shape for name in names[1:4]] == [(4, 7, 7), (196,), (4, 6, 7)]
    assert [(layers[name].status, layers[name].receptive_field) for name in names[1:3]] == [
        ("exact", 3),
        ("unknown", None),
    ]
    assert layers["structured[aux][0]"].stride == 1


def test_modules_that_put_out_no_tensor_are_not_listed() -> None:
    assert list(by_name(planted.TupleOutput(), 9)) == ["conv1", "pair[0]", "pair[1]", "conv2"]
    assert list(by_name(planted.Unused(), 9)) == ["conv1"]


@pytest.mark.parametrize("name", ["resnet18", "swin_t", "shufflenet_v2_x0_5"])
def test_without_data_layers_are_the_same(name: str) -> None:
    net = network(name)
    there, state = list_layers(net, (3, 64, 64)), torch.get_rng_state()
    assert list_layers(net.to("meta"), (3, 64, 64)) == there
    assert torch.equal(torch.get_rng_state(), state)


def test_status() -> None:
    vit = by_name(sketch("vit_b_16", image_size=32), 32)
    names = ["conv_proj", "encoder.dropout", "encoder.layers.encoder_layer_0.self_attention[0]", "encoder", "heads"]
    assert [vit[name].status for name in names] == ["exact", "unknown", "whole image", "whole image", "whole image"]
    up = nn.Sequential(
        nn.Conv2d(3, 4, 3, 4), nn.Upsample(scale_factor=2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )
    layers = list_layers(up, (3, 35, 35))
    assert [layer.status for layer in layers] == ["exact", "upper bound", *["whole image"] * 3]
    assert [layer.receptive_field for layer in layers] == [3, 5, None, None, None]
    with_groups = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.InstanceNorm2d(4))
    assert [layer.status for layer in list_layers(with_groups, (3, 9, 9))] == ["exact", "whole image", "whole image"]


def changes_with_the_image(name: str, sizes: tuple[int, int], options: str | None) -> tuple[int, list[object]]:
    """How many axes tell something, and the layers whose unit axis changes with the size of the image, or has to be
    another one because it is the only one that does not."""
    found = []
    small, large = (
        by_name(sketch(name, **({options: (size, size) if options == "input_size" else size} if options else {})), size)
        for size in sizes
    )
    judged = 0
    for layer, other in ((layer, large[name]) for name, layer in small.items()):
        fixed = [axis for axis, (a, b) in enumerate(zip(layer.shape, other.shape, strict=True), start=1) if a == b]
        judged += len(fixed) < len(layer.shape)
        if (
            layer.unit_axis not in fixed
            or other.unit_axis != layer.unit_axis
            or layer.shape[layer.unit_axis - 1] != layer.units
        ):
            found.append((layer, other))
    return judged, found


@pytest.mark.parametrize(
    ("name", "sizes", "options", "least"),
    [("resnet18", (64, 128), None, 70), ("swin_t", (224, 448), None, 150), ("swin_v2_t", (256, 512), None, 150), ("maxvit_t", (224, 448), "input_size", 600)],
)  # fmt: skip
def test_what_changes_with_the_image_is_no_unit_axis(
    name: str, sizes: tuple[int, int], options: str | None, least: int
) -> None:
    judged, found = changes_with_the_image(name, sizes, options)
    assert not found
    assert judged >= least


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_v2_s", "googlenet", "inception_v3", "mnasnet0_5",
     "mobilenet_v2", "mobilenet_v3_small", "regnet_y_400mf", "resnext50_32x4d", "shufflenet_v2_x0_5", "squeezenet1_0", "vgg11_bn",
     "vit_b_16", "wide_resnet50_2"],
)  # fmt: skip
def test_what_changes_with_the_image_is_no_unit_axis_in_any_family(name: str) -> None:
    judged, found = changes_with_the_image(name, (224, 448), "image_size" if name == "vit_b_16" else None)
    assert not found
    assert judged >= (14 if name == "alexnet" else 20)


@pytest.mark.parametrize(
    ("name", "statuses"),
    [
        ("swin_t", {"features.0": "exact", "features.1.0.attn": "unknown", "features.1.0": "unknown", "features.1.1": "unknown",
                    "features.7.0.attn": "whole image", "head": "whole image"}),
        ("vit_b_16", {"encoder.layers.encoder_layer_0.ln_1": "unknown", "encoder.layers.encoder_layer_0": "whole image"}),
        ("alexnet", {"features": "exact", "classifier.0": "unknown", "classifier.1": "whole image"}),
        ("mobilenet_v3_small", {"features.1.block.1.avgpool": "whole image", "features.1": "whole image"}),
    ],
)  # fmt: skip
def test_only_what_mixes_all_positions_sees_the_whole_image(name: str, statuses: dict[str, str]) -> None:
    """The last stage of a Swin transformer has a single window."""
    layers = by_name(sketch(name), 224)
    assert {layer: layers[layer].status for layer in statuses} == statuses


def test_rows_and_columns_come_back_from_windows() -> None:
    class Windows(nn.Module):
        """MaxViT's block and grid partitions, and back."""

        def __init__(self) -> None:
            super().__init__()
            self.inside, self.grid, self.back = nn.Identity(), nn.Identity(), nn.Conv2d(4, 4, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            x = x.relu()
            b, c, h, w = x.shape
            x = x.reshape(b, c, h // 4, 4, w // 4, 4).permute(0, 2, 4, 3, 5, 1).reshape(b, -1, 16, c)
            x = self.grid(self.inside(x).swapaxes(1, 2)).swapaxes(1, 2)
            x = x.reshape(b, h // 4, w // 4, 4, 4, c).permute(0, 5, 1, 3, 2, 4).reshape(b, c, h, w)
            return self.back(x)

    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), Windows())
    layers = by_name(net, 16)
    assert [(layers[f"1.{name}"].shape, layers[f"1.{name}"].unit_axis) for name in ("inside", "grid")] == [
        ((16, 16, 4), 3),
        ((16, 16, 4), 3),
    ]
    assert (layers["1.back"].receptive_field, layers["1.back"].stride, layers["1.back"].offset) == (5, 1, 0.0)
    assert (layers["1.inside"].receptive_field, layers["1.inside"].stride) == (3, None)


@pytest.mark.parametrize("net", [planted.Reused(), planted.Fails(), nn.Sequential(nn.BatchNorm2d(3), nn.Dropout())])
def test_the_network_is_left_as_it_was(net: nn.Module) -> None:
    net.train()
    net[1].eval() if isinstance(net, nn.Sequential) else net.conv1.eval()
    before = traces(net)
    if isinstance(net, planted.Fails):
        with pytest.raises(RuntimeError, match=r"boom"):
            list_layers(net, (3, 9, 9))
    else:
        assert list_layers(net, (3, 9, 9))
    assert traces(net) == before


def test_buffers_and_random_state_are_put_back() -> None:
    class Counts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))
            self.relu = nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            return self.relu(torch.nn.functional.dropout(x, training=True))

    net = Counts()
    before = traces(net)
    assert len(list_layers(net, (1, 4, 4))) == 1
    assert traces(net) == before


def test_one_channel_half_precision_and_flat_networks() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 5), nn.ReLU()).to(torch.bfloat16)
    assert [(layer.shape, layer.unit_axis) for layer in list_layers(net, (1, 4, 4))] == [
        ((16,), 1),
        ((5,), 1),
        ((5,), 1),
    ]
    with pytest.raises(InputError, match=r"\(3, 4\) is not \(channel, height, width\)"):
        list_layers(net, (3, 4))  # type: ignore[arg-type]


def test_units_first() -> None:
    assert units_first(torch.zeros(2, 3, 4, 5), 3).shape == (2, 5, 3, 4)
    assert units_first(torch.zeros(2, 7), 1).shape == (2, 7)
