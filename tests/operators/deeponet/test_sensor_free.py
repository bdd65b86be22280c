"""Branches without fixed sensors: what they owe to quadrature, sets, projections and interpolation."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from sciml.nn import MLP
from sciml.operators.deeponet import (
    BasisBranch,
    PODModes,
    QuadratureBranch,
    SensorBranch,
    SetBranch,
    chebyshev_basis,
    fourier_basis,
    sensor_free_deeponet,
)
from sciml.spaces import RegularGrid

GRID = RegularGrid(shape=(20,), bounds=((0.0, 1.0),))
X, W = GRID.points, GRID.weights
U = torch.randn(4, 2, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

with torch.random.fork_rng():
    torch.manual_seed(0)
    DENSE = MLP(40, 12, 6, activation="tanh").double()
    MODES = PODModes.from_data(torch.randn(9, 20), X, 5).double()
    BRANCHES = {
        "network kernel": QuadratureBranch(6, channels=2, width=12, hidden=[8]).double(),
        "sensor kernel": QuadratureBranch.from_dense(DENSE, X, W),
        "mean": SetBranch(6, channels=2, width=12, hidden=[8]).double(),
        "attention": SetBranch(6, channels=2, width=12, hidden=[8], pooling="attention", heads=3).double(),
        "chebyshev": BasisBranch(chebyshev_basis(7), 7, 6, channels=2).double(),
        "fourier": BasisBranch(fourier_basis(7), 7, 6, channels=2).double(),
        "pod": BasisBranch(MODES, 5, 6, channels=2).double(),
        "resampling": SensorBranch(DENSE, X, channels=2),
    }
WEIGHTED = [name for name in BRANCHES if name != "resampling"]
EXACT = {"rtol": 1e-10, "atol": 1e-12}


def own(values):
    """The same for every function, with a batch axis."""
    return values.expand(4, *values.shape)


@pytest.mark.parametrize("name", BRANCHES)
def test_sensors_of_each_function_give_what_shared_ones_give(name):
    branch = BRANCHES[name]
    shared = branch(U, X, W)
    assert shared.shape == (4, 6)
    torch.testing.assert_close(branch(U, own(X), own(W)), shared, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", BRANCHES)
def test_the_order_of_sensors_does_not_matter(name):
    order, branch = torch.randperm(20), BRANCHES[name]
    torch.testing.assert_close(branch(U[..., order], X[order], W[order]), branch(U, X, W), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", WEIGHTED)
def test_a_sensor_split_in_two_with_half_the_weight_changes_nothing(name):
    branch, twice = BRANCHES[name], torch.cat([torch.arange(20), torch.tensor([7])])
    weights = W[twice].clone()
    weights[[7, 20]] /= 2
    torch.testing.assert_close(branch(U[..., twice], X[twice], weights), branch(U, X, W), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", BRANCHES)
def test_padding_of_any_content_changes_nothing(name):
    branch, num = BRANCHES[name], torch.tensor([20, 12, 9, 16])
    mask = torch.arange(20) < num[:, None]
    u = torch.where(mask[:, None], U, torch.nan)
    points = torch.where(mask[..., None], own(X), torch.nan)
    weights = torch.where(mask, own(W), torch.nan)
    padded = branch(u, points, weights, mask)
    for i, n in enumerate(num.tolist()):
        alone = branch(U[i : i + 1, :, :n], X[:n], W[:n])
        torch.testing.assert_close(padded[i : i + 1], alone, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", BRANCHES)
def test_derivatives_with_respect_to_the_input_are_right(name):
    branch = BRANCHES[name]
    points, weights = torch.rand(4, 20, 1, dtype=torch.float64), torch.rand(4, 20, dtype=torch.float64) + 0.1
    u = U.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda u: branch(u, points, weights), (u,))


@pytest.mark.parametrize("name", BRANCHES)
def test_every_branch_gives_gradients_to_its_parameters_and_survives_copies(name):
    branch = copy.deepcopy(BRANCHES[name])
    points, weights = torch.rand(4, 20, 1, dtype=torch.float64), torch.rand(4, 20, dtype=torch.float64)
    branch(U, points, weights).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in branch.parameters())
    other = copy.deepcopy(BRANCHES[name])
    other.load_state_dict(branch.state_dict())
    assert torch.equal(other(U, points, weights), branch(U, points, weights))


# Sets, bases, resampling


@pytest.mark.parametrize("heads", [1, 3])
def test_attention_is_the_weighted_softmax(heads):
    branch = SetBranch(6, width=12, hidden=[8], pooling="attention", heads=heads).double()
    u = U[:, :1]
    pairs = torch.cat([own(X), u.mT], -1)
    scores, features = branch.score(pairs), branch.local(pairs)
    alpha = W[:, None] * scores.exp()
    alpha = alpha / alpha.sum(1, keepdim=True)
    size = 12 // heads
    parts = [(alpha[..., h : h + 1] * features[..., h * size : (h + 1) * size]).sum(1) for h in range(heads)]
    torch.testing.assert_close(branch(u, X, W), branch.head(torch.cat(parts, 1)), **EXACT)


def test_the_mean_is_the_weighted_one():
    branch = SetBranch(6, width=12, hidden=[8]).double()
    features = branch.local(torch.cat([own(X), U[:, :1].mT], -1))
    expected = branch.head((W[:, None] * features).sum(1) / W.sum())
    torch.testing.assert_close(branch(U[:, :1], X, W), expected, **EXACT)


@pytest.mark.parametrize(
    ("basis", "functions"),
    [
        (chebyshev_basis(4, ((0.0, 2.0),)), [lambda x: x**3 - x, lambda x: 1 + x**2]),
        (
            fourier_basis(5, ((0.0, 2.0),)),
            [lambda x: torch.sin(2 * math.pi * x) + 1, lambda x: torch.cos(math.pi * x)],
        ),
    ],
)
def test_functions_in_the_span_have_the_same_coefficients_at_all_sensors(basis, functions):
    size = basis.num
    branch = BasisBranch(basis, size, 6, channels=2).double()

    def coefficients(x, w):
        u = torch.stack([f(x[..., 0]) for f in functions], -2)
        u = u[None] if u.dim() == 2 else u
        values = branch.project(u, x, w)
        torch.testing.assert_close(
            torch.einsum("...mk,bck->bcm", basis(x) if x.dim() == 2 else basis(x[0]), values[:1])[0], u[0]
        )
        return values[0]

    first = coefficients(2 * torch.rand(30, 1, dtype=torch.float64), torch.rand(30, dtype=torch.float64))
    second = coefficients(2 * torch.rand(1, 11, 1, dtype=torch.float64), torch.rand(1, 11, dtype=torch.float64))
    torch.testing.assert_close(first, second, rtol=1e-6, atol=1e-6)


def test_the_projection_is_the_weighted_least_squares_solution():
    basis = chebyshev_basis(3, ((0.0, 1.0), (0.0, 1.0)))
    branch = BasisBranch(basis, 9, 6, dim=2).double()
    x, w = torch.rand(25, 2, dtype=torch.float64), torch.rand(25, dtype=torch.float64)
    u = torch.randn(4, 1, 25, dtype=torch.float64)
    psi = basis(x)
    expected = torch.linalg.solve(psi.t() @ (w[:, None] * psi), psi.t() @ (w * u[:, 0]).t()).t()
    torch.testing.assert_close(branch.project(u, x, w)[:, 0], expected, rtol=1e-6, atol=1e-8)


def test_resampling_is_linear_interpolation():
    seen = []
    network = nn.Sequential(nn.Flatten(), nn.Linear(40, 6)).double()
    network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    branch = SensorBranch(network, X, channels=2)
    points = torch.rand(4, 13, 1, dtype=torch.float64)
    u = torch.randn(4, 2, 13, dtype=torch.float64)
    branch(u, points)
    branch(u, points[0])
    for b in range(4):
        for which, places in enumerate((points[b], points[0])):
            order = places[:, 0].argsort()
            for c in range(2):
                expected = np.interp(X[:, 0], places[order, 0], u[b, c, order])
                np.testing.assert_allclose(seen[which][b, c], expected, rtol=1e-10, atol=1e-12)


def test_resampling_serves_networks_on_grids_from_scattered_sensors():
    grid = RegularGrid(shape=(6, 5), bounds=((0.0, 1.0), (0.0, 1.0)))
    image = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Flatten(), nn.Linear(36, 6)).double()
    branch = SensorBranch(image, grid)
    corners = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    points = torch.cat([corners.expand(3, 4, 2), torch.rand(3, 20, 2, dtype=torch.float64)], 1)
    branch.points = branch.points.double()
    plane = lambda x: 1 + x[..., 0] - 2 * x[..., 1]  # noqa: E731
    expected = image(plane(grid.points).reshape(1, 1, 6, 5)).expand(3, 6)
    torch.testing.assert_close(branch(plane(points), points), expected, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(branch(plane(points[:1]), points[0]), expected[:1], rtol=1e-8, atol=1e-8)
    finer = grid.refine()
    on_finer = plane(finer.points).reshape(1, 1, *finer.shape)
    torch.testing.assert_close(branch(on_finer), expected[:1], rtol=1e-8, atol=1e-8)


def test_wrong_sensors_are_refused():
    branch, u = QuadratureBranch(6), torch.zeros(4, 20)
    x, w = torch.rand(20, 1), torch.rand(20)
    with pytest.raises(
        ValueError, match=r"u has shape \(4, 20\), but nothing says where its values are taken: pass sensors"
    ):
        branch(u)
    with pytest.raises(ValueError, match=r"integrates over the sensors and needs sensor_weights \(20,\) or \(4, 20\)"):
        branch(u, x)
    with pytest.raises(ValueError, match=r"sensors have shape \(19, 1\), u \(4, 20\): expected \(20, 1\) for all"):
        branch(u, x[1:], w)
    with pytest.raises(ValueError, match=r"sensor_weights have shape \(19,\), u \(4, 20\): expected \(20,\) or"):
        branch(u, x, w[1:])
    with pytest.raises(ValueError, match=r"sensor_mask has shape \(20,\).*expected booleans \(4, 20\)"):
        branch(u, x, w, torch.ones(20).bool())
    with pytest.raises(ValueError, match=r"this branch reads \(batch, 2, sensors\): 2 channels come before"):
        QuadratureBranch(6, channels=2)(u, x, w)
    with pytest.raises(ValueError, match=r"expected \(batch, 1, \*grid\) with the 1 axes of the domain"):
        QuadratureBranch(6, domain=GRID)(torch.zeros(4, 3, 20))
    with pytest.raises(ValueError, match="domain has 1 axes, dim is 2"):
        QuadratureBranch(6, dim=2, domain=GRID)
    with pytest.raises(ValueError, match="channels=0 and dim=1"):
        QuadratureBranch(6, channels=0)
    with pytest.raises(ValueError, match=r"reads 40 values, sensors have shape \(19, 1\): expected"):
        QuadratureBranch.from_dense(DENSE, X[1:], W[1:])
    with pytest.raises(ValueError, match="must be positive: kernels divide by them"):
        QuadratureBranch.from_dense(DENSE, X, W * 0)
    with pytest.raises(ValueError, match="pooling is 'max', expected 'mean' or 'attention'"):
        SetBranch(6, pooling="max")
    with pytest.raises(ValueError, match="width=64 does not divide into heads=5 equal parts"):
        SetBranch(6, pooling="attention", heads=5)
    with pytest.raises(ValueError, match=r"num_basis=7 functions and at least as many sensors"):
        BasisBranch(chebyshev_basis(7), 7, 6)(torch.zeros(4, 5), torch.rand(5, 1))
    with pytest.raises(ValueError, match=r"num=0, bounds=\(\(0.0, 1.0\),\)"):
        fourier_basis(0)
    with pytest.raises(ValueError, match=r"takes 40 values, the reference sensors have shape \(20, 1\).*1 x 20 = 20"):
        SensorBranch(DENSE, X)
    with pytest.raises(ValueError, match="encoder is 'max', expected quadrature, mean or attention"):
        sensor_free_deeponet(encoder="max")
    with pytest.raises(ValueError, match="but sensor_dim=2: give one pair for every axis"):
        sensor_free_deeponet(sensor_dim=2, bounds=[[0.0, 1.0]])
