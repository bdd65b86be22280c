"""Channel mixing against convolutions with kernel size one."""

import copy

import pytest
import torch
from torch import nn

from sciml.nn import ChannelLinear, ChannelMLP


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_channel_linear_equals_a_convolution_with_kernel_size_one(dim, bias):
    layer = ChannelLinear(3, 5, bias=bias).double()
    conv = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[dim - 1](3, 5, 1, bias=bias).double()
    state = {name: p.reshape(conv.state_dict()[name].shape) for name, p in layer.named_parameters()}
    conv.load_state_dict(state)
    x = torch.randn(2, 3, *(4, 5, 6)[:dim], dtype=torch.float64)
    torch.testing.assert_close(layer(x), conv(x), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(layer(x.transpose(-1, 2)), conv(x.transpose(-1, 2)), rtol=1e-10, atol=1e-12)


def test_what_is_added_takes_the_place_of_the_bias():
    layer = ChannelLinear(3, 5).double()
    x, plus = torch.randn(2, 3, 4, 4, dtype=torch.float64), torch.randn(2, 5, 16, dtype=torch.float64)
    expected = torch.einsum("oi,bixy->boxy", layer.weight, x) + plus.unflatten(2, (4, 4))
    torch.testing.assert_close(layer(x, plus), expected, rtol=1e-10, atol=1e-12)


def test_weights_start_as_those_of_a_convolution():
    bound = 1 / 50**0.5
    layer = ChannelLinear(50, 400)
    for parameter in layer.parameters():
        assert parameter.abs().max() <= bound
    assert layer.weight.detach().std().item() == pytest.approx(bound / 3**0.5, rel=0.02)


def test_channel_mlp_acts_on_each_point_alone():
    net = ChannelMLP(3, 8, 2)
    x = torch.randn(2, 3, 5, 4)
    y = net(x)
    torch.testing.assert_close(y[:, :, 1:2, 2:3], net(x[:, :, 1:2, 2:3]), rtol=1e-4, atol=1e-5)
    twin = nn.Sequential(nn.Linear(3, 8), nn.GELU(), nn.Linear(8, 2))
    twin.load_state_dict(dict(zip(twin.state_dict(), net.state_dict().values(), strict=True)))
    torch.testing.assert_close(y.movedim(1, -1), twin(x.movedim(1, -1)), rtol=1e-4, atol=1e-5)


def test_dropout_is_off_in_evaluation():
    net = ChannelMLP(3, 8, 2, dropout=0.5)
    x = torch.randn(2, 3, 5)
    assert not torch.equal(net(x), net(x))
    assert torch.equal(net.eval()(x), copy.deepcopy(net)(x))


def test_derivatives_are_right():
    net = ChannelMLP(2, 3, 2, activation="tanh").double()
    assert torch.autograd.gradcheck(net, torch.randn(2, 2, 3, 2, dtype=torch.float64, requires_grad=True))


def test_one_width_is_refused():
    with pytest.raises(ValueError, match="expected at least two widths"):
        ChannelMLP(3)
