"""What the keys of a ``card.yaml`` may hold: a table per level, and an error for the first value that does not fit."""

import math
import re
import reprlib
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from sciml.errors import DataFormatError

__all__ = ["NEEDED", "check_card"]

NEEDED = ("name", "task", "source", "licence", "format", "fields", "splits")

_ROLES = ("input", "target", "coords", "params", "other")
_POINTS = ("closed", "periodic", "cells", "left")
Rules = Mapping[str, tuple[Callable[[Any], bool], str]]


def check_card(path: Path, card: Any) -> None:
    """Check the kind of every value that loading, listing or describing the dataset reads.

    Args:
        path: The card's file, for messages.
        card: Content of the file.

    Raises:
        DataFormatError: For the first key that lacks or does not fit, with what it holds and what was expected.

    Example:
        >>> check_card(Path("card.yaml"), {"name": 3})
        Traceback (most recent call last):
        sciml.errors.DataFormatError: card.yaml lacks task, source, licence, format, fields, splits.
    """
    if not isinstance(card, dict):
        what = "is empty" if card is None else "is not a card"
        raise DataFormatError(f"{path} {what}: expected a mapping with {', '.join(NEEDED)}.")
    if missing := [key for key in NEEDED if key not in card]:
        raise DataFormatError(f"{path} lacks {', '.join(missing)}.")
    _check(path, card, _CARD)
    for key, rules in (("fields", _FIELD), ("splits", _SPLIT)):
        for name, part in card[key].items():
            if not _text(name):
                raise _error(path, f"the name of an entry of {key}", name, "a text (numbers in quotes)")
            if not isinstance(part, dict):
                raise _error(path, f"{key}.{name}", part, _EXAMPLES[key])
            _check(path, part, rules, f"{key}.{name}.")
        _need(path, f"{key}.NAME", card[key], rules)
    if card.get("grid") is not None:
        _need(path, "grid", {"": card["grid"]}, _GRID)
        _check(path, card["grid"], _GRID, "grid.")
    _check(path, card.get("options") or {}, _READING, "options.")


def _check(path: Path, mapping: Mapping[Any, Any], rules: Rules, prefix: str = "") -> None:
    for key, (fits, expected) in rules.items():
        if key in mapping and not fits(mapping[key]):
            raise _error(path, f"{prefix}{key}", mapping[key], expected)


def _need(path: Path, where: str, parts: Mapping[str, Mapping[str, Any]], rules: Rules) -> None:
    for name, part in parts.items():
        for key in _ALWAYS.get(where, ()):
            if key not in part:
                place = where.replace("NAME", name)
                raise DataFormatError(f"{path}: {place} lacks {key}, expected {rules[key][1]}.")


def _error(path: Path, key: str, given: Any, expected: str) -> DataFormatError:
    return DataFormatError(f"{path}: {key} is {reprlib.repr(given)}, expected {expected}. Correct this line.")


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and "\0" not in value


def _maybe_text(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _folder_name(value: Any) -> bool:
    return _text(value) and PurePosixPath(value).parts == (value,) and value not in (".", "..") and len(value) < 200


def _file_inside(value: Any) -> bool:
    if not _text(value):
        return False
    file = PurePosixPath(value)
    return bool(file.parts) and not file.is_absolute() and ".." not in file.parts and len(value) < 200


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _number(value: Any) -> bool:
    # Compared before it is converted: YAML integers may be too large for a float.
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return plain and -1e100 < value < 1e100 and math.isfinite(value)


def _interval(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_number, value)) and value[0] < value[1]


def _some(value: Any) -> bool:
    return isinstance(value, dict) and bool(value)


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _all(value: Any, fits: Callable[[Any], bool]) -> bool:
    return isinstance(value, list) and bool(value) and all(map(fits, value))


_TEXT = (_text, "a text (numbers, dates and yes or no in quotes)")
_MAYBE_TEXT = (_maybe_text, "a text (numbers, dates and yes or no in quotes) or null")

_EXAMPLES = {
    "fields": "a mapping such as {role: input, units: m}",
    "splits": "a mapping such as {file: train.pt, samples: 1000}",
}
_ALWAYS = {"splits.NAME": ("file",), "grid": ("domain", "points")}

_CARD: Rules = {
    "name": (_folder_name, "the name of the dataset: a text without slashes (numbers in quotes)"),
    "task": (_text, "the name of a task, such as operator"),
    "source": _TEXT,
    "licence": _TEXT,
    "format": (_text, "the name of a format, which 'sciml data info FILE' shows, or auto"),
    "dtype": (lambda value: value in (None, "float32", "float64"), "float32 or float64"),
    "options": (lambda value: value is None or isinstance(value, dict), "a mapping such as {allow_nan: true}"),
    "fields": (_some, "a mapping of the arrays of the files, such as {x: {role: input}, y: {role: target}}"),
    "splits": (_some, "a mapping of splits, such as {train: {file: train.pt}}"),
    "grid": (
        lambda value: value is None or isinstance(value, dict),
        "a mapping such as {domain: [[0, 1]], points: periodic}",
    ),
    **dict.fromkeys(("title", "equation", "description", "citation", "obtain", "licence_file"), _MAYBE_TEXT),
    "notes": (lambda value: value is None or _all(value, _text), "a list of texts (one with ': ' in quotes)"),
}
_FIELD: Rules = {
    "role": (lambda value: isinstance(value, str) and value in _ROLES, f"one of {', '.join(_ROLES)}"),
    "time": (lambda value: value in (None, "last"), "last, or no such line for all times"),
    **dict.fromkeys(("units", "label", "meaning"), _MAYBE_TEXT),
}
_SPLIT: Rules = {
    "file": (_file_inside, "a path inside the folder of the card, where the file must be"),
    "samples": (lambda value: value is None or _count(value), "the number of samples in the file, at least 1"),
    "resolution": (lambda value: value is None or _all(value, _count), "a list with the points of each axis"),
    "sha256": (
        lambda value: value is None or (isinstance(value, str) and re.fullmatch("[0-9a-fA-F]{64}", value) is not None),
        "the 64 hexadecimal digits that sha256sum prints (in quotes)",
    ),
}
_GRID: Rules = {
    "domain": (lambda value: _all(value, _interval), "a list of intervals [low, high], one per axis"),
    "points": (lambda value: isinstance(value, str) and value in _POINTS, f"one of {', '.join(_POINTS)}"),
    "axes": (lambda value: value is None or _all(value, _text), "a list of the names of the axes"),
}
_READING: Rules = {
    "allow_nan": (_flag, "true or false"),
    "channels": (lambda value: value is None or _flag(value), "true, false or null"),
}
