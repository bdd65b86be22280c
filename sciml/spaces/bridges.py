"""Functions from and to plain tensors, xarray and PyTorch Geometric."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from sciml.errors import ConfigError
from sciml.spaces._xarray_bridge import from_xarray, to_xarray
from sciml.spaces.function import Function
from sciml.spaces.function_batch import FunctionBatch
from sciml.spaces.mesh import Mesh
from sciml.spaces.point_cloud import PointCloud

if TYPE_CHECKING:
    from torch_geometric.data import Data

__all__ = ["from_pyg", "from_tensors", "from_xarray", "to_pyg", "to_tensors", "to_xarray"]


def from_tensors(
    values: Tensor,
    points: Any,
    weights: Any = None,
    *,
    cells: Any = None,
    bounds: Sequence[tuple[float, float]] | None = None,
    name: str = "u",
    units: str | None = None,
) -> Function:
    """Functions at points, or on a mesh, from plain tensors.

    Args:
        values: ``(..., channels, n)``.
        points: Coordinates ``(n, d)``.
        weights: Quadrature weights ``(n,)``, or the name of a rule of :class:`sciml.spaces.PointCloud`.
        cells: Corners of the cells of a mesh ``(c, d + 1)``, whose weights are then taken.
        bounds: Box of the domain of scattered points.
        name: Name of the quantity.
        units: Units of the values.

    Raises:
        ConfigError: If there are neither weights nor cells, or both.

    Example:
        >>> from_tensors(torch.ones(1, 3), torch.tensor([0.0, 0.5, 2.0]), "sorted-trapezoid").integral()
        tensor([2.])
    """
    if (weights is None) == (cells is None):
        raise ConfigError(
            "weights are never assumed: give quadrature weights, a rule such as 'uniform', 'voronoi', 'knn' or "
            "'sorted-trapezoid', or the cells of a mesh; one of them."
        )
    disc = PointCloud(points, weights, bounds) if cells is None else Mesh(points, cells)
    return Function(values, disc, name, units)


def to_tensors(u: Function | FunctionBatch) -> dict[str, Tensor]:
    """The parts of functions under the names that batches of data use.

    Args:
        u: Functions.

    Returns:
        ``u`` (values), ``u.pos`` (points), ``u.weight`` (quadrature weights), and ``u.ptr`` or ``u.mask`` of a ragged
        or padded batch, for functions that are named ``u``.

    Example:
        >>> from sciml.spaces import RegularGrid
        >>> grid = RegularGrid(shape=(3,), bounds=((0.0, 1.0),))
        >>> {name: tuple(part.shape) for name, part in to_tensors(Function(torch.ones(1, 3), grid, "a")).items()}
        {'a': (1, 3), 'a.pos': (3, 1), 'a.weight': (3,)}
    """
    parts = {u.name: u.values, f"{u.name}.pos": u.points, f"{u.name}.weight": u.weights}
    for key in ("ptr", "mask"):
        part = getattr(u, key, None)
        if part is not None:
            parts[f"{u.name}.{key}"] = part
    return parts


def to_pyg(u: Function | FunctionBatch, radius: float | None = None) -> "Data":
    """Graphs whose nodes are the points: ``x`` values ``(n, C)``, ``pos``, ``weight``, and ``edge_index``.

    Args:
        u: One function ``(C, *points)``, or a batch, which becomes a PyG ``Batch``.
        radius: Connect points at most this far apart; None takes the edges of a mesh, and none elsewhere.

    Raises:
        ConfigError: If a function has leading axes.

    Example:
        >>> cloud = PointCloud(torch.tensor([[0.0], [0.4], [1.0]]), "sorted-trapezoid")
        >>> to_pyg(Function(torch.ones(2, 3), cloud), radius=0.5)
        Data(x=[3, 2], pos=[3, 1], weight=[3], edge_index=[2, 2])
    """
    from torch_geometric.data import Batch, Data

    if isinstance(u, FunctionBatch):
        return Batch.from_data_list([to_pyg(function, radius) for function in u.to_functions()])
    if u.values.dim() != len(u.disc.shape) + 1 or u.time is not None:
        raise ConfigError(f"values have shape {tuple(u.values.shape)}: give one function (C, *points), or a batch.")
    device, disc = u.values.device, u.disc
    data = Data(x=u.values.flatten(1).T, pos=u.points, weight=u.weights.flatten())
    vertices = isinstance(disc, Mesh) and not disc.centers
    if isinstance(disc, Mesh) and vertices:
        data.face = disc.cells.T.contiguous().to(device)
    if radius is not None:
        data.edge_index = disc.radius_graph(radius).to(device)
    elif isinstance(disc, Mesh) and vertices:
        data.edge_index = disc.edge_index.to(device)
    return data


def from_pyg(data: "Data", name: str = "u", units: str | None = None) -> Function | FunctionBatch:
    """Functions from a graph or a batch of graphs.

    Args:
        data: Graph with ``x`` ``(n, C)``, ``pos`` ``(n, d)``, and quadrature weights ``weight`` ``(n,)`` or the cells
            ``face`` ``(d + 1, c)`` of a mesh; or a batch of such graphs.
        name: Name of the quantity.
        units: Units of the values.

    Returns:
        A function for a graph, a ragged batch for a batch.

    Raises:
        ConfigError: If a part is missing; weights are never assumed.
    """
    graphs = data.to_data_list() if getattr(data, "ptr", None) is not None else None
    if graphs is not None and "face" not in data and "weight" in data:
        return FunctionBatch.ragged(data.x, data.pos, data.weight, data.ptr, name, units)
    if graphs is not None:
        return FunctionBatch.ragged([_from_graph(graph, name, units) for graph in graphs])
    return _from_graph(data, name, units)


def _from_graph(data: "Data", name: str, units: str | None) -> Function:
    missing = [key for key in ("x", "pos") if key not in data]
    if missing:
        raise ConfigError(f"the graph has no {' and no '.join(missing)}, only {', '.join(data.keys())}.")
    if "face" in data:
        return from_tensors(data.x.T, data.pos, cells=data.face.T, name=name, units=units)
    return from_tensors(data.x.T, data.pos, data.get("weight"), name=name, units=units)
