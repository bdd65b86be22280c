"""Datasets at several resolutions: values on coarse grids, names and order of splits, specification, refusals."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sciml.data import Dataset, Split, at_resolutions, grid_split, operator_dataset, restrict_split
from sciml.data.resolutions import finest_first, resolution_options, training_splits
from sciml.errors import ConfigError, UnknownNameError
from sciml.spaces import RegularGrid


def wave(grid: RegularGrid) -> torch.Tensor:
    """A function with period 1 in all coordinates, two samples."""
    phase = grid.points.sum(-1).reshape(grid.shape)
    return torch.stack([torch.sin(2 * torch.pi * phase), torch.cos(4 * torch.pi * phase)])[:, None]


def square(n: int, alignment: Any = "node", periodic: bool = False, dim: int = 2) -> Split:
    grid = RegularGrid((n,) * dim, ((0.0, 1.0),) * dim, periodic, alignment)
    return grid_split(wave(grid), wave(grid) ** 2, grid, torch.float64)


def dataset(n: int = 16, alignment: Any = "left") -> Dataset:
    return operator_dataset({name: square(n, alignment) for name in ("train", "val", "test")})


@given(
    factor=st.integers(1, 4),
    coarse=st.integers(2, 5),
    kind=st.sampled_from([("node", False), ("node", True), ("left", False)]),
    dim=st.integers(1, 2),
)
def test_striding_gives_the_values_at_the_points_of_the_coarse_grid(
    factor: int, coarse: int, kind: tuple[Any, bool], dim: int
) -> None:
    closed = kind == ("node", False)
    fine = factor * (coarse - 1) + 1 if closed else factor * coarse
    result = restrict_split(square(fine, *kind, dim=dim), coarse)
    assert result.grids["y"].shape == (coarse,) * dim
    # The same function sampled on the coarse grid; points of nested grids agree bit for bit.
    assert torch.equal(result["x"], wave(result.grids["x"]))


def test_cells_are_averaged() -> None:
    split = square(12, "cell")
    result = restrict_split(split, 4)
    expected = split["x"].numpy().reshape(2, 1, 4, 3, 4, 3).mean((3, 5))
    np.testing.assert_allclose(result["x"].numpy(), expected, rtol=1e-12, atol=1e-15)
    # Cells that do not divide: the integral stays.
    odd = restrict_split(split, 5)
    torch.testing.assert_close(odd["y"].mean((2, 3)), split["y"].mean((2, 3)), rtol=1e-12, atol=1e-14)


def test_fourier_keeps_the_modes_that_the_coarse_grid_holds() -> None:
    split = square(30, "node", periodic=True, dim=1)
    result = restrict_split(split, 7, "fourier")
    torch.testing.assert_close(result["x"], wave(result.grids["x"]), rtol=1e-12, atol=1e-13)


def test_axes_may_have_resolutions_of_their_own() -> None:
    split = square(16, "left")
    result = restrict_split(split, [8, 4])
    assert torch.equal(result["y"], split["y"][:, :, ::2, ::4])
    data = at_resolutions(dataset(), [[8, 4], [16, 16]])
    assert data.names("train") == ["train_16", "train_8x4"]


def test_striding_copies_nothing() -> None:
    split = square(16, "left")
    assert restrict_split(split, 8)["x"].untyped_storage().data_ptr() == split["x"].untyped_storage().data_ptr()


def test_fields_without_a_grid_stay() -> None:
    split = square(16, "left")
    split = Split({**split.tensors, "params": torch.rand(2, 3)}, grids=split.grids)
    assert restrict_split(split, 4)["params"] is split["params"]


def test_training_and_test_splits_are_named_by_their_resolution() -> None:
    data = at_resolutions(dataset(), [8, 16, 4], [4, 16])
    # From fine to coarse, so that the first is the reference.
    assert list(data) == ["train_16", "train_8", "train_4", "val", "test_4", "test_16"]
    assert data.train is data["train_16"]
    assert list(training_splits(data)) == ["train_16", "train_8", "train_4"]
    assert {len(data[name]) for name in data} == {2}


def test_specification_and_validation_go_to_the_finest_training_grid() -> None:
    data = at_resolutions(dataset(), [8, 4])
    assert data.spec["x"].shape == data.spec["y"].shape == (8, 8)
    assert data.spec.grid == data["train_8"].grids["x"] == data["val"].grids["x"]
    assert data["test"].grids["x"].shape == (16, 16)


def test_without_resolutions_nothing_changes() -> None:
    data = dataset()
    assert at_resolutions(data).splits == data.splits
    assert at_resolutions(data, test_resolutions=[16, 8]).names("") == ["train", "val", "test_16", "test_8"]


def test_a_test_split_that_is_there_is_kept() -> None:
    own = square(8, "left")
    data = operator_dataset({"train": square(16, "left"), "test_8": own, "test_16": square(16, "left")})
    result = at_resolutions(data, test_resolutions=[4, 8, 16])
    assert result.names("test") == ["test_4", "test_8", "test_16"]
    assert result["test_8"] is own


def test_splits_of_several_resolutions_make_a_dataset_whose_reference_is_the_finest() -> None:
    data = operator_dataset({"test": square(4), "train_5": square(5), "train_9": square(9)})
    assert list(data) == ["train_9", "train_5", "test"]
    assert data.spec["x"].shape == (9, 9)
    assert data.train is data["train_9"]
    assert next(iter(finest_first({"train_9": square(9), "train": square(5)}))) == "train"


def test_options_of_the_factory_stay_with_it() -> None:
    def problem(train: int = 1, test_resolutions: Any = ()) -> None: ...

    options = {"train": 3, "resolutions": [8], "test_resolutions": [8]}
    assert resolution_options(options, problem) == {"resolutions": [8]}
    assert resolution_options(options) == {"resolutions": [8], "test_resolutions": [8]}
    # What fits no data is refused before these are loaded, or generated for an hour.
    with pytest.raises(ConfigError, match="expected a list"):
        resolution_options({"resolutions": 8})
    with pytest.raises(UnknownNameError, match="resampling"):
        resolution_options({"resampling": 8})


@pytest.mark.parametrize(
    ("split", "resolution", "resampling", "message"),
    [
        (square(17), 8, "auto", "no stride through them gives 8. Strides give 9, 5, 3; or .* 'linear' or 'cubic'"),
        (square(16, "left", True), 6, "auto", "Strides give 8, 4, 2; or .* 'fourier'"),
        (square(16, "cell"), 8, "stride", "share no centres with coarser ones: set data.resampling to 'average'"),
        (square(16, "left"), 32, "auto", "resolution 32 is finer than the data: x has 16 points"),
        (square(16, "left"), [8, 8, 8], "auto", "resolution 8 has 3 axes, the grid of x 2"),
        (square(16, "left"), 8, "fourier", "periodic"),
        (Split({"x": torch.zeros(2, 1, 8), "y": torch.zeros(2, 1, 8)}), 4, "auto", "have no regular grid"),
    ],
)
def test_grids_that_cannot_be_reached_are_refused(split: Split, resolution: Any, resampling: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        restrict_split(split, resolution, resampling)


def test_fields_that_belong_to_the_points_are_refused() -> None:
    split = square(16, "left")
    tied = Split({**split.tensors, "y.weight": torch.ones(2, 16, 16)}, grids=split.grids)
    with pytest.raises(ConfigError, match=r"y\.weight belong to the points .* one split for each resolution"):
        restrict_split(tied, 8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resolutions": 16}, r"data\.resolutions is 16, expected a list such as \[16, 32\]"),
        ({"resolutions": [8, "4"]}, "expected a list"),
        ({"resolutions": [8, 0]}, "expected a list"),
        ({"test_resolutions": [True]}, r"data\.test_resolutions is \[True\]"),
        ({"resolutions": [8, [8, 8]]}, "names a resolution twice: 8, 8"),
        ({"resolutions": [32]}, "the split train cannot be taken to resolution 32: .* finer than the data"),
        ({"test_resolutions": [32]}, "the split test cannot be taken to resolution 32: .* finer than the data"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        at_resolutions(dataset(), **options)


def test_an_unknown_way_of_resampling_gives_the_names() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'stride'"):
        restrict_split(square(16, "left"), 8, "strid")


def test_several_training_splits_need_no_resolutions() -> None:
    data = operator_dataset({"train_9": square(9), "train_5": square(5)})
    with pytest.raises(ConfigError, match=r"there are train_9, train_5.*leave out data.resolutions"):
        at_resolutions(data, [5])
    with pytest.raises(ConfigError, match="needs a test split"):
        at_resolutions(data, test_resolutions=[5])
