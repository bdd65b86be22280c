"""The plate with a hole: exact stress states, balance of forces, samples."""

import math
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch

from sciml.errors import ConfigError
from sciml.problems._meshing import mesh_polygon, straight_loop
from sciml.problems.elasticity import Elasticity, plane_stress, von_mises
from sciml.spaces import Mesh
from sciml.spaces.random import StarShape

pytest.importorskip("skfem")
E, NU, R = 2.0, 0.3, 0.2


def plate(spacing: float = 0.2) -> Mesh:
    return mesh_polygon([straight_loop([(0, 0), (1, 0), (1, 1), (0, 1)], spacing)], spacing)


def kirsch(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Displacement and stress around a round hole in an infinite plate, unit tension along the first axis."""
    x, y = points - 0.5
    r, t = np.hypot(x, y), np.arctan2(y, x)
    mu, k = E / (2 * (1 + NU)), (3 - NU) / (1 + NU)
    c, s = np.cos, np.sin
    u = r / R * (k + 1) * c(t) + 2 * R / r * ((1 + k) * c(t) + c(3 * t)) - 2 * (R / r) ** 3 * c(3 * t)
    v = r / R * (k - 3) * s(t) + 2 * R / r * ((1 - k) * s(t) + s(3 * t)) - 2 * (R / r) ** 3 * s(3 * t)
    a = (R / r) ** 2
    xx = 1 - a * (1.5 * c(2 * t) + c(4 * t)) + 1.5 * a**2 * c(4 * t)
    yy = -a * (0.5 * c(2 * t) - c(4 * t)) - 1.5 * a**2 * c(4 * t)
    xy = -a * (0.5 * s(2 * t) + s(4 * t)) + 1.5 * a**2 * s(4 * t)
    return R / (8 * mu) * np.stack([u, v]), np.stack([xx, yy, xy])


def test_a_round_hole_meets_the_solution_of_kirsch_with_order_two() -> None:
    disc, problem = StarShape(amplitude=0.0).sample(1), Elasticity()
    errors = []
    for resolution in (16, 32, 64):
        mesh = problem.mesh(disc, R, resolution)
        u, stress = plane_stress(
            mesh,
            young=E,
            poisson=NU,
            fixed=lambda x: np.abs(x - 0.5).max(0) > 0.5 - 1e-9,
            displacement=lambda x: kirsch(x)[0],
        )
        exact_u, exact = kirsch(mesh.vertices.numpy().T)
        error = math.sqrt(mesh.weights.numpy() @ ((stress - exact.T) ** 2).sum(1))
        errors.append((np.abs(u - exact_u.T).max(), error))
    for kind in zip(*errors, strict=True):
        assert all(1.7 < math.log2(a / b) < 2.4 for a, b in pairwise(kind)), errors
    # Three times the tension at the side of the hole.
    assert von_mises(stress).max() == pytest.approx(3.0, rel=0.02)


def test_quadratic_displacements_are_met_to_rounding() -> None:
    """Pure bending, sigma_xx = y: the displacement is quadratic, the stress linear."""

    def exact(x: np.ndarray) -> np.ndarray:
        return np.stack([x[0] * x[1], -(x[0] ** 2 + NU * x[1] ** 2) / 2]) / E

    mesh = plate()
    u, stress = plane_stress(mesh, young=E, poisson=NU, fixed=lambda x: x[0] > -1, displacement=exact)
    x = mesh.vertices.numpy().T
    np.testing.assert_allclose(u, exact(x).T, atol=1e-13)
    np.testing.assert_allclose(stress, np.stack([x[1], 0 * x[1], 0 * x[1]], -1), atol=1e-12)


def test_without_hole_and_transverse_strain_the_stress_is_the_traction_everywhere() -> None:
    displacement, stress = Elasticity(young=4.0, poisson=0.0, traction=3.0).solve(plate())
    torch.testing.assert_close(stress.values, torch.full_like(stress.values, 3.0), rtol=0, atol=1e-11)
    y = stress.disc.points[:, 1]
    torch.testing.assert_close(displacement.values[1], 0.75 * y, rtol=0, atol=1e-12)
    assert displacement.values[0].abs().max() < 1e-12


def test_the_mean_vertical_stress_balances_the_traction() -> None:
    """Virtual work of the displacement (0, y): the integral of sigma_yy is the force times the height."""
    problem = Elasticity()
    mesh = problem.mesh(StarShape().sample(1, seed=4), 0.2, 32)
    _, stress = plane_stress(
        mesh,
        young=1.0,
        poisson=0.3,
        fixed=lambda x: x[1] < 1e-9,
        loaded=lambda x: x[1] > 1 - 1e-9,
        traction=(0.0, 1.0),
    )
    # Averages at the vertices and their quadrature: not to rounding.
    assert mesh.weights.numpy() @ stress[:, 1] == pytest.approx(1.0, abs=5e-3)


def test_stress_scales_with_the_traction_and_not_with_the_modulus() -> None:
    base = Elasticity().generate(1, seed=0, resolution=10)
    other = Elasticity(young=7.0, traction=2.0).generate(1, seed=0, resolution=10)
    np.testing.assert_allclose(other["stress"][0], 2 * base["stress"][0], rtol=1e-9)
    np.testing.assert_allclose(other["displacement"][0], 2 / 7 * base["displacement"][0], rtol=1e-9, atol=1e-14)


def test_von_mises_stress_is_that_of_the_tensor() -> None:
    stress = np.random.default_rng(0).standard_normal((5, 3))
    full = np.zeros((5, 3, 3))
    full[:, 0, 0], full[:, 1, 1], full[:, 0, 1], full[:, 1, 0] = *stress.T[:2], stress[:, 2], stress[:, 2]
    deviator = full - np.trace(full, axis1=1, axis2=2)[:, None, None] * np.eye(3) / 3
    np.testing.assert_allclose(von_mises(stress), np.sqrt(1.5 * (deviator**2).sum((1, 2))), rtol=1e-12)


def test_samples_depend_on_seed_and_place_alone_and_the_hole_is_where_they_say() -> None:
    problem = Elasticity()
    whole, part = problem.generate(3, seed=2, resolution=10), problem.generate(2, seed=2, resolution=10, start=1)
    assert set(whole.arrays) == set(whole.axes) == set(whole.roles)
    for name in whole.arrays:
        for a, b in zip(part[name], whole[name][1:], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)
    angles = whole.coords["sensor"]
    for hole, points, weights in zip(whole["hole"], whole["points"], whole["weights"], strict=True):
        x, y = points.T - 0.5
        radius = np.interp(np.arctan2(y, x) % (2 * np.pi), angles, hole, period=2 * np.pi)
        # Straight lines between the sensors and between the vertices.
        assert (np.hypot(x, y) > 0.97 * radius).all()
        assert (np.abs(np.hypot(x, y) - radius) < 0.01).sum() >= 8
        assert weights.sum() == pytest.approx(1 - 0.5 * np.mean(hole**2) * 2 * np.pi, abs=0.02)


def test_impossible_plates_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"reaches up to 0\.626"):
        Elasticity(radius_max=0.4)
    with pytest.raises(ConfigError, match=r"a ratio in \(-1, 0\.5\]"):
        Elasticity(poisson=0.9)


def test_without_scikit_fem_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skfem", None)
    with pytest.raises(ImportError, match=r"pip install 'sciml\[fem\]'"):
        Elasticity().generate(1, resolution=8)
