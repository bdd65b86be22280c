"""What every discretisation promises: weights, equality by content, immutability, neighbours."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch

from sciml.errors import ConfigError
from sciml.spaces import Discretization, Function, Mesh, PointCloud, RegularGrid, TensorGrid

SQUARE = ((0.0, 1.0), (0.0, 1.0))
CORNERS = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.4, 0.3]], dtype=torch.float64)


def build() -> dict[str, Discretization]:
    return {
        "grid": RegularGrid((4, 3), SQUARE),
        "tensor": TensorGrid.gauss_legendre((3, 4), SQUARE),
        "mesh": Mesh.delaunay(CORNERS),
        "cells": Mesh.delaunay(CORNERS, centers=True),
        "cloud": PointCloud(CORNERS, "voronoi", bounds=SQUARE),
    }


KINDS = list(build())


@pytest.fixture(params=KINDS)
def disc(request: pytest.FixtureRequest) -> Discretization:
    return build()[request.param]


def test_all_keep_to_the_contract(disc: Discretization) -> None:
    assert isinstance(disc, Discretization)
    assert disc.dim == 2
    assert math.prod(disc.shape) == disc.num_points == len(disc.points) == len(disc.weights)
    assert disc.points.dtype == disc.weights.dtype == torch.float64
    assert disc.weights.sum().item() == pytest.approx(disc.volume, rel=1e-12)
    assert disc.volume == pytest.approx(1.0, rel=1e-12)
    assert disc.h > 0
    assert disc.contains(disc.points).all()
    assert not disc.contains(torch.tensor([[1.5, 0.5], [0.5, -0.1]])).any()


def test_equality_and_hash_are_by_content_and_survive_copies(disc: Discretization) -> None:
    for other in (copy.deepcopy(disc), pickle.loads(pickle.dumps(disc))):
        assert other == disc
        assert hash(other) == hash(disc)
        assert torch.equal(other.points, disc.points)
    assert {disc: "kernel"}[copy.deepcopy(disc)] == "kernel"


def test_no_two_kinds_are_equal() -> None:
    kinds = build()
    assert len(set(kinds.values())) == len(kinds)
    assert kinds["grid"] != "grid"


def test_a_discretization_cannot_be_changed(disc: Discretization) -> None:
    with pytest.raises(AttributeError):
        disc.shape = (1,)  # type: ignore[misc]


def test_later_changes_of_the_users_tensors_have_no_effect() -> None:
    points, weights = CORNERS.clone(), torch.ones(5, dtype=torch.float64)
    cloud, mesh = PointCloud(points, weights), Mesh.delaunay(points)
    same = PointCloud(CORNERS, weights.clone())
    points += 7
    weights *= 2
    assert cloud == same
    assert mesh == Mesh.delaunay(CORNERS)


def test_weights_and_points_follow_dtype_and_are_kept_for_the_next_call(disc: Discretization) -> None:
    weights = disc.weights_nd(torch.float32)
    assert weights.dtype == torch.float32
    assert weights.shape == disc.shape
    assert disc.weights_nd(torch.float32) is weights
    assert disc.points_on(torch.float32) is disc.points_on(torch.float32)
    assert torch.equal(weights.flatten(), disc.weights.float())
    assert len(pickle.dumps(disc)) < 5000


def test_weights_made_in_inference_mode_serve_for_gradients_later(disc: Discretization) -> None:
    with torch.inference_mode():
        disc = copy.deepcopy(disc)
        disc.weights_nd(torch.float32)
    u = torch.randn(1, *disc.shape, requires_grad=True)
    Function(u, disc).integral().sum().backward()
    torch.testing.assert_close(u.grad, disc.weights_nd(torch.float32)[None])


@pytest.mark.parametrize("kind", KINDS)
def test_the_radius_graph_has_all_near_pairs_in_both_directions(kind: str) -> None:
    disc = build()[kind]
    distance = torch.cdist(disc.points, disc.points)
    near = (distance <= 0.45) & ~torch.eye(disc.num_points, dtype=torch.bool)
    edges = disc.radius_graph(0.45)
    dense = torch.zeros_like(near)
    dense[edges[0], edges[1]] = True
    assert torch.equal(dense, near)
    assert edges.shape == (2, int(near.sum()))
    assert (edges[1].diff() >= 0).all()


def test_the_radius_graph_reaches_across_periodic_ends() -> None:
    grid = RegularGrid((8, 3), ((1.0, 3.0), (0.0, 1.0)), periodic=(True, False))
    edges = grid.radius_graph(0.26)
    neighbours = edges[0][edges[1] == 0].tolist()
    assert neighbours == [3, 21]  # the next and the last along the periodic axis
    with pytest.raises(ConfigError, match="expected a positive number"):
        grid.radius_graph(0.0)


@pytest.mark.parametrize("kind", ["mesh", "cells", "cloud"])
def test_values_at_some_of_the_points(kind: str) -> None:
    disc = build()[kind]
    values = torch.randn(2, 3, disc.num_points)
    assert torch.equal(disc.restrict(values, [2, 0]), values[..., [2, 0]])
    mask = torch.arange(disc.num_points) < 2
    assert torch.equal(disc.restrict(values, mask), values[..., :2])
    with pytest.raises(ConfigError, match="as the last axes"):
        disc.restrict(values[..., 1:], [0])
    with pytest.raises(ConfigError, match="there are"):
        disc.restrict(values, [9])
    with pytest.raises(ConfigError, match="expected integers"):
        disc.restrict(values, torch.tensor([0.5]))


def test_moving_points_and_missing_coordinates_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"points\.detach\(\)"):
        PointCloud(CORNERS.clone().requires_grad_(), "knn", volume=1.0)
    with pytest.raises(ConfigError, match="missing coordinates"):
        PointCloud(torch.tensor([0.0, math.nan]), "uniform", volume=1.0)
    with pytest.raises(ConfigError, match=r"expected real \(n, dim\)"):
        PointCloud(np.zeros((2, 2, 2)), "uniform", volume=1.0)
    with pytest.raises(ConfigError, match=r"expected \(n, 2\)"):
        PointCloud(CORNERS, "voronoi", bounds=SQUARE).contains(torch.zeros(3))
