"""Who answers questions: methods equal `attribute` one by one, controls are the same for the same question."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from small_nets import SmallNet, seeded, small_model

from layerscope.attribution.methods import attribute
from layerscope.errors import InputError, UnknownNameError
from layerscope.faithfulness.cases import Question
from layerscope.faithfulness.controls import controls
from layerscope.faithfulness.explainers import CONTROLS, KNOWING_NOTHING, of_control, of_method
from layerscope.models.model import wrap

SIZE = 32


def picture(seed: int) -> torch.Tensor:
    return torch.rand(3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def networks():
    other = wrap(seeded(SmallNet(), 1), input_size=SIZE, class_names=("owl", "cat", "hut", "tree", "cup"), name="other")
    return small_model(), other


@pytest.fixture(scope="module")
def questions(networks):
    """Two networks in turn, several classes, some images twice."""
    one, other = networks
    return [Question(one if number % 3 else other, picture(number // 2), number % 5) for number in range(7)]


@pytest.fixture
def asked():
    exact = torch.randn(SIZE, SIZE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return Question(small_model(), picture(0), 2, exact, 2 * exact)


@pytest.mark.parametrize("batch", [1, 2, 8])
@pytest.mark.parametrize("name", ["saliency", "smoothgrad", "grad_cam", "deeplift"])
def test_a_method_answers_as_attribute_does_one_by_one(questions, name, batch):
    found = of_method(name, seed=3, batch=batch)(questions)
    for one, values in zip(questions, found, strict=True):
        alone = attribute(one.model, one.image[None], one.target, name, seed=3, checks=False)
        torch.testing.assert_close(values, alone.maps[0], rtol=1e-4, atol=1e-6)
        assert values.shape == (SIZE, SIZE)


def test_answers_of_a_method_differ_by_network_image_and_class(networks):
    image = picture(0)
    some = [
        Question(networks[0], image, 1),
        Question(networks[0], image, 2),
        Question(networks[1], image, 1),
        Question(networks[0], picture(1), 1),
    ]
    found = of_method("saliency")(some)
    assert len({round(values.double().square().sum().item(), 9) for values in found}) == 4
    assert of_method("saliency")([]) == []


def test_options_and_seed_reach_the_method(asked):
    plain, fewer, other = (
        of_method("smoothgrad", **options)([asked])[0] for options in ({}, {"samples": 2}, {"seed": 1})
    )
    assert not torch.equal(plain, fewer)
    assert not torch.equal(plain, other)
    alone = attribute(asked.model, asked.image[None], 2, "smoothgrad", checks=False, samples=2)
    torch.testing.assert_close(fewer, alone.maps[0])


def test_each_control_is_what_it_says(asked):
    (even,), (exact,), (inverted,), (shares,) = (
        of_control(n)([asked]) for n in ("even", "exact", "inverted", "shares")
    )
    assert torch.equal(even, torch.ones(SIZE, SIZE))
    assert torch.equal(exact, asked.exact)
    assert torch.equal(inverted, -asked.exact)
    assert torch.equal(shares, asked.shares)
    for name in ("centre", "edges"):
        assert torch.equal(of_control(name)([asked])[0], controls(asked.image)[name])


def test_what_is_not_known_is_not_answered(asked):
    nothing = replace(asked, exact=None, shares=None)
    for name in CONTROLS:
        (found,) = of_control(name)([nothing])
        assert (found is None) == (name not in KNOWING_NOTHING)
    assert of_control("exact")([asked, nothing, asked])[1] is None


def test_the_same_question_gets_the_same_random_map_and_another_one_another(asked, networks):
    explain, same = of_control("random"), Question(small_model(), picture(0), 2)
    first, again, equal = (explain([one])[0] for one in (asked, asked, same))
    assert torch.equal(first, again)
    assert torch.equal(first, equal)
    others = [
        replace(asked, target=3),
        replace(asked, image=picture(1)),
        replace(asked, model=networks[1]),
        replace(asked, image=asked.image.flip(2)),
    ]
    maps = [first, *explain(others)]
    assert len({values.sum().item() for values in maps}) == len(maps)
    for values in maps:
        assert values.shape == (SIZE, SIZE)
        assert values.min() < 0 < values.max()
    assert torch.equal(explain([*others, asked])[-1], first)  # whatever is asked beside it


def test_the_network_is_left_as_it_came(asked):
    module = asked.model.module.train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    of_method("smoothgrad", samples=2)([asked, replace(asked, target=1)])
    of_control("random")([asked])
    assert module.training
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert all(weight.grad is None for weight in module.parameters())
    assert not any(part._forward_hooks or part._backward_hooks for part in module.modules())


def test_unknown_names_are_said(asked):
    with pytest.raises(UnknownNameError, match="control 'gues'"):
        of_control("gues")
    with pytest.raises(UnknownNameError, match="nothing such"):
        of_method("nothing such")([asked])
    with pytest.raises(InputError):
        of_method("saliency", steps=3)([asked])
    with pytest.raises(InputError, match="classes"):
        of_method("saliency")([replace(asked, target=9)])
