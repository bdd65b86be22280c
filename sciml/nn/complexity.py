"""What a model costs: numbers of parameters, bytes, and operations of one forward pass."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

__all__ = ["fft_flops", "model_complexity"]


def fft_flops(points: int, transforms: int = 1, real: bool = False) -> int:
    r"""Operations of fast Fourier transforms by the usual count :math:`5\, n \log_2 n`, half of it for real functions.

    Args:
        points: Points :math:`n` of one transform, over all transformed axes.
        transforms: Number of transforms.
        real: Input or output are real.

    Example:
        >>> fft_flops(1024), fft_flops(1024, transforms=2, real=True)
        (51200, 51200)
    """
    flops = 5 * points * math.log2(points) * transforms if points > 1 else 0.0
    return round(flops / 2 if real else flops)


def model_complexity(
    model: nn.Module, batch: Mapping[str, Any], inputs: Mapping[str, str] | None = None
) -> dict[str, int]:
    """Numbers of parameters, bytes, and operations of one forward pass on a batch.

    Counted are matrix products, convolutions, attention and Fourier transforms, a multiplication and an addition as two
    operations, and complex products as four real ones; elementwise work is not.

    Args:
        model: Any model; it is called once, in evaluation mode and without gradients.
        batch: Inputs by the names of the arguments of ``forward`` (``u`` falls back to ``x``).
        inputs: Argument of ``forward`` to batch key, where the names differ.

    Returns:
        ``parameters``: real numbers, a complex parameter being two (some papers, and ``neuraloperator``, count one);
        ``bytes`` of parameters and buffers; ``flops`` of the forward pass on the whole batch.

    Raises:
        ValueError: If an argument of ``forward`` is not in the batch.

    Example:
        >>> model_complexity(nn.Linear(3, 5, bias=False), {"input": torch.zeros(2, 3)})
        {'parameters': 15, 'bytes': 60, 'flops': 60}
    """
    arguments = _arguments(model, batch, inputs or {})
    training = model.training
    model.eval()
    try:
        with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=_FORMULAS) as counter:
            model(**arguments)
    finally:
        model.train(training)
    parameters = list(model.parameters())
    return {
        "parameters": sum(p.numel() * (2 if p.is_complex() else 1) for p in parameters),
        "bytes": sum(t.numel() * t.element_size() for t in (*parameters, *model.buffers())),
        "flops": int(counter.get_total_flops()),
    }


def _arguments(model: nn.Module, batch: Mapping[str, Any], inputs: Mapping[str, str]) -> dict[str, Any]:
    found = {}
    for name, parameter in inspect.signature(model.forward).parameters.items():
        key = inputs.get(name, "x" if name == "u" and "u" not in batch else name)
        if key in batch:
            found[name] = batch[key]
        elif parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
            raise ValueError(f"forward of {type(model).__name__} takes {name}, but the batch holds {sorted(batch)}.")
    return found


def _raw(formula: Callable[..., int]) -> Callable[..., int]:
    # The mark makes the counter pass tensors, not shapes: complex ones count differently.
    formula._get_raw = True  # type: ignore[attr-defined]
    return formula


def _product(first: int) -> Callable[..., int]:
    """Operations of a matrix product whose left factor is argument number ``first``."""

    def flops(*args: Any, out_val: Any = None, **kwargs: Any) -> int:
        left, right = args[first], args[first + 1]
        return 2 * left.numel() * right.shape[-1] * (4 if left.is_complex() else 1)

    return _raw(flops)


def _transform(real: bool) -> Callable[..., int]:
    def flops(x: Tensor, dim: Any, *args: Any, out_val: Any = None, **kwargs: Any) -> int:
        full = out_val if out_val is not None and not out_val.is_complex() else x  # the side that is not halved
        points = math.prod(full.shape[d] for d in dim)
        return fft_flops(points, full.numel() // points, real=real)

    return _raw(flops)


_aten = torch.ops.aten
_FORMULAS = {
    _aten.mm: _product(0),
    _aten.bmm: _product(0),
    _aten.addmm: _product(1),
    _aten.baddbmm: _product(1),
    _aten._fft_r2c: _transform(real=True),
    _aten._fft_c2r: _transform(real=True),
    _aten._fft_c2c: _transform(real=False),
}
