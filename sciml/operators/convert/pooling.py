"""Pools whose windows are parts of space: the mean or the largest value over the same lengths on any lattice."""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sciml.errors import ConversionError
from sciml.operators.convert.extension import extend
from sciml.operators.convert.lattice import LatticeAxis, Window
from sciml.operators.convert.site import Site

__all__ = [
    "LatticeAvgPool1d",
    "LatticeAvgPool2d",
    "LatticeAvgPool3d",
    "LatticeMaxPool1d",
    "LatticeMaxPool2d",
    "LatticeMaxPool3d",
    "pool_class",
]


class _Place:
    """One axis of a pool in the present pass."""

    def __init__(self, site: Site, axis: LatticeAxis, window: Window, s: Fraction, n_out: int) -> None:
        self.out_scale, self.stride = site.out_scale(s, window)
        self.count = site.count(axis, n_out, self.out_scale)
        self.middle = window.offset(axis.kind, s, self.out_scale)
        self.window, self.scale, self.axis = window, s, axis


class _AvgPool(nn.Module):
    """A torch average pool whose window is a length: the mean over all points in it, those at its ends in part."""

    site: Site

    def forward(self, input: Tensor) -> Tensor:
        """Pool ``(batch, channels, *points)``."""
        dim = _dim(self)
        call = self.site.call()
        scales = self.site.scales(input.shape[-dim:], call.inputs[-dim:])
        if all(s == 1 for s in scales):
            return super().forward(input)
        if getattr(self, "divisor_override", None) is not None:
            raise ConversionError(f"{self.site.path} has divisor_override, which counts points; leave it out.")
        for place in _places(self, call.output, scales):
            axis = input.dim() - dim + place[0]
            input = self._average(input.movedim(axis, -1), place[1]).movedim(-1, axis)
        return input

    def _average(self, x: Tensor, place: _Place) -> Tensor:
        n, width = x.shape[-1], place.scale * place.window.kernel
        first = place.middle - (width - 1) / 2
        padded = place.window.padding * place.scale if getattr(self, "count_include_pad", True) else Fraction(0)
        last = first + (place.count - 1) * place.stride + width - 1
        if first.denominator == width.denominator == 1 and -padded <= first and last <= n - 1 + padded:
            x = extend(x.flatten(0, -2)[:, None], [(-int(first), int(last) - n + 1)], ["zeros"]).view(*x.shape[:-1], -1)
            return F.avg_pool1d(x.flatten(0, -2)[:, None], int(width), place.stride).view(*x.shape[:-1], place.count)
        matrix = _averages(n, place.count, place.stride, place.middle, width, padded)
        return x @ matrix.to(x)


class _MaxPool(nn.Module):
    """A torch max pool whose window is a length: the largest of all points in it."""

    site: Site

    def forward(self, input: Tensor) -> Tensor:
        """Pool ``(batch, channels, *points)``."""
        dim = _dim(self)
        call = self.site.call()
        scales = self.site.scales(input.shape[-dim:], call.inputs[-dim:])
        if all(s == 1 for s in scales):
            return super().forward(input)
        if self.return_indices or any(d != 1 for d in _tuple(self.dilation, dim)):
            raise ConversionError(
                f"{self.site.path} has return_indices or dilation, which count points; leave them out."
            )
        sizes, strides, amounts = [], [], []
        for number, place in _places(self, call.output, scales):
            first, size = _largest_window(place)
            last = first + (place.count - 1) * place.stride + size - 1
            amounts.append((-first, last - (input.shape[input.dim() - dim + number] - 1)))
            sizes.append(size)
            strides.append(place.stride)
        x = extend(input, amounts, ["zeros"] * dim, value=-math.inf)
        return {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}[dim](x, sizes, strides)


class LatticeAvgPool1d(_AvgPool, nn.AvgPool1d):
    """Mean over a length on a line."""


class LatticeAvgPool2d(_AvgPool, nn.AvgPool2d):
    """Mean over a rectangle."""


class LatticeAvgPool3d(_AvgPool, nn.AvgPool3d):
    """Mean over a box."""


class LatticeMaxPool1d(_MaxPool, nn.MaxPool1d):
    """Largest value over a length on a line."""


class LatticeMaxPool2d(_MaxPool, nn.MaxPool2d):
    """Largest value over a rectangle."""


class LatticeMaxPool3d(_MaxPool, nn.MaxPool3d):
    """Largest value over a box."""


_AVERAGES = (LatticeAvgPool1d, LatticeAvgPool2d, LatticeAvgPool3d)
_MAXIMA = (LatticeMaxPool1d, LatticeMaxPool2d, LatticeMaxPool3d)


def pool_class(module: nn.Module) -> type[nn.Module]:
    """The converted class of a torch pool."""
    classes: Sequence[type[Any]] = (*_AVERAGES, *_MAXIMA)
    return next(cls for cls in classes if isinstance(module, cls.__mro__[2]))


def _dim(module: nn.Module) -> int:
    return int(type(module).__name__[-2])


def _tuple(value: Any, dim: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, Sequence) and len(value) == dim else (_single(value),) * dim


def _single(value: Any) -> int:
    return int(value[0]) if isinstance(value, Sequence) else int(value)


def _places(module: Any, output: Sequence[int], scales: Sequence[Fraction]) -> list[tuple[int, _Place]]:
    dim = len(scales)
    columns = (_tuple(module.kernel_size, dim), _tuple(module.stride, dim), _tuple(module.padding, dim))
    windows = [Window(kernel, stride, 1, padding) for kernel, stride, padding in zip(*columns, strict=True)]
    parts = zip(module.site.lattice(dim), windows, scales, output[-dim:], strict=True)
    return [(number, _Place(module.site, *part)) for number, part in enumerate(parts)]


def _largest_window(place: _Place) -> tuple[int, int]:
    """First point and number of points: cells whose centres, or nodes, lie within the window."""
    kernel, s = place.window.kernel, place.scale
    reach = (kernel * s - 1) / 2 if place.axis.kind == "cell" else (kernel - 1) * s / 2
    first, last = math.ceil(place.middle - reach), math.floor(place.middle + reach)
    first, last = (first, last) if last >= first else (round(place.middle), round(place.middle))
    return first, last - first + 1


def _averages(n: int, count: int, stride: int, middle: Fraction, width: Fraction, padded: Fraction) -> Tensor:
    """``(n, count)``: the part of each window that each point's cell fills, padding counting with value 0."""
    points = torch.arange(n, dtype=torch.float64)[:, None]
    centers = float(middle) + stride * torch.arange(count, dtype=torch.float64)
    low, high = centers - float(width) / 2, centers + float(width) / 2
    overlap = (torch.minimum(points + 0.5, high) - torch.maximum(points - 0.5, low)).clamp_min(0)
    begin, end = -0.5 - float(padded), n - 0.5 + float(padded)
    return overlap / (high.clamp_max(end) - low.clamp_min(begin))
