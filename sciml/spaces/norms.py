"""Norms of functions on a grid, one value a function, weighted by the grid's quadrature."""

from torch import Tensor

from sciml.errors import ConfigError
from sciml.spaces.derivatives import gradient
from sciml.spaces.grid import RegularGrid

__all__ = ["h1_norm", "l1_norm", "l2_norm", "linf_norm"]


def _leading(u: Tensor, grid: RegularGrid) -> tuple[int, ...]:
    """Axes that are summed: channels and grid, all but the first."""
    if tuple(u.shape[u.dim() - grid.dim :]) != grid.shape or u.dim() <= grid.dim:
        raise ConfigError(f"values have shape {tuple(u.shape)}, expected (batch, channels, {str(grid.shape)[1:]}.")
    return tuple(range(1, u.dim()))


def l1_norm(u: Tensor, grid: RegularGrid) -> Tensor:
    r""":math:`\sum_j w_j |u_j|`, summed over channels.

    Shapes:
        - **u**: ``(batch, channels, *grid)`` or ``(batch, *grid)``.
        - **output**: ``(batch,)``.
    """
    return (u.abs() * grid.weights_nd(u.dtype, u.device)).sum(_leading(u, grid))


def l2_norm(u: Tensor, grid: RegularGrid) -> Tensor:
    r""":math:`(\sum_j w_j |u_j|^2)^{1/2}`, summed over channels.

    Shapes:
        - **u**: ``(batch, channels, *grid)`` or ``(batch, *grid)``.
        - **output**: ``(batch,)``.

    Example:
        >>> grid = RegularGrid(shape=(8,), bounds=((0.0, 1.0),), periodic=True)
        >>> l2_norm(torch.sin(2 * torch.pi * grid.points.T), grid).round(decimals=6)
        tensor([0.7071], dtype=torch.float64)
    """
    return (u.square() * grid.weights_nd(u.dtype, u.device)).sum(_leading(u, grid)).sqrt()


def linf_norm(u: Tensor, grid: RegularGrid) -> Tensor:
    """The largest absolute value at a grid point, over all channels.

    Shapes:
        - **u**: ``(batch, channels, *grid)`` or ``(batch, *grid)``.
        - **output**: ``(batch,)``.
    """
    return u.abs().amax(_leading(u, grid))


def h1_norm(u: Tensor, grid: RegularGrid, order: int = 2) -> Tensor:
    r""":math:`(\|u\|_{L^2}^2 + \|\nabla u\|_{L^2}^2)^{1/2}`.

    Args:
        u: Values ``(batch, channels, *grid)`` or ``(batch, *grid)``.
        grid: Where they live.
        order: Order of the finite differences along axes that are not periodic.

    Returns:
        ``(batch,)``.
    """
    slopes = gradient(u, grid, order)
    weights = grid.weights_nd(u.dtype, u.device)
    axes = _leading(u, grid)
    squares = (u.square() * weights).sum(axes) + (slopes.square() * weights).sum((0, *(axis + 1 for axis in axes)))
    return squares.sqrt()
