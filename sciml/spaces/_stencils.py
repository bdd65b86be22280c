"""Interpolation along one axis by few neighbours: nearest, linear and cubic.

A stencil gives, for every new coordinate, the indices of the nodes that count and their weights. The weights are
differentiable in the coordinates.
"""

import math

import numpy as np
import torch
from torch import Tensor

__all__ = ["LEAST", "prefiltered", "spline_inverse", "stencil"]

# Points that an axis without period needs.
LEAST = {"nearest": 1, "linear": 2, "cubic": 4}


def stencil(method: str, nodes: Tensor, x: Tensor, period: float | None) -> tuple[Tensor, Tensor]:
    """Indices and weights ``(m, width)`` of an axis at coordinates ``(m,)``.

    Args:
        method: ``nearest``, ``linear`` or ``cubic``; the last takes filtered values, see :func:`prefiltered`.
        nodes: Increasing, ``(n,)``; equispaced if there is a period.
        x: New coordinates, float64; beyond the nodes the outermost polynomials go on.
        period: Length of a periodic axis.
    """
    n, nodes = len(nodes), nodes.to(x.device)
    if period is not None:
        x = x - period * torch.floor((x.detach() - nodes[0]) / period)
        nodes = torch.cat([nodes, nodes[:1] + period])
    left = (torch.searchsorted(nodes, x.detach().contiguous(), right=True) - 1).clamp(0, max(len(nodes) - 2, 0))
    if method == "nearest":
        right = (left + 1).clamp(max=len(nodes) - 1)
        index = torch.where(nodes[right] - x < x - nodes[left], right, left)
        return index[:, None] % n, torch.ones_like(x)[:, None]
    if method == "linear":
        t = (x - nodes[left]) / (nodes[left + 1] - nodes[left])
        return torch.stack([left, left + 1], 1) % n, torch.stack([1 - t, t], 1)
    if period is not None:
        knots = nodes[0] + (period / n) * torch.arange(-3, n + 4, dtype=x.dtype, device=x.device)
        return (left[:, None] + torch.arange(-1, 3, device=x.device)) % n, _cubic_splines(knots, left + 3, x)
    knots = _not_a_knot(nodes)
    cell = (torch.searchsorted(knots, x.detach().contiguous(), right=True) - 1).clamp(3, n - 1)
    return cell[:, None] + torch.arange(-3, 1, device=x.device), _cubic_splines(knots, cell, x)


def _not_a_knot(nodes: Tensor) -> Tensor:
    """Knots of a cubic spline whose first two pieces are one polynomial, and its last two."""
    return torch.cat([nodes[:1].expand(4), nodes[2:-2], nodes[-1:].expand(4)])


def _cubic_splines(knots: Tensor, cell: Tensor, x: Tensor) -> Tensor:
    """The four cubic B-splines that are not zero between ``knots[cell]`` and the next, by Cox and de Boor."""
    basis = [torch.ones_like(x)]
    left = [x - knots[cell - j] for j in range(3)]
    right = [knots[cell + 1 + j] - x for j in range(3)]
    for degree in range(1, 4):
        saved, raised = torch.zeros_like(x), []
        for r in range(degree):
            part = basis[r] / (right[r] + left[degree - 1 - r])
            raised.append(saved + right[r] * part)
            saved = left[degree - 1 - r] * part
        basis = [*raised, saved]
    return torch.stack(basis, 1)


def prefiltered(values: Tensor, dim: int) -> Tensor:
    """Coefficients of the B-splines of which the sum along a periodic axis takes the values at the nodes.

    The matrix with (1, 4, 1)/6 in its rows is a circular convolution; see :func:`spline_inverse` for other axes.
    """
    values = values.movedim(dim, -1)
    n = values.shape[-1]
    k = torch.arange(n // 2 + 1, dtype=values.dtype, device=values.device)
    spectrum = torch.fft.rfft(values) * (3 / (2 + torch.cos(2 * math.pi / n * k)))
    return torch.fft.irfft(spectrum, n=n).movedim(-1, dim)


def spline_inverse(nodes: Tensor) -> Tensor:
    """Inverse ``(n, n)`` of the matrix of the B-splines at the nodes of an axis that is not periodic, float64."""
    from scipy.sparse import csc_matrix
    from scipy.sparse.linalg import splu

    n = len(nodes)
    index, weights = stencil("cubic", nodes, nodes, None)
    rows = np.repeat(np.arange(n), 4)
    matrix = csc_matrix((weights.flatten().numpy(), (rows, index.flatten().numpy())), shape=(n, n))
    return torch.from_numpy(splu(matrix).solve(np.eye(n)))
