"""What a file is that no reader takes, by its first bytes, and how to make one of it that a reader does take."""

import codecs
import zipfile
from pathlib import Path

from sciml.data.formats.base import listing_text

__all__ = ["foreign_kind"]

_ARRAYS = "save arrays x and y with numpy.savez(OUT, x=..., y=...)"
_TO_NETCDF4 = "xarray.open_dataset(FILE).to_netcdf(OUT, engine='h5netcdf')"
_UNPACK = "unpack it first, and open the file inside"
# First bytes, what they stand for, and the way out.
_KINDS: tuple[tuple[bytes, str, str], ...] = (
    (b"CDF\x01", "a NetCDF-3 file", f"convert it to NetCDF-4: ncks -4 FILE OUT, or {_TO_NETCDF4}"),
    (b"CDF\x02", "a NetCDF-3 file (64-bit offsets)", f"convert it to NetCDF-4: ncks -4 FILE OUT, or {_TO_NETCDF4}"),
    (b"CDF\x05", "a NetCDF-3 file (64-bit data)", "convert it to NetCDF-4: ncks -4 FILE OUT"),
    (b"\x0e\x03\x13\x01", "an HDF4 file", "convert it to HDF5: h4toh5 FILE OUT"),
    (b"GRIB", "a GRIB file", "convert it: xarray.open_dataset(FILE, engine='cfgrib').to_netcdf(OUT)"),
    (b"SIMPLE  =", "a FITS file", f"read it with astropy, then {_ARRAYS}"),
    (b"\x1f\x8b", "a gzip file", f"{_UNPACK}: gunzip FILE, or tar -xzf FILE"),
    (b"BZh", "a bzip2 file", f"{_UNPACK}: bunzip2 FILE"),
    (b"\xfd7zXZ\x00", "an xz file", f"{_UNPACK}: unxz FILE"),
    (b"\x28\xb5\x2f\xfd", "a zstandard file", f"{_UNPACK}: unzstd FILE"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (b"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (b"\x93NUMPY", "a single numpy array (.npy)", f"put inputs and targets into one file: {_ARRAYS}"),
    (
        b"\x80\x02\x8a\nl\xfc\x9cF\xf9",
        "a torch.save file from before torch 1.6",
        "load it where it came from, and save it again",
    ),
    (b"\x89PNG", "a PNG picture", f"read its pixels where they are data, then {_ARRAYS}"),
    (b"\xff\xd8\xff", "a JPEG picture", f"read its pixels where they are data, then {_ARRAYS}"),
    (b"GIF8", "a GIF picture", f"read its pixels where they are data, then {_ARRAYS}"),
    (b"II*\x00", "a TIFF picture", f"read its pixels where they are data, then {_ARRAYS}"),
    (b"MM\x00*", "a TIFF picture", f"read its pixels where they are data, then {_ARRAYS}"),
    (b"%PDF", "a PDF document", "look for the data behind it"),
    (b"PAR1", "a Parquet file", f"read it with pandas, then {_ARRAYS}"),
    (b"ARROW1", "an Arrow file", f"read it with pandas, then {_ARRAYS}"),
    (b"SQLite format 3\x00", "an SQLite database", f"read it with pandas, then {_ARRAYS}"),
    (b"# vtk DataFile", "a VTK file", f"read it with meshio, then {_ARRAYS}"),
    (b"<VTKFile", "a VTK file", f"read it with meshio, then {_ARRAYS}"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the data", "get them: git lfs pull"),
)
_PICKLES = tuple(b"\x80" + bytes([version]) for version in range(2, 6))
_PAGES = ("<!doctype html", "<html")


def foreign_kind(path: Path, head: bytes) -> str | None:
    """What a file is and the way out, in words that follow "Found:"; None if its arrays say more.

    Args:
        path: The file.
        head: Its first bytes.

    Example:
        >>> foreign_kind(Path("a.nc"), b"BZh91AY")
        'a bzip2 file: unpack it first, and open the file inside: bunzip2 FILE'
    """
    for magic, what, way in _KINDS:
        if head.startswith(magic):
            return f"{what}: {way}"
    if head.startswith(b"PK"):
        return _zip_kind(path)
    if head[257:262] == b"ustar":
        return f"a tar archive: {_UNPACK}: tar -xf FILE"
    if head.startswith(_PICKLES):
        return f"a pickle, which executes code when it is loaded and is not read: where you trust it, {_ARRAYS}"
    return _text_kind(head)


def _zip_kind(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [(entry.filename, f"{entry.file_size} bytes") for entry in archive.infolist()]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError):
        return "a zip archive (as .npz and .pt files are) that is damaged or cut off: get it again"
    if any(name.endswith((".npy", "data.pkl")) for name, _ in entries):
        return None
    return f"a zip archive without arrays ({listing_text(entries)}): {_UNPACK}"


def _text_kind(head: bytes) -> str | None:
    try:
        # Incremental, because the last character may be cut.
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head).strip()
    except UnicodeDecodeError:
        return None
    if not all(character.isprintable() or character in "\r\n\t" for character in text):
        return None
    if text.lower().startswith(_PAGES):
        return "a web page, not data: the link may lead to a log-in or error page, so download it in a browser"
    start = text.splitlines()[0][:40] if text else ""
    return f"a text file that begins with {start!r}: read it with numpy.loadtxt or pandas, then {_ARRAYS}"
