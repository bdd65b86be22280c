"""Damaged, random and foreign files: every one is read, or refused with the one documented error."""

import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sciml.data import open_dataset
from sciml.data.info import summarize
from sciml.errors import DataFormatError
from sciml.registry import registry

FUZZ = settings(derandomize=True, max_examples=150, deadline=None, database=None)


def _pt(file: io.BytesIO) -> None:
    torch.save({"x": torch.ones(3, 4), "y": torch.ones(3, 4), "visc": torch.tensor(0.1)}, file)


def _npz_aligned(file: io.BytesIO) -> None:
    objects = np.empty(2, dtype=object)
    objects[0], objects[1] = np.ones((3, 4)), np.ones((5, 1))
    np.savez(file, X=objects, y=np.ones((3, 5)))


def _npz_unaligned(file: io.BytesIO) -> None:
    np.savez_compressed(file, X_train0=np.ones((3, 4)), X_train1=np.ones((3, 1)), y_train=np.ones((3, 1)))


def _mat(file: io.BytesIO) -> None:
    scipy.io.savemat(file, {"a": np.ones((3, 4)), "u": np.ones((3, 4)), "s": {"t": 1}}, do_compression=False)


def _mat_compressed(file: io.BytesIO) -> None:
    scipy.io.savemat(file, {"a": np.ones((3, 4)), "u": np.ones((3, 4))}, do_compression=True)


def _hdf5(file: io.BytesIO, **kwargs: Any) -> None:
    with h5py.File(file, "w", **kwargs) as content:
        content.create_dataset("tensor", data=np.ones((2, 3, 4), "f4"), chunks=(1, 3, 4), compression="gzip")
        content["x-coordinate"] = np.arange(4.0)
        content.attrs["Nu"] = 0.1


def _hdf5_groups(file: io.BytesIO) -> None:
    with h5py.File(file, "w") as content:
        for name in ("0000", "0001"):
            content[f"{name}/data"] = np.ones((3, 4, 1), "f4")
            content[f"{name}/grid/x"] = np.arange(4.0)


def _mat_v73(file: io.BytesIO) -> None:
    _hdf5(file, userblock_size=512)
    file.seek(0)
    file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")


def _plain_npz(file: io.BytesIO) -> None:
    np.savez(file, x=np.ones((3, 4)), y=np.ones((3, 2, 4)))


def _plain_hdf5(file: io.BytesIO) -> None:
    with h5py.File(file, "w") as content:
        content["u"], content["coords"], content["y"] = np.ones((3, 4)), np.ones((5, 2)), np.ones((3, 5))


WRITERS: dict[str, Callable[[io.BytesIO], None]] = {
    "pt": _pt,
    "npz-aligned": _npz_aligned,
    "npz-unaligned": _npz_unaligned,
    "mat": _mat,
    "mat-compressed": _mat_compressed,
    "hdf5": _hdf5,
    "hdf5-groups": _hdf5_groups,
    "mat-v73": _mat_v73,
    "plain-npz": _plain_npz,
    "plain-hdf5": _plain_hdf5,
}


def valid(kind: str) -> bytes:
    file = io.BytesIO()
    WRITERS[kind](file)
    return file.getvalue()


VALID = {kind: valid(kind) for kind in WRITERS}


