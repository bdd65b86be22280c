"""Datasets at several resolutions, made from one on a fine grid.

Splits whose names begin with ``train`` are trained on together, those whose names begin with ``test`` are evaluated one
by one: ``train_16`` and ``train_32`` are two resolutions of one problem.
"""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from sciml.data.dataset import Dataset, Split
from sciml.errors import ConfigError, unknown_name
from sciml.spaces import DataSpec, Function, RegularGrid
from sciml.spaces.resample import resample

__all__ = [
    "RESOLUTION_OPTIONS",
    "at_resolutions",
    "finest_first",
    "resolution_options",
    "restrict_split",
    "sample_size",
    "training_splits",
]

Resolution = int | Sequence[int]
# Names of :func:`restrict_split` to those of :func:`sciml.spaces.resample`.
_INTERPOLATIONS = {"average": "conservative", "fourier": "fourier", "linear": "linear", "cubic": "cubic"}
_METHODS = ("auto", "stride", *_INTERPOLATIONS)
RESOLUTION_OPTIONS = ("resolutions", "test_resolutions", "resampling")


def training_splits(data: Dataset) -> dict[str, Split]:
    """The splits that a run trains on: all whose names begin with ``train``."""
    return {name: data[name] for name in data.names("train")}


def sample_size(split: Split) -> int:
    """Values of one sample in its largest field: with equal channels, proportional to the number of points."""
    return max(math.prod(value.shape[1:]) for name, value in split.tensors.items() if name not in split.shared)


def finest_first(splits: Mapping[str, Split]) -> dict[str, Split]:
    """Training splits before all others, ``train`` first and then from fine to coarse.

    The first is the reference: models take their sizes from it.

    Example:
        >>> splits = {f"train_{n}": Split({"x": torch.zeros(3, 1, n)}) for n in (16, 32)}
        >>> list(finest_first(splits))
        ['train_32', 'train_16']
    """
    train = [name for name in splits if name.startswith("train")]
    train.sort(key=lambda name: (name != "train", -sample_size(splits[name])))
    return {name: splits[name] for name in (*train, *(name for name in splits if name not in train))}


def at_resolutions(
    data: Dataset,
    resolutions: Sequence[Resolution] = (),
    test_resolutions: Sequence[Resolution] = (),
    resampling: str = "auto",
) -> Dataset:
    """A dataset with its samples at several resolutions, none finer than the data.

    Args:
        data: A dataset on regular grids, with one training split.
        resolutions: Points per axis, a number for all axes or one for each. The training split becomes ``train_32``,
            ``train_16`` and so on, from fine to coarse, each with all samples; ``val`` goes to the finest of them. With
            none, training stays as it is.
        test_resolutions: The test split becomes ``test_16``, ``test_32``; ``test`` stays where its own resolution is
            not listed. A split of that name that is there already is kept.
        resampling: As for :func:`restrict_split`.

    Raises:
        ConfigError: If a resolution is finer than the data or cannot be reached, the data have no grids, or there are
            several training splits already.

    Example:
        >>> from sciml.data import load_dataset
        >>> data = at_resolutions(load_dataset("darcy-small"), [8, 16], [8, 16, 32])
        >>> {name: tuple(data[name]["y"].shape) for name in data}  # doctest: +NORMALIZE_WHITESPACE
        {'train_16': (1000, 1, 16, 16), 'train_8': (1000, 1, 8, 8), 'test_8': (50, 1, 8, 8),
         'test_16': (50, 1, 16, 16), 'test_32': (50, 1, 32, 32)}
    """
    splits, spec = dict(data.splits), data.spec
    train = _checked("resolutions", resolutions)
    tests = _checked("test_resolutions", test_resolutions)
    if train:
        names = data.names("train")
        if len(names) != 1:
            raise ConfigError(
                f"data.resolutions needs one training split to start from, there are {', '.join(names) or 'none'}. "
                "Several are trained on as they are: leave out data.resolutions."
            )
        fine = splits.pop(names[0])
        made = {f"train_{_label(r)}": _restricted("train", fine, r, resampling) for r in train}
        splits = finest_first(made | splits)
        reference = next(iter(splits.values()))
        spec = _spec_at(spec, reference)
        for name in data.names("val"):
            splits[name] = _like(splits[name], reference, resampling)
    if tests:
        splits = _with_tests(splits, tests, resampling)
    return replace(data, splits=splits, spec=spec)


