"""Maps that know nothing of a network."""

from __future__ import annotations

import pytest
import torch
from skimage.filters import sobel as reference_sobel

from layerscope.errors import InputError
from layerscope.faithfulness.controls import controls


def picture(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", [(3, 24, 31), (3, 2, 2), (3, 1, 5)])
def test_edges_are_those_of_scikit_image(shape):
    image = picture(*shape)
    grey = 0.299 * image[0] + 0.587 * image[1] + 0.114 * image[2]
    expected = torch.from_numpy(reference_sobel(grey.double().numpy())).float()
    torch.testing.assert_close(controls(image)["edges"], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 4])
def test_edges_of_other_channels_are_those_of_their_mean(channels):
    image = picture(channels, 12, 12)
    expected = torch.from_numpy(reference_sobel(image.double().mean(0).numpy())).float()
    torch.testing.assert_close(controls(image)["edges"], expected, rtol=1e-5, atol=1e-6)


def test_noise_is_smooth_signed_and_of_its_seed_alone():
    state = torch.get_rng_state()
    noise = controls(picture(3, 64, 64), seed=3)["random"]
    assert torch.equal(noise, controls(1 - picture(3, 64, 64), seed=3)["random"])
    assert not torch.equal(noise, controls(picture(3, 64, 64), seed=4)["random"])
    assert 0.3 < (noise > 0).float().mean() < 0.7
    neighbours = torch.corrcoef(torch.stack([noise[:, 1:].flatten(), noise[:, :-1].flatten()]))[0, 1]
    assert neighbours > 0.9
    assert torch.equal(torch.get_rng_state(), state)


def test_the_blob_is_in_the_centre_whatever_the_image():
    blob = controls(picture(3, 21, 41))["centre"]
    assert torch.equal(blob, controls(picture(3, 21, 41) * 0)["centre"])
    assert divmod(int(blob.argmax()), 41) == (10, 20)
    torch.testing.assert_close(blob, blob.flip(0, 1))
    assert blob.amax() == 1
    assert blob[10, 20 + 10] == pytest.approx(torch.exp(torch.tensor(-0.5 * (10 / 41 / 0.25) ** 2)).item(), rel=1e-5)


def test_all_fit_the_image_and_are_on_their_own():
    image = picture(3, 20, 30).double().requires_grad_()
    maps = controls(image)
    assert list(maps) == ["random", "edges", "centre"]
    for values in maps.values():
        assert values.shape == (20, 30)
        assert values.dtype == torch.float32
        assert not values.requires_grad


def test_a_batch_is_refused():
    with pytest.raises(InputError, match=r"an image of shape \(2, 3, 8, 8\); give one image"):
        controls(torch.zeros(2, 3, 8, 8))
