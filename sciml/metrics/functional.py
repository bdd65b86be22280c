r"""Errors of predicted functions, one value a sample; all differentiable, so each is also a loss.

Ratios follow one rule where a target has norm zero: the error is infinite, because no scale is there to compare with,
except that an exact prediction has error 0. Nothing is added to a denominator: an ``eps`` would turn the first case
into a number that depends on ``eps`` alone. An exact prediction has the gradient 0 (a subgradient), never NaN.
:mod:`sciml.metrics.reduction` takes the values of many samples together.
"""

import math

import torch
from torch import Tensor

from sciml.errors import ConfigError
from sciml.spaces import RegularGrid, h1_norm

__all__ = ["max_error", "mse", "nrmse", "relative_h1", "relative_l2", "rmse", "vrmse"]


def check_pair(prediction: Tensor, target: Tensor) -> None:
    """Refuse tensors that do not fit: subtracting them could broadcast without notice."""
    if prediction.shape != target.shape:
        raise ConfigError(
            f"prediction has shape {tuple(prediction.shape)}, target {tuple(target.shape)}; they must be equal."
        )
    if prediction.dim() < 2:
        raise ConfigError(f"prediction has shape {tuple(prediction.shape)}, expected (batch, ...).")


def weighted_norm(u: Tensor, weights: Tensor | None) -> Tensor:
    """L2 norm of each sample, ``(batch,)``; with equal weights left out, up to a constant."""
    if weights is not None:
        u = u * _fit(weights, u).sqrt().to(u.dtype)
    # vector_norm has the subgradient 0 at 0, unlike the root of a sum of squares, whose gradient there is NaN.
    return torch.linalg.vector_norm(u.flatten(1), dim=1)


def _fit(weights: Tensor, u: Tensor) -> Tensor:
    """Weights in the shape of the last axes; one list of all points of a grid is folded to the grid."""
    if weights.dim() == 1 and len(weights) != u.shape[-1]:
        for num_axes in range(2, u.dim()):
            if math.prod(u.shape[-num_axes:]) == len(weights):
                weights = weights.reshape(u.shape[-num_axes:])
                break
    fits = all(a in (1, b) for a, b in zip(reversed(weights.shape), reversed(u.shape), strict=False))
    if weights.dim() > u.dim() or not fits:
        raise ConfigError(
            f"weights have shape {tuple(weights.shape)}, the values {tuple(u.shape)}: expected grid.weights or "
            "grid.weights_nd() of the grid of the values."
        )
    return weights.to(u.device)


def _per_channel(u: Tensor) -> Tensor:
    """``(batch, channels, points)``; a list of points without a channel axis is one channel."""
    return u[:, None] if u.dim() == 2 else u.flatten(2)


def _ratio(error: Tensor, norm: Tensor) -> Tensor:
    return error / norm.masked_fill(error == 0, 1)


