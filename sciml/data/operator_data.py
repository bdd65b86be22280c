"""Splits and datasets for operator learning from arrays, in the layouts in which such data come.

On grids, :func:`grid_split` takes inputs and targets ``(functions, channels, *grid)``. At points:

=========  ======================  ==========================  ===========================================
layout     functions ``u``         query points ``coords``     targets ``y``
=========  ======================  ==========================  ===========================================
aligned    ``(functions, m)``      ``(points, d)``, shared     ``(functions, points)``
triplets   ``(functions, m)``      ``(rows, d)``               ``(rows,)``, one point a row
ragged     ``(functions, m)``      a list of ``(n_i, d)``      a list of ``(n_i,)``
=========  ======================  ==========================  ===========================================

Functions and targets with several channels have them before the points: ``(functions, channels, m)``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from sciml.data.dataset import Dataset, Split
from sciml.data.resolutions import finest_first
from sciml.errors import ConfigError
from sciml.spaces import DataSpec, FieldSpec, RegularGrid

__all__ = ["aligned_split", "grid_split", "operator_dataset", "ragged_split", "triplet_split"]


def grid_split(x: Any, y: Any, grid: RegularGrid, dtype: torch.dtype = torch.float32) -> Split:
    """Input and target functions on one regular grid.

    Args:
        x: Input functions ``(functions, channels, *grid)``; the axis of channels may be left out.
        y: Target functions, likewise.
        grid: Where both are sampled.
        dtype: Type of the tensors.

    Raises:
        ConfigError: If the shapes do not fit.

    Example:
        >>> grid = RegularGrid(shape=(16, 16), bounds=((0.0, 1.0), (0.0, 1.0)))
        >>> grid_split(torch.zeros(8, 16, 16), torch.zeros(8, 2, 16, 16), grid)["x"].shape
        torch.Size([8, 1, 16, 16])
    """
    tensors = {}
    for name, given in (("x", x), ("y", y)):
        value = _tensor(given, dtype)
        if value.dim() == grid.dim + 1:
            value = value.unsqueeze(1)
        if value.dim() != grid.dim + 2 or tuple(value.shape[2:]) != grid.shape:
            shape = tuple(torch.as_tensor(given).shape)
            axes = ", ".join(map(str, grid.shape))
            raise ConfigError(
                f"{name} has shape {shape}, expected (functions, channels, {axes}) for a grid of shape {grid.shape}."
            )
        tensors[name] = value
    return Split(tensors, grids={"x": grid, "y": grid})


def aligned_split(u: Any, coords: Any, y: Any, weights: Any = None, dtype: torch.dtype = torch.float32) -> Split:
    """Every function is known at the same query points.

    Args:
        u: Input functions at the sensors, ``(functions, m)`` or ``(functions, channels, m)``.
        coords: Query points ``(points, d)``, stored once; ``(points,)`` in one dimension.
        y: Targets ``(functions, points)`` or ``(functions, channels, points)``.
        weights: Quadrature weights of the query points, ``(points,)``; errors and losses use them.
        dtype: Type of the tensors.

    Raises:
        ConfigError: If the shapes do not fit.

    Example:
        >>> split = aligned_split(torch.zeros(8, 100), torch.linspace(0, 1, 50), torch.zeros(8, 50))
        >>> split["coords"].shape, sorted(split.shared)
        (torch.Size([50, 1]), ['coords'])
    """
    u, y, points = _tensor(u, dtype), _tensor(y, dtype), _points("coords", coords, dtype)
    if y.dim() not in (2, 3) or len(y) != len(u) or y.shape[-1] != len(points):
        raise ConfigError(
            f"aligned targets y have shape {tuple(y.shape)}, expected ({len(u)}, {len(points)}) for {len(u)} functions "
            f"and {len(points)} query points. Other points for every function: ragged_split; one point a row: "
            "triplet_split."
        )
    tensors, shared = {"u": u, "coords": points, "y": y}, {"coords"}
    if weights is not None:
        tensors["y.weight"] = _tensor(weights, dtype)
        shared.add("y.weight")
        if tensors["y.weight"].shape != (len(points),):
            raise ConfigError(f"weights have shape {tuple(tensors['y.weight'].shape)}, expected ({len(points)},).")
    return Split(tensors, frozenset(shared))


def triplet_split(u: Any, coords: Any, y: Any, function: Any = None, dtype: torch.dtype = torch.float32) -> Split:
    """Rows (function, point, value); a function may have many rows.

    Rows of one function must stay together when data are split into training and test: hold out functions, never rows.

    Args:
        u: Input function of each row, ``(rows, m)``; or of each function when ``function`` is given.
        coords: Query point of each row, ``(rows, d)``; ``(rows,)`` in one dimension.
        y: Value of each row, ``(rows,)`` or ``(rows, 1)``; ``(rows, channels)`` for vector values.
        function: Index into ``u`` of each row.
        dtype: Type of the tensors.

    Returns:
        ``coords`` as ``(rows, 1, d)`` and ``y`` as ``(rows, 1)`` or ``(rows, channels, 1)``: one query point a sample.

    Raises:
        ConfigError: If the shapes do not fit.

    Example:
        >>> split = triplet_split(torch.zeros(6, 100), torch.rand(6, 2), torch.zeros(6))
        >>> split["coords"].shape, split["y"].shape
        (torch.Size([6, 1, 2]), torch.Size([6, 1]))
    """
    u, points, y = _tensor(u, dtype), _points("coords", coords, dtype), _tensor(y, dtype)
    if function is not None:
        u = u[torch.as_tensor(function, dtype=torch.long)]
    if not len(u) == len(points) == len(y) or y.dim() > 2:
        raise ConfigError(
            f"triplets need one row a value: u has shape {tuple(u.shape)}, coords {tuple(points.shape)}, y "
            f"{tuple(y.shape)}; expected (rows, m), (rows, d) and (rows,). The same points for all functions: "
            "aligned_split."
        )
    scalar = y.dim() == 1 or y.shape[1] == 1
    return Split({"u": u, "coords": points[:, None], "y": y.reshape(-1, 1) if scalar else y[:, :, None]})


def ragged_split(
    u: Any, coords: Sequence[Any], y: Sequence[Any], weights: Sequence[Any] | None = None, dtype: Any = torch.float32
) -> Split:
    """Query points of its own, and their own number, for every function.

    Args:
        u: Input functions at the sensors, ``(functions, m)`` or ``(functions, channels, m)``.
        coords: For each function ``(n_i, d)``; ``(n_i,)`` in one dimension.
        y: For each function ``(n_i,)`` or ``(channels, n_i)``.
        weights: For each function quadrature weights ``(n_i,)``; all points of a function count alike when None.
        dtype: Type of the tensors.

    Returns:
        Padded tensors ``coords`` (functions, n, d) and ``y`` (functions, [channels,] n) with ``y.mask`` (functions, n)
        and, with weights, ``y.weight``, zero on padding.

    Raises:
        ConfigError: If the lists have different lengths, or the points of a function do not fit its values.

    Example:
        >>> split = ragged_split(torch.zeros(2, 100), [torch.rand(3), torch.rand(5)], [torch.ones(3), torch.ones(5)])
        >>> split["y"].shape, split["y.mask"].sum(1)
        (torch.Size([2, 5]), tensor([3, 5]))
    """
    u = _tensor(u, dtype)
    points = [_points(f"coords[{i}]", value, dtype) for i, value in enumerate(coords)]
    values = [_tensor(value, dtype) for value in y]
    if not len(u) == len(points) == len(values):
        raise ConfigError(
            f"{len(u)} functions u, {len(points)} sets of coords and {len(values)} of y; expected one each."
        )
    for i, (where, value) in enumerate(zip(points, values, strict=True)):
        if value.dim() not in (1, 2) or value.shape[-1] != len(where):
            raise ConfigError(
                f"y[{i}] has shape {tuple(value.shape)}, but coords[{i}] has {len(where)} points: one value a point."
            )
    counts = torch.tensor([len(where) for where in points])
    tensors = {
        "u": u,
        "coords": _pad(points),
        "y": _pad([value.movedim(-1, 0) for value in values]),
        "y.mask": torch.arange(int(counts.max())) < counts[:, None],
    }
    if tensors["y"].dim() == 3:
        tensors["y"] = tensors["y"].movedim(1, 2).contiguous()
    if weights is not None:
        tensors["y.weight"] = _pad([_tensor(value, dtype) for value in weights])
        if tensors["y.weight"].shape != tensors["y.mask"].shape:
            raise ConfigError("weights need one value a query point of every function.")
    return Split(tensors)


def operator_dataset(
    splits: Mapping[str, Split],
    name: str = "",
    task: str = "operator",
    units: Mapping[str, str] | None = None,
    card: Mapping[str, Any] | None = None,
) -> Dataset:
    """A dataset of splits made by the functions of this module.

    Args:
        splits: Name to split; ``train``, and names that begin with ``val`` and ``test``. Several that begin with
            ``train`` are resolutions of one problem; the finest is the reference for the sizes of models.
        name: Name of the dataset.
        task: Task that a run takes when it names none.
        units: Units by field.
        card: Provenance.

    Raises:
        ConfigError: If no name begins with ``train``.

    Example:
        >>> train = aligned_split(torch.zeros(8, 100), torch.linspace(0, 1, 50), torch.zeros(8, 50))
        >>> operator_dataset({"train": train}).spec["u"].shape
        (100,)
    """
    if not any(key.startswith("train") for key in splits):
        raise ConfigError(f"splits are named {sorted(splits)}, expected one named 'train'.")
    splits = finest_first(splits)
    train = next(iter(splits.values()))
    fields = {
        key: replace(_field(key, value, key in train.shared, (units or {}).get(key)), grid=train.grids.get(key))
        for key, value in train.tensors.items()
    }
    return Dataset(splits, DataSpec(fields, task=task, name=name), name, card or {})


def _field(name: str, value: Tensor, shared: bool, units: str | None) -> FieldSpec:
    base, _, part = name.partition(".")
    if base == "coords":
        return FieldSpec(name, "coords", value.shape[-1], tuple(value.shape[-2:-1]), shared, units)
    role: Any = "other" if part else "target" if base == "y" else "params" if base == "params" else "input"
    start = 0 if shared else 1
    channels = value.shape[start] if not part and value.dim() > start + 1 else None
    return FieldSpec(name, role, channels, tuple(value.shape[start + (channels is not None) :]), shared, units)


def _tensor(value: Any, dtype: torch.dtype) -> Tensor:
    tensor = torch.as_tensor(value)
    if tensor.is_complex():
        raise ConfigError("the values are complex: give real and imaginary parts as two channels.")
    return tensor.to(dtype)


def _points(name: str, value: Any, dtype: torch.dtype) -> Tensor:
    points = _tensor(value, dtype)
    if points.dim() not in (1, 2) or not len(points):
        raise ConfigError(f"{name} has shape {tuple(points.shape)}, expected (points, dimension).")
    return points[:, None] if points.dim() == 1 else points


def _pad(parts: Sequence[Tensor]) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(list(parts), batch_first=True)
