"""Trunk features, exact boundary conditions and scales: what they promise for random weights."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from sciml.nn import MLP
from sciml.operators.deeponet import (
    DeepONet,
    FourierFeatures,
    PeriodicFeatures,
    PointwiseScale,
    QuadratureBranch,
    Standardize,
    deeponet,
    hard_dirichlet,
    periodic_features,
)
from sciml.spaces import Function, FunctionBatch, PointCloud, RegularGrid


@given(st.floats(0.1, 10), st.integers(-3, 3), st.integers(1, 4))
def test_periodic_features_make_the_output_periodic(period, shift, harmonics):
    net = deeponet(10, dim=2, modes=5, branch=[8], trunk=[8], periods=[period, None], harmonics=harmonics).double()
    u, coords = torch.randn(3, 10, dtype=torch.float64), torch.rand(7, 2, dtype=torch.float64) * period
    moved = coords + torch.tensor([shift * period, 0.0], dtype=torch.float64)
    torch.testing.assert_close(net(u, moved), net(u, coords), rtol=1e-8, atol=1e-10)


def test_periodic_features_are_the_harmonics():
    y = torch.rand(7, 2, dtype=torch.float64)
    features = PeriodicFeatures([0.5, None], 3)(y)
    omega = 2 * math.pi / 0.5
    expected = [f(k * omega * y[:, 0]) for k in (1, 2, 3) for f in (torch.cos, torch.sin)]
    torch.testing.assert_close(features, torch.stack([*expected, y[:, 1]], 1), rtol=1e-10, atol=1e-12)


def test_derivatives_pass_through_periodic_features():
    y = torch.rand(5, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(PeriodicFeatures([0.7, None], 2), (y,))


def test_fourier_features_are_fixed_random_waves():
    features = FourierFeatures(2, 500, scale=3.0).double()
    assert features.frequencies.std().item() == pytest.approx(3.0, rel=0.1)
    assert not list(features.parameters())
    assert "frequencies" in features.state_dict()
    y = torch.rand(7, 2, dtype=torch.float64)
    cos, sin = features(y).chunk(2, 1)
    torch.testing.assert_close(torch.complex(cos, sin), torch.exp(2j * math.pi * (y @ features.frequencies)))
    assert deeponet(10, modes=5, fourier_features=4)(torch.zeros(2, 10), torch.zeros(3, 1)).shape == (2, 3)


def test_any_callable_can_make_the_features():
    net = DeepONet(MLP(10, 5), MLP(3, 5), trunk_features=lambda y: torch.cat([y, y**2, y**3], -1))
    u, y = torch.randn(3, 10), torch.rand(7, 1)
    expected = net.branch(u) @ net.trunk(torch.cat([y, y**2, y**3], 1)).t() + net.bias
    torch.testing.assert_close(net(u, y), expected)


def wall(y):
    """Zero on the boundary of the unit square."""
    return (y * (1 - y)).prod(-1)


POINTS = torch.rand(9, 2, generator=torch.Generator().manual_seed(0))
BOUNDARY = torch.tensor([[0.0, 0.3], [1.0, 0.7], [0.4, 0.0], [0.9, 1.0]])
LIFTS = {
    "none": None,
    "shared": lambda u, y: y.sum(-1),
    "of u": lambda u, y: (u[:, :1, None] * y.sum(-1).reshape(-1, 1, y.shape[-2])).expand(len(u), 2, -1),
}


@pytest.mark.parametrize("lift", LIFTS)
@pytest.mark.parametrize("layout", ["aligned", "ragged", "unaligned"])
def test_boundary_values_hold_to_machine_precision(lift, layout):
    net = DeepONet([10, 8], [2, 8], out_channels=2, num_basis=5, output_transform=hard_dirichlet(wall, LIFTS[lift]))
    nn.init.normal_(net.bias)
    u = torch.randn(4, 10)
    coords = BOUNDARY.expand(4, -1, -1) if layout == "ragged" else BOUNDARY
    values = net(u, coords, layout=layout)
    # For unaligned points, row i is point i for function i.
    g = {
        "none": torch.zeros(4, 4),
        "shared": BOUNDARY.sum(-1).expand(4, 4),
        "of u": u[:, :1] * BOUNDARY.sum(-1),
    }[lift]
    expected = g.diagonal()[:, None].expand(4, 2) if layout == "unaligned" else g[:, None].expand(4, 2, 4)
    assert torch.equal(values, expected)


def test_the_lift_of_a_function_gets_its_values():
    grid = RegularGrid(shape=(10,), bounds=((0.0, 1.0),))
    net = DeepONet([10, 8], [2, 8], out_channels=2, num_basis=5, output_transform=hard_dirichlet(wall, LIFTS["of u"]))
    u = torch.randn(4, 10)
    first = net(u, POINTS)
    lifted = hard_dirichlet(wall, lambda u, y: LIFTS["of u"](u[:, 0], y))
    net.output_transform = lifted
    assert torch.equal(net(Function(u[:, None], grid), POINTS), first)
    derivative = net.derivative(Function(u[:, None], grid), POINTS, (1, 0))
    assert torch.equal(derivative, net.derivative(u[:, None], POINTS, (1, 0)))


def test_the_lift_of_functions_on_points_of_their_own_gets_padded_values():
    clouds = [PointCloud(torch.rand(n, 1), weights=torch.rand(n)) for n in (5, 9)]
    batch = FunctionBatch.ragged([Function(torch.randn(1, n), c) for n, c in zip((5, 9), clouds, strict=True)])
    seen = []
    lift = hard_dirichlet(wall, lambda u, y: seen.append(u) or y.sum(-1))
    DeepONet(QuadratureBranch(5), [2, 8], num_basis=5, output_transform=lift)(batch, POINTS)
    assert torch.equal(seen[0], batch.to_padded().values)


def test_inside_the_domain_the_output_is_lift_plus_distance_times_network():
    net = DeepONet([10, 8], [2, 8], num_basis=5)
    walled = DeepONet(net.branch, net.trunk, output_transform=hard_dirichlet(wall, LIFTS["shared"]))
    u, y = torch.randn(4, 10), torch.rand(9, 2)
    torch.testing.assert_close(walled(u, y), y.sum(-1) + wall(y) * net(u, y))


def test_the_pointwise_scale_undoes_standardisation():
    targets = torch.randn(30, 2, 7) * torch.rand(7) + torch.arange(7.0)
    scale = PointwiseScale.from_targets(targets)
    standardised = (targets - targets.mean(0)) / targets.std(0)
    torch.testing.assert_close(scale(standardised, None, torch.zeros(7, 1)), targets, rtol=1e-4, atol=1e-4)
    net = DeepONet([10, 5], [1, 5], output_transform=PointwiseScale(torch.full((7,), 2.0), torch.zeros(7)))
    assert torch.equal(net(torch.randn(3, 10), torch.rand(7, 1)), torch.full((3, 7), 2.0))


def test_a_branch_may_begin_with_standardisation():
    u = 3 * torch.randn(50, 10) + 2
    branch = nn.Sequential(Standardize(u.mean(0), u.std(0)), MLP(10, 5))
    net = DeepONet(branch, MLP(1, 5))
    expected = branch[1]((u - u.mean(0)) / u.std(0)) @ net.trunk(torch.ones(1, 1)).t() + net.bias
    torch.testing.assert_close(net(u, torch.ones(1, 1)), expected)


def test_wrong_features_and_transforms_are_refused():
    u, y = torch.zeros(3, 10), torch.rand(7, 2)
    with pytest.raises(ValueError, match=r"shape \(7, 2\)\), but the features have periods for 1 axes: \(1.0,\)"):
        DeepONet([10, 5], [4, 5], trunk_features=periodic_features(1.0))(u, y)
    with pytest.raises(ValueError, match=r"turn coords of shape \(7, 2\) into 8 features, but this trunk takes 4"):
        DeepONet([10, 5], [4, 5], trunk_features=periodic_features([1.0, 2.0]))(u, y)
    with pytest.raises(ValueError, match="expected for each axis a positive number or None"):
        PeriodicFeatures([0.0])
    with pytest.raises(ValueError, match="num_harmonics is 0"):
        PeriodicFeatures([1.0], 0)
    with pytest.raises(ValueError, match="dim=2, num_frequencies=0"):
        FourierFeatures(2, 0)
    with pytest.raises(ValueError, match=r"but the Fourier features take 1"):
        FourierFeatures(1, 3)(y)
    with pytest.raises(ValueError, match="random frequencies break the period"):
        deeponet(10, periods=[1.0], fourier_features=3)
    with pytest.raises(ValueError, match=r"periods are \[1.0\], but dim=2: give a period or null for every axis"):
        deeponet(10, dim=2, periods=[1.0])
    with pytest.raises(ValueError, match=r"distance_fn gives \(7, 2\) for coords of shape \(7, 2\), expected \(7,\)"):
        DeepONet([10, 5], [2, 5], output_transform=hard_dirichlet(lambda y: y * (1 - y)))(u, y)
    with pytest.raises(ValueError, match=r"lift_fn gives \(3,\).*expected \(7,\), or \(3, 1, 7\)"):
        DeepONet([10, 5], [2, 5], output_transform=hard_dirichlet(wall, lambda u, y: u[:, 0]))(u, y)
    with pytest.raises(ValueError, match=r"output_transform turns values of shape \(3, 1, 7\) into \(3, 7\)"):
        DeepONet([10, 5], [2, 5], output_transform=lambda v, u, y: v[:, 0])(u, y)
    with pytest.raises(ValueError, match=r"the pointwise scale belongs to 5 points, coords has shape \(7, 2\)"):
        DeepONet([10, 5], [2, 5], output_transform=PointwiseScale(torch.zeros(5), torch.ones(5)))(u, y)
    with pytest.raises(ValueError, match=r"mean has shape \(5,\) and std \(4,\)"):
        PointwiseScale(torch.zeros(5), torch.ones(4))
    with pytest.raises(ValueError, match=r"targets have shape \(1, 5\)"):
        PointwiseScale.from_targets(torch.zeros(1, 5))
    with pytest.raises(ValueError, match="std has the smallest value 0"):
        Standardize(torch.zeros(2), torch.zeros(2))
