"""Plain files: arrays x, u, y, coords and params in .npz and HDF5."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from sciml.data import load_dataset, open_dataset
from sciml.errors import ConfigError, DataFormatError


def save(path: Path, kind: str = "npz", **arrays: Any) -> Path:
    """A file with the given arrays; a shape stands for random numbers."""
    generator = np.random.default_rng(0)
    content = {k: generator.random(v) if isinstance(v, tuple) else v for k, v in arrays.items()}
    file = path / f"mine.{kind}"
    if kind == "npz":
        np.savez(file, **content)
    else:
        with h5py.File(file, "w") as h5:
            for name, values in content.items():
                h5[name] = values
    return file


@pytest.mark.parametrize("kind", ["npz", "h5"])
@pytest.mark.parametrize(
    ("shapes", "axes"),
    [
        ({"x": (5, 64), "y": (5, 64)}, {"x": "sample x1", "y": "sample x1"}),
        ({"x": (5, 16, 12), "y": (5, 16, 12)}, {"x": "sample x1 x2", "y": "sample x1 x2"}),
        ({"x": (5, 3, 16), "y": (5, 1, 16)}, {"x": "sample channel x1", "y": "sample channel x1"}),
        ({"x": (5, 8, 8), "y": (5, 8, 8)}, {"x": "sample x1 x2", "y": "sample x1 x2"}),
        ({"x": (5, 3, 16, 16), "y": (5, 16, 16)}, {"x": "sample channel x1 x2", "y": "sample x1 x2"}),
        ({"x": (5, 10, 12, 12), "y": (5, 20, 12, 12)}, {"x": "sample channel x1 x2", "y": "sample channel x1 x2"}),
        ({"x": (5, 16), "y": (5, 17, 16)}, {"x": "sample x1", "y": "sample channel x1"}),
        ({"x": (5, 10, 12, 12), "y": (5, 10, 12, 12)}, {"x": "sample x1 x2 x3", "y": "sample x1 x2 x3"}),
        ({"x": (5, 10, 4, 6, 6)}, {"x": "sample channel x1 x2 x3"}),
        (
            {"u": (5, 20), "coords": (9, 2), "y": (5, 9), "params": (5,)},
            {"u": "sample sensor", "y": "sample point", "coords": "point dim", "params": "sample"},
        ),
        (
            {"u": (5, 2, 20), "coords": (5, 9, 2), "y": (5, 3, 9)},
            {"u": "sample channel sensor", "y": "sample channel point", "coords": "sample point dim"},
        ),
        ({"u": (5, 20), "coords": (9, 2)}, {"u": "sample sensor", "coords": "point dim"}),
    ],
)
def test_the_axes_follow_the_documented_rule(
    tmp_path: Path, kind: str, shapes: dict[str, Any], axes: dict[str, str]
) -> None:
    with open_dataset(save(tmp_path, kind, **shapes)) as fields:
        assert fields.format == "plain"
        assert fields.axes == {name: tuple(words.split()) for name, words in axes.items()}
        said = "; ".join(f"{name} ({', '.join(fields.axes[name])})" for name in fields.arrays)
        assert fields.attrs["understood as"] == said


@pytest.mark.parametrize("kind", ["npz", "h5"])
def test_the_values_are_those_of_the_file(tmp_path: Path, kind: str) -> None:
    x, y = np.random.default_rng(0).random((2, 6, 1, 8)).astype("f4")
    data = load_dataset(save(tmp_path, kind, x=x, y=y), validation=2)
    assert {name: len(data[name]) for name in data} == {"train": 4, "val": 2}
    torch.testing.assert_close(data.train["x"], torch.tensor(x[:4]), rtol=0, atol=0)
    torch.testing.assert_close(data["val"]["y"], torch.tensor(y[4:]), rtol=0, atol=0)


def test_the_user_can_say_whether_there_are_channels(tmp_path: Path) -> None:
    file = save(tmp_path, x=(5, 4, 9), y=(5, 4, 9))
    assert load_dataset(file).train["x"].shape == (5, 4, 9)
    assert load_dataset(file, channels=False).train["x"].shape == (5, 1, 4, 9)
    file = save(tmp_path, x=(5, 9, 9), y=(5, 9, 9))
    assert load_dataset(file, channels=True).train["x"].shape == (5, 9, 9)
    with pytest.raises(ConfigError, match=r"data\.channels is 'yes', expected true, false or null"):
        load_dataset(file, channels="yes")


def test_values_at_points_become_fields_of_a_deeponet(tmp_path: Path) -> None:
    data = load_dataset(save(tmp_path, u=(5, 20), coords=(5, 9, 2), y=(5, 9), params=(5, 3)))
    assert {name: tuple(value.shape) for name, value in data.train.tensors.items()} == {
        "u": (5, 20), "y": (5, 9), "coords": (5, 9, 2), "params": (5, 3),
    }  # fmt: skip
    assert (data.spec["coords"].role, data.spec["coords"].channels, data.spec["coords"].shape) == ("coords", 2, (9,))
    shared = load_dataset(save(tmp_path, u=(5, 20), coords=(9, 2), y=(5, 9)))
    assert shared.train.shared == {"coords"}


@pytest.mark.parametrize("kind", ["npz", "h5"])
@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y": (5, 8)}, "no array x, and no u with y or coords"),
        ({"u": (5, 8)}, "no array x, and no u with y or coords"),
        ({"x": (5, 8), "y": (4, 8)}, r"different numbers of samples: \{'x': 5, 'y': 4\}"),
        ({"x": (5, 16, 16, 3), "y": (5, 16, 16, 1)}, r"last axis of x .*channels; .*numpy\.moveaxis\(x, -1, 1\)"),
        ({"x": (5, 16), "y": (5, 12, 12)}, "say channels=true or channels=false"),
        ({"x": (5, 0), "y": (5, 0)}, "no empty one"),
        ({"u": (5, 20), "coords": (9, 2), "y": (5, 8)}, "9 points of coords"),
        ({"x": np.array(["a", "b"]), "y": (2, 8)}, "numbers"),
    ],
)
def test_shapes_that_do_not_fit_are_named(tmp_path: Path, kind: str, arrays: dict[str, Any], message: str) -> None:
    if kind == "h5":
        arrays = {name: v.astype("S") if isinstance(v, np.ndarray) else v for name, v in arrays.items()}
    with pytest.raises(DataFormatError, match=message):
        open_dataset(save(tmp_path, kind, **arrays))


def test_hdf5_arrays_are_read_when_they_are_indexed_and_never_through_links(tmp_path: Path) -> None:
    file = save(tmp_path, "h5", x=(5, 8), y=(5, 8))
    fields = open_dataset(file)
    assert type(fields["x"]).__name__ == "H5Array"
    fields.close()
    with h5py.File(file, "a") as h5:
        h5["z"] = h5py.ExternalLink("other.h5", "x")
    with pytest.raises(DataFormatError, match="link"):
        open_dataset(file)


@pytest.mark.parametrize("kind", ["npz", "h5"])
def test_nan_is_refused_unless_it_is_allowed(tmp_path: Path, kind: str) -> None:
    x = np.ones((4, 8))
    x[2, 3] = np.nan
    file = save(tmp_path, kind, x=x, y=(4, 8))
    with pytest.raises(DataFormatError, match=r"x has 1 NaN .*index \(2, 3\).*allow_nan=True"):
        load_dataset(file)
    assert load_dataset(file, allow_nan=True).train["x"][2].isnan().sum() == 1


def test_a_pickle_in_an_npz_is_never_executed(tmp_path: Path) -> None:
    class Canary:
        def __reduce__(self) -> Any:
            return open, (str(tmp_path / "sang"), "w")

    objects = np.empty(1, dtype=object)
    objects[0] = Canary()
    with pytest.raises(DataFormatError, match="x is an array of objects"):
        open_dataset(save(tmp_path, x=objects, y=(1, 8)))
    assert not (tmp_path / "sang").exists()