def relative_l2(prediction: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    r"""Relative L2 error of each sample, :math:`\|\hat y - y\|_{L^2} / \|y\|_{L^2}`.

    Channels count together. For a target that is zero the error is infinite, or 0 if the prediction is zero as well.

    Args:
        prediction: ``(batch, channels, *grid)`` or ``(batch, points)``.
        target: Like the prediction.
        weights: Quadrature weights that broadcast to the points, or those of all points of the grid in one list; not
            negative. Equal weights cancel and can be left out.

    Returns:
        ``(batch,)``.

    Raises:
        ConfigError: If the shapes differ, or the weights are not those of the points.

    Example:
        >>> relative_l2(torch.tensor([[3.0, 0.0]]), torch.tensor([[3.0, 4.0]]))
        tensor([0.8000])
    """
    check_pair(prediction, target)
    return _ratio(weighted_norm(prediction - target, weights), weighted_norm(target, weights))


def relative_h1(prediction: Tensor, target: Tensor, grid: RegularGrid, order: int = 2) -> Tensor:
    r"""Relative H1 error of each sample, with derivatives by :func:`sciml.spaces.gradient`.

    .. math:: \Big(\frac{\|e\|^2 + \|\nabla e\|^2}{\|y\|^2 + \|\nabla y\|^2}\Big)^{1/2}, \quad e = \hat y - y

    Args:
        prediction: ``(batch, channels, *grid)``.
        target: Like the prediction.
        grid: Where the values live.
        order: Order of the finite differences along axes that are not periodic.

    Returns:
        ``(batch,)``.

    Raises:
        ConfigError: If the shapes differ, or are not those of the grid.

    Example:
        >>> grid = RegularGrid(shape=(3,), bounds=((0.0, 1.0),))
        >>> line = grid.points.T[None]
        >>> relative_h1(1.1 * line, line, grid)
        tensor([0.1000], dtype=torch.float64)
    """
    check_pair(prediction, target)
    return _ratio(h1_norm(prediction - target, grid, order), h1_norm(target, grid, order))


def mse(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of each sample over channels and points, ``(batch,)``.

    Raises:
        ConfigError: If the shapes differ.

    Example:
        >>> mse(torch.tensor([[1.0, 3.0]]), torch.tensor([[1.0, 1.0]]))
        tensor([2.])
    """
    check_pair(prediction, target)
    return (prediction - target).square().flatten(1).mean(1)


def rmse(prediction: Tensor, target: Tensor) -> Tensor:
    """Root of :func:`mse`, ``(batch,)``.

    Raises:
        ConfigError: If the shapes differ.

    Example:
        >>> rmse(torch.tensor([[3.0, 4.0]]), torch.zeros(1, 2)).round(decimals=4)
        tensor([3.5355])
    """
    check_pair(prediction, target)
    return weighted_norm(prediction - target, None) / math.sqrt(math.prod(prediction.shape[1:]))


def nrmse(prediction: Tensor, target: Tensor) -> Tensor:
    """Relative L2 error per channel, then the mean over channels, ``(batch,)``, as PDEBench normalises.

    Unlike :func:`relative_l2`, a channel with small values counts as much as one with large values.

    Shapes:
        - **prediction**, **target**: ``(batch, channels, *grid)`` or ``(batch, points)``.
        - **output**: ``(batch,)``.

    Raises:
        ConfigError: If the shapes differ.

    Example:
        >>> target = torch.tensor([[[100.0, 100.0], [1.0, 1.0]]])
        >>> nrmse(torch.tensor([[[100.0, 100.0], [2.0, 2.0]]]), target)
        tensor([0.5000])
    """
    check_pair(prediction, target)
    norm = torch.linalg.vector_norm
    return _ratio(norm(_per_channel(prediction - target), dim=2), norm(_per_channel(target), dim=2)).mean(1)


def vrmse(prediction: Tensor, target: Tensor) -> Tensor:
    r"""RMSE over the standard deviation of the target within the sample, per channel, then the mean over channels.

    .. math:: \Big(\frac{\sum_j |\hat y_j - y_j|^2}{\sum_j |y_j - \bar y|^2}\Big)^{1/2}

    1 is predicting the mean of the sample. A channel that is constant has no standard deviation: its error is infinite,
    or of the order of one over the rounding of its mean, unless it is predicted exactly.

    Shapes:
        - **prediction**, **target**: ``(batch, channels, *grid)`` or ``(batch, points)``.
        - **output**: ``(batch,)``.

    Raises:
        ConfigError: If the shapes differ.

    Example:
        >>> vrmse(torch.tensor([[[2.0, 2.0]]]), torch.tensor([[[1.0, 3.0]]]))
        tensor([1.])
    """
    check_pair(prediction, target)
    norm, flat = torch.linalg.vector_norm, _per_channel(target)
    spread = norm(flat - flat.mean(2, keepdim=True), dim=2)
    return _ratio(norm(_per_channel(prediction - target), dim=2), spread).mean(1)


def max_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Largest absolute error of each sample over channels and points, ``(batch,)``.

    Raises:
        ConfigError: If the shapes differ.

    Example:
        >>> max_error(torch.tensor([[1.0, -3.0]]), torch.zeros(1, 2))
        tensor([3.])
    """
    check_pair(prediction, target)
    return (prediction - target).abs().flatten(1).amax(1)
