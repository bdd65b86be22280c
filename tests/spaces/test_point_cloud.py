"""Point clouds: weights only as asked for, and right where an independent answer is at hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from sciml.errors import ConfigError
from sciml.spaces import Function, PointCloud, RegularGrid

UNIT = ((0.0, 1.0),)


def random_points(num: int, dim: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(num, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("rule", ["uniform", "voronoi", "knn"])
@settings(deadline=None, max_examples=15)
@given(dim=st.integers(1, 3), num=st.integers(10, 60), seed=st.integers(0, 1000))
def test_weights_sum_to_the_volume_of_the_box(rule: str, dim: int, num: int, seed: int) -> None:
    bounds = tuple((-0.5 * axis, 1.0 + axis) for axis in range(dim))
    low, high = torch.tensor(bounds, dtype=torch.float64).T
    cloud = PointCloud(low + random_points(num, dim, seed) * (high - low), rule, bounds=bounds)
    volume = math.prod(end - begin for begin, end in bounds)
    assert cloud.volume == pytest.approx(volume, rel=1e-10)
    assert (cloud.weights >= 0).all()
    assert len(cloud.weights) == num


@pytest.mark.parametrize("dim", [2, 3])
def test_voronoi_weights_are_the_shares_of_random_points(dim: int) -> None:
    points = random_points(40, dim)
    points[:6, 0], points[6:9, 1] = 0.0, 1.0  # faces
    points[9], points[10] = 0.0, 1.0  # corners
    cloud = PointCloud(points, "voronoi", bounds=UNIT * dim)
    nearest = cKDTree(points.numpy()).query(np.random.default_rng(0).random((200_000, dim)))[1]
    share = np.bincount(nearest, minlength=40) / 200_000
    error = np.sqrt(share * (1 - share) / 200_000)
    assert (np.abs(share - cloud.weights.numpy()) < 5 * error + 1e-12).all()


@pytest.mark.parametrize("dim", [2, 3])
def test_voronoi_weights_of_a_cluster_reach_the_faces_of_the_box(dim: int) -> None:
    points = 0.45 + 0.1 * random_points(60, dim)  # no image in a face is near
    cloud = PointCloud(points, "voronoi", bounds=UNIT * dim)
    nearest = cKDTree(points.numpy()).query(np.random.default_rng(0).random((200_000, dim)))[1]
    share = np.bincount(nearest, minlength=60) / 200_000
    error = np.sqrt(share * (1 - share) / 200_000)
    assert (np.abs(share - cloud.weights.numpy()) < 5 * error + 5e-5).all()
    assert cloud.volume == pytest.approx(1, rel=1e-10)


@pytest.mark.parametrize("alignment", ["node", "cell"])
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_voronoi_weights_of_a_grid_are_those_of_the_grid(alignment: str, dim: int) -> None:
    grid = RegularGrid((5, 4, 3)[:dim], ((0.0, 2.0), (1.0, 2.0), (0.0, 1.0))[:dim], alignment=alignment)
    cloud = PointCloud(grid.points, "voronoi", bounds=grid.bounds)
    torch.testing.assert_close(cloud.weights, grid.weights, rtol=1e-10, atol=0)


def test_sorted_trapezoid_equals_numpy_and_keeps_the_order_of_the_points() -> None:
    x = random_points(20, 1)[:, 0]
    cloud = PointCloud(x, "sorted-trapezoid")
    u = torch.exp(x)
    order = x.argsort().numpy()
    expected = np.trapezoid(u.numpy()[order], x.numpy()[order])
    assert (u * cloud.weights).sum().item() == pytest.approx(expected, rel=1e-12)
    assert cloud.volume == pytest.approx((x.max() - x.min()).item())
    assert PointCloud(x, "sorted-trapezoid", bounds=UNIT).weights.sum().item() == pytest.approx(1.0, rel=1e-12)


def test_knn_weights_grow_with_the_distance_to_the_neighbours() -> None:
    x = torch.tensor([0.0, 0.1, 0.2, 1.0, 2.0])
    weights = PointCloud(x, "knn", volume=4.0, k=1).weights
    expected = torch.tensor([0.1, 0.1, 0.1, 0.8, 1.0], dtype=torch.float64)
    torch.testing.assert_close(weights, 4 * expected / expected.sum(), rtol=1e-6, atol=0)


def test_knn_weights_correct_the_bias_of_a_dense_corner() -> None:
    points = random_points(4000, 2) ** 2  # dense near the origin
    f = points.sum(1)  # integral 1
    uniform, knn = (
        (f * PointCloud(points, rule, bounds=UNIT * 2, **k).weights).sum().item()
        for rule, k in (("uniform", {}), ("knn", {"k": 16}))
    )
    assert uniform == pytest.approx(2 / 3, abs=0.05)
    assert knn == pytest.approx(1.0, abs=0.1)


def test_monte_carlo_turns_into_quadrature() -> None:
    # Section 7A of the sheet: points crowd at 0, and the norm of a sine is asked for.
    generator = np.random.default_rng(0)
    exact = 1 / math.sqrt(2)
    errors, biases = [], []
    for _ in range(300):
        x = torch.from_numpy(generator.beta(0.3, 1.0, 100))
        quadrature, plain = (
            Function(torch.sin(2 * math.pi * x)[None], cloud).l2_norm().item() / exact - 1
            for cloud in (PointCloud(x, "sorted-trapezoid"), PointCloud(x, "uniform", volume=1.0))
        )
        errors.append(abs(quadrature))
        biases.append(plain)
    assert np.quantile(errors, 0.95) < 0.025
    # Measured -21 %; a draw scatters by 4.5 %, the mean of 300 by 0.26 %.
    assert np.mean(biases) == pytest.approx(-0.21, abs=5 * 0.0026)


def test_the_largest_gap_between_nearest_neighbours() -> None:
    assert PointCloud(torch.tensor([0.0, 1.0, 3.0]), "sorted-trapezoid").h == 2.0
    assert PointCloud(torch.zeros(1, 2), [1.0]).h == 0.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weights": "equal"}, "'uniform', 'voronoi', 'knn', 'sorted-trapezoid'"),
        ({"weights": "uniform"}, "give either bounds or volume"),
        ({"weights": "knn", "volume": 1.0, "bounds": UNIT * 2}, "either bounds or volume"),
        ({"weights": "uniform", "volume": 0.0}, "a positive number"),
        ({"weights": "voronoi"}, "give bounds"),
        ({"weights": "voronoi", "volume": 1.0}, "give bounds instead"),
        ({"weights": "sorted-trapezoid"}, "no order: use 'voronoi' or 'knn'"),
        ({"weights": "knn", "volume": 1.0, "k": 20}, "1 to 19 neighbours"),
        ({"weights": torch.ones(3)}, r"one for each point, \(20,\)"),
        ({"weights": -torch.ones(20)}, "not negative"),
        ({"weights": torch.ones(20), "volume": 20.0}, "leave it out"),
        ({"weights": "uniform", "bounds": UNIT}, "one pair per axis"),
        ({"weights": "uniform", "bounds": ((0.0, 1.0), (1.0, 1.0))}, "begin < end"),
        ({"weights": "uniform", "bounds": ((0.0, 1.0), (0.0, 0.5))}, "points lie outside the bounds"),
    ],
)
def test_weights_that_cannot_be_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PointCloud(random_points(20, 2), **arguments)


def test_weights_are_never_assumed() -> None:
    with pytest.raises(TypeError, match="weights"):
        PointCloud(random_points(3, 2))  # type: ignore[call-arg]


def test_repeated_points_have_no_voronoi_cells_and_a_cloud_without_a_box_no_inside() -> None:
    points = torch.tensor([[0.5, 0.5], [0.5, 0.5], [0.1, 0.2]])
    with pytest.raises(ConfigError, match="remove the repeated ones, or use 'knn'"):
        PointCloud(points, "voronoi", bounds=UNIT * 2)
    with pytest.raises(ConfigError, match="raise k"):
        PointCloud(torch.zeros(4, 2), "knn", volume=1.0, k=2)
    with pytest.raises(ConfigError, match=r"bounds=\.\.\."):
        PointCloud(points, [1.0, 1.0, 1.0]).contains(points)
    with pytest.raises(ConfigError, match="use 'knn'"):
        PointCloud(torch.rand(4, 4), "voronoi", bounds=UNIT * 4)
