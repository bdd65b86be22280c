r"""Integrals :math:`\int_D \kappa_{ic}(x)\, u_c(x)\, dx` over channels, from values at sensors with quadrature weights.

The kernel is a network of the coordinates, or belongs to a dense layer that was trained at fixed sensors.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sciml.errors import ConfigError
from sciml.operators.deeponet.interpolation import PiecewiseLinear, same_points

__all__ = ["NetworkKernel", "SensorKernel"]


class NetworkKernel(nn.Module):
    r"""Kernels given by a network: :math:`\sum_j w_j \kappa_{ic}(x_j) u_c(x_j)`.

    Args:
        network: Maps points ``(..., dim)`` to ``(..., num_kernels * channels)``.
        channels: Channels of the functions.

    Shapes:
        - **u**: ``(batch, channels, m)``.
        - **points**: ``(m, dim)`` or ``(batch, m, dim)``.
        - **weights**: ``(m,)`` or ``(batch, m)``.
        - **output**: ``(batch, num_kernels)``.

    Example:
        >>> kernel = NetworkKernel(nn.Linear(1, 8), channels=2)
        >>> kernel(torch.zeros(3, 2, 5), torch.zeros(5, 1), torch.ones(5)).shape
        torch.Size([3, 4])
    """

    def __init__(self, network: nn.Module, channels: int) -> None:
        super().__init__()
        self.network, self.channels = network, channels

    def forward(self, u: Tensor, points: Tensor, weights: Tensor) -> Tensor:
        """Integrals ``(batch, num_kernels)``."""
        kernels = self.network(points).unflatten(-1, (-1, self.channels))
        weighted = u * (weights if weights.dim() == 1 else weights[:, None])
        if points.dim() == 2:
            return weighted.transpose(1, 2).flatten(1) @ kernels.transpose(1, 2).flatten(0, 1)
        return torch.einsum("bmic,bcm->bi", kernels, weighted)


class SensorKernel(nn.Module):
    r"""Kernels that equal :math:`\xi_{icj} / w_j` at the sensors of a dense layer and are linear in between.

    At these sensors with these weights, the integrals are the products of the dense layer, bit for bit. Elsewhere they
    are computed the other way round: instead of interpolating every kernel, the weighted values are distributed to the
    neighbouring sensors (the transposed interpolation), and the dense layer does the rest.

    Args:
        matrix: Weights of the dense layer ``(num_kernels, channels * m)``, trained further.
        points: Its sensors ``(m, dim)``.
        weights: Their quadrature weights ``(m,)``, positive.

    Shapes:
        - **u**: ``(batch, channels, n)``.
        - **points**: ``(n, dim)`` or ``(batch, n, dim)``; beyond the outermost sensors the kernels are constant.
        - **weights**: ``(n,)`` or ``(batch, n)``.
        - **output**: ``(batch, num_kernels)``.

    Raises:
        ConfigError: If the shapes do not fit, or a weight is not positive.

    Example:
        >>> x, w = torch.tensor([[0.0], [0.5], [1.0]]), torch.tensor([0.25, 0.5, 0.25])
        >>> SensorKernel(torch.ones(4, 3), x, w)(torch.ones(2, 1, 3), x, w).shape
        torch.Size([2, 4])
    """

    points: Tensor
    weights: Tensor

    def __init__(self, matrix: Tensor, points: Tensor, weights: Tensor) -> None:
        super().__init__()
        m = len(points)
        if points.dim() != 2 or weights.shape != (m,) or matrix.dim() != 2 or matrix.shape[1] % max(m, 1):
            raise ConfigError(
                f"the dense layer has weights {tuple(matrix.shape)}, sensors {tuple(points.shape)} and quadrature "
                f"weights {tuple(weights.shape)}; expected (features, channels * m), (m, dim) and (m,)."
            )
        if not bool((weights > 0).all()):
            raise ConfigError(
                "the quadrature weights of the training sensors must be positive: kernels divide by them."
            )
        self.matrix = nn.Parameter(matrix.detach().clone())
        self.register_buffer("points", points.detach().clone().to(matrix))
        self.register_buffer("weights", weights.detach().clone().to(matrix))
        self.interpolation = PiecewiseLinear(self.points)

    def forward(self, u: Tensor, points: Tensor, weights: Tensor) -> Tensor:
        """Integrals ``(batch, num_kernels)``."""
        if same_points(points, self.points):
            values = u * _per_channel(weights / self.weights)
        else:
            values = self._distributed(u * _per_channel(weights), points) / self.weights
        return values.flatten(1) @ self.matrix.t()

    def _distributed(self, weighted: Tensor, points: Tensor) -> Tensor:
        """Transposed interpolation ``(batch, channels, m)``: what each training sensor gets from its neighbourhood."""
        index, part = self.interpolation(points.reshape(-1, points.shape[-1]))
        shape = (*points.shape[:-1], index.shape[1])
        # (batch or 1, 1, n, vertices)
        index, part = index.reshape(shape), part.reshape(shape)
        index, part = (index[:, None], part[:, None]) if points.dim() == 3 else (index[None, None], part[None, None])
        parts = (weighted[..., None] * part).flatten(2)
        return weighted.new_zeros(*weighted.shape[:2], len(self.points)).scatter_add(
            2, index.expand(*weighted.shape, -1).flatten(2), parts
        )

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args)
        self.interpolation = PiecewiseLinear(self.points)


def _per_channel(weights: Tensor) -> Tensor:
    return weights if weights.dim() == 1 else weights[:, None]
