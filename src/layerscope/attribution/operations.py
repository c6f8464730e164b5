"""The operations of a network while it runs, each seen once, whichever module or function it came from.

Hooks on modules miss what runs between modules (functional ReLUs, residual sums, squeeze-and-excite products), see a
reused module as one, and break where a module works in place; Captum's DeepLift, guided backpropagation and LRP rest on
them. A `TorchFunctionMode` sees every operation, so a rule for an operation is right in any network.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import disable_saved_tensors_hooks
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

from layerscope.attribution.call import TO_NUMBERS, Call
from layerscope.attribution.decompositions import DECOMPOSED
from layerscope.attribution.kinds import SHAPED, Kind, kind_of, unlike
from layerscope.attribution.overwriting import Overwritten
from layerscope.capture.forward import tensors_in
from layerscope.errors import InputError

_TWICE = "parts of the network run again in the backward pass"


class UnsupportedOperationError(InputError):
    """The network runs an operation that an attribution method has no rule for."""


class Operations(TorchFunctionMode):
    """While a network runs inside, each operation that depends on the image is given to the rule of its kind.

    What depends on the image is followed: as data, where it requires gradients, and cut off from the
    image, where it does not (a comparison, an index, what was detached). Weights are handed over detached. An operation
    that is linear in its data runs as it is, unless a subclass says otherwise. `title` is the method's, for messages.
    """

    title = "this method"

    def __init__(self) -> None:
        super().__init__()
        self.covered: Counter[str] = Counter()
        self.approximated: dict[str, str] = {}
        self._leaf: Tensor | None = None
        self._followed: WeakIdKeyDictionary = WeakIdKeyDictionary()  # what depends on the image: whether it is data
        self._overwritten = Overwritten()

    @contextmanager
    def following(self, leaf: Tensor, backward: bool = True) -> Iterator[Tensor]:
        """Within this context, the operations on the image that it gives are seen. leaf: what gradients are taken of,
        if `backward`.

        Raises UnsupportedOperationError for a network that runs parts of itself again in the backward pass.
        """
        self._leaf = leaf
        image = leaf.view_as(leaf)  # which may be overwritten
        self._noted(image)
        try:
            with disable_saved_tensors_hooks(_TWICE) if backward else nullcontext(), self:
                yield image
        except RuntimeError as error:
            if str(error) != _TWICE:
                raise
            raise UnsupportedOperationError(
                f"{self.title} sees only what runs once, and in this network {_TWICE} (activation checkpointing); turn "
                "that off, as set_grad_checkpointing(False) does in timm"
            ) from None

    def gradient(self, scores: Tensor) -> Tensor:
        """Of the sum of the scores [batch], by the rules, with respect to the leaf."""
        assert self._leaf is not None  # the network has run
        found: tuple[Tensor | None, ...] = (None,)
        if scores.requires_grad:
            found = torch.autograd.grad(scores.sum(), self._leaf, allow_unused=True)
        if found[0] is None:
            raise UnsupportedOperationError(
                f"{self.title} finds no way from the score to the image: the score does not depend on it, or only "
                "through decisions, or by operations that were detached"
            )
        return found[0]

    def held(self, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """A normaliser within a decomposed operation: by the rules, or of a detached `x` to count as a weight."""
        return function(x)

    def given(self, tensor: Tensor) -> Tensor:
        """A tensor as an operation gets it: as it is by now, and without a graph where it is a weight.

        Operations that work in place are run out of place, so that what it is by now may be another tensor. Not to be
        called inside the context: there, a tensor already says what it is by now.
        """
        now = self._overwritten.now(tensor)
        tensor = now if now is tensor else self._noted(now)
        if not tensor.requires_grad or self._followed.get(tensor):
            return tensor
        if tensor.is_leaf or not self._made_of_image(tensor):
            return tensor.detach()
        return self.unseen(tensor)

    def elementwise(self, call: Call) -> Any:
        """A nonlinear function of each value by itself."""
        return self.refuse(call)

    def maximum(self, call: Call) -> Any:
        """A maximum over a window."""
        return self.refuse(call)

    def product(self, call: Call) -> Any:
        """Two tensors of data, multiplied: bilinear."""
        return self.refuse(call)

    def quotient(self, call: Call) -> Any:
        """Two tensors of data, the first over the second."""
        return self.refuse(call)

    def softmax(self, call: Call) -> Any:
        """Along one axis."""
        return self.refuse(call)

    def linear(self, call: Call) -> Any:
        """Linear, or affine, in the data."""
        return call.run()

    def route(self, call: Call) -> Any:
        """Moves values to other places, or copies them."""
        return call.run()

    def constant(self, call: Call, cut: list[Tensor]) -> None:
        """Data meets what depends on the image as well, but is cut off from it."""

    def value(self, call: Call, value: Any) -> None:
        """A number, or a list or array of numbers, that depends on the image has left the tensors."""

    def unseen(self, tensor: Tensor) -> Tensor:
        """Made of data by an operation that could not be seen; gives what to go on with."""
        name = "an operation" if tensor.grad_fn is None else repr(tensor.grad_fn.name().removesuffix("Backward"))
        raise UnsupportedOperationError(
            f"{self.title} cannot see into {name}, which this network runs on values that depend on the image: a "
            f"custom autograd function, scripted or compiled code; {_INSTEAD}"
        )

    def refuse(self, call: Call) -> Any:
        """Raise UnsupportedOperationError, which names the operation."""
        raise UnsupportedOperationError(
            f"{self.title} has no rule for the operation {call.name or call.attribute!r} (with these arguments), which "
            f"this network runs on values that depend on the image; {_INSTEAD}"
        )

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        call = Call(func, args, kwargs or {}, self.given)
        cut = [tensor for tensor in call.tensors if not tensor.requires_grad and tensor in self._followed]
        if call.attribute == "_version":
            return self._overwritten.version(args[0])
        if not call.data and not cut:
            return func(*args, **(kwargs or {}))
        if cut and call.data and call.name not in SHAPED:
            self.constant(call, cut)
        result = self._by_kind(call) if call.data and call.name else self._constant(call)
        if call.target is not None:
            result = self._written(call, call.target, result)
        return self._noted(result)

    def _noted(self, result: Any) -> Any:
        """The same, followed from now on."""
        for tensor in tensors_in(result):
            self._followed[tensor] = tensor.requires_grad
        return result

    def _made_of_image(self, tensor: Tensor) -> bool:
        """Whether the graph of a tensor begins at the image."""
        seen, waiting = set(), [tensor.grad_fn]
        while waiting:
            node = waiting.pop()
            if node is None or node in seen:
                continue
            if getattr(node, "variable", None) is self._leaf:
                return True
            seen.add(node)
            waiting.extend(before for before, _ in node.next_functions)
        return False

    def _constant(self, call: Call) -> Any:
        """Of an operation without data, or an attribute."""
        if call.sets_attribute:
            return self.refuse(call)
        result = call.run()
        if call.name == TO_NUMBERS:
            self.value(call, result)
        return result

    def _written(self, call: Call, target: Tensor, result: Any) -> Tensor:
        if not isinstance(result, Tensor) or result.shape != target.shape:
            self.refuse(call)
        return self._overwritten.write(target, result)

    def _by_kind(self, call: Call) -> Any:
        if call.name in DECOMPOSED and not unlike(call):
            parts = DECOMPOSED[call.name](self.held, *call.args, **call.kwargs)
            if parts is not None:
                with self:
                    return parts()
        kind = kind_of(call)
        if kind is None:
            result = self._constant(call)
            if any(tensor.requires_grad for tensor in tensors_in(result)):
                return self.refuse(call)
            return result
        if kind in (Kind.ELEMENTWISE, Kind.MAXIMUM, Kind.PRODUCT, Kind.QUOTIENT, Kind.SOFTMAX):
            self.covered[call.name] += 1
        return getattr(self, kind.value)(call)


_INSTEAD = "choose a gradient or perturbation method, as 'integrated_gradients' or 'occlusion'"
