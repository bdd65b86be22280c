"""Neighbours within a radius: for every query the points around it, found by a grid of cells."""

import math
from dataclasses import dataclass
from itertools import pairwise, product

import torch
from torch import Tensor

from sciml.errors import ConfigError

__all__ = ["Neighbours", "radius_neighbours"]

# Pairs of query and point that are looked at in one go; their distances take a few times this many numbers.
_CANDIDATES = 2**20
# More cells than this along an axis would not fit into the integers that number them in three dimensions.
_CELLS = 2**18


@dataclass(frozen=True)
class Neighbours:
    """Pairs of queries and points, sorted by query.

    Args:
        index: The points, ``(pairs,)``; those of query ``i`` are ``index[ptr[i] : ptr[i + 1]]``, in ascending order.
        ptr: Where the points of each query begin, ``(queries + 1,)``.

    Example:
        >>> found = Neighbours(torch.tensor([0, 1, 1]), torch.tensor([0, 2, 3]))
        >>> found.query.tolist(), len(found)
        ([0, 0, 1], 3)
    """

    index: Tensor
    ptr: Tensor

    def __len__(self) -> int:
        return len(self.index)

    @property
    def num_queries(self) -> int:
        """Number of queries."""
        return len(self.ptr) - 1

    @property
    def query(self) -> Tensor:
        """The query of every pair ``(pairs,)``."""
        numbers = torch.arange(self.num_queries, device=self.ptr.device)
        return torch.repeat_interleave(numbers, self.ptr.diff(), output_size=len(self.index))

    @property
    def edge_index(self) -> Tensor:
        """The pairs as PyG has them: ``(2, pairs)``, points above queries."""
        return torch.stack([self.index, self.query])


def radius_neighbours(
    points: Tensor,
    queries: Tensor | None = None,
    *,
    radius: float,
    ptr: Tensor | None = None,
    query_ptr: Tensor | None = None,
) -> Neighbours:
    """All points within a distance of every query; time and memory grow with the number of pairs.

    Args:
        points: ``(points, dim)``, one to three axes.
        queries: ``(queries, dim)``; the points themselves when None, each its own neighbour.
        radius: Largest distance, included.
        ptr: Where the points of each geometry begin, ``(geometries + 1,)``; points are neighbours within one only.
        query_ptr: Likewise of the queries.

    Raises:
        ConfigError: If shapes or the radius do not fit.

    Example:
        >>> found = radius_neighbours(torch.tensor([[0.0], [0.4], [1.0]]), radius=0.5)
        >>> found.index.tolist(), found.ptr.tolist()
        ([0, 1, 0, 1, 2], [0, 2, 4, 5])
    """
    if queries is None:
        queries, query_ptr = points, ptr
    _check(points, queries, radius, ptr, query_ptr)
    if not len(points) or not len(queries):
        return Neighbours(points.new_empty(0, dtype=torch.long), points.new_zeros(len(queries) + 1, dtype=torch.long))
    cells, query_cells, sizes = _cells(points, queries, radius, ptr, query_ptr)
    cells, order = cells.sort(stable=True)
    sorted_points = points[order]
    # Cells are numbered along the last axis first: three of them in a row are one stretch of the sorted points.
    offsets = [sum(o * n for o, n in zip(step, sizes, strict=True)) for step in product((-1, 0, 1), repeat=len(sizes))]
    rows = query_cells[:, None] + torch.tensor(offsets, device=points.device)
    begin = torch.searchsorted(cells, rows - 1)
    counts = torch.searchsorted(cells, rows + 1, right=True) - begin
    found, numbers = [], []
    for part in _parts(counts.sum(1)):
        index, query = _within(sorted_points, queries[part], begin[part], counts[part], radius)
        index = order[index]
        # Ascending within each query, whatever cells the points lie in.
        index = index[torch.argsort(query * len(points) + index)]
        found.append(index)
        numbers.append(torch.bincount(query, minlength=len(begin[part])))
    begins = torch.cat([counts.new_zeros(1), torch.cat(numbers).cumsum(0)])
    return Neighbours(torch.cat(found), begins)