def resolution_options(options: Mapping[str, Any], factory: Callable[..., Any] | None = None) -> dict[str, Any]:
    """Those options of a dataset that are for :func:`at_resolutions`: all that its factory does not take itself.

    Raises:
        ConfigError: If one has a value that fits no data, so that it is known before these are loaded.
    """
    own = inspect.signature(factory).parameters if factory is not None else {}
    found = {name: value for name, value in options.items() if name in RESOLUTION_OPTIONS and name not in own}
    for name, value in found.items():
        if name == "resampling":
            _check_resampling(value)
        else:
            _checked(name, value)
    return found


def restrict_split(split: Split, resolution: Resolution, resampling: str = "auto") -> Split:
    """The same samples on coarser grids.

    ===========  ====================================================================================
    resampling   values on the coarse grid
    ===========  ====================================================================================
    ``stride``   those at the points that both grids share, exact: node, left and periodic grids
    ``average``  means over the coarse cells
    ``fourier``  the modes that the coarse grid holds: periodic grids
    ``linear``   interpolated; as ``cubic``, for grids that share no points
    ``auto``     ``average`` on grids of cells, ``stride`` on all others
    ===========  ====================================================================================

    Fields without a grid, such as parameters, stay as they are.

    Args:
        split: Samples with at least one field on a regular grid.
        resolution: Points per axis, a number for all axes or one for each.
        resampling: The way to the coarse grid.

    Raises:
        ConfigError: If the grid is finer than that of the data or cannot be reached, or there is none.

    Example:
        >>> grid = RegularGrid(shape=(4,), bounds=((0.0, 1.0),), periodic=True)
        >>> split = Split({"y": torch.arange(4.0).reshape(1, 1, 4)}, grids={"y": grid})
        >>> restrict_split(split, 2)["y"], restrict_split(split, 2).grids["y"].shape
        (tensor([[[0., 2.]]]), (2,))
    """
    _check_resampling(resampling)
    _check_fields(split)
    tensors, grids = dict(split.tensors), dict(split.grids)
    for name, grid in split.grids.items():
        grids[name] = _coarser(name, grid, resolution)
        tensors[name] = _restrict(name, tensors[name], grid, grids[name], resampling)
    return replace(split, tensors=tensors, grids=grids)


def _check_resampling(name: Any) -> None:
    if name not in _METHODS:
        raise unknown_name("resampling", str(name), _METHODS)


def _check_fields(split: Split) -> None:
    if not split.grids:
        raise ConfigError(
            f"the fields {', '.join(split.tensors)} have no regular grid: their resolution cannot be changed. Give the "
            "grid (grid_split, or grid: in card.yaml), or one split for each resolution (train_16, train_32)."
        )
    tied = [name for name in split.tensors if name == "coords" or name.partition(".")[0] in split.grids]
    if tied := [name for name in tied if name not in split.grids]:
        raise ConfigError(
            f"{', '.join(tied)} belong to the points of the data and cannot be restricted with them. Give one split "
            "for each resolution instead (train_16, train_32)."
        )
    for name, grid in split.grids.items():
        shape = tuple(split[name].shape)
        if shape[-grid.dim :] != grid.shape:
            raise ConfigError(f"{name} has shape {shape}, which does not end with that of its grid, {grid.shape}.")


def _coarser(name: str, grid: RegularGrid, resolution: Resolution) -> RegularGrid:
    shape = (resolution,) * grid.dim if isinstance(resolution, int) else tuple(resolution)
    if len(shape) != grid.dim:
        raise ConfigError(f"resolution {_label(resolution)} has {len(shape)} axes, the grid of {name} {grid.dim}.")
    if any(new > old for new, old in zip(shape, grid.shape, strict=True)):
        raise ConfigError(
            f"resolution {_label(resolution)} is finer than the data: {name} has {_label(grid.shape)} points. Take "
            "coarser ones, or finer data."
        )
    return grid.with_shape(shape)


