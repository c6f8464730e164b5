"""The names of sites: the output of one call of a module, the result of one function, one tensor of several.

layer1.0.conv1      the output of a module; of its first call, where it is called several times
layer1.0.relu#1     the output of its second call
layer4.0/add#1      the result of the second addition that `layer4.0` itself computes, between its parts
/flatten            the result of a function in the forward of the network itself
lstm[0], out[aux]   one tensor of a tuple, list, dict or dataclass; "[1][0]" where they are nested
layer1.*            a pattern: all calls of all modules that it matches, with a "/" in it: all functions
"""

from __future__ import annotations

import copy
import fnmatch
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from torch import Tensor, nn

from layerscope.errors import InputError, UnknownNameError

Place = tuple[str, int]  # "layer1.0.relu" or "layer4.0/add", and the number of the call

_NAME = re.compile(r"(?P<name>.*?)(#(?P<call>\d+))?(?P<path>(\[[^\[\]]*\])*)", re.DOTALL)


@dataclass(frozen=True)
class Wanted:
    """What one entry of a list of layers asks for.

    Attributes:
        asked: the entry as it was written.
        names: the modules that it means; one module for a function (the one that computes it), or all that match.
        function: the function, or a pattern for it; "" where the modules themselves are meant.
        call: the number of the call, None for every call.
        path: which of several tensors; "" for the first.
        exact: one site, not a pattern.
    """

    asked: str
    names: tuple[str, ...]
    function: str
    call: int | None
    path: str
    exact: bool

    @property
    def place(self) -> Place:
        """The one place of an exact entry."""
        return (f"{self.names[0]}/{self.function}" if self.function else self.names[0]), self.call or 0

    def wants(self, name: str, call: int) -> bool:
        """Whether this call of `name` is meant."""
        module, slash, function = name.rpartition("/") if self.function else (name, "", "")
        if module not in self.names or self.call not in (None, call):
            return False
        return not self.function or (bool(slash) and fnmatch.fnmatchcase(function, self.function))


def find(module: nn.Module, layers: Sequence[str]) -> list[Wanted]:
    """What each entry of `layers` means in `module`. Raises UnknownNameError for one that means nothing."""
    if not all(isinstance(asked, str) for asked in layers):
        wrong = next(asked for asked in layers if not isinstance(asked, str))
        raise InputError(f"{wrong!r} is no layer; layers are named by text, as 'layer1.0.conv1'")
    known = {name: None for name, _ in module.named_modules(remove_duplicate=False)}  # in order
    return [_exact(asked, known) or _pattern(asked, known) for asked in layers]


def first_name(module: nn.Module, name: str) -> str:
    """The same site under the first of the names that its module is registered under."""
    base, call, path = split(name)
    part, slash, function = base.rpartition("/") if "/" in base else (base, "", "")
    named = dict(module.named_modules(remove_duplicate=False))
    if part in named:
        part = next(other for other, same in named.items() if same is named[part])
    return f"{part}{slash}{function}{'' if call is None else f'#{call}'}{path}"


def split(name: str) -> tuple[str, int | None, str]:
    """Split "relu#1[0]" into ("relu", 1, "[0]"), and "relu" into ("relu", None, "")."""
    found = _NAME.fullmatch(name)
    assert found is not None  # the expression matches every text
    return found["name"], None if found["call"] is None else int(found["call"]), found["path"]


def leaves(output: object, path: str = "") -> Iterator[tuple[str, Tensor]]:
    """All tensors in nested tuples, lists, dicts and dataclasses, each with its path: "[0]", "[aux][1]", "" if bare."""
    if isinstance(output, Tensor):
        yield path, output
        return
    for key, part in _parts(output):
        yield from leaves(part, f"{path}[{key}]")


def with_leaves(output: object, changes: Mapping[str, Callable[[Tensor], Tensor]], path: str = "") -> object:
    """A copy of nested tuples, lists, dicts and dataclasses in which the tensors at some paths are changed."""
    if isinstance(output, Tensor):
        return changes[path](output) if path in changes else output
    if not any(changed.startswith(path) for changed in changes):
        return output  # also what cannot be made anew, as torch.Size
    parts = {key: with_leaves(part, changes, f"{path}[{key}]") for key, part in _parts(output)}
    if isinstance(output, Mapping):
        whole: Any = copy.copy(output)
        for key, part in parts.items():
            whole[key] = part
        return whole
    if isinstance(output, list):
        return [*parts.values()] if type(output) is list else type(output)(parts.values())
    if isinstance(output, tuple):
        return tuple.__new__(type(output), parts.values())  # as namedtuples do it, whatever their __new__ takes
    if parts:
        whole = copy.copy(output)
        for key, part in parts.items():
            object.__setattr__(whole, key, part)  # frozen ones too
        return whole
    return output


def _parts(output: object) -> Iterable[tuple[Any, object]]:
    if isinstance(output, Mapping):
        return output.items()
    if isinstance(output, (tuple, list)):
        return enumerate(output)
    if is_dataclass(output) and not isinstance(output, type):
        return ((field.name, getattr(output, field.name)) for field in fields(output))
    return ()


def _exact(asked: str, known: Collection[str]) -> Wanted | None:
    if asked in known:  # whatever signs the name holds
        return Wanted(asked, (asked,), "", 0, "", exact=True)
    name, call, path = split(asked)
    if name in known:
        return Wanted(asked, (name,), "", call or 0, path, exact=True)
    module, slash, function = name.rpartition("/")
    if slash and function and module in known and not _is_pattern(function):
        return Wanted(asked, (module,), function, call or 0, path, exact=True)
    return None


def _pattern(asked: str, known: Collection[str]) -> Wanted:
    pattern, mark, number = asked.rpartition("#") if re.search(r"#\d+$", asked) else (asked, "", "")
    call = int(number) if mark else None
    name, slash, function = pattern.rpartition("/") if "/" in pattern else (pattern, "", "")
    # a pattern does not mean the network itself, but functions of it
    matches = tuple(other for other in known if (other or slash) and fnmatch.fnmatchcase(other, name))
    if not matches or (slash and not function):
        raise UnknownNameError.among("layer", asked, filter(None, known))
    return Wanted(asked, matches, function, call, "", exact=False)


def _is_pattern(text: str) -> bool:
    return any(mark in text for mark in "*?[")
