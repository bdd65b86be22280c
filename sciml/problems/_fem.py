"""Piecewise linear finite elements on triangles for -div(a grad u) = f."""

from typing import Any

import numpy as np
from scipy.sparse import coo_matrix, csc_matrix
from scipy.sparse.linalg import splu

from sciml.errors import ConfigError
from sciml.spaces import Mesh

__all__ = ["mass", "solve_dirichlet", "solve_positive", "stiffness"]

Array = np.ndarray[Any, Any]


def stiffness(mesh: Mesh, a: Array | float = 1.0) -> csc_matrix:
    """Matrix of the integrals of a grad(phi_i) . grad(phi_j), ``(n, n)``.

    Args:
        mesh: Triangles.
        a: Coefficient, a number or one a triangle.
    """
    corners = mesh.vertices.numpy()[mesh.cells.numpy()]
    # The gradient of a corner's function is the opposite side, turned by 90 degrees, over twice the area.
    opposite = np.roll(corners, -2, axis=1) - np.roll(corners, -1, axis=1)
    scale = np.broadcast_to(a, len(corners)) / (4 * mesh.cell_volumes.numpy())
    return _assemble(mesh, np.einsum("c,cid,cjd->cij", scale, opposite, opposite))


def mass(mesh: Mesh) -> csc_matrix:
    """Matrix of the integrals of phi_i phi_j, ``(n, n)``; its rows sum to the weights of the mesh.

    Example:
        >>> square = Mesh([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]], [[0, 1, 2], [0, 2, 3]])
        >>> round(float(mass(square).sum()), 12)
        1.0
    """
    local = (np.eye(3) + 1) / 12
    return _assemble(mesh, mesh.cell_volumes.numpy()[:, None, None] * local)


def _assemble(mesh: Mesh, local: Array) -> csc_matrix:
    cells, n = mesh.cells.numpy(), len(mesh.vertices)
    rows, columns = np.repeat(cells, 3, axis=1).ravel(), np.tile(cells, 3).ravel()
    return coo_matrix((local.ravel(), (rows, columns)), (n, n)).tocsc()


def solve_dirichlet(mesh: Mesh, load: Array, boundary: Array | float = 0.0, a: Array | float = 1.0) -> Array:
    """Solutions of -div(a grad u) = f with given values on the boundary; one factorisation for all of them.

    Args:
        mesh: Triangles.
        load: Integrals of f phi_i, ``(k, n)``: ``f @ mass(mesh)`` for values of f at the vertices.
        boundary: Values at ``mesh.boundary_nodes``, ``(k, b)`` or a number.
        a: Coefficient, a number or one a triangle.

    Returns:
        Values at the vertices ``(k, n)``.

    Raises:
        ConfigError: If no vertex lies inside.
    """
    border = mesh.boundary_nodes.numpy()
    inner = np.setdiff1d(np.arange(len(mesh.vertices)), border)
    if not len(inner):
        raise ConfigError("the mesh has no vertex inside the domain: refine it.")
    u = np.empty(load.shape)
    u[:, border] = boundary
    rows = stiffness(mesh, a)[inner]
    u[:, inner] = solve_positive(rows[:, inner], load[:, inner].T - rows[:, border] @ u[:, border].T).T
    return u


def solve_positive(matrix: Any, right: Array) -> Array:
    """Solution ``(n, ...)`` of a sparse system that is symmetric and positive definite."""
    # Pivots on the diagonal are stable for such a matrix, and keep the fill-in low.
    options = {"SymmetricMode": True}
    return splu(matrix.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options).solve(right)
