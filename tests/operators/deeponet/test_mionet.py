"""Several input functions against the formula and the limits in which they become one."""

import pytest
import torch
from torch import nn

from sciml.nn import MLP
from sciml.operators.deeponet import DeepONet, MIONet, mionet


class One(nn.Module):
    """A branch that gives ones."""

    out_features = 5

    def forward(self, u):
        return u.new_ones(len(u), 5)


def test_mionet_equals_the_formula():
    net = MIONet([[10, 8, 5], [7, 8, 5], [4, 8, 5]], [1, 8, 5]).double()
    nn.init.normal_(net.bias)
    inputs = [torch.randn(6, m, dtype=torch.float64) for m in (10, 7, 4)]
    coords = torch.rand(9, 1, dtype=torch.float64)
    parts = [branch(u) for branch, u in zip(net.branch.branches, inputs, strict=True)]
    expected = torch.einsum("bp,bp,bp,np->bn", *parts, net.trunk(coords)) + net.bias
    torch.testing.assert_close(net(tuple(inputs), coords), expected, rtol=1e-10, atol=1e-12)
    assert torch.equal(net(inputs[0], coords, *inputs[1:]), net(tuple(inputs), coords))


def test_one_input_or_a_second_one_that_gives_ones_is_a_deeponet():
    plain = DeepONet([10, 8, 5], [1, 8, 5])
    one = MIONet([plain.branch], plain.trunk)
    two = MIONet([plain.branch, One()], plain.trunk)
    u, coords = torch.randn(6, 10), torch.rand(9, 1)
    assert torch.equal(one(u, coords), plain(u, coords))
    assert torch.equal(two(u, coords, torch.randn(6, 3)), plain(u, coords))


def test_layouts_channels_and_derivatives_are_those_of_deeponet():
    net = mionet([10, 7], dim=2, out_channels=2, modes=5, branch=[8], trunk=[8], activation="tanh")
    inputs, coords = (torch.randn(4, 10), torch.randn(4, 7)), torch.rand(4, 2)
    aligned = net(inputs, coords)
    assert aligned.shape == (4, 2, 4)
    unaligned = net(inputs, coords, layout="unaligned")
    torch.testing.assert_close(unaligned, aligned.diagonal(dim1=0, dim2=2).t(), rtol=1e-5, atol=1e-6)
    y = coords.clone().requires_grad_()
    (slope,) = torch.autograd.grad(net(inputs, y, layout="unaligned")[:, 1].sum(), y)
    derivative = net.derivative(inputs, coords, (0, 1), layout="unaligned")
    torch.testing.assert_close(derivative[:, 1], slope[:, 1], rtol=1e-4, atol=1e-5)


def test_inputs_that_do_not_fit_are_refused():
    net, coords = mionet([10, 7], modes=5), torch.rand(9, 1)
    with pytest.raises(ValueError, match="there are 1 input functions for 2 branches: give one per branch, as a tuple"):
        net(torch.zeros(4, 10), coords)
    with pytest.raises(ValueError, match="name all in one way"):
        net((torch.zeros(4, 10),), coords, torch.zeros(4, 7))
    with pytest.raises(ValueError, match=r"\(4, 5\), \(3, 5\), expected one shape"):
        net((torch.zeros(4, 10), torch.zeros(3, 7)), coords)
    with pytest.raises(ValueError, match=r"the branches give \[5, 6\] features, expected one number for all"):
        MIONet([MLP(10, 5), MLP(7, 6)], nn.Flatten())
    with pytest.raises(ValueError, match="no stacked and no independent form"):
        MIONet([[10, 5], [7, 5]], [1, 5], multi_output="independent")
