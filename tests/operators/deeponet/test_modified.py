"""The modified architecture against its formula, its layouts and its messages."""

import pytest
import torch
from torch import nn

from sciml.operators.deeponet import ModifiedDeepONet

U = torch.randn(4, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def network(**options):
    net = ModifiedDeepONet(10, 2, width=12, depth=3, **options).double()
    for parameter in net.parameters():
        if parameter.dim() == 1:
            nn.init.normal_(parameter)
    return net


def formula(net, u, y):
    """One function at one point, written as in the paper."""
    phi = torch.tanh
    code_u, code_y = phi(net.encode_u(u)), phi(net.encode_y(y))
    h_u, h_y = phi(net.branch_layers[0](u)), phi(net.trunk_layers[0](y))
    for branch, trunk in zip(net.branch_layers[1:], net.trunk_layers[1:], strict=True):
        z_u, z_y = phi(branch(h_u)), phi(trunk(h_y))
        h_u, h_y = (1 - z_u) * code_u + z_u * code_y, (1 - z_y) * code_u + z_y * code_y
    return h_u * h_y


@pytest.mark.parametrize("channels", [1, 3])
def test_it_equals_the_published_formula(channels):
    net, y = network(out_channels=channels), torch.rand(5, 2, dtype=torch.float64)
    products = torch.stack([torch.stack([formula(net, u, point) for point in y]) for u in U])
    expected = products.unflatten(-1, (channels, -1)).sum(-1).transpose(1, 2) + net.bias[:, None]
    actual = net(U, y)
    torch.testing.assert_close(actual if channels > 1 else actual[:, None], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("channels", [1, 3])
def test_all_layouts_give_the_same_numbers(channels):
    net, y = network(out_channels=channels), torch.rand(4, 2, dtype=torch.float64)
    aligned = net(U, y)
    torch.testing.assert_close(net(U, y.expand(4, -1, -1)), aligned, rtol=1e-10, atol=1e-12)
    rows = net(U, y, layout="unaligned")
    expected = aligned.diagonal(dim1=0, dim2=-1)
    torch.testing.assert_close(rows, expected if channels == 1 else expected.t(), rtol=1e-10, atol=1e-12)


def test_derivatives_are_right():
    net, y = network(), torch.rand(3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda u, y: net(u, y), (U.clone().requires_grad_(), y))


def test_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match=r"width=100.*a width that divides by out_channels"):
        ModifiedDeepONet(10, out_channels=3)
    with pytest.raises(ValueError, match=r"coords has last dimension 1 \(shape \(5, 1\)\), but this trunk takes 2"):
        network()(U, torch.rand(5, 1).double())
    with pytest.raises(ValueError, match="u has 9 sensor values per function"):
        network()(U[:, 1:], torch.rand(5, 2).double())
