"""DeepONet against the formula in numpy, its limits, its messages, and that it learns an antiderivative."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sciml.nn import MLP, model_complexity
from sciml.operators import DEEPONET, DeepONet, deeponet
from sciml.spaces import DataSpec, FieldSpec


def numpy_mlp(network, x, final_relu):
    layers = [(layer.weight.detach().numpy(), layer.bias.detach().numpy()) for layer in network.layers]
    for index, (weight, bias) in enumerate(layers):
        x = x @ weight.T + bias
        if index < len(layers) - 1 or final_relu:
            x = np.maximum(x, 0)
    return x


def reference(**options):
    """The published configuration, with a bias that is not zero."""
    net = deeponet(sensors=100, dim=1, modes=40, branch=[40], trunk=[40], activation="relu", **options).double()
    if net.bias is not None:
        nn.init.normal_(net.bias)
    return net


@pytest.mark.parametrize("bias", [True, False])
def test_deeponet_equals_the_published_formula(bias):
    net = reference(bias=bias)
    u, coords = torch.randn(6, 100, dtype=torch.float64), torch.rand(50, 1, dtype=torch.float64)
    branch, trunk = numpy_mlp(net.branch, u.numpy(), False), numpy_mlp(net.trunk, coords.numpy(), True)
    expected = np.einsum("bp,np->bn", branch, trunk) + (net.bias.item() if bias else 0)
    torch.testing.assert_close(net(u, coords), torch.from_numpy(expected), rtol=1e-10, atol=1e-12)


def test_several_channels_share_the_trunk():
    net = reference(out_channels=3)
    u, coords = torch.randn(6, 100, dtype=torch.float64), torch.rand(50, 1, dtype=torch.float64)
    branch = numpy_mlp(net.branch, u.numpy(), False).reshape(6, 3, 40)
    trunk = numpy_mlp(net.trunk, coords.numpy(), True)
    expected = np.einsum("bcp,np->bcn", branch, trunk) + net.bias.detach().numpy()[:, None]
    torch.testing.assert_close(net(u, coords), torch.from_numpy(expected), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("channels", [1, 2])
def test_query_points_per_function_give_what_shared_points_give(channels):
    net = reference(out_channels=channels)
    u, coords = torch.randn(4, 100, dtype=torch.float64), torch.rand(4, 9, 1, dtype=torch.float64)
    y = net(u, coords)
    for i in range(4):
        torch.testing.assert_close(y[i], net(u[i : i + 1], coords[i])[0], rtol=1e-10, atol=1e-12)


def test_inputs_on_a_grid_are_read_function_after_function():
    net = DeepONet(MLP(24, 8, 5), MLP(2, 8, 5))
    u, coords = torch.randn(3, 2, 4, 3), torch.rand(7, 2)
    assert torch.equal(net(u, coords), net(torch.cat([u[:, 0].flatten(1), u[:, 1].flatten(1)], 1), coords))


def test_any_network_can_be_a_branch():
    branch = nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), nn.GELU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
    net = DeepONet(branch, MLP(2, 8, 16))
    assert net(torch.randn(3, 1, 9, 9), torch.rand(7, 2)).shape == (3, 7)


@pytest.mark.parametrize("a", [-1.5, 0.0, 0.3, 2.0])
def test_deeponet_is_affine_in_the_input_when_the_branch_is(a):
    net = DeepONet(MLP(10, 6), MLP(1, 8, 6)).double()
    u, v = torch.randn(2, 4, 10, dtype=torch.float64)
    coords = torch.rand(9, 1, dtype=torch.float64)
    expected = a * net(u, coords) + (1 - a) * net(v, coords)
    torch.testing.assert_close(net(a * u + (1 - a) * v, coords), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("trunk", "count"), [([40], 7401), ([40, 40], 9041)])
def test_parameter_counts_are_the_published_ones(trunk, count):
    net = deeponet(sensors=100, modes=40, branch=[40], trunk=trunk)
    assert sum(p.numel() for p in net.parameters()) == count


def test_weights_start_glorot_normal_with_zero_biases():
    net = deeponet(sensors=300, modes=200, branch=[200], trunk=[200])
    layer = net.branch.layers[0]
    std = math.sqrt(2 / 500)
    assert layer.weight.detach().std().item() == pytest.approx(std, rel=5 / math.sqrt(2 * layer.weight.numel()))
    assert not any(p.any() for name, p in net.named_parameters() if name.endswith("bias"))


def test_derivatives_are_right():
    net = DeepONet(MLP(5, 4, 3, activation="tanh"), MLP(2, 4, 3, activation="tanh")).double()
    u = torch.randn(2, 5, dtype=torch.float64, requires_grad=True)
    coords = torch.rand(3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(net, (u, coords))


def test_state_survives_copies_pickles_and_state_dicts():
    net, other = reference(), reference()
    u, coords = torch.randn(6, 100, dtype=torch.float64), torch.rand(5, 1, dtype=torch.float64)
    other.load_state_dict(net.state_dict())
    for copied in (other, copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(copied(u, coords), net(u, coords))


def test_deeponet_exports():
    net = reference()
    inputs = (torch.randn(6, 100, dtype=torch.float64), torch.rand(5, 1, dtype=torch.float64))
    program = torch.export.export(net, inputs)
    torch.testing.assert_close(program.module()(*inputs), net(*inputs), rtol=1e-10, atol=1e-12)


def test_another_number_of_sensors_is_refused_with_the_numbers():
    net = DeepONet(MLP(256, 8, 5), MLP(2, 8, 5))
    with pytest.raises(ValueError, match=r"u has 1024 sensor values .* this branch takes 256.* resample the input"):
        net(torch.zeros(3, 1, 32, 32), torch.zeros(7, 2))


def test_query_points_of_another_dimension_are_refused():
    net = DeepONet(MLP(10, 8, 5), MLP(2, 8, 5))
    with pytest.raises(ValueError, match="coords has last dimension 3, but this trunk takes 2"):
        net(torch.zeros(3, 10), torch.zeros(7, 3))
    with pytest.raises(ValueError, match=r"expected \(points, dim\) for all functions, or \(3, points, dim\)"):
        net(torch.zeros(3, 10), torch.zeros(4, 7, 2))


def test_networks_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="the branch gives 40 features and the trunk 30; with out_channels=1"):
        DeepONet(MLP(10, 40), MLP(1, 30))
    with pytest.raises(ValueError, match="the branch must give 2 x 30 = 60"):
        DeepONet(nn.Linear(10, 30), MLP(1, 30), out_channels=2)(torch.zeros(3, 10), torch.zeros(7, 1))


def test_from_spec_reads_the_grid():
    fields = {"x": FieldSpec("x", "input", 2, (16, 16)), "y": FieldSpec("y", "target", None, (16, 16))}
    net = DEEPONET.from_spec(DataSpec(fields), modes=12)
    assert (net.branch.in_features, net.trunk.in_features, net.trunk.out_features) == (512, 2, 12)


def test_from_spec_reads_sensors_and_query_points():
    fields = {
        "u": FieldSpec("u", "input", None, (100,)),
        "coords": FieldSpec("coords", "coords", 2, (50,), shared=True),
        "y": FieldSpec("y", "target", None, (50,)),
    }
    net = DEEPONET.from_spec(DataSpec(fields), branch=[8], trunk=[8])
    assert (net.branch.in_features, net.trunk.in_features) == (100, 2)


def test_example_fits_the_model():
    arguments, batch = DEEPONET.example()
    net = DEEPONET.build(**arguments)
    assert net(batch["u"], batch["coords"]).shape == batch["y"].shape
    assert model_complexity(net, batch)["parameters"] == sum(p.numel() for p in net.parameters())


def test_deeponet_learns_the_antiderivative():
    # Functions sum_j a_j sin(j pi x) with four terms; their antiderivatives are known.
    torch.manual_seed(2)
    x = torch.linspace(0, 1, 32)
    j = torch.arange(1, 5)[:, None]
    sines, integrals = torch.sin(j * math.pi * x), (1 - torch.cos(j * math.pi * x)) / (j * math.pi)
    train, test = torch.randn(200, 4), torch.randn(100, 4)
    net = deeponet(sensors=32, modes=32, branch=[64], trunk=[64])
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=500)
    for _ in range(500):
        optimizer.zero_grad()
        F.mse_loss(net(train @ sines, x[:, None]), train @ integrals).backward()
        optimizer.step()
        schedule.step()
    target = test @ integrals
    error = ((net(test @ sines, x[:, None]) - target).norm(dim=1) / target.norm(dim=1)).mean()
    assert error < 0.08  # the worst of five seeds is 0.049
