"""The integral over neighbours of ``neuraloperator``, with its parameters: vectorised, with weights of the points."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["Neighbours", "neighbour_integral", "neighbours_within"]


class Neighbours(NamedTuple):
    """Pairs of points nearer than a radius.

    Attributes:
        query: Index of the query of each pair.
        source: Index of the source point of each pair.
        num_queries: Number of queries, with those that have no neighbour.
        num_sources: Number of source points.
    """

    query: Tensor
    source: Tensor
    num_queries: int
    num_sources: int

    def reversed(self) -> Neighbours:
        """The same pairs with queries and sources exchanged."""
        return Neighbours(self.source, self.query, self.num_sources, self.num_queries)

    @property
    def counts(self) -> Tensor:
        """Number of neighbours of each query."""
        return torch.bincount(self.query, minlength=self.num_queries)


def neighbours_within(sources: Tensor, queries: Tensor, radius: float) -> Neighbours:
    """All pairs of a query and a source point at most ``radius`` apart.

    Args:
        sources: ``(n, dim)``.
        queries: ``(m, dim)``.
        radius: In the units of the coordinates.

    Example:
        >>> line = torch.linspace(0, 1, 5)[:, None]
        >>> neighbours_within(line, torch.tensor([[0.0], [2.0]]), 0.3).counts
        tensor([2, 0])
    """
    if sources.device.type != "cpu":
        query, source = (torch.cdist(queries, sources) <= radius).nonzero(as_tuple=True)
        return Neighbours(query, source, len(queries), len(sources))
    from scipy.spatial import cKDTree

    # Ten times as fast as all distances, at some thousand points.
    trees = [cKDTree(points.detach().numpy()) for points in (queries, sources)]
    found = trees[0].sparse_distance_matrix(trees[1], radius, output_type="ndarray")
    return Neighbours(
        torch.from_numpy(found["i"].copy()), torch.from_numpy(found["j"].copy()), len(queries), len(sources)
    )


def neighbour_integral(
    block: Any,
    sources: Tensor,
    queries: Tensor,
    pairs: Neighbours,
    f: Tensor | None = None,
    weight: Tensor | None = None,
) -> Tensor:
    r"""What a ``GNOBlock`` computes, :math:`\sum_j w_j k(x_i, y_j) f(y_j)` over the neighbours of each query.

    Without weights all neighbours count alike, and the block's own reduction, sum or mean, applies; with them the mean
    becomes :math:`\sum_j w_j (\dots) / \sum_j w_j`. A query without neighbours gets zeros.

    Args:
        block: A ``GNOBlock`` with a kernel that is linear in ``f``; its embedding and kernel network are used.
        sources: Points ``(n, dim)`` that are integrated over.
        queries: Points ``(m, dim)`` where the result is wanted.
        pairs: Which of them are neighbours.
        f: Function at the sources, ``(n, channels)``; None integrates the kernel alone.
        weight: Quadrature weights of the sources, ``(n,)``.

    Returns:
        ``(m, channels)``.
    """
    transform = block.integral_transform
    embed = block.pos_embedding or nn.Identity()
    features = torch.cat([embed(sources)[pairs.source], embed(queries)[pairs.query]], dim=-1)
    values = transform.channel_mlp(features)
    if f is not None:
        values = values * f[pairs.source]
    scale = None if weight is None else weight[pairs.source]
    if scale is not None:
        values = values * scale[:, None]
    total = values.new_zeros(pairs.num_queries, values.shape[-1]).index_add(0, pairs.query, values)
    if transform.reduction == "sum":
        return total
    if scale is None:
        measure = pairs.counts.to(values)
    else:
        measure = scale.new_zeros(pairs.num_queries).index_add(0, pairs.query, scale)
    return total / measure.masked_fill(measure == 0, 1)[:, None]
