"""Functions on discretisations: grids with quadrature weights, functions on them, norms and derivatives."""

from sciml.spaces.derivatives import gradient
from sciml.spaces.discretization import Discretization
from sciml.spaces.function import Function
from sciml.spaces.grid import RegularGrid
from sciml.spaces.norms import h1_norm, l1_norm, l2_norm, linf_norm
from sciml.spaces.spec import DataSpec, FieldSpec

__all__ = [
    "DataSpec",
    "Discretization",
    "FieldSpec",
    "Function",
    "RegularGrid",
    "gradient",
    "h1_norm",
    "l1_norm",
    "l2_norm",
    "linf_norm",
]
