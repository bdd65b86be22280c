"""Derivatives with respect to the query point against reverse-mode derivatives of the whole output."""

import pytest
import torch
from torch import nn

from sciml.operators.deeponet import DeepONet, deeponet, hard_dirichlet, partial_derivative


def network(**options):
    net = DeepONet([10, 8], [2, 12, 12], num_basis=6, activation="tanh", **options).double()
    nn.init.normal_(net.bias)
    return net


U = torch.linspace(-1, 1, 40, dtype=torch.float64).reshape(4, 10).sin()
POINTS = torch.rand(7, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def reverse(net, u, coords, multi_index, layout):
    """The derivative of every entry of the output, by repeated reverse mode with one point per row."""
    rows = u if layout == "unaligned" else u.repeat_interleave(coords.shape[-2], 0)
    points = coords if layout == "unaligned" else coords.expand(len(u), -1, -1).reshape(-1, 2)
    y = points.clone().requires_grad_()
    channels = []
    values = net(rows, y, layout="unaligned").reshape(len(rows), -1)
    for k in range(values.shape[1]):
        value = values[:, k]
        for axis, order in enumerate(multi_index):
            for _ in range(order):
                (slope,) = torch.autograd.grad(value.sum(), y, create_graph=True)
                value = slope[:, axis]
        channels.append(value)
    stacked = torch.stack(channels, 1).detach()
    if layout != "unaligned":
        stacked = stacked.reshape(len(u), -1, len(channels)).mT
        return stacked.squeeze(1) if len(channels) == 1 else stacked
    return stacked.squeeze(1) if len(channels) == 1 else stacked


@pytest.mark.parametrize("multi_index", [(1, 0), (0, 1), (2, 0), (1, 1), (0, 3)])
@pytest.mark.parametrize("layout", ["aligned", "unaligned", "ragged"])
@pytest.mark.parametrize("options", [{}, {"out_channels": 2}, {"out_channels": 2, "multi_output": "split_trunk"}])
def test_derivatives_equal_those_of_the_output(multi_index, layout, options):
    net = network(**options)
    coords = {"aligned": POINTS, "unaligned": POINTS[:4], "ragged": POINTS.expand(4, -1, -1) ** 2}[layout]
    actual = net.derivative(U, coords, multi_index, layout=layout)
    torch.testing.assert_close(actual, reverse(net, U, coords, multi_index, layout), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("layout", ["aligned", "unaligned", "ragged"])
@pytest.mark.parametrize("multi_index", [(1, 0), (2, 0), (1, 1)])
@pytest.mark.parametrize("of_u", [False, True])
@pytest.mark.parametrize("channels", [1, 2])
def test_derivatives_know_exact_boundary_conditions(layout, multi_index, of_u, channels):
    def lift(u, y):
        shared = torch.sin(y).prod(-1)
        if not of_u:
            return shared
        factor = shared if y.dim() == 3 else shared[None]
        return (u[:, :1] * factor)[:, None].expand(-1, channels, -1)

    wall = hard_dirichlet(lambda y: (y * (1 - y)).prod(-1), lift)
    net = network(output_transform=wall, out_channels=channels)
    coords = {"aligned": POINTS, "unaligned": POINTS[:4], "ragged": POINTS.expand(4, -1, -1) ** 2}[layout]
    actual = net.derivative(U, coords, multi_index, layout=layout)
    torch.testing.assert_close(actual, reverse(net, U, coords, multi_index, layout), rtol=1e-8, atol=1e-10)


def test_derivatives_of_the_basis_serve_every_function():
    net = network()
    coefficients = net.coefficients(U)
    parts = [net.combine(coefficients, net.trunk_derivatives(POINTS, index), bias=False) for index in ((0, 1), (2, 0))]
    expected = net.derivative(U, POINTS, (0, 1)) + net.derivative(U, POINTS, (2, 0))
    torch.testing.assert_close(parts[0] + parts[1], expected, rtol=1e-10, atol=1e-12)


def test_derivatives_of_order_zero_are_the_output():
    net = network()
    assert torch.equal(net.derivative(U, POINTS, (0, 0)), net(U, POINTS))


def test_gradients_of_a_residual_reach_all_parameters():
    net = network()

    def loss():
        return (net.derivative(U, POINTS, (0, 1)) - net.derivative(U, POINTS, (2, 0))).square().mean()

    value = loss()
    value.backward()
    weight = net.trunk.layers[1].weight
    slope, step = weight.grad[2, 3].item(), 1e-5
    with torch.no_grad():
        weight[2, 3] += step
        above = loss()
        weight[2, 3] -= 2 * step
        below = loss()
    assert slope == pytest.approx((above - below).item() / (2 * step), rel=1e-5)
    assert net.branch.layers[0].weight.grad.any()


def test_the_trunk_is_differentiated_once_however_many_functions_there_are():
    net, sizes = network(), []
    net.trunk.register_forward_hook(lambda module, inputs, output: sizes.append(len(inputs[0])))
    net.derivative(U.repeat(50, 1), POINTS, (1, 1))
    assert sizes == [len(POINTS)]


def test_derivatives_pass_through_trunk_features():
    net = deeponet(10, dim=2, modes=5, branch=[8], trunk=[8], periods=[1.0, None], activation="tanh").double()
    actual = net.derivative(U, POINTS, (2, 0))
    torch.testing.assert_close(actual, reverse(net, U, POINTS, (2, 0), "aligned"), rtol=1e-8, atol=1e-10)


def test_partial_derivatives_of_a_polynomial():
    y = torch.rand(5, 3, dtype=torch.float64)
    actual = partial_derivative(lambda y: (y[:, :1] ** 3) * y[:, 1:2] ** 2 * y[:, 2:], y, (2, 1, 1))
    torch.testing.assert_close(actual, 12 * y[:, :1] * y[:, 1:2], rtol=1e-10, atol=1e-12)


def test_wrong_derivatives_are_refused():
    with pytest.raises(ValueError, match=r"multi_index is \(1,\), the points have shape \(7, 2\): expected one order"):
        network().derivative(U, POINTS, (1,))
    with pytest.raises(ValueError, match="at least 0, for each of the 2 axes"):
        network().trunk_derivatives(POINTS, (1, -1))
    with pytest.raises(ValueError, match=r"it passes through function. Differentiate the output with torch.func"):
        network(output_transform=lambda v, u, y: v**2).derivative(U, POINTS, (1, 0))
    with pytest.raises(ValueError, match="it passes through MLP"):
        network(merge="product-mlp").derivative(U, POINTS, (1, 0))
