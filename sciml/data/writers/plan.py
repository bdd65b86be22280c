"""Which array of a problem goes where in a file: keys, order of the axes, one array for all samples or one for each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml.errors import ConfigError

if TYPE_CHECKING:
    from sciml.data.formats import Fields
    from sciml.problems.base import ProblemData

__all__ = ["SPATIAL", "Plan", "Slot", "arranged", "as_problem_data", "make_plan", "num_samples", "plain_parameters"]

SPATIAL = ("x1", "x2", "x3")
LAYOUTS = ("scalar-1d", "darcy", "compressible", "fields", "groups")
_COMPRESSIBLE = ("density", "pressure", "Vx", "Vy", "Vz")


@dataclass(frozen=True)
class Slot:
    """Place of one field.

    Args:
        key: Key in the file, or in the group of each sample.
        axes: Order of the axes as stored; ``channel`` is added where the field has none.
        grouped: One array in the group of each sample.
    """

    key: str
    axes: tuple[str, ...]
    grouped: bool = False


@dataclass(frozen=True)
class Plan:
    """Places of all fields of a file, by name."""

    layout: str
    slots: Mapping[str, Slot]


def make_plan(data: "ProblemData", layout: str = "auto") -> Plan:
    """Choose the layout of PDEBench that fits the fields.

    Args:
        data: The first samples of a problem.
        layout: ``scalar-1d``, ``darcy``, ``compressible``, ``fields`` (one array per field under its own name),
            ``groups`` (one group per sample), or ``auto``.

    Raises:
        ConfigError: If the layout is unknown, or does not fit.
    """
    ragged = [name for name, values in data.arrays.items() if isinstance(values, list)]
    chosen = layout if layout != "auto" else "groups" if ragged else _fitting(data)
    if chosen not in LAYOUTS:
        raise ConfigError(f"layout is {layout!r}, expected 'auto' or one of {', '.join(LAYOUTS)}.")
    if ragged and chosen != "groups":
        raise ConfigError(f"{', '.join(ragged)} differ in shape between samples: use layout='groups', not {layout!r}.")
    if chosen == "groups":
        return Plan(chosen, _groups(data))
    special = {} if chosen == "fields" else _RULES[chosen](data)
    if special is None:
        found = ", ".join(f"{name} ({', '.join(axes)})" for name, axes in data.axes.items())
        raise ConfigError(f"the layout {chosen!r} does not fit the fields {found}. Use layout='auto'.")
    own = {name: Slot(name, _first("sample", data.axes[name])) for name in data.arrays if name not in special}
    if taken := {slot.key for slot in special.values()} & {slot.key for slot in own.values()}:
        raise ConfigError(f"the layout {chosen!r} needs the key {', '.join(taken)}: rename that field.")
    return Plan(chosen, special | own)


def _fitting(data: "ProblemData") -> str:
    return next((name for name, rule in _RULES.items() if rule(data) is not None), "fields")


def _first(axis: str, axes: Sequence[str]) -> tuple[str, ...]:
    return (axis, *(other for other in axes if other != axis)) if axis in axes else tuple(axes)


def _named(data: "ProblemData", *sets: set[str]) -> list[str]:
    return [name for name, axes in data.axes.items() if set(axes) in sets]


def _scalar(data: "ProblemData") -> dict[str, Slot] | None:
    names = _named(data, {"sample", "time", "x1"})
    return {names[0]: Slot("tensor", ("sample", "time", "x1"))} if len(names) == 1 else None


def _darcy(data: "ProblemData") -> dict[str, Slot] | None:
    plane = {"sample", "x1", "x2"}
    names = _named(data, plane, plane | {"channel"})
    inputs = [name for name in names if data.roles.get(name) == "input" and "channel" not in data.axes[name]]
    targets = [name for name in names if data.roles.get(name) == "target" and _one_channel(data, name)]
    if len(names) != 2 or len(inputs) != 1 or len(targets) != 1:
        return None
    return {
        inputs[0]: Slot("nu", ("sample", "x1", "x2")),
        targets[0]: Slot("tensor", ("sample", "channel", "x1", "x2")),
    }


def _one_channel(data: "ProblemData", name: str) -> bool:
    axes = data.axes[name]
    return "channel" not in axes or np.shape(data.arrays[name])[axes.index("channel")] == 1


def _compressible(data: "ProblemData") -> dict[str, Slot] | None:
    names = [name for name in _COMPRESSIBLE if name in data.arrays]
    axes = ("sample", "time", *SPATIAL[: len(names) - 2])
    if len(names) < 3 or any(set(data.axes[name]) != set(axes) for name in names):
        return None
    return {name: Slot(name, axes) for name in names}


# Tried in this order.
_RULES = {"compressible": _compressible, "scalar-1d": _scalar, "darcy": _darcy}


def _groups(data: "ProblemData") -> dict[str, Slot]:
    """The one field over time and space is ``data`` (time, [x2,] x1, channel); the others keep name and order."""
    slots = {name: Slot(name, _first("sample", axes), "sample" in axes) for name, axes in data.axes.items()}
    moving = [name for name, axes in data.axes.items() if {"sample", "time", "x1"} <= set(axes) and "x3" not in axes]
    if len(moving) == 1:
        space = [axis for axis in ("x2", "x1") if axis in data.axes[moving[0]]]
        slots[moving[0]] = Slot("data", ("sample", "time", *space, "channel"), True)
    return slots


def arranged(values: Any, axes: Sequence[str], wanted: Sequence[str]) -> np.ndarray:
    """Values with their axes in another order, as a view; ``channel`` is added where it is missing.

    Example:
        >>> arranged(np.zeros((5, 2, 3)), ("sample", "x1", "x2"), ("sample", "channel", "x2", "x1")).shape
        (5, 1, 3, 2)
    """
    array = np.asarray(values)
    if "channel" in wanted and "channel" not in axes:
        array, axes = array[..., None], (*axes, "channel")
    return array.transpose([list(axes).index(axis) for axis in wanted])


def as_problem_data(data: "ProblemData | Fields") -> "ProblemData":
    """The content of an open file as arrays in memory; a problem's data as they are."""
    from sciml.data.formats import Fields
    from sciml.problems.base import ProblemData
    from sciml.spaces import RegularGrid

    if not isinstance(data, Fields):
        return data
    attrs = dict(data.attrs)
    grid, units = attrs.pop("grid", None), attrs.pop("units", {})
    return ProblemData(
        arrays={name: data.arrays[name][:] for name in data.arrays},
        axes=dict(data.axes),
        coords=dict(data.coords),
        roles=dict(data.roles),
        units=units,
        attrs=attrs,
        grid=RegularGrid(**grid) if grid else None,
    )


def num_samples(data: "ProblemData") -> int:
    """Number of samples.

    Raises:
        ConfigError: If the fields have different numbers of samples, or none has the axis ``sample``.
    """
    numbers = {
        name: len(values) if isinstance(values, list) else np.shape(values)[data.axes[name].index("sample")]
        for name, values in data.arrays.items()
        if "sample" in data.axes[name]
    }
    if len(set(numbers.values())) != 1:
        raise ConfigError(f"the fields have different numbers of samples: {numbers or 'none has the axis sample'}.")
    return next(iter(numbers.values()))


def plain_parameters(attrs: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The parameters of the problem that are single values."""
    for name, value in attrs.get("parameters", {}).items():
        if isinstance(value, bool | int | float | str):
            yield name, value
