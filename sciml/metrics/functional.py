"""Errors of predicted functions, one value a sample; all differentiable, so each is also a loss.

The mean of :func:`relative_l2` over samples is the usual figure; :func:`ratio_of_means` is the other convention.
"""

import torch
from torch import Tensor

from sciml.errors import ConfigError
from sciml.spaces import RegularGrid, gradient

__all__ = [
    "max_error",
    "mean_and_standard_error",
    "mse",
    "nrmse",
    "ratio_of_means",
    "relative_h1",
    "relative_l2",
    "rmse",
    "vrmse",
]


def _check(prediction: Tensor, target: Tensor) -> None:
    if prediction.shape != target.shape:
        raise ConfigError(
            f"prediction has shape {tuple(prediction.shape)}, target {tuple(target.shape)}; they must be equal."
        )
    if prediction.dim() < 2:
        raise ConfigError(f"prediction has shape {tuple(prediction.shape)}, expected (batch, ...).")


def _norm(flat: Tensor) -> Tensor:
    # torch's norm has the subgradient 0 at 0, unlike sqrt(sum of squares), whose gradient there is NaN.
    return torch.linalg.vector_norm(flat, dim=1)


def _weighted(u: Tensor, weights: Tensor | None) -> Tensor:
    """Samples as rows, scaled so that the Euclidean norm is the weighted one."""
    return u.flatten(1) if weights is None else (u * weights.sqrt()).flatten(1)


def relative_l2(prediction: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    r"""Relative L2 error of each sample, :math:`\|\hat y - y\|_{L^2} / \|y\|_{L^2}`.

    Channels count together. For a target that is zero the error is infinite, or NaN if the prediction is zero as well.

    Args:
        prediction: ``(batch, channels, *grid)`` or ``(batch, points)``.
        target: Like the prediction.
        weights: Quadrature weights that broadcast to the points; equal weights cancel and can be left out.

    Returns:
        ``(batch,)``.

    Raises:
        ConfigError: If the shapes differ.

    Example:
        >>> relative_l2(torch.tensor([[3.0, 0.0]]), torch.tensor([[3.0, 4.0]]))
        tensor([0.8000])
    """
    _check(prediction, target)
    return _norm(_weighted(prediction - target, weights)) / _norm(_weighted(target, weights))


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
    """
    _check(prediction, target)
    weights = None if grid.uniform else grid.weights_nd(target.dtype, target.device)

    def norm(u: Tensor) -> Tensor:
        parts = torch.cat([u[None], gradient(u, grid, order)]).transpose(0, 1)
        return _norm(_weighted(parts, weights))

    return norm(prediction - target) / norm(target)


def mse(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of each sample over channels and points, ``(batch,)``."""
    _check(prediction, target)
    return (prediction - target).square().flatten(1).mean(1)


def rmse(prediction: Tensor, target: Tensor) -> Tensor:
    """Root of :func:`mse`, ``(batch,)``."""
    _check(prediction, target)
    return _norm((prediction - target).flatten(1)) / prediction[0].numel() ** 0.5


def nrmse(prediction: Tensor, target: Tensor) -> Tensor:
    """Relative L2 error per channel, then the mean over channels, ``(batch,)``, as PDEBench normalises.

    Shapes:
        - **prediction**, **target**: ``(batch, channels, *grid)``.
    """
    _check(prediction, target)
    batch, channels = target.shape[:2]
    flat = (prediction - target).reshape(batch * channels, -1)
    return (_norm(flat) / _norm(target.reshape(batch * channels, -1))).reshape(batch, channels).mean(1)


def vrmse(prediction: Tensor, target: Tensor) -> Tensor:
    """RMSE over the standard deviation of the target within the sample; 1 is predicting the sample's mean.

    Shapes:
        - **prediction**, **target**: ``(batch, channels, *grid)``; the mean over channels is returned, ``(batch,)``.
    """
    _check(prediction, target)
    batch, channels = target.shape[:2]
    flat = target.reshape(batch * channels, -1)
    error = _norm((prediction - target).reshape(batch * channels, -1))
    return (error / _norm(flat - flat.mean(1, keepdim=True))).reshape(batch, channels).mean(1)


def max_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Largest absolute error of each sample, ``(batch,)``."""
    _check(prediction, target)
    return (prediction - target).abs().flatten(1).amax(1)


def ratio_of_means(prediction: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """L2 norm of the error over L2 norm of the target, each over all samples: a scalar.

    The mean of :func:`relative_l2` weighs every sample alike; this weighs samples by the norm of their targets.
    """
    _check(prediction, target)
    return _weighted(prediction - target, weights).norm() / _weighted(target, weights).norm()


def mean_and_standard_error(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean over samples, and the standard error of that mean.

    Example:
        >>> mean, error = mean_and_standard_error(torch.tensor([1.0, 3.0]))
        >>> mean.item(), error.item()
        (2.0, 1.0)
    """
    return values.mean(), values.std() / len(values) ** 0.5
