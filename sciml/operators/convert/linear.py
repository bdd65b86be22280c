"""Layers whose weights belong to points: their weights become functions of space."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sciml.errors import ConversionError
from sciml.operators.convert.lattice import LatticeAxis, between_scales
from sciml.operators.convert.site import ONE, Site

__all__ = ["Factors", "IntegralLinear", "LatticeEmbedding", "LatticeLayerNorm", "as_function"]


@dataclass(frozen=True)
class Factors:
    """How the features of a flattened function are ordered.

    Args:
        channels: Number of channels.
        grid: Points per axis at the reference.
        order: ``channels`` or ``points`` first.
    """

    channels: int
    grid: tuple[int, ...]
    order: Literal["channels", "points"] = "channels"


class IntegralLinear(nn.Linear):
    r"""A linear layer on a flattened function, as the integral :math:`\int \kappa(x) f(x)\,dx`.

    The weights divided by the quadrature weights of the reference are values of the kernel, which is linear in between.
    Inputs that have the features of the reference pass through the plain layer.
    """

    site: Site
    factors: Factors

    def forward(self, input: Tensor) -> Tensor:
        """Apply to ``(..., channels * points)``."""
        if input.shape[-1] == self.in_features:
            return super().forward(input)
        axes, factors = self.site.lattice(len(self.factors.grid)), self.factors
        scales, counts = self._fit(input.shape[-1])
        weight = self.weight
        if factors.order == "points":
            weight = weight.unflatten(1, (*factors.grid, factors.channels)).movedim(-1, 1)
        else:
            weight = weight.unflatten(1, (factors.channels, *factors.grid))
        weight = as_kernel(weight, axes, scales, counts)
        weight = weight.movedim(1, -1) if factors.order == "points" else weight
        return F.linear(input, weight.flatten(1), self.bias)

    def _fit(self, features: int) -> tuple[list[Fraction], list[int]]:
        axes = self.site.axes_for(len(self.factors.grid))
        counts = [axis.count(n, s) for (axis, s), n in zip(axes, self.factors.grid, strict=True)]
        total = self.factors.channels * torch.tensor([float(c) for c in counts]).prod().item()
        if total != features or any(c.denominator != 1 for c in counts):
            raise ConversionError(
                f"{self.site.path} receives {features} features; {self.factors.channels} channels on the reference's "
                f"points {self.factors.grid} make {self.in_features}, at the present scale {total:g}. Say what it is: "
                f"roles={{{self.site.path!r}: 'wrap'}}."
            )
        return [s for _, s in axes], [int(c) for c in counts]


class LatticeLayerNorm(nn.LayerNorm):
    """Layer normalisation whose shape contains points: its affine parameters are functions of space.

    Inputs that have the shape of the reference, as for a normalisation over channels, pass through the plain layer.
    """

    site: Site

    def forward(self, input: Tensor) -> Tensor:
        """Normalise over the last axes."""
        dim = len(self.normalized_shape)
        if tuple(input.shape[-dim:]) == tuple(self.normalized_shape):
            return super().forward(input)
        space = min(dim, len(self.site.axes))
        axes = self.site.axes_for(space)
        scales = self.site.scales(input.shape[-space:], self.normalized_shape[-space:])
        values = F.layer_norm(input, tuple(input.shape[-dim:]), None, None, self.eps)
        counts = input.shape[-space:]
        for parameter, apply in ((self.weight, torch.mul), (self.bias, torch.add)):
            if parameter is not None:
                old = [ONE] * space
                values = apply(values, between_scales(parameter, [axis for axis, _ in axes], old, scales, counts))
        return values


class LatticeEmbedding(nn.Embedding):
    """A table of positions ``0 ... n - 1`` as a function of space; other indices are looked up as they are."""

    site: Site

    def forward(self, input: Tensor) -> Tensor:
        """Look up, or interpolate."""
        (reference,) = self.site.call().inputs[-1:]
        n = input.shape[-1]
        if n == reference:
            return super().forward(input)
        ((axis, _),) = self.site.axes_for(1)
        (scale,) = self.site.scales([n], [reference])
        table = between_scales(self.weight[:reference].t(), [axis], [ONE], [scale], [n]).t()
        return F.embedding(input, table)


def as_kernel(weight: Tensor, axes: Sequence[LatticeAxis], scales: Sequence[Fraction], counts: Sequence[int]) -> Tensor:
    """Weights ``(..., *points of the reference)`` of a sum over points as those of the sum at another scale."""
    first = weight.dim() - len(axes)
    old = [_quadrature(axis, weight.shape[first + i], ONE) for i, axis in enumerate(axes)]
    new = [_quadrature(axis, count, s) for axis, count, s in zip(axes, counts, scales, strict=True)]
    for number, w in enumerate(old):
        weight = weight / _along(w, number, len(axes)).to(weight)
    weight = between_scales(weight, axes, [ONE] * len(axes), scales, counts)
    for number, w in enumerate(new):
        weight = weight * _along(w, number, len(axes)).to(weight)
    return weight


def as_function(parameter: Tensor, shape: Sequence[int], site: Site, reference: Sequence[int], first: int) -> Tensor:
    """A parameter with a value per point of the reference, at the scale of the present pass.

    Args:
        parameter: ``(..., points, ...)`` or ``(..., extra + points, ...)``; extra entries in front stay.
        shape: Points per axis now.
        site: Where its module stands.
        reference: Points per axis at the reference.
        first: The axis of the points; if it holds the product of several axes, they are flattened.
    """
    total = int(torch.tensor(reference).prod())
    flat = parameter.shape[first] >= total
    width = 1 if flat else len(reference)
    extra = parameter.shape[first] - total if flat else 0
    front, values = parameter.split([extra, parameter.shape[first] - extra], first)
    moved = values.movedim(tuple(range(first, first + width)), tuple(range(-width, 0)))
    moved = moved.unflatten(-1, tuple(reference)) if flat and len(reference) > 1 else moved
    scales = site.scales(shape, reference)
    moved = between_scales(moved, site.lattice(len(reference)), [ONE] * len(reference), scales, shape)
    moved = moved.flatten(-len(reference)) if flat else moved
    result = moved.movedim(tuple(range(-width, 0)), tuple(range(first, first + width)))
    return torch.cat([front, result], first) if extra else result


def _quadrature(axis: LatticeAxis, n: int, scale: Fraction) -> Tensor:
    weights = torch.full((n,), 1 / float(scale), dtype=torch.float64)
    if axis.kind == "closed" and n > 1:
        weights[[0, -1]] /= 2
    return weights


def _along(weights: Tensor, number: int, dim: int) -> Tensor:
    return weights.view(*[-1 if axis == number else 1 for axis in range(dim)])
