"""From the arrays of a data file to a :class:`~sciml.data.Split` in the layout of models."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from sciml.data.dataset import Dataset, Split
from sciml.data.formats.base import Fields
from sciml.errors import ConfigError, DataFormatError
from sciml.spaces import DataSpec, FieldSpec, RegularGrid

__all__ = ["card_grid", "dataset_of", "hold_out", "inputs_of", "spec_of", "split_of"]

_SPATIAL = ("x1", "x2", "x3")
_ALIGNMENT: dict[str, Literal["node", "cell", "left"]] = {
    "closed": "node",
    "periodic": "node",
    "cells": "cell",
    "left": "left",
}


def card_grid(card: Mapping[str, Any], shape: Sequence[int]) -> RegularGrid:
    """The grid that a card describes, at one resolution.

    Args:
        card: ``domain`` with one interval per axis, and ``points``: ``closed`` (both ends), ``periodic``, ``cells``
            (centres), or ``left``, the points ``i/n`` of a function that vanishes at the missing right end.
        shape: Number of points per axis.

    Raises:
        DataFormatError: If ``points`` is none of these.

    Example:
        >>> card_grid({"domain": [[0, 1]], "points": "left"}, (4,)).axes[0].tolist()
        [0.0, 0.25, 0.5, 0.75]
    """
    points = card.get("points")
    bounds = tuple((float(low), float(high)) for low, high in card["domain"])
    if points not in _ALIGNMENT or len(bounds) != len(shape):
        raise DataFormatError(
            f"the card's grid has points {points!r} and {len(bounds)} axes; "
            f"expected one of {', '.join(_ALIGNMENT)} and {len(shape)} axes. Give grid.domain one interval per axis."
        )
    return RegularGrid(tuple(shape), bounds, periodic=points == "periodic", alignment=_ALIGNMENT[points])


def split_of(
    fields: Fields,
    roles: Mapping[str, Mapping[str, Any]],
    grid: Mapping[str, Any] | None = None,
    dtype: torch.dtype = torch.float32,
    trajectory: bool = False,
) -> Split:
    """Copy the arrays into tensors with a channel axis, in the layout of models.

    Args:
        fields: Content of a file.
        roles: Array name to its entry in the card; ``time: last`` takes the last time.
        grid: The card's grid, or None to take it from the coordinates of the file, where it has them.
        dtype: Type of the tensors.
        trajectory: Keep all times, as channels.

    Raises:
        ConfigError: If ``trajectory`` is asked of fields without a time axis, or an array is complex.
        DataFormatError: If the file lacks an array.
    """
    if trajectory and not any("time" in fields.axes.get(name, ()) for name in roles):
        raise ConfigError(f"trajectory=True, but no field of {fields.path.name} has a time axis.")
    tensors, grids, shared = {}, {}, set()
    for name, entry in roles.items():
        values, axes = _tensor(fields, name, dtype)
        if axes[0] != "sample":
            tensors[name] = values
            shared.add(name)
            continue
        if "time" in axes:
            values, axes = _without_time(values, axes, last=entry.get("time") == "last" and not trajectory)
        tensors[name] = _layout(values, axes)
        found = _grid(fields, axes, values.shape, grid)
        if found is not None:
            grids[name] = found
    return Split(tensors, frozenset(shared), grids)


def _tensor(fields: Fields, name: str, dtype: torch.dtype) -> tuple[Tensor, tuple[str, ...]]:
    refuse_complex(fields, [name])
    raw = fields[name][:]
    # A copy: the tensor must not change when the file does.
    values = raw.to(dtype, copy=True) if isinstance(raw, Tensor) else torch.tensor(np.asarray(raw), dtype=dtype)
    return values.contiguous(), fields.axes[name]


def refuse_complex(fields: Fields, names: Iterable[str]) -> None:
    """Models take real numbers, and a conversion would drop the imaginary part.

    Raises:
        ConfigError: If an array is complex.
    """
    for name in names:
        kind = str(fields[name].dtype)
        if "complex" in kind:
            raise ConfigError(
                f"{fields.path}: {name} holds complex numbers ({kind.removeprefix('torch.')}), and models take real "
                f"ones. Store real and imaginary part as two channels: numpy.stack([{name}.real, {name}.imag], axis=1)."
            )


def _without_time(values: Tensor, axes: tuple[str, ...], last: bool) -> tuple[Tensor, tuple[str, ...]]:
    where = axes.index("time")
    rest = tuple(axis for axis in axes if axis != "time")
    if last:
        return values.select(where, -1), rest
    if "channel" not in axes:
        return values, tuple("channel" if axis == "time" else axis for axis in axes)
    values = values.movedim((where, axes.index("channel")), (1, 2)).flatten(1, 2)
    return values, ("sample", "channel", *(axis for axis in rest if axis not in ("sample", "channel")))


def _layout(values: Tensor, axes: tuple[str, ...]) -> Tensor:
    spatial = [axis for axis in axes if axis in _SPATIAL]
    if not spatial:
        return values.contiguous()
    if "channel" not in axes:
        values, axes = values.unsqueeze(1), (axes[0], "channel", *axes[1:])
    return values.permute([axes.index(axis) for axis in ("sample", "channel", *sorted(spatial))]).contiguous()


def _grid(
    fields: Fields, axes: tuple[str, ...], shape: Sequence[int], card: Mapping[str, Any] | None
) -> RegularGrid | None:
    spatial = sorted(axis for axis in axes if axis in _SPATIAL)
    if not spatial:
        return None
    if card is not None:
        try:
            return card_grid(card, [shape[axes.index(axis)] for axis in spatial])
        except DataFormatError as error:
            raise DataFormatError(f"{fields.path}: {error}") from error
    coords = [np.asarray(fields.coords.get(axis, ()), dtype=np.float64) for axis in spatial]
    if not all(_uniform(values) for values in coords):
        return None
    # The coordinates that files carry are cell centres (PDEBench).
    half = [(values[-1] - values[0]) / (len(values) - 1) / 2 for values in coords]
    bounds = tuple((float(v[0] - h), float(v[-1] + h)) for v, h in zip(coords, half, strict=True))
    return RegularGrid(tuple(len(values) for values in coords), bounds, alignment="cell")


def _uniform(values: np.ndarray) -> bool:
    if len(values) < 2:
        return False
    steps = np.diff(values)
    # Coordinates are often stored in single precision, hence the tolerance.
    return bool(steps[0] > 0 and np.allclose(steps, steps.mean(), rtol=1e-2))


def spec_of(split: Split, roles: Mapping[str, Mapping[str, Any]], task: str = "operator", name: str = "") -> DataSpec:
    """Describe the fields of a split."""
    fields = {}
    for key, entry in roles.items():
        value, shared = split[key], key in split.shared
        if entry.get("role") == "coords" and not shared:
            points = tuple(value.shape[1:-1])
            fields[key] = FieldSpec(key, "coords", value.shape[-1], points, units=entry.get("units"))
            continue
        has_channels = not shared and (key in split.grids or value.ndim > 2)
        start = (0 if shared else 1) + int(has_channels)
        fields[key] = FieldSpec(
            name=key,
            role=entry.get("role", "other"),
            channels=value.shape[1] if has_channels else None,
            shape=tuple(value.shape[start:]),
            shared=shared,
            units=entry.get("units"),
            grid=split.grids.get(key),
        )
    return DataSpec(fields, task=task, name=name)


def hold_out(splits: dict[str, Split], validation: int | float, seed: int | None = None) -> dict[str, Split]:
    """Move part of ``train`` to a new split ``val``, placed after it.

    Args:
        splits: Splits with a ``train``.
        validation: A number of samples, or a fraction below 1; 0 leaves the splits as they are.
        seed: Draw the samples at random; None takes the last ones.

    Raises:
        ConfigError: If nothing would be left to train on, or there is a ``val`` already.

    Example:
        >>> parts = hold_out({"train": Split({"x": torch.arange(10)})}, validation=0.2)
        >>> parts["val"]["x"].tolist()
        [8, 9]
    """
    if not validation:
        return splits
    if "train" not in splits:
        raise ConfigError(
            f"validation={validation}, but the dataset has no train split to take it from; there are "
            f"{', '.join(splits)}. Leave out validation."
        )
    total = len(splits["train"])
    num = round(total * validation) if isinstance(validation, float) and validation < 1 else int(validation)
    if not 0 < num < total or (validation >= 1 and num != validation):
        raise ConfigError(
            f"validation={validation} of {total} training samples; expected 1 to {total - 1}, or a fraction."
        )
    if "val" in splits:
        raise ConfigError("the dataset has a val split already: leave out validation=...")
    order = torch.arange(total)
    if seed is not None:
        order = torch.randperm(total, generator=torch.Generator().manual_seed(seed))
    train = splits["train"]
    parts = {"train": train.select(order[:-num].sort().values), "val": train.select(order[-num:].sort().values)}
    return parts | {name: split for name, split in splits.items() if name != "train"}


def dataset_of(
    fields: Fields, validation: int | float = 0, seed: int | None = None, trajectory: bool = False, **options: Any
) -> Dataset:
    """A dataset of one file whose layout says what is input and what is target; everything is ``train``.

    Raises:
        ConfigError: If the layout leaves open what is to be learned.
    """
    refuse_complex(fields, fields.roles)
    if isinstance(fields.attrs.get("units"), Mapping):  # described by its writer: names, roles, grid need no guess
        from sciml.data.operator_data import operator_dataset
        from sciml.data.roles import split_by_roles, tensor_units

        splits = hold_out({"train": split_by_roles(fields, **options)}, validation, seed)
        return operator_dataset(splits, fields.path.stem, units=tensor_units(fields), card={"format": fields.format})
    given = set(fields.roles.values())
    if "target" not in given and "input" in given:
        raise ConfigError(
            f"{fields.path} holds inputs ({', '.join(fields.arrays)}) without a target: there is nothing to learn "
            "from. A trained model takes it: sciml predict RUN --data FILE."
        )
    if not {"input", "target"} <= given:
        raise ConfigError(
            f"{fields.path}: the layout {fields.format} does not say what is input and what is target (arrays: "
            f"{', '.join(fields.arrays)}). In Python, read it with open_dataset and make a dataset with "
            "sciml.data.grid_split and operator_dataset; or write a card.yaml that says so."
        )
    split, roles = _by_roles(fields, trajectory, **options)
    splits = hold_out({"train": split}, validation, seed)
    name = fields.path.stem
    return Dataset(splits, spec_of(splits["train"], roles, name=name), name, {"format": fields.format})


def inputs_of(fields: Fields, **options: Any) -> Split:
    """The fields of one file as a split, with or without a target, for a model that is already trained.

    Raises:
        ConfigError: If the layout does not say what is input.
    """
    roles = set(fields.roles.values())
    if isinstance(fields.attrs.get("units"), Mapping) or {"input", "target"} <= roles:
        return dataset_of(fields, **options).train
    if "input" not in roles:
        raise ConfigError(
            f"{fields.path}: the layout {fields.format} does not say what is input (arrays: "
            f"{', '.join(fields.arrays)})."
        )
    return _by_roles(fields, **options)[0]


def _by_roles(fields: Fields, trajectory: bool = False, **options: Any) -> tuple[Split, dict[str, dict[str, Any]]]:
    names = _canonical(fields)
    roles = {names[name]: {"role": role} for name, role in fields.roles.items()}
    return split_of(_renamed(fields, names), roles, trajectory=trajectory, **options), roles


def _canonical(fields: Fields) -> dict[str, str]:
    canonical = {"input": "x", "target": "y", "coords": "coords", "params": "params"}
    return {
        name: name if name == "u" and role == "input" and "sensor" in fields.axes[name] else canonical[role]
        for name, role in fields.roles.items()
    }


def _renamed(fields: Fields, names: Mapping[str, str]) -> Fields:
    arrays = {names[name]: fields.arrays[name] for name in names}
    axes = {names[name]: fields.axes[name] for name in names}
    return Fields(fields.format, fields.path, arrays, axes, fields.coords, fields.attrs)
