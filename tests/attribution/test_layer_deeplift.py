"""DeepLift at a layer: complete, exact where what follows is linear, and the same as doing it by hand."""

from __future__ import annotations

import pytest
import torch
from small_nets import small_model
from tasks import found, pictures

import layerscope as ls
from layerscope.attribution.layers import layer_deeplift


@pytest.mark.parametrize("layer", ["conv1", "relu#0", "relu#1", "conv3"])
def test_the_values_add_up_and_have_the_shape_of_the_layer(layer):
    model = small_model()
    model = ls.wrap(model.module.double(), 32, class_names=model.class_names)
    made = found(layer_deeplift, model, pictures(dtype=torch.float64), "owl", layer=layer, baseline="blur")
    assert made.values.shape[1:] == model.layer(layer).shape
    assert torch.allclose(made.values.flatten(1).sum(1), made.expected, rtol=1e-10, atol=1e-12)


def test_where_what_follows_is_linear_a_unit_gets_weight_times_difference():
    model, images = small_model(), pictures()
    made = found(layer_deeplift, model, images, "cat", layer="relu#2", baseline="black")
    with torch.no_grad(), ls.capture(model, "relu#2") as activations:
        model(images)
        image = activations["relu#2"]
        model(torch.zeros_like(images))
        difference = image - activations["relu#2"]
        expected = difference * model.module.fc.weight[1].view(-1, 1, 1) / image[0, 0].numel()
    assert torch.allclose(made.values, expected, atol=1e-6)


def test_an_image_gets_the_same_values_in_any_company():
    model, images = small_model(), pictures(3)
    together = found(layer_deeplift, model, images, "owl", layer="conv2", baseline="blur")
    alone = found(layer_deeplift, model, images[1:2], "owl", layer="conv2", baseline="blur")
    assert torch.allclose(together.values[1:2], alone.values, atol=1e-6)
    assert together.covered == alone.covered
