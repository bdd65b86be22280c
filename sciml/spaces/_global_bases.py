"""Interpolation along one axis by all of its points: trigonometric and algebraic polynomials, and averages of cells.

Each function gives a matrix ``(m, n)`` from values at the nodes to those at new coordinates; periodic grids have a
faster way by FFT.
"""

import math

import torch
from torch import Tensor

from sciml.spaces.derivatives import _stencils

__all__ = ["barycentric_matrix", "fourier_matrix", "overlap_matrix", "resample_periodic"]


def fourier_matrix(n: int, x: Tensor) -> Tensor:
    r"""Trigonometric polynomials that are one at one of ``n`` points and zero at the others.

    .. math:: \frac1n \Big(1 + 2 \sum_{0<k<n/2} \cos 2\pi k (x - j/n) + \cos \pi n x \cos \pi j\Big),

    the last term for even n only: the Nyquist mode is split between both signs.

    Args:
        n: Number of points.
        x: Coordinates in units of the period, from the first point, ``(m,)``.
    """
    j = torch.arange(n, dtype=x.dtype, device=x.device)
    distance = x[:, None] - j / n
    # The sum is sin(n pi d)/(n sin(pi d)) for odd n, and that times cos(pi d) for even n; without the quotient there is
    # no 0/0 and the gradient is right at the nodes.
    k = torch.arange(1, (n + 1) // 2, dtype=x.dtype, device=x.device)
    phase, own = 2 * math.pi * x[:, None] * k, 2 * math.pi / n * ((j[:, None] * k) % n)
    total = 1 + 2 * (torch.cos(phase) @ torch.cos(own).T + torch.sin(phase) @ torch.sin(own).T)
    if n % 2 == 0:
        total = total + torch.cos(math.pi * n * distance)
    return total / n


def resample_periodic(values: Tensor, dim: int, m: int, shift: float) -> Tensor:
    """Values at ``m`` equispaced points of a period, by FFT; modes that they cannot tell apart are dropped.

    Args:
        values: Real, any shape, ``n`` equispaced points along ``dim``.
        dim: The axis.
        m: Number of new points.
        shift: Distance of the first new point from the first old one, in units of the period.
    """
    values = values.movedim(dim, -1)
    n = values.shape[-1]
    spectrum = torch.fft.rfft(values)[..., : min(n, m) // 2 + 1]
    k = torch.arange(spectrum.shape[-1], dtype=values.dtype, device=values.device)
    factor = torch.polar(torch.full_like(k, m / n), 2 * math.pi * shift * k)
    # The Nyquist mode of the shorter side stands for both signs: irfft counts it once, other modes twice.
    if m < n and m % 2 == 0:
        factor[-1] = factor[-1] * 2
    if n < m and n % 2 == 0:
        factor[-1] = factor[-1] / 2
    return torch.fft.irfft(spectrum * factor, n=m).movedim(-1, dim)


def barycentric_matrix(nodes: Tensor, x: Tensor) -> Tensor:
    r"""Polynomials that are one at one node and zero at the others, by the barycentric formula.

    .. math:: \ell_j(x) = \frac{b_j}{x - x_j} \Big/ \sum_i \frac{b_i}{x - x_i}, \qquad
        b_j = 1 \Big/ \prod_{i \ne j} (x_j - x_i)

    Args:
        nodes: ``(n,)``.
        x: ``(m,)``.
    """
    nodes = nodes.to(x.device)
    distance = x[:, None] - nodes
    hit = distance == 0
    quotient = _barycentric_weights(nodes) / torch.where(hit, 1.0, distance)
    smooth = quotient / torch.where(hit.any(1, keepdim=True), 1.0, quotient.sum(1, keepdim=True))
    # At a node the formula is 0/0: the first terms of the Taylor series there have the same value and slope.
    slopes = _stencils(nodes.cpu().numpy(), len(nodes)).to(nodes)
    nearest = hit.long().argmax(1)
    offset = distance.gather(1, nearest[:, None])
    taylor = torch.nn.functional.one_hot(nearest, len(nodes)) + slopes[nearest] * offset
    return torch.where(hit.any(1, keepdim=True), taylor, smooth)


def _barycentric_weights(nodes: Tensor) -> Tensor:
    difference = nodes[:, None] - nodes + torch.eye(len(nodes), dtype=nodes.dtype, device=nodes.device)
    # Products of many distances leave the range of floats; a common factor of the weights cancels.
    logarithm = -difference.abs().log().sum(1)
    return difference.sign().prod(1) * (logarithm - logarithm.max()).exp()


def overlap_matrix(old: Tensor, new: Tensor, period: float | None) -> Tensor:
    """Share of every old cell in each new one, ``(m, n)``: averages over the old cells to those over the new ones.

    Args:
        old: Edges of the old cells ``(n + 1,)``.
        new: Edges of the new cells ``(m + 1,)``.
        period: Length of a periodic axis.
    """
    total = torch.zeros(len(new) - 1, len(old) - 1, dtype=old.dtype)
    for shift in (0.0,) if period is None else (-period, 0.0, period):
        upper = torch.minimum(new[1:, None], old[1:] + shift)
        total += (upper - torch.maximum(new[:-1, None], old[:-1] + shift)).clamp(min=0)
    return total / new.diff()[:, None]