def survives(raw: bytes, formats: tuple[str, ...] = ("auto",)) -> None:
    """Open and read everything; only the documented error may come out."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file")
        path.write_bytes(raw)
        messages = []
        for name in formats:
            try:
                with open_dataset(path, format=name, allow_nan=True) as fields:
                    for array in fields.arrays.values():
                        summarize(array)
            except DataFormatError as error:
                messages.append(str(error))
        assert all(len(message) < 20_000 for message in messages)
        assert [entry.name for entry in Path(folder).iterdir()] == ["file"]


@pytest.mark.parametrize("kind", [kind for kind in VALID if kind != "mat-v73"])
def test_the_files_to_be_damaged_are_valid(tmp_path: Path, kind: str) -> None:
    (tmp_path / "file").write_bytes(VALID[kind])
    assert open_dataset(tmp_path / "file").arrays


@FUZZ
@given(raw=st.binary(max_size=600))
def test_random_bytes(raw: bytes) -> None:
    survives(raw, ("auto", *registry("formats")))


@FUZZ
@given(kind=st.sampled_from(sorted(VALID)), raw=st.binary(max_size=400))
def test_random_bytes_behind_a_true_beginning(kind: str, raw: bytes) -> None:
    survives(VALID[kind][:132] + raw)


@pytest.mark.parametrize("kind", VALID)
def test_truncated_files(kind: str) -> None:
    whole = VALID[kind]
    for length in {int(n) for n in np.linspace(0, len(whole) - 1, 25)}:
        survives(whole[:length])


@pytest.mark.parametrize("kind", VALID)
def test_files_with_changed_bytes(kind: str) -> None:
    whole = VALID[kind]

    @settings(FUZZ, max_examples=60)
    @given(
        changes=st.lists(
            st.tuples(st.integers(0, len(whole) - 1), st.sampled_from([0, 1, 2, 127, 128, 255]) | st.integers(0, 255)),
            min_size=1,
            max_size=12,
        )
    )
    def check(changes: list[tuple[int, int]]) -> None:
        raw = bytearray(whole)
        for place, value in changes:
            raw[place] = value
        survives(bytes(raw))

    check()


@pytest.mark.parametrize("kind", VALID)
def test_files_with_parts_moved_repeated_or_left_out(kind: str) -> None:
    whole = VALID[kind]
    places = st.integers(0, len(whole))

    @settings(FUZZ, max_examples=30)
    @given(
        cuts=st.tuples(places, places, places).map(sorted), order=st.lists(st.integers(0, 3), min_size=1, max_size=6)
    )
    def check(cuts: list[int], order: list[int]) -> None:
        bounds = [0, *cuts, len(whole)]
        survives(b"".join(whole[bounds[i] : bounds[i + 1]] for i in order))

    check()


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers(0, 3), max_size=4).map(torch.zeros),
    st.just(torch.zeros(2, 3, dtype=torch.bfloat16)),
    st.just(torch.zeros(2, 3).to_sparse()),
    st.just(torch.nn.Parameter(torch.zeros(2, 3))),
    st.just(torch.zeros(2, 3, device="meta")),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["x", "y", "a", 0]), inner, max_size=3),
    max_leaves=6,
)


@FUZZ
@given(content=TREES | st.fixed_dictionaries({"x": LEAVES, "y": LEAVES}))
def test_any_content_of_a_pt_file(content: object) -> None:
    file = io.BytesIO()
    torch.save(content, file)
    survives(file.getvalue())


KEYS = ["tensor", "nu", "x-coordinate", "t-coordinate", "density", "pressure", "Vx", "Vy", "velocity", "particles"]
KEYS += ["0000/data", "0001/data", "0000/grid/x", "0000/grid/y", "x/y/data", "a", "u"]
VALUES = st.one_of(
    st.lists(st.integers(0, 4), max_size=5).map(lambda shape: np.zeros(shape, "f4")),
    st.sampled_from([np.array(b"text"), np.zeros(3, "V4"), np.float64(3), np.zeros((2, 2, 2), "c8"), h5py.Empty("f4")]),
)


@FUZZ
@given(content=st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=6))
def test_any_content_of_an_hdf5_file(content: dict[str, Any]) -> None:
    raw = io.BytesIO()
    with h5py.File(raw, "w") as file:
        for key, value in content.items():
            file[key] = value
    survives(raw.getvalue())


@FUZZ
@given(
    content=st.dictionaries(
        st.sampled_from(["X", "y", "X_train0", "X_train1", "y_train", "a"]),
        st.one_of(
            st.lists(st.integers(0, 4), max_size=3).map(np.zeros),
            st.lists(st.none() | st.just(np.zeros((2, 2))) | st.text(max_size=2), max_size=3).map(
                lambda items: np.array([*items, None], dtype=object)[:-1]
            ),
            st.just(np.array("text")),
        ),
        max_size=5,
    )
)
def test_any_content_of_an_npz_file(content: dict[str, Any]) -> None:
    file = io.BytesIO()
    np.savez(file, **content)
    survives(file.getvalue())


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "is empty"),
        (b"a,b\n1,2\n", "no known layout fits"),
        (b"\x80\x04\x95", "no known layout fits"),
        (b"CDF\x01", "no known layout fits"),
        (b"\x93NUMPY\x01\x00", "no known layout fits"),
    ],
)
def test_other_kinds_of_files_say_what_was_tried(tmp_path: Path, raw: bytes, message: str) -> None:
    (tmp_path / "file.pt").write_bytes(raw)
    with pytest.raises(DataFormatError, match=message) as caught:
        open_dataset(tmp_path / "file.pt")
    if raw:
        assert all(name in str(caught.value) for name in registry("formats"))


def test_folders_and_missing_files_have_their_own_message(tmp_path: Path) -> None:
    with pytest.raises(DataFormatError, match="is a folder"):
        open_dataset(tmp_path)
    with pytest.raises(FileNotFoundError, match="no such file"):
        open_dataset(tmp_path / "missing.pt")


def test_unknown_formats_and_options_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(VALID["pt"])
    with pytest.raises(LookupError, match="Did you mean 'fno-mat'"):
        open_dataset(tmp_path / "file", format="fno-mta")
    with pytest.raises(DataFormatError, match="options depth"):
        open_dataset(tmp_path / "file", depth=3)
