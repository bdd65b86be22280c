"""Interpolation from points without axes: the nearest ones, and the corners of the simplex around a point.

Each function gives the indices of the points that count and their weights ``(m, width)``; the weights are
differentiable in the new points.
"""

import torch
from torch import Tensor

from sciml.errors import ConfigError
from sciml.spaces.discretization import Discretization
from sciml.spaces.grid import RegularGrid
from sciml.spaces.mesh import Mesh

__all__ = ["barycentric", "combine", "inverse_distance", "nearest", "radial_basis"]

Stencil = tuple[Tensor, Tensor]


def _neighbours(disc: Discretization, points: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k nearest points of a discretisation ``(m, k)``, across periods, and the ways from them ``(m, k, dim)``."""
    from scipy.spatial import cKDTree

    old, new = disc.points, points.detach().cpu()
    begin, period = torch.zeros(2, disc.dim, dtype=torch.float64)
    if isinstance(disc, RegularGrid):
        begins, periods = disc._periods()
        begin, period = torch.tensor(begins, dtype=torch.float64), torch.tensor(periods, dtype=torch.float64)
    # A period of infinite length is none.
    turn = torch.where(period > 0, period, torch.inf)
    tree = cKDTree((old - begin).numpy(), boxsize=period.numpy() if period.any() else None)
    wrapped = new - begin - torch.where(period > 0, period, 0.0) * torch.floor((new - begin) / turn)
    index = torch.from_numpy(tree.query(wrapped.numpy(), k=range(1, k + 1))[1])
    turns = torch.round((new[:, None] - old[index]) / turn)
    shifted = old[index] + torch.where(period > 0, period, 0.0) * turns
    return index.to(points.device), points[:, None] - shifted.to(points.device)


def nearest(disc: Discretization, points: Tensor) -> Stencil:
    """The nearest point; in a mesh with values in the cells, the cell in which the new point lies."""
    if isinstance(disc, Mesh) and disc.centers:
        index = _around(disc, points)[:, None]
    else:
        index = _neighbours(disc, points, 1)[0]
    return index, points.new_ones(index.shape)


def inverse_distance(disc: Discretization, points: Tensor, k: int) -> Stencil:
    r"""Weights :math:`|x - x_j|^{-2}` of the k nearest points, scaled to sum one."""
    index, way = _neighbours(disc, points, min(k, disc.num_points))
    square = way.square().sum(-1)
    # Divided by the nearest distance, the weights stay finite; at a point itself they are one and zeros.
    least = square.detach()[:, :1]
    weights = torch.where(least > 0, least, 1.0) / torch.where(least > 0, square, 1.0)
    weights = torch.where(least > 0, weights, (square.detach() == 0).to(weights))
    return index, weights / weights.sum(1, keepdim=True)


def radial_basis(disc: Discretization, points: Tensor, k: int) -> Stencil:
    r"""Weights of the interpolant :math:`\sum_j c_j |x - x_j|^3 + p(x)` of the k nearest points, p of degree one.

    Raises:
        ConfigError: If there are too few points, or the nearest ones coincide or lie on a line or plane.
    """
    size = min(k, disc.num_points)
    if size < disc.dim + 1:
        raise ConfigError(f"radial functions through {size} points are not unique, they need {disc.dim + 1}.")
    # In parts, since every point has a matrix of its own.
    parts = [_radial_basis(*_neighbours(disc, part, size)) for part in points.split(20_000)]
    return torch.cat([index for index, _ in parts]), torch.cat([weights for _, weights in parts])


def _radial_basis(index: Tensor, way: Tensor) -> Stencil:
    num, size, dim = way.shape
    # In units of the farthest neighbour; the points count from the nearest one, the new point is local[:, 0].
    local = way / way.detach().norm(dim=-1).amax(1)[:, None, None]
    nodes = (local[:, :1] - local).detach()
    matrix = way.new_zeros(num, size + dim + 1, size + dim + 1)
    matrix[:, :size, :size] = torch.cdist(nodes, nodes, compute_mode="donot_use_mm_for_euclid_dist") ** 3
    matrix[:, :size, size] = matrix[:, size, :size] = 1
    matrix[:, :size, size + 1 :] = nodes
    matrix[:, size + 1 :, :size] = nodes.transpose(1, 2)
    right = torch.cat([_length(local) ** 3, torch.ones_like(local[:, :1, 0]), local[:, 0]], 1)
    solution, failed = torch.linalg.solve_ex(matrix, right)
    # On a line the conditions contradict one another; near one the weights are so large that rounding errors show.
    missed = (torch.einsum("mij,mj->mi", matrix, solution) - right).abs() > 1e-6
    if failed.any() or missed.any() or not (solution[:, :size].abs() < 1e6).all():
        raise ConfigError(
            f"the {size} points nearest to a new point coincide or lie on a line or plane, so radial functions through "
            "them are not unique. Take more neighbours, or the method 'idw'."
        )
    return index, solution[:, :size]


def _length(way: Tensor) -> Tensor:
    # The root has no gradient at zero; the third power of the length does, and it is zero.
    square = way.square().sum(-1)
    return torch.where(square > 0, torch.where(square > 0, square, 1.0).sqrt(), 0.0)


def barycentric(mesh: Mesh, points: Tensor) -> Stencil:
    """Corners of the cell in which each point lies, and the hat functions there; beyond the mesh, the nearest cell."""
    cell = _around(mesh, points)
    corners = mesh.cells.to(points.device)[cell]
    inverse = mesh._inverse.to(points.device, points.dtype)[cell]
    first = mesh.vertices.to(points.device, points.dtype)[corners[:, 0]]
    inner = torch.einsum("md,mde->me", points - first, inverse)
    return corners, torch.cat([1 - inner.sum(1, keepdim=True), inner], 1)


def _around(mesh: Mesh, points: Tensor) -> Tensor:
    """The cell of each point, or the one that is nearest to it, ``(m,)``."""
    from scipy.spatial import cKDTree

    cells = mesh.locate(points)[0]
    outside = cells < 0
    if outside.any():
        lost = points.detach().cpu().double()[outside]
        centres = mesh.vertices[mesh.cells].mean(1)
        near = torch.from_numpy(cKDTree(centres.numpy()).query(lost.numpy(), k=range(1, min(8, len(centres)) + 1))[1])
        local = torch.einsum("md,mkde->mke", lost, mesh._inverse[near])
        local = local - torch.einsum("mkd,mkde->mke", mesh.vertices[mesh.cells[near, 0]], mesh._inverse[near])
        least = torch.minimum(local.amin(-1), 1 - local.sum(-1))
        cells[outside] = near.gather(1, least.argmax(1, keepdim=True))[:, 0]
    return cells.to(points.device)


def combine(values: Tensor, index: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums ``(..., m)`` of values ``(..., n)`` at indices ``(m, width)``."""
    if index.shape[1] == 1:
        return values.index_select(-1, index[:, 0])
    weights = weights.to(values.dtype)
    total = values.index_select(-1, index[:, 0]) * weights[:, 0]
    for k in range(1, index.shape[1]):
        total = total + values.index_select(-1, index[:, k]) * weights[:, k]
    return total
