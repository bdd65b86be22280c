"""Neural operators: maps between functions that do not depend on how these are sampled."""

from sciml.operators.fno import FNO
from sciml.operators.spectral_conv import SpectralConv

__all__ = ["FNO", "SpectralConv"]
