"""What every discretisation of a domain offers: points with quadrature weights.

:class:`Discretization` is the contract that other code relies on; :class:`BaseDiscretization` holds what the
discretisations of this package share.
"""

import abc
import hashlib
from collections.abc import Callable
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from sciml.errors import ConfigError

__all__ = ["BaseDiscretization", "Discretization"]


@runtime_checkable
class Discretization(Protocol):
    r"""Points :math:`x_j` of a domain :math:`D` with weights :math:`w_j`, so that :math:`\sum_j w_j f(x_j)` is near
    :math:`\int_D f`.

    Code that needs no more than this takes any discretisation; equality and hash are by content. A discretisation is
    immutable and lives on the CPU in float64; :meth:`weights_nd` and :meth:`points_on` follow the values.

    Example:
        >>> from sciml.spaces import RegularGrid
        >>> isinstance(RegularGrid(shape=(4,), bounds=((0.0, 1.0),)), Discretization)
        True
    """

    @property
    def dim(self) -> int:
        """Dimension of the domain."""

    @property
    def num_points(self) -> int:
        """Number of points."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the last axes of values: ``grid`` or ``(num_points,)``."""

    @property
    def volume(self) -> float:
        """Volume of the domain, the sum of the weights."""

    @property
    def h(self) -> float:
        """Largest distance between neighbours."""

    @property
    def points(self) -> Tensor:
        """All points ``(num_points, dim)``, float64."""

    @property
    def weights(self) -> Tensor:
        """Quadrature weights ``(num_points,)``, float64."""

    def weights_nd(self, dtype: torch.dtype = ..., device: torch.device | str = ...) -> Tensor:
        """Quadrature weights in the shape of the points in a function: ``(*grid)`` or ``(num_points,)``."""

    def points_on(self, dtype: torch.dtype = ..., device: torch.device | str = ...) -> Tensor:
        """All points ``(num_points, dim)`` in a dtype and on a device."""

    def contains(self, points: Tensor) -> Tensor:
        """Which of the points ``(n, dim)`` lie in the domain."""

    def restrict(self, values: Tensor, which: Any, /) -> Tensor:
        """Values ``(..., *shape)`` at some of the points: every n-th of a grid, or the points of an index."""

    def radius_graph(self, radius: float) -> Tensor:
        """Pairs of points at most ``radius`` apart, ``(2, num_edges)``."""


class BaseDiscretization(abc.ABC):
    """What the discretisations of this package share; a subclass gives points, weights and its content.

    The tensors that :meth:`weights_nd` and :meth:`points_on` return are kept for the next call: do not change them in
    place.
    """

    shape: tuple[int, ...]

    @property
    @abc.abstractmethod
    def dim(self) -> int:
        """Dimension of the domain."""

    @property
    @abc.abstractmethod
    def points(self) -> Tensor:
        """All points ``(num_points, dim)``, float64."""

    @property
    @abc.abstractmethod
    def weights(self) -> Tensor:
        """Quadrature weights ``(num_points,)``, float64."""

    @abc.abstractmethod
    def _content(self) -> tuple[Any, ...]:
        """What makes two discretisations of this class equal: tensors and plain values."""

    @cached_property
    def _digest(self) -> bytes:
        digest = hashlib.sha256()
        for part in self._content():
            if isinstance(part, Tensor):
                digest.update(repr((tuple(part.shape), part.dtype)).encode())
                digest.update(part.contiguous().numpy().tobytes())
            else:
                digest.update(repr(part).encode())
        return digest.digest()

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if type(other) is not type(self):
            return NotImplemented
        return self._digest == other._digest

    def __hash__(self) -> int:
        return hash(self._digest)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a {type(self).__name__} cannot be changed; build another one.")

    def _set(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_cache"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def _cached(self, key: Any, make: Callable[[], Tensor]) -> Tensor:
        cache = self.__dict__.setdefault("_cache", {})
        if key not in cache:
            # A tensor made in inference mode could not be used for gradients later.
            with torch.inference_mode(False):
                cache[key] = make()
        return cache[key]

    def _weights(self) -> Tensor:
        return self.weights.reshape(self.shape)

    def weights_nd(self, dtype: torch.dtype = torch.float64, device: torch.device | str = "cpu") -> Tensor:
        """Quadrature weights in the shape of the points in a function."""
        device = torch.device(device)
        return self._cached(("weights", dtype, device), lambda: self._weights().to(dtype=dtype, device=device))

    def points_on(self, dtype: torch.dtype = torch.float64, device: torch.device | str = "cpu") -> Tensor:
        """All points ``(num_points, dim)`` in a dtype and on a device."""
        device = torch.device(device)
        return self._cached(("points", dtype, device), lambda: self.points.to(dtype=dtype, device=device))

    def radius_graph(self, radius: float) -> Tensor:
        """Pairs of different points at most ``radius`` apart, across periodic boundaries too.

        Args:
            radius: Largest distance, in the units of the coordinates.

        Returns:
            ``(2, num_edges)``, both directions of every pair; first row the source, second row the target, sorted by
            target.

        Raises:
            ConfigError: If the radius is not positive.
        """
        if not radius > 0:
            raise ConfigError(f"radius is {radius}, expected a positive number.")
        from scipy.spatial import cKDTree

        begins, periods = self._periods()
        points = (self.points - torch.tensor(begins, dtype=torch.float64)).numpy()
        tree = cKDTree(points, boxsize=periods if any(periods) else None)
        pairs = torch.from_numpy(tree.query_pairs(radius, output_type="ndarray")).long()
        edges = torch.cat([pairs, pairs.flip(1)])
        order = torch.argsort(edges[:, 1] * len(points) + edges[:, 0])
        return edges[order].T.contiguous()

    def _periods(self) -> tuple[list[float], list[float]]:
        """Begin and period of each axis; a period of 0 is none."""
        return [0.0] * self.dim, [0.0] * self.dim

    def _check_shape(self, values: Tensor) -> None:
        if tuple(values.shape[max(values.dim() - len(self.shape), 0) :]) != self.shape:
            raise ConfigError(
                f"values have shape {tuple(values.shape)}, the grid {self.shape}: expected these as the last axes."
            )


def as_tensor(values: Any) -> Tensor:
    """A tensor as it is; an array or numbers as a tensor, without a copy where memory order and byte order allow it."""
    if isinstance(values, Tensor):
        return values
    array = np.require(values, requirements=["C", "W"])
    return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), copy=False))