def _check(points: Tensor, queries: Tensor, radius: float, ptr: Tensor | None, query_ptr: Tensor | None) -> None:
    shapes = f"points have shape {tuple(points.shape)} and queries {tuple(queries.shape)}"
    if (
        points.dim() != 2
        or queries.dim() != 2
        or points.shape[1] != queries.shape[1]
        or points.shape[1] not in (1, 2, 3)
    ):
        raise ConfigError(f"{shapes}, expected (points, dim) and (queries, dim), one to three axes.")
    if not (math.isfinite(radius) and radius > 0):
        raise ConfigError(f"radius is {radius}, expected a positive number.")
    if (ptr is None) != (query_ptr is None):
        raise ConfigError("ptr and query_ptr belong together: give both, or none for a single geometry.")
    for name, given, num in (("ptr", ptr, len(points)), ("query_ptr", query_ptr, len(queries))):
        if given is not None and (
            given.dim() != 1 or given[0] != 0 or given[-1] != num or bool((given.diff() < 0).any())
        ):
            raise ConfigError(f"{name} is {given.tolist()}, expected to rise from 0 to {num}.")
    if ptr is not None and query_ptr is not None and len(ptr) != len(query_ptr):
        raise ConfigError(f"ptr has {len(ptr) - 1} geometries, query_ptr {len(query_ptr) - 1}.")
    if not (bool(torch.isfinite(points).all()) and bool(torch.isfinite(queries).all())):
        raise ConfigError("points and queries must be finite; leave out padding, or give ptr.")


def _cells(
    points: Tensor, queries: Tensor, radius: float, ptr: Tensor | None, query_ptr: Tensor | None
) -> tuple[Tensor, Tensor, list[int]]:
    """Numbers of the cells of points and queries, and how far apart cells are that are neighbours along an axis.

    The last axis, along which they are one apart, is left out.
    """
    both = torch.cat([points.detach(), queries.detach()]).double()
    low, extent = both.min(0).values, both.max(0).values - both.min(0).values
    # A little larger than the radius: rounding must not put a neighbour two cells away.
    side = (extent / _CELLS).clamp_min(radius * (1 + 1e-6))
    place = ((both - low) / side).long() + 1
    counts = (place.max(0).values + 2).tolist()
    strides = [math.prod(counts[axis + 1 :]) for axis in range(len(counts))]
    number = (place * torch.tensor(strides, device=points.device)).sum(1)
    if ptr is not None and query_ptr is not None:
        geometries = torch.arange(len(ptr) - 1, device=points.device)
        owner = torch.cat([torch.repeat_interleave(geometries, p.to(points.device).diff()) for p in (ptr, query_ptr)])
        number = number + owner * math.prod(counts)
    return number[: len(points)], number[len(points) :], strides[:-1]


def _parts(candidates: Tensor) -> list[slice]:
    """Queries in stretches with a bounded number of candidates."""
    total = candidates.cumsum(0)
    limits = torch.arange(0, int(total[-1]) + _CANDIDATES, _CANDIDATES, device=total.device)
    ends = torch.searchsorted(total, limits[1:], right=True).clamp_min(1)
    bounds = [0, *sorted({*ends.tolist(), len(candidates)})]
    return [slice(a, b) for a, b in pairwise(bounds) if b > a]


def _within(points: Tensor, queries: Tensor, begin: Tensor, counts: Tensor, radius: float) -> tuple[Tensor, Tensor]:
    """Pairs of (sorted) point and query no further apart than the radius, among stretches of points per query."""
    begin, flat = begin.flatten(), counts.flatten()
    total = int(flat.sum())
    stretch = torch.repeat_interleave(torch.arange(len(flat), device=flat.device), flat, output_size=total)
    first = flat.cumsum(0) - flat
    index = begin[stretch] + torch.arange(total, device=flat.device) - first[stretch]
    query = stretch // counts.shape[1]
    near = (points[index] - queries[query]).square().sum(1) <= radius**2
    return index[near], query[near]
