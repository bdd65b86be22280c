r"""Integrals over balls with a learned kernel, for functions on any points: the layer of graph neural operators."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from sciml.errors import ConfigError
from sciml.nn import MLP, Neighbours, activation_function, radius_neighbours
from sciml.spaces import Discretization

__all__ = ["IntegralTransform"]

Kind = Literal["linear", "linear-kernel", "nonlinear", "nonlinear-kernel"]
Cutoff = Literal["none", "cosine", "quartic", "bump"]

_KINDS = ("linear", "linear-kernel", "nonlinear", "nonlinear-kernel")
# Pairs in one go: what they need stays in the cache of a core, and nothing large is allocated and freed.
_PAIRS = 4096


def _bump(s: Tensor) -> Tensor:
    # At the surface the exponent is minus infinity; its derivative is kept away from there.
    inside = torch.where(s < 1, s, torch.zeros_like(s))
    return torch.where(s < 1, torch.exp(1 - 1 / (1 - inside)), torch.zeros_like(s))


def _cosine(s: Tensor) -> Tensor:
    # The root has no derivative at 0, where the cosine is flat.
    return 0.5 + 0.5 * torch.cos(math.pi * s.clamp_min(torch.finfo(s.dtype).tiny).sqrt())


# Of the squared distance in radii; 1 at the centre, 0 at the surface.
_CUTOFFS: dict[str, Callable[[Tensor], Tensor]] = {
    "cosine": _cosine,
    "quartic": lambda s: (1 - s) ** 2,
    "bump": _bump,
}


class IntegralTransform(nn.Module):
    r"""Integral of a function against a kernel that a network computes, over the ball around every query point.

    .. math:: (K f)(x) = \int_{|x - y| \le R} c(|x - y| / R)\, \kappa(y, x)\, f(y)\, dy
              \approx \sum_{|x - y_j| \le R} w_j\, c_j\, \kappa(y_j, x)\, f(y_j)

    The kernel acts on each channel by itself. It may read the function as well, :math:`\kappa(y, x, f(y))`, and the
    integrand may be the kernel alone:

    ====================  ============================
    kind                  integrand
    ====================  ============================
    ``linear``            :math:`\kappa(y, x)\, f(y)`
    ``linear-kernel``     :math:`\kappa(y, x)`
    ``nonlinear``         :math:`\kappa(y, x, f(y))\, f(y)`
    ``nonlinear-kernel``  :math:`\kappa(y, x, f(y))`
    ====================  ============================

    What the function adds to the first layer of the kernel is computed once for every point, and pairs are worked on a
    few thousand at a time.

    Args:
        dim: Axes of the points.
        channels: Channels of the result; for the kinds that multiply by the function, its channels too.
        radius: :math:`R`.
        kind: The integrand.
        in_channels: Channels of the function, for ``nonlinear-kernel``; ``channels`` when None.
        hidden: Widths of the hidden layers of the kernel.
        activation: Name of its activation.
        cutoff: :math:`c`: ``none`` is 1 inside; ``cosine``, ``quartic`` and ``bump`` fall to 0 at the surface, so that
            the result is continuous in the points.
        mean: Divide by :math:`\sum_j w_j c_j`.
        recompute: Compute the kernel again in the backward pass instead of keeping it: memory then hardly grows with
            the number of pairs, for a third more time.

    Shapes:
        - **f**: ``(batch, channels, points)`` for functions on the same points, or ``(points, channels)``.
        - **points**: ``(points, dim)``, or a discretisation with its weights.
        - **weights**: ``(points,)``.
        - **output**: ``(batch, channels, queries)`` or ``(queries, channels)``, like ``f``.

    Raises:
        ConfigError: If the options or shapes do not fit, or weights are missing.

    Reference:
        Li et al.: Neural operator: graph kernel network (2020); the kinds are those of GINO, Li et al. (2023).

    Example:
        >>> layer = IntegralTransform(dim=2, channels=8, radius=0.2)
        >>> points = torch.rand(100, 2)
        >>> layer(torch.rand(4, 8, 100), points, weights=torch.full((100,), 0.01), queries=torch.rand(30, 2)).shape
        torch.Size([4, 8, 30])
    """

    def __init__(
        self,
        dim: int,
        channels: int,
        radius: float,
        kind: Kind = "linear",
        in_channels: int | None = None,
        hidden: Sequence[int] = (64, 64),
        activation: str = "gelu",
        cutoff: Cutoff = "none",
        mean: bool = False,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        if kind not in _KINDS or (cutoff != "none" and cutoff not in _CUTOFFS):
            raise ConfigError(
                f"kind is {kind!r} and cutoff {cutoff!r}, expected one of {', '.join(_KINDS)}, and none, "
                f"{', '.join(_CUTOFFS)}."
            )
        if dim not in (1, 2, 3) or channels < 1 or not radius > 0 or not hidden:
            raise ConfigError(
                f"dim is {dim}, channels {channels}, radius {radius}, hidden {list(hidden)}; expected one to three "
                "axes, at least one channel, a positive radius and at least one hidden layer."
            )
        in_channels = channels if in_channels is None else in_channels
        if in_channels != channels and kind in ("linear", "nonlinear"):
            raise ConfigError(
                f"kind {kind!r} multiplies kernel and function: in_channels is {in_channels}, expected {channels}."
            )
        self.dim, self.channels, self.in_channels, self.radius = dim, channels, in_channels, radius
        self.kind, self.cutoff, self.mean, self.recompute = kind, cutoff, mean, recompute
        reads = in_channels if kind.startswith("nonlinear") else 0
        self.kernel = MLP(2 * dim + reads, *hidden, channels, activation=activation)

    def forward(
        self,
        f: Tensor | None,
        points: Tensor | Discretization,
        queries: Tensor | Discretization | None = None,
        weights: Tensor | None = None,
        neighbours: Neighbours | None = None,
        ptr: Tensor | None = None,
        query_ptr: Tensor | None = None,
    ) -> Tensor:
        """Integrate around the queries.

        Args:
            f: The function; None for ``linear-kernel``.
            points: Where it is known.
            queries: Where the result is wanted; at the points when None.
            weights: Quadrature weights of the points; those of the discretisation when None.
            neighbours: Of :func:`~sciml.nn.radius_neighbours`, to be found but once for geometries that stay.
            ptr: Where the points of each geometry of a batch begin; ``f`` is then ``(all points, channels)``.
            query_ptr: Likewise of the queries.
        """
        points, weights = self._points(points, weights)
        queries, query_ptr = (points, ptr) if queries is None else (self._points(queries, weights)[0], query_ptr)
        values = self._values(f, len(points))
        if neighbours is None:
            neighbours = radius_neighbours(points, queries, radius=self.radius, ptr=ptr, query_ptr=query_ptr)
        self._check_neighbours(neighbours, len(points), len(queries))
        of_values = self._of_values(values)
        parts = []
        for begin, end in _stretches(neighbours.ptr):
            part = (points, queries, weights, values, of_values, neighbours, begin, end)
            if self.recompute and torch.is_grad_enabled():
                parts.append(checkpoint(self._integrals, *part, use_reentrant=False))
            else:
                parts.append(self._integrals(*part))
        result = torch.cat(parts) if parts else queries.new_zeros(0, 1, self.channels)
        if f is not None and f.dim() == 3:
            return result.expand(-1, len(f), -1).permute(1, 2, 0)
        return result.squeeze(1)

    def _integrals(
        self,
        points: Tensor,
        queries: Tensor,
        weights: Tensor,
        values: Tensor | None,
        of_values: Tensor | None,
        neighbours: Neighbours,
        begin: int,
        end: int,
    ) -> Tensor:
        """Integrals ``(queries, batch, channels)`` around the queries ``begin`` to ``end - 1``."""
        ptr = neighbours.ptr[begin : end + 1]
        index = neighbours.index[int(ptr[0]) : int(ptr[-1])]
        numbers = torch.arange(end - begin, device=index.device)
        query = torch.repeat_interleave(numbers, ptr.diff(), output_size=len(index))
        # index_select, because its derivative is a sum that torch computes much faster than that of an index.
        at, around = points.index_select(0, index), queries[begin:end].index_select(0, query)
        integrand = self._kernel(torch.cat([at, around], 1), of_values, index)
        weight = weights.index_select(0, index)
        if self.cutoff != "none":
            weight = weight * _CUTOFFS[self.cutoff](((at - around) / self.radius).square().sum(1))
        if self.kind in ("linear", "nonlinear"):
            assert values is not None
            integrand = integrand * values.index_select(0, index)
        integrand = integrand * weight[:, None, None]
        result = integrand.new_zeros(end - begin, *integrand.shape[1:]).index_add(0, query, integrand)
        if not self.mean:
            return result
        total = weight.new_zeros(end - begin).index_add(0, query, weight)
        # A query without neighbours, or whose neighbours have no weight, has the mean zero.
        return result / torch.where(total > 0, total, torch.ones_like(total))[:, None, None]

    def _of_values(self, values: Tensor | None) -> Tensor | None:
        """What the function adds to the first layer of the kernel, once for each point: ``(points, batch, hidden)``."""
        if not self.kind.startswith("nonlinear"):
            return None
        assert values is not None
        return F.linear(values, next(self.kernel.parameters())[:, 2 * self.dim :])

    def _kernel(self, places: Tensor, of_values: Tensor | None, index: Tensor) -> Tensor:
        """The kernel of pairs ``(pairs, batch or 1, channels)``."""
        first, *others = self.kernel.layers
        assert isinstance(first, nn.Linear)
        x = F.linear(places, first.weight[:, : 2 * self.dim], first.bias)[:, None]
        if of_values is not None:
            x = x + of_values.index_select(0, index)
        activation = activation_function(self.kernel.activation)
        for layer in others:
            x = layer(activation(x))
        return x

    def _points(self, points: Tensor | Discretization, weights: Tensor | None) -> tuple[Tensor, Tensor]:
        like = next(self.kernel.parameters())
        if isinstance(points, Discretization):
            weights = points.weights if weights is None else weights
            points = points.points
        if weights is None:
            raise ConfigError(
                "weights are missing: an integral over points needs their quadrature weights. Give weights=, or a "
                "discretisation that has them; equal weights are torch.full((n,), volume / n)."
            )
        if points.dim() != 2 or points.shape[1] != self.dim:
            raise ConfigError(f"points have shape {tuple(points.shape)}, expected (points, {self.dim}).")
        return points.to(like), weights.to(like)

    def _values(self, f: Tensor | None, num: int) -> Tensor | None:
        """``(points, batch, channels)``."""
        if self.kind == "linear-kernel":
            if f is not None:
                raise ConfigError("kind 'linear-kernel' integrates the kernel alone: f must be None.")
            return None
        wanted = f"(batch, {self.in_channels}, {num}) or ({num}, {self.in_channels})"
        shape = None if f is None else tuple(f.shape)
        if f is None or shape not in ((num, self.in_channels), (len(f), self.in_channels, num)):
            raise ConfigError(f"f has shape {shape}, expected {wanted} for {num} points.")
        return f[:, None] if f.dim() == 2 else f.permute(2, 0, 1).contiguous()

    def _check_neighbours(self, neighbours: Neighbours, num: int, num_queries: int) -> None:
        largest = int(neighbours.index.max()) if len(neighbours) else -1
        if neighbours.num_queries != num_queries or largest >= num:
            raise ConfigError(
                f"neighbours are of {neighbours.num_queries} queries and at least {largest + 1} points, given "
                f"{num_queries} and {num}: search again for these points."
            )

    def extra_repr(self) -> str:
        """Options, for printing."""
        return f"radius={self.radius}, kind={self.kind}, cutoff={self.cutoff}, mean={self.mean}"


def _stretches(ptr: Tensor) -> list[tuple[int, int]]:
    """Queries in stretches of a bounded number of pairs, at least one query each."""
    limits = torch.arange(_PAIRS, int(ptr[-1]) + _PAIRS, _PAIRS, device=ptr.device)
    ends = torch.searchsorted(ptr[1:].contiguous(), limits, right=True)
    bounds = sorted({0, *ends.tolist(), len(ptr) - 1})
    return [(a, b) for a, b in pairwise(bounds) if b > a]
