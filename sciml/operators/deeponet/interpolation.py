"""Piecewise linear interpolation as sparse rows: which known points, with which factors, make the value at a new one.

The rows serve values, as in a POD basis at other points, and their transpose serves integrals
(:class:`~sciml.operators.deeponet.kernels.SensorKernel`).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["PiecewiseLinear", "interpolate_rows", "same_points"]


def same_points(a: Tensor, b: Tensor) -> bool:
    """Whether two sets of points are equal, bit for bit. While a graph is traced, where values are unknown, False."""
    if a is b:
        return True
    return a.shape == b.shape and not torch.compiler.is_compiling() and a.device == b.device and torch.equal(a, b)


def tensor_axes(points: Tensor) -> tuple[list[Tensor], Tensor] | None:
    """Axes of which the points ``(n, dim)`` are all combinations, and where each combination stands; None if they are
    not."""
    n, dim = points.shape
    found = [torch.unique(points[:, axis], return_inverse=True) for axis in range(dim)]
    axes = [axis for axis, _ in found]
    if math.prod(map(len, axes)) != n:
        return None
    flat = torch.zeros(n, dtype=torch.long, device=points.device)
    for axis, place in found:
        flat = flat * len(axis) + place
    order = torch.full((n,), -1, dtype=torch.long, device=points.device)
    order[flat] = torch.arange(n, device=points.device)
    return None if bool((order < 0).any()) else (axes, order)


class PiecewiseLinear(nn.Module):
    """Linear interpolation between known points: multilinear on tensor grids, on triangles or tetrahedra otherwise.

    Beyond the known points the function is continued as a constant along the axes of a grid, and by the nearest known
    point around scattered ones.

    Its tensors follow from the points and are in no state, but they move with the module that holds it.

    Args:
        points: Known points ``(n, dim)``, in any order.

    Example:
        >>> index, factor = PiecewiseLinear(torch.tensor([[0.0], [1.0], [3.0]]))(torch.tensor([[2.0]]))
        >>> index.tolist(), factor.tolist()
        ([[1, 2]], [[0.5, 0.5]])
    """

    points: Tensor
    order: Tensor

    def __init__(self, points: Tensor) -> None:
        super().__init__()
        points = points.detach()
        axes, order = tensor_axes(points) or ([], torch.arange(len(points), device=points.device))
        self.num_axes = len(axes)
        for name, value in (("points", points), ("order", order), *((f"axis{k}", a) for k, a in enumerate(axes))):
            self.register_buffer(name, value.clone(), persistent=False)

    def forward(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        """Indices of known points and their factors, both ``(k, vertices)``, for queries ``(k, dim)``."""
        if self.num_axes:
            return _multilinear([getattr(self, f"axis{k}") for k in range(self.num_axes)], self.order, queries)
        return _on_simplices(self.points, queries)


def _multilinear(axes: list[Tensor], order: Tensor, queries: Tensor) -> tuple[Tensor, Tensor]:
    index = torch.zeros(len(queries), 1, dtype=torch.long, device=queries.device)
    factor = queries.new_ones(len(queries), 1)
    for number, axis in enumerate(axes):
        left, part = _between(axis, queries[:, number])
        right = (left + 1).clamp(max=len(axis) - 1)
        pair, parts = torch.stack([left, right], 1), torch.stack([1 - part, part], 1)
        index = (index[:, :, None] * len(axis) + pair[:, None]).flatten(1)
        factor = (factor[:, :, None] * parts[:, None]).flatten(1)
    return order[index], factor


def _between(axis: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Left neighbour on an increasing axis, and how far towards the right one."""
    if len(axis) == 1:
        return torch.zeros_like(x, dtype=torch.long), torch.zeros_like(x)
    right = torch.searchsorted(axis, x.detach().contiguous()).clamp(1, len(axis) - 1)
    begin, end = axis[right - 1], axis[right]
    return right - 1, ((x - begin) / (end - begin)).clamp(0, 1)


def _on_simplices(points: Tensor, queries: Tensor) -> tuple[Tensor, Tensor]:
    from scipy.spatial import Delaunay, cKDTree

    known, wanted = points.cpu().double().numpy(), queries.detach().cpu().double().numpy()
    mesh = Delaunay(known)
    simplex = mesh.find_simplex(wanted)
    transform = mesh.transform[simplex]
    first = torch.einsum("kij,kj->ki", *map(torch.from_numpy, (transform[:, :-1], wanted - transform[:, -1])))
    factor = torch.cat([first, 1 - first.sum(1, keepdim=True)], 1).clamp(0, 1)
    index = torch.from_numpy(mesh.simplices[simplex]).long()
    outside = torch.from_numpy(simplex < 0)
    if bool(outside.any()):
        nearest = torch.from_numpy(cKDTree(known).query(wanted[outside.numpy()])[1]).long()
        index[outside] = nearest[:, None]
        factor[outside] = torch.eye(1, factor.shape[1], dtype=factor.dtype)
    return index.to(queries.device), factor.to(queries)


def interpolate_rows(values: Tensor, index: Tensor, factor: Tensor) -> Tensor:
    """Values ``(n, ...)`` at known points to ``(k, ...)`` at new ones.

    Example:
        >>> interpolate_rows(torch.tensor([0.0, 4.0]), torch.tensor([[0, 1]]), torch.tensor([[0.25, 0.75]]))
        tensor([3.])
    """
    return torch.einsum("kv,kv...->k...", factor, values[index])
