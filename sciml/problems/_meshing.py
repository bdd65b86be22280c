"""Triangle meshes of polygons with holes: boundary points as given, a lattice inside, Delaunay's triangles."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.spatial import Delaunay

from sciml.errors import ConfigError
from sciml.spaces import Mesh
from sciml.spaces.random import Stars

__all__ = ["Loop", "mesh_polygon", "star_loop", "straight_loop"]

Loop = np.ndarray[Any, Any]
# Distance of inner points from the boundary, in units of the spacing. Above one half no inner point lies in a circle
# over an edge of the boundary, so that Delaunay's triangles keep that edge.
_CLEARANCE = 0.6
_SMOOTHINGS = 3


def straight_loop(corners: Sequence[tuple[float, float]], spacing: float) -> Loop:
    """Points ``(n, 2)`` on a closed polygon, its corners among them, at most ``spacing`` apart.

    Example:
        >>> straight_loop([(0, 0), (1, 0), (0, 1)], 0.5).shape
        (7, 2)
    """
    ends = np.asarray(corners, dtype=float)
    sides = []
    for begin, end in zip(ends, np.roll(ends, -1, axis=0), strict=True):
        parts = max(1, math.ceil(math.dist(begin, end) / spacing - 1e-9))
        sides.append(begin + np.arange(parts)[:, None] / parts * (end - begin))
    return np.concatenate(sides)


def star_loop(star: Stars, spacing: float, scale: float = 1.0, centre: tuple[float, float] = (0.0, 0.0)) -> Loop:
    """Points ``(n, 2)`` on the boundary of one star-shaped domain, equally far apart along it.

    Args:
        star: The domain, a batch of one.
        spacing: Largest distance of neighbours.
        scale: Factor of the radius.
        centre: Where the domain lies.
    """
    fine = star.boundary(2048)[0].numpy() * scale
    arc = np.append(0, np.linalg.norm(np.diff(fine, axis=0, append=fine[:1]), axis=1).cumsum())
    parts = max(6, math.ceil(arc[-1] / spacing))
    place = np.interp(np.arange(parts) * arc[-1] / parts, arc, np.arange(len(arc)))
    left = np.floor(place).astype(int)
    share = (place - left)[:, None]
    return np.asarray(centre) + (1 - share) * fine[left] + share * np.roll(fine, -1, axis=0)[left]


def mesh_polygon(loops: Sequence[Loop], spacing: float) -> Mesh:
    """A mesh of the region inside an outline and outside its holes; points of the loops come first, in their order.

    Args:
        loops: Closed polygons ``(n, 2)`` that do not touch: the outline, then the holes.
        spacing: Distance of neighbours inside, about that on the loops.

    Raises:
        ConfigError: If the triangles do not fill the region; the loops are too coarse for its narrow parts.

    Example:
        >>> mesh = mesh_polygon([straight_loop([(0, 0), (1, 0), (1, 1), (0, 1)], 0.1)], 0.1)
        >>> round(mesh.volume, 12), len(mesh.boundary_nodes)
        (1.0, 40)
    """
    begins = np.concatenate(loops)
    ends = np.concatenate([np.roll(loop, -1, axis=0) for loop in loops])
    lattice = _lattice(begins.min(0), begins.max(0), spacing)
    lattice = lattice[_inside(lattice, begins, ends)]
    inner = lattice[_distance(lattice, begins, ends) > _CLEARANCE * spacing]
    points, border = np.concatenate([begins, inner]), len(begins)
    cells = _triangles(points, begins, ends)
    for _ in range(_SMOOTHINGS):
        points[border:] = _centred(points, cells)[border:]
        cells = _triangles(points, begins, ends)
    area = _enclosed(loops[0]) - sum(map(_enclosed, loops[1:]))
    if len(np.unique(cells)) < len(points) or abs(_areas(points, cells).sum() - area) > 1e-9 * area:
        raise ConfigError(f"spacing is {spacing:.3g}, too coarse for the narrow parts of the domain: take less.")
    return Mesh(points, cells)


def _lattice(low: Loop, high: Loop, spacing: float) -> Loop:
    """Corners of equilateral triangles over a box."""
    height = spacing * math.sqrt(0.75)
    rows, columns = (math.ceil(length) + 1 for length in (high - low)[::-1] / (height, spacing))
    j, i = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    return low + np.stack([(i + j % 2 / 2) * spacing, (j + 0.5) * height], -1).reshape(-1, 2)


def _inside(points: Loop, begins: Loop, ends: Loop) -> Loop:
    """Whether a ray to the right meets the polygon an odd number of times."""
    x, y = points[:, :1], points[:, 1:]
    crosses = (begins[:, 1] > y) != (ends[:, 1] > y)
    rise = ends[:, 1] - begins[:, 1]
    at = begins[:, 0] + (y - begins[:, 1]) * (ends[:, 0] - begins[:, 0]) / np.where(rise == 0, 1, rise)
    return (crosses & (x < at)).sum(1) % 2 == 1


def _distance(points: Loop, begins: Loop, ends: Loop) -> Loop:
    """Distance of points from the nearest side of the polygon."""
    side, offset = ends - begins, points[:, None] - begins
    share = ((offset * side).sum(-1) / (side * side).sum(-1)).clip(0, 1)
    return np.linalg.norm(offset - share[..., None] * side, axis=-1).min(1)


def _enclosed(loop: Loop) -> float:
    """Area inside one polygon."""
    x, y = loop.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def _areas(points: Loop, cells: Loop) -> Loop:
    a, b = points[cells[:, 1]] - points[cells[:, 0]], points[cells[:, 2]] - points[cells[:, 0]]
    return np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]) / 2


def _triangles(points: Loop, begins: Loop, ends: Loop) -> Loop:
    """Delaunay's triangles in the region, without those that are flat up to rounding."""
    cells = Delaunay(points).simplices
    longest = np.ptp(points[cells], axis=1).max(1)
    cells = cells[_areas(points, cells) > 1e-9 * longest**2]
    # Triangles away from the boundary are inside; the others are asked for their middle.
    ask = (cells < len(begins)).all(1)
    ask[ask] = ~_inside(points[cells[ask]].mean(1), begins, ends)
    return cells[~ask]


def _centred(points: Loop, cells: Loop) -> Loop:
    """Every point in the middle of its neighbours."""
    pairs = np.concatenate([cells[:, [0, 1]], cells[:, [1, 2]], cells[:, [2, 0]]])
    pairs = np.concatenate([pairs, pairs[:, ::-1]])
    total = np.stack([np.bincount(pairs[:, 0], points[pairs[:, 1], k], len(points)) for k in (0, 1)], -1)
    return total / np.bincount(pairs[:, 0], minlength=len(points))[:, None]
