"""Interpolation on regular and tensor grids, axis after axis, from grid to grid or to scattered points."""

import math
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from sciml.errors import ConfigError
from sciml.spaces._global_bases import barycentric_matrix, fourier_matrix, overlap_matrix, resample_periodic
from sciml.spaces._stencils import LEAST, prefiltered, spline_inverse, stencil
from sciml.spaces.grid import RegularGrid
from sciml.spaces.tensor_grid import TensorGrid

__all__ = ["Axis", "Grid", "at_points", "to_grid"]

Grid = RegularGrid | TensorGrid
# Numbers in the largest intermediate tensor of an interpolation at scattered points.
_CHUNK = 2**23


@dataclass(frozen=True)
class Axis:
    """One axis of a grid."""

    grid: Grid
    number: int

    @property
    def nodes(self) -> Tensor:
        """Coordinates ``(n,)``, float64."""
        return self.grid.axes[self.number]

    @property
    def bounds(self) -> tuple[float, float]:
        """Begin and end."""
        return self.grid.bounds[self.number]

    @property
    def period(self) -> float | None:
        """Length of a periodic axis."""
        if not isinstance(self.grid, RegularGrid):
            return None
        assert isinstance(self.grid.periodic, tuple)
        return self.grid.lengths[self.number] if self.grid.periodic[self.number] else None

    @property
    def edges(self) -> Tensor:
        """Edges ``(n + 1,)`` of the cells around the points, of which the weights are the lengths."""
        nodes, (begin, end) = self.nodes, self.bounds
        if self.period is not None:
            return nodes[0] + self.period / len(nodes) * (torch.arange(len(nodes) + 1, dtype=torch.float64) - 0.5)
        if isinstance(self.grid, TensorGrid):
            weights = self.grid.axis_weights[self.number]
        else:
            weights = RegularGrid((len(nodes),), (self.bounds,), False, self.grid.alignment).weights
        edges = torch.cat([nodes.new_zeros(1), weights.cumsum(0)])
        if not math.isclose(float(edges[-1]), end - begin, rel_tol=1e-9):
            raise ConfigError(f"the weights of axis {self.number} do not sum to its length, so they are not of cells.")
        return begin + edges * ((end - begin) / edges[-1])

    def outside(self, x: Tensor) -> Tensor:
        """Which coordinates lie beyond the ends, up to the rounding of their type."""
        if self.period is not None:
            return torch.zeros_like(x, dtype=torch.bool)
        begin, end = self.bounds
        slack = 8 * torch.finfo(x.dtype).eps * max(abs(begin), abs(end))
        return (x < begin - slack) | (x > end + slack)

    def check(self, method: str) -> None:
        """Refuse a method that the axis does not have."""
        if method == "fourier" and self.period is None:
            raise ConfigError(
                f"the method 'fourier' needs periodic axes, axis {self.number} of {self.grid} is not; take 'cubic', or "
                "declare RegularGrid(..., periodic=True)."
            )
        if method == "barycentric" and (isinstance(self.grid, RegularGrid) or self.grid.rules[self.number] == "user"):
            raise ConfigError(
                f"axis {self.number} of {self.grid} follows no quadrature rule, and the polynomial through all points "
                "is stable on those only: take 'cubic', or sample on TensorGrid.chebyshev."
            )
        least = LEAST.get(method, 1) if self.period is None else 1
        if len(self.nodes) < least:
            raise ConfigError(
                f"axis {self.number} has {len(self.nodes)} points, the method {method!r} needs at least {least}."
            )

    def filtered(self, values: Tensor, dim: int, method: str) -> Tensor:
        """Values, or for ``cubic`` the coefficients of splines along an axis of values."""
        if method != "cubic":
            return values
        if self.period is not None:
            return prefiltered(values, dim)
        key = ("spline", self.number, values.dtype, values.device)
        inverse = self.grid._cached(key, lambda: spline_inverse(self.nodes).to(values))
        return _apply(inverse, values, dim)

    def matrix(self, method: str, x: Tensor) -> Tensor:
        """From values, filtered for ``cubic``, at the nodes to those at coordinates ``(m,)``: ``(m, n)``, float64."""
        if method == "fourier":
            assert self.period is not None
            return fourier_matrix(len(self.nodes), (x - self.nodes[0]) / self.period)
        if method == "barycentric":
            return barycentric_matrix(self.nodes, x)
        index, weights = stencil(method, self.nodes, x, self.period)
        return x.new_zeros(len(x), len(self.nodes)).scatter_add(1, index, weights)


