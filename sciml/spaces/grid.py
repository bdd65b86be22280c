"""Regular grids on boxes: points, quadrature weights, nested refinement.

Axes count in "ij" order: the first axis of the values is the first coordinate.
"""

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from sciml.errors import ConfigError
from sciml.spaces.discretization import BaseDiscretization, in_box

__all__ = ["RegularGrid"]

Alignment = Literal["node", "cell", "left"]


@dataclass(frozen=True)
class RegularGrid(BaseDiscretization):
    r"""A grid of equally spaced points on a box, with the weights of its quadrature rule.

    Along an axis of length :math:`L` with :math:`n` points from :math:`a`:

    =========  =======================================  ==========================================
    alignment  points                                   weights
    =========  =======================================  ==========================================
    node       :math:`a + i L/(n-1)`, both ends         trapezoid: :math:`L/(n-1)`, half at the ends
    node       :math:`a + i L/n` on a periodic axis     :math:`L/n`
    cell       :math:`a + (i + 1/2) L/n`                :math:`L/n`
    left       :math:`a + i L/n`, without the last end  :math:`L/n`
    =========  =======================================  ==========================================

    ``left`` is the subsampled node grid whose last node was dropped; for functions that vanish at both ends its weights
    equal the trapezoid rule.

    Args:
        shape: Number of points per axis.
        bounds: ``(begin, end)`` per axis, in the units of the coordinates.
        periodic: Whether the functions are periodic, for all axes or one value per axis.
        alignment: Where the points lie.

    Two grids are equal when these four are; they can be keys of a dictionary.

    Raises:
        ConfigError: If shape, bounds and periodic do not fit, the box is empty or not finite, or an axis has too few
            points.

    Example:
        >>> RegularGrid(shape=(3,), bounds=((0.0, 1.0),)).weights.tolist()
        [0.25, 0.5, 0.25]
    """

    shape: tuple[int, ...]
    bounds: tuple[tuple[float, float], ...]
    periodic: bool | tuple[bool, ...] = False
    alignment: Alignment = "node"

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", _shape(self.shape))
        object.__setattr__(self, "bounds", _bounds(self.bounds))
        if len(self.shape) != len(self.bounds):
            raise ConfigError(
                f"shape has {len(self.shape)} axes, bounds has {len(self.bounds)}; give one pair per axis."
            )
        given = self.periodic
        periodic = tuple(map(bool, given)) if isinstance(given, Sequence) else (bool(given),) * self.dim
        if len(periodic) != self.dim:
            raise ConfigError(f"periodic has {len(periodic)} values, the grid {self.dim} axes.")
        object.__setattr__(self, "periodic", periodic)
        if self.alignment not in ("node", "cell", "left"):
            raise ConfigError(f"alignment is {self.alignment!r}, expected 'node', 'cell' or 'left'.")
        for axis, (n, (begin, end)) in enumerate(zip(self.shape, self.bounds, strict=True)):
            if not 0 < end - begin < math.inf:
                raise ConfigError(f"bounds of axis {axis} are ({begin}, {end}), expected finite numbers, begin < end.")
            least = 2 if self._closed(axis) else 1
            if n < least:
                kind = "a closed axis" if least == 2 else "an axis"
                raise ConfigError(f"axis {axis} has {n} points, {kind} needs at least {least}.")

    def _closed(self, axis: int) -> bool:
        assert isinstance(self.periodic, tuple)
        return self.alignment == "node" and not self.periodic[axis]

    @property
    def _intervals(self) -> tuple[int, ...]:
        return tuple(n - 1 if self._closed(axis) else n for axis, n in enumerate(self.shape))

    @property
    def dim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def num_points(self) -> int:
        """Number of points."""
        return math.prod(self.shape)

    @property
    def lengths(self) -> tuple[float, ...]:
        """Length of the box along each axis."""
        return tuple(end - begin for begin, end in self.bounds)

    @property
    def volume(self) -> float:
        """Volume of the box, the sum of all weights."""
        return math.prod(self.lengths)

    @property
    def spacing(self) -> tuple[float, ...]:
        """Distance between neighbours along each axis."""
        return tuple(length / m for length, m in zip(self.lengths, self._intervals, strict=True))

    @property
    def h(self) -> float:
        """Largest distance between neighbours."""
        return max(self.spacing)

    @property
    def axes(self) -> list[Tensor]:
        """Coordinates along each axis, float64."""
        # Fractions of the interval first: they round alike on nested grids, which therefore share points bit for bit,
        # and the ends are met exactly.
        offset = 0.5 if self.alignment == "cell" else 0.0
        fractions = [
            (torch.arange(n, dtype=torch.float64) + offset) / m
            for n, m in zip(self.shape, self._intervals, strict=True)
        ]
        return [(1 - t) * begin + t * end for t, (begin, end) in zip(fractions, self.bounds, strict=True)]

    @property
    def points(self) -> Tensor:
        """All points ``(num_points, dim)``, float64, the last axis running fastest."""
        return torch.stack(torch.meshgrid(*self.axes, indexing="ij"), dim=-1).reshape(-1, self.dim)

    def _content(self) -> tuple[Any, ...]:
        return (self.shape, self.bounds, self.periodic, self.alignment)

    def _periods(self) -> tuple[list[float], list[float]]:
        assert isinstance(self.periodic, tuple)
        periods = [length if wraps else 0.0 for length, wraps in zip(self.lengths, self.periodic, strict=True)]
        return [begin for begin, _ in self.bounds], periods

    def _weights(self) -> Tensor:
        total = torch.ones((), dtype=torch.float64)
        for axis, (n, dx) in enumerate(zip(self.shape, self.spacing, strict=True)):
            weights = torch.full((n,), dx, dtype=torch.float64)
            if self._closed(axis):
                weights[[0, -1]] = dx / 2
            total = total[..., None] * weights
        return total

    @property
    def weights(self) -> Tensor:
        """Quadrature weights ``(num_points,)``, float64."""
        return self._weights().reshape(-1)

    @property
    def uniform(self) -> bool:
        """True when all weights are equal."""
        return not any(self._closed(axis) for axis in range(self.dim))

    def with_shape(self, shape: tuple[int, ...]) -> "RegularGrid":
        """The grid of another resolution on the same box."""
        return replace(self, shape=shape)

    def refine(self, factor: int = 2) -> "RegularGrid":
        """A grid ``factor`` times finer along every axis; node and left grids contain the points of the coarse one."""
        if factor < 1:
            raise ConfigError(f"factor is {factor}, expected at least 1.")
        return self.with_shape(
            tuple(factor * (n - 1) + 1 if self._closed(axis) else factor * n for axis, n in enumerate(self.shape))
        )

    def coarsen(self, factor: int = 2) -> "RegularGrid":
        """The inverse of :meth:`refine`.

        Raises:
            ConfigError: If the number of points along an axis does not divide.
        """
        shape = []
        for axis, (n, intervals) in enumerate(zip(self.shape, self._intervals, strict=True)):
            if factor < 1 or intervals % factor:
                raise ConfigError(f"axis {axis} has {intervals} intervals, which do not divide by {factor}.")
            shape.append(intervals // factor + n - intervals)
        return self.with_shape(tuple(shape))

    def restrict(self, values: Tensor, factor: int = 2) -> Tensor:
        """Values ``(..., *shape)`` at the points of the coarse grid; exact.

        Raises:
            ConfigError: If the grids are not nested (cells), or the values do not have the shape of the grid.
        """
        if self.alignment == "cell":
            raise ConfigError("the centres of coarse cells are no points of the fine grid; resample instead.")
        self._check_shape(values)
        self.coarsen(factor)
        index: tuple[Any, ...] = (..., *(slice(None, None, factor),) * self.dim)
        return values[index]

    def contains(self, points: Tensor) -> Tensor:
        """Which of the points ``(n, dim)`` lie in the box, ends included."""
        return in_box(points, self.bounds)


def _shape(shape: Any) -> tuple[int, ...]:
    try:
        sizes = tuple(operator.index(n) for n in shape)
    except TypeError:
        raise ConfigError(f"shape is {shape!r}, expected one integer per axis, such as (64, 64).") from None
    if not sizes:
        raise ConfigError("shape is empty, expected at least one axis.")
    return sizes


def _bounds(bounds: Any) -> tuple[tuple[float, float], ...]:
    try:
        return tuple((float(begin), float(end)) for begin, end in bounds)
    except (TypeError, ValueError):
        raise ConfigError(f"bounds is {bounds!r}, expected one pair per axis, such as ((0, 1), (0, 1)).") from None
