"""Fully connected networks against torch's own layers."""

import copy
import pickle

import pytest
import torch
from torch import nn

from sciml.errors import UnknownNameError
from sciml.nn import ACTIVATIONS, MLP, FieldMLP, activation_function
from sciml.spaces import DataSpec, FieldSpec


@pytest.mark.parametrize("final", [False, True])
def test_mlp_equals_a_sequence_of_torch_layers(final):
    net = MLP(5, 8, 7, 3, activation="tanh", final_activation=final)
    layers = [nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 7), nn.Tanh(), nn.Linear(7, 3), *([nn.Tanh()] if final else [])]
    twin = nn.Sequential(*layers)
    twin.load_state_dict(dict(zip(twin.state_dict(), net.state_dict().values(), strict=True)))
    x = torch.randn(4, 6, 5)
    torch.testing.assert_close(net(x), twin(x), rtol=0, atol=0)


def test_two_widths_make_one_linear_layer():
    net = MLP(5, 3)
    x = torch.randn(4, 5)
    assert torch.equal(net(x), nn.functional.linear(x, net.layers[0].weight, net.layers[0].bias))


def test_dropout_acts_on_hidden_values_in_training_only():
    net = MLP(3, 1000, 1, activation="identity", dropout=0.5)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.fill_(1.0)
        assert net.eval()(torch.zeros(1, 3)).item() == 1001
        kept = (net.train()(torch.zeros(1, 3)).item() - 1) / 2
    assert kept == int(kept)
    assert abs(kept - 500) < 5 * 250**0.5  # binomial, five standard deviations


@pytest.mark.parametrize(("init", "kurtosis"), [("glorot-normal", 3.0), ("glorot-uniform", 1.8)])
def test_glorot_weights_have_the_right_variance_and_shape(init, kurtosis):
    net = MLP(400, 600, init=init)
    weight = net.layers[0].weight.detach()
    assert weight.var().item() == pytest.approx(2 / 1000, rel=0.02)
    assert ((weight / weight.std()) ** 4).mean().item() == pytest.approx(kurtosis, rel=0.05)
    assert not net.layers[0].bias.any()


@pytest.mark.parametrize("init", ["torch", "glorot-normal"])
def test_reset_draws_new_weights(init):
    net = MLP(4, 4, 4, init=init)
    before = net.layers[0].weight.clone()
    net.reset_parameters()
    assert not torch.equal(net.layers[0].weight, before)


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_a_network_with_any_activation_can_be_copied_and_pickled(name):
    net = MLP(3, 4, 2, activation=name)
    x = torch.randn(5, 3)
    for copied in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(copied(x), net(x))


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match=r"widths is \(3,\), expected at least two"):
        MLP(3)
    with pytest.raises(ValueError, match="init is 'he', expected torch, glorot-normal or glorot-uniform"):
        MLP(3, 2, init="he")
    with pytest.raises(UnknownNameError, match=r"unknown activation 'rleu'. Did you mean 'relu'"):
        activation_function("rleu")


def test_field_mlp_is_an_mlp_of_all_values():
    net = FieldMLP((2, 4, 3), (1, 5), hidden=(7,))
    x = torch.randn(6, 2, 4, 3)
    assert torch.equal(net(x), net.network(x.reshape(6, 24)).reshape(6, 1, 5))


def test_field_mlp_refuses_another_resolution():
    with pytest.raises(ValueError, match=r"x has shape \(2, 1, 32\), but this FieldMLP takes \(batch, 1, 16\)"):
        FieldMLP((1, 16), (1, 16))(torch.zeros(2, 1, 32))


def test_field_mlp_takes_shapes_from_the_data():
    fields = {"x": FieldSpec("x", "input", 2, (8, 8)), "y": FieldSpec("y", "target", None, (8, 8))}
    net = FieldMLP.from_spec(DataSpec(fields), hidden=[5])
    assert net(torch.zeros(3, 2, 8, 8)).shape == (3, 8, 8)


def test_field_mlp_example_fits():
    arguments, batch = FieldMLP.example()
    assert FieldMLP(**arguments)(batch["x"]).shape == batch["y"].shape


def test_field_mlp_learns_a_shift():
    torch.manual_seed(0)
    x = torch.randn(256, 1, 8)
    net = FieldMLP((1, 8), (1, 8), hidden=(), activation="identity")
    optimizer = torch.optim.Adam(net.parameters(), 2e-2)
    for _ in range(300):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(net(x), x.roll(1, -1))
        loss.backward()
        optimizer.step()
    assert loss < 1e-4  # a linear problem that the network can represent
