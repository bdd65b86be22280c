"""Derivatives of sampled functions.

By FFT along periodic axes of regular grids, by finite differences along the others, by the interpolating polynomial on
the points of a quadrature rule, and of the piecewise linear interpolant on meshes.
"""

import math

import numpy as np
import torch
from torch import Tensor

from sciml.errors import ConfigError
from sciml.spaces.discretization import Discretization
from sciml.spaces.grid import RegularGrid
from sciml.spaces.mesh import Mesh
from sciml.spaces.tensor_grid import TensorGrid

__all__ = ["gradient", "partial_derivatives"]

# First derivative for spacing 1, by order: the central stencil, and the stencils of the first points of an axis. Both
# are exact for polynomials up to the order.
_CENTRAL = {2: (-1 / 2, 0.0, 1 / 2), 4: (1 / 12, -2 / 3, 0.0, 2 / 3, -1 / 12)}
_FIRST = {
    2: ((-3 / 2, 2.0, -1 / 2),),
    4: ((-25 / 12, 4.0, -3.0, 4 / 3, -1 / 4), (-1 / 4, -5 / 6, 3 / 2, -1 / 2, 1 / 12)),
}


def gradient(u: Tensor, disc: Discretization, order: int = 2) -> Tensor:
    r"""Gradient of sampled functions.

    ================================  =================================================================================
    where                             derivative
    ================================  =================================================================================
    periodic axis of a regular grid   spectral, :math:`\hat u_k \mapsto (2\pi i k/L)\,\hat u_k`, the Nyquist mode zero
    other axes, user's tensor grids   finite differences, one-sided at the ends with the same order
    tensor grids of a rule            of the polynomial through all points of the axis
    meshes                            of the piecewise linear interpolant, constant in each cell
    ================================  =================================================================================

    Scattered points have no derivative of their own: connect them by :meth:`sciml.spaces.Mesh.delaunay`, or resample.

    Args:
        u: Values ``(..., *disc.shape)``.
        disc: Where they live.
        order: Order of the finite differences, 2 or 4.

    Returns:
        Derivatives ``(dim, ..., *disc.shape)``; on a mesh ``(dim, ..., num_cells)``, which live on
        ``disc.at_centers()``.

    Raises:
        ConfigError: If the values do not have the shape of the discretisation, are no floats, the order is unknown, an
            axis is too short, or the discretisation has no derivative.

    Example:
        >>> grid = RegularGrid(shape=(5,), bounds=((0.0, 1.0),))
        >>> gradient(3 * grid.points[:, 0], grid)[0].round(decimals=6).tolist()
        [3.0, 3.0, 3.0, 3.0, 3.0]
    """
    return torch.stack(partial_derivatives(u, disc, order))


def partial_derivatives(u: Tensor, disc: Discretization, order: int = 2) -> list[Tensor]:
    """The rows of :func:`gradient`, not copied into one tensor."""
    if tuple(u.shape[max(u.dim() - len(disc.shape), 0) :]) != disc.shape:
        raise ConfigError(f"values have shape {tuple(u.shape)}, expected the grid {disc.shape} as the last axes.")
    if not u.is_floating_point():
        raise ConfigError(f"values are {u.dtype}, derivatives need floats: u.float().")
    if order not in (2, 4):
        raise ConfigError(f"order is {order}, expected 2 or 4.")
    if isinstance(disc, RegularGrid):
        return [_on_regular_grid(u, disc, axis, order) for axis in range(disc.dim)]
    if isinstance(disc, TensorGrid):
        return [_on_tensor_grid(u, disc, axis, order) for axis in range(disc.dim)]
    if isinstance(disc, Mesh) and not disc.centers:
        return _on_mesh(u, disc)
    raise ConfigError(
        f"values on {disc} have no derivative without a rule between the points. Connect scattered points by "
        "Mesh.delaunay(points), or resample to a grid or to the vertices of a mesh."
    )


def _on_regular_grid(u: Tensor, grid: RegularGrid, axis: int, order: int) -> Tensor:
    assert isinstance(grid.periodic, tuple)
    dim = u.dim() - grid.dim + axis
    if grid.periodic[axis]:
        return _spectral(u, dim, grid.lengths[axis])
    return _finite_difference(u, dim, grid.spacing[axis], order)


