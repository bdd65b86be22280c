"""Norms of functions, one value a function, weighted by the quadrature of their discretisation.

All are differentiable; at the zero function, where the L2 and H1 norms have no gradient, it is taken as 0 (the
subgradient of least length) and never NaN.
"""

import math

import torch
from torch import Tensor

from sciml.errors import ConfigError
from sciml.spaces.derivatives import partial_derivatives
from sciml.spaces.discretization import Discretization
from sciml.spaces.grid import RegularGrid
from sciml.spaces.mesh import Mesh

__all__ = ["h1_norm", "l1_norm", "l2_norm", "linf_norm"]


def _check(u: Tensor, disc: Discretization) -> None:
    axes = len(disc.shape)
    if u.dim() <= axes or tuple(u.shape[u.dim() - axes :]) != disc.shape:
        raise ConfigError(f"values have shape {tuple(u.shape)}, expected (batch, channels, {str(disc.shape)[1:]}.")


def l1_norm(u: Tensor, disc: Discretization) -> Tensor:
    r""":math:`\sum_j w_j |u_j|`, summed over channels.

    Shapes:
        - **u**: ``(batch, channels, *disc.shape)`` or ``(batch, *disc.shape)``.
        - **output**: ``(batch,)``.

    Raises:
        ConfigError: If the last axes of the values are not those of the discretisation.

    Example:
        >>> grid = RegularGrid(shape=(3,), bounds=((0.0, 2.0),))
        >>> l1_norm(torch.tensor([[1.0, -1.0, 1.0]]), grid)
        tensor([2.])
    """
    _check(u, disc)
    return (u.abs() * disc.weights_nd(u.dtype.to_real(), u.device)).flatten(1).sum(1)


def l2_norm(u: Tensor, disc: Discretization) -> Tensor:
    r""":math:`(\sum_j w_j |u_j|^2)^{1/2}`, summed over channels.

    Shapes:
        - **u**: ``(batch, channels, *disc.shape)`` or ``(batch, *disc.shape)``.
        - **output**: ``(batch,)``.

    Raises:
        ConfigError: If the last axes of the values are not those of the discretisation.

    Example:
        >>> grid = RegularGrid(shape=(8,), bounds=((0.0, 1.0),), periodic=True)
        >>> l2_norm(torch.sin(2 * torch.pi * grid.points.T), grid).round(decimals=6)
        tensor([0.7071], dtype=torch.float64)
    """
    _check(u, disc)
    if isinstance(disc, RegularGrid) and disc.uniform:
        return torch.linalg.vector_norm(u.flatten(1), dim=1) * math.sqrt(disc.volume / disc.num_points)
    return _weighted(u, disc.weights_nd(device=u.device))


def _weighted(u: Tensor, weights: Tensor) -> Tensor:
    # vector_norm has the subgradient 0 at 0, unlike the root of a sum of squares, whose gradient there is NaN.
    return torch.linalg.vector_norm((u * weights.sqrt().to(u.dtype)).flatten(1), dim=1)


def linf_norm(u: Tensor, disc: Discretization) -> Tensor:
    """The largest absolute value at a point, over all channels.

    Shapes:
        - **u**: ``(batch, channels, *disc.shape)`` or ``(batch, *disc.shape)``.
        - **output**: ``(batch,)``.

    Raises:
        ConfigError: If the last axes of the values are not those of the discretisation.

    Example:
        >>> linf_norm(torch.tensor([[1.0, -3.0]]), RegularGrid(shape=(2,), bounds=((0.0, 1.0),)))
        tensor([3.])
    """
    _check(u, disc)
    return u.abs().flatten(1).amax(1)


def h1_norm(u: Tensor, disc: Discretization, order: int = 2) -> Tensor:
    r""":math:`(\|u\|_{L^2}^2 + \|\nabla u\|_{L^2}^2)^{1/2}`, with derivatives by :func:`~sciml.spaces.gradient`.

    Both terms are in the units of the coordinates: the slopes count more on a smaller domain. On a mesh the slopes are
    those of the piecewise linear interpolant, integrated exactly.

    Args:
        u: Values ``(batch, channels, *disc.shape)`` or ``(batch, *disc.shape)``.
        disc: Where they live.
        order: Order of the finite differences along axes that are not periodic.

    Returns:
        ``(batch,)``.

    Raises:
        ConfigError: As :func:`l2_norm` and :func:`~sciml.spaces.gradient` do.

    Example:
        >>> grid = RegularGrid(shape=(8,), bounds=((0.0, 2 * torch.pi),), periodic=True)
        >>> (h1_norm(torch.sin(grid.points.T), grid) ** 2 / torch.pi).round(decimals=6)
        tensor([2.], dtype=torch.float64)
    """
    _check(u, disc)
    slopes = partial_derivatives(u, disc, order)
    if isinstance(disc, Mesh):
        sizes = [_weighted(slope, disc._cells_on(u.dtype, u.device)[2]) for slope in slopes]
    else:
        sizes = [l2_norm(slope, disc) for slope in slopes]
    return torch.linalg.vector_norm(torch.stack([l2_norm(u, disc), *sizes]), dim=0)
