"""The triangles of a surface from its vertices and the centroids of the triangles, for files that leave them out."""

from itertools import combinations

import numpy as np

from sciml.errors import DataFormatError

__all__ = ["axis_scales", "triangles_from_centroids", "vertex_weights"]

# Vertices near a centroid among which its three corners are looked for: few, and more for what is left.
_NEAREST = (10, 20, 40)
# The files are in single precision, and the coordinates of order one.
_TOLERANCE = 2e-6
_CHUNK = 256


def triangles_from_centroids(
    vertices: np.ndarray, centroids: np.ndarray, areas: np.ndarray, normals: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    r"""Find the corners of each triangle: three vertices whose mean is its centroid.

    Where several triples have this mean, area and normal decide. Areas and normals may belong to other units than the
    vertices: scales of the axes are fitted to the triangles that are certain.

    Args:
        vertices: ``(n, 3)``.
        centroids: ``(m, 3)``.
        areas: ``(m,)``.
        normals: ``(m, 3)``.

    Returns:
        Indices ``(m, 3)`` of the corners, and the scale ``(3,)`` of each axis.

    Raises:
        DataFormatError: If a centroid is the mean of no three vertices nearby.

    Example:
        >>> corners = np.array([[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3.0]])
        >>> faces = np.array(list(combinations(range(4), 3)))
        >>> cross = np.cross(*(corners[faces[:, i]] - corners[faces[:, 0]] for i in (1, 2)))
        >>> size = np.linalg.norm(cross, axis=1)
        >>> found, scale = triangles_from_centroids(
        ...     corners, corners[faces].mean(1), size / 2, cross / size[:, None]
        ... )
        >>> bool((np.sort(found) == faces).all()), scale.round(6).tolist()
        (True, [1.0, 1.0, 1.0])
    """
    owner, triples = _candidates(vertices, centroids)
    crosses = _crosses(vertices, triples)
    alone = np.bincount(owner, minlength=len(centroids))[owner] == 1
    scale = axis_scales(crosses[alone], areas[owner[alone]])
    scaled = crosses * (scale.prod() / scale)
    size = np.linalg.norm(scaled, axis=1)
    cosine = (scaled * normals[owner]).sum(1) / np.where(size > 0, size, 1)
    misfit = np.abs(0.5 * size / areas[owner] - 1) + 1 - np.abs(cosine)
    best = np.lexsort((misfit, owner))
    first = best[np.searchsorted(owner[best], np.arange(len(centroids)))]
    # Corners run so that the normal follows from them by the rule of the right hand.
    faces = np.where(cosine[first, None] < 0, triples[first][:, ::-1], triples[first])
    return faces, scale


def _candidates(vertices: np.ndarray, centroids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All triples that fit, sorted by the centroid that they fit."""
    from scipy.spatial import cKDTree

    tree = cKDTree(vertices)
    left = np.arange(len(centroids))
    owners, triples = [], []
    for k in _NEAREST:
        pick = np.array(list(combinations(range(min(k, len(vertices))), 3)))
        for part in np.array_split(left, -(-len(left) // _CHUNK) or 1):
            near = tree.query(centroids[part], k=min(k, len(vertices)))[1][:, pick]
            fits = np.abs(vertices[near].mean(2) - centroids[part, None]).max(-1) < _TOLERANCE
            owners.append(part[fits.nonzero()[0]])
            triples.append(near[fits])
        left = np.setdiff1d(left, np.concatenate(owners))
        if not len(left):
            break
    else:
        raise DataFormatError(f"{len(left)} centroids are the mean of no three vertices nearby, the first {left[0]}.")
    owner = np.concatenate(owners)
    order = np.argsort(owner, kind="stable")
    return owner[order], np.concatenate(triples)[order]


def _crosses(vertices: np.ndarray, triples: np.ndarray) -> np.ndarray:
    a, b, c = (vertices[triples[:, i]] for i in range(3))
    return np.cross(b - a, c - a)


def axis_scales(crosses: np.ndarray, areas: np.ndarray) -> np.ndarray:
    r"""Scales of the axes under which triangles get given areas.

    With scales :math:`s` the area of a triangle with the cross product :math:`c` is
    :math:`\tfrac12 \sqrt{(c_1 s_2 s_3)^2 + (c_2 s_1 s_3)^2 + (c_3 s_1 s_2)^2}`, whose square is linear in the squared
    products of scales.

    Args:
        crosses: Cross products ``(m, 3)`` of two edges.
        areas: ``(m,)``.

    Raises:
        DataFormatError: If there are no such scales.
    """
    squares = np.linalg.lstsq((crosses / 2) ** 2, areas**2, rcond=None)[0]
    if not (squares > 0).all():
        raise DataFormatError("the areas of the triangles do not fit their vertices under any scale of the axes.")
    products = np.sqrt(squares)
    return np.sqrt(products.prod()) / products


def vertex_weights(triangles: np.ndarray, areas: np.ndarray, num_vertices: int) -> np.ndarray:
    """Quadrature weights of vertices: a third of the area of every triangle around.

    Args:
        triangles: ``(m, 3)``.
        areas: ``(m,)``.
        num_vertices: Number of vertices.

    Example:
        >>> vertex_weights(np.array([[0, 1, 2]]), np.array([3.0]), 4).tolist()
        [1.0, 1.0, 1.0, 0.0]
    """
    return np.bincount(triangles.ravel(), np.repeat(areas / 3, 3), num_vertices)