def _spectral(u: Tensor, dim: int, length: float) -> Tensor:
    n = u.shape[dim]
    k = torch.arange(n // 2 + 1, dtype=u.dtype, device=u.device)
    if n % 2 == 0:
        # The Nyquist mode has no sign for an odd derivative to keep; irfft need not ignore an imaginary one.
        k[-1] = 0
    factor = torch.complex(torch.zeros_like(k), 2 * math.pi / length * k)
    factor = factor.reshape(-1, *(1,) * (u.dim() - dim - 1))
    return torch.fft.irfft(torch.fft.rfft(u, dim=dim) * factor, n=n, dim=dim)


def _finite_difference(u: Tensor, dim: int, dx: float, order: int) -> Tensor:
    n = u.shape[dim]
    _check_length(n, order)
    inner: Tensor | None = None
    for start, weight in enumerate(_CENTRAL[order]):
        if weight:
            part = u.narrow(dim, start, n - order)
            inner = part * (weight / dx) if inner is None else inner.add(part, alpha=weight / dx)
    assert inner is not None
    left = torch.tensor(_FIRST[order], dtype=u.dtype, device=u.device) / dx
    # The stencils at the other end are the mirror images, with the opposite sign.
    first = _along(u.narrow(dim, 0, order + 1), dim, left)
    last = _along(u.narrow(dim, n - order - 1, order + 1), dim, -left.flip(0, 1))
    return torch.cat([first, inner, last], dim)


def _check_length(n: int, order: int) -> None:
    if n < order + 1:
        raise ConfigError(f"an axis of {n} points is too short for differences of order {order}: needs {order + 1}.")


def _along(u: Tensor, dim: int, matrix: Tensor) -> Tensor:
    return (u.movedim(dim, -1) @ matrix.T).movedim(-1, dim)


def _on_tensor_grid(u: Tensor, grid: TensorGrid, axis: int, order: int) -> Tensor:
    dim, x = u.dim() - grid.dim + axis, grid.axes[axis]
    by_rule = grid.rules[axis] != "user"
    if not by_rule:
        _check_length(len(x), order)

    def matrices() -> Tensor:
        return _stencils(x.numpy(), len(x) if by_rule else order + 1).to(u)

    weights = grid._cached(("derivative", axis, None if by_rule else order, u.dtype, u.device), matrices)
    if by_rule:
        return _along(u, dim, weights)
    starts = (torch.arange(len(x), device=u.device) - order // 2).clamp(0, len(x) - order - 1)
    u = u.movedim(dim, -1)
    return torch.stack([u[..., starts + j] * weights[:, j] for j in range(order + 1)]).sum(0).movedim(-1, dim)


def _stencils(x: np.ndarray, width: int) -> Tensor:
    r"""Derivative at every point of the polynomial through the ``width`` points around it, ``(n, width)``.

    With the barycentric weights :math:`b_j` of the points of a stencil, the weight of point j for the slope at point i
    is :math:`(b_j/b_i)/(x_i-x_j)`, and that of point i makes the sum zero.
    """
    n = len(x)
    starts = np.clip(np.arange(n) - width // 2, 0, n - width)
    nodes = x[starts[:, None] + np.arange(width)]
    own = np.arange(n) - starts
    differences = nodes[:, :, None] - nodes[:, None, :] + np.eye(width)
    # Products of many distances leave the range of floats; their logarithms do not.
    log_b, sign_b = -np.log(np.abs(differences)).sum(2), np.sign(differences).prod(2)
    rows = np.arange(n)
    ratio = sign_b * sign_b[rows, own][:, None] * np.exp(log_b - log_b[rows, own][:, None])
    weights = ratio / differences[rows, own]
    weights[rows, own] = 0
    weights[rows, own] = -weights.sum(1)
    return torch.from_numpy(weights)


def _on_mesh(u: Tensor, mesh: Mesh) -> list[Tensor]:
    corners, inverse, _ = mesh._cells_on(u.dtype, u.device)
    first = u[..., corners[0]]
    steps = [u[..., corner] - first for corner in corners[1:]]
    return [
        torch.stack([step * inverse[:, axis, k] for k, step in enumerate(steps)]).sum(0) for axis in range(mesh.dim)
    ]
