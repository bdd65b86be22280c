"""Counts of parameters, bytes and operations against counting by hand."""

import math

import pytest
import torch
from torch import nn

from sciml.nn import MLP, fft_flops, model_complexity
from sciml.operators import FNO


class Spectrum(nn.Module):
    """A real transform, a complex matrix per mode, and back; with complex parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(5, 5, dtype=torch.cfloat))
        self.register_buffer("scale", torch.ones(3))

    def forward(self, u):
        return torch.fft.irfft(torch.fft.rfft(u, dim=-1) @ self.weight, n=8)


class Transforms(nn.Module):
    def forward(self, x):
        return torch.fft.fft2(x)


def test_dense_networks_count_two_operations_per_weight_and_sample():
    counted = model_complexity(MLP(10, 20, 5), {"x": torch.zeros(7, 10)})
    assert counted["parameters"] == 10 * 20 + 20 + 20 * 5 + 5
    assert counted["bytes"] == 4 * counted["parameters"]
    assert counted["flops"] == 7 * 2 * (10 * 20 + 20 * 5)


def test_complex_parameters_count_as_two_numbers_and_complex_products_as_four():
    counted = model_complexity(Spectrum(), {"x": torch.zeros(2, 3, 8)})  # u falls back to x
    assert counted["parameters"] == 50
    assert counted["bytes"] == 25 * 8 + 3 * 4
    transforms = 2 * 6 * 0.5 * 5 * 8 * math.log2(8)
    assert counted["flops"] == transforms + 4 * 2 * 6 * 5 * 5


def test_complex_transforms_over_two_axes_count_all_points():
    counted = model_complexity(Transforms(), {"x": torch.zeros(3, 8, 4, dtype=torch.cfloat)})
    assert counted["flops"] == 3 * 5 * 32 * 5


def test_fft_flops_of_one_point_is_zero():
    assert fft_flops(1, 10) == 0


def test_inputs_can_have_other_names():
    assert model_complexity(nn.Linear(3, 2), {"a": torch.zeros(1, 3)}, inputs={"input": "a"})["flops"] == 12


def test_a_missing_input_is_named():
    with pytest.raises(ValueError, match=r"forward of Linear takes input, but the batch holds \['x'\]"):
        model_complexity(nn.Linear(3, 2), {"x": torch.zeros(1, 3)})


def test_the_mode_of_the_model_is_left_as_it_was():
    for training in (True, False):
        net = nn.Dropout(0.5).train(training)
        model_complexity(net, {"input": torch.zeros(1)})
        assert net.training is training


def test_flops_of_an_fno_grow_with_the_number_of_points():
    model = FNO(1, 1, (4, 4), 8, num_layers=2)
    small, large = (model_complexity(model, {"x": torch.zeros(1, 1, n, n)})["flops"] for n in (16, 32))
    assert 3 < large / small < 4  # the part per mode does not grow
