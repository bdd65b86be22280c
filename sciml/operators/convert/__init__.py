"""Torch networks as neural operators, with their weights: start with :func:`to_operator`."""

from sciml.operators.convert.convolution import (
    CellConv1d,
    CellConv2d,
    CellConv3d,
    CubicConv1d,
    CubicConv2d,
    CubicConv3d,
    DifferentialConv1d,
    DifferentialConv2d,
    DifferentialConv3d,
    HatConv1d,
    HatConv2d,
    HatConv3d,
    SpectralConvFrom1d,
    SpectralConvFrom2d,
    SpectralConvFrom3d,
    StencilConv1d,
    StencilConv2d,
    StencilConv3d,
)
from sciml.operators.convert.function_parameter import FunctionParameter
from sciml.operators.convert.lattice import LatticeAxis, Window
from sciml.operators.convert.linear import IntegralLinear
from sciml.operators.convert.message_passing import IntegralMessagePassing
from sciml.operators.convert.multiplier import spectral_conv_from
from sciml.operators.convert.operator import OperatorModule, Row
from sciml.operators.convert.report import DiscretizationError, conversion_report, discretization_error
from sciml.operators.convert.rules import MESSAGES, Place, Rule, find_rule, register_converter, unregister_converter
from sciml.operators.convert.site import Site, adopt
from sciml.operators.convert.to_operator import to_operator
from sciml.operators.convert.wrapper import InterpolationWrapper

__all__ = [
    "MESSAGES",
    "CellConv1d",
    "CellConv2d",
    "CellConv3d",
    "CubicConv1d",
    "CubicConv2d",
    "CubicConv3d",
    "DifferentialConv1d",
    "DifferentialConv2d",
    "DifferentialConv3d",
    "DiscretizationError",
    "FunctionParameter",
    "HatConv1d",
    "HatConv2d",
    "HatConv3d",
    "IntegralLinear",
    "IntegralMessagePassing",
    "InterpolationWrapper",
    "LatticeAxis",
    "OperatorModule",
    "Place",
    "Row",
    "Rule",
    "Site",
    "SpectralConvFrom1d",
    "SpectralConvFrom2d",
    "SpectralConvFrom3d",
    "StencilConv1d",
    "StencilConv2d",
    "StencilConv3d",
    "Window",
    "adopt",
    "conversion_report",
    "discretization_error",
    "find_rule",
    "register_converter",
    "spectral_conv_from",
    "to_operator",
    "unregister_converter",
]
