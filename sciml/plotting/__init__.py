"""Pictures of fields and of training; matplotlib is imported when a picture is drawn."""

from sciml.plotting.convergence import plot_discretization_error
from sciml.plotting.fields import OperatorSample, plot_operator_samples
from sciml.plotting.history import plot_history
from sciml.plotting.queries import QuerySample, plot_query_samples
from sciml.plotting.resolution import plot_resolution_errors
from sciml.plotting.surfaces import SurfaceSample, plot_surface_samples

__all__ = [
    "OperatorSample",
    "QuerySample",
    "SurfaceSample",
    "plot_discretization_error",
    "plot_history",
    "plot_operator_samples",
    "plot_query_samples",
    "plot_resolution_errors",
    "plot_surface_samples",
]
