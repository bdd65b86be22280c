"""Errors of predicted functions: functions of tensors that give one value a sample."""

from sciml.metrics.functional import (
    max_error,
    mean_and_standard_error,
    mse,
    nrmse,
    ratio_of_means,
    relative_h1,
    relative_l2,
    rmse,
    vrmse,
)

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
