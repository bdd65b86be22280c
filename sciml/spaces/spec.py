"""What a dataset says about itself: the fields it holds, their shapes and units, and the usual task.

Models read a :class:`DataSpec` in ``from_spec`` to fill in the sizes that the user left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sciml.errors import unknown_name
from sciml.spaces.grid import RegularGrid

__all__ = ["DataSpec", "FieldSpec"]

Role = Literal["input", "target", "coords", "params", "other"]


@dataclass(frozen=True)
class FieldSpec:
    """One named function or array of a dataset.

    Args:
        name: Key of the field in a batch.
        role: What the field is for.
        channels: Number of channels, or None when the field has no channel axis.
        shape: Sizes of the axes after batch and channels: the grid, or the number of points.
        shared: One copy for all samples, stored without a batch axis.
        units: Physical units of the values; None when unknown.
        grid: The grid on which the values live.
    """

    name: str
    role: Role
    channels: int | None
    shape: tuple[int, ...]
    shared: bool = False
    units: str | None = None
    grid: RegularGrid | None = None


_AT_POINTS = (
    "These are functions u at points, the model wants functions x on a grid: take one for points, such as deeponet, or "
    "data on a grid (layout='grid')."
)


@dataclass(frozen=True)
class DataSpec:
    """The fields of a dataset, in the resolution of its training split, and the task they suggest.

    Example:
        >>> x = FieldSpec("x", "input", 1, (16, 16))
        >>> y = FieldSpec("y", "target", 2, (16, 16))
        >>> spec = DataSpec({"x": x, "y": y})
        >>> spec.in_channels, spec.out_channels, spec.dim
        (1, 2, 2)
    """

    fields: Mapping[str, FieldSpec] = field(default_factory=dict)
    task: str = "operator"
    name: str = ""

    def __getitem__(self, name: str) -> FieldSpec:
        if name not in self.fields:
            raise unknown_name("field", name, self.fields, _AT_POINTS if name == "x" and "u" in self.fields else "")
        return self.fields[name]

    def _with_role(self, role: Role) -> list[FieldSpec]:
        return [f for f in self.fields.values() if f.role == role]

    @property
    def inputs(self) -> list[FieldSpec]:
        """Fields with the role ``input``."""
        return self._with_role("input")

    @property
    def targets(self) -> list[FieldSpec]:
        """Fields with the role ``target``."""
        return self._with_role("target")

    @property
    def in_channels(self) -> int:
        """Channels of the input ``x``; a field without a channel axis counts as one."""
        return self["x"].channels or 1

    @property
    def out_channels(self) -> int:
        """Channels of the target ``y``; a field without a channel axis counts as one."""
        return self["y"].channels or 1

    @property
    def dim(self) -> int:
        """Number of grid axes of the input ``x``."""
        return len(self["x"].shape)

    @property
    def grid(self) -> RegularGrid | None:
        """Grid of the input ``x``."""
        return self["x"].grid
