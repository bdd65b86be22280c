"""Neighbours within a radius: equal to looking at all pairs, in every geometry, and sorted."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from sciml.errors import ConfigError
from sciml.nn import Neighbours, neighbours, radius_neighbours


def all_pairs(points: Tensor, queries: Tensor, radius: float) -> list[list[int]]:
    near = (queries[:, None] - points).square().sum(-1) <= radius**2
    return [row.nonzero().flatten().tolist() for row in near]


def lists(found: Neighbours) -> list[list[int]]:
    return [part.tolist() for part in found.index.split(found.ptr.diff().tolist())]


@given(
    st.integers(1, 3),
    st.integers(0, 40),
    st.integers(0, 30),
    st.floats(1e-3, 3.0),
    st.booleans(),
    st.integers(0, 10**6),
)
def test_all_pairs_within_the_radius_are_found(
    dim: int, num: int, num_queries: int, radius: float, clustered: bool, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(num, dim, generator=generator, dtype=torch.float64)
    queries = 1.5 * torch.rand(num_queries, dim, generator=generator, dtype=torch.float64) - 0.2
    if clustered:
        points = points**4
    assert lists(radius_neighbours(points, queries, radius=radius)) == all_pairs(points, queries, radius)


def test_points_on_a_lattice_at_the_distance_of_the_radius_are_neighbours() -> None:
    axis = torch.arange(12.0)
    points = torch.cartesian_prod(axis, axis)
    assert lists(radius_neighbours(points, radius=2.0)) == all_pairs(points, points, 2.0)


def test_geometries_do_not_see_each_other() -> None:
    sizes, query_sizes = [5, 0, 9, 1], [3, 2, 0, 4]
    points = [torch.rand(n, 2) for n in sizes]
    queries = [torch.rand(n, 2) for n in query_sizes]
    ptr, query_ptr = (torch.tensor([0, *s]).cumsum(0) for s in (sizes, query_sizes))
    found = radius_neighbours(torch.cat(points), torch.cat(queries), radius=0.4, ptr=ptr, query_ptr=query_ptr)
    expected = []
    for begin, p, q in zip(ptr.tolist(), points, queries, strict=False):
        expected += [[begin + j for j in row] for row in all_pairs(p, q, 0.4)]
    assert lists(found) == expected


def test_many_pairs_are_found_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    points = torch.rand(300, 2)
    whole = radius_neighbours(points, radius=0.2)
    monkeypatch.setattr(neighbours, "_CANDIDATES", 1000)
    parts = radius_neighbours(points, radius=0.2)
    assert torch.equal(parts.index, whole.index)
    assert torch.equal(parts.ptr, whole.ptr)


def test_tiny_radii_and_far_points_do_not_overflow() -> None:
    points = torch.tensor([[0.0, 0.0, 0.0], [1e-9, 0.0, 0.0], [1e6, 1e6, 1e6]], dtype=torch.float64)
    assert lists(radius_neighbours(points, radius=1e-8)) == [[0, 1], [0, 1], [2]]


def test_edge_index_has_points_above_queries() -> None:
    found = radius_neighbours(torch.tensor([[0.0], [1.0]]), torch.tensor([[0.9]]), radius=0.5)
    assert found.edge_index.tolist() == [[1], [0]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"points": torch.rand(4, 4)}, r"points have shape \(4, 4\).*one to three axes"),
        ({"queries": torch.rand(4, 3)}, r"queries \(4, 3\)"),
        ({"radius": 0.0}, "radius is 0.0, expected a positive number"),
        ({"queries": torch.rand(2, 2), "ptr": torch.tensor([0, 4])}, "belong together"),
        ({"ptr": torch.tensor([0, 5])}, "expected to rise from 0 to 4"),
        ({"points": torch.full((4, 2), float("nan"))}, "must be finite"),
    ],
)
def test_bad_input_is_named(arguments: dict[str, object], message: str) -> None:
    given = {"points": torch.rand(4, 2), "radius": 0.1} | arguments
    with pytest.raises(ConfigError, match=message):
        radius_neighbours(given.pop("points"), given.pop("queries", None), **given)  # type: ignore[arg-type]
