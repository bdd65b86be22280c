"""Derivatives of sampled functions: by FFT along periodic axes, by finite differences along the others."""

import math

import torch
from torch import Tensor

from sciml.errors import ConfigError
from sciml.spaces.grid import RegularGrid

__all__ = ["gradient"]

# First derivative for spacing 1, by order: the central stencil, and the stencils of the first points of an axis. Both
# are exact for polynomials up to the order.
_CENTRAL = {2: (-1 / 2, 0.0, 1 / 2), 4: (1 / 12, -2 / 3, 0.0, 2 / 3, -1 / 12)}
_FIRST = {
    2: ((-3 / 2, 2.0, -1 / 2),),
    4: ((-25 / 12, 4.0, -3.0, 4 / 3, -1 / 4), (-1 / 4, -5 / 6, 3 / 2, -1 / 2, 1 / 12)),
}


def gradient(u: Tensor, grid: RegularGrid, order: int = 2) -> Tensor:
    r"""Gradient of functions on a grid.

    Along a periodic axis of length :math:`L` the derivative is spectral,
    :math:`\hat u_k \mapsto (2\pi i k/L)\,\hat u_k`, with the Nyquist mode set to zero; along other axes it is a finite
    difference, one-sided at the ends with the same order.

    Args:
        u: Values ``(..., *grid)``.
        grid: Where they live.
        order: Order of the finite differences, 2 or 4.

    Returns:
        Derivatives ``(dim, ..., *grid)``.

    Raises:
        ConfigError: If the values do not have the shape of the grid, are no floats, the order is unknown, or an
            axis is too short.

    Example:
        >>> grid = RegularGrid(shape=(5,), bounds=((0.0, 1.0),))
        >>> gradient(3 * grid.points[:, 0], grid)[0].round(decimals=6).tolist()
        [3.0, 3.0, 3.0, 3.0, 3.0]
    """
    return torch.stack(partial_derivatives(u, grid, order))


def partial_derivatives(u: Tensor, grid: RegularGrid, order: int = 2) -> list[Tensor]:
    """The rows of :func:`gradient`, not copied into one tensor."""
    if tuple(u.shape[u.dim() - grid.dim :]) != grid.shape:
        raise ConfigError(f"values have shape {tuple(u.shape)}, expected the grid {grid.shape} as the last axes.")
    if not u.is_floating_point():
        raise ConfigError(f"values are {u.dtype}, derivatives need floats: u.float().")
    if order not in (2, 4):
        raise ConfigError(f"order is {order}, expected 2 or 4.")
    return [_partial(u, grid, axis, order) for axis in range(grid.dim)]


def _partial(u: Tensor, grid: RegularGrid, axis: int, order: int) -> Tensor:
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
    if n < order + 1:
        raise ConfigError(f"an axis of {n} points is too short for differences of order {order}: needs {order + 1}.")
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


def _along(u: Tensor, dim: int, matrix: Tensor) -> Tensor:
    return (u.movedim(dim, -1) @ matrix.T).movedim(-1, dim)
