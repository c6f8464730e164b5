"""Networks of the field with random weights: complete, conserved, or refused by name. Most of them with -m slow."""

from __future__ import annotations

import pytest
import torch
from tasks import found, pictures
from torch import Tensor, nn

from layerscope.attribution.deeplift import deeplift
from layerscope.attribution.guided import guided_backprop
from layerscope.attribution.lrp import lrp
from layerscope.conformance.conform import redraw_zeros
from layerscope.models.model import VisionModel, wrap

FAST = ("torchvision:resnet18", "torchvision:mobilenet_v3_small", "torchvision:swin_t")
TORCHVISION = (
    "alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_v2_s", "googlenet", "inception_v3", "maxvit_t",
    "mnasnet0_5", "mobilenet_v2", "regnet_y_400mf", "resnext50_32x4d", "shufflenet_v2_x0_5", "squeezenet1_1", "swin_v2_t",
    "vgg11_bn", "vit_b_16",
)  # fmt: skip
TIMM = (
    "coatnet_pico_rw_224", "convnextv2_atto", "eca_resnet33ts", "edgenext_xx_small", "efficientnet_lite0", "ghostnet_050",
    "hrnet_w18_small", "levit_128s", "mixer_s16_224", "mobilenetv3_small_050", "mobilevit_xxs", "nf_regnet_b0", "poolformer_s12",
    "repvgg_a0", "resnet50", "skresnet18", "swin_tiny_patch4_window7_224", "vit_tiny_patch16_224", "xception41",
)  # fmt: skip
SIZES = {"inception_v3": 96, "vit_b_16": 224, "maxvit_t": 224, "mobilevit_xxs": 64, "coatnet_pico_rw_224": 224, "levit_128s": 224, "mixer_s16_224": 224, "swin_tiny_patch4_window7_224": 224, "vit_tiny_patch16_224": 224}  # fmt: skip
BASELINES = ("blur", "mean")  # "mean" is where norms multiply by their largest factor
ADDED = (
    "bias",
    "pos_embed",
    "pos_embedding",
    "cls_token",
    "class_token",
    "attention_biases",
    "relative_position_bias_table",
)


def module_of(spec: str, size: int) -> nn.Module:
    """In eval mode, with no weight that is all zero and statistics of its own."""
    source, name = spec.split(":")
    library = pytest.importorskip(source)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        more = {"init_weights": True} if name in ("googlenet", "inception_v3") else {}
        make = library.models.get_model if source == "torchvision" else library.create_model
        module = redraw_zeros(
            make(name, num_classes=10, **({"weights": None} if source == "torchvision" else {}), **more)
        )
        norms = [part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
        for part in norms:
            part.train()
            part.momentum = None  # of all that is seen
        with torch.no_grad():
            module.eval()
            for part in norms:
                part.train()
            module((pictures(8, size) - 0.45) / 0.25)
    return module.eval()


def without_biases(module: nn.Module) -> nn.Module:
    """Nothing is added to what the image brings."""
    with torch.no_grad():
        for name, weight in module.named_parameters():
            if name.endswith(ADDED):
                weight.zero_()
        for part in module.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                part.running_mean.zero_()
    return module


def gap(values: Tensor, expected: Tensor) -> float:
    """Of what the values of one image add up to, as a share of it (or of a hundredth of what they hold)."""
    total, size = values.sum(), values.abs().sum()
    return float((total - expected).abs() / torch.maximum(expected.abs(), size / 1e2))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize(
    "spec",
    [*FAST, *(pytest.param(f"{source}:{name}", marks=pytest.mark.slow) for source, names in (("torchvision", TORCHVISION), ("timm", TIMM)) for name in names)],
)  # fmt: skip
def test_network(spec: str) -> None:
    size = SIZES.get(spec.split(":")[1], 64)
    module = module_of(spec, size)
    for dtype, limit in ((torch.float32, 1e-4), (torch.float64, 1e-10)):
        model = wrap(module.to(dtype), input_size=size, class_names=tuple("abcdefghij"))
        images = pictures(1, size, seed=1, dtype=dtype)
        for baseline in BASELINES:
            explained = found(deeplift, model, images, "d", baseline=baseline)
            assert gap(explained.values, explained.expected[0]) < limit, (dtype, baseline)
    with torch.no_grad():
        before = images * 0 + torch.tensor(model.mean, dtype=dtype).view(-1, 1, 1)
        assert torch.allclose(explained.expected, (model(images) - model(before))[:, 3], rtol=1e-9)
    _rectified(model, images)
    without_biases(module)
    for composite in ("epsilon", "epsilon-plus-flat"):
        explained = found(lrp, model, images, "d", options={"composite": composite})
        assert torch.allclose(explained.expected, model(images)[:, 3].detach(), rtol=1e-9)
        assert gap(explained.values, explained.expected[0]) < 1e-3, composite


def _rectified(model: VisionModel, images: Tensor) -> None:
    explained = found(guided_backprop, model, images, "d")
    assert explained.values.isfinite().all()
    assert explained.values.abs().sum() > 0
