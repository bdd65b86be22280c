"""Branches on coefficients: the input is projected on a basis by weighted least squares, at whatever sensors it has."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from sciml.errors import ConfigError
from sciml.nn import MLP
from sciml.operators.deeponet.sampled import SampledBranch
from sciml.spaces import RegularGrid

__all__ = ["BasisBranch", "chebyshev_basis", "fourier_basis"]

Bounds = Sequence[tuple[float, float]]


class ProductBasis(nn.Module):
    """Products of one-dimensional functions on a box, all combinations of the orders.

    Args:
        kind: ``chebyshev`` polynomials of degree ``0 ... num - 1``, or ``fourier`` functions 1, cos, sin, cos 2, ...
        num: Functions per axis.
        bounds: ``(begin, end)`` per axis; the period for ``fourier``.

    Shapes:
        - **points**: ``(..., dim)``.
        - **output**: ``(..., num ** dim)``.
    """

    def __init__(self, kind: str, num: int, bounds: Bounds) -> None:
        super().__init__()
        if num < 1 or not bounds or any(not begin < end for begin, end in bounds):
            raise ConfigError(f"num={num}, bounds={bounds}: expected a positive number, and begin < end per axis.")
        self.kind, self.num, self.bounds = kind, num, tuple(bounds)

    def forward(self, points: Tensor) -> Tensor:
        """Values of all basis functions at the points."""
        values = points.new_ones(*points.shape[:-1], 1)
        for axis, (begin, end) in enumerate(self.bounds):
            t = (points[..., axis : axis + 1] - begin) / (end - begin)
            line = self._chebyshev(2 * t - 1) if self.kind == "chebyshev" else self._fourier(t)
            values = (values[..., :, None] * line[..., None, :]).flatten(-2)
        return values

    def _chebyshev(self, t: Tensor) -> Tensor:
        values = [torch.ones_like(t), t]
        for _ in range(2, self.num):
            values.append(2 * t * values[-1] - values[-2])
        return torch.cat(values[: self.num], -1)

    def _fourier(self, t: Tensor) -> Tensor:
        orders = torch.arange(1, self.num // 2 + 1, dtype=t.dtype, device=t.device)
        angle = 2 * math.pi * orders * t
        return torch.cat([torch.ones_like(t), torch.stack([angle.cos(), angle.sin()], -1).flatten(-2)], -1)[
            ..., : self.num
        ]

    def extra_repr(self) -> str:
        """Options, for printing."""
        return f"kind={self.kind}, num={self.num}, bounds={self.bounds}"


def chebyshev_basis(num: int, bounds: Bounds = ((0.0, 1.0),)) -> ProductBasis:
    """Chebyshev polynomials of degree ``0 ... num - 1`` along each axis of a box, and their products.

    Args:
        num: Functions per axis.
        bounds: ``(begin, end)`` per axis.

    Example:
        >>> chebyshev_basis(3)(torch.tensor([[0.0], [0.5], [1.0]]))
        tensor([[ 1., -1.,  1.],
                [ 1.,  0., -1.],
                [ 1.,  1.,  1.]])
    """
    return ProductBasis("chebyshev", num, bounds)


def fourier_basis(num: int, bounds: Bounds = ((0.0, 1.0),)) -> ProductBasis:
    """Functions 1, cos, sin, cos 2, ... with the periods of a box along each axis, and their products.

    Args:
        num: Functions per axis.
        bounds: ``(begin, end)`` per axis.

    Example:
        >>> fourier_basis(5)(torch.rand(7, 1)).shape
        torch.Size([7, 5])
    """
    return ProductBasis("fourier", num, bounds)


class BasisBranch(SampledBranch):
    r"""Branch on the coefficients of the input in a basis.

    .. math:: a_c = \arg\min_a \sum_j w_j \Big(u_c(x_j) - \sum_k a_k \psi_k(x_j)\Big)^2, \qquad b = N(a)

    Args:
        basis: Maps points ``(..., dim)`` to ``(..., K)``: :func:`fourier_basis`, :func:`chebyshev_basis`, a
            :class:`PODModes`, or any function.
        num_basis: Number :math:`K` of its functions.
        out_features: Number of coefficients of the branch.
        dim: Dimension of the domain of the input functions.
        channels: Their channels.
        hidden: Widths of the hidden layers of :math:`N`; without any, :math:`N` is linear.
        activation: Name of the activation.
        domain: Grid of functions that come without sensors.

    Shapes:
        As for :class:`SampledBranch`; without weights all sensors count alike.

    Raises:
        ConfigError: As for :class:`SampledBranch`; if there are fewer sensors than basis functions.

    Example:
        >>> branch = BasisBranch(chebyshev_basis(6), 6, 40)
        >>> branch(torch.zeros(8, 9), torch.linspace(0, 1, 9)).shape
        torch.Size([8, 40])
    """

    needs_weights: ClassVar[bool] = False

    def __init__(
        self,
        basis: Callable[[Tensor], Tensor],
        num_basis: int,
        out_features: int,
        dim: int = 1,
        channels: int = 1,
        hidden: Sequence[int] = (64,),
        activation: str = "relu",
        domain: RegularGrid | None = None,
    ) -> None:
        super().__init__(channels, dim, domain)
        self.basis, self.num_basis, self.out_features = basis, num_basis, out_features
        widths = (channels * num_basis, *hidden, out_features)
        self.network = MLP(*widths, activation=activation, init="glorot-normal")

    def project(self, u: Tensor, points: Tensor, weights: Tensor) -> Tensor:
        """Coefficients ``(batch, channels, K)`` of the input functions."""
        values = self.basis(points)
        if values.shape[-1] != self.num_basis or values.shape[-2] < self.num_basis:
            raise ConfigError(
                f"the basis gives {tuple(values.shape)} at sensors of shape {tuple(points.shape)}; expected "
                f"num_basis={self.num_basis} functions and at least as many sensors."
            )
        root = weights.sqrt()
        if values.dim() == 2 and root.dim() == 2:
            values = values.expand(len(u), -1, -1)
        q, r = torch.linalg.qr(root[..., None] * values)
        right = q.mT @ (root[..., None] * u.mT)
        return torch.linalg.solve_triangular(r, right, upper=True).mT

    def encode(self, u: Tensor, points: Tensor, weights: Tensor) -> Tensor:
        """Project, and apply the network."""
        return self.network(self.project(u, points, weights).flatten(1))
