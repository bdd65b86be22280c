"""Errors of samples: equal to other libraries where definitions match, differentiable everywhere, honest at zero."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sciml.errors import ConfigError
from sciml.metrics import max_error, mse, nrmse, reduce, relative_h1, relative_l2, rmse, vrmse
from sciml.spaces import (
    Discretization,
    Function,
    FunctionBatch,
    Mesh,
    PointCloud,
    RegularGrid,
    TensorGrid,
    h1_norm,
    l2_norm,
)
from sciml.testing.strategies import grid_functions, regular_grids

CLOSED = RegularGrid(shape=(4, 5), bounds=((0.0, 1.0), (0.0, 2.0)))
TORUS = RegularGrid(shape=(4, 5), bounds=CLOSED.bounds, periodic=True)

Metric = Callable[[Tensor, Tensor], Tensor]


def weighted_l2(prediction: Tensor, target: Tensor) -> Tensor:
    return relative_l2(prediction, target, CLOSED.weights)


def h1_closed(prediction: Tensor, target: Tensor) -> Tensor:
    return relative_h1(prediction, target, CLOSED)


def h1_periodic(prediction: Tensor, target: Tensor) -> Tensor:
    return relative_h1(prediction, target, TORUS)


RELATIVE = [relative_l2, weighted_l2, h1_closed, h1_periodic, nrmse, vrmse]
ABSOLUTE = [mse, rmse, max_error]


def pair(*shape: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    return torch.randn(*shape, dtype=dtype), torch.randn(*shape, dtype=dtype)


@pytest.mark.parametrize("shape", [(6, 1, 16), (6, 1, 9, 12), (6, 1, 4, 5, 6)])
def test_relative_l2_equals_neuraloperator_for_one_channel(shape: tuple[int, ...]) -> None:
    losses = pytest.importorskip("neuralop.losses")
    prediction, target = pair(*shape)
    peer = losses.LpLoss(d=len(shape) - 2, p=2, reduction="mean").rel(prediction, target)
    # The peer adds 1e-8 to the denominator.
    torch.testing.assert_close(relative_l2(prediction, target).mean(), peer, rtol=1e-6, atol=0)


@pytest.mark.parametrize("dim", [1, 2])
def test_relative_h1_equals_neuraloperator_away_from_the_boundary(dim: int) -> None:
    losses = pytest.importorskip("neuralop.losses")
    # The peer has spacing L/n and equal weights everywhere, as a grid without its right end. It takes four points for
    # the slope at an end, we take three: both see a function that vanishes within four points of the boundary alike.
    grid = RegularGrid(shape=(14, 12)[:dim], bounds=((0.0, 1.0), (0.0, 1.0))[:dim], alignment="left")
    prediction, target = (torch.nn.functional.pad(u, (4, 4) * dim) for u in pair(6, 1, *(6, 4)[:dim]))
    peer = losses.H1Loss(d=dim, reduction="mean", periodic_in_x=False, periodic_in_y=False).rel(prediction, target)
    torch.testing.assert_close(relative_h1(prediction, target, grid).mean(), peer, rtol=1e-6, atol=0)


def test_the_mean_is_the_mean_l2_relative_error_of_deepxde() -> None:
    prediction, target = pair(7, 30)
    y, y_hat = target.numpy(), prediction.numpy()
    expected = np.mean(np.linalg.norm(y - y_hat, axis=1) / np.linalg.norm(y, axis=1))
    assert relative_l2(prediction, target).mean().item() == pytest.approx(expected, rel=1e-10)


def test_errors_equal_formulas_written_out_in_numpy() -> None:
    prediction, target = pair(3, 2, 4, 5)
    p, t = prediction.numpy(), target.numpy()
    space, everything = (2, 3), (1, 2, 3)
    mean = t.mean(space, keepdims=True)
    expected = {
        mse: ((p - t) ** 2).mean(everything),
        rmse: np.sqrt(((p - t) ** 2).mean(everything)),
        nrmse: (np.sqrt(((p - t) ** 2).mean(space)) / np.sqrt((t**2).mean(space))).mean(1),
        vrmse: (np.sqrt(((p - t) ** 2).mean(space) / ((t - mean) ** 2).mean(space))).mean(1),
        max_error: np.abs(p - t).max(everything),
    }
    for metric, values in expected.items():
        np.testing.assert_allclose(metric(prediction, target).numpy(), values, rtol=1e-10)


def test_relative_errors_are_ratios_of_the_norms_of_spaces() -> None:
    prediction, target = pair(3, 2, 4, 5)
    error = prediction - target
    expected = l2_norm(error, CLOSED) / l2_norm(target, CLOSED)
    torch.testing.assert_close(weighted_l2(prediction, target), expected, rtol=1e-10, atol=0)
    torch.testing.assert_close(
        h1_closed(prediction, target), h1_norm(error, CLOSED) / h1_norm(target, CLOSED), rtol=1e-10, atol=0
    )


def test_weights_may_be_a_list_of_points_or_a_grid_and_equal_ones_cancel() -> None:
    prediction, target = pair(3, 2, 4, 5)
    expected = relative_l2(prediction, target, CLOSED.weights_nd())
    assert torch.equal(relative_l2(prediction, target, CLOSED.weights), expected)
    assert torch.equal(relative_l2(prediction.flatten(2), target.flatten(2), CLOSED.weights), expected)
    torch.testing.assert_close(
        relative_l2(prediction, target, TORUS.weights), relative_l2(prediction, target), rtol=1e-10, atol=0
    )


def test_weights_make_the_error_independent_of_the_resolution() -> None:
    def error(n: int) -> float:
        grid = RegularGrid(shape=(n,), bounds=((0.0, 1.0),))
        x = grid.points.T[None]
        return relative_l2(x + x**2, x, grid.weights).item()

    exact = math.sqrt(3 / 5)  # int x^4 / int x^2
    assert error(2001) == pytest.approx(exact, rel=1e-6)
    assert math.log2((error(21) - exact) / (error(41) - exact)) == pytest.approx(2, abs=0.2)


@settings(deadline=None)
@given(grid_functions(grids=regular_grids(dims=[1, 2], min_size=3), batch=2), st.sampled_from([0.01, 1.0, 7.0]))
def test_relative_errors_of_a_scaled_target_are_the_scale(u: Function, scale: float) -> None:
    target = u.values + 1 + u.points.T.square().sum(0).reshape(u.disc.shape)
    prediction = (1 + scale) * target
    expected = torch.full((2,), scale, dtype=torch.float64)
    for value in (
        relative_l2(prediction, target),
        relative_l2(prediction, target, u.weights),
        relative_h1(prediction, target, u.disc),
        nrmse(prediction, target),
    ):
        torch.testing.assert_close(value, expected, rtol=1e-8, atol=0)  # (1 + scale) - 1 loses two digits
    # Neither the units of the field nor those of its coordinates matter.
    stretched = RegularGrid(
        u.disc.shape, tuple((1e3 * a, 1e3 * b) for a, b in u.disc.bounds), u.disc.periodic, u.disc.alignment
    )
    torch.testing.assert_close(
        relative_l2(1e3 * prediction, 1e3 * target, stretched.weights), expected, rtol=1e-8, atol=0
    )


def test_predicting_the_mean_of_the_sample_has_vrmse_one() -> None:
    target = torch.randn(4, 2, 5, 6, dtype=torch.float64)
    prediction = target.mean((2, 3), keepdim=True).expand_as(target)
    torch.testing.assert_close(vrmse(prediction, target), torch.ones(4, dtype=torch.float64), rtol=1e-10, atol=0)


def test_channels_count_together_in_relative_l2_and_alike_in_nrmse() -> None:
    target = torch.tensor([[[3.0, 0.0], [0.0, 4.0]]])
    prediction = torch.tensor([[[3.0, 0.0], [0.0, 0.0]]])
    assert relative_l2(prediction, target).item() == pytest.approx(0.8)
    assert nrmse(prediction, target).item() == pytest.approx(0.5)


@pytest.mark.parametrize("metric", RELATIVE)
def test_a_zero_target_has_an_infinite_error_unless_it_is_predicted_exactly(metric: Metric) -> None:
    target = torch.zeros(2, 1, 4, 5)
    prediction = torch.zeros(2, 1, 4, 5)
    prediction[1] = 1e-3
    assert metric(prediction, target).tolist() == [0.0, math.inf]


@pytest.mark.parametrize("metric", RELATIVE + ABSOLUTE)
@pytest.mark.parametrize("value", ["random", "zero"])
def test_an_exact_prediction_has_error_zero_and_gradient_zero(metric: Metric, value: str) -> None:
    target = torch.randn(2, 1, 4, 5) if value == "random" else torch.zeros(2, 1, 4, 5)
    prediction = target.clone().requires_grad_()
    errors = metric(prediction, target)
    (slope,) = torch.autograd.grad(errors.sum(), prediction)
    assert errors.tolist() == [0.0, 0.0]
    assert slope.eq(0).all()


@pytest.mark.parametrize("metric", RELATIVE + ABSOLUTE)
def test_metrics_pass_gradcheck_in_both_arguments(metric: Metric) -> None:
    prediction, target = (u.requires_grad_() for u in pair(2, 1, 4, 5))
    assert torch.autograd.gradcheck(metric, (prediction, target))


@pytest.mark.parametrize("metric", RELATIVE + ABSOLUTE)
def test_single_precision_is_kept_and_close_to_double(metric: Metric) -> None:
    prediction, target = pair(3, 1, 4, 5)
    single = metric(prediction.float(), target.float())
    assert single.dtype == torch.float32
    assert single.shape == (3,)
    torch.testing.assert_close(single.double(), metric(prediction, target), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("metric", [relative_l2, nrmse, vrmse, *ABSOLUTE])
def test_a_list_of_points_without_channels_is_one_channel(metric: Metric) -> None:
    prediction, target = pair(3, 20)
    assert torch.equal(metric(prediction, target), metric(prediction[:, None], target[:, None]))


@pytest.mark.parametrize("metric", RELATIVE + ABSOLUTE)
def test_shapes_that_would_broadcast_are_refused(metric: Metric) -> None:
    with pytest.raises(ConfigError, match=r"\(2, 1, 4, 5\), target \(2, 2, 4, 5\); they must be equal"):
        metric(torch.zeros(2, 1, 4, 5), torch.zeros(2, 2, 4, 5))
    with pytest.raises(ConfigError, match=r"expected \(batch, ...\)"):
        metric(torch.zeros(4), torch.zeros(4))


def test_weights_of_another_grid_are_refused() -> None:
    prediction, target = pair(2, 1, 4, 5)
    with pytest.raises(ConfigError, match=r"weights have shape \(7,\).*grid.weights"):
        relative_l2(prediction, target, torch.ones(7))
    with pytest.raises(ConfigError, match="weights have shape"):
        relative_l2(prediction, target, torch.ones(5, 4))
    with pytest.raises(ConfigError, match="expected"):
        relative_h1(prediction, target, CLOSED.refine())


def test_relative_errors_compile_as_one_graph() -> None:
    prediction, target = pair(2, 1, 4, 5)

    def loss(p: Tensor, t: Tensor) -> Tensor:
        return (weighted_l2(p, t) + h1_closed(p, t)).mean()

    compiled = torch.compile(loss, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(prediction, target), loss(prediction, target), rtol=1e-10, atol=0)


BOX = CLOSED.bounds
DISCS = {
    "grid": CLOSED,
    "tensor": TensorGrid.gauss_legendre((4, 5), BOX),
    "mesh": Mesh.delaunay(CLOSED.points),
    "cloud": PointCloud(CLOSED.points, "voronoi", bounds=BOX),
}


@pytest.mark.parametrize("kind", DISCS)
def test_errors_by_the_weights_of_any_discretisation_equal_numpy(kind: str) -> None:
    disc = DISCS[kind]
    prediction, target = pair(3, 2, *disc.shape)
    p, t = (u.flatten(2).numpy() for u in (prediction, target))
    w = disc.weights.numpy() / disc.weights.numpy().sum()
    mean = (w * t).sum(2, keepdims=True)
    expected = {
        relative_l2: np.sqrt((w * (p - t) ** 2).sum((1, 2)) / (w * t**2).sum((1, 2))),
        mse: (w * (p - t) ** 2).sum((1, 2)) / 2,
        rmse: np.sqrt((w * (p - t) ** 2).sum((1, 2)) / 2),
        nrmse: np.sqrt((w * (p - t) ** 2).sum(2) / (w * t**2).sum(2)).mean(1),
        vrmse: np.sqrt((w * (p - t) ** 2).sum(2) / (w * (t - mean) ** 2).sum(2)).mean(1),
    }
    for metric, values in expected.items():
        np.testing.assert_allclose(metric(prediction, target, disc).numpy(), values, rtol=1e-10)  # type: ignore[operator]
        np.testing.assert_allclose(metric(prediction, target, disc.weights).numpy(), values, rtol=1e-10)  # type: ignore[operator]
        flat = metric(prediction.flatten(2), target.flatten(2), disc)  # type: ignore[operator]
        np.testing.assert_allclose(flat.numpy(), values, rtol=1e-10)


def test_points_that_are_crowded_do_not_count_more() -> None:
    x = torch.rand(400, dtype=torch.float64) ** 4
    cloud = PointCloud(x, "sorted-trapezoid", bounds=((0.0, 1.0),))
    target = torch.ones(1, 400, dtype=torch.float64)
    prediction = target + x
    exact = math.sqrt(1 / 3)
    assert relative_l2(prediction, target, cloud).item() == pytest.approx(exact, rel=0.02)
    assert relative_l2(prediction, target).item() < 0.7 * exact


def test_functions_bring_their_weights() -> None:
    mesh = DISCS["mesh"]
    prediction, target = pair(3, 2, 20)
    expected = relative_l2(prediction, target, mesh)
    torch.testing.assert_close(relative_l2(Function(prediction, mesh), Function(target, mesh)), expected)
    one = relative_l2(Function(prediction[0], mesh), Function(target[0], mesh))
    torch.testing.assert_close(one, expected[:1])
    shared = FunctionBatch.shared(target, mesh)
    for batch in (shared, shared.to_ragged(), shared.to_padded(23)):
        values = batch.with_values(_like(batch, prediction))
        torch.testing.assert_close(relative_l2(values, batch), expected)
        mean, error = reduce(values, batch)
        torch.testing.assert_close(mean, expected.mean())
        torch.testing.assert_close(
            reduce(values, batch, reduction="ratio_of_means"),
            reduce(prediction, target, mesh, reduction="ratio_of_means"),
        )
        assert error > 0


def _like(batch: FunctionBatch, values: Tensor) -> Tensor:
    """Values (B, C, n) in the layout of a batch."""
    if batch.layout == "ragged":
        return values.transpose(1, 2).flatten(0, 1)
    return torch.nn.functional.pad(values, (0, batch.values.shape[-1] - values.shape[-1]), value=9.0)


def test_padding_never_changes_an_error() -> None:
    prediction, target = pair(3, 2, 20)
    weights = DISCS["cloud"].weights
    padded = (torch.cat([u, torch.randn(3, 2, 5, dtype=torch.float64)], 2) for u in (prediction, target))
    p, t = padded
    with_zeros = torch.cat([weights, torch.zeros(5, dtype=torch.float64)]).expand(3, 1, 25)
    for metric in (relative_l2, mse, rmse, nrmse, vrmse):
        torch.testing.assert_close(metric(p, t, with_zeros), metric(prediction, target, weights), rtol=1e-12, atol=0)


def test_functions_on_different_discretisations_are_not_compared() -> None:
    prediction, target = pair(2, 1, 20)
    mesh, cloud = DISCS["mesh"], DISCS["cloud"]
    with pytest.raises(TypeError, match=r"(?s)lives on Mesh\(.*on PointCloud\(.*Resample"):
        relative_l2(Function(prediction, mesh), Function(target, cloud))
    with pytest.raises(TypeError, match="prediction is a Tensor, target a Function"):
        relative_l2(prediction, Function(target, mesh))
    with pytest.raises(ConfigError, match="weights are given twice"):
        relative_l2(Function(prediction, mesh), Function(target, mesh), cloud)
    with pytest.raises(ConfigError, match=r"\(2, 1, 20\), target \(1, 20\); they must be equal"):
        relative_l2(Function(prediction, mesh), Function(target[0], mesh))
    with pytest.raises(ConfigError, match=r"does not end with that of Mesh\("):
        relative_l2(prediction[..., :19], target[..., :19], mesh)


def test_errors_on_meshes_and_rules_compile_as_one_graph() -> None:
    # New objects: the compiled loss is the first to ask for weights and slopes.
    for disc in (Mesh.delaunay(CLOSED.points), TensorGrid.chebyshev((4, 5), BOX), RegularGrid((4, 5), BOX)):
        prediction, target = pair(2, 1, *disc.shape)

        def loss(p: Tensor, t: Tensor, disc: Discretization = disc) -> Tensor:
            return (relative_l2(p, t, disc) + relative_h1(p, t, disc)).mean()

        compiled = torch.compile(loss, fullgraph=True, backend="eager")
        torch.testing.assert_close(compiled(prediction, target), loss(prediction, target), rtol=1e-10, atol=0)
