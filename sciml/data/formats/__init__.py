"""Reading data files: the layout is found from the content, never from the name of the file.

Read :mod:`~sciml.data.formats.base` first, then any of the readers. None of them executes anything that a file holds.
"""

from collections.abc import Iterator
from inspect import signature
from pathlib import Path
from typing import Any

from sciml.data.formats.base import Fields, Format, LayoutError, Listing, listing_text
from sciml.data.formats.foreign import foreign_kind
from sciml.errors import DataFormatError, PluginError
from sciml.registry import registry

__all__ = ["Fields", "Format", "open_dataset"]

_HEAD_BYTES = 1024


def open_dataset(path: str | Path, format: str = "auto", **options: Any) -> Fields:
    """Open a data file of any known layout.

    HDF5 files are read when an array is indexed, other files at once. NaN and infinite values are refused, where they
    are read, unless ``allow_nan=True``.

    Args:
        path: The file.
        format: Name of a format, or ``"auto"`` to find it from the content.
        **options: Passed to the reader; every reader takes ``allow_nan``.

    Raises:
        FileNotFoundError: If there is no such file.
        UnknownNameError: If no format has this name.
        DataFormatError: If no layout fits, with what the file holds and what was tried; if the file is damaged; or if
            it holds values that are not finite.

    Example:
        >>> import tempfile, torch
        >>> file = Path(tempfile.mkdtemp()) / "waves.pt"
        >>> torch.save({"x": torch.zeros(5, 16), "y": torch.ones(5, 16)}, file)
        >>> fields = open_dataset(file)
        >>> fields.format, fields.axes["x"], fields["y"].shape
        ('neuraloperator-pt', ('sample', 'x1'), torch.Size([5, 16]))
    """
    path = Path(path)
    head = _head(path)
    tried: list[str] = []
    found: Listing = []
    taken = False
    for reader in _readers(format, tried):
        verdict = reader.sniff(path, head)
        if verdict is not True and format == "auto":
            tried.append(f"{reader.name}: {verdict or 'other content'}")
            continue
        taken = True
        try:
            signature(reader.read).bind(path, **options)
        except TypeError as error:
            tried.append(f"{reader.name}: options {', '.join(options)}: {error}")
            continue
        try:
            return reader.read(path, **options)
        except LayoutError as error:
            # Names without types, as of the entries of a zip archive, are the last resort.
            found = found if any(what for _, what in found) else error.found or found
            tried.append(f"{reader.name}: {error.reason}")
    reasons = "; ".join(tried)
    content = _content(path, head, found, taken)
    raise DataFormatError(f"{path}: no known layout fits. Found: {content}. Tried: {reasons}.")


def _content(path: Path, head: bytes, found: Listing, taken: bool) -> str:
    """What the file holds: what the readers saw; else what kind of file it is; else how it begins."""
    is_zip = head.startswith(b"PK")
    kind = foreign_kind(path, head) if is_zip or not found else None
    if kind is None and not taken:
        kind = f"unknown content that begins with the bytes {head[:8].hex(' ')}"
    return kind or listing_text(found)


def _head(path: Path) -> bytes:
    if path.is_dir():
        raise DataFormatError(f"{path} is a folder, expected a data file.")
    if not path.exists():
        raise FileNotFoundError(f"no such file: {path}")
    if not path.is_file():
        raise DataFormatError(f"{path} is not a regular file.")
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        raise DataFormatError(f"{path} is empty.")
    return head


def _readers(format: str, tried: list[str]) -> Iterator[Format]:
    formats = registry("formats")
    if format != "auto":
        yield formats.load(format)
        return
    for name in formats:
        try:
            yield formats.load(name)
        except PluginError as error:
            tried.append(f"{name}: {error}")
