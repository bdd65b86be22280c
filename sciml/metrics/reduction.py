r"""From errors of samples to one number with its standard error.

Two conventions are in use for a relative error over a test set, and they differ when the norms of the targets do:

- ``mean_of_ratios``, :math:`\frac1n \sum_i \|e_i\| / \|y_i\|`: every sample counts alike.
- ``ratio_of_means``, :math:`(\sum_i \|e_i\|^2 / \sum_i \|y_i\|^2)^{1/2}`: samples count by the squared norm of their
  targets; the relative error of all samples as one long function.
"""

import math
from typing import Literal

import torch
from torch import Tensor

from sciml.errors import ConfigError
from sciml.metrics.functional import Values, Weights, norms, relative_l2

__all__ = ["mean_and_standard_error", "ratio_of_means", "reduce"]


def mean_and_standard_error(values: Tensor) -> tuple[Tensor, Tensor]:
    r"""Mean over samples, and the standard error of that mean, :math:`s/\sqrt n`.

    One sample has no standard error: it is NaN.

    Args:
        values: One value a sample, ``(batch,)``.

    Raises:
        ConfigError: If there are no values, or they have more than one axis.

    Example:
        >>> mean, error = mean_and_standard_error(torch.tensor([1.0, 3.0]))
        >>> mean.item(), error.item()
        (2.0, 1.0)
    """
    if values.dim() != 1 or not len(values):
        raise ConfigError(f"values have shape {tuple(values.shape)}, expected one value a sample, (batch,).")
    if len(values) == 1:
        return values.mean(), torch.full_like(values[0], math.nan)
    return values.mean(), values.std() / math.sqrt(len(values))


def ratio_of_means(prediction: Values, target: Values, weights: Weights | None = None) -> Tensor:
    """L2 norm of the error over L2 norm of the target, each over all samples: a scalar.

    Args:
        prediction: As in :func:`relative_l2`.
        target: Like the prediction.
        weights: As in :func:`relative_l2`.

    Raises:
        ConfigError: As :func:`relative_l2` does.

    Example:
        >>> ratio_of_means(torch.tensor([[3.0], [0.0]]), torch.tensor([[3.0], [4.0]]))
        tensor(0.8000)
    """
    error, norm = norms(prediction, target, weights)
    return torch.linalg.vector_norm(error) / torch.linalg.vector_norm(norm)


def reduce(
    prediction: Values,
    target: Values,
    weights: Weights | None = None,
    reduction: Literal["mean_of_ratios", "ratio_of_means"] = "mean_of_ratios",
) -> tuple[Tensor, Tensor]:
    r"""Relative L2 error over all samples, and its standard error.

    For ``ratio_of_means`` the standard error is that of the delta method: with :math:`a_i = \|e_i\|^2`,
    :math:`b_i = \|y_i\|^2` and :math:`q = \bar a / \bar b`, the variance of :math:`q` is close to that of the mean of
    :math:`(a_i - q b_i)/\bar b`, and the value is :math:`\sqrt q`.

    Args:
        prediction: As in :func:`relative_l2`.
        target: Like the prediction.
        weights: As in :func:`relative_l2`.
        reduction: The convention; see the head of this module.

    Returns:
        Value and standard error, both scalars.

    Raises:
        ConfigError: If the reduction is unknown, and as :func:`relative_l2` does.

    Example:
        >>> target = torch.tensor([[1.0], [3.0]])
        >>> prediction = torch.tensor([[2.0], [3.0]])
        >>> reduce(prediction, target)[0].item()
        0.5
        >>> round(reduce(prediction, target, reduction="ratio_of_means")[0].item(), 4)  # 1 / sqrt(10)
        0.3162
    """
    if reduction == "mean_of_ratios":
        return mean_and_standard_error(relative_l2(prediction, target, weights))
    if reduction != "ratio_of_means":
        raise ConfigError(f"reduction is {reduction!r}, expected 'mean_of_ratios' or 'ratio_of_means'.")
    value = ratio_of_means(prediction, target, weights)
    a, b = (part.square() for part in norms(prediction, target, weights))
    _, error = mean_and_standard_error((a - value.square() * b) / b.mean())
    return value, torch.where(value == 0, error, error / (2 * value))