def as_points(points: Any, name: str = "points") -> Tensor:
    """A copy of coordinates as float64 on the CPU, ``(n, dim)``; a list of numbers is one-dimensional.

    Raises:
        ConfigError: If they have another shape, are empty or not finite, or a gradient is asked of them.
    """
    points = as_tensor(points)
    if points.requires_grad:
        raise ConfigError(f"{name} require a gradient, but a discretisation is constant: pass {name}.detach().")
    if points.dim() == 1:
        points = points[:, None]
    if points.dim() != 2 or not points.numel() or points.is_complex():
        raise ConfigError(f"{name} have shape {tuple(points.shape)} and type {points.dtype}, expected real (n, dim).")
    with torch.inference_mode(False):
        points = points.to("cpu", torch.float64, copy=True).contiguous()
    if not points.isfinite().all():
        raise ConfigError(f"{name} have infinite or missing coordinates.")
    return points


def as_weights(weights: Any, num_points: int) -> Tensor:
    """A copy of weights as float64 on the CPU, ``(num_points,)``.

    Raises:
        ConfigError: If they have another shape, are negative, not finite, or all zero.
    """
    weights = as_tensor(weights)
    if tuple(weights.shape) != (num_points,):
        raise ConfigError(f"weights have shape {tuple(weights.shape)}, expected one for each point, ({num_points},).")
    with torch.inference_mode(False):
        weights = weights.detach().to("cpu", torch.float64, copy=True)
    if not (weights.isfinite().all() and (weights >= 0).all() and weights.sum() > 0):
        raise ConfigError("weights must be finite, not negative, and not all zero.")
    return weights


def check_inside(points: Tensor, dim: int) -> None:
    """Refuse points that have no coordinates ``(n, dim)``."""
    if points.dim() != 2 or points.shape[1] != dim:
        raise ConfigError(f"points have shape {tuple(points.shape)}, expected (n, {dim}).")


def in_box(points: Tensor, bounds: tuple[tuple[float, float], ...]) -> Tensor:
    """Which of the points ``(n, dim)`` lie in a box, ends included."""
    check_inside(points, len(bounds))
    low, high = torch.tensor(bounds, dtype=points.dtype, device=points.device).unbind(1)
    return ((points >= low) & (points <= high)).all(-1)


def select(values: Tensor, index: Any, num_points: int) -> Tensor:
    """Values ``(..., num_points)`` at the points of an index.

    Raises:
        ConfigError: If the values have other points, or the index lies outside them.
    """
    if not values.dim() or values.shape[-1] != num_points:
        raise ConfigError(f"values have shape {tuple(values.shape)}, expected ({num_points},) as the last axes.")
    index = as_tensor(index).to(values.device)
    if index.dtype == torch.bool:
        index = index.nonzero()[:, 0]
    if index.dim() != 1 or index.is_floating_point():
        raise ConfigError(f"index has shape {tuple(index.shape)} and type {index.dtype}, expected integers (n,).")
    if len(index) and not (index.min() >= 0 and index.max() < num_points):
        raise ConfigError(f"index runs from {int(index.min())} to {int(index.max())}, there are {num_points} points.")
    return values.index_select(-1, index)
