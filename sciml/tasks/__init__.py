"""What can be learned: each task gives loss, metrics, normalisation and predictions for any model."""

from sciml.tasks.baselines import constant_baseline, linear_baseline, mean_baseline
from sciml.tasks.operator import OperatorRegression

__all__ = ["OperatorRegression", "constant_baseline", "linear_baseline", "mean_baseline"]
