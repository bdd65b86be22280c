"""One pass of the unchanged network at the reference: the sizes that every module meets, and what it calls itself."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from sciml.operators.convert.site import Call

__all__ = ["Finding", "Trace", "evaluating", "trace"]

# Functions that read neighbouring points, or number them: what they compute changes with the lattice.
_POINTWISE_ONLY = (
    "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d convolution "
    "max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d lp_pool1d lp_pool2d lp_pool3d "
    "max_pool1d_with_indices max_pool2d_with_indices boolean_dispatch "
    "unfold fold pad roll cumsum cumprod cummax cummin logcumsumexp diff gradient interpolate upsample "
    "pixel_shuffle pixel_unshuffle grid_sample affine_grid arange linspace stft "
    "scatter_add scatter_add_ scatter_reduce scatter_reduce_ index_add index_add_ index_reduce segment_reduce"
)
# Sums grow with the number of points; on points of different weights means are no integrals either.
_SUMS = frozenset(["sum", "nansum", "prod", "logsumexp", "norm", "vector_norm"])
_MEANS = frozenset(["mean", "nanmean", "var", "std", "var_mean", "std_mean", "softmax", "log_softmax"])
# The modules that are being called, outermost first, and whether they have a rule.
Stack = list[tuple[str, bool]]
_FORBIDDEN = frozenset(_POINTWISE_ONLY.split())


@dataclass(frozen=True)
class Finding:
    """A function that a module calls by itself and that depends on the lattice.

    Args:
        path: Name of the module.
        function: Name of the function.
    """

    path: str
    function: str


@dataclass(frozen=True)
class PointAxes:
    """Which axes of a function are points.

    Args:
        ndim: Axes of a function.
        axes: Those that are points.
        cloud: Whether points have weights of their own.
    """

    ndim: int
    axes: tuple[int, ...]
    cloud: bool = False


@dataclass
class Trace:
    """What a pass at the reference showed.

    Args:
        calls: Shapes per module, in order.
        order: ``(module, call)`` in the order in which the calls ended.
        findings: Functions that depend on the lattice, outside of layers with a rule.
        output: What the network returned.
        arguments: First argument of each module's calls, for index tensors.
    """

    calls: dict[str, list[Call]] = field(default_factory=dict)
    order: list[tuple[str, Call]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    output: Any = None
    indices: dict[str, Tensor] = field(default_factory=dict)


def trace(
    model: nn.Module,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    has_rule: Callable[[str, nn.Module], bool],
    points: PointAxes,
) -> Trace:
    """Run a network once, in evaluation mode and without gradients.

    Args:
        model: The network; it is left as it was.
        args: Arguments of its forward.
        kwargs: Named arguments.
        has_rule: Whether calls inside of a module are taken care of.
        points: Which axes are points.
    """
    found = Trace()
    stack: Stack = []
    with ExitStack() as exits:
        for path, module in model.named_modules():
            begin, end = _hooks(path, found, stack, has_rule(path, module))
            exits.callback(module.register_forward_pre_hook(begin, with_kwargs=True).remove)
            exits.callback(module.register_forward_hook(end, with_kwargs=True, always_call=True).remove)
        exits.enter_context(evaluating(model))
        exits.enter_context(_Watch(found, stack, points))
        found.output = model(*args, **kwargs)
    found.findings = list(dict.fromkeys(found.findings))
    return found


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; every module's mode is restored."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode


class _Watch(TorchFunctionMode):
    """Notes the functions called by modules without a rule."""

    def __init__(self, found: Trace, stack: Stack, points: PointAxes) -> None:
        super().__init__()
        self._found, self._stack, self._points = found, stack, points

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        path, known = self._stack[-1] if self._stack else ("", True)
        if not known and not any(rule for _, rule in self._stack):
            name = getattr(func, "__name__", "")
            if (
                name in _FORBIDDEN
                or name.startswith("fft_")
                or _slices_points(name, args, self._points)
                or _sums_points(name, args, kwargs or {}, self._points)
            ):
                self._found.findings.append(Finding(path, name))
        return func(*args, **(kwargs or {}))


def _slices_points(name: str, args: Sequence[Any], points: PointAxes) -> bool:
    """Whether an index takes every second point or so, or cuts an axis of points of a dense function."""
    if name != "__getitem__" or not isinstance(args[0], Tensor):
        return False
    index = args[1] if isinstance(args[1], tuple) else (args[1],)
    if any(isinstance(i, slice) and i.step not in (None, 1) for i in index):
        return True
    if points.axes[0] != 2 or args[0].dim() != points.ndim:
        return False
    missing = args[0].dim() - sum(i is not None and i is not Ellipsis for i in index)
    full = [j for i in index for j in ([slice(None)] * missing if i is Ellipsis else [i]) if j is not None]
    return any(isinstance(i, slice) and i != slice(None) for i in full[2:])


def _sums_points(name: str, args: Sequence[Any], kwargs: Mapping[str, Any], points: PointAxes) -> bool:
    """Whether a function adds up values at points by their number."""
    if name not in _SUMS and not (points.cloud and name in _MEANS):
        return False
    if not args or not isinstance(args[0], Tensor) or args[0].dim() != points.ndim:
        return False
    position = 2 if name in ("norm", "vector_norm") else 1
    dims = kwargs.get("dim", args[position] if len(args) > position else None)
    if dims is None or isinstance(dims, torch.dtype):
        return True
    return any(d % points.ndim in points.axes for d in ([dims] if isinstance(dims, int) else dims))


def _hooks(path: str, found: Trace, stack: Stack, known: bool) -> tuple[Callable[..., None], Callable[..., None]]:
    def begin(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        stack.append((path, known))

    def end(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        if stack and stack[-1][0] == path:
            stack.pop()
        inputs, result = _first_tensor((*args, *kwargs.values())), _first_tensor(output)
        call = Call(_shape(inputs), _shape(result))
        if inputs is not None and not inputs.is_floating_point():
            found.indices.setdefault(path, inputs.detach().clone())
        found.calls.setdefault(path, []).append(call)
        found.order.append((path, call))

    return begin, end


def _first_tensor(value: Any) -> Tensor | None:
    if isinstance(value, Tensor):
        return value
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, tuple | list):
        return next((t for t in map(_first_tensor, value) if t is not None), None)
    return None


def _shape(value: Tensor | None) -> tuple[int, ...]:
    return () if value is None else tuple(value.shape)
