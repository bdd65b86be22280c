"""Functions from one discretisation to another, or to single points."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Literal

import torch
from torch import Tensor

from sciml.errors import ConfigError, unknown_name
from sciml.spaces._grid_interpolation import Axis, Grid, at_points, to_grid
from sciml.spaces._scattered import barycentric, combine, inverse_distance, nearest, radial_basis
from sciml.spaces.discretization import Discretization, check_inside
from sciml.spaces.function import Function
from sciml.spaces.mesh import Mesh
from sciml.spaces.point_cloud import PointCloud

__all__ = ["METHODS", "interpolate", "resample"]

Outside = Literal["raise", "extrapolate", "nan"]
_OF_GRIDS = ("linear", "cubic", "fourier", "barycentric", "nearest", "conservative")
METHODS = (*_OF_GRIDS, "p1", "idw", "rbf")


def resample(
    f: Function,
    disc: Discretization,
    method: str | Sequence[str] = "linear",
    *,
    outside: Outside = "raise",
    neighbours: int = 16,
) -> Function:
    """The same function on another discretisation.

    ================  =====================================================  =======================================
    method            from                                                   exact for
    ================  =====================================================  =======================================
    ``linear``        grids; elsewhere the same as ``p1``                    multilinear functions
    ``cubic``         grids: splines, periodic or not-a-knot                 cubic polynomials (no period)
    ``fourier``       periodic regular grids                                 trigonometric polynomials below Nyquist
    ``barycentric``   tensor grids of a quadrature rule                      polynomials of degree ``n - 1``
    ``conservative``  grids, to grids on the same box: averages over cells   constants; keeps the integral
    ``p1``            mesh vertices; point clouds by their Delaunay mesh     linear functions
    ``nearest``       all; of cells of a mesh, the one around the point      constants
    ``idw``           all: the nearest points by inverse squared distance    constants
    ``rbf``           all: cubic radial functions of the nearest points      linear functions
    ================  =====================================================  =======================================

    Between periodic regular grids ``fourier`` goes by FFT: a coarser grid receives the modes that it can hold. The
    Nyquist mode of an even number of points counts half for either sign. All methods are linear in the values, and
    differentiable.

    Args:
        f: What is resampled; leading axes are kept.
        disc: The new discretisation.
        method: One for all axes, or one per axis of a grid.
        outside: Beyond the old domain: an error, the polynomials at its edge, or NaN. Points far from a cloud that has
            no bounds count as inside for ``nearest``, ``idw`` and ``rbf``.
        neighbours: Number of points that count for ``idw`` and ``rbf``.

    Returns:
        The function with the same name, units and times; ``f`` itself if it lives there already.

    Raises:
        UnknownNameError: If there is no such method.
        ConfigError: If the method does not fit the discretisation, dimensions differ, new points lie outside, or the
            values are no floats (``nearest`` takes all).

    Example:
        >>> from sciml.spaces import RegularGrid
        >>> coarse = RegularGrid(shape=(4,), bounds=((0.0, 1.0),), periodic=True)
        >>> f = Function(torch.sin(2 * torch.pi * coarse.points.T), coarse)
        >>> resample(f, coarse.refine(), "fourier").values.round(decimals=4)[0, 1:4].tolist()
        [0.7071, 1.0, 0.7071]
    """
    methods = _methods(method, f.values, f.disc, outside)
    if disc.dim != f.disc.dim:
        raise ConfigError(f"the new discretisation has dimension {disc.dim}, that of {f.name!r} {f.disc.dim}.")
    if disc == f.disc:
        return f
    if methods and isinstance(f.disc, Grid) and isinstance(disc, Grid):
        lost = _outside_axes(f.disc, disc, methods, outside)
        values = _real(partial(to_grid, old=f.disc, new=disc, methods=methods), f.values)
        values = values if lost is None else values.masked_fill(lost.to(values.device), torch.nan)
    else:
        points = disc.points_on(torch.float64, f.values.device)
        values = interpolate(f.values, f.disc, points, method, outside=outside, neighbours=neighbours)
        values = values.reshape(*values.shape[:-1], *disc.shape)
    return replace(f, values=values, disc=disc)


def interpolate(
    values: Tensor,
    disc: Discretization,
    points: Tensor,
    method: str | Sequence[str] = "linear",
    *,
    outside: Outside = "raise",
    neighbours: int = 16,
) -> Tensor:
    """Values of a sampled function at points, by the methods of :func:`resample`.

    Differentiable in the values, and but for ``nearest`` in the points; where other neighbours begin to count, slopes
    may jump, and for ``idw`` and ``rbf`` the values too.

    Args:
        values: ``(..., *disc.shape)``.
        disc: Where they live.
        points: ``(m, dim)``, or ``(m,)`` on a line, on the device of the values.
        method: One for all axes, or one per axis of a grid; ``conservative`` has no values at points.
        outside: Beyond the domain: an error, the polynomials at its edge, or NaN.
        neighbours: Number of points that count for ``idw`` and ``rbf``.

    Returns:
        ``(..., m)`` in the dtype of the values.

    Raises:
        UnknownNameError: If there is no such method.
        ConfigError: As for :func:`resample`.

    Example:
        >>> from sciml.spaces import RegularGrid
        >>> grid = RegularGrid(shape=(3,), bounds=((0.0, 1.0),))
        >>> interpolate(torch.tensor([0.0, 1.0, 4.0]), grid, torch.tensor([0.25, 0.75]))
        tensor([0.5000, 2.5000])
    """
    methods = _methods(method, values, disc, outside)
    points = points if points.is_floating_point() else points.double()
    points = points[:, None] if disc.dim == 1 and points.dim() == 1 else points
    check_inside(points, disc.dim)
    axes = len(disc.shape)
    if tuple(values.shape[max(values.dim() - axes, 0) :]) != disc.shape:
        raise ConfigError(f"values have shape {tuple(values.shape)}, expected {disc.shape} as the last axes.")
    if methods and "conservative" in methods:
        raise ConfigError("the method 'conservative' makes averages over cells: resample to a grid, not to points.")
    if methods:
        assert isinstance(disc, Grid)
        lost = _outside_grid(disc, points, outside)
        result = _real(partial(at_points, grid=disc, points=points.double(), methods=methods), values)
    else:
        source = _triangulated(disc) if method in ("linear", "p1") else disc
        lost = _outside_points(source, points, outside)
        index, weights = _scattered(source, points.double(), str(method), neighbours)
        result = combine(values.flatten(values.dim() - axes), index, weights)
    return result if lost is None else result.masked_fill(lost, torch.nan)


def _methods(
    method: str | Sequence[str], values: Tensor, disc: Discretization, outside: Outside
) -> tuple[str, ...] | None:
    """Methods of the axes of a grid; None for a method that knows no axes."""
    given = (method,) if isinstance(method, str) else tuple(method)
    for name in given:
        if name not in METHODS:
            raise unknown_name("resampling method", name, METHODS)
    if outside not in ("raise", "extrapolate", "nan"):
        raise ConfigError(f"outside is {outside!r}, expected 'raise', 'extrapolate' or 'nan'.")
    if not (values.is_floating_point() or values.is_complex()) and (set(given) != {"nearest"} or outside == "nan"):
        raise ConfigError(f"values are {values.dtype}: take the method 'nearest' without NaN, or values.float().")
    if isinstance(disc, Grid) and set(given) <= set(_OF_GRIDS):
        given = given * disc.dim if len(given) == 1 else given
        if len(given) != disc.dim:
            raise ConfigError(f"method has {len(given)} names, the grid {disc.dim} axes: one for all, or one per axis.")
        return given
    if len(given) > 1:
        raise ConfigError(f"method is {given}: one per axis needs a grid, and methods among {', '.join(_OF_GRIDS)}.")
    if given[0] in ("cubic", "fourier", "barycentric", "conservative"):
        raise ConfigError(f"the method {given[0]!r} needs a grid, not {disc}: take 'linear', 'rbf' or 'nearest'.")
    if given[0] == "p1" and isinstance(disc, Grid):
        raise ConfigError("the method 'p1' needs a mesh or a point cloud; on a grid take 'linear'.")
    return None


def _real(apply: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
    return torch.complex(apply(values.real), apply(values.imag)) if values.is_complex() else apply(values)


def _triangulated(disc: Discretization) -> Mesh:
    if isinstance(disc, PointCloud):
        return _delaunay(disc)
    if isinstance(disc, Mesh) and not disc.centers:
        return disc
    raise ConfigError(
        f"piecewise linear functions need values at the vertices of a mesh, or at points to connect, not {disc}: take "
        "'nearest', 'idw' or 'rbf'."
    )


@lru_cache(maxsize=8)
def _delaunay(cloud: PointCloud) -> Mesh:
    return Mesh.delaunay(cloud.points)


def _scattered(disc: Discretization, points: Tensor, method: str, neighbours: int) -> tuple[Tensor, Tensor]:
    """Indices of points and their weights, ``(m, width)``."""
    if method == "nearest":
        return nearest(disc, points)
    if neighbours < 1:
        raise ConfigError(f"neighbours is {neighbours}, expected at least 1.")
    if method == "idw":
        return inverse_distance(disc, points, neighbours)
    if method == "rbf":
        return radial_basis(disc, points, neighbours)
    assert isinstance(disc, Mesh)
    return barycentric(disc, points)


# Points beyond the domain: None where there are none or nobody minds, else which ones are to become NaN.


def _outside_axes(old: Grid, new: Grid, methods: tuple[str, ...], outside: Outside) -> Tensor | None:
    if outside == "extrapolate":
        return None
    # Averages over cells check the boxes themselves.
    lost = [
        Axis(old, number).outside(x) & (method != "conservative")
        for number, (x, method) in enumerate(zip(new.axes, methods, strict=True))
    ]
    total = torch.zeros((), dtype=torch.bool)
    for number, part in enumerate(lost):
        if part.any() and outside == "raise":
            raise _beyond(f"{int(part.sum())} coordinates of axis {number}", float(new.axes[number][part][0]), old)
        total = total[..., None] | part
    return total if total.any() else None


def _outside_grid(grid: Grid, points: Tensor, outside: Outside) -> Tensor | None:
    if outside == "extrapolate":
        return None
    points = points.detach()
    lost = torch.stack([Axis(grid, number).outside(points[:, number]) for number in range(grid.dim)]).any(0)
    return _reported(lost, points, grid, outside)


def _outside_points(disc: Discretization, points: Tensor, outside: Outside) -> Tensor | None:
    if outside == "extrapolate" or (isinstance(disc, PointCloud) and disc.bounds is None):
        return None
    if isinstance(disc, Grid):
        return _outside_grid(disc, points, outside)
    return _reported(~disc.contains(points.detach()), points, disc, outside)


def _reported(lost: Tensor, points: Tensor, disc: Discretization, outside: Outside) -> Tensor | None:
    if not lost.any():
        return None
    if outside == "raise":
        raise _beyond(f"{int(lost.sum())} points", points.detach()[lost][0].tolist(), disc)
    return lost


def _beyond(what: str, first: float | list[float], disc: Discretization) -> ConfigError:
    return ConfigError(
        f"{what} lie outside {disc}, the first at {first}. Leave them out, or say what is known there: "
        "outside='extrapolate' or 'nan'."
    )
