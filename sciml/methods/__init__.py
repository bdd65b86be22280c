"""Training methods for any model; each also has functions for a loop written by hand."""

from sciml.methods.gradient_noise import GradientNoise, add_gradient_noise_, gradient_noise_std
from sciml.methods.grid_symmetry import GridSymmetry, apply_symmetry, symmetries

__all__ = [
    "GradientNoise",
    "GridSymmetry",
    "add_gradient_noise_",
    "apply_symmetry",
    "gradient_noise_std",
    "symmetries",
]
