"""Derivatives of sampled functions: by FFT along periodic axes, by finite differences along the others."""

import math
from functools import cache

import torch
from torch import Tensor

from sciml.errors import ConfigError
from sciml.spaces.grid import RegularGrid

__all__ = ["gradient"]


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
        ConfigError: If the values do not have the shape of the grid, the order is unknown, or an axis is too short.

    Example:
        >>> grid = RegularGrid(shape=(5,), bounds=((0.0, 1.0),))
        >>> gradient(3 * grid.points[:, 0], grid)[0].round(decimals=6).tolist()
        [3.0, 3.0, 3.0, 3.0, 3.0]
    """
    if tuple(u.shape[u.dim() - grid.dim :]) != grid.shape:
        raise ConfigError(f"values have shape {tuple(u.shape)}, expected the grid {grid.shape} as the last axes.")
    if order not in (2, 4):
        raise ConfigError(f"order is {order}, expected 2 or 4.")
    assert isinstance(grid.periodic, tuple)
    parts = []
    for axis in range(grid.dim):
        values = u.movedim(u.dim() - grid.dim + axis, -1)
        if grid.periodic[axis]:
            part = _spectral(values, grid.lengths[axis])
        else:
            part = _finite_difference(values, grid.spacing[axis], order)
        parts.append(part.movedim(-1, u.dim() - grid.dim + axis))
    return torch.stack(parts)


def _spectral(u: Tensor, length: float) -> Tensor:
    n = u.shape[-1]
    k = torch.arange(n // 2 + 1, dtype=u.dtype, device=u.device)
    if n % 2 == 0:
        k[-1] = 0  # the sign of the Nyquist mode is ambiguous for an odd derivative
    factor = torch.complex(torch.zeros_like(k), 2 * math.pi / length * k)
    return torch.fft.irfft(torch.fft.rfft(u) * factor, n=n)


@cache
def _stencil(offsets: tuple[int, ...]) -> tuple[float, ...]:
    """Weights of the first derivative at 0 from values at integer offsets, exact for polynomials."""
    nodes = torch.tensor(offsets, dtype=torch.float64)
    powers = nodes[None] ** torch.arange(len(offsets), dtype=torch.float64)[:, None]
    right = torch.zeros(len(offsets), dtype=torch.float64)
    right[1] = 1
    return tuple(torch.linalg.solve(powers, right).tolist())


def _finite_difference(u: Tensor, dx: float, order: int) -> Tensor:
    n, half = u.shape[-1], order // 2
    if n < order + 1:
        raise ConfigError(f"an axis of {n} points is too short for differences of order {order}: needs {order + 1}.")

    def apply(weights: tuple[float, ...], start: int, count: int) -> Tensor:
        terms = [w * u[..., start + j : start + j + count] for j, w in enumerate(weights) if abs(w) > 1e-14]
        return torch.stack(terms).sum(0) if len(terms) > 2 else terms[0] + terms[1]

    ends = [(_stencil(tuple(range(-row, order + 1 - row))), row) for row in range(half)]
    left = [apply(weights, 0, 1) for weights, _ in ends]
    # The stencils at the other end are the mirror images, with the opposite sign.
    right = [apply(tuple(-w for w in reversed(weights)), n - order - 1, 1) for weights, _ in reversed(ends)]
    inner = apply(_stencil(tuple(range(-half, half + 1))), 0, n - order)
    return torch.cat([*left, inner, *right], dim=-1) / dx
