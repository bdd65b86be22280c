"""Functions on discretisations: points with quadrature weights, functions on them, norms and derivatives."""

from sciml.spaces.bridges import from_pyg, from_tensors, from_xarray, to_pyg, to_tensors, to_xarray
from sciml.spaces.derivatives import gradient
from sciml.spaces.discretization import Discretization
from sciml.spaces.function import Function
from sciml.spaces.function_batch import FunctionBatch
from sciml.spaces.grid import RegularGrid
from sciml.spaces.mesh import Mesh
from sciml.spaces.norms import h1_norm, l1_norm, l2_norm, linf_norm
from sciml.spaces.point_cloud import PointCloud
from sciml.spaces.resample import interpolate, resample
from sciml.spaces.spec import DataSpec, FieldSpec
from sciml.spaces.tensor_grid import TensorGrid

__all__ = [
    "DataSpec",
    "Discretization",
    "FieldSpec",
    "Function",
    "FunctionBatch",
    "Mesh",
    "PointCloud",
    "RegularGrid",
    "TensorGrid",
    "from_pyg",
    "from_tensors",
    "from_xarray",
    "gradient",
    "h1_norm",
    "interpolate",
    "l1_norm",
    "l2_norm",
    "linf_norm",
    "resample",
    "to_pyg",
    "to_tensors",
    "to_xarray",
]
