"""What `sciml data info` and `sciml datasets NAME` say."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from sciml.data import describe_dataset, describe_file
from sciml.data.info import summarize, table
from sciml.errors import DataFormatError


@pytest.mark.parametrize("shape", [(), (7,), (3, 5), (2, 3, 4)])
@pytest.mark.parametrize("chunk", [1, 50, 2**20])
def test_ranges_do_not_depend_on_how_the_array_is_read(
    shape: tuple[int, ...], chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sciml.data.info._CHUNK_BYTES", chunk)
    values = np.random.default_rng(0).standard_normal(shape)
    summary = summarize(np.asarray(values))
    assert (summary.minimum, summary.maximum) == (np.min(values), np.max(values))
    assert summary.mean == pytest.approx(np.mean(values), rel=1e-12)
    assert summary.not_finite == 0


class _Watched:
    """An array that remembers the largest part that was read."""

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.shape, self.dtype, self.largest = values, values.shape, values.dtype, 0

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: Any) -> np.ndarray:
        part = self.values[index]
        self.largest = max(self.largest, part.nbytes)
        return part


def test_large_arrays_are_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sciml.data.info._CHUNK_BYTES", 1000)
    watched = _Watched(np.ones((5, 6, 100)))
    assert summarize(watched).mean == 1
    assert 0 < watched.largest <= 1000


def test_values_that_are_not_finite_are_counted_and_left_out_of_the_range() -> None:
    summary = summarize(torch.tensor([[1.0, float("nan")], [float("inf"), 3.0]]))
    assert (summary.minimum, summary.maximum, summary.mean, summary.not_finite) == (1.0, 3.0, 2.0, 2)


def test_other_types_are_summarized() -> None:
    assert summarize(np.array([True, False])).mean == 0.5
    assert summarize(np.array([3 + 4j])).maximum == 5
    assert summarize(torch.tensor([1.0, 2.0], dtype=torch.bfloat16)).maximum == 2


def test_a_file_is_described_line_by_line(tmp_path: Path) -> None:
    values = np.zeros((2, 3, 4), "f4")
    values[1, 2, 3], values[0, 0, 0] = 6, np.nan
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file["tensor"], file.attrs["beta"] = values, 0.4
        file["x-coordinate"], file["t-coordinate"] = (np.arange(4) + 0.5) / 4, [0.0, 0.1, 0.4, 0.5]
    lines = describe_file(tmp_path / "a.hdf5").splitlines()
    assert lines[1] == "format: pdebench-hdf5"
    assert lines[3].split()[:4] == ["array", "role", "axes", "shape"]
    assert " ".join(lines[4].split()) == "tensor sample, time, x1 2 x 3 x 4 float32 0 6 0.26087 1"
    assert any(line.split() == ["x1", "4", "0.125", "0.875", "0.25"] for line in lines)
    assert any(line.split() == ["time", "3", "0", "0.4", "uneven"] for line in lines)
    assert "  beta: 0.4" in lines


def test_a_file_of_no_known_layout_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataFormatError, match="no known layout fits"):
        describe_file(tmp_path / "a.csv")


def test_a_dataset_is_described_from_its_card() -> None:
    text = describe_dataset("darcy-small")
    for part in (
        "licence: MIT",
        "citation: Li, Kovachki",
        "test_32: file: darcy_test_32.pt",
        "units: unknown",
        "notes:",
    ):
        assert part in text
    assert max(len(line) for line in text.splitlines()) <= 110


def test_an_unknown_dataset_has_close_matches() -> None:
    with pytest.raises(LookupError, match="Did you mean 'darcy-small'"):
        describe_dataset("darcy_small")


def test_tables_have_aligned_columns() -> None:
    assert table(["a", "b"], [["long", "1"], ["x", ""]]) == ["a     b", "long  1", "x"]
