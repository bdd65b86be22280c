"""Several output channels, the stacked form, merging networks, and the sizes that have to fit."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from sciml.nn import MLP
from sciml.operators.deeponet import DeepONet, Parallel, StackedMLP, deeponet
from sciml.operators.deeponet.merge import MULTI_OUTPUT


def single_outputs(net, multi_output):
    """Branch and trunk of each output channel, as functions that give ``p`` numbers."""
    p = 5

    def group(network, k):
        return lambda x: network(x)[..., k * p : (k + 1) * p]

    for k in range(3):
        yield (
            net.branch if multi_output == "split_trunk" else group(net.branch, k),
            net.trunk if multi_output == "split_branch" else group(net.trunk, k),
        )


@pytest.mark.parametrize("multi_output", MULTI_OUTPUT)
@pytest.mark.parametrize("bias", [True, False])
def test_every_channel_is_a_sum_over_its_group(multi_output, bias):
    net = DeepONet([10, 8], [2, 8], bias, 3, num_basis=5, multi_output=multi_output).double()
    if bias:
        nn.init.normal_(net.bias)
    u = torch.randn(4, 10, dtype=torch.float64)
    shared, own = torch.rand(7, 2, dtype=torch.float64), torch.rand(4, 7, 2, dtype=torch.float64)
    rows = torch.rand(4, 2, dtype=torch.float64)
    for k, (branch, trunk) in enumerate(single_outputs(net, multi_output)):
        offset = net.bias[k] if bias else 0
        b = branch(u)
        for layout, coords, rule in (
            ("aligned", shared, "bp,np->bn"),
            ("ragged", own, "bp,bnp->bn"),
            ("unaligned", rows, "bp,bp->b"),
        ):
            expected = torch.einsum(rule, b, trunk(coords)) + offset
            torch.testing.assert_close(net(u, coords, layout=layout)[:, k], expected, rtol=1e-10, atol=1e-12)


def test_independent_channels_share_no_weight():
    net = deeponet(sensors=10, out_channels=2, modes=5, branch=[8], trunk=[8], multi_output="independent")
    loss = net(torch.randn(4, 10), torch.rand(7, 1))[:, 0].square().sum()
    loss.backward()
    second = [*net.branch.networks[1].parameters(), *net.trunk.networks[1].parameters()]
    assert all(p.grad is None or not p.grad.any() for p in second)
    assert all(p.grad.any() for p in net.branch.networks[0].parameters())


def block_diagonal(stacked):
    """The fully connected network that equals a stack of networks with one hidden layer."""
    p, hidden = stacked.weights[0].shape[:2]
    network = MLP(stacked.in_features, p * hidden, p, activation=stacked.activation)
    with torch.no_grad():
        network.layers[0].weight.copy_(stacked.weights[0].flatten(0, 1))
        network.layers[0].bias.copy_(stacked.biases[0].flatten())
        network.layers[1].weight.copy_(torch.block_diag(*stacked.weights[1]))
        network.layers[1].bias.copy_(stacked.biases[1].flatten())
    return network


def test_the_stacked_form_equals_an_unstacked_one_with_blocks_on_the_diagonal():
    stacked = DeepONet([100, 40, 40], [1, 40, 40], stacked=True)
    for bias in stacked.branch.biases:
        nn.init.normal_(bias)
    unstacked = DeepONet(block_diagonal(stacked.branch), stacked.trunk)
    u, coords = torch.randn(6, 100), torch.rand(50, 1)
    torch.testing.assert_close(stacked(u, coords), unstacked(u, coords), rtol=1e-5, atol=1e-6)


def test_a_deep_stack_equals_separate_networks():
    stack = StackedMLP(3, 7, 6, 5, activation="tanh").double()
    separate = Parallel(*(MLP(7, 6, 5, 1, activation="tanh") for _ in range(3))).double()
    with torch.no_grad():
        for k, network in enumerate(separate.networks):
            for layer, weight, bias in zip(network.layers, stack.weights, stack.biases, strict=True):
                layer.weight.copy_(weight[k])
                layer.bias.copy_(bias[k].normal_())
    x = torch.randn(4, 7, dtype=torch.float64)
    torch.testing.assert_close(stack(x), separate(x), rtol=1e-10, atol=1e-12)


def test_stacked_networks_are_drawn_glorot_normal_each():
    stack = StackedMLP(50, 60, 40)
    assert stack.weights[0].std().item() == pytest.approx((2 / 100) ** 0.5, rel=0.02)
    assert stack.weights[1].std().item() == pytest.approx((2 / 41) ** 0.5, rel=0.1)
    assert not any(bias.any() for bias in stack.biases)


@pytest.mark.parametrize("layout", ["aligned", "unaligned", "ragged"])
@pytest.mark.parametrize("out_channels", [1, 3])
def test_a_merging_network_sees_the_products_of_every_function_and_point(out_channels, layout):
    net = DeepONet(
        [10, 8], [2, 8], out_channels=out_channels, num_basis=5, merge="product-mlp", activation="tanh"
    ).double()
    nn.init.normal_(net.bias)
    u = torch.randn(4, 10, dtype=torch.float64)
    coords = torch.rand(*{"aligned": (7,), "unaligned": (4,), "ragged": (4, 7)}[layout], 2, dtype=torch.float64)
    values = net(u, coords, layout=layout)
    for k in range(out_channels):
        b = net.branch(u)[:, 5 * k : 5 * k + 5]
        t = net.trunk(coords)
        products = b * t if layout == "unaligned" else b[:, None] * t
        expected = net.merge(products)[..., 0] + net.bias[k]
        actual = values if out_channels == 1 else values[:, k]
        torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-12)


def test_the_inner_product_is_the_merging_network_that_sums():
    summing = MLP(5, 1)
    with torch.no_grad():
        summing.layers[0].weight.fill_(1)
        summing.layers[0].bias.zero_()
    plain = DeepONet([10, 5], [1, 5])
    merged = DeepONet(plain.branch, plain.trunk, merge=summing)
    u, coords = torch.randn(4, 10), torch.rand(7, 1)
    torch.testing.assert_close(merged(u, coords), plain(u, coords), rtol=1e-4, atol=1e-5)


def test_a_list_of_modules_is_a_branch_of_parts():
    parts = [MLP(10, 3), MLP(10, 2)]
    net = DeepONet(parts, MLP(1, 5))
    u, coords = torch.randn(4, 2, 5), torch.rand(7, 1)
    expected = torch.cat([part(u.flatten(1)) for part in parts], 1) @ net.trunk(coords).t() + net.bias
    torch.testing.assert_close(net(u, coords), expected, rtol=1e-4, atol=1e-5)


def test_no_output_of_the_batch_times_the_points_times_the_width_is_made():
    from torch.utils._python_dispatch import TorchDispatchMode

    class Largest(TorchDispatchMode):
        size = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            for value in out if isinstance(out, tuple | list) else (out,):
                if isinstance(value, torch.Tensor):
                    self.size = max(self.size, value.untyped_storage().nbytes() // value.element_size())
            return out

    batch, points = 200, 300
    for options in ({}, {"out_channels": 2}, {"out_channels": 2, "multi_output": "split_trunk"}):
        net = deeponet(sensors=10, dim=2, modes=32, branch=[32], trunk=[32], **options)
        with Largest() as seen:
            net(torch.randn(batch, 10), torch.rand(points, 2)).square().mean().backward()
        assert seen.size == batch * points * options.get("out_channels", 1)


@given(st.integers(1, 4), st.integers(1, 6), st.sampled_from(MULTI_OUTPUT))
def test_sizes_follow_from_the_number_of_basis_functions(out_channels, modes, multi_output):
    net = deeponet(sensors=3, out_channels=out_channels, modes=modes, branch=[4], trunk=[4], multi_output=multi_output)
    shape = (2, 5) if out_channels == 1 else (2, out_channels, 5)
    assert net(torch.zeros(2, 3), torch.zeros(5, 1)).shape == shape


@pytest.mark.parametrize(
    ("sizes", "options", "message"),
    [
        ((10, 7), {}, "branch gives 10 features and the trunk 7; with out_channels=1 the branch must give 7"),
        ((10, 5), {"out_channels": 3}, r"multi_output='split_branch' the branch must give 3 x 5 = 15"),
        ((10, 10), {"out_channels": 3, "multi_output": "split_both"}, r"divide into 3 equal groups.*take 9 or 12"),
        ((12, 9), {"out_channels": 3, "multi_output": "split_both"}, r"the branch must give 3 x 3 = 9"),
        ((4, 10), {"out_channels": 3, "multi_output": "split_trunk"}, r"trunk must divide into 3 equal groups"),
        ((4, 9), {"out_channels": 3, "multi_output": "split_trunk"}, r"the branch must give 3\."),
    ],
)
def test_sizes_that_do_not_fit_are_refused(sizes, options, message):
    with pytest.raises(ValueError, match=message):
        DeepONet(MLP(8, sizes[0]), MLP(1, sizes[1]), **options)


def test_networks_given_wrongly_are_refused():
    with pytest.raises(ValueError, match=r"takes a list of out_channels=2 networks as branch, got one network"):
        DeepONet(MLP(8, 4), MLP(1, 4), out_channels=2, multi_output="independent")
    with pytest.raises(ValueError, match=r"list of out_channels=2 networks as trunk, got 1"):
        DeepONet([MLP(8, 4)] * 2, [MLP(1, 4)], out_channels=2, multi_output="independent")
    with pytest.raises(ValueError, match=r"a stacked branch is given as MLP.*expected widths"):
        DeepONet(MLP(8, 4), [1, 4], stacked=True)
    with pytest.raises(
        ValueError, match=r"branch is given as 'wide', expected widths such as \[100, 40, 40\], a module"
    ):
        DeepONet("wide", [1, 4])
    with pytest.raises(ValueError, match="multi_output is 'split', expected split_branch"):
        DeepONet([8, 4], [1, 4], multi_output="split")
    with pytest.raises(ValueError, match="merge is 'sum', expected 'dot', 'product-mlp' or a network"):
        DeepONet([8, 4], [1, 4], merge="sum")
    with pytest.raises(ValueError, match="needs num_basis"):
        DeepONet(nn.Flatten(), [1, 4], merge="product-mlp")
    with pytest.raises(ValueError, match="Parallel got no networks"):
        Parallel()
    with pytest.raises(ValueError, match="a stack of 0 networks"):
        StackedMLP(0, 5)
