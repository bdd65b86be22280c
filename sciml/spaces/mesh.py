"""Meshes of segments, triangles or tetrahedra, with the weights of piecewise linear functions."""

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from sciml.errors import ConfigError, unknown_name
from sciml.spaces._simplices import as_indices, edges_of, facets_of, locate, subdivide
from sciml.spaces.discretization import BaseDiscretization, as_points, check_inside, select

__all__ = ["Mesh"]


class Mesh(BaseDiscretization):
    r"""A domain cut into simplices; values live at the vertices, or in the cells.

    ========  ===============================  =====================================================
    values    points                           weights
    ========  ===============================  =====================================================
    vertices  the vertices                     :math:`\sum_{K \ni j} |K|/(d+1)`, exact for P1 functions
    centers   the centroids of the cells       :math:`|K|`
    ========  ===============================  =====================================================

    Args:
        vertices: Coordinates ``(n, d)`` with d = 1, 2 or 3.
        cells: Indices of the corners of each cell, ``(c, d + 1)``.
        centers: Values live in the cells rather than at the vertices.
        tags: Named parts of the boundary, or other facets: the vertices of each facet, ``(f, d)``.

    Shapes:
        - **values**: ``(..., channels, num_points)``.

    Two meshes are equal when vertices, cells, centers and tags are.

    Raises:
        ConfigError: If cells refer to vertices that do not exist, are flat, or leave vertices out.

    Example:
        >>> square = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
        >>> mesh = Mesh(square, cells=torch.tensor([[0, 1, 2], [0, 2, 3]]))
        >>> mesh.volume, mesh.boundary_nodes.tolist(), mesh.refine().num_points
        (1.0, [0, 1, 2, 3], 9)
    """

    vertices: Tensor
    cells: Tensor
    centers: bool
    tags: dict[str, Tensor]

    def __init__(self, vertices: Any, cells: Any, centers: bool = False, tags: Mapping[str, Any] | None = None) -> None:
        vertices = as_points(vertices, "vertices")
        dim = vertices.shape[1]
        if dim > 3:
            raise ConfigError(f"vertices have {dim} coordinates, a mesh takes 1, 2 or 3.")
        cells = as_indices(cells, "cells", dim + 1, len(vertices))
        if not len(cells):
            raise ConfigError("cells is empty, expected at least one cell.")
        self._set(
            vertices=vertices,
            cells=cells,
            centers=bool(centers),
            tags={
                name: as_indices(facets, f"tag {name!r}", dim, len(vertices)) for name, facets in (tags or {}).items()
            },
            shape=(len(cells if centers else vertices),),
        )
        _check_cells(self)

    @classmethod
    def delaunay(cls, points: Any, centers: bool = False) -> "Mesh":
        """The Delaunay mesh of the convex hull of scattered points.

        Args:
            points: ``(n, d)``; they become the vertices, in their order.
            centers: As for the mesh.

        Raises:
            ConfigError: If points coincide up to rounding, or all lie on a line or plane.
        """
        vertices = as_points(points)
        if vertices.shape[1] == 1:
            order = vertices[:, 0].argsort()
            return cls(vertices, torch.stack([order[:-1], order[1:]], 1), centers)
        from scipy.spatial import Delaunay, QhullError

        try:
            cells = torch.from_numpy(Delaunay(vertices.numpy()).simplices).long()
        except QhullError as error:
            raise ConfigError(f"points have no Delaunay mesh: {str(error).splitlines()[0]}") from error
        # Points on a straight part of the hull come with slivers that are flat up to rounding.
        edges = vertices[cells[:, 1:]] - vertices[cells[:, :1]]
        size = edges.norm(dim=2).amax(1) ** vertices.shape[1]
        return cls(vertices, cells[torch.linalg.det(edges).abs() > 1e-10 * size], centers)

    def _content(self) -> tuple[Any, ...]:
        tags = (part for name in sorted(self.tags) for part in (name, self.tags[name]))
        return (self.vertices, self.cells, self.centers, *tags)

    def __repr__(self) -> str:
        where = "centers" if self.centers else "vertices"
        return f"Mesh(dim={self.dim}, vertices={len(self.vertices)}, cells={len(self.cells)}, values at {where})"

    @property
    def dim(self) -> int:
        """Dimension of the domain."""
        return self.vertices.shape[1]

    @property
    def num_points(self) -> int:
        """Number of vertices, or of cells if the values live there."""
        return self.shape[0]

    # Parts that a compiled loss may be the first to ask for: torch.compile reads through _cached, not through
    # cached_property.

    @property
    def _edge_matrices(self) -> Tensor:
        return self._cached("edges", lambda: self.vertices[self.cells[:, 1:]] - self.vertices[self.cells[:, :1]])

    @property
    def cell_volumes(self) -> Tensor:
        """Volume of each cell, ``(c,)``."""
        return self._cached("volumes", lambda: torch.linalg.det(self._edge_matrices).abs() / math.factorial(self.dim))

    @property
    def _inverse(self) -> Tensor:
        return self._cached("inverse", lambda: torch.linalg.inv(self._edge_matrices))

    def _cells_on(self, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """Corners ``(d + 1, c)``, inverses of the edge matrices, and volumes of the cells, where they are needed."""
        return (
            self._cached(("corners", device), lambda: self.cells.T.contiguous().to(device)),
            self._cached(("inverse", dtype, device), lambda: self._inverse.to(device, dtype)),
            self._cached(("volumes", dtype, device), lambda: self.cell_volumes.to(device, dtype)),
        )

    @property
    def shape_gradients(self) -> Tensor:
        """Gradients of the hat functions of the corners of each cell, ``(c, d + 1, d)``."""
        inner = self._inverse.transpose(1, 2)
        return torch.cat([-inner.sum(1, keepdim=True), inner], 1)

    @cached_property
    def points(self) -> Tensor:
        """Vertices, or centroids of the cells, ``(num_points, dim)``, float64."""
        return self.vertices[self.cells].mean(1) if self.centers else self.vertices

    @property
    def weights(self) -> Tensor:
        """Quadrature weights ``(num_points,)``, float64."""
        return self.cell_volumes if self.centers else self._cached("lumped", self._lumped_weights)

    def _lumped_weights(self) -> Tensor:
        share = (self.cell_volumes / (self.dim + 1)).repeat_interleave(self.dim + 1)
        return torch.zeros(len(self.vertices), dtype=torch.float64).index_add(0, self.cells.flatten(), share)

    @cached_property
    def volume(self) -> float:
        """Volume of the domain."""
        return math.fsum(self.cell_volumes.tolist())

    @cached_property
    def edges(self) -> Tensor:
        """Different edges ``(e, 2)``, the smaller vertex first."""
        return edges_of(self.cells)

    @property
    def edge_index(self) -> Tensor:
        """Both directions of every edge, ``(2, 2 e)``, for graph networks on the vertices."""
        return torch.cat([self.edges, self.edges.flip(1)]).T.contiguous()

    @cached_property
    def h(self) -> float:
        """Length of the longest edge."""
        ends = self.vertices[self.edges]
        return (ends[:, 0] - ends[:, 1]).norm(dim=1).max().item()

    @cached_property
    def boundary_facets(self) -> Tensor:
        """Facets that belong to one cell only, by their vertices in increasing order, ``(f, d)``."""
        facets, counts = facets_of(self.cells)
        return facets[counts == 1]

    @cached_property
    def boundary_nodes(self) -> Tensor:
        """Vertices on the boundary, ``(b,)``."""
        return self.boundary_facets.unique()

    def tagged_nodes(self, tag: str) -> Tensor:
        """Vertices of the facets that have a tag, ``(b,)``.

        Raises:
            UnknownNameError: If the mesh does not have the tag.
        """
        if tag not in self.tags:
            raise unknown_name("tag", tag, self.tags)
        return self.tags[tag].unique()

    def at_centers(self) -> "Mesh":
        """The same mesh with values in the cells, where gradients of piecewise linear functions live."""
        return self._moved(True)

    def at_vertices(self) -> "Mesh":
        """The same mesh with values at the vertices."""
        return self._moved(False)

    def _moved(self, centers: bool) -> "Mesh":
        if centers == self.centers:
            return self
        key = "_at_centers" if centers else "_at_vertices"
        if key not in self.__dict__:
            other = Mesh(self.vertices, self.cells, centers, self.tags)
            self._set(**{key: other})
        return self.__dict__[key]

    def refine(self, factor: int = 2) -> "Mesh":
        """The mesh with all edges cut into ``factor`` parts, a power of two; its first vertices are the coarse ones.

        ``fine.restrict(values, range(coarse.num_points))`` are the values at the vertices of the coarse mesh; with
        values in the cells, the ``factor**dim`` parts of a cell follow one another.

        Raises:
            ConfigError: If the factor is no power of two.
        """
        if factor < 1 or factor & (factor - 1):
            raise ConfigError(f"factor is {factor}, a mesh is refined by a power of two.")
        mesh = self
        for _ in range(factor.bit_length() - 1):
            vertices, edges, n = mesh.vertices, mesh.edges, len(mesh.vertices)
            tags = {name: subdivide(facets, edges, n) for name, facets in mesh.tags.items()}
            middles = vertices[edges].mean(1)
            mesh = Mesh(torch.cat([vertices, middles]), subdivide(mesh.cells, edges, n), self.centers, tags)
        return mesh

    def restrict(self, values: Tensor, index: Any) -> Tensor:
        """Values ``(..., num_points)`` at the points of an index or mask.

        Raises:
            ConfigError: If the values live elsewhere, or the index lies outside the mesh.
        """
        return select(values, index, self.num_points)

    def locate(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """The cell in which each point lies, and where.

        Args:
            points: ``(m, d)``; a point on the boundary up to the rounding of its type counts as inside.

        Returns:
            Cells ``(m,)``, -1 outside the domain, and barycentric coordinates ``(m, d + 1)`` in the order of the
            corners, float64, zero outside; both on the CPU.

        Raises:
            ConfigError: If the points do not have the dimension of the mesh.
        """
        check_inside(points, self.dim)
        eps = torch.finfo(points.dtype if points.is_floating_point() else torch.float64).eps
        positions = points.detach().to("cpu", torch.float64).numpy()
        cells, barycentric = locate(positions, self.vertices.numpy(), self.cells.numpy(), self._inverse.numpy(), eps)
        return torch.from_numpy(cells), torch.from_numpy(barycentric)

    def contains(self, points: Tensor) -> Tensor:
        """Which of the points ``(n, dim)`` lie in a cell, the boundary included."""
        return (self.locate(points)[0] >= 0).to(points.device)


def _check_cells(mesh: Mesh) -> None:
    longest = mesh._edge_matrices.norm(dim=2).amax(1)
    flat = mesh.cell_volumes <= 1e-14 * longest**mesh.dim
    if flat.any():
        first = int(flat.nonzero()[0])
        raise ConfigError(
            f"{int(flat.sum())} cells have no volume, the first is cell {first} with vertices "
            f"{mesh.cells[first].tolist()}; remove such cells."
        )
    used = torch.zeros(len(mesh.vertices), dtype=torch.bool)
    used[mesh.cells.flatten()] = True
    if not used.all():
        lost = (~used).nonzero()[:, 0]
        raise ConfigError(
            f"{len(lost)} vertices belong to no cell, the first is {int(lost[0])}; a function there would have no "
            "weight. Remove them from vertices (a Delaunay mesh leaves out points that nearly coincide)."
        )
    known = facets_of(mesh.cells)[0] if mesh.tags else None
    for name, facets in mesh.tags.items():
        assert known is not None
        if len(torch.cat([known, facets.sort(1).values]).unique(dim=0)) > len(known):
            raise ConfigError(f"tag {name!r} has facets that no cell has; give the vertices of sides of cells.")