def to_grid(values: Tensor, old: Grid, new: Grid, methods: tuple[str, ...]) -> Tensor:
    """Real values ``(..., *old.shape)`` to ``(..., *new.shape)``."""
    for number, method in enumerate(methods):
        source, target = Axis(old, number), Axis(new, number)
        source.check(method)
        dim = values.dim() - old.dim + number
        values = _along(source.filtered(values, dim, method), dim, source, target, method)
    return values


def _along(values: Tensor, dim: int, source: Axis, target: Axis, method: str) -> Tensor:
    if method == "conservative":
        return _apply(_overlap(source, target), values, dim)
    x = target.nodes
    if method == "fourier" and source.period is not None and source.period == target.period:
        return resample_periodic(values, dim, len(x), float(x[0] - source.nodes[0]) / source.period)
    if method in ("fourier", "barycentric"):
        return _apply(source.matrix(method, x), values, dim)
    index, weights = (part.to(values.device) for part in stencil(method, source.nodes, x, source.period))
    if method == "nearest":
        return values.index_select(dim, index[:, 0])
    weights = weights.to(values.dtype).reshape(*weights.shape, *(1,) * (values.dim() - 1 - dim))
    total = values.index_select(dim, index[:, 0]) * weights[:, 0]
    for k in range(1, index.shape[1]):
        total = total + values.index_select(dim, index[:, k]) * weights[:, k]
    return total


def _overlap(source: Axis, target: Axis) -> Tensor:
    if source.bounds != target.bounds:
        raise ConfigError(
            f"axis {source.number} runs over {source.bounds}, the new one over {target.bounds}: averages over cells "
            "keep the integral on the same box only."
        )
    return overlap_matrix(source.edges, target.edges, source.period or target.period)


def _apply(matrix: Tensor, values: Tensor, dim: int) -> Tensor:
    return (values.movedim(dim, -1) @ matrix.to(values).T).movedim(-1, dim)


def at_points(values: Tensor, grid: Grid, points: Tensor, methods: tuple[str, ...]) -> Tensor:
    """Real values ``(..., *grid.shape)`` at float64 points ``(m, dim)``: ``(..., m)``."""
    axes = [Axis(grid, number) for number in range(grid.dim)]
    for axis, method in zip(axes, methods, strict=True):
        axis.check(method)
        values = axis.filtered(values, values.dim() - grid.dim + axis.number, method)
    if {"fourier", "barycentric"} & set(methods):
        return _by_matrices(values, axes, points, methods)
    stencils = [
        stencil(method, axis.nodes, points[:, axis.number], axis.period)
        for axis, method in zip(axes, methods, strict=True)
    ]
    return _by_stencils(values.flatten(values.dim() - grid.dim), grid.shape, stencils, values.device)


def _by_stencils(
    values: Tensor, shape: tuple[int, ...], stencils: list[tuple[Tensor, Tensor]], device: torch.device
) -> Tensor:
    """Sum over the corners of the cell of each point; values ``(..., prod(shape))``."""
    total: Tensor | None = None
    for corner in product(*(range(index.shape[1]) for index, _ in stencils)):
        flat: Tensor | int = 0
        weight: Tensor | None = None
        for (index, weights), k, n in zip(stencils, corner, shape, strict=True):
            flat = flat * n + index[:, k]
            # The weight of a nearest point is one, and must not turn other types than floats into floats.
            if weights.shape[1] > 1:
                weight = weights[:, k] if weight is None else weight * weights[:, k]
        assert isinstance(flat, Tensor)
        part = values.index_select(-1, flat.to(device))
        part = part if weight is None else part * weight.to(values)
        total = part if total is None else total + part
    assert total is not None
    return total


def _by_matrices(values: Tensor, axes: list[Axis], points: Tensor, methods: tuple[str, ...]) -> Tensor:
    """Contract one axis after the other, keeping the points; in parts, since the first keeps all other axes."""
    dim, leading = len(axes), values.shape[: values.dim() - len(axes)]
    flat = values.reshape(-1, *values.shape[values.dim() - dim :])
    step = max(_CHUNK * flat.shape[1] // max(flat.numel(), 1), 1)
    parts = []
    for chunk in points.split(step):
        matrices = [
            axis.matrix(method, chunk[:, axis.number]).to(values) for axis, method in zip(axes, methods, strict=True)
        ]
        part = torch.einsum("bi...,mi->bm...", flat, matrices[0])
        for matrix in matrices[1:]:
            part = torch.einsum("bmi...,mi->bm...", part, matrix)
        parts.append(part)
    return torch.cat(parts, 1).reshape(*leading, len(points))
