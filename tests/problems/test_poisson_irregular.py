"""Poisson's equation on star-shaped domains: exact solutions, orders, samples."""

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from sciml.errors import ConfigError
from sciml.problems._fem import mass, solve_dirichlet
from sciml.problems.poisson_irregular import PoissonIrregular
from sciml.spaces import Function, Mesh, RegularGrid
from sciml.spaces.random import GaussianBumps, GaussianProcess, StarShape


def ones(mesh: Mesh) -> Function:
    return Function(torch.ones(1, mesh.num_points, dtype=torch.float64), mesh)


def test_the_solution_on_the_unit_disc_is_that_of_the_sheet() -> None:
    disc, problem = StarShape(amplitude=0.0).sample(1), PoissonIrregular()
    errors = []
    for resolution in (16, 32, 64):
        mesh = problem.mesh(disc, resolution)
        exact = (1 - mesh.vertices.square().sum(1)) / 4
        errors.append((problem.solve(ones(mesh)).values[0] - exact).abs().max().item())
    assert all(1.7 < math.log2(a / b) < 2.3 for a, b in pairwise(errors)), errors
    assert errors[-1] < 5e-5


def test_a_solution_that_tells_the_axes_apart_is_met_with_order_two() -> None:
    star, problem, errors = StarShape().sample(1, seed=1), PoissonIrregular(), []
    for resolution in (16, 32, 64):
        mesh = problem.mesh(star, resolution)
        x, y = mesh.vertices.numpy().T
        exact = np.sin(2 * x) * np.cos(y)
        u = solve_dirichlet(mesh, (5 * exact @ mass(mesh))[None], exact[mesh.boundary_nodes.numpy()])[0]
        errors.append(math.sqrt(mesh.weights.numpy() @ (u - exact) ** 2))
    assert all(1.8 < math.log2(a / b) < 2.2 for a, b in pairwise(errors)), errors
    assert errors[-1] < 2e-3


def test_the_solution_is_linear_in_the_source_and_positive_for_positive_ones() -> None:
    problem = PoissonIrregular()
    mesh = problem.mesh(StarShape().sample(1, seed=2), 16)
    f = problem.sampler().sample(3, seed=0).on(mesh)
    u = problem.solve(f).values
    assert u.shape == f.values.shape
    combined = Function(2 * f.values[0] - f.values[2], mesh)
    torch.testing.assert_close(problem.solve(combined).values, 2 * u[0] - u[2], rtol=0, atol=1e-13)
    positive = problem.solve(ones(mesh)).values[0]
    inner = torch.ones(mesh.num_points, dtype=torch.bool)
    inner[mesh.boundary_nodes] = False
    assert (positive[inner] > 0).all()
    assert (positive[~inner] == 0).all()


def test_sources_have_a_standard_deviation_of_about_one() -> None:
    values = PoissonIrregular().sampler().sample(300, seed=0)(torch.rand(30, 2, dtype=torch.float64) * 2 - 1)
    assert values.std().item() == pytest.approx(1.0, abs=0.15)


def test_samples_depend_on_seed_and_place_alone_and_describe_their_domain() -> None:
    problem = PoissonIrregular()
    whole, part = problem.generate(4, seed=2, resolution=12), problem.generate(2, seed=2, resolution=12, start=1)
    assert set(whole.arrays) == set(whole.axes) == set(whole.roles)
    for name in whole.arrays:
        for a, b in zip(part[name], whole[name][1:3], strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)
    assert len({len(points) for points in whole["points"]}) > 1
    for points, cells, weights, u in zip(*(whole[name] for name in ("points", "cells", "weights", "u")), strict=True):
        mesh = Mesh(points, cells)
        np.testing.assert_allclose(mesh.weights, weights, rtol=1e-14)
        assert np.abs(u[mesh.boundary_nodes.numpy()]).max() == 0


def test_the_same_domains_and_sources_come_at_every_resolution() -> None:
    problem = PoissonIrregular()
    coarse, fine = (problem.generate(2, seed=0, resolution=n) for n in (12, 48))
    functions = problem.sampler().sample(2, seed=0)
    for i in range(2):
        assert coarse["weights"][i].sum() == pytest.approx(fine["weights"][i].sum(), rel=0.03)
        for data in (coarse, fine):
            values = functions(torch.from_numpy(data["points"][i]))[i]
            np.testing.assert_allclose(data["f"][i], values, atol=1e-12)


def test_domains_and_sources_are_independent() -> None:
    data = PoissonIrregular().generate(60, seed=0, resolution=6)
    area = np.array([weights.sum() for weights in data["weights"]])
    size = np.array([np.abs(f).max() for f in data["f"]])
    assert abs(np.corrcoef(area, size)[0, 1]) < 5 / math.sqrt(60)


def test_files_keep_every_sample_and_train(tmp_path: Path) -> None:
    from sciml.data import load_dataset, open_dataset
    from sciml.data.writers import save_pdebench

    data = PoissonIrregular().generate(12, seed=0, resolution=8)
    path = save_pdebench(data, tmp_path / "a.h5", dtype="float64")
    with open_dataset(path) as fields:
        for name in data.arrays:
            for stored, own in zip(fields[name][:], data[name], strict=True):
                np.testing.assert_array_equal(stored, own)
    split = load_dataset(path)["train"]
    assert {"u", "u.pos", "coords", "y", "y.weight", "y.mask"} <= set(split.tensors)


def test_sources_of_another_sampler_are_taken() -> None:
    bumps = GaussianBumps(bounds=((-1.5, 1.5), (-1.5, 1.5)))
    data = PoissonIrregular(source=bumps).generate(2, seed=3, resolution=8)
    draw = bumps.sample(2, seed=3)
    for i in range(2):
        expected = draw[i : i + 1](torch.from_numpy(data["points"][i]))[0]
        np.testing.assert_allclose(data["f"][i], expected, atol=1e-12)


def test_bad_input_is_refused_with_the_way_out() -> None:
    with pytest.raises(ConfigError, match="amplitude"):
        PoissonIrregular(amplitude=0.3)
    with pytest.raises(ConfigError, match="functions of 1 variables"):
        PoissonIrregular(source=GaussianProcess())
    with pytest.raises(ConfigError, match="expected the vertices of a mesh"):
        PoissonIrregular().solve(Function(torch.ones(1, 4, 4), RegularGrid((4, 4), ((0, 1), (0, 1)))))
    with pytest.raises(ConfigError, match="resolution is 2, expected at least 6"):
        PoissonIrregular().generate(1, resolution=2)
