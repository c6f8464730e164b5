"""The operations of a network while it runs, each seen once, whichever module or function it came from.

Hooks on modules miss what runs between modules (functional ReLUs, residual sums, squeeze-and-excite products), see a
reused module as one, and break where a module works in place; Captum's DeepLift, guided backpropagation and LRP rest on
them. A `TorchFunctionMode` sees every operation, so a rule for an operation is right in any network.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

from layerscope.attribution.decompositions import DECOMPOSED
from layerscope.attribution.kinds import KINDS, ONE_INPUT, WEIGHTED, Kind
from layerscope.capture.forward import tensors_in
from layerscope.capture.functions import function_name
from layerscope.capture.sites import leaves, with_leaves
from layerscope.errors import InputError


class UnsupportedOperationError(InputError):
    """The network runs an operation that an attribution method has no rule for."""


class Operations(TorchFunctionMode):
    """While a network runs inside, each operation that depends on the image is given to the rule of its kind.

    What depends on the image is what requires gradients: weights are handed over detached. An operation that is linear
    in what depends on the image runs as it is, unless a subclass says otherwise. `title` is the method's, for messages.
    """

    title = "this method"

    def __init__(self) -> None:
        super().__init__()
        self.covered: Counter[str] = Counter()
        self.approximated: dict[str, str] = {}
        self._overwritten: WeakIdKeyDictionary = WeakIdKeyDictionary()

    def held(self, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """A normaliser within a decomposed operation: by the rules, or of a detached `x` to count as a weight."""
        return function(x)

    def now(self, tensor: Tensor) -> Tensor:
        """What a tensor is by now: in-place operations are run out of place, and this is what they gave."""
        while tensor in self._overwritten:
            tensor = self._overwritten[tensor]
        return tensor

    def elementwise(self, call: Call) -> Any:
        """A nonlinear function of each value by itself."""
        return self.refuse(call)

    def maximum(self, call: Call) -> Any:
        """A maximum over a window or an axis."""
        return self.refuse(call)

    def product(self, call: Call) -> Any:
        """Two tensors that both depend on the image, multiplied: bilinear."""
        return self.refuse(call)

    def softmax(self, call: Call) -> Any:
        """Along one axis."""
        return self.refuse(call)

    def linear(self, call: Call) -> Any:
        """Linear, or affine, in what depends on the image."""
        return call.run()

    def route(self, call: Call) -> Any:
        """Moves values to other places, or copies them."""
        return call.run()

    def refuse(self, call: Call) -> Any:
        """Raise UnsupportedOperationError, which names the operation."""
        raise UnsupportedOperationError(
            f"{self.title} has no rule for the operation {call.name!r}, which this network runs on values that depend "
            "on the image; choose a gradient or perturbation method, as 'integrated_gradients' or 'occlusion'"
        )

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        call = Call(func, _map(args, self._given), _map(kwargs or {}, self._given))
        if not call.data or not call.name:  # constants and attributes
            return func(*call.args, **call.kwargs)
        if not call.in_place:
            return self._by_kind(call)
        result = self._assigned(call) if call.name == "setitem" else self._by_kind(call)
        self._overwritten[args[0]] = result
        return result

    def _given(self, tensor: Tensor) -> Tensor:
        """As functions get it: overwritten, and without a graph where it is a weight."""
        return tensor.detach() if isinstance(tensor, nn.Parameter) else self.now(tensor)

    def _assigned(self, call: Call) -> Tensor:
        """A copy of a tensor, of which a part is assigned: which only moves values."""
        target, place, value = call.args
        result: Tensor = target.clone()
        result[place] = value
        return result

    def _by_kind(self, call: Call) -> Any:
        if call.name in DECOMPOSED:
            parts = DECOMPOSED[call.name](self.held, *call.args, **call.kwargs)
            if parts is not None:
                with self:
                    return parts()
        kind = self._kind(call)
        if kind is None:
            result = call.run()
            if any(tensor.requires_grad for tensor in tensors_in(result)):
                return self.refuse(call)
            return result  # a comparison, a shape, a copy without gradients: a constant
        if kind in (Kind.ELEMENTWISE, Kind.MAXIMUM, Kind.PRODUCT, Kind.SOFTMAX):
            self.covered[call.name] += 1
        return getattr(self, kind.value)(call)

    def _kind(self, call: Call) -> Kind | None:
        """Of this call: a product with a constant is linear, and a convolution with a weight that depends on the image
        is a product."""
        kind, count = KINDS.get(call.name), len(call.data)
        if kind is Kind.PRODUCT:
            return Kind.LINEAR if count == 1 else kind
        if count > 1 and call.name in WEIGHTED:
            return Kind.PRODUCT if count == 2 else None
        return None if count > 1 and call.name in ONE_INPUT else kind


class Call:
    """One call of a function of torch.

    data: the tensors among the arguments that depend on the image. name: as in sites ("add" for +=, add_, torch.add).
    """

    def __init__(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.func, self.args, self.kwargs = func, args, kwargs
        self.data = [tensor for tensor in tensors_in((self.args, self.kwargs)) if tensor.requires_grad]
        self.name = _REVERSED.get(getattr(func, "__name__", ""), function_name(func))

    def run(self) -> Any:
        """What the function gives, out of place."""
        return self.of(*self.data)

    @property
    def in_place(self) -> bool:
        """Whether the function overwrites its first argument."""
        name = getattr(self.func, "__name__", "")
        if name.startswith("__"):
            return (name.startswith("__i") and name != "__invert__") or name == "__setitem__"
        return name.endswith("_") or bool(self.kwargs.get("inplace"))

    def of(self, *values: Tensor) -> Any:
        """The function with `values` in the places of its data, out of place: they are copied where it overwrites."""
        given = iter(values)
        args = _map(self.args, lambda tensor: next(given) if tensor.requires_grad else tensor)
        kwargs = _map(self.kwargs, lambda tensor: next(given) if tensor.requires_grad else tensor)
        if self.in_place:
            args = (args[0].clone(), *args[1:])
        return self.func(*args, **kwargs)


_REVERSED = {"__rtruediv__": "rdiv", "__rdiv__": "rdiv", "__rpow__": "rpow", "true_divide": "div"}


def _map(value: Any, change: Any) -> Any:
    """Tensors in nested tuples, lists and dicts changed, in their order."""
    paths = [path for path, _ in leaves(value)]
    return with_leaves(value, dict.fromkeys(paths, change)) if paths else value
