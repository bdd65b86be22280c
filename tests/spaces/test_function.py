"""Functions on grids: weights, units, and a refusal to mix discretisations."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sciml.errors import ConfigError
from sciml.spaces import Function, Mesh, PointCloud, RegularGrid
from sciml.testing.strategies import grid_functions

LINE = RegularGrid(shape=(16,), bounds=((0.0, 1.0),), periodic=True)


def wave(grid: RegularGrid = LINE) -> Function:
    return Function(torch.sin(2 * math.pi * grid.points.T), grid, name="wave", units="m")


@settings(deadline=None)
@given(grid_functions(batch=2), st.sampled_from([-2.0, 0.5, 3.0]))
def test_the_norm_is_homogeneous_and_the_integral_linear(u: Function, factor: float) -> None:
    torch.testing.assert_close((factor * u).l2_norm(), abs(factor) * u.l2_norm(), rtol=1e-10, atol=1e-12)
    scale = (u.values.abs() * u.weights).sum().item()
    torch.testing.assert_close((u * factor + u).integral(), (factor + 1) * u.integral(), rtol=1e-10, atol=1e-12 * scale)


@settings(deadline=None)
@given(grid_functions(batch=3))
def test_the_difference_with_itself_is_zero_and_the_triangle_inequality_holds(u: Function) -> None:
    assert (u - u).l2_norm().eq(0).all()
    v = dataclasses.replace(u, values=u.values.flip(0))
    assert ((u + v).l2_norm() <= (u.l2_norm() + v.l2_norm()) * (1 + 1e-12)).all()


def test_leading_axes_are_kept() -> None:
    grid = RegularGrid(shape=(3, 4), bounds=((0.0, 1.0), (0.0, 2.0)))
    values = torch.randn(5, 6, 2, 3, 4, dtype=torch.float64)
    u = Function(values, grid)
    assert u.l2_norm().shape == u.h1_norm().shape == (5, 6)
    assert u.integral().shape == (5, 6, 2)
    assert Function(values[0, 0], grid).l2_norm().shape == ()
    torch.testing.assert_close(u.l2_norm()[1, 2], Function(values[1, 2], grid).l2_norm())
    expected = np.trapezoid(np.trapezoid(values.numpy(), dx=2 / 3), dx=0.5)
    np.testing.assert_allclose(u.integral().numpy(), expected, rtol=1e-10, atol=1e-12)


def test_functions_on_different_grids_are_refused_with_both_named() -> None:
    with pytest.raises(TypeError, match=r"(?s)shape=\(16,\).*shape=\(8,\).*Resample"):
        wave() - wave(LINE.coarsen(2))
    with pytest.raises(TypeError, match=r"(?s)alignment='node'.*alignment='cell'"):
        wave() + wave(dataclasses.replace(LINE, alignment="cell"))


def test_other_operands_and_values_are_refused() -> None:
    with pytest.raises(TypeError, match="the other operand a int"):
        wave() + 1  # type: ignore[operator]
    with pytest.raises(TypeError, match="expected a tensor"):
        Function(np.zeros((1, 16)), LINE)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"'wave' have shape \(1, 15\), the grid \(16,\)"):
        Function(torch.zeros(1, 15), LINE, "wave")
    with pytest.raises(ConfigError, match="channels"):
        Function(torch.zeros(16), LINE)


def test_a_function_cannot_be_changed_and_keeps_name_and_units() -> None:
    u = wave()
    with pytest.raises(dataclasses.FrozenInstanceError):
        u.name = "other"  # type: ignore[misc]
    v = u - 0.5 * u
    assert (v.name, v.units, v.disc) == ("wave", "m", LINE)


def test_points_and_weights_follow_the_dtype_of_the_values() -> None:
    u = wave().to(dtype=torch.float32)
    assert {u.values.dtype, u.points.dtype, u.weights.dtype, u.l2_norm().dtype} == {torch.float32}
    torch.testing.assert_close(u.l2_norm().item(), math.sqrt(0.5), rtol=1e-6, atol=0)


def test_a_coefficient_of_booleans_has_points_weights_and_a_norm() -> None:
    u = Function(LINE.points.T >= 0.5, LINE)
    assert u.points.dtype == u.weights.dtype == torch.float32
    torch.testing.assert_close(u.points, LINE.points.float())
    assert u.l2_norm().item() == pytest.approx(math.sqrt(0.5), rel=1e-6)
    assert u.integral().item() == pytest.approx(0.5, rel=1e-6)


def mesh() -> Mesh:
    return Mesh.delaunay(torch.rand(12, 2, dtype=torch.float64))


def test_functions_live_on_meshes_and_point_clouds_too() -> None:
    disc = mesh()
    u = Function(torch.randn(3, 2, 12, dtype=torch.float64), disc)
    np.testing.assert_allclose(u.integral().numpy(), u.values.numpy() @ disc.weights.numpy(), rtol=1e-12)
    assert u.l1_norm().shape == u.l2_norm().shape == u.linf_norm().shape == u.h1_norm().shape == (3,)
    assert u.channels == 2
    cloud = PointCloud(disc.points, "uniform", volume=2.0)
    assert Function(torch.ones(1, 12), cloud).l2_norm().item() == pytest.approx(math.sqrt(2), rel=1e-6)


def test_functions_on_different_discretisations_are_refused_with_both_named() -> None:
    disc = mesh()
    u = Function(torch.zeros(1, 12, dtype=torch.float64), disc)
    v = Function(u.values, PointCloud(disc.points, disc.weights), "v")
    with pytest.raises(TypeError, match=r"(?s)'u' lives on Mesh\(dim=2.*'v' on PointCloud\(num_points=12.*Resample"):
        u + v
    with pytest.raises(TypeError, match="expected a grid, mesh or point cloud"):
        Function(u.values, disc.points)  # type: ignore[arg-type]


def test_one_function_of_many_is_taken_by_its_index() -> None:
    u = Function(torch.randn(5, 2, 16), LINE, name="many")
    assert len(u) == 5
    assert torch.equal(u[3].values, u.values[3])
    assert u[1:3].values.shape == (2, 2, 16)
    assert [part.name for part in u] == ["many"] * 5
    with pytest.raises(ConfigError, match="holds one function"):
        u[0][0]
    with pytest.raises(TypeError, match="one axis"):
        u[0, 1]


def test_frames_have_times() -> None:
    time = torch.linspace(0, 1, 4)
    u = Function(torch.randn(3, 4, 1, 16), LINE, time=time)
    assert u.l2_norm().shape == (3, 4)
    assert u[1].time is time
    with pytest.raises(ConfigError, match="holds one function"):
        u[1][0]
    with pytest.raises(ConfigError, match=r"time \(4,\): expected \(\.\.\., frames, channels"):
        Function(torch.randn(3, 1, 16), LINE, time=time)
