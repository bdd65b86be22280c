"""Scattered points with weights."""

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from sciml.errors import ConfigError
from sciml.spaces._cloud_weights import knn, sorted_trapezoid, voronoi
from sciml.spaces.discretization import BaseDiscretization, as_points, as_weights, in_box, select
from sciml.spaces.grid import _bounds

__all__ = ["PointCloud"]

_RULES = ("uniform", "voronoi", "knn", "sorted-trapezoid")


class PointCloud(BaseDiscretization):
    r"""Scattered points; what share of the domain each of them stands for has to be said.

    ====================  ==================================================  ======================
    weights               rule                                                needs
    ====================  ==================================================  ======================
    a tensor              as given
    ``uniform``           :math:`|D|/n`: right for points drawn uniformly     bounds or volume
    ``voronoi``           volume of the Voronoi cell in the box               bounds, dim 1 to 3
    ``knn``               :math:`r_k^d`, the distance to the k-th neighbour,  bounds or volume
                          scaled to the sum :math:`|D|`
    ``sorted-trapezoid``  half the distance of the neighbours on a line       dim 1; bounds optional
    ====================  ==================================================  ======================

    Args:
        points: Coordinates ``(n, d)``, or ``(n,)`` on a line.
        weights: Quadrature weights ``(n,)``, or the name of a rule.
        bounds: ``(begin, end)`` per axis of the box that is the domain; for ``contains`` and for the rules. Without
            them, ``sorted-trapezoid`` covers the line between the outermost points.
        volume: Volume of a domain that is no box, for ``uniform`` and ``knn``.
        k: Neighbours for ``knn``.

    Shapes:
        - **values**: ``(..., channels, n)``.

    Two clouds are equal when points, weights and bounds are.

    Raises:
        ConfigError: If the rule is unknown or lacks what it needs, or points lie outside the bounds.

    Example:
        >>> cloud = PointCloud(torch.tensor([0.25, 0.5, 1.0]), "voronoi", bounds=((0.0, 1.0),))
        >>> cloud.weights.tolist(), cloud.volume
        ([0.375, 0.375, 0.25], 1.0)
    """

    bounds: tuple[tuple[float, float], ...] | None

    def __init__(
        self,
        points: Any,
        weights: Any,
        bounds: Sequence[tuple[float, float]] | None = None,
        volume: float | None = None,
        k: int = 8,
    ) -> None:
        points = as_points(points)
        box = None if bounds is None else _bounds(bounds)
        if box is not None:
            _check_box(points, box)
        if not isinstance(weights, str):
            if volume is not None:
                raise ConfigError("volume is the sum of the weights that are given; leave it out.")
            weights = as_weights(weights, len(points))
        else:
            weights = _by_rule(weights, points, box, volume, k)
        self._set(_points=points, _point_weights=weights, bounds=box, shape=(len(points),))

    def _content(self) -> tuple[Any, ...]:
        return (self._points, self._point_weights, self.bounds)

    def __repr__(self) -> str:
        box = "" if self.bounds is None else f", bounds={self.bounds}"
        return f"PointCloud(num_points={self.num_points}, dim={self.dim}, volume={self.volume:.6g}{box})"

    _points: Tensor
    _point_weights: Tensor

    @property
    def points(self) -> Tensor:
        """All points ``(num_points, dim)``, float64."""
        return self._points

    @property
    def weights(self) -> Tensor:
        """Quadrature weights ``(num_points,)``, float64."""
        return self._point_weights

    @property
    def dim(self) -> int:
        """Dimension of the domain."""
        return self._points.shape[1]

    @property
    def num_points(self) -> int:
        """Number of points."""
        return len(self._points)

    @cached_property
    def volume(self) -> float:
        """Sum of the weights."""
        return math.fsum(self._point_weights.tolist())

    @cached_property
    def h(self) -> float:
        """Largest distance of a point to its nearest neighbour; 0 for a single point."""
        if self.num_points == 1:
            return 0.0
        from scipy.spatial import cKDTree

        coordinates = self._points.numpy()
        return float(cKDTree(coordinates).query(coordinates, k=[2])[0].max())

    def contains(self, points: Tensor) -> Tensor:
        """Which of the points ``(n, dim)`` lie in the box of the cloud, ends included.

        Raises:
            ConfigError: If the cloud has no bounds: where its domain ends is then unknown.
        """
        if self.bounds is None:
            raise ConfigError("the point cloud has no bounds, so its domain is unknown: PointCloud(..., bounds=...).")
        return in_box(points, self.bounds)

    def restrict(self, values: Tensor, index: Any) -> Tensor:
        """Values ``(..., num_points)`` at the points of an index or mask.

        Raises:
            ConfigError: If the values live elsewhere, or the index lies outside the cloud.
        """
        return select(values, index, self.num_points)


def _check_box(points: Tensor, box: tuple[tuple[float, float], ...]) -> None:
    if len(box) != points.shape[1]:
        raise ConfigError(f"bounds has {len(box)} axes, the points {points.shape[1]}; give one pair per axis.")
    if not all(0 < end - begin < math.inf for begin, end in box):
        raise ConfigError(f"bounds are {box}, expected finite numbers, begin < end.")
    outside = ~in_box(points, box)
    if outside.any():
        first = int(outside.nonzero()[0])
        raise ConfigError(
            f"{int(outside.sum())} points lie outside the bounds {box}, the first is point {first}: "
            f"{points[first].tolist()}."
        )


def _by_rule(
    rule: str, points: Tensor, box: tuple[tuple[float, float], ...] | None, volume: float | None, k: int
) -> Tensor:
    if rule not in _RULES:
        raise ConfigError(f"weights is {rule!r}, expected a tensor or one of {', '.join(map(repr, _RULES))}.")
    if rule == "sorted-trapezoid" and points.shape[1] > 1:
        raise ConfigError(f"points have {points.shape[1]} coordinates and no order: use 'voronoi' or 'knn'.")
    if rule in ("voronoi", "sorted-trapezoid"):
        if volume is not None:
            raise ConfigError(f"volume does not fit the rule {rule!r}, which covers the box: give bounds instead.")
        if rule == "sorted-trapezoid":
            begin, end = box[0] if box else (points.min().item(), points.max().item())
            return sorted_trapezoid(points, begin, end)
        if box is None:
            raise ConfigError("the rule 'voronoi' cuts the cells at the box of the domain: give bounds.")
        return voronoi(points, box)
    if (volume is None) == (box is None):
        raise ConfigError(f"the rule {rule!r} needs the volume of the domain: give either bounds or volume.")
    total = math.prod(end - begin for begin, end in box) if box else float(volume or 0)
    if not 0 < total < math.inf:
        raise ConfigError(f"volume is {volume}, expected a positive number.")
    if rule == "uniform":
        return torch.full((len(points),), total / len(points), dtype=torch.float64)
    return knn(points, total, k)
