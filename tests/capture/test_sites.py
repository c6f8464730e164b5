from __future__ import annotations

from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from layerscope.capture.functions import function_name
from layerscope.capture.sites import find, leaves, split, with_leaves
from layerscope.errors import UnknownNameError

Pair = namedtuple("Pair", "left right")  # the plain kind is what networks return


@dataclass(frozen=True)
class Answer:
    logits: Tensor
    extra: object = None


NET = nn.Sequential(OrderedDict(a=nn.Sequential(nn.ReLU(), nn.Conv2d(3, 4, 1)), b=nn.ReLU()))

outputs = st.recursive(
    st.one_of(st.none(), st.integers(), st.integers(1, 4).map(lambda n: torch.arange(float(n)))),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.sampled_from(["out", "aux", 3]), inner, max_size=3),
        st.tuples(inner, inner).map(lambda pair: Pair(*pair)),
        st.tuples(st.just(torch.ones(2)), inner).map(lambda pair: Answer(*pair)),
    ),
    max_leaves=8,
)


@given(outputs)
def test_changing_every_tensor_keeps_the_form(output: object) -> None:
    before = dict(leaves(output))
    changed = with_leaves(output, {path: lambda tensor: tensor + 1 for path in before})
    assert type(changed) is type(output)
    after = dict(leaves(changed))
    assert list(after) == list(before)
    assert all(torch.equal(after[path], before[path] + 1) for path in before)
    assert all(torch.equal(tensor, before[path]) for path, tensor in leaves(output))


def test_only_what_is_named_changes() -> None:
    output = {"out": (torch.zeros(1), [torch.zeros(1)]), "aux": Answer(torch.zeros(1), Pair(torch.zeros(1), 5))}
    assert [path for path, _ in leaves(output)] == ["[out][0]", "[out][1][0]", "[aux][logits]", "[aux][extra][0]"]
    changed = with_leaves(output, {"[aux][extra][0]": torch.exp})
    assert [tensor.item() for _, tensor in leaves(changed)] == [0, 0, 0, 1]
    assert changed["aux"].extra.right == 5


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("layer1.0.relu", ("layer1.0.relu", None, "")),
        ("layer1.0.relu#1", ("layer1.0.relu", 1, "")),
        ("lstm#2[0]", ("lstm", 2, "[0]")),
        ("out[aux][1]", ("out", None, "[aux][1]")),
        ("", ("", None, "")),
    ],
)
def test_names_in_their_parts(text: str, parts: tuple[str, int | None, str]) -> None:
    assert split(text) == parts


@pytest.mark.parametrize(
    ("asked", "wanted", "unwanted"),
    [
        ("a.0", [("a.0", 0)], [("a.0", 1), ("a.1", 0)]),
        ("a.0#1", [("a.0", 1)], [("a.0", 0)]),
        ("a.*", [("a.0", 0), ("a.1", 7)], [("a", 0), ("b", 0)]),
        ("?", [("a", 0), ("b", 3)], [("a.0", 0)]),
        ("[out]", [("", 0)], [("a", 0)]),
        ("a.*#1", [("a.0", 1)], [("a.0", 0)]),
        ("a/add", [("a/add", 0)], [("a/add", 1), ("a", 0), ("a.0/add", 0)]),
        ("/flatten", [("/flatten", 0)], [("a/flatten", 0)]),
        ("a*/add", [("a/add", 2), ("a.0/add", 0)], [("b/add", 0), ("a/mul", 0)]),
        ("*/*#1", [("/add", 1), ("b/mul", 1)], [("b/mul", 0), ("b", 1)]),
    ],
)
def test_what_a_name_means(asked: str, wanted: list[tuple[str, int]], unwanted: list[tuple[str, int]]) -> None:
    found = find(NET, [asked])[0]
    assert all(found.wants(*place) for place in wanted)
    assert not any(found.wants(*place) for place in unwanted)


@pytest.mark.parametrize("asked", ["c", "c.*", "c/add", "a/", "b.*", "x[0]", "*/"])
def test_what_means_nothing_is_said(asked: str) -> None:
    with pytest.raises(UnknownNameError, match=r"^no layer '"):
        find(NET, [asked])


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (torch.add, "add"),
        (Tensor.__add__, "add"),
        (Tensor.__iadd__, "add"),
        (Tensor.__radd__, "add"),
        (Tensor.add_, "add"),
        (Tensor.__rsub__, "sub"),
        (Tensor.__truediv__, "div"),
        (Tensor.__imul__, "mul"),
        (Tensor.__matmul__, "matmul"),
        (Tensor.__getitem__, "getitem"),
        (nn.functional.relu_, "relu"),
        (nn.functional.gelu, "gelu"),
        (torch.flatten, "flatten"),
        (Tensor.is_cuda.__get__, ""),
    ],
)
def test_names_of_functions(function: object, name: str) -> None:
    assert function_name(function) == name
