"""What a file written by sciml says about itself: one JSON attribute of the root group, beside the keys of its layout.

The keys of a layout tell how arrays are stored; the attribute adds what they are: names and order of the axes, roles,
units, the grid, the equation and its parameters. With it a file can be trained on without a card.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from sciml.errors import ConfigError, DataFormatError
from sciml.spaces import RegularGrid

__all__ = ["ATTRIBUTE", "Description", "FieldNote"]

ATTRIBUTE = "sciml"
_VERSION = 1
_ROLES = ("input", "target", "coords", "params", "other")


@dataclass(frozen=True)
class FieldNote:
    """One array of the file.

    Args:
        key: Key in the file, or in the group of each sample.
        axes: Names of the axes as stored; of an array in the groups of samples, ``sample`` comes first.
        role: ``input``, ``target``, ``coords``, ``params`` or ``other``.
        units: Units of the values.
    """

    key: str
    axes: tuple[str, ...]
    role: str = "other"
    units: str | None = None


@dataclass(frozen=True)
class Description:
    """Content of the attribute.

    Args:
        layout: Name of the layout.
        fields: Name to array.
        coords: Axis to the key of its coordinates.
        grid: Shape, bounds, periodic and alignment of the grid of the target, where there is one.
        attrs: Equation, parameters, scheme, versions.

    Example:
        >>> note = FieldNote("tensor", ("sample", "time", "x1"), "target")
        >>> text = Description("scalar-1d", {"u": note}).to_json()
        >>> Description.from_json(text, "a.hdf5").fields["u"].axes
        ('sample', 'time', 'x1')
    """

    layout: str
    fields: Mapping[str, FieldNote]
    coords: Mapping[str, str] = field(default_factory=dict)
    grid: Mapping[str, Any] | None = None
    attrs: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """The text of the attribute; equal descriptions give equal texts.

        Raises:
            ConfigError: If an attribute is not a plain value.
        """
        try:
            return json.dumps({"version": _VERSION, **asdict(self)}, sort_keys=True, default=_plain)
        except TypeError as error:
            raise ConfigError(f"attrs hold a value that cannot be written as JSON: {error}.") from error

    @classmethod
    def from_json(cls, text: str, path: Any) -> "Description":
        """Read the attribute.

        Raises:
            DataFormatError: If the text is not such a description.
        """
        try:
            found = json.loads(text)
            fields = {str(name): _note(note) for name, note in found["fields"].items()}
            coords = {str(axis): str(key) for axis, key in found["coords"].items()}
            if found["grid"] is not None:
                RegularGrid(**found["grid"])
            return cls(str(found["layout"]), fields, coords, found["grid"], dict(found["attrs"]))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise DataFormatError(f"{path}: the attribute {ATTRIBUTE!r} is not readable: {error}.") from error

    @property
    def units(self) -> dict[str, str]:
        """Units by name, where they are known."""
        return {name: note.units for name, note in self.fields.items() if note.units}


def _note(found: Mapping[str, Any]) -> FieldNote:
    if found["role"] not in _ROLES:
        raise ValueError(f"role {found['role']!r}, expected one of {', '.join(_ROLES)}")
    units = found.get("units")
    return FieldNote(str(found["key"]), tuple(map(str, found["axes"])), found["role"], units and str(units))


def _plain(value: Any) -> Any:
    """Numpy's numbers and arrays as lists and numbers of Python."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} {value!r}")
