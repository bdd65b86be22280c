"""Random functions and domains, drawn once and evaluated anywhere."""

from sciml.spaces.random.base import RandomFunctions, Sampler
from sciml.spaces.random.gaussian_process import GaussianProcess, wasserstein_distance
from sciml.spaces.random.pdebench import PDEBenchInitial
from sciml.spaces.random.piecewise import PiecewisePolynomials, cubic_splines
from sciml.spaces.random.polynomial import Chebyshev, PowerSeries
from sciml.spaces.random.shapes import GaussianBumps, PiecewiseConstant, Stars, StarShape
from sciml.spaces.random.spectral import SpectralGRF

__all__ = [
    "Chebyshev",
    "GaussianBumps",
    "GaussianProcess",
    "PDEBenchInitial",
    "PiecewiseConstant",
    "PiecewisePolynomials",
    "PowerSeries",
    "RandomFunctions",
    "Sampler",
    "SpectralGRF",
    "StarShape",
    "Stars",
    "cubic_splines",
    "wasserstein_distance",
]
