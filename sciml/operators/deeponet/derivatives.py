"""Derivatives with respect to the query point, in forward mode: their cost does not depend on the input functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sciml.errors import ConfigError
from sciml.operators.deeponet.inputs import Layout, plain_values, query_layout
from sciml.operators.deeponet.transforms import HardDirichlet, with_all_axes, without_single_axes

if TYPE_CHECKING:
    from sciml.operators.deeponet.core import DeepONet

__all__ = ["contracted_derivative", "partial_derivative"]

PointFunction = Callable[[Tensor], Tensor]


def partial_derivative(function: PointFunction, points: Tensor, multi_index: Sequence[int]) -> Tensor:
    r"""The partial derivative :math:`\partial^\alpha f(y)` of a function of points, at many points.

    Every order is one more directional derivative in forward mode: as many outputs as there are cost as much as one.
    Gradients with respect to parameters flow through it.

    Args:
        function: Maps points ``(..., dim)`` to values ``(..., features)``, each point on its own.
        points: ``(..., dim)``.
        multi_index: Order of the derivative along each axis; ``(2, 0)`` is the second one along the first axis.

    Returns:
        ``(..., features)``.

    Raises:
        ConfigError: If the multi-index has another length than the points, or negative orders.

    Example:
        >>> y = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
        >>> partial_derivative(lambda y: (y[:, :1] ** 3 * y[:, 1:]), y, (2, 1))
        tensor([[ 6.],
                [18.]])
    """
    if len(multi_index) != points.shape[-1] or any(order < 0 for order in multi_index):
        raise ConfigError(
            f"multi_index is {tuple(multi_index)}, the points have shape {tuple(points.shape)}: expected one order, at "
            f"least 0, for each of the {points.shape[-1]} axes."
        )
    for axis, order in enumerate(multi_index):
        direction = torch.zeros_like(points)
        direction[..., axis] = 1
        for _ in range(order):
            function = _directional(function, direction)
    return function(points)


def _directional(function: PointFunction, direction: Tensor) -> PointFunction:
    return lambda points: torch.func.jvp(function, (points,), (direction,))[1]


def contracted_derivative(
    net: DeepONet, u: Any, coords: Tensor, multi_index: Sequence[int], layout: Layout | None
) -> Tensor:
    """Derivative of a DeepONet's output with respect to the query point, by the derivatives of its basis alone."""
    if not any(multi_index):
        return net(u, coords, layout)
    wall = net.output_transform
    if net.merge is not None or not (wall is None or isinstance(wall, HardDirichlet)):
        raise ConfigError(
            "derivative contracts derivatives of the trunk, and the output is no plain inner product: it passes "
            f"through {type(wall if net.merge is None else net.merge).__name__}. Differentiate the output with "
            "torch.func or torch.autograd."
        )
    coefficients = net.coefficients(u)
    layout = query_layout(coords, len(coefficients), layout or net.layout)
    if wall is None:
        return net.combine(coefficients, net.trunk_derivatives(coords, multi_index), layout, bias=False)
    # Of g + l (sum_k b_k t_k + b_0): the basis functions are l t_k and, for the bias, l.
    basis = partial_derivative(lambda y: wall.distance(y)[..., None] * net.basis(y), coords, multi_index)
    distance = partial_derivative(lambda y: wall.distance(y)[..., None], coords, multi_index)
    values = with_all_axes(net.combine(coefficients, basis, layout, bias=False), net.out_channels, layout)
    points = coords[:, None] if layout == "unaligned" else coords
    if net.bias is not None:
        factor = distance.reshape(points.shape[:-1])
        values = values + net.bias[:, None] * (factor if factor.dim() == 1 else factor[:, None])
    if wall.lift_fn is not None:
        shape, given = values.shape, plain_values(u)
        values = values + partial_derivative(lambda y: _present(wall.lift(given, y, shape)), points, multi_index)
    return without_single_axes(values, net.out_channels, layout)


def _present(value: Tensor | None) -> Tensor:
    assert value is not None
    return value
