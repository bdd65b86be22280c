"""Functions from and to xarray.

What xarray cannot know of a discretisation goes into the attributes of the array, in types that NetCDF can store.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml.errors import ConfigError
from sciml.spaces.discretization import Discretization, as_tensor
from sciml.spaces.function import Function
from sciml.spaces.grid import RegularGrid
from sciml.spaces.mesh import Mesh
from sciml.spaces.point_cloud import PointCloud
from sciml.spaces.tensor_grid import TensorGrid

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["from_xarray", "to_xarray"]


def to_xarray(u: Function) -> "xr.DataArray":
    """Functions as an array with named axes: ``sample``, ``time``, ``channel``, and ``x1``, ``x2``, ... or ``point``.

    Args:
        u: Functions with at most one leading axis besides time.

    Returns:
        An array with the coordinates of the points, their weights where points are scattered, and attributes from
        which :func:`from_xarray` restores the discretisation.

    Raises:
        ConfigError: If there are more leading axes.

    Example:
        >>> grid = RegularGrid(shape=(3,), bounds=((0.0, 1.0),))
        >>> to_xarray(Function(torch.ones(2, 1, 3), grid)).dims
        ('sample', 'channel', 'x1')
    """
    import xarray as xr

    disc, names = u.disc, [f"x{axis + 1}" for axis in range(u.disc.dim)]
    coords: dict[str, Any]
    if isinstance(disc, RegularGrid | TensorGrid):
        space = names
        coords = {name: axis.numpy() for name, axis in zip(names, disc.axes, strict=True)}
        if isinstance(disc, TensorGrid):
            weights = zip(names, disc.axis_weights, strict=True)
            coords |= {f"weight_{name}": (name, weight.numpy()) for name, weight in weights}
    else:
        space = ["point"]
        coords = {name: ("point", column.numpy()) for name, column in zip(names, disc.points.T, strict=True)}
        coords["weight"] = ("point", disc.weights.numpy())
    leading = u.values.dim() - len(space) - 1 - (u.time is not None)
    if leading > 1:
        raise ConfigError(f"values have {leading} leading axes, expected one for the samples: flatten them first.")
    dims = ["sample"] * leading + ["time"] * (u.time is not None) + ["channel", *space]
    if u.time is not None:
        coords["time"] = u.time.cpu().numpy()
    attrs = _attributes(disc) | ({} if u.units is None else {"units": u.units})
    return xr.DataArray(u.values.detach().cpu().numpy(), coords, dims, u.name, attrs)


def _attributes(disc: Discretization) -> dict[str, Any]:
    attrs: dict[str, Any] = {"discretization": type(disc).__name__, "dim": disc.dim}
    bounds = getattr(disc, "bounds", None)
    if bounds is not None:
        attrs["box"] = np.array(bounds).flatten()  # "bounds" has a meaning of its own in NetCDF
    if isinstance(disc, RegularGrid):
        attrs |= {"periodic": np.array(disc.periodic, dtype=np.int8), "alignment": disc.alignment}
    if isinstance(disc, TensorGrid):
        attrs["rules"] = " ".join(disc.rules)
    if isinstance(disc, Mesh):
        attrs |= {"centers": int(disc.centers), "vertices": disc.vertices.numpy().flatten()}
        attrs["cells"] = disc.cells.numpy().flatten()
        attrs |= {f"tag {name}": facets.numpy().flatten() for name, facets in disc.tags.items()}
    return attrs


def _regular_grid(array: "xr.DataArray", dim: int, bounds: Any) -> RegularGrid:
    attrs, shape = array.attrs, tuple(array.sizes[f"x{axis + 1}"] for axis in range(dim))
    return RegularGrid(shape, bounds, tuple(map(bool, np.atleast_1d(attrs["periodic"]))), attrs["alignment"])


def _tensor_grid(array: "xr.DataArray", dim: int, bounds: Any) -> TensorGrid:
    names = [f"x{axis + 1}" for axis in range(dim)]
    grid = TensorGrid([array[n].to_numpy() for n in names], [array[f"weight_{n}"].to_numpy() for n in names], bounds)
    grid._set(rules=tuple(array.attrs["rules"].split()))
    return grid


def _mesh(array: "xr.DataArray", dim: int, bounds: Any) -> Mesh:
    attrs = array.attrs
    tags = {key[4:]: np.reshape(part, (-1, dim)) for key, part in attrs.items() if key.startswith("tag ")}
    vertices, cells = np.reshape(attrs["vertices"], (-1, dim)), np.reshape(attrs["cells"], (-1, dim + 1))
    return Mesh(vertices, cells, bool(attrs["centers"]), tags)


def _point_cloud(array: "xr.DataArray", dim: int, bounds: Any) -> PointCloud:
    points = np.stack([array[f"x{axis + 1}"].to_numpy() for axis in range(dim)], 1)
    return PointCloud(points, array["weight"].to_numpy(), bounds)


_READERS: dict[str, Callable[["xr.DataArray", int, Any], Discretization]] = {
    "RegularGrid": _regular_grid,
    "TensorGrid": _tensor_grid,
    "Mesh": _mesh,
    "PointCloud": _point_cloud,
}


def from_xarray(
    array: "xr.DataArray", disc: Discretization | None = None, dims: Sequence[str] | None = None
) -> Function:
    """Functions from an array with named axes.

    Args:
        array: Values; an axis ``channel`` holds the channels, an axis ``time`` the frames, others are samples.
        disc: Where the values live; None for an array made by :func:`to_xarray`.
        dims: Names of the axes of the grid or of the points, in the order of the coordinates; None takes ``x1``,
            ``x2``, ... or ``point``.

    Returns:
        Values ``(..., [frames,] channels, *disc.shape)``, one channel where the array has no such axis.

    Raises:
        ConfigError: If the discretisation is unknown, the axes are not there, or the coordinates of the array are
            others than those of the discretisation.

    Example:
        >>> import xarray as xr
        >>> array = xr.DataArray([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], {"lat": [0.0, 0.5, 1.0]}, ["lat", "sample"])
        >>> from_xarray(array, RegularGrid(shape=(3,), bounds=((0.0, 1.0),)), dims=["lat"]).values.shape
        torch.Size([2, 1, 3])
    """
    if disc is None:
        kind = array.attrs.get("discretization")
        if kind not in _READERS:
            raise ConfigError(
                "the array does not say what its points stand for; pass disc=RegularGrid(shape, bounds, periodic=..., "
                "alignment=...) and dims, or another discretisation."
            )
        dim, bounds = int(array.attrs["dim"]), array.attrs.get("box")
        disc = _READERS[kind](array, dim, None if bounds is None else np.reshape(bounds, (dim, 2)).tolist())
    if dims is None:
        gridded = len(disc.shape) == disc.dim and isinstance(disc, RegularGrid | TensorGrid)
        dims = [f"x{axis + 1}" for axis in range(disc.dim)] if gridded else ["point"]
    _check_axes(array, disc, dims)
    if "channel" not in array.dims:
        array = array.expand_dims("channel")
    times = ["time"] if "time" in array.dims else []
    array = array.transpose(..., *times, "channel", *dims)
    time = as_tensor(array["time"].to_numpy()) if times and _numeric(array["time"]) else None
    values = as_tensor(array.to_numpy())
    return Function(values, disc, str(array.name or "u"), array.attrs.get("units"), time)


def _numeric(array: "xr.DataArray") -> bool:
    return np.issubdtype(array.dtype, np.number)


def _check_axes(array: "xr.DataArray", disc: Discretization, dims: Sequence[str]) -> None:
    missing = [name for name in dims if name not in array.dims]
    sizes = tuple(array.sizes[name] for name in dims if name not in missing)
    if missing or sizes != disc.shape:
        raise ConfigError(
            f"the array has axes {dict(array.sizes)}, expected {', '.join(dims)} of sizes {disc.shape}: name them by "
            "dims=[...]."
        )
    if not isinstance(disc, RegularGrid | TensorGrid):
        return
    for name, axis in zip(dims, disc.axes, strict=True):
        if name in array.coords and not np.allclose(
            array[name].to_numpy(), axis.numpy(), rtol=1e-5, atol=1e-6 * disc.h
        ):
            raise ConfigError(
                f"coordinates {name!r} of the array run from {float(array[name][0]):g} to {float(array[name][-1]):g}, "
                f"those of {disc} from {axis[0].item():g} to {axis[-1].item():g}; they must be equal."
            )
