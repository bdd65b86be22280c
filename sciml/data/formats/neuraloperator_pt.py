"""The neuraloperator layout: a ``.pt`` file with a dictionary of two tensors, ``x`` and ``y``, or ``x`` alone.

The file is read with ``torch.load(weights_only=True)`` only, after its container has been checked: what ``torch.save``
writes is a zip archive whose entries are not compressed, so no entry can be larger than the file.
"""

import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sciml.data.formats.base import Fields, Format, LayoutError, Listing, check_finite
from sciml.errors import DataFormatError

__all__ = ["FORMAT", "read"]

_NAME = "neuraloperator-pt"
_SPATIAL = ("x1", "x2", "x3")
_MAX_DIM = 3
_ROLES: dict[str, Any] = {"x": "input", "y": "target"}
# An expanded tensor repeats its storage; more than this is not data.
_DTYPES = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.complex128)


def read(path: Path, *, channels: bool | None = None, allow_nan: bool = False) -> Fields:
    """Read ``x`` and, where it is there, ``y``; a target with one axis more than a 1-D input is a trajectory.

    Args:
        path: The file.
        channels: Whether the second axis counts channels; None takes it for channels when there are four axes or more,
            or when its length is 1.
        allow_nan: Accept NaN and infinite values.

    Raises:
        LayoutError: If it is no ``torch.save`` archive, or has no ``x``.
        DataFormatError: If it is damaged, or holds values that are not finite.
    """
    _check_archive(path)
    content = _load(path)
    found = _listing(content)
    tensors = _x_and_y(content, found, path)
    axes = _axes(tensors["x"], tensors.get("y"), channels, found)
    if not allow_nan:
        for name, value in tensors.items():
            check_finite(name, value.float() if value.dtype == torch.bfloat16 else value, str(path))
    return Fields(_NAME, path, tensors, axes, attrs=_attrs(content), roles={name: _ROLES[name] for name in tensors})


def _sniff(path: Path, head: bytes) -> bool | str:
    return head.startswith(b"PK\x03\x04") or "not a torch.save archive"


def _check_archive(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError, UnicodeError) as error:
        raise LayoutError(
            f"not a torch.save archive ({error}); files from before torch 1.6 must be saved again"
        ) from error
    found = [(entry.filename, f"{entry.file_size} bytes") for entry in entries]
    if not any(entry.filename.endswith("/data.pkl") for entry in entries):
        raise LayoutError("the zip archive has no data.pkl", found)
    if any(entry.filename.endswith("/constants.pkl") for entry in entries):
        raise LayoutError("it is a TorchScript program, which is never executed", found)
    packed = [entry.filename for entry in entries if entry.compress_type != zipfile.ZIP_STORED]
    if packed or sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise DataFormatError(
            f"{path}: the archive holds compressed or overlapping entries, which torch.save never writes."
        )


def _load(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        # The advice of torch in this case, to load it all the same, would execute what the file holds.
        found = re.search(r"GLOBAL (\S+)", str(error))
        what = f" ({found.group(1)})" if found else ""
        raise DataFormatError(
            f"{path}: it holds more than tensors and plain data{what}, which is not loaded."
        ) from error
    except Exception as error:  # the reader of damaged archives raises errors of many types
        reason = (str(error).splitlines() or [""])[0]
        raise DataFormatError(f"{path}: damaged torch.save archive: {type(error).__name__}: {reason}") from error


def _what(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
    return type(value).__name__


def _listing(content: Any) -> Listing:
    if isinstance(content, Mapping):
        return [(str(key)[:80], _what(value)) for key, value in content.items()]
    if isinstance(content, list | tuple):
        inner = _listing(content[0]) if content and isinstance(content[0], Mapping) else []
        return [(f"{type(content).__name__} of {len(content)} items", "with in the first" if inner else ""), *inner]
    return [("content", _what(content))]


def _x_and_y(content: Any, found: Listing, path: Path) -> dict[str, Tensor]:
    if not isinstance(content, Mapping):
        raise LayoutError(f"the content is a {type(content).__name__}, expected a dictionary with x and y", found)
    names = [key for key in ("x", "y") if key == "x" or key in content]
    if missing := [key for key in names if not isinstance(content.get(key), Tensor)]:
        raise LayoutError(f"no tensor {' and no tensor '.join(missing)}", found)
    tensors = {key: content[key].detach() for key in names}
    for key, value in tensors.items():
        if type(value) is not Tensor or value.layout != torch.strided or value.device.type != "cpu":
            raise LayoutError(f"{key} is not a plain dense tensor", found)
        if value.dtype not in _DTYPES + _FLOATS:
            raise LayoutError(f"{key} has the type {value.dtype}, expected numbers", found)
        if value.numel() * value.element_size() > path.stat().st_size:
            raise DataFormatError(f"{path}: {key} claims the shape {tuple(value.shape)}, more than the file holds.")
    return tensors


def _axes(x: Tensor, y: Tensor | None, channels: bool | None, found: Listing) -> dict[str, tuple[str, ...]]:
    given = {"x": x} if y is None else {"x": x, "y": y}
    if any(value.ndim < 2 or not value.numel() or len(value) != len(x) for value in given.values()):
        shapes = " and ".join(f"{name} {tuple(value.shape)}" for name, value in given.items())
        raise LayoutError(
            f"{shapes} are not samples of functions on a grid: (sample, ...) with equally many samples",
            found,
        )
    axes = {name: _axes_of(value, channels) for name, value in given.items()}
    if y is not None and x.ndim == 2 and y.ndim == 3 and y.shape[-1] == x.shape[-1] and channels is not True:
        axes["y"] = ("sample", "time", "x1")
    for name, tensor in given.items():
        if len(axes[name]) != tensor.ndim:
            raise LayoutError(f"{name} {tuple(tensor.shape)} has not one to {_MAX_DIM} spatial axes", found)
    return axes


def _axes_of(value: Tensor, channels: bool | None) -> tuple[str, ...]:
    if channels is None:
        channels = value.ndim >= 4 or (value.ndim == 3 and value.shape[1] == 1)
    lead = ("sample", "channel") if channels else ("sample",)
    return lead + _SPATIAL[: max(0, value.ndim - len(lead))]


def _attrs(content: Mapping[Any, Any]) -> dict[str, Any]:
    numbers = {
        str(key): value.item()
        for key, value in content.items()
        if isinstance(value, Tensor) and value.numel() == 1 and value.layout == torch.strided
    }
    return numbers | {str(k): v for k, v in content.items() if isinstance(v, bool | int | float | str)}


FORMAT = Format(_NAME, _sniff, read)
