"""Meshes of polygons: they fill the region, keep its boundary, and have no thin triangles."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sciml.errors import ConfigError
from sciml.problems._meshing import mesh_polygon, star_loop, straight_loop
from sciml.spaces import Mesh
from sciml.spaces.random import Stars, StarShape

SQUARE = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]


def smallest_angle(mesh: Mesh) -> float:
    corners = mesh.vertices[mesh.cells]
    one, other = (corners.roll(-k, 1) - corners for k in (1, 2))
    cosine = (one * other).sum(-1) / (one.norm(dim=-1) * other.norm(dim=-1))
    return float(torch.rad2deg(torch.acos(cosine)).min())


def enclosed(loop: np.ndarray) -> float:
    x, y = loop.T
    return 0.5 * abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))


@given(seed=st.integers(0, 10**6), spacing=st.floats(0.06, 0.3))
def test_star_shaped_domains_are_filled_and_keep_their_boundary(seed: int, spacing: float) -> None:
    star = StarShape().sample(1, seed=seed)
    loop = star_loop(star, spacing)
    mesh = mesh_polygon([loop], spacing)
    assert mesh.volume == pytest.approx(enclosed(loop), rel=1e-10)
    np.testing.assert_array_equal(mesh.vertices[: len(loop)], loop)
    sides = {tuple(sorted((i, (i + 1) % len(loop)))) for i in range(len(loop))}
    assert {tuple(side) for side in mesh.boundary_facets.tolist()} == sides
    assert smallest_angle(mesh) > 15


@given(seed=st.integers(0, 10**6), radius=st.floats(0.1, 0.25))
def test_a_hole_is_left_out(seed: int, radius: float) -> None:
    hole = star_loop(StarShape().sample(1, seed=seed), 0.08, radius, (0.5, 0.5))
    mesh = mesh_polygon([straight_loop(SQUARE, 0.08), hole], 0.08)
    assert mesh.volume == pytest.approx(1 - enclosed(hole), rel=1e-10)
    assert len(mesh.boundary_nodes) == len(hole) + 52
    assert not mesh.contains(torch.tensor([[0.5, 0.5]]))[0]


def test_neighbours_on_a_star_are_equally_far_apart_and_lie_on_it() -> None:
    star = StarShape().sample(1, seed=3)
    loop = star_loop(star, 0.1)
    sides = np.linalg.norm(np.roll(loop, -1, 0) - loop, axis=1)
    assert sides.max() <= 0.1
    assert sides.min() > 0.97 * sides.max()
    radius = star.radius(torch.from_numpy(np.arctan2(loop[:, 1], loop[:, 0])))[0].numpy()
    # The star has 2048 points of its own.
    np.testing.assert_allclose(np.linalg.norm(loop, axis=1), radius, atol=1e-5)


def test_finer_stars_have_the_area_of_the_smooth_one() -> None:
    star = Stars(torch.tensor([[[0.08, -0.05], [0.02, 0.1]]], dtype=torch.float64))
    meshes = [mesh_polygon([star_loop(star, h)], h) for h in (0.2, 0.1, 0.05)]
    errors = [float(star.area()) - mesh.volume for mesh in meshes]
    assert all(3.5 < a / b < 4.5 for a, b in pairwise(errors)), errors


def test_loops_too_coarse_for_a_narrow_part_are_refused() -> None:
    gap = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]
    wall = straight_loop([(0.1, 0.001), (0.9, 0.001), (0.9, 0.5), (0.1, 0.5)], 0.9)
    with pytest.raises(ConfigError, match="too coarse for the narrow parts"):
        mesh_polygon([straight_loop(gap, 0.25), wall], 0.25)
