"""Aligned, triplet and ragged operator data: shapes, roles, and errors that name the other layouts."""

import pytest
import torch

from sciml.data import aligned_split, grid_split, operator_dataset, ragged_split, triplet_split
from sciml.errors import ConfigError
from sciml.spaces import RegularGrid


def test_aligned_data_store_their_points_once() -> None:
    split = aligned_split(torch.rand(4, 10), torch.rand(7, 2), torch.rand(4, 3, 7), weights=torch.rand(7))
    assert split.shared == {"coords", "y.weight"}
    batch = split.batch(torch.tensor([2, 0]))
    assert batch["u"].shape == (2, 10)
    assert batch["y"].shape == (2, 3, 7)
    assert batch["coords"].shape == (7, 2)


def test_grid_data_get_a_channel_axis_and_their_grid() -> None:
    grid = RegularGrid((6, 4), ((0, 1), (0, 2)))
    split = grid_split(torch.rand(3, 6, 4), torch.rand(3, 2, 6, 4), grid)
    spec = operator_dataset({"train": split}).spec
    assert (spec["x"].channels, spec["x"].shape, spec["x"].role) == (1, (6, 4), "input")
    assert (spec["y"].channels, spec["y"].grid, spec["y"].role) == (2, grid, "target")
    with pytest.raises(ConfigError, match=r"y has shape \(3, 4, 6\).*grid of shape \(6, 4\)"):
        grid_split(torch.rand(3, 6, 4), torch.rand(3, 4, 6), grid)


def test_numpy_and_lists_become_tensors_of_the_asked_dtype() -> None:
    split = aligned_split([[0.0, 1.0]], [0.0, 0.5, 1.0], [[1.0, 2.0, 3.0]], dtype=torch.float64)
    assert {value.dtype for value in split.tensors.values()} == {torch.float64}
    assert split["coords"].tolist() == [[0.0], [0.5], [1.0]]


def test_rows_of_triplets_are_functions_with_one_query_point() -> None:
    functions, rows = torch.rand(3, 10), torch.tensor([0, 0, 2, 1, 2])
    split = triplet_split(functions, torch.rand(5, 2), torch.arange(5.0)[:, None], function=rows)
    assert split["coords"].shape == (5, 1, 2)
    assert split["y"].tolist() == [[0.0], [1.0], [2.0], [3.0], [4.0]]
    assert torch.equal(split["u"], functions[rows])


def test_vector_values_of_triplets_are_channels() -> None:
    split = triplet_split(torch.rand(5, 10), torch.rand(5), torch.rand(5, 3))
    assert split["y"].shape == (5, 3, 1)


def test_ragged_data_are_padded_and_masked() -> None:
    points = [torch.rand(2, 1), torch.rand(4, 1), torch.rand(3, 1)]
    values = [torch.rand(2, len(part)) for part in points]
    weights = [torch.rand(len(part)) for part in points]
    split = ragged_split(torch.rand(3, 10), points, values, weights)
    assert split["y"].shape == (3, 2, 4)
    assert split["y.mask"].sum(1).tolist() == [2, 4, 3]
    for i, (where, value, weight) in enumerate(zip(points, values, weights, strict=True)):
        mask = split["y.mask"][i]
        assert torch.equal(split["coords"][i, mask], where)
        assert torch.equal(split["y"][i][:, mask], value)
        assert torch.equal(split["y.weight"][i, mask], weight)
        assert not split["y.weight"][i, ~mask].any()


def test_the_specification_knows_roles_channels_and_points() -> None:
    train = aligned_split(torch.rand(4, 2, 10), torch.rand(7, 2), torch.rand(4, 3, 7), weights=torch.rand(7))
    spec = operator_dataset({"train": train}, units={"y": "K"}).spec
    assert {name: field.role for name, field in spec.fields.items()} == {
        "u": "input",
        "coords": "coords",
        "y": "target",
        "y.weight": "other",
    }
    assert (spec["u"].channels, spec["u"].shape) == (2, (10,))
    assert (spec["y"].channels, spec["y"].shape, spec["y"].units) == (3, (7,), "K")
    assert (spec["coords"].channels, spec["coords"].shape) == (2, (7,))
    assert spec["y.weight"].channels is None


def test_a_dataset_needs_a_training_split() -> None:
    with pytest.raises(ConfigError, match="expected one named 'train'"):
        operator_dataset({"fit": aligned_split(torch.rand(4, 10), torch.rand(7), torch.rand(4, 7))})


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: aligned_split(torch.rand(4, 10), torch.rand(7), torch.rand(7, 4)),
            r"expected \(4, 7\).*triplet_split",
        ),
        (lambda: aligned_split(torch.rand(4, 10), torch.rand(4), torch.rand(4)), "one point a row: triplet_split"),
        (lambda: aligned_split(torch.rand(4, 9), torch.rand(7), torch.rand(4, 7), torch.rand(6)), r"expected \(7,\)"),
        (lambda: triplet_split(torch.rand(4, 10), torch.rand(3, 2), torch.rand(4)), "one row a value"),
        (lambda: triplet_split(torch.rand(4, 10), torch.rand(7), torch.rand(4, 7)), "aligned_split"),
        (lambda: ragged_split(torch.rand(2, 10), [torch.rand(3)], [torch.rand(3)]), "expected one each"),
        (lambda: ragged_split(torch.rand(1, 10), [torch.rand(3)], [torch.rand(4)]), r"coords\[0\] has 3 points"),
        (lambda: ragged_split(torch.rand(1, 9), [torch.rand(3, 1, 1)], [torch.rand(3)]), r"coords\[0\] has shape"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(build: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build()  # type: ignore[operator]


def test_a_model_for_grids_on_functions_at_points_is_told_what_to_take() -> None:
    split = aligned_split(torch.rand(4, 5), torch.rand(7), torch.rand(4, 7))
    with pytest.raises(LookupError, match="wants functions x on a grid: take one for points, such as deeponet"):
        operator_dataset({"train": split}).spec["x"]
