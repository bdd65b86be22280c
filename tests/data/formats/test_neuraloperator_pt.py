"""The neuraloperator layout: dictionaries of x and y written by torch.save."""

import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from torch import Tensor

from sciml.data import open_dataset
from sciml.errors import DataFormatError


def save(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bool, torch.int16, torch.complex64])
def test_tensors_are_read_bit_for_bit(tmp_path: Path, dtype: torch.dtype) -> None:
    x, y = (100 * torch.randn(3, 4, 5)).to(dtype), torch.randn(3, 4, 5)
    fields = open_dataset(save(tmp_path / "a.pt", {"x": x, "y": y}))
    assert fields.format == "neuraloperator-pt"
    assert fields["x"].dtype == dtype
    assert torch.equal(fields["x"], x)
    assert torch.equal(fields["y"], y)
    assert fields.roles == {"x": "input", "y": "target"}


@pytest.mark.parametrize(
    ("x", "y", "axes_x", "axes_y"),
    [
        ((3, 8), (3, 8), "sample x1", "sample x1"),
        ((3, 8), (3, 5, 8), "sample x1", "sample time x1"),
        ((3, 8, 6), (3, 8, 6), "sample x1 x2", "sample x1 x2"),
        ((3, 1, 8), (3, 1, 8), "sample channel x1", "sample channel x1"),
        ((3, 2, 8, 6), (3, 1, 8, 6), "sample channel x1 x2", "sample channel x1 x2"),
        ((3, 2, 8, 6, 4), (3, 8, 6), "sample channel x1 x2 x3", "sample x1 x2"),
    ],
)
def test_axes_follow_from_the_shapes(
    tmp_path: Path, x: tuple[int, ...], y: tuple[int, ...], axes_x: str, axes_y: str
) -> None:
    fields = open_dataset(save(tmp_path / "a.pt", {"x": torch.zeros(x), "y": torch.zeros(y)}))
    assert fields.axes == {"x": tuple(axes_x.split()), "y": tuple(axes_y.split())}


def test_the_user_can_say_that_the_second_axis_counts_channels(tmp_path: Path) -> None:
    path = save(tmp_path / "a.pt", {"x": torch.zeros(3, 2, 8), "y": torch.zeros(3, 2, 8)})
    assert open_dataset(path, channels=True).axes["x"] == ("sample", "channel", "x1")
    assert open_dataset(path).axes["x"] == ("sample", "x1", "x2")


def test_the_name_of_the_file_does_not_matter(tmp_path: Path) -> None:
    path = save(tmp_path / "a.hdf5", {"x": torch.zeros(3, 8), "y": torch.zeros(3, 8)})
    assert open_dataset(path).format == "neuraloperator-pt"


def test_numbers_beside_x_and_y_become_attributes(tmp_path: Path) -> None:
    content = {"x": torch.zeros(3, 8), "y": torch.zeros(3, 8), "visc": torch.tensor([[0.01]]), "name": "burgers"}
    assert open_dataset(save(tmp_path / "a.pt", content)).attrs == {"visc": pytest.approx(0.01), "name": "burgers"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"y": torch.zeros(3, 8)}, r"no tensor x.*|Found: y float32 \(3, 8\)"),
        (
            {"a": torch.zeros(3, 8), "b": torch.zeros(2)},
            r"Found: a float32 \(3, 8\), b float32 \(2,\)\. Tried: .*no tensor x",
        ),
        ({"x": torch.zeros(3, 8), "y": torch.zeros(4, 8)}, "equally many samples"),
        ({"x": torch.zeros(3), "y": torch.zeros(3)}, "not samples of functions on a grid"),
        ({"x": torch.zeros(0, 8), "y": torch.zeros(0, 8)}, "not samples of functions on a grid"),
        ({"x": torch.zeros(1, 1, 1, 1, 1, 1), "y": torch.zeros(1, 2)}, "spatial axes"),
        ({"x": "text", "y": torch.zeros(3, 8)}, "Found: x str, y float32"),
        ({"x": torch.eye(3).to_sparse(), "y": torch.zeros(3, 8)}, "x is not a plain dense tensor"),
        ([{"x": torch.zeros(3, 8)}], r"Found: list of 1 items with in the first, x float32 \(3, 8\)"),
        (torch.zeros(3), r"Found: content float32 \(3,\)"),
    ],
)
def test_other_content_is_listed(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(DataFormatError, match=message):
        open_dataset(save(tmp_path / "a.pt", content))


def test_values_that_are_not_finite_are_counted_and_located(tmp_path: Path) -> None:
    y = torch.zeros(3, 8)
    y[1, 4], y[2, 0] = float("nan"), float("inf")
    path = save(tmp_path / "a.pt", {"x": torch.zeros(3, 8), "y": y})
    with pytest.raises(DataFormatError, match=r"y has 2 NaN or infinite values, the first at index \(1, 4\)"):
        open_dataset(path)
    assert torch.equal(open_dataset(path, allow_nan=True)["y"], y) is False  # NaN is not equal to itself
    assert torch.equal(torch.as_tensor(open_dataset(path, allow_nan=True)["y"]).isnan(), y.isnan())


def test_an_expanded_tensor_does_not_claim_more_than_the_file(tmp_path: Path) -> None:
    huge: Tensor = torch.zeros(1).expand(10**6, 10**6)
    with pytest.raises(DataFormatError, match="more than the file holds"):
        open_dataset(save(tmp_path / "a.pt", {"x": huge, "y": huge}))


class _Touch:
    """Creates a file when it is unpickled by a reader that executes."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.canary,)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_program_in_the_file_is_refused_and_never_runs(tmp_path: Path, zipped: bool) -> None:
    canary, path = tmp_path / "canary", tmp_path / "a.pt"
    content = {"x": torch.zeros(3, 8), "y": _Touch(canary)}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(DataFormatError):
        open_dataset(path)
    assert not canary.exists()
    torch.load(path, weights_only=False)
    assert canary.exists(), "the payload works, so its refusal above means something"


def test_a_bare_pickle_is_refused_and_never_runs(tmp_path: Path) -> None:
    canary, path = tmp_path / "canary", tmp_path / "a.pt"
    path.write_bytes(pickle.dumps({"x": _Touch(canary)}))
    with pytest.raises(DataFormatError, match="no known layout fits"):
        open_dataset(path)
    assert not canary.exists()


def test_a_torchscript_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("data.pkl", "constants.pkl", "code/main.py"):
            archive.writestr(f"a/{name}", b"x")
    with pytest.raises(DataFormatError, match="TorchScript"):
        open_dataset(path)


def test_a_compressed_archive_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", b"\x80\x02}.")
        archive.writestr("a/data/0", bytes(10**7))
    with pytest.raises(DataFormatError, match="compressed or overlapping entries"):
        open_dataset(path)
