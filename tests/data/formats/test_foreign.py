"""Files of other kinds are named by their first bytes, with the way to a file that can be read."""

import bz2
import gzip
import io
import lzma
import pickle
import tarfile
import zipfile
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import scipy.io
import torch
from hypothesis import given
from hypothesis import strategies as st

from sciml.data import open_dataset
from sciml.data.formats.foreign import foreign_kind
from sciml.data.info import describe_file
from sciml.errors import DataFormatError

WAVES = np.linspace(0, 1, 12).reshape(3, 4)


def netcdf3(path: Path) -> None:
    with scipy.io.netcdf_file(path, "w") as file:
        for name, length in (("sample", 3), ("place", 4)):
            file.createDimension(name, length)
        for name in ("x", "y"):
            file.createVariable(name, "d", ("sample", "place"))[:] = WAVES


def zipped(path: Path, **entries: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in entries.items():
            archive.writestr(name, text)


def tarred(path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo("a.csv"), io.BytesIO())


def cut_npz(path: Path) -> None:
    np.savez(path, x=WAVES)
    path.write_bytes(path.read_bytes()[:200])


# Each written by its own library, as a user meets it.
FILES = {
    "netcdf3.nc": (netcdf3, r"a NetCDF-3 file.*: ncks -4 FILE OUT.*to_netcdf\(OUT, engine='h5netcdf'\)"),
    "a.nc.gz": (lambda path: path.write_bytes(gzip.compress(b"data")), "a gzip file: unpack it first.*gunzip"),
    "a.bz2": (lambda path: path.write_bytes(bz2.compress(b"data")), "a bzip2 file: unpack it first"),
    "a.xz": (lambda path: path.write_bytes(lzma.compress(b"data")), "an xz file: unpack it first"),
    "a.tar": (tarred, "a tar archive: unpack it first"),
    "a.png": (lambda path: matplotlib.image.imsave(path, WAVES), "a PNG picture: read its pixels"),
    "a.pdf": (lambda path: path.write_bytes(b"%PDF-1.7\n%\xe2\xe3"), "a PDF document"),
    "a.npy": (lambda path: np.save(path, WAVES), r"a single numpy array.*numpy\.savez\(OUT, x=\.\.\., y=\.\.\.\)"),
    "a.pkl": (lambda path: path.write_bytes(pickle.dumps({"x": WAVES})), "a pickle, which executes code"),
    "old.pt": (
        lambda path: torch.save({"x": torch.ones(2)}, path, _use_new_zipfile_serialization=False),
        "a torch.save file from before torch 1.6",
    ),
    "tables.zip": (
        lambda path: zipped(path, **{"a.csv": "1,2", "b/c.txt": "3"}),
        r"a zip archive without arrays \(a.csv 3 bytes, b/c.txt 1 bytes\): unpack it first",
    ),
    "empty.zip": (zipped, "a zip archive without arrays"),
    "cut.npz": (cut_npz, "a zip archive .* damaged or cut off"),
    "a.csv": (
        lambda path: np.savetxt(path, WAVES, delimiter=","),
        r"a text file that begins with '0\.0.*numpy\.loadtxt",
    ),
    "error.hdf5": (lambda path: path.write_text("\ufeff<!DOCTYPE html><html>Log in"), "a web page, not data"),
    "lfs.pt": (
        lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n"),
        "a pointer of .*git lfs pull",
    ),
    "noise": (
        lambda path: path.write_bytes(b"\xfa\x00\x01" * 9),
        "unknown content that .* bytes fa 00 01 fa 00 01 fa 00",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_another_kind_is_named_with_the_way_out(tmp_path: Path, name: str) -> None:
    write, message = FILES[name]
    write(tmp_path / name)
    for read in (open_dataset, describe_file):
        with pytest.raises(DataFormatError, match=rf"no known layout fits\. Found: {message}") as caught:
            read(tmp_path / name)
        assert "Found: nothing" not in str(caught.value)


def test_what_a_message_advises_works(tmp_path: Path) -> None:
    import xarray

    netcdf3(tmp_path / "old.nc")
    with xarray.open_dataset(tmp_path / "old.nc", engine="scipy") as old:
        old.to_netcdf(tmp_path / "new.nc", engine="h5netcdf")
    with open_dataset(tmp_path / "new.nc") as fields:
        np.testing.assert_array_equal(fields["y"][:], WAVES)


def test_an_archive_of_arrays_with_other_names_lists_the_arrays(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", pressure=WAVES)
    with pytest.raises(DataFormatError, match=r"Found: pressure float64 \(3, 4\)\."):
        open_dataset(tmp_path / "a.npz")


@given(st.binary(min_size=1, max_size=400))
def test_any_first_bytes_are_described_or_left_to_the_readers(head: bytes) -> None:
    kind = foreign_kind(Path("no_such_file"), head)
    assert kind is None or (kind.isprintable() and len(kind) > 20)
