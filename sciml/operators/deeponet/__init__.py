"""The DeepONet family: operators as sums of coefficients, from branches, times basis functions, from trunks.

Start with :class:`DeepONet` (``core``) or the builder :func:`deeponet` (``build``); branches for inputs without fixed
sensors derive from :class:`SampledBranch` (``sampled``).
"""

from sciml.operators.deeponet.basis_branch import BasisBranch, chebyshev_basis, fourier_basis
from sciml.operators.deeponet.build import DEEPONET, deeponet
from sciml.operators.deeponet.build_mionet import MIONET, MODIFIED_DEEPONET, mionet
from sciml.operators.deeponet.build_pod import POD_DEEPONET, pod_deeponet
from sciml.operators.deeponet.build_sensor_free import SENSOR_FREE_DEEPONET, sensor_free_deeponet
from sciml.operators.deeponet.core import DeepONet
from sciml.operators.deeponet.derivatives import partial_derivative
from sciml.operators.deeponet.features import FourierFeatures, PeriodicFeatures, periodic_features
from sciml.operators.deeponet.mionet import MIONet
from sciml.operators.deeponet.modified import ModifiedDeepONet
from sciml.operators.deeponet.networks import Parallel, StackedMLP
from sciml.operators.deeponet.pod import PODDeepONet
from sciml.operators.deeponet.pod_modes import PODModes
from sciml.operators.deeponet.quadrature import QuadratureBranch
from sciml.operators.deeponet.sampled import SampledBranch
from sciml.operators.deeponet.sensor_branch import SensorBranch
from sciml.operators.deeponet.set_branch import SetBranch
from sciml.operators.deeponet.transforms import HardDirichlet, PointwiseScale, Standardize, hard_dirichlet

__all__ = [
    "DEEPONET",
    "MIONET",
    "MODIFIED_DEEPONET",
    "POD_DEEPONET",
    "SENSOR_FREE_DEEPONET",
    "BasisBranch",
    "DeepONet",
    "FourierFeatures",
    "HardDirichlet",
    "MIONet",
    "ModifiedDeepONet",
    "PODDeepONet",
    "PODModes",
    "Parallel",
    "PeriodicFeatures",
    "PointwiseScale",
    "QuadratureBranch",
    "SampledBranch",
    "SensorBranch",
    "SetBranch",
    "StackedMLP",
    "Standardize",
    "chebyshev_basis",
    "deeponet",
    "fourier_basis",
    "hard_dirichlet",
    "mionet",
    "partial_derivative",
    "periodic_features",
    "pod_deeponet",
    "sensor_free_deeponet",
]
