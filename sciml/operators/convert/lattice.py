r"""Lattices of a network at another resolution: where the points of every layer lie, and how many there are.

A layer that was trained on a lattice of spacing :math:`h_0` is used at spacing :math:`h = h_0/s`. Everything here is
exact: scales and offsets are fractions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from sciml.spaces import RegularGrid

__all__ = ["Kind", "LatticeAxis", "Window", "axes_of", "between_scales", "sample_axis"]

Kind = Literal["cell", "left", "closed", "cloud"]
HALF = Fraction(1, 2)


@dataclass(frozen=True)
class LatticeAxis:
    r"""How the points of one axis lie.

    ==========  ===========================  ================
    kind        points                       at scale ``s``
    ==========  ===========================  ================
    ``cell``    :math:`(i + 1/2) h`          :math:`s n`
    ``left``    :math:`i h`, open at right   :math:`s n`
    ``closed``  :math:`i h`, with both ends  :math:`s(n-1)+1`
    ``cloud``   anywhere                     :math:`s n`
    ==========  ===========================  ================

    Args:
        kind: One of these.
        periodic: Whether functions go on at the other end.
    """

    kind: Kind
    periodic: bool = False

    def count(self, n: int, scale: Fraction) -> Fraction:
        """Number of points at a scale, for ``n`` at the reference; not whole where the scale does not fit."""
        return scale * (n - 1) + 1 if self.kind == "closed" else scale * n

    def scale(self, n: int, reference: int) -> Fraction:
        """The scale at which ``reference`` points become ``n``; 1 for single points of a closed axis."""
        if self.kind != "closed":
            return Fraction(n, reference)
        return Fraction(n - 1, reference - 1) if reference > 1 and n > 1 else Fraction(1)


@dataclass(frozen=True)
class Window:
    """What a convolution or pool reads along one axis at the reference, in points.

    Args:
        kernel: Number of taps.
        stride: Distance of two outputs.
        dilation: Distance of two taps.
        padding: Points added before the first.
    """

    kernel: int
    stride: int = 1
    dilation: int = 1
    padding: int = 0

    @property
    def center(self) -> Fraction:
        """Middle of the window of the first output, counted from the first input."""
        return Fraction((self.kernel - 1) * self.dilation, 2) - self.padding

    @property
    def taps(self) -> list[Fraction]:
        """Places of the taps around the middle, in reference spacings."""
        middle = Fraction((self.kernel - 1) * self.dilation, 2)
        return [k * self.dilation - middle for k in range(self.kernel)]

    @property
    def tiles(self) -> bool:
        """Whether the windows cover the axis side by side: patches."""
        return self.kernel == self.stride > 1 and self.dilation == 1 and self.padding == 0

    def offset(self, kind: Kind, scale: Fraction, out_scale: Fraction) -> Fraction:
        """Middle of the first output counted from the first input, in spacings of the input at ``scale``.

        Cells of either lattice fill the same box at all scales, so their first centres move; nodes stay.
        """
        if kind != "cell":
            return scale * self.center
        return scale * (self.center + (self.stride / out_scale - self.stride + 1) / 2) - HALF


def axes_of(grid: RegularGrid) -> tuple[LatticeAxis, ...]:
    """The lattice of every axis of a grid."""
    assert isinstance(grid.periodic, Sequence)

    def kind(periodic: bool) -> Kind:
        if grid.alignment == "cell":
            return "cell"
        return "left" if periodic or grid.alignment == "left" else "closed"

    return tuple(LatticeAxis(kind(wraps), wraps) for wraps in grid.periodic)


@lru_cache(maxsize=512)
def sample_axis(n: int, count: int, first: Fraction, step: Fraction, periodic: bool, nearest: bool = False) -> Tensor:
    """Matrix ``(n, count)`` that samples the function through ``n`` points at ``first + i step``, float64.

    Between the points the function is linear (or the nearest value), beyond the ends it goes on as it ended.
    """
    places = torch.tensor([float(first + i * step) for i in range(count)], dtype=torch.float64)
    if nearest:
        low, share = torch.floor(places + 0.5).long(), torch.zeros_like(places)
    else:
        low, share = places.floor().long(), places - places.floor()
    columns, matrix = torch.arange(count), torch.zeros(n, count, dtype=torch.float64)
    for index, weight in ((low, 1 - share), (low + 1, share)):
        index = index % n if periodic else index.clamp(0, n - 1)
        matrix.index_put_((index, columns), weight, accumulate=True)
    return matrix


def between_scales(
    x: Tensor, axes: Sequence[LatticeAxis], old: Sequence[Fraction], new: Sequence[Fraction], counts: Sequence[int]
) -> Tensor:
    """Values on the last axes of a tensor, moved from the lattices of one scale to those of another; linear.

    Args:
        x: ``(..., *points)``.
        axes: Lattice per axis.
        old: Scales of the points.
        new: Scales of the result.
        counts: Points of the result, per axis.
    """
    first = x.dim() - len(axes)
    for number, (axis, s, t, count) in enumerate(zip(axes, old, new, counts, strict=True), first):
        if s == t and count == x.shape[number]:
            continue
        step = s / t
        begin = (step - 1) / 2 if axis.kind == "cell" else Fraction(0)
        matrix = sample_axis(x.shape[number], count, begin, step, axis.periodic)
        x = (x.movedim(number, -1) @ matrix.to(x)).movedim(-1, number)
    return x