def _restrict(name: str, values: Tensor, old: RegularGrid, new: RegularGrid, resampling: str) -> Tensor:
    if new.shape == old.shape:
        return values
    if resampling == "auto":
        resampling = "average" if old.alignment == "cell" else "stride"
    if resampling in _INTERPOLATIONS:
        return resample(Function(values, old, name=name), new, _INTERPOLATIONS[resampling]).values
    index: tuple[Any, ...] = (..., *(_every(name, old, new, axis) for axis in range(old.dim)))
    return values[index]


def _every(name: str, old: RegularGrid, new: RegularGrid, axis: int) -> slice:
    """The points of one axis that both grids share."""
    step = round(new.spacing[axis] / old.spacing[axis])
    if torch.equal(old.axes[axis][::step], new.axes[axis]):
        return slice(None, None, step)
    if old.alignment == "cell":
        raise ConfigError(f"the cells of {name} share no centres with coarser ones: set data.resampling to 'average'.")
    intervals = round(old.lengths[axis] / old.spacing[axis])
    extra = old.shape[axis] - intervals
    nested = [intervals // k + extra for k in range(2, intervals + 1) if intervals % k == 0 and intervals // k > 1]
    others = "'linear', 'cubic' or 'fourier'" if old.periodic[axis] else "'linear' or 'cubic'"  # type: ignore[index]
    raise ConfigError(
        f"{name} has {old.shape[axis]} points along axis {axis}; no stride through them gives {new.shape[axis]}. "
        f"Strides give {', '.join(map(str, nested)) or 'nothing coarser'}; or set data.resampling to {others}."
    )


def _with_tests(splits: dict[str, Split], tests: list[Resolution], resampling: str) -> dict[str, Split]:
    there = {name: split for name, split in splits.items() if name.startswith("test")}
    if not there:
        raise ConfigError("data.test_resolutions needs a test split, and the data have none.")
    origin = "test" if "test" in there else max(there, key=lambda name: sample_size(there[name]))
    made = {}
    for resolution in tests:
        name = f"test_{_label(resolution)}"
        made[name] = there.get(name) or _restricted(origin, there[origin], resolution, resampling)
    again = any(split.grids == there[origin].grids for split in made.values())
    kept = {name: split for name, split in splits.items() if name not in made and not (again and name == "test")}
    return kept | made


def _restricted(origin: str, split: Split, resolution: Resolution, resampling: str) -> Split:
    try:
        return restrict_split(split, resolution, resampling)
    except ConfigError as error:
        raise ConfigError(f"the split {origin} cannot be taken to resolution {_label(resolution)}: {error}") from error


def _like(split: Split, reference: Split, resampling: str) -> Split:
    """A split on the grids of another one, where those are coarser."""
    target = next(iter(reference.grids))
    shape = reference.grids[target].shape
    own = split.grids.get(target)
    if own is None or any(n < m for n, m in zip(own.shape, shape, strict=True)):
        return split
    return _restricted("val", split, shape if len({g.dim for g in split.grids.values()}) == 1 else shape[0], resampling)


def _spec_at(spec: DataSpec, reference: Split) -> DataSpec:
    fields = {
        name: replace(field, shape=reference.grids[name].shape, grid=reference.grids[name])
        if name in reference.grids
        else field
        for name, field in spec.fields.items()
    }
    return replace(spec, fields=fields)


def _checked(option: str, given: Any) -> list[Resolution]:
    good = isinstance(given, list | tuple) and all(
        _is_size(part) or (isinstance(part, list | tuple) and part and all(map(_is_size, part))) for part in given
    )
    if not good:
        raise ConfigError(f"data.{option} is {given!r}, expected a list such as [16, 32], or [[16, 32]] for two axes.")
    labels = [_label(part) for part in given]
    if len(set(labels)) < len(labels):
        raise ConfigError(f"data.{option} names a resolution twice: {', '.join(labels)}.")
    return list(given)


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _label(resolution: Resolution) -> str:
    sizes = [resolution] if isinstance(resolution, int) else list(resolution)
    return str(sizes[0]) if len(set(sizes)) == 1 else "x".join(map(str, sizes))
