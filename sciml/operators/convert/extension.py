"""Values beyond the ends of a lattice, as a convolution pads them."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from sciml.errors import ConversionError

__all__ = ["extend"]

_MODES = ("zeros", "reflect", "replicate", "circular")


def extend(x: Tensor, amounts: Sequence[tuple[int, int]], modes: Sequence[str], value: float = 0.0) -> Tensor:
    """Add points before and after the last axes, or take them away where the amount is negative.

    Args:
        x: ``(batch, channels, *points)``.
        amounts: Points before and after, per axis.
        modes: ``zeros``, ``reflect``, ``replicate`` or ``circular``, per axis.
        value: What ``zeros`` fills in.

    Raises:
        ConversionError: If a reflection reaches beyond the other end.
    """
    first = x.dim() - len(amounts)
    for axis, (left, right) in enumerate(amounts, first):
        if left < 0 or right < 0:
            x = x.narrow(axis, max(-left, 0), x.shape[axis] - max(-left, 0) - max(-right, 0))
    zeros = [(max(a, 0), max(b, 0)) if mode == "zeros" else (0, 0) for (a, b), mode in zip(amounts, modes, strict=True)]
    if any(map(any, zeros)):
        x = F.pad(x, [n for pair in reversed(zeros) for n in pair], value=value)
    return _extend_function(x, [(max(a, 0), max(b, 0)) for a, b in amounts], modes, first)


def _extend_function(x: Tensor, amounts: Sequence[tuple[int, int]], modes: Sequence[str], first: int) -> Tensor:
    sizes = x.shape[first:]
    rest = [(a, b) if mode != "zeros" else (0, 0) for (a, b), mode in zip(amounts, modes, strict=True)]
    wanted = {mode for mode, pair in zip(modes, rest, strict=True) if any(pair)}
    if not wanted:
        return x
    if len(wanted) == 1 and len(rest) <= 3 and all(max(pair) < n for pair, n in zip(rest, sizes, strict=True)):
        return F.pad(x, [n for pair in reversed(rest) for n in pair], mode=wanted.pop())
    for axis, ((left, right), mode) in enumerate(zip(rest, modes, strict=True), first):
        if left or right:
            x = x.index_select(axis, _source(x.shape[axis], left, right, mode).to(x.device))
    return x


def _source(n: int, left: int, right: int, mode: str) -> Tensor:
    index = torch.arange(-left, n + right)
    if mode == "circular":
        return index % n
    if mode == "replicate":
        return index.clamp(0, n - 1)
    if mode == "reflect":
        if max(left, right) >= n:
            raise ConversionError(f"reflecting {max(left, right)} points needs more than the {n} there are.")
        return (n - 1) - ((n - 1) - index.abs()).abs()
    raise ConversionError(f"padding_mode is {mode!r}, expected one of {', '.join(_MODES)}.")
