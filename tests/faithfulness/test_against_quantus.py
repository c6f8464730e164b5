"""Four measures against those of Quantus 0.6 on the same maps: equal, or the difference is known and asserted.

Quantus (LGPL) is no dependency of any kind. To run this: `pip install quantus`.

Deletion and insertion equal PixelFlipping's raw curves, point by point. Quantus leaves out the untouched image, its area
is in steps, "black" is the image's least value, and where values are equal its order is that of a sort.
The pointing game is the same but where several values are the largest: Quantus then needs one of them to lie on the
mask, while here the share of them that does is counted. An empty mask is a hit there, and left out here.
Infidelity is the same sum. Quantus multiplies a map by each channel's change, takes it at the scale it has, and as it
comes changes block after block without restoring the ones before, the same in every sample.
Redrawn is the size of MPRT's rank correlation where both are given one redrawn network. MPRT itself draws every layer
anew as it was first initialised, with other deviations than the trained weights; here the top quarter keeps its mean and
deviation. MPRT compares absolute values unless it is told not to.
"""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from captum.metrics import infidelity as captum_infidelity
from small_nets import SmallNet, seeded
from torch import Tensor, nn

from layerscope.attribution.baselines import blurred
from layerscope.attribution.checks import rank_correlation, redrawn
from layerscope.attribution.methods import attribute
from layerscope.faithfulness.cases import ASKED, REDRAWN, Case, Question
from layerscope.faithfulness.curves import deletion_insertion
from layerscope.faithfulness.measures import by_regions
from layerscope.faithfulness.measures.by_regions import pointing
from layerscope.faithfulness.measures.by_response import SQUARES, judge, shifted
from layerscope.models.model import VisionModel, wrap

quantus = pytest.importorskip("quantus")

SIZE, STEPS, TARGET = 24, 12, 2
METHODS = ("saliency", "integrated_gradients", "deeplift", "guided_backprop", "grad_cam", "occlusion")
AS_GIVEN = {"abs": False, "normalise": False, "disable_warnings": True}


class Normalised(nn.Module):
    """A network with what its input is normalised by inside, as Quantus takes them."""

    def __init__(self, model: VisionModel) -> None:
        super().__init__()
        self.net, self.size = model.module, model.input_size
        self.register_buffer("mean", torch.tensor(model.mean)[:, None, None])
        self.register_buffer("std", torch.tensor(model.std)[:, None, None])

    def forward(self, images: Tensor) -> Tensor:
        return self.net((images - self.mean) / self.std)


class Redrawable(Normalised):
    """What MPRT calls to draw a layer anew puts in the weights that `redrawn` makes; as the outermost part, last."""

    def __init__(self, model: VisionModel) -> None:
        super().__init__(model)
        self.anew = redrawn(model.module).state_dict()

    def reset_parameters(self) -> None:
        self.net.load_state_dict(self.anew)


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def model() -> VisionModel:
    return wrap(seeded(SmallNet()), SIZE, class_names=("owl", "cat", "hut", "tree", "cup"), name="small")


@pytest.fixture(scope="module")
def image() -> Tensor:
    return (0.5 + blurred(2 * drawn(4, 1, 3, SIZE, SIZE), 1.0)[0]).clamp(0.02, 0.98)


@pytest.fixture(scope="module", params=METHODS)
def values(request, model, image) -> Tensor:
    return attribute(model, image[None], TARGET, request.param, checks=False).maps[0].detach()


def score_of(model: VisionModel):
    return Question(model, torch.zeros(3, SIZE, SIZE), TARGET).score


def asked(metric, model: VisionModel, image: Tensor, values: Tensor, **options):
    """Quantus of one image, with raw scores."""
    return metric(
        model=Normalised(model).eval(),
        x_batch=image[None].numpy(),
        y_batch=np.array([TARGET]),
        a_batch=values[None, None].numpy(),
        softmax=False,
        device="cpu",
        **options,
    )[0]


def from_other(arr, indices, other, **_):
    """Pixels of another image take the place of these."""
    changed = arr.copy()
    changed[:, indices[0]] = other.flatten().numpy()[indices[0]]
    return changed


def flipping(model, image, values, other):
    metric = quantus.PixelFlipping(
        features_in_step=3 * SIZE * SIZE // STEPS,
        perturb_func=from_other,
        perturb_func_kwargs={"other": other},
        **AS_GIVEN,
    )
    return torch.tensor(asked(metric, model, image, values), dtype=torch.float64)


def without_ties(values: Tensor) -> Tensor:
    """A map of the same order, in which no two pixels are equal."""
    return values.flatten().argsort(stable=True).argsort().view(values.shape).float()


