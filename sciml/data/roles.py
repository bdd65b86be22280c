"""From fields with roles to batches: what a model reads as ``u`` or ``x``, ``coords`` and ``y``.

Two layouts. On a *grid*, input and target are fields on the same grid: ``x`` and ``y`` of (sample, channel, *grid),
times as channels. With *points*, the input is a list of values ``u`` (sample, [channel,] m) at ``u.pos`` (m, d), and
the target is known at query points: ``coords`` (points, d) with space before time, ``y`` (sample, [channel,] points).
Quadrature weights ``u.weight`` and ``y.weight`` come along where the grid is known. Samples with points of their own
are padded, with ``y.mask``.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from sciml.data.dataset import Split
from sciml.data.formats import Fields
from sciml.data.formats.ragged import H5Ragged
from sciml.data.operator_data import ragged_split
from sciml.errors import ConfigError
from sciml.spaces import RegularGrid

__all__ = ["Layout", "split_by_roles", "tensor_units"]

Layout = Literal["auto", "grid", "points"]
_SPATIAL = ("x1", "x2", "x3")
_COORDINATES = (*_SPATIAL, "time")


def split_by_roles(
    fields: Fields,
    *,
    layout: Layout = "auto",
    queries: int | None = None,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> Split:
    """Copy the fields of a described file into tensors.

    Args:
        fields: Content of a file whose arrays have roles.
        layout: ``grid``, ``points``, or ``auto``: grid where all inputs and the target are on the same spatial axes.
        queries: Draw as many query points for every sample at random, instead of all; implies ``points``.
        seed: Seed of the drawing.
        dtype: Type of the tensors.

    Raises:
        ConfigError: If input or target is missing, or the fields do not fit the layout.
    """
    if layout not in ("auto", "grid", "points"):
        raise ConfigError(f"layout is {layout!r}, expected 'auto', 'grid' or 'points'.")
    inputs, targets = _with_role(fields, "input"), _with_role(fields, "target")
    params = _with_role(fields, "params")
    if not targets or not (inputs or params):
        raise ConfigError(
            f"{fields.path}: the file does not say what is input and what is target (arrays: "
            f"{', '.join(fields.arrays)}). Read it with open_dataset and build a Dataset."
        )
    if any(isinstance(fields.arrays[name], H5Ragged) for name in targets):
        _need(layout != "grid", "samples with points of their own have no common grid: use layout='points'.")
        split = _ragged(fields, inputs, targets, dtype)
    elif layout == "grid" or (layout == "auto" and queries is None and _on_one_grid(fields, inputs, targets)):
        split = _on_grid(fields, inputs, targets, dtype)
    else:
        split = _at_points(fields, inputs, targets, dtype)
    if params:
        parts = [_tensor(fields, name, dtype).flatten(1) for name in params]
        split = replace(split, tensors={**split.tensors, "params": torch.cat(parts, dim=1)})
    if queries is not None:
        _need(
            layout != "grid" and "y.mask" not in split.tensors, "queries are drawn from points that all samples share."
        )
        split = _drawn(split, queries, seed)
    return split


def tensor_units(fields: Fields) -> dict[str, str]:
    """Units of ``u``, ``x`` and ``y``, which have other names in the file; left out where the fields differ."""
    given = fields.attrs.get("units", {})
    units: dict[str, str] = {}
    for role, names in (("input", ("u", "x")), ("target", ("y",))):
        found = {given.get(name) for name in _with_role(fields, role)}
        if len(found) == 1 and (common := found.pop()):
            units |= dict.fromkeys(names, common)
    return units


def _need(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)


def _with_role(fields: Fields, role: str) -> list[str]:
    return [name for name in fields.arrays if fields.roles.get(name) == role]


def _tensor(fields: Fields, name: str, dtype: torch.dtype, order: Sequence[str] | None = None) -> Tensor:
    values = torch.as_tensor(np.asarray(fields.arrays[name][:])).to(dtype)
    axes = fields.axes[name]
    return values.permute([axes.index(axis) for axis in order or axes]).contiguous()


def _space(axes: Sequence[str]) -> tuple[str, ...]:
    return tuple(axis for axis in _SPATIAL if axis in axes)


def _on_one_grid(fields: Fields, inputs: Sequence[str], targets: Sequence[str]) -> bool:
    spaces = {_space(fields.axes[name]) for name in (*inputs, *targets)}
    plain = all(set(fields.axes[name]) <= {"sample", "time", "channel", *_SPATIAL} for name in inputs)
    return bool(inputs) and len(spaces) == 1 and spaces != {()} and plain


def _on_grid(fields: Fields, inputs: Sequence[str], targets: Sequence[str], dtype: torch.dtype) -> Split:
    tensors, grids = {}, {}
    grid = fields.attrs.get("grid")
    for key, names in (("x", inputs), ("y", targets)):
        parts = []
        for name in names:
            axes = fields.axes[name]
            space = _space(axes)
            lead = [axis for axis in ("sample", "time", "channel") if axis in axes]
            _need(bool(space) and {*lead, *space} == set(axes), f"{name} ({', '.join(axes)}) is not a field on a grid.")
            values = _tensor(fields, name, dtype, (*lead, *space))
            parts.append(values.reshape(len(values), -1, *values.shape[len(lead) :]))
        shapes = {part.shape[2:] for part in parts}
        _need(
            len(shapes) == 1,
            f"{', '.join(names)} have different grids {sorted(map(tuple, shapes))}: use layout='points'.",
        )
        tensors[key] = torch.cat(parts, dim=1)
        shape = tuple(tensors[key].shape[2:])
        if grid is not None and len(grid["shape"]) == len(shape):
            # Of the same domain: a field on another number of points has the same kind of grid.
            grids[key] = RegularGrid(**{**grid, "shape": shape})
    return Split(tensors, grids=grids)


def _at_points(fields: Fields, inputs: Sequence[str], targets: Sequence[str], dtype: torch.dtype) -> Split:
    tensors, shared = _sampled_inputs(fields, inputs, dtype)
    axes = fields.axes[targets[0]]
    _need(
        len({fields.axes[name] for name in targets}) == 1,
        f"the targets {', '.join(targets)} have different axes: leave out some of them with role 'other'.",
    )
    places = ("point",) if "point" in axes else tuple(axis for axis in _COORDINATES if axis in axes)
    channel = ("channel",) if "channel" in axes else ()
    _need(
        {"sample", *channel, *places} == set(axes),
        f"{targets[0]} has the axes {', '.join(axes)}: not values at points.",
    )
    values = [_tensor(fields, name, dtype, ("sample", *channel, *places)) for name in targets]
    if len(values) > 1:
        values = [torch.cat(values, 1) if channel else torch.stack(values, 1)]
        channel = ("channel",)
    tensors["y"] = values[0].reshape(*values[0].shape[: 1 + len(channel)], -1)
    tensors["coords"] = _points(fields, places, dtype)
    shared.add("coords")
    weights = _weights(fields, places)
    if weights is not None:
        tensors["y.weight"] = weights.to(dtype)
        shared.add("y.weight")
    return Split(tensors, frozenset(shared))


def _sampled_inputs(fields: Fields, names: Sequence[str], dtype: torch.dtype) -> tuple[dict[str, Tensor], set[str]]:
    """One input is ``u``, several keep their names; where the file says where they were sampled, so do the tensors."""
    tensors: dict[str, Tensor] = {}
    shared = set()
    for name in names:
        key = "u" if len(names) == 1 else name
        axes = fields.axes[name]
        if isinstance(fields.arrays[name], H5Ragged):
            parts = [torch.tensor(values, dtype=dtype) for values in fields.arrays[name][:]]
            lengths = torch.tensor([len(part) for part in parts])
            tensors[key] = torch.nn.utils.rnn.pad_sequence(parts, batch_first=True)
            tensors[f"{key}.mask"] = torch.arange(int(lengths.max())) < lengths[:, None]
            continue
        channel = ("channel",) if "channel" in axes else ()
        rest = tuple(axis for axis in axes if axis not in ("sample", "channel"))
        values = _tensor(fields, name, dtype, ("sample", *channel, *rest))
        tensors[key] = values.reshape(*values.shape[: 1 + len(channel)], -1)
        if rest == ("point",) or all(axis in fields.coords for axis in rest):
            tensors[f"{key}.pos"] = _points(fields, rest, dtype)
            shared.add(f"{key}.pos")
            if (weights := _weights(fields, rest)) is not None:
                tensors[f"{key}.weight"] = weights.to(dtype)
                shared.add(f"{key}.weight")
    return tensors, shared


def _points(fields: Fields, places: Sequence[str], dtype: torch.dtype) -> Tensor:
    if places == ("point",):
        shared = [name for name in _with_role(fields, "coords") if fields.axes[name] == ("point", "dim")]
        _need(bool(shared), f"{fields.path}: there are values at points, but no coordinates of the points.")
        return torch.tensor(np.asarray(fields.arrays[shared[0]][:]), dtype=dtype)
    missing = [axis for axis in places if axis not in fields.coords]
    _need(not missing, f"{fields.path}: no coordinates of the axis {', '.join(missing)}.")
    axes = [torch.tensor(np.asarray(fields.coords[axis], dtype=np.float64)) for axis in places]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, len(axes)).to(dtype)


def _weights(fields: Fields, places: Sequence[str]) -> Tensor | None:
    """Of the grid, times the trapezoid rule in time where time is no axis of the grid; or those of the points."""
    if places == ("point",) and fields.axes.get("weights") == ("point",):
        return torch.tensor(np.asarray(fields.arrays["weights"][:]))
    if fields.attrs.get("grid") is None or places == ("point",):
        return None
    grid = RegularGrid(**fields.attrs["grid"])
    if grid.dim == len(places):
        return grid.weights
    if grid.dim != len(places) - 1 or places[-1] != "time" or len(fields.coords["time"]) < 2:
        return None
    steps = torch.tensor(np.diff(np.asarray(fields.coords["time"], dtype=np.float64)))
    zero = steps.new_zeros(1)
    times = (torch.cat([zero, steps]) + torch.cat([steps, zero])) / 2
    return (grid.weights[:, None] * times).reshape(-1)


def _ragged(fields: Fields, inputs: Sequence[str], targets: Sequence[str], dtype: torch.dtype) -> Split:
    """Samples with points of their own."""
    places = [name for name in _with_role(fields, "coords") if "sample" in fields.axes[name]]
    _need(len(places) == 1, f"{fields.path}: expected one array of coordinates per sample, found {len(places)}.")
    _need(len(targets) == 1, f"several targets ({', '.join(targets)}) at points that differ between samples.")
    values = [torch.tensor(sample, dtype=dtype) for sample in fields.arrays[targets[0]][:]]
    if "channel" in fields.axes[targets[0]] and fields.axes[targets[0]][-1] == "channel":
        values = [sample.movedim(-1, 0) for sample in values]
    points = [torch.tensor(sample, dtype=dtype) for sample in fields.arrays[places[0]][:]]
    weights = None
    if "weights" in fields.arrays and fields.axes["weights"] == ("sample", "point"):
        weights = list(fields.arrays["weights"][:])
    tensors = dict(ragged_split(torch.zeros(len(values), 1), points, values, weights, dtype).tensors)
    del tensors["u"]
    sampled, shared = _sampled_inputs(fields, inputs, dtype)
    for name in inputs:
        key = "u" if len(inputs) == 1 else name
        if f"{key}.mask" in sampled and fields.axes[name][1] == "point":
            sampled[f"{key}.pos"] = tensors["coords"]
    return Split(sampled | tensors, frozenset(shared))


def _drawn(split: Split, queries: int, seed: int) -> Split:
    num = len(split["coords"])
    _need(1 <= queries <= num, f"queries is {queries}, expected 1 to {num}, the number of points.")
    generator = torch.Generator().manual_seed(seed)
    places = torch.rand(len(split), num, generator=generator).topk(queries, dim=1).indices.sort(1).values
    y = split["y"]
    index = places if y.dim() == 2 else places[:, None].expand(-1, y.shape[1], -1)
    tensors = {**split.tensors, "y": y.gather(-1, index), "coords": split["coords"][places]}
    if "y.weight" in tensors:
        tensors["y.weight"] = tensors["y.weight"][places]
    return Split(tensors, split.shared - {"coords", "y.weight"})
