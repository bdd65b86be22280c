"""Norms of functions with weights in tensors, dense or in consecutive pieces; one value a function.

Dense values are ``(B, C, *points)`` with weights that broadcast to them. Where ``ptr`` is given, values are
``(total, C)``, weights ``(total, 1)``, and function i has the rows ``ptr[i]`` to ``ptr[i + 1]``.
"""

import torch
from torch import Tensor

__all__ = ["integral", "l1", "l2", "linf"]


def _reduce(terms: Tensor, ptr: Tensor | None, how: str) -> Tensor:
    """Over the points of each function, ``(B, C)``."""
    if ptr is None:
        flat = terms.flatten(2)
        return flat.sum(2) if how == "sum" else flat.amax(2)
    return torch.segment_reduce(terms, how, offsets=ptr, axis=0, unsafe=True)


def integral(values: Tensor, weights: Tensor, ptr: Tensor | None) -> Tensor:
    """Weighted sums over points, ``(B, C)``."""
    return _reduce(values * weights, ptr, "sum")


def l1(values: Tensor, weights: Tensor, ptr: Tensor | None) -> Tensor:
    """L1 norms ``(B,)``."""
    return _reduce(values.abs() * weights, ptr, "sum").sum(1)


def l2(values: Tensor, weights: Tensor, ptr: Tensor | None) -> Tensor:
    """L2 norms ``(B,)``, with the subgradient 0 at 0."""
    if ptr is None:
        return torch.linalg.vector_norm((values * weights.sqrt()).flatten(1), dim=1)
    squares = (values.abs().square() * weights).sum(1, keepdim=True)
    sums = _reduce(squares, ptr, "sum")[:, 0]
    # Two replacements: the gradient of a root at 0 is infinite even where its value is not taken.
    return torch.where(sums > 0, torch.where(sums > 0, sums, 1).sqrt(), 0)


def linf(values: Tensor, weights: Tensor, ptr: Tensor | None) -> Tensor:
    """Largest absolute values ``(B,)``; the weights are not used."""
    return _reduce(values.abs(), ptr, "max").amax(1)
