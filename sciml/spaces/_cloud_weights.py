"""Weights of scattered points: the share of the domain that each of them stands for."""

from itertools import product

import numpy as np
import torch
from torch import Tensor

from sciml.errors import ConfigError
from sciml.spaces._quadrature import trapezoid

__all__ = ["knn", "sorted_trapezoid", "voronoi"]

Bounds = tuple[tuple[float, float], ...]


def sorted_trapezoid(points: Tensor, begin: float, end: float) -> Tensor:
    """Half the distance between the two neighbours on the line; the outermost points reach to the ends."""
    nodes, order = points[:, 0].sort(stable=True)
    return torch.empty_like(nodes).index_copy(0, order, trapezoid(nodes, begin, end))


def knn(points: Tensor, volume: float, k: int) -> Tensor:
    """In proportion to the ball that reaches to the k-th nearest neighbour."""
    from scipy.spatial import cKDTree

    if not 0 < k < len(points):
        raise ConfigError(f"k is {k}, expected 1 to {len(points) - 1} neighbours of {len(points)} points.")
    coordinates = points.numpy()
    distance = torch.from_numpy(cKDTree(coordinates).query(coordinates, k=[k + 1])[0][:, 0])
    balls = distance ** points.shape[1]
    if not balls.sum() > 0:
        raise ConfigError(f"all points coincide with their {k} nearest ones; raise k or remove repeated points.")
    return balls * (volume / balls.sum())


def voronoi(points: Tensor, bounds: Bounds) -> Tensor:
    """Volume of the part of the box that is nearer to a point than to all others."""
    dim, n = points.shape[1], len(points)
    if dim > 3:
        raise ConfigError(f"points have {dim} coordinates, Voronoi weights take 1, 2 or 3: use 'knn'.")
    if len(points.unique(dim=0)) < n:
        raise ConfigError("points coincide and have no Voronoi cells: remove the repeated ones, or use 'knn'.")
    if dim == 1:
        return sorted_trapezoid(points, *bounds[0])
    low, high = np.array(bounds).T
    # In the unit box, so that one number says what is near to a face.
    unit = (points.numpy() - low) / (high - low)
    volumes = _unit_voronoi_stretched(unit, high - low)
    return torch.from_numpy(volumes) * (np.prod(high - low) / volumes.sum())


def _unit_voronoi_stretched(unit: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Mirror images behind the faces of the box cut the cells off there.

    Only near images are taken at first. A cell that sticks out makes the volumes sum to more than the box; then more
    are taken. A point on a face has no image there: its cell is symmetric, and half of it lies in the box.
    """
    n, dim = unit.shape
    on_low, on_high = np.abs(unit) < 1e-12, np.abs(unit - 1) < 1e-12
    unit = np.where(on_low, 0.0, np.where(on_high, 1.0, unit))
    halves = 0.5 ** (on_low | on_high).sum(1)
    reach = 4 * n ** (-1 / dim)
    while True:
        images = [unit * lengths]
        for sides in product((0, -1, 1), repeat=dim):
            if not any(sides):
                continue
            side = np.array(sides)
            mirrored = np.where(side == 0, unit, np.where(side < 0, -unit, 2 - unit))
            same = ((side < 0) & on_low) | ((side > 0) & on_high)
            outside = np.maximum(np.maximum(-mirrored, mirrored - 1), 0).max(1)
            images.append(mirrored[~same.any(1) & (outside <= reach)] * lengths)
        volumes = _cell_volumes(np.concatenate(images), n) * halves
        if volumes.sum() <= np.prod(lengths) * (1 + 1e-9):
            return volumes
        if reach >= 1:
            raise ConfigError("the Voronoi cells do not fill the box to rounding; use 'knn'.")
        reach *= 2


def _cell_volumes(points: np.ndarray, num: int) -> np.ndarray:
    """Volumes of the cells of the first ``num`` points, from the pyramids over their faces; infinite if open."""
    from scipy.spatial import Voronoi

    diagram = Voronoi(points)
    keep = (diagram.ridge_points < num).any(1)
    pairs = diagram.ridge_points[keep]
    faces = [face for face, wanted in zip(diagram.ridge_vertices, keep, strict=True) if wanted]
    sizes = np.array([len(face) for face in faces])
    flat = np.concatenate(faces)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    corners = diagram.vertices[flat]
    # Relative to the first corner of the face, which keeps the products small.
    corners = corners - np.repeat(corners[starts], sizes, axis=0)
    if points.shape[1] == 2:
        areas = np.linalg.norm(corners[starts + 1], axis=1)
    else:
        following = np.arange(len(flat)) + 1
        following[starts + sizes - 1] = starts
        areas = np.linalg.norm(np.add.reduceat(np.cross(corners, corners[following]), starts), axis=1) / 2
    areas[np.minimum.reduceat(flat, starts) < 0] = np.inf
    pyramids = areas * np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1) / 2 / points.shape[1]
    volumes = np.zeros(num)
    for side in range(2):
        inner = pairs[:, side] < num
        np.add.at(volumes, pairs[inner, side], pyramids[inner])
    return volumes
