"""What every problem offers: an equation with a sampler of inputs, a reference solver, and data made from both."""

import abc
from dataclasses import dataclass, field, fields
from importlib import metadata
from typing import Any, ClassVar

import numpy as np

from sciml.errors import ConfigError
from sciml.spaces import RegularGrid

__all__ = ["Problem", "ProblemData"]


@dataclass(frozen=True)
class ProblemData:
    """Samples of a problem: named arrays with the meaning of their axes.

    Args:
        arrays: Field name to values, the first axis counts samples; a list with one array a sample where samples have
            different numbers of points.
        axes: Field name to the names of its axes: ``sample``, ``time``, ``channel``, ``x1`` to ``x3``, ``point``,
            ``sensor``, ``dim``.
        coords: Axis name to one-dimensional coordinates; ``points`` holds shared query points ``(points, dim)``.
        roles: Field name to ``input``, ``target``, ``coords``, ``params`` or ``other``.
        units: Field name to units; equations without dimensions have none.
        attrs: Equation, parameters, scheme, tolerances, versions: plain data, equal for all samples.
        grid: Grid of the target, where it has one.

    Example:
        >>> ProblemData({"u": np.zeros((3, 8))}, {"u": ("sample", "x1")})["u"].shape
        (3, 8)
    """

    arrays: dict[str, Any]
    axes: dict[str, tuple[str, ...]]
    coords: dict[str, np.ndarray] = field(default_factory=dict)
    roles: dict[str, str] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    attrs: dict[str, Any] = field(default_factory=dict)
    grid: RegularGrid | None = None

    def __getitem__(self, name: str) -> Any:
        return self.arrays[name]

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))


class Problem(abc.ABC):
    """A differential equation with its data; subclasses are frozen dataclasses whose fields are the parameters.

    Attributes:
        name: Registry name.
        equation: The equation in one line of text.
        scheme: How the reference solution is computed.
        default_resolution: Points per axis when none are asked for.
        layout: File layout that :func:`sciml.data.generate` writes: ``auto`` or one of PDEBench's.
    """

    name: ClassVar[str]
    equation: ClassVar[str]
    scheme: ClassVar[str]
    default_resolution: ClassVar[int]
    layout: ClassVar[str] = "auto"

    @abc.abstractmethod
    def generate(self, num: int, *, seed: int = 0, resolution: int | None = None, start: int = 0) -> ProblemData:
        """Samples ``start`` to ``start + num - 1`` of the sequence that belongs to a seed.

        A sample depends on the seed and its place in the sequence alone, never on how many are made together.

        Args:
            num: Number of samples.
            seed: Seed of the sequence.
            resolution: Points per axis of the data.
            start: First sample.
        """

    def _resolution(self, resolution: int | None, least: int = 4) -> int:
        value = self.default_resolution if resolution is None else resolution
        if value < least:
            raise ConfigError(f"resolution is {value}, expected at least {least} points per axis for {self.name}.")
        return value

    def parameters(self) -> dict[str, Any]:
        """The physical parameters that are plain numbers or words."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}  # type: ignore[arg-type]
        return {name: value for name, value in values.items() if isinstance(value, bool | int | float | str)}

    def attributes(self, **extra: Any) -> dict[str, Any]:
        """What a data file says about its origin."""
        versions = {name: metadata.version(name) for name in ("sciml", "numpy", "scipy", "torch")}
        own = {"equation": self.equation, "scheme": self.scheme, "parameters": self.parameters(), "versions": versions}
        return {"problem": self.name, **own, **extra}
