"""Baselines: exact where they should be, and interpolated in true coordinates."""

import numpy as np
import pytest
import torch
from scipy.interpolate import RegularGridInterpolator

from sciml.data import Dataset, Split
from sciml.errors import ConfigError
from sciml.spaces import DataSpec, RegularGrid
from sciml.tasks import linear_baseline, mean_baseline


def square(n: int) -> RegularGrid:
    return RegularGrid(shape=(n, n), bounds=((0.0, 1.0), (0.0, 2.0)))


def data(n: int, fine: int) -> Dataset:
    generator = torch.Generator().manual_seed(0)

    def split(num: int, size: int) -> Split:
        # Affine functions: linear interpolation is exact for them.
        a = torch.randn(num, 3, generator=generator, dtype=torch.float64)
        points = square(size).points.double()
        x = (a[:, :1] + a[:, 1:2] * points[:, 0] + a[:, 2:] * points[:, 1]).reshape(num, 1, size, size)
        grid = square(size)
        return Split({"x": x, "y": 3 * x.flip(2) - 1}, grids={"x": grid, "y": grid})

    return Dataset({"train": split(20, n), "test": split(7, n), "fine": split(7, fine)}, DataSpec())


def test_least_squares_is_exact_for_an_affine_operator_on_both_grids() -> None:
    dataset = data(5, 9)
    predict = linear_baseline(dataset)
    for name in ("train", "test", "fine"):
        torch.testing.assert_close(predict(dataset[name]), dataset[name]["y"], rtol=1e-9, atol=1e-9)


def test_the_mean_is_that_of_numpy_and_is_interpolated_as_scipy_does() -> None:
    dataset = data(5, 8)
    mean = dataset.train["y"].numpy().mean(0)[0]
    predict = mean_baseline(dataset)
    np.testing.assert_allclose(predict(dataset["test"])[3, 0].numpy(), mean, rtol=1e-12)
    axes = tuple(axis.double().numpy() for axis in square(5).axes)
    expected = RegularGridInterpolator(axes, mean)(square(8).points.double().numpy()).reshape(8, 8)
    np.testing.assert_allclose(predict(dataset["fine"])[0, 0].numpy(), expected, rtol=1e-9, atol=1e-12)


def test_another_shape_without_grids_is_refused() -> None:
    train = Split({"x": torch.zeros(3, 1, 4), "y": torch.zeros(3, 1, 4)})
    test = Split({"x": torch.zeros(3, 1, 8), "y": torch.zeros(3, 1, 8)})
    predict = mean_baseline(Dataset({"train": train, "test": test}, DataSpec()))
    with pytest.raises(ConfigError, match="gives no grids"):
        predict(test)
