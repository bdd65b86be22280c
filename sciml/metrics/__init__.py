"""Errors of predicted functions: functions of tensors that give one value a sample, and their means over samples."""

from sciml.metrics.functional import max_error, mse, nrmse, relative_h1, relative_l2, rmse, vrmse
from sciml.metrics.pdebench import brmse, crmse, frmse
from sciml.metrics.reduction import mean_and_standard_error, ratio_of_means, reduce

__all__ = [
    "brmse",
    "crmse",
    "frmse",
    "max_error",
    "mean_and_standard_error",
    "mse",
    "nrmse",
    "ratio_of_means",
    "reduce",
    "relative_h1",
    "relative_l2",
    "rmse",
    "vrmse",
]
