"""Combinatorics and geometry of simplices: facets, edges, subdivision, and the cell in which a point lies."""

from itertools import combinations
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sciml.errors import ConfigError
from sciml.spaces.discretization import as_tensor

__all__ = ["as_indices", "edges_of", "facets_of", "locate", "subdivide"]

# Corners of the children of a segment, a triangle and a tetrahedron; (i, j) is the middle of the corners i and j. The
# inner octahedron of a tetrahedron is cut as by Bey (1995), which keeps the shapes from degenerating.
_CHILDREN: dict[int, list[list[tuple[int, int]]]] = {
    0: [[(0, 0)]],
    1: [[(0, 0), (0, 1)], [(0, 1), (1, 1)]],
    2: [
        [(0, 0), (0, 1), (0, 2)],
        [(0, 1), (1, 1), (1, 2)],
        [(0, 2), (1, 2), (2, 2)],
        [(0, 1), (1, 2), (0, 2)],
    ],
    3: [
        [(0, 0), (0, 1), (0, 2), (0, 3)],
        [(0, 1), (1, 1), (1, 2), (1, 3)],
        [(0, 2), (1, 2), (2, 2), (2, 3)],
        [(0, 3), (1, 3), (2, 3), (3, 3)],
        [(0, 1), (0, 2), (0, 3), (1, 3)],
        [(0, 1), (0, 2), (1, 2), (1, 3)],
        [(0, 2), (0, 3), (1, 3), (2, 3)],
        [(0, 2), (1, 2), (1, 3), (2, 3)],
    ],
}


def _faces(cells: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Different faces of ``size`` vertices, sorted, how many cells have each, and which ones each cell has."""
    parts = [cells[:, list(corners)] for corners in combinations(range(cells.shape[1]), size)]
    faces, inverse, counts = torch.unique(
        torch.cat(parts).sort(1).values, dim=0, return_inverse=True, return_counts=True
    )
    return faces, counts, inverse.reshape(len(parts), -1).T


def facets_of(cells: Tensor) -> tuple[Tensor, Tensor]:
    """Different facets ``(f, d)`` and the number of cells that have each."""
    return _faces(cells, cells.shape[1] - 1)[:2]


def edges_of(cells: Tensor) -> Tensor:
    """Different edges ``(e, 2)``, the smaller vertex first."""
    return _faces(cells, 2)[0]


def subdivide(cells: Tensor, edges: Tensor, num_vertices: int) -> Tensor:
    """Cells ``(c * 2**d, d + 1)`` of the halved mesh, the children of a cell together.

    Vertex ``num_vertices + i`` is the middle of edge ``i``.
    """
    keys = edges[:, 0] * num_vertices + edges[:, 1]
    children = []
    for child in _CHILDREN[cells.shape[1] - 1]:
        corners = []
        for i, j in child:
            if i == j:
                corners.append(cells[:, i])
                continue
            pair = cells[:, [i, j]].sort(1).values
            corners.append(num_vertices + torch.searchsorted(keys, pair[:, 0] * num_vertices + pair[:, 1]))
        children.append(torch.stack(corners, 1))
    return torch.stack(children, 1).reshape(-1, cells.shape[1])


def locate(
    points: np.ndarray, vertices: np.ndarray, cells: np.ndarray, inverse: np.ndarray, eps: float
) -> tuple[np.ndarray, np.ndarray]:
    """Cell of each point, -1 outside, and its barycentric coordinates there, zero outside.

    Args:
        points: ``(m, d)``.
        vertices: ``(n, d)``.
        cells: ``(c, d + 1)``.
        inverse: Inverses of the matrices whose rows are the edges from the first corner, ``(c, d, d)``.
        eps: Relative error of the coordinates of the points; a point counts as inside up to it.
    """
    from scipy.spatial import cKDTree

    corners = vertices[cells]
    centers = corners.mean(1)
    tree = cKDTree(centers)
    # A point in a cell is nearer to its centre than the farthest corner.
    reach = np.sqrt(((corners - centers[:, None]) ** 2).sum(-1).max()) * (1 + 1e-9)
    tolerance = 1e-12 + 8 * eps * np.abs(vertices).max() * np.abs(inverse).sum(1).max(1)
    found = np.full(len(points), -1)
    barycentric = np.zeros((len(points), cells.shape[1]))
    open_ = np.arange(len(points))
    tried, number = 0, min(8, len(cells))
    while len(open_):
        still = []
        for chunk in np.array_split(open_, len(open_) * number // 200_000 + 1):
            distances, near = tree.query(points[chunk], k=np.arange(tried + 1, number + 1))
            local = np.einsum("mkd,mkde->mke", points[chunk, None] - corners[near, 0], inverse[near])
            local = np.concatenate([1 - local.sum(-1, keepdims=True), local], -1)
            least = local.min(-1) + tolerance[near]
            best = least.argmax(1)
            rows = np.arange(len(chunk))
            inside = least[rows, best] >= 0
            found[chunk[inside]] = near[rows, best][inside]
            barycentric[chunk[inside]] = local[rows, best][inside]
            still.append(chunk[~inside & (distances[:, -1] <= reach)])
        if number == len(cells):
            break
        open_ = np.concatenate(still)
        tried, number = number, min(4 * number, len(cells))
    return found, barycentric


def as_indices(values: Any, name: str, width: int, num_vertices: int) -> Tensor:
    """A copy of the user's indices of vertices, ``(n, width)``, after a look at them."""
    indices = as_tensor(values)
    if indices.dim() != 2 or indices.shape[1] != width or indices.is_floating_point() or indices.dtype == torch.bool:
        raise ConfigError(
            f"{name} has shape {tuple(indices.shape)} and type {indices.dtype}, expected indices of vertices "
            f"(n, {width}) for vertices with {width - (name == 'cells')} coordinates."
        )
    with torch.inference_mode(False):
        indices = indices.to("cpu", torch.int64, copy=True)
    if len(indices) and not (indices.min() >= 0 and indices.max() < num_vertices):
        raise ConfigError(
            f"{name} refers to vertices {int(indices.min())} to {int(indices.max())}, there are {num_vertices} "
            "(counted from 0)."
        )
    return indices
