"""Training methods for any model; each also has functions for a loop written by hand."""

from sciml.methods.gradient_noise import GradientNoise, add_gradient_noise_, gradient_noise_std
from sciml.methods.grid_symmetry import GridSymmetry, apply_symmetry, symmetries
from sciml.methods.query_sampling import QuerySampling, sample_queries

__all__ = [
    "GradientNoise",
    "GridSymmetry",
    "QuerySampling",
    "add_gradient_noise_",
    "apply_symmetry",
    "gradient_noise_std",
    "sample_queries",
    "symmetries",
]
