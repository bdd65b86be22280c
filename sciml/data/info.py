"""What is in a data file or a dataset, as plain text for ``sciml data info FILE`` and ``sciml datasets NAME``."""

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sciml.data.cards import list_datasets
from sciml.data.formats import Fields, open_dataset
from sciml.data.formats.base import ArrayLike
from sciml.errors import unknown_name

__all__ = ["ArraySummary", "describe_dataset", "describe_file", "summarize", "table"]

_CHUNK_BYTES = 64 * 2**20
_SAMPLED_BYTES = 2**30
_WIDTH = 100


@dataclass
class ArraySummary:
    """Range of an array, gathered part by part.

    Args:
        minimum: Smallest finite value.
        maximum: Largest finite value.
        mean: Mean of the finite values.
        not_finite: Number of NaN and infinite values.
        part: Share of the array that was read.
    """

    minimum: float = math.inf
    maximum: float = -math.inf
    mean: float = math.nan
    not_finite: int = 0
    part: float = 1.0


def summarize(values: ArrayLike) -> ArraySummary:
    """Range and mean of an array, reading at most 64 MiB at a time.

    Complex numbers count by their absolute value. Of an array beyond 1 GiB, evenly spaced samples are read, as many as
    make up 1 GiB; ``part`` says which share that is.

    Example:
        >>> summarize(np.array([1.0, 3.0, np.nan]))
        ArraySummary(minimum=1.0, maximum=3.0, mean=2.0, not_finite=1, part=1.0)
    """
    summary, count, total = ArraySummary(), 0, 0.0
    values, summary.part = _thinned(values)
    for part in _parts(values):
        numbers = np.abs(part) if part.dtype.kind == "c" else part
        numbers = numbers.astype(np.float64)
        finite = numbers[np.isfinite(numbers)]
        summary.not_finite += numbers.size - finite.size
        if finite.size:
            summary.minimum = min(summary.minimum, float(finite.min()))
            summary.maximum = max(summary.maximum, float(finite.max()))
            total, count = total + float(finite.sum()), count + finite.size
    if count:
        summary.mean = total / count
    return summary


