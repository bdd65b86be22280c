"""A converted network at twice the resolution, to find sizes that are fixed in its code."""

import traceback
from contextlib import ExitStack
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn

from sciml.errors import ConversionError
from sciml.operators.convert.operator import OperatorModule
from sciml.operators.convert.trace import evaluating

__all__ = ["check_refined"]

TWO = Fraction(2)


def check_refined(operator: OperatorModule, x: Tensor) -> None:
    """Run a converted network at twice the resolution of its reference.

    Args:
        operator: The converted network.
        x: An input at the reference.

    Raises:
        ConversionError: If it fails; names the module, and the line of its code.
    """
    first = 1 if operator.layout == "channels-last" else x.dim() - len(operator.axes)
    for number, (axis, n) in enumerate(zip(operator.axes, operator.reference_shape, strict=True), first):
        x = x.repeat_interleave(2, number).narrow(number, 0, int(axis.count(n, TWO)))
    stack: list[str] = []
    with ExitStack() as exits:
        for path, module in operator.network.named_modules():
            exits.callback(module.register_forward_pre_hook(_push(stack, path)).remove)
            exits.callback(module.register_forward_hook(_pop(stack)).remove)
        exits.enter_context(evaluating(operator))
        try:
            cloud = operator.axes[0].kind == "cloud"
            operator(x, weights=torch.ones(x.shape[first], device=x.device) if cloud else None)
        except ConversionError as error:
            place = f"in {stack[-1]}" if stack and stack[-1] else "in the network"
            raise ConversionError(f"{error} (At twice the resolution, {place}{_line(error)})") from error


def _push(stack: list[str], path: str) -> Any:
    def push(module: nn.Module, args: Any) -> None:
        stack.append(path)

    return push


def _pop(stack: list[str]) -> Any:
    def pop(module: nn.Module, args: Any, output: Any) -> None:
        stack.pop()

    return pop


def _line(error: BaseException) -> str:
    """The innermost line of the network's own code where it failed."""
    root = error.__cause__ or error
    frames = traceback.extract_tb(root.__traceback__)
    outside = [f for f in frames if not any(part in f.filename.replace("\\", "/") for part in _OURS)]
    return f", {outside[-1].filename}:{outside[-1].lineno}: {outside[-1].line}" if outside else ""


_OURS = ("torch/nn/", "torch/utils/", "sciml/operators/convert/", "torch/_")
