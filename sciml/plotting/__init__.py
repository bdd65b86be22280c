"""Pictures of fields and of training; matplotlib is imported when a picture is drawn."""

from sciml.plotting.fields import OperatorSample, plot_operator_samples
from sciml.plotting.history import plot_history

__all__ = ["OperatorSample", "plot_history", "plot_operator_samples"]
