"""What can be learned: each task gives loss, metrics, normalisation and predictions for any model."""

from sciml.tasks.baselines import linear_baseline, mean_baseline
from sciml.tasks.operator import OperatorRegression

__all__ = ["OperatorRegression", "linear_baseline", "mean_baseline"]
