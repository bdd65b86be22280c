"""What every discretisation of a domain offers: points with quadrature weights."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

__all__ = ["Discretization"]


@runtime_checkable
class Discretization(Protocol):
    r"""Points :math:`x_j` of a domain :math:`D` with weights :math:`w_j`, so that :math:`\sum_j w_j f(x_j)` is near
    :math:`\int_D f`.

    Code that needs no more than this takes any discretisation; equality and hash are by content.

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
    def volume(self) -> float:
        """Volume of the domain, the sum of the weights."""

    @property
    def points(self) -> Tensor:
        """All points ``(num_points, dim)``, float64."""

    @property
    def weights(self) -> Tensor:
        """Quadrature weights ``(num_points,)``, float64."""

    def weights_nd(self, dtype: torch.dtype = ..., device: torch.device | str = ...) -> Tensor:
        """Quadrature weights in the shape of the points in a function: ``(*grid)`` or ``(num_points,)``."""

    def contains(self, points: Tensor) -> Tensor:
        """Which of the points ``(n, dim)`` lie in the domain."""
