"""The quadrature branch: dense layers as kernels, networks as kernels, and what quadrature owes to them."""

import numpy as np
import pytest
import torch

from sciml.nn import MLP
from sciml.operators.deeponet import DeepONet, QuadratureBranch, sensor_free_deeponet
from sciml.operators.deeponet.kernels import SensorKernel
from sciml.spaces import RegularGrid

GRID = RegularGrid(shape=(20,), bounds=((0.0, 1.0),))
X, W = GRID.points, GRID.weights
U = torch.randn(4, 2, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
EXACT = {"rtol": 1e-10, "atol": 1e-12}


def test_kernels_of_a_dense_layer_equal_it_at_its_sensors():
    dense = MLP(40, 12, 8, 6, activation="relu")
    branch = QuadratureBranch.from_dense(dense, X, W)
    u = U.float()
    torch.testing.assert_close(branch(u, X.float(), W.float()), dense(u.flatten(1)), rtol=1e-6, atol=1e-6)
    net = DeepONet(dense, MLP(1, 6))
    free = DeepONet(branch, net.trunk)
    coords = torch.rand(9, 1)
    torch.testing.assert_close(
        free(u, coords, sensors=X.float(), sensor_weights=W.float()), net(u, coords), rtol=1e-5, atol=1e-6
    )


def test_a_dense_layer_of_other_sensors_is_refused():
    with pytest.raises(ValueError, match=r"weights \(4, 7\), sensors \(3, 1\) .* expected \(features, channels \* m\)"):
        SensorKernel(torch.ones(4, 7), torch.rand(3, 1), torch.ones(3))


def test_a_linear_dense_branch_becomes_one_integral():
    dense = MLP(20, 6).double()
    branch = QuadratureBranch.from_dense(dense, X, W)
    torch.testing.assert_close(branch(U[:, :1], X, W), dense(U[:, 0]), **EXACT)


def test_kernels_of_a_dense_layer_are_linear_between_its_sensors():
    dense = MLP(40, 12, activation="tanh").double()
    branch = QuadratureBranch.from_dense(dense, X, W)
    points, weights = torch.rand(4, 33, 1, dtype=torch.float64), torch.rand(4, 33, dtype=torch.float64)
    u = torch.randn(4, 2, 33, dtype=torch.float64)
    kernels = (dense.layers[0].weight.unflatten(1, (2, 20)) / W).detach().numpy()
    expected = np.zeros((4, 12))
    for b in range(4):
        for i in range(12):
            for c in range(2):
                kappa = np.interp(points[b, :, 0], X[:, 0], kernels[i, c])
                expected[b, i] += (weights[b].numpy() * kappa * u[b, c].numpy()).sum()
    expected = torch.from_numpy(expected) + dense.layers[0].bias
    torch.testing.assert_close(branch(u, points, weights), expected, **EXACT)


@pytest.mark.parametrize("points", ["grid", "scattered"])
def test_kernels_in_the_plane_are_exact_where_they_are_linear(points):
    grid = RegularGrid(shape=(4, 5), bounds=((0.0, 1.0), (0.0, 1.0)))
    known = grid.points
    if points == "scattered":
        inside = torch.rand(16, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        known = torch.cat([torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]).double(), inside])
    plane = torch.cat([torch.ones(20, 1), known], 1).double() @ torch.randn(3, 6, dtype=torch.float64)
    dense = MLP(20, 6).double()
    with torch.no_grad():
        dense.layers[0].weight.copy_((plane * grid.weights[:, None]).t())
    branch = QuadratureBranch.from_dense(dense, known, grid.weights)
    new, weights = torch.rand(30, 2, dtype=torch.float64), torch.rand(30, dtype=torch.float64)
    u = torch.randn(3, 30, dtype=torch.float64)
    fit = torch.linalg.lstsq(torch.cat([torch.ones(20, 1), known], 1).double(), plane).solution
    expected = (u * weights) @ (torch.cat([torch.ones(30, 1), new], 1).double() @ fit) + dense.layers[0].bias
    torch.testing.assert_close(branch(u, new, weights), expected, rtol=1e-8, atol=1e-8)


def test_the_quadrature_branch_converges_at_second_order_in_the_number_of_sensors():
    branch = QuadratureBranch(6, width=12, hidden=[8], activation="tanh").double()

    def at(num):
        grid = RegularGrid(shape=(num,), bounds=((0.0, 1.0),))
        u = torch.stack([(k * grid.points[:, 0]).exp() for k in range(1, 4)])
        return branch(u, grid.points, grid.weights)

    exact = at(4001)
    errors = [(at(num) - exact).norm().item() for num in (21, 41, 81)]
    for order in np.log2(np.array(errors[:-1]) / np.array(errors[1:])):
        assert order == pytest.approx(2, abs=0.2)


def test_inputs_on_a_domain_are_read_in_any_resolution():
    net = sensor_free_deeponet(channels=2, bounds=[[0.0, 1.0]], modes=6, width=8, branch=[8], trunk=[8]).double()
    coords = torch.rand(7, 1, dtype=torch.float64)
    expected = net(U, coords, sensors=X, sensor_weights=W)
    torch.testing.assert_close(net(U, coords), expected, **EXACT)
    assert net(torch.zeros(3, 2, 57, dtype=torch.float64), coords).shape == (3, 7)
    plane = sensor_free_deeponet(sensor_dim=2, dim=2, bounds=[[0.0, 1.0], [0.0, 2.0]], encoder="attention")
    u = torch.randn(3, 1, 5, 6)
    torch.testing.assert_close(plane(u[:, 0], torch.zeros(4, 2)), plane(u, torch.zeros(4, 2)))


def test_the_sensor_free_deeponet_exports():
    net = sensor_free_deeponet(bounds=[[0.0, 1.0]], modes=6, width=8, branch=[8], trunk=[8])
    inputs = (torch.randn(3, 20), torch.rand(7, 1))
    program = torch.export.export(net, inputs)
    torch.testing.assert_close(program.module()(*inputs), net(*inputs), rtol=1e-4, atol=1e-5)
    assert net(torch.randn(3, 33), torch.rand(7, 1)).shape == (3, 7)