def _thinned(values: ArrayLike) -> tuple[ArrayLike, float]:
    """The array, or evenly spaced samples of a large one, and the share that they are."""
    size = 8 * math.prod(max(n, 1) for n in values.shape)
    if size <= _SAMPLED_BYTES or not values.shape or values.shape[0] < 2 or min(values.shape) < 1:
        return values, 1.0
    each = size // values.shape[0]
    count = max(1, _SAMPLED_BYTES // each)
    index = sorted({round(i * (values.shape[0] - 1) / max(count - 1, 1)) for i in range(count)})
    return np.stack([_numpy(values[i]) for i in index]), len(index) / values.shape[0]


def _parts(values: ArrayLike, place: tuple[int, ...] = ()) -> Iterator[np.ndarray]:
    shape = tuple(values.shape)[len(place) :]
    if not shape:
        yield _numpy(values[place])
        return
    each = 8 * math.prod(shape[1:])
    if each > _CHUNK_BYTES:
        for i in range(shape[0]):
            yield from _parts(values, (*place, i))
        return
    step = _CHUNK_BYTES // max(1, each)
    for start in range(0, shape[0], step):
        yield _numpy(values[(*place, slice(start, start + step))])


def _numpy(values: Any) -> np.ndarray:
    if isinstance(values, list):  # samples of different shapes
        return np.concatenate([np.ravel(sample) for sample in values])
    # numpy has no bfloat16.
    return values.float().numpy() if str(getattr(values, "dtype", "")) == "torch.bfloat16" else np.asarray(values)


def describe_file(path: str | Path, **options: Any) -> str:
    """Format, arrays with their ranges, coordinates and attributes of a data file.

    Args:
        path: The file.
        **options: As for :func:`~sciml.data.open_dataset`. NaN and infinite values are counted, not refused.

    Raises:
        FileNotFoundError: If there is no such file.
        DataFormatError: If no layout fits.

    Example:
        >>> import tempfile, torch
        >>> file = Path(tempfile.mkdtemp()) / "waves.pt"
        >>> torch.save({"x": torch.zeros(5, 16), "y": torch.ones(5, 16)}, file)
        >>> print(describe_file(file).splitlines()[1])
        format: neuraloperator-pt
    """
    with open_dataset(path, **{"allow_nan": True, **options}) as fields:
        header = ["array", "role", "axes", "shape", "type", "min", "max", "mean", "not finite"]
        rows = [_array_row(fields, name) for name in fields.arrays]
        lines = [f"{fields.path} ({_size(fields.path.stat().st_size)})", f"format: {fields.format}", ""]
        lines += table(header, rows)
        if fields.coords:
            lines += ["", "coordinates:"]
            lines += table(
                ["axis", "points", "first", "last", "spacing"], [_coord_row(*c) for c in fields.coords.items()]
            )
        if fields.attrs:
            lines += ["", "attributes:", *_indented(fields.attrs)]
    return "\n".join(lines)


def _array_row(fields: Fields, name: str) -> list[str]:
    values = fields.arrays[name]
    found = summarize(values)
    numbers = [f"{value:.5g}" for value in (found.minimum, found.maximum, found.mean)]
    bad = str(found.not_finite) if found.part == 1 else f"{found.not_finite} in {100 * found.part:.2g} % of it"
    kind = str(values.dtype).removeprefix("torch.")
    shape = " x ".join("varying" if n < 0 else str(n) for n in values.shape) or "scalar"
    axes = ", ".join(fields.axes.get(name, ()))
    return [name, fields.roles.get(name, ""), axes, shape, kind, *numbers, bad]


def _coord_row(axis: str, values: np.ndarray) -> list[str]:
    steps = np.diff(values.astype(np.float64))
    even = len(steps) > 0 and bool(np.allclose(steps, steps.mean(), rtol=1e-2))
    spacing = f"{steps.mean():.6g}" if even else "uneven"
    return [axis, str(len(values)), f"{values[0]:.6g}", f"{values[-1]:.6g}", spacing]


def describe_dataset(name: str, root: str | Path | None = None) -> str:
    """The card of a dataset, readable, without reading any data.

    Raises:
        UnknownNameError: If no dataset has this name.

    Example:
        >>> print(describe_dataset("darcy-small").splitlines()[0])
        darcy-small: Darcy flow through two materials, 16 x 16, with a test set at 32 x 32
    """
    cards = list_datasets(root)
    if name not in cards:
        raise unknown_name("dataset", name, cards)
    card = dict(cards[name])
    title = card.pop("title", "")
    card.pop("name", None)
    lines = [f"{name}: {title}" if title else name]
    if description := card.pop("description", ""):
        lines += ["", *textwrap.wrap(str(description), _WIDTH)]
    plain = {key: value for key, value in card.items() if not isinstance(value, dict | list)}
    lines += ["", *_indented(plain, indent="")]
    for key in ("fields", "grid", "splits"):
        if isinstance(card.get(key), dict):
            lines += ["", f"{key}:", *_nested(card[key])]
    if notes := card.get("notes"):
        lines += ["", "notes:"]
        for note in notes:
            lines += textwrap.wrap(str(note), _WIDTH, initial_indent="- ", subsequent_indent="  ")
    return "\n".join(lines)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table with aligned columns.

    Example:
        >>> table(["name", "n"], [["darcy", "3"]])
        ['name   n', 'darcy  3']
    """
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    return ["  ".join(cell.ljust(n) for cell, n in zip(row, widths, strict=True)).rstrip() for row in (header, *rows)]


def _nested(mapping: Mapping[str, Any]) -> list[str]:
    lines = []
    for key, value in mapping.items():
        text = ", ".join(f"{k}: {_words(v)}" for k, v in value.items()) if isinstance(value, dict) else _words(value)
        lines += textwrap.wrap(f"{key}: {text}", _WIDTH, initial_indent="  ", subsequent_indent="    ")
    return lines


def _indented(mapping: Mapping[str, Any], indent: str = "  ") -> list[str]:
    lines = []
    for key, value in mapping.items():
        lines += textwrap.wrap(
            f"{key}: {_words(value)}", _WIDTH, initial_indent=indent, subsequent_indent=indent + "  "
        ) or [f"{indent}{key}:"]
    return lines


def _words(value: Any) -> str:
    return "unknown" if value is None else str(value)


def _size(num: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if num < 1024:
            return f"{num:.0f} {unit}" if unit == "bytes" else f"{num:.1f} {unit}"
        num /= 1024
    return f"{num:.1f} GiB"
