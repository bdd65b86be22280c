"""Tensor-product grids of one-dimensional quadrature rules."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from sciml.errors import ConfigError
from sciml.spaces._quadrature import scaled, trapezoid
from sciml.spaces.discretization import BaseDiscretization, as_tensor, as_weights, in_box
from sciml.spaces.grid import _bounds

__all__ = ["TensorGrid"]

Bounds = Sequence[tuple[float, float]]


class TensorGrid(BaseDiscretization):
    r"""All combinations of points along axes, with the products of their weights.

    The first axis of the values is the first coordinate ("ij" order).

    Args:
        axes: Coordinates along each axis, increasing.
        weights: Weights along each axis, or ``"trapezoid"``, which takes a function to be linear between the points and
            constant from the outermost ones to the bounds.
        bounds: ``(begin, end)`` per axis; from the first to the last point when None.

    Shapes:
        - **values**: ``(..., channels, n_1, ..., n_dim)``.

    Two tensor grids are equal when axes, weights, bounds and rules are.

    Raises:
        ConfigError: If points do not increase or lie outside the bounds, or weights do not fit.

    Example:
        >>> grid = TensorGrid.gauss_legendre(3, bounds=((0.0, 2.0),))
        >>> x = grid.points[:, 0]
        >>> round(float((grid.weights * x**5).sum()), 12)  # 2^6 / 6
        10.666666666667
    """

    axes: tuple[Tensor, ...]
    axis_weights: tuple[Tensor, ...]
    bounds: tuple[tuple[float, float], ...]
    rules: tuple[str, ...]

    def __init__(
        self,
        axes: Sequence[Any],
        weights: Sequence[Any] | Literal["trapezoid"],
        bounds: Bounds | None = None,
    ) -> None:
        nodes = tuple(_axis(axis, number) for number, axis in enumerate(axes))
        if not nodes:
            raise ConfigError("axes is empty, expected at least one axis.")
        box = _bounds([(a[0], a[-1]) for a in nodes] if bounds is None else bounds)
        if len(box) != len(nodes):
            raise ConfigError(f"axes are {len(nodes)}, bounds {len(box)}; give one pair per axis.")
        if isinstance(weights, str):
            if weights != "trapezoid":
                raise ConfigError(f"weights is {weights!r}, expected 'trapezoid' or one tensor per axis.")
            weights = [trapezoid(axis, *pair) for axis, pair in zip(nodes, box, strict=True)]
        if len(weights) != len(nodes):
            raise ConfigError(f"axes are {len(nodes)}, weights {len(weights)}; give one tensor per axis.")
        for number, (axis, (begin, end)) in enumerate(zip(nodes, box, strict=True)):
            if axis[0] < begin or axis[-1] > end or not begin < end:
                raise ConfigError(
                    f"axis {number} runs from {axis[0].item()} to {axis[-1].item()}, its bounds are ({begin}, {end}): "
                    "expected bounds around the points."
                )
        self._set(
            shape=tuple(map(len, nodes)),
            axes=nodes,
            axis_weights=tuple(as_weights(w, len(axis)) for w, axis in zip(weights, nodes, strict=True)),
            bounds=box,
            rules=("user",) * len(nodes),
        )

    @classmethod
    def _of_rule(cls, rule: str, n: int | Sequence[int], bounds: Bounds) -> "TensorGrid":
        box = _bounds(bounds)
        sizes = (n,) * len(box) if isinstance(n, int) else tuple(n)
        if len(sizes) != len(box):
            raise ConfigError(f"n has {len(sizes)} axes, bounds has {len(box)}; give one pair per axis.")
        parts = [scaled(rule, size, *pair) for size, pair in zip(sizes, box, strict=True)]
        grid = cls([nodes for nodes, _ in parts], [weights for _, weights in parts], box)
        grid._set(rules=(rule,) * len(box))
        return grid

    @classmethod
    def gauss_legendre(cls, n: int | Sequence[int], bounds: Bounds = ((-1.0, 1.0),)) -> "TensorGrid":
        """Gauss-Legendre points, exact for polynomials of degree ``2n - 1``; the ends are no points.

        Args:
            n: Points per axis, or for each axis.
            bounds: ``(begin, end)`` per axis.
        """
        return cls._of_rule("gauss-legendre", n, bounds)

    @classmethod
    def clenshaw_curtis(cls, n: int | Sequence[int], bounds: Bounds = ((-1.0, 1.0),)) -> "TensorGrid":
        """Extrema of a Chebyshev polynomial, both ends included, exact for degree ``n - 1``; nested under refinement.

        Args:
            n: Points per axis, or for each axis.
            bounds: ``(begin, end)`` per axis.
        """
        return cls._of_rule("clenshaw-curtis", n, bounds)

    @classmethod
    def chebyshev(cls, n: int | Sequence[int], bounds: Bounds = ((-1.0, 1.0),)) -> "TensorGrid":
        """Zeros of a Chebyshev polynomial with Fejer's weights, exact for degree ``n - 1``; the ends are no points.

        The weights are those of the plain integral, not of the one with the Chebyshev weight function.

        Args:
            n: Points per axis, or for each axis.
            bounds: ``(begin, end)`` per axis.
        """
        return cls._of_rule("chebyshev", n, bounds)

    def _content(self) -> tuple[Any, ...]:
        return (*self.axes, *self.axis_weights, self.bounds, self.rules)

    def __repr__(self) -> str:
        rules = self.rules[0] if len(set(self.rules)) == 1 else self.rules
        return f"TensorGrid(shape={self.shape}, bounds={self.bounds}, rule={rules!r})"

    @property
    def dim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def num_points(self) -> int:
        """Number of points."""
        return math.prod(self.shape)

    @property
    def volume(self) -> float:
        """Sum of the weights: the volume of the box, unless the weights are those of another measure."""
        return math.prod(math.fsum(w.tolist()) for w in self.axis_weights)

    @property
    def h(self) -> float:
        """Largest distance between neighbours along an axis."""
        return max((axis.diff().max().item() if len(axis) > 1 else 0.0) for axis in self.axes)

    @property
    def points(self) -> Tensor:
        """All points ``(num_points, dim)``, float64, the last axis running fastest."""
        return torch.stack(torch.meshgrid(*self.axes, indexing="ij"), dim=-1).reshape(-1, self.dim)

    @property
    def weights(self) -> Tensor:
        """Quadrature weights ``(num_points,)``, float64."""
        total = torch.ones((), dtype=torch.float64)
        for weights in self.axis_weights:
            total = total[..., None] * weights
        return total.reshape(-1)

    def refine(self, factor: int = 2) -> "TensorGrid":
        """The grid of the same rules with ``factor`` times as many points, or intervals for Clenshaw-Curtis.

        Raises:
            ConfigError: If the axes are the user's own.
        """
        if factor < 1:
            raise ConfigError(f"factor is {factor}, expected at least 1.")
        return self._resized([factor * (n - 1) + 1 if self._nested else factor * n for n in self.shape])

    def coarsen(self, factor: int = 2) -> "TensorGrid":
        """The inverse of :meth:`refine`.

        Raises:
            ConfigError: If the axes are the user's own, or the number of points along an axis does not divide.
        """
        intervals = [n - 1 if self._nested else n for n in self.shape]
        if factor < 1 or any(n % factor for n in intervals):
            raise ConfigError(f"the grid has {tuple(intervals)} intervals, which do not divide by {factor}.")
        return self._resized([n // factor + self._nested for n in intervals])

    @property
    def _nested(self) -> bool:
        return set(self.rules) == {"clenshaw-curtis"}

    def _resized(self, shape: Sequence[int]) -> "TensorGrid":
        if self.rules[0] == "user":
            raise ConfigError("the axes follow no rule that has a finer one; build the other grid and resample.")
        return self._of_rule(self.rules[0], shape, self.bounds)

    def restrict(self, values: Tensor, factor: int = 2) -> Tensor:
        """Values ``(..., *shape)`` at the points of :meth:`coarsen`; exact.

        Raises:
            ConfigError: If the grids are not nested, or the values do not have the shape of the grid.
        """
        if not self._nested:
            raise ConfigError(f"coarser grids of {self} share no points with it; resample instead.")
        self._check_shape(values)
        self.coarsen(factor)
        index: tuple[Any, ...] = (..., *(slice(None, None, factor),) * self.dim)
        return values[index]

    def contains(self, points: Tensor) -> Tensor:
        """Which of the points ``(n, dim)`` lie in the box, ends included."""
        return in_box(points, self.bounds)


def _axis(axis: Any, number: int) -> Tensor:
    axis = as_tensor(axis)
    if axis.dim() != 1 or not len(axis):
        raise ConfigError(f"axis {number} has shape {tuple(axis.shape)}, expected the coordinates (n,).")
    with torch.inference_mode(False):
        axis = axis.detach().to("cpu", torch.float64, copy=True)
    if not (axis.isfinite().all() and (axis.diff() > 0).all()):
        raise ConfigError(f"axis {number} does not increase, expected finite coordinates in increasing order.")
    return axis