def close(ours, theirs) -> bool:
    """Of one shape, and equal within the rounding of float32."""
    one, other = (torch.as_tensor(values).double() for values in (ours, theirs))
    return one.shape == other.shape and torch.allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("fill", ["blur", "black"])
def test_deletion_and_insertion_are_pixel_flipping(model, image, values, fill):
    values = without_ties(values)
    other = blurred(image[None])[0] if fill == "blur" else torch.zeros_like(image)
    curves = deletion_insertion(score_of(model), image, {"": values}, fill, steps=STEPS)
    ours = curves.of[""]
    deletion, insertion = flipping(model, image, values, other), flipping(model, other, values, image)
    assert close(ours.deletion[1:], deletion)
    assert close(ours.insertion[1:], insertion)
    assert (ours.deletion - ours.deletion[0]).abs().max() > 0.01
    # the untouched image comes first here, and the share of the pixels is the axis
    whole = torch.cat([torch.tensor([curves.image_score], dtype=torch.float64), deletion])
    assert close(ours.deletion_mean, torch.trapezoid(whole).item() / STEPS)


def test_insertion_is_also_deletion_from_the_other_end(model, image, values):
    """What is left when the least important pixels were deleted is what was inserted."""
    values, other = without_ties(values), blurred(image[None])[0]
    ours = deletion_insertion(score_of(model), image, {"": values}, other, steps=STEPS).of[""]
    assert close(ours.insertion[:-1], flipping(model, image, -values, other).flip(0))


