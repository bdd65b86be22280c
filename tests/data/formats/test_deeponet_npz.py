"""The npz layouts of DeepONet; object arrays are read without executing anything."""

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sciml.data import open_dataset
from sciml.errors import DataFormatError

RNG = np.random.default_rng(0)
N, M, P, D = 5, 7, 6, 2


def pair(*arrays: Any) -> np.ndarray:
    """An array of objects, as the files of DeepONet hold it."""
    objects = np.empty(len(arrays), dtype=object)
    for i, array in enumerate(arrays):
        objects[i] = array
    return objects


def npy(values: np.ndarray, protocol: int | None = None) -> bytes:
    """The bytes of an .npy file; a protocol replaces the pickle of numpy by one of that protocol."""
    buffer = io.BytesIO()
    if protocol is None:
        np.lib.format.write_array(buffer, values, allow_pickle=True)
    else:
        np.lib.format.write_array_header_1_0(buffer, np.lib.format.header_data_from_array_1_0(values))
        pickle.dump(values, buffer, protocol=protocol)
    return buffer.getvalue()


def write(path: Path, method: int = zipfile.ZIP_STORED, **content: bytes) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, raw in content.items():
            archive.writestr(f"{name}.npy", raw)
    return path


@pytest.mark.parametrize("protocol", [None, 0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("dtype", ["<f4", "<f8", ">f8", "<i4", "bool"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_aligned_files_are_read_bit_for_bit(tmp_path: Path, protocol: int | None, dtype: str, order: Any) -> None:
    u = np.asarray(RNG.standard_normal((N, M)) > 0 if dtype == "bool" else 9 * RNG.standard_normal((N, M)), order=order)
    u = u.astype(dtype)
    coords, y = RNG.random((P, D)), RNG.standard_normal((N, P)).astype(np.float32)
    fields = open_dataset(write(tmp_path / "a.dat", X=npy(pair(u, coords), protocol), y=npy(y)))
    assert fields.format == "deeponet-npz"
    for name, expected in (("u", u), ("coords", coords), ("y", y)):
        assert fields[name].dtype == expected.dtype
        np.testing.assert_array_equal(fields[name], expected)
    assert fields.axes == {"u": ("sample", "sensor"), "coords": ("point", "dim"), "y": ("sample", "point")}
    assert fields.roles == {"u": "input", "coords": "coords", "y": "target"}


def test_files_written_by_numpy_are_read(tmp_path: Path) -> None:
    u, coords, y = RNG.random((N, M)), RNG.random((P, 1)), RNG.random((N, P))
    np.savez_compressed(tmp_path / "a.npz", X=pair(u, coords), y=y)
    fields = open_dataset(tmp_path / "a.npz")
    np.testing.assert_array_equal(fields["u"], u)
    np.testing.assert_array_equal(fields["coords"], coords)
    np.testing.assert_array_equal(fields["y"], y)


def test_names_of_older_numpy_are_known(tmp_path: Path) -> None:
    u, coords = RNG.random((N, M)), RNG.random((P, 1))
    raw = npy(pair(u, coords), protocol=2).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert b"numpy.core.multiarray" in raw
    np.testing.assert_array_equal(open_dataset(write(tmp_path / "a.npz", X=raw, y=npy(RNG.random((N, P)))))["u"], u)


@pytest.mark.parametrize("parts", [("train",), ("train", "test")])
def test_unaligned_files_have_one_row_per_pair(tmp_path: Path, parts: tuple[str, ...]) -> None:
    content = {}
    for part in parts:
        content |= {f"X_{part}0": RNG.random((N, M)), f"X_{part}1": RNG.random((N, D)), f"y_{part}": RNG.random((N, 1))}
    np.savez(tmp_path / "a.npz", **content)
    fields = open_dataset(tmp_path / "a.npz")
    assert set(fields.arrays) == {f"{name}_{part}" for name in ("u", "coords", "y") for part in parts}
    np.testing.assert_array_equal(fields["coords_train"], content["X_train1"])
    assert fields.axes["u_train"] == ("sample", "sensor")
    assert fields.axes["coords_train"] == ("sample", "dim")
    assert fields.attrs["layout"] == "unaligned"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": np.zeros(3)}, r"Found: a float64 \(3,\)\. Tried: deeponet-npz: neither X and y, nor X_train0"),
        ({"X": np.zeros((3, 2)), "y": np.zeros(3)}, "expected an array of two objects"),
        ({"X": pair(np.zeros((3, 2))), "y": np.zeros(3)}, r"Found: .*X\[0\] float64 \(3, 2\).*something else"),
        ({"X": pair(np.zeros((3, 2)), np.zeros((4, 1))), "y": np.zeros((3, 5))}, "neither"),
        ({"X": pair(np.zeros((0, 2)), np.zeros((4, 1))), "y": np.zeros((0, 4))}, "empty"),
        ({"X": pair(1, 2), "y": np.zeros(3)}, "only plain numpy arrays of numbers"),
        ({"X": pair("text", "text"), "y": np.zeros(3)}, "only plain numpy arrays of numbers"),
        ({"X": pair(pair(1), pair(2)), "y": np.zeros(3)}, "not a number|plain bytes"),
        ({"X": pair(np.zeros((3, 2)), np.zeros((4, 1))), "y": np.array(["text"])}, "y is <U4 .*expected numbers"),
        ({"X_train0": np.zeros((3, 2)), "X_train1": np.zeros((4, 1)), "y_train": np.zeros((3, 1))}, "neither"),
    ],
)
def test_other_content_is_listed(tmp_path: Path, content: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "a.npz", **content)
    with pytest.raises(DataFormatError, match=message):
        open_dataset(tmp_path / "a.npz")


def test_values_that_are_not_finite_are_refused_unless_wanted(tmp_path: Path) -> None:
    y = np.zeros((N, P))
    y[2, 1] = np.nan
    path = write(tmp_path / "a.npz", X=npy(pair(np.zeros((N, M)), np.zeros((P, 1)))), y=npy(y))
    with pytest.raises(DataFormatError, match=r"y has 1 NaN or infinite value, the first at index \(2, 1\)"):
        open_dataset(path)
    np.testing.assert_array_equal(open_dataset(path, allow_nan=True)["y"], y)


class _Touch:
    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.canary,)


@pytest.mark.parametrize("protocol", [None, 0, 2, 5])
def test_a_program_in_an_object_array_is_refused_and_never_runs(tmp_path: Path, protocol: int | None) -> None:
    canary, path = tmp_path / "canary", tmp_path / "a.npz"
    write(path, X=npy(pair(np.zeros((N, M)), _Touch(canary)), protocol), y=npy(np.zeros((N, P))))
    with pytest.raises(DataFormatError, match="which is refused"):
        open_dataset(path)
    assert not canary.exists()
    np.load(path, allow_pickle=True)["X"]
    assert canary.exists(), "the payload works, so its refusal above means something"


def _header(shape: str, descr: str = "'<f8'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def _state(state: tuple[Any, ...]) -> Callable[[], bytes]:
    """A pickled array whose state was made by hand."""

    class Forged:
        def __reduce__(self) -> Any:
            return np.zeros(0).__reduce__()[0], (np.ndarray, (0,), b"b"), state

    return lambda: _header("(1,)", "'|O'") + pickle.dumps(Forged(), protocol=2)


def _memo_bomb() -> bytes:
    return _header("(2,)", "'|O'") + b"\x80\x04Nr\xff\xff\xff\x7f."


@pytest.mark.parametrize(
    "raw",
    [
        lambda: _header("(1000000000000, 1000)"),
        lambda: _header("(-1,)"),
        lambda: _header("(3,)") + bytes(16),
        lambda: _header("'text'"),
        lambda: _header("(1,), 'more': 1"),
        lambda: _header("(" * 500),
        lambda: b"\x93NUMPY\x01\x00\xff\xff{}",
        lambda: b"\x93NUMPY\x09\x00",
        lambda: b"",
        lambda: b"text",
        _state((1, (10**12,), np.dtype("f8"), False, b"")),
        _state((1, (2,), np.dtype("O"), False, b"\x00" * 16)),
        _state((1, (2,), np.dtype("f8"), False, [1, 2])),
        _state((1, (-2,), np.dtype("f8"), False, b"")),
        _state((1, "text", np.dtype("f8"), False, b"")),
        _state((1, (1,), np.dtype([("a", "O")]), False, b"\x00" * 8)),
        _state((1, (1,), "f8", False, b"\x00" * 8)),
        _state((1,)),
        _memo_bomb,
        lambda: _header("(2,)", "'|O'") + b"\x80\x04\x8a\xff",
        lambda: _header("(2,)", "'|O'"),
    ],
)
def test_forged_headers_and_states_are_refused(tmp_path: Path, raw: Callable[[], bytes]) -> None:
    for content in ({"X": raw(), "y": npy(np.zeros(3))}, {"X_train0": raw(), "X_train1": raw(), "y_train": raw()}):
        with pytest.raises(DataFormatError):
            open_dataset(write(tmp_path / "a.npz", **content))


def test_an_archive_that_unpacks_to_far_more_than_its_size_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sciml.data.formats.base._MIB", 2**10)
    size = 2**20
    path = write(tmp_path / "a.npz", zipfile.ZIP_DEFLATED, X=_header(f"({size // 8},)") + bytes(size), y=b"")
    assert path.stat().st_size < 2**12
    with pytest.raises(DataFormatError, match="would decompress to"):
        open_dataset(path)
