r"""Kernels at another resolution: matrices from the taps of the reference to the points of the lattice in use.

With :math:`\varphi(z) = \max(0, 1-|z|)`, taps at :math:`z_k` (in reference spacings, around the output) and points
:math:`m` of a lattice that is :math:`s` times finer, the first output lying at point :math:`o`:

============  =====================================================================================
hat           :math:`T_{km} = \varphi((m-o)/s - z_k)/s`, rows divided by their sums; for
              :math:`s < 1` as stencil
stencil       :math:`T_{km} = \varphi(m - o - s z_k)`
cells         overlap of the cell :math:`m` with the cell of tap :math:`k`, divided by :math:`s`
differential  :math:`T = S^{-1} \mathrm{diag}(s^a) S` for central differences :math:`S_a` of order
              :math:`a`
============  =====================================================================================

All are the identity at :math:`s = 1`. For whole :math:`s` the hat is a mean over :math:`s` points, twice: instead of a
large kernel, the input is averaged and the taps stay as they are, :math:`s` points apart. Cells are one such mean.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from sciml.errors import ConversionError
from sciml.operators.convert.lattice import Window

__all__ = [
    "Taps",
    "box_taps",
    "central_differences",
    "cubic_taps",
    "differential_taps",
    "hat_taps",
    "refine",
    "smooth",
    "stencil_taps",
]

HALF = Fraction(1, 2)


@dataclass(frozen=True, eq=False)
class Taps:
    """A window of the reference along one axis, at another resolution.

    Args:
        first: First point that the first output reads; negative before the lattice.
        taps: Number of taps now.
        stride: Points between two outputs.
        dilation: Points between two taps.
        matrix: ``(taps of the reference, taps now)``, float64; None where they are the same.
        boxes: The values that the taps read are means over so many points, one after the other.
        weights: Or they are sums of neighbouring points with these weights.
    """

    first: int
    taps: int
    stride: int
    dilation: int = 1
    matrix: Tensor | None = None
    boxes: tuple[int, ...] = ()
    weights: tuple[float, ...] = ()

    @property
    def reach(self) -> int:
        """Number of points from the first to the last that an output reads."""
        return (self.taps - 1) * self.dilation + 1 + self.blur

    @property
    def blur(self) -> int:
        """Points that one value read by a tap reaches, but one."""
        return sum(width - 1 for width in self.boxes) + max(len(self.weights) - 1, 0)

    @property
    def last(self) -> int:
        """Last point that the first output reads."""
        return self.first + self.reach - 1


def hat_taps(window: Window, scale: Fraction, offset: Fraction, stride: int) -> Taps:
    """Taps of the piecewise linear kernel through the reference's taps; each tap keeps its weight in sum.

    A single tap reads the point where it stands.
    """
    if scale <= 1 or window.kernel == 1:
        return stencil_taps(window, scale, offset, stride)
    first = offset + scale * window.taps[0]
    if scale.denominator == 1 and first.denominator <= 2:
        # The mean of two neighbours moves a hat by half a point.
        boxes = (int(scale),) * 2 + (2,) * (first.denominator - 1)
        return _averaged(window, scale, first, stride, boxes)
    return _hat_matrix(window, scale, offset, stride)


@lru_cache(maxsize=512)
def _hat_matrix(window: Window, scale: Fraction, offset: Fraction, stride: int) -> Taps:
    places = [offset + scale * z for z in window.taps]
    first, last = math.floor(places[0] - scale) + 1, math.ceil(places[-1] + scale) - 1
    points = np.arange(first, last + 1)
    matrix = _hat((points[None] - _column(places)) / float(scale))
    return Taps(first, len(points), stride, 1, torch.from_numpy(matrix / matrix.sum(1, keepdims=True)))


@lru_cache(maxsize=512)
def cubic_taps(window: Window, scale: Fraction, offset: Fraction, stride: int) -> Taps:
    """Taps of the piecewise cubic kernel (Keys 1981) through the reference's taps, which has no second moment.

    Where a hat is an average of its neighbourhood, this one agrees with the value in its middle to third order.
    """
    if scale <= 1 or window.kernel == 1:
        return stencil_taps(window, scale, offset, stride)
    first = offset + scale * window.taps[0]
    if (scale * window.dilation).denominator == 1:
        begin, end = math.floor(first - 2 * scale) + 1, math.ceil(first + 2 * scale) - 1
        points = np.arange(begin, end + 1)
        weights = _keys((points - float(first)) / float(scale))
        weights /= weights.sum()
        return Taps(begin, window.kernel, stride, int(scale * window.dilation), None, (), tuple(weights.tolist()))
    places = [offset + scale * z for z in window.taps]
    begin, end = math.floor(places[0] - 2 * scale) + 1, math.ceil(places[-1] + 2 * scale) - 1
    points = np.arange(begin, end + 1)
    matrix = _keys((points[None] - _column(places)) / float(scale))
    return Taps(begin, len(points), stride, 1, torch.from_numpy(matrix / matrix.sum(1, keepdims=True)))


@lru_cache(maxsize=512)
def stencil_taps(window: Window, scale: Fraction, offset: Fraction, stride: int) -> Taps:
    """Taps where those of the reference lie, between two points by linear interpolation."""
    places = [offset + scale * z for z in window.taps]
    step = scale * window.dilation
    if places[0].denominator == 1 and (step.denominator == 1 or window.kernel == 1):
        return Taps(int(places[0]), window.kernel, stride, int(step) if window.kernel > 1 else 1)
    first, last = math.floor(places[0]), math.ceil(places[-1])
    points = np.arange(first, last + 1)
    return Taps(first, len(points), stride, 1, torch.from_numpy(_hat(points[None] - _column(places))))


@lru_cache(maxsize=512)
def box_taps(window: Window, scale: Fraction, offset: Fraction, stride: int) -> Taps:
    """Taps of the kernel that is constant on every cell of the reference."""
    places = [offset + scale * z for z in window.taps]
    if scale.denominator == 1 and (places[0] - (scale - 1) / 2).denominator == 1:
        return _averaged(window, scale, places[0], stride, (int(scale),))
    first = math.floor(places[0] - scale / 2 + HALF)
    last = math.ceil(places[-1] + scale / 2 - HALF)
    points, middle, half = np.arange(first, last + 1)[None], _column(places), float(scale) / 2
    overlap = np.minimum(points + 0.5, middle + half) - np.maximum(points - 0.5, middle - half)
    return Taps(first, last - first + 1, stride, 1, torch.from_numpy(np.maximum(overlap, 0) / float(scale)))


def _averaged(window: Window, scale: Fraction, first: Fraction, stride: int, boxes: tuple[int, ...]) -> Taps:
    begin = first - Fraction(sum(width - 1 for width in boxes), 2)
    return Taps(int(begin), window.kernel, stride, int(scale * window.dilation), None, boxes)


@lru_cache(maxsize=512)
def differential_taps(window: Window, scale: Fraction, offset: Fraction, stride: int) -> Taps:
    """Taps of the differential operator whose differences at the reference are its taps.

    Raises:
        ConversionError: If the kernel is even, or the output lies between two points.
    """
    if window.kernel % 2 == 0:
        raise ConversionError(f"the differential form needs an odd kernel, not {window.kernel}; convert it as 'hat'.")
    if offset.denominator != 1:
        raise ConversionError(
            f"the differential form cannot be placed between two points (at scale {scale}); convert it as 'hat'."
        )
    differences = central_differences(window.kernel)
    powers = np.diag(float(scale) ** np.arange(window.kernel))
    matrix = np.linalg.solve(differences, powers @ differences)
    first = int(offset) - (window.kernel - 1) // 2 * window.dilation
    return Taps(first, window.kernel, stride, window.dilation, torch.from_numpy(matrix))


def central_differences(taps: int) -> np.ndarray:
    """Central differences of orders ``0 ... taps - 1`` on an odd number of points, one per row, on unit spacing.

    Example:
        >>> central_differences(3).tolist()
        [[0.0, 1.0, 0.0], [-0.5, 0.0, 0.5], [1.0, -2.0, 1.0]]
    """
    rows = []
    for order in range(taps):
        row = np.ones(1)
        for _ in range(order // 2):
            row = np.convolve(row, [1.0, -2.0, 1.0])
        if order % 2:
            row = np.convolve(row, [-0.5, 0.0, 0.5])
        rows.append(np.pad(row, (taps - len(row)) // 2))
    return np.stack(rows)


def refine(weight: Tensor, taps: tuple[Taps, ...]) -> Tensor:
    """The kernel ``(out, in, *taps of the reference)`` as ``(out, in, *taps now)``; differentiable."""
    for axis, t in enumerate(taps, weight.dim() - len(taps)):
        if t.matrix is not None:
            weight = torch.tensordot(weight, t.matrix.to(weight), ([axis], [0])).movedim(-1, axis)
    return weight


def smooth(x: Tensor, taps: tuple[Taps, ...]) -> Tensor:
    """Means of ``(batch, channels, *points)`` along the last axes, as the taps want to read them."""
    for axis, t in enumerate(taps, x.dim() - len(taps)):
        for width in t.boxes:
            x = _mean(x, axis, width)
        if t.weights:
            length = x.shape[axis] - t.blur
            terms = [w * x.narrow(axis, m, length) for m, w in enumerate(t.weights) if w]
            x = torch.stack(terms).sum(0) if len(terms) > 8 else sum(terms[1:], terms[0])
    return x


def _mean(x: Tensor, axis: int, width: int) -> Tensor:
    """Mean over ``width`` neighbours: two, then two of these, and so on."""
    step, rest = 1, width
    while rest > 1:
        parts = 2 if rest % 2 == 0 else rest
        length = x.shape[axis] - (parts - 1) * step
        total = x.narrow(axis, 0, length)
        for part in range(1, parts):
            total = total + x.narrow(axis, part * step, length)
        x, step, rest = total, step * parts, rest // parts
    return x / width


def _hat(z: np.ndarray) -> np.ndarray:
    return np.maximum(0.0, 1.0 - np.abs(z))


def _keys(z: np.ndarray) -> np.ndarray:
    z = np.abs(z)
    near, far = 1 - 2.5 * z**2 + 1.5 * z**3, 2 - 4 * z + 2.5 * z**2 - 0.5 * z**3
    return np.where(z < 1, near, np.where(z < 2, far, 0.0))


def _column(places: list[Fraction]) -> np.ndarray:
    return np.array([float(p) for p in places])[:, None]
