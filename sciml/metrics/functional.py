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
from sciml.spaces import Discretization, Function, FunctionBatch, h1_norm

__all__ = ["max_error", "mse", "nrmse", "relative_h1", "relative_l2", "rmse", "vrmse"]


Values = Tensor | Function | FunctionBatch
Weights = Tensor | Discretization


def check_pair(prediction: Tensor, target: Tensor) -> None:
    """Refuse tensors that do not fit: subtracting them could broadcast without notice."""
    if prediction.shape != target.shape:
        raise ConfigError(
            f"prediction has shape {tuple(prediction.shape)}, target {tuple(target.shape)}; they must be equal."
        )
    if prediction.dim() < 2:
        raise ConfigError(f"prediction has shape {tuple(prediction.shape)}, expected (batch, ...).")


def weighted_norm(u: Tensor, weights: Weights | None) -> Tensor:
    """L2 norm of each sample, ``(batch,)``; with equal weights left out, up to a constant."""
    # vector_norm has the subgradient 0 at 0, unlike the root of a sum of squares, whose gradient there is NaN.
    return torch.linalg.vector_norm(_scaled(u, weights).flatten(1), dim=1)


def norms(prediction: Values, target: Values, weights: Weights | None) -> tuple[Tensor, Tensor]:
    """L2 norms of error and target of each sample; functions bring their own weights."""
    if isinstance(prediction, Tensor) and isinstance(target, Tensor):
        check_pair(prediction, target)
        return weighted_norm(prediction - target, weights), weighted_norm(target, weights)
    if isinstance(prediction, Tensor) or isinstance(target, Tensor):
        raise TypeError(
            f"prediction is a {type(prediction).__name__}, target a {type(target).__name__}: give two tensors, or two "
            "functions on one discretisation."
        )
    if weights is not None:
        raise ConfigError("weights are given twice: functions bring those of their discretisation.")
    if prediction.values.shape != target.values.shape:
        raise ConfigError(
            f"prediction has shape {tuple(prediction.values.shape)}, target {tuple(target.values.shape)}; they must be "
            "equal."
        )
    error = prediction - target  # type: ignore[operator]
    return error.l2_norm().reshape(-1), target.l2_norm().reshape(-1)


def _scaled(u: Tensor, weights: Weights | None) -> Tensor:
    return u if weights is None else u * _fit(weights, u).sqrt().to(u.dtype)


def _fit(weights: Weights, u: Tensor) -> Tensor:
    """Weights in the shape of the last axes; one list of all points of a grid is folded to the grid."""
    if not isinstance(weights, Tensor):
        if tuple(u.shape[-len(weights.shape) :]) != weights.shape and u.shape[-1] != weights.num_points:
            raise ConfigError(f"values have shape {tuple(u.shape)}, which does not end with that of {weights}.")
        as_list = u.shape[-1] == weights.num_points
        weights = weights.weights_nd(device=u.device).reshape((-1,) if as_list else weights.shape)
    if weights.dim() == 1 and len(weights) != u.shape[-1]:
        for num_axes in range(2, u.dim()):
            if math.prod(u.shape[-num_axes:]) == len(weights):
                weights = weights.reshape(u.shape[-num_axes:])
                break
    # Comparisons rather than "in": torch.compile does not see equal symbolic sizes as members.
    fits = weights.dim() <= u.dim() and all(
        a == 1 or a == b for a, b in zip(weights.shape, u.shape[u.dim() - weights.dim() :], strict=True)
    )
    if not fits:
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


def relative_l2(prediction: Values, target: Values, weights: Weights | None = None) -> Tensor:
    r"""Relative L2 error of each sample, :math:`\|\hat y - y\|_{L^2} / \|y\|_{L^2}`.

    Channels count together. For a target that is zero the error is infinite, or 0 if the prediction is zero as well.

    Args:
        prediction: ``(batch, channels, *grid)``, ``(batch, channels, points)`` or ``(batch, points)``; or functions,
            whose weights then count.
        target: Like the prediction.
        weights: A grid, mesh or point cloud; or quadrature weights that broadcast to the points,
            ``(batch, 1, points)`` for points of each sample's own, with 0 on padding; or those of all points of a grid
            in one list; not negative. Equal weights cancel and can be left out.

    Returns:
        ``(batch,)``.

    Raises:
        ConfigError: If the shapes differ, or the weights are not those of the points.
        TypeError: If functions live on different discretisations.

    Example:
        >>> relative_l2(torch.tensor([[3.0, 0.0]]), torch.tensor([[3.0, 4.0]]))
        tensor([0.8000])
    """
    return _ratio(*norms(prediction, target, weights))