def test_black_is_the_least_value_of_the_image_there(model, image):
    values, least = drawn(8, SIZE, SIZE), image.amin()
    metric = quantus.PixelFlipping(features_in_step=3 * SIZE * SIZE // STEPS, perturb_baseline="black", **AS_GIVEN)
    theirs = torch.tensor(asked(metric, model, image, values), dtype=torch.float64)
    assert least > 0.01
    by_fill = {
        fill: deletion_insertion(score_of(model), image, {"": values}, torch.full_like(image, fill), steps=STEPS).of[""]
        for fill in (least.item(), 0.0)
    }
    assert close(by_fill[least.item()].deletion[1:], theirs)
    assert (by_fill[0.0].deletion[1:] - theirs).abs().max() > 1e-3


def points(model, image, values, mask) -> float:
    metric = quantus.PointingGame(**AS_GIVEN)
    return float(asked(metric, model, image, values, s_batch=mask[None, None].numpy()))


@pytest.mark.parametrize("corner", [(0, 0), (0, 12), (12, 0), (12, 12)])
def test_the_pointing_game_is_the_same(model, image, values, corner):
    mask = torch.zeros(SIZE, SIZE, dtype=torch.bool)
    mask[corner[0] : corner[0] + 12, corner[1] : corner[1] + 12] = True
    values = without_ties(values)
    assert pointing(values, mask) == points(model, image, values, mask) == float(mask.flatten()[values.argmax()])


def test_of_several_largest_values_here_the_share_on_the_mask_counts(model, image):
    values, mask = torch.zeros(SIZE, SIZE), torch.zeros(SIZE, SIZE, dtype=torch.bool)
    values[0, :4], mask[0, 0] = 1, True
    assert pointing(values, mask) == 0.25
    assert points(model, image, values, mask) == 1


def test_an_empty_mask_is_a_hit_there_and_nothing_here(model, image):
    """Quantus means NaN, and puts it among booleans, where it is true."""
    nowhere = torch.zeros(SIZE, SIZE, dtype=torch.bool)
    case = Case({ASKED: Question(model, image, TARGET)}, thing=nowhere)
    assert "pointing" not in by_regions.judge(case, {ASKED: image[0]})
    assert points(model, image, image[0], nowhere) == 1


def infidelity_there(model, image, values, **options) -> float:
    """A map without channels counts there in each of them: one that is added up over channels is shared out first."""
    return float(asked(quantus.Infidelity(**AS_GIVEN, **options), model, image, values / len(image)))


def test_infidelity_is_the_same_on_the_same_changes(model, image, values):
    """At the best scale, over the mean square of the score's changes. A block as large as the image is one change."""
    case = Case({ASKED: Question(model, image, TARGET)}, seed=3)
    taken, images = shifted(image, case.seed)
    changes = (case.asked.score(image[None]) - case.asked.score(images)).detach().double()
    said = (taken[:, 0] * values).sum((1, 2))
    scale = (said @ changes / (said @ said)).float()
    turns = iter(images.flatten(1).numpy())
    theirs = infidelity_there(
        model,
        image,
        scale * values,
        perturb_patch_sizes=[SIZE],
        n_perturb_samples=SQUARES,
        perturb_func=lambda arr, indices, **_: next(turns)[None],
    )
    assert next(turns, None) is None
    ours = min(judge(case, {ASKED: one})["infidelity"] for one in (values, -values))  # 1 for that of the wrong sign
    assert close(ours, theirs / changes.square().mean().item())


@pytest.mark.parametrize("samples", [1, 5])
def test_infidelity_as_quantus_draws_it_deletes_block_after_block(model, image, values, samples):
    """So it is Captum's of the images with the first 1, 2, ... blocks gone, and more samples change nothing."""
    side, score = 8, score_of(model)
    values = values / values.abs().max()
    images, gone = [], image.clone()
    for top in range(0, SIZE, side):
        for left in range(0, SIZE, side):
            gone[:, top : top + side, left : left + side] = 0.25
            images.append(gone.clone())
    images = torch.stack(images)
    captums = captum_infidelity(
        score,
        lambda _: (image - images, images),
        image[None],
        (values / 3).expand(1, 3, -1, -1),
        n_perturb_samples=len(images),
    )
    theirs = infidelity_there(
        model, image, values, perturb_patch_sizes=[side], n_perturb_samples=samples, perturb_baseline=0.25
    )
    assert close(captums.item(), theirs)


def mprt(model: Redrawable | Normalised, image: Tensor, method: str, **options) -> float:
    """Rank correlation of the maps of the network and of it with every layer drawn anew, by Quantus."""

    def explain(model, inputs, targets, **_):
        inner = wrap(model.net, SIZE, class_names=("owl", "cat", "hut", "tree", "cup"), name="small")
        return attribute(inner, torch.as_tensor(inputs), TARGET, method, checks=False).maps.numpy()

    metric = quantus.MPRT(skip_layers=True, return_last_correlation=True, **{**AS_GIVEN, **options})
    with torch.random.fork_rng():  # it seeds the global generator
        (found,) = metric(
            model=model.eval(),
            x_batch=image[None].numpy(),
            y_batch=np.array([TARGET]),
            a_batch=explain(model, image[None], None),
            explain_func=explain,
            softmax=False,
            device="cpu",
        )
    return found


@pytest.mark.parametrize("method", METHODS)
def test_redrawn_is_the_size_of_mprts_correlation(model, image, method):
    other = wrap(redrawn(model.module), SIZE, class_names=model.class_names, name="redrawn")
    case = Case({ASKED: Question(model, image, TARGET), REDRAWN: Question(other, image, TARGET)})
    ours, theirs = (
        attribute(one.model, image[None], TARGET, method, checks=False).maps[0] for one in case.questions.values()
    )
    found = judge(case, {ASKED: ours, REDRAWN: theirs})["redrawn"]
    assert found < 0.99
    signed = mprt(Redrawable(model), image, method)
    assert found == pytest.approx(abs(signed), abs=1e-9)
    assert rank_correlation(ours, theirs) == pytest.approx(signed, abs=1e-9)
    sizes = mprt(Redrawable(model), image, method, abs=True)
    assert rank_correlation(ours.abs(), theirs.abs()) == pytest.approx(sizes, abs=1e-9)


def test_mprt_itself_draws_all_layers_with_the_deviation_of_a_new_layer(model):
    """1 / sqrt(3 x inputs of a unit); redrawing here keeps the deviation, and all layers but the top ones."""
    wrapped = quantus.helpers.model.pytorch_model.PyTorchModel(Normalised(model), device="cpu")
    with torch.random.fork_rng():
        theirs = copy.deepcopy(list(wrapped.get_random_layer_generator())[-1][1].net)
    ours = redrawn(model.module)
    for name, weight in model.module.named_parameters():
        if weight.ndim == 1:
            continue
        new, kept = theirs.get_parameter(name), ours.get_parameter(name)
        assert new.std().item() == pytest.approx((3 * weight[0].numel()) ** -0.5, rel=0.15)
        assert kept.std().item() == pytest.approx(weight.std().item(), rel=0.15)
        assert weight.std() > 1.5 * new.std()
        assert torch.equal(kept, weight) == (name in ("conv1.weight", "conv2.weight"))


def test_so_the_same_map_is_judged_by_another_network(model, image):
    assert mprt(Redrawable(model), image, "guided_backprop") == pytest.approx(0.80, abs=0.02)
    assert abs(mprt(Normalised(model), image, "guided_backprop")) < 0.2
