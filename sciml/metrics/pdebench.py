r"""The error measures by which PDEBench compares models, under its definitions.

They weigh all points alike and reduce over samples in their own ways; :mod:`sciml.metrics.functional` has the measures
that follow the quadrature. Frames of a trajectory count as channels: ``prediction.flatten(1, 2)`` for values
``(batch, frames, channels, *grid)``.
"""

import math

import torch
from torch import Tensor

from sciml.errors import ConfigError
from sciml.metrics.functional import check_pair

__all__ = ["brmse", "crmse", "frmse"]

# Below, wave numbers 0 to 3 are low, 4 to 11 middle, and the rest high.
_BANDS = (4, 12)


def _error(prediction: Tensor, target: Tensor) -> Tensor:
    """``(batch, channels, *grid)``; a list of points without a channel axis is one channel on a line."""
    check_pair(prediction, target)
    error = prediction - target
    return error[:, None] if error.dim() == 2 else error


def _root(squares: Tensor) -> Tensor:
    """Square roots with the subgradient 0 at 0."""
    return torch.where(squares > 0, torch.where(squares > 0, squares, 1).sqrt(), 0)


def crmse(prediction: Tensor, target: Tensor) -> Tensor:
    r"""Error of what is conserved: RMSE over samples of the sum over points, divided by the number of points.

    .. math:: \frac1n \Big(\frac1B \sum_i \big(\textstyle\sum_j \hat y_{ij} - y_{ij}\big)^2\Big)^{1/2}

    Args:
        prediction: ``(batch, channels, *grid)`` or ``(batch, points)``.
        target: Like the prediction.

    Returns:
        A scalar, the mean over channels.

    Raises:
        ConfigError: If the shapes differ.

    Example:
        >>> crmse(torch.tensor([[1.0, -1.0], [2.0, 2.0]]), torch.zeros(2, 2)).round(decimals=4)
        tensor(1.4142)
    """
    means = _error(prediction, target).flatten(2).mean(2)
    return _root(means.square().mean(0)).mean()


def brmse(prediction: Tensor, target: Tensor) -> Tensor:
    """RMSE at the boundary of the grid: over the first and last points along every axis, corners once for each axis.

    Args:
        prediction: ``(batch, channels, *grid)`` or ``(batch, points)``.
        target: Like the prediction.

    Returns:
        ``(batch,)``, the mean over channels; PDEBench reports the mean over samples.

    Raises:
        ConfigError: If the shapes differ.

    Example:
        >>> brmse(torch.tensor([[3.0, 9.0, 4.0]]), torch.tensor([[0.0, 0.0, 0.0]])).round(decimals=4)
        tensor([3.5355])
    """
    error = _error(prediction, target)
    sides = [error.narrow(dim, end, 1).flatten(2) for dim in range(2, error.dim()) for end in (0, error.shape[dim] - 1)]
    faces = torch.cat(sides, 2)
    return (torch.linalg.vector_norm(faces, dim=2) / math.sqrt(faces.shape[2])).mean(1)


def frmse(prediction: Tensor, target: Tensor, volume: float = 1.0) -> Tensor:
    r"""RMSE of the Fourier transform in bands of wave numbers: 0 to 3, 4 to 11, and 12 on.

    With :math:`\hat e_k` the transform of the error and :math:`s_q = \sum_{|k| \in [q, q+1)} |\hat e_k|^2`, the value
    of a band is the mean over its q of :math:`\frac{|D|}{n}\, (\frac1B \sum_i s_q)^{1/2}`. As in the source, k runs
    from 0 to the Nyquist number in one dimension; in more it runs from 0 up to, not including, half the points of each
    axis, without negative wave numbers, and q up to, not including, half the points of the shortest axis.

    Args:
        prediction: ``(batch, channels, *grid)`` or ``(batch, points)``.
        target: Like the prediction.
        volume: Volume :math:`|D|` of the domain.

    Returns:
        Low, middle and high, ``(3,)``, means over channels; NaN for a band that the grid does not have.

    Raises:
        ConfigError: If the shapes differ, or an axis of several has fewer than two points.

    Reference:
        Takamoto et al.: PDEBench (2022).

    Example:
        >>> x = torch.arange(64) / 64
        >>> frmse(torch.cos(2 * torch.pi * 5 * x)[None], torch.zeros(1, 64)).round(decimals=4)  # 1/2 in one of 8
        tensor([0.0000, 0.0625, 0.0000])
    """
    error = _error(prediction, target)
    grid = tuple(error.shape[2:])
    if len(grid) == 1:
        modes = torch.fft.rfft(error)
        shells = modes.real.square() + modes.imag.square()
    else:
        if min(grid) < 2:
            raise ConfigError(f"the grid is {grid}, bands of wave numbers need at least 2 points along every axis.")
        shells = _shells(error, grid)
    roots = _root(shells.mean(0)).mean(0) * (volume / math.prod(grid))
    low, high = _BANDS
    return torch.stack([roots[:low].mean(), roots[low:high].mean(), roots[high:].mean()])


def _shells(error: Tensor, grid: tuple[int, ...]) -> Tensor:
    """Sums of squares of the modes with wave numbers in [q, q + 1), ``(batch, channels, q)``."""
    modes = torch.fft.fftn(error, dim=tuple(range(2, error.dim())))
    for dim, n in enumerate(grid):
        modes = modes.narrow(dim + 2, 0, n // 2)
    squares = (modes.real.square() + modes.imag.square()).flatten(2)
    axes = [torch.arange(n // 2, device=error.device) for n in grid]
    radius = sum(k.square() for k in torch.meshgrid(*axes, indexing="ij"))
    assert isinstance(radius, Tensor)
    shell = radius.double().sqrt().long().flatten()
    num = min(grid) // 2
    inside = shell < num
    zeros = squares.new_zeros(*squares.shape[:2], num)
    return zeros.index_add(2, shell[inside], squares[..., inside])
