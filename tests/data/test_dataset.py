"""Splits and datasets: what they take, and how they are shown."""

from typing import Any

import numpy as np
import pytest
import torch

from sciml.data import Dataset, Split, load_dataset
from sciml.errors import ConfigError


def test_numpy_arrays_become_tensors_of_the_same_values() -> None:
    x = np.arange(24.0).reshape(4, 6)
    frozen = x.copy()
    frozen.flags.writeable = False
    split = Split({"x": x, "big": x.astype(">f8"), "back": x[:, ::-1], "frozen": frozen, "list": x.tolist()})
    for name in ("x", "big", "frozen", "list"):
        assert torch.equal(split[name], torch.tensor(x))
    assert torch.equal(split["back"], torch.tensor(x).flip(1))
    assert split["x"].data_ptr() == x.ctypes.data
    assert split.batch(torch.tensor([0, 3]))["x"].shape == (2, 6)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"x": ["a", "b"]}, "field 'x' is an array of str"),
        ({"x": np.array([object()])}, "field 'x' is an array of object, expected numbers"),
        ({"x": [np.zeros(2), np.zeros(3)]}, r"samples of different shapes.*ragged_split"),
        ({"x": {"a": 1}}, "field 'x' is a dict, expected a tensor or a numpy array"),
        ({"x": None}, "field 'x' is a NoneType"),
        ({"x": torch.tensor(1.0)}, "field 'x' is a single number"),
        ([1, 2], r"the fields of a split are a list, expected a mapping"),
        ({"x": np.zeros(2), "y": np.zeros(3)}, "different numbers of samples"),
    ],
)
def test_what_is_no_array_of_numbers_is_refused_by_name(tensors: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Split(tensors)


def test_they_are_shown_by_shape_not_by_value() -> None:
    split = Split({"x": torch.zeros(8, 1, 4), "coords": torch.rand(4, 1)}, shared=frozenset({"coords"}))
    assert repr(split) == "Split(8 samples: x 1 x 4 float32, coords 4 x 1 float32 shared)"
    data = load_dataset("darcy-small")
    assert repr(data).splitlines() == [
        "Dataset('darcy-small', 3 splits):",
        "  train: Split(1000 samples: x 1 x 16 x 16 float32, y 1 x 16 x 16 float32)",
        "  test_16: Split(50 samples: x 1 x 16 x 16 float32, y 1 x 16 x 16 float32)",
        "  test_32: Split(50 samples: x 1 x 32 x 32 float32, y 1 x 32 x 32 float32)",
    ]
    assert repr(Dataset({}, data.spec, "none")) == "Dataset('none', 0 splits)"
