"""MATLAB files of versions 5 and 7.3; scipy is the independent writer of version 5."""

import struct
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io

from sciml.data import open_dataset
from sciml.errors import DataFormatError

RNG = np.random.default_rng(0)

LAYOUTS = {
    "burgers": {"a": (5, 8), "u": (5, 8)},
    "darcy": {"coeff": (3, 6, 4), "sol": (3, 6, 4)},
    "navier-stokes": {"a": (2, 6, 5), "u": (2, 6, 5, 4), "t": (1, 4)},
}
AXES = {
    "burgers": {"a": "sample x1", "u": "sample x1"},
    "darcy": {"coeff": "sample x1 x2", "sol": "sample x1 x2"},
    "navier-stokes": {"a": "sample x1 x2", "u": "sample x1 x2 time"},
}


def content_of(layout: str, dtype: Any = np.float64) -> dict[str, np.ndarray]:
    return {name: (9 * RNG.standard_normal(shape)).astype(dtype) for name, shape in LAYOUTS[layout].items()}


def write_v73(path: Path, content: dict[str, np.ndarray], header: bool = True, mark: bool = True) -> Path:
    """HDF5 behind a block of 512 bytes; MATLAB stores the first axis fastest, so the axes come reversed."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in content.items():
            file[name] = values.T
            if mark:
                file[name].attrs["MATLAB_class"] = np.bytes_("double")
    if header:
        with path.open("r+b") as raw:
            raw.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")
    return path


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", ["f8", "f4", "i2", "u1", "bool", "c16", "c8", "i8"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_version_5_is_read_bit_for_bit(tmp_path: Path, layout: str, dtype: str, compressed: bool) -> None:
    content = content_of(layout, dtype)
    scipy.io.savemat(tmp_path / "a.bin", content, appendmat=False, do_compression=compressed)
    fields = open_dataset(tmp_path / "a.bin")
    assert fields.format == "fno-mat"
    assert fields.attrs == {"layout": layout}
    assert fields.axes == {name: tuple(axes.split()) for name, axes in AXES[layout].items()}
    for name in fields.arrays:
        assert fields[name].dtype == content[name].dtype
        np.testing.assert_array_equal(fields[name], content[name])


@pytest.mark.parametrize(("header", "mark"), [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_version_7_3_is_read_with_axes_in_the_order_of_matlab(
    tmp_path: Path, layout: str, header: bool, mark: bool
) -> None:
    content = content_of(layout)
    fields = open_dataset(write_v73(tmp_path / "a.mat", content, header, mark))
    assert fields.format == "fno-mat"
    for name in fields.arrays:
        np.testing.assert_array_equal(fields[name][:], content[name])
        np.testing.assert_array_equal(fields[name][1:, ::2], content[name][1:, ::2])
        np.testing.assert_array_equal(fields[name][[1, 0], -1], content[name][[1, 0], -1])
        np.testing.assert_array_equal(fields[name][1], content[name][1])


@pytest.mark.parametrize("version", ["5", "7.3"])
def test_the_times_of_navier_stokes_become_coordinates(tmp_path: Path, version: str) -> None:
    content = content_of("navier-stokes")
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, content) if version == "5" else write_v73(path, content)
    np.testing.assert_array_equal(open_dataset(path).coords["time"], content["t"].ravel())


def test_version_7_3_reads_nothing_when_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    with h5py.File(path, "w") as file:
        for name in ("coeff", "sol"):
            data = file.create_dataset(name, (1024, 1024, 2048), "f8", chunks=(64, 64, 1))
            data.attrs["MATLAB_class"] = np.bytes_("double")
        file["sol"][3, 2, 1] = 4.0
    fields = open_dataset(path)
    assert fields["sol"].shape == (2048, 1024, 1024)
    assert fields["sol"][1, 2, 3] == 4.0


def test_other_variables_are_listed_or_ignored_and_never_opened(tmp_path: Path) -> None:
    extra = {"struct": {"field": 1.0}, "cells": np.array([1, "a"], dtype=object), "text": "words"}
    scipy.io.savemat(tmp_path / "a.mat", extra | content_of("burgers"))
    assert set(open_dataset(tmp_path / "a.mat").arrays) == {"a", "u"}
    scipy.io.savemat(tmp_path / "b.mat", extra | {"number": 1.0})
    with pytest.raises(
        DataFormatError, match=r"Found: struct struct \(1, 1\), cells cell .*text char .*number float64"
    ):
        open_dataset(tmp_path / "b.mat")


@pytest.mark.parametrize(
    "content",
    [
        {"a": np.zeros((3, 4))},
        {"a": np.zeros((3, 4)), "u": np.zeros((4, 4))},
        {"coeff": np.zeros((3, 4, 5)), "sol": np.zeros((3, 4, 6))},
        {"u": np.zeros((0, 4, 4, 4))},
        {"a": np.zeros((3, 4), dtype="U1"), "u": np.zeros((3, 4))},
    ],
)
def test_other_layouts_are_refused(tmp_path: Path, content: dict[str, np.ndarray]) -> None:
    scipy.io.savemat(tmp_path / "a.mat", content)
    with pytest.raises(DataFormatError, match=r"no known layout fits\. Found: (a|u|coeff) "):
        open_dataset(tmp_path / "a.mat")


def test_an_hdf5_file_without_a_sign_of_matlab_is_not_guessed(tmp_path: Path) -> None:
    with pytest.raises(DataFormatError, match="without a MATLAB header"):
        open_dataset(write_v73(tmp_path / "a.mat", content_of("burgers"), header=False, mark=False))


@pytest.mark.parametrize("version", ["5", "7.3"])
def test_values_that_are_not_finite_are_refused_unless_wanted(tmp_path: Path, version: str) -> None:
    content = content_of("burgers")
    content["u"][2, 1] = np.nan
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, content) if version == "5" else write_v73(path, content)
    with pytest.raises(DataFormatError, match=r"u has 1 NaN or infinite value, the first at index \(2, 1\)"):
        open_dataset(path)["u"][:]
    np.testing.assert_array_equal(open_dataset(path, allow_nan=True)["u"][:], content["u"])


def matrix(shape: tuple[int, ...], data: bytes, code: int = 6, name: bytes = b"a", size: int | None = None) -> bytes:
    """One array element made by hand; ``size`` overrides the declared number of bytes of the data."""
    dims = struct.pack(f"<{len(shape)}i", *shape)
    parts = [(6, struct.pack("<II", code, 0)), (5, dims), (1, name)]
    body = b"".join(struct.pack("<II", kind, len(raw)) + raw.ljust(-(-len(raw) // 8) * 8, b"\0") for kind, raw in parts)
    return body + struct.pack("<II", 9, len(data) if size is None else size) + data


def mat5(*elements: bytes, compressed: bool = False) -> bytes:
    raw = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    for element in elements:
        whole = struct.pack("<II", 14, len(element)) + element
        packed = zlib.compress(whole)
        raw += struct.pack("<II", 15, len(packed)) + packed if compressed else whole
    return raw


def test_elements_made_by_hand_are_read(tmp_path: Path) -> None:
    values = RNG.random((3, 4))
    (tmp_path / "a").write_bytes(mat5(*(matrix((3, 4), values.tobytes("F"), name=n) for n in (b"a", b"u"))))
    np.testing.assert_array_equal(open_dataset(tmp_path / "a")["u"], values)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    "element",
    [
        matrix((10**9, 10**9), bytes(8)),
        matrix((3, 4), bytes(96), size=2**32 - 8),
        matrix((3, 4), bytes(88)),
        matrix((-3, -4), bytes(96)),
        matrix((), bytes(8)),
        matrix((3, 4), bytes(96))[:20],
        b"",
    ],
)
def test_declared_lengths_are_not_believed(tmp_path: Path, element: bytes, compressed: bool) -> None:
    other = matrix((3, 4), bytes(96), name=b"u")
    (tmp_path / "a.mat").write_bytes(mat5(element, other, compressed=compressed))
    with pytest.raises(DataFormatError):
        open_dataset(tmp_path / "a.mat")


def test_an_element_that_unpacks_to_far_more_than_the_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sciml.data.formats.base._MIB", 2**10)
    size = 2**20
    elements = [matrix((1, size // 8), bytes(size)), matrix((1, size // 8), bytes(8), name=b"u")]
    (tmp_path / "a.mat").write_bytes(mat5(*elements, compressed=True))
    with pytest.raises(DataFormatError, match="would decompress to more than"):
        open_dataset(tmp_path / "a.mat")


def test_function_handles_and_objects_stay_closed(tmp_path: Path) -> None:
    handle, opaque = matrix((1, 1), b"system('touch canary')".ljust(24), code=16, name=b"u"), matrix((), b"", code=17)
    (tmp_path / "a.mat").write_bytes(mat5(handle, opaque))
    with pytest.raises(DataFormatError, match="Found: u function"):
        open_dataset(tmp_path / "a.mat")