def relative_h1(prediction: Tensor, target: Tensor, grid: Discretization, order: int = 2) -> Tensor:
    r"""Relative H1 error of each sample, with derivatives by :func:`sciml.spaces.gradient`.

    .. math:: \Big(\frac{\|e\|^2 + \|\nabla e\|^2}{\|y\|^2 + \|\nabla y\|^2}\Big)^{1/2}, \quad e = \hat y - y

    Args:
        prediction: ``(batch, channels, *grid)``.
        target: Like the prediction.
        grid: Where the values live: a grid, or a mesh.
        order: Order of the finite differences along axes that are not periodic.

    Returns:
        ``(batch,)``.

    Raises:
        ConfigError: If the shapes differ, or are not those of the grid.

    Example:
        >>> from sciml.spaces import RegularGrid
        >>> grid = RegularGrid(shape=(3,), bounds=((0.0, 1.0),))
        >>> line = grid.points.T[None]
        >>> relative_h1(1.1 * line, line, grid)
        tensor([0.1000], dtype=torch.float64)
    """
    check_pair(prediction, target)
    return _ratio(h1_norm(prediction - target, grid, order), h1_norm(target, grid, order))


def mse(prediction: Tensor, target: Tensor, weights: Weights | None = None) -> Tensor:
    """Mean squared error of each sample over channels and points, ``(batch,)``.

    Args:
        prediction: ``(batch, channels, *grid)`` or ``(batch, points)``.
        target: Like the prediction.
        weights: As in :func:`relative_l2`; all points count alike when None.

    Raises:
        ConfigError: If the shapes differ, or the weights are not those of the points.

    Example:
        >>> mse(torch.tensor([[1.0, 3.0]]), torch.tensor([[1.0, 1.0]]))
        tensor([2.])
    """
    check_pair(prediction, target)
    return _scaled(prediction - target, weights).square().flatten(1).sum(1) / _total(target, weights)


def _total(u: Tensor, weights: Weights | None) -> Tensor | int:
    """Weight of all channels and points of each sample."""
    if weights is None:
        return math.prod(u.shape[1:])
    return _fit(weights, u).to(u.dtype).expand(u.shape).sum(tuple(range(1, u.dim())))


def rmse(prediction: Tensor, target: Tensor, weights: Weights | None = None) -> Tensor:
    """Root of :func:`mse`, ``(batch,)``.

    Args:
        prediction: ``(batch, channels, *grid)`` or ``(batch, points)``.
        target: Like the prediction.
        weights: As in :func:`relative_l2`; all points count alike when None.

    Raises:
        ConfigError: If the shapes differ, or the weights are not those of the points.

    Example:
        >>> rmse(torch.tensor([[3.0, 4.0]]), torch.zeros(1, 2)).round(decimals=4)
        tensor([3.5355])
    """
    check_pair(prediction, target)
    return weighted_norm(prediction - target, weights) / _total(target, weights) ** 0.5


def nrmse(prediction: Tensor, target: Tensor, weights: Weights | None = None) -> Tensor:
    """Relative L2 error per channel, then the mean over channels, ``(batch,)``, as PDEBench normalises.

    Unlike :func:`relative_l2`, a channel with small values counts as much as one with large values.

    Shapes:
        - **prediction**, **target**: ``(batch, channels, *grid)`` or ``(batch, points)``.
        - **weights**: as in :func:`relative_l2`; all points count alike when None.
        - **output**: ``(batch,)``.

    Raises:
        ConfigError: If the shapes differ, or the weights are not those of the points.

    Example:
        >>> target = torch.tensor([[[100.0, 100.0], [1.0, 1.0]]])
        >>> nrmse(torch.tensor([[[100.0, 100.0], [2.0, 2.0]]]), target)
        tensor([0.5000])
    """
    check_pair(prediction, target)
    norm = torch.linalg.vector_norm
    error, target = (_per_channel(_scaled(u, weights)) for u in (prediction - target, target))
    return _ratio(norm(error, dim=2), norm(target, dim=2)).mean(1)


def vrmse(prediction: Tensor, target: Tensor, weights: Weights | None = None) -> Tensor:
    r"""RMSE over the standard deviation of the target within the sample, per channel, then the mean over channels.

    .. math:: \Big(\frac{\sum_j |\hat y_j - y_j|^2}{\sum_j |y_j - \bar y|^2}\Big)^{1/2}

    1 is predicting the mean of the sample. A channel that is constant has no standard deviation: its error is infinite,
    or of the order of one over the rounding of its mean, unless it is predicted exactly.

    Shapes:
        - **prediction**, **target**: ``(batch, channels, *grid)`` or ``(batch, points)``.
        - **weights**: as in :func:`relative_l2`; all points count alike when None.
        - **output**: ``(batch,)``.

    Raises:
        ConfigError: If the shapes differ, or the weights are not those of the points.

    Example:
        >>> vrmse(torch.tensor([[[2.0, 2.0]]]), torch.tensor([[[1.0, 3.0]]]))
        tensor([1.])
    """
    check_pair(prediction, target)
    points = tuple(range(1 if target.dim() == 2 else 2, target.dim()))
    if weights is None:
        mean = target.mean(points, keepdim=True)
    else:
        share = _fit(weights, target).to(target.dtype).expand(target.shape)
        mean = (share * target).sum(points, keepdim=True) / share.sum(points, keepdim=True)
    norm = torch.linalg.vector_norm
    error, spread = (_per_channel(_scaled(u, weights)) for u in (prediction - target, target - mean))
    return _ratio(norm(error, dim=2), norm(spread, dim=2)).mean(1)


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
