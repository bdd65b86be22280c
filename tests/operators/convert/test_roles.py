"""What the user says about modules: each role, its values at the reference and what it does elsewhere; recurrences."""

import pytest
import torch
from conversions import assert_same, grid
from torch import Tensor, nn

from sciml.errors import ConversionError
from sciml.operators.convert import FunctionParameter, conversion_report, discretization_error, to_operator
from sciml.spaces import RegularGrid
from sciml.spaces.random import SpectralGRF

SMOOTH = SpectralGRF(gamma=5.0, tau=3.0, dim=1)


class Biased(nn.Module):
    """A convolution, and a bias for every point."""

    def __init__(self, n: int = 16) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 3, 3, padding=1, padding_mode="circular")
        self.bias = nn.Parameter(torch.sin(6.28 * torch.arange(n) / n).repeat(3, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.conv(x) + self.bias)


def test_a_parameter_per_point_is_a_function() -> None:
    network, reference = Biased().double(), grid((16,), periodic=True)
    with pytest.raises(ConversionError, match="At twice the resolution"):
        to_operator(network, reference)
    roles = {"bias": "function"}
    assert_same(network, reference, torch.randn(2, 1, 16, dtype=torch.float64), roles=roles)
    errors = discretization_error(to_operator(network, reference, roles=roles), SMOOTH, (1, 2, 4), finest=32, num=2)
    assert errors.limit[2] < 0.4 * errors.limit[1] < 0.4 * errors.limit[0]


@pytest.mark.parametrize(("role", "tokens"), [("patch", 4), ("convolution", 8)])
def test_a_convolution_of_stride_equal_to_its_kernel_keeps_its_patches_or_its_stride(role: str, tokens: int) -> None:
    network = nn.Sequential(nn.Conv1d(1, 4, 4, 4), nn.GELU()).double()
    roles = {"0": role}
    assert_same(network, grid((16,)), torch.randn(2, 1, 16, dtype=torch.float64), roles=roles)
    inner = to_operator(network, grid((16,)), roles=roles).network
    operator = to_operator(network, grid((16,)), roles=roles)
    shapes = []
    operator.network[0].register_forward_hook(lambda _, __, output: shapes.append(output.shape[-1]))
    operator(torch.randn(1, 1, 32, dtype=torch.float64))
    assert shapes == [tokens]
    assert type(inner[0]) is type(operator.network[0])


def test_a_wrapped_module_runs_at_the_reference() -> None:
    class Shuffle(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.roll(x, 1, -1)

    network = nn.Sequential(nn.Conv1d(1, 2, 1), Shuffle()).double()
    with pytest.raises(ConversionError, match=r"1 is a Shuffle, for which there is no rule.*'wrap'"):
        to_operator(network, grid((16,), periodic=True))
    nodes = RegularGrid(shape=(16,), bounds=((0.0, 1.0),), periodic=True)
    operator = to_operator(network, nodes, roles={"1": "wrap"})
    x = torch.sin(2 * torch.pi * torch.arange(64, dtype=torch.float64) / 64)[None, None]
    coarse = network(x[..., ::4])
    torch.testing.assert_close(operator(x)[..., ::4], coarse, rtol=0, atol=1e-12)


def test_a_decoder_of_fixed_size_is_interpolated_to_the_input() -> None:
    class Decoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lift = nn.Conv1d(1, 2, 1)
            self.read = nn.Linear(32, 5)
            self.write = nn.Linear(5, 32)

        def forward(self, x: Tensor) -> Tensor:
            return self.write(torch.tanh(self.read(self.lift(x).flatten(1)))).unflatten(1, (2, 16))

    network, reference = Decoder().double(), grid((16,), periodic=True)
    roles = {"read": "integral", "write": "pointwise"}
    assert_same(network, reference, torch.randn(2, 1, 16, dtype=torch.float64), roles=roles)
    operator = to_operator(network, reference, roles=roles)
    assert operator(torch.randn(2, 1, 48, dtype=torch.float64)).shape == (2, 2, 48)
    errors = discretization_error(operator, SMOOTH, (1, 2, 4), finest=32, num=2)
    assert errors.limit[2] < 0.4 * errors.limit[1]


def test_bad_roles_list_the_choices() -> None:
    network = nn.Conv1d(1, 1, 3, padding=1)
    with pytest.raises(ConversionError, match=r"'points', expected one of pointwise, integral, .* messages, wrap"):
        to_operator(nn.Sequential(network), (16,), roles={"0": "points"})
    with pytest.raises(ConversionError, match="roles names 'head', which is no module or parameter"):
        to_operator(nn.Sequential(network), (16,), roles={"head": "pointwise"})
    with pytest.raises(ConversionError, match="0 is a Conv1d, which passes no messages"):
        to_operator(nn.Sequential(network), (16,), roles={"0": "messages"})


class InTime(nn.Module):
    """A recurrence over the channels of every point, which are times."""

    def __init__(self, kind: type[nn.Module], width: int = 4) -> None:
        super().__init__()
        self.cell = kind(1, width, batch_first=True)
        self.read = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        batch, times, points = x.shape
        states, _ = self.cell(x.mT.reshape(batch * points, times, 1))
        return self.read(states[:, -1]).view(batch, points, 1).mT


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_a_recurrence_in_time_is_pointwise(kind: type[nn.Module]) -> None:
    network = InTime(kind).double()
    x = torch.randn(2, 5, 16, dtype=torch.float64)
    assert_same(network, grid((16,)), x, channels=5)
    operator = to_operator(network, grid((16,)), channels=5)
    assert "recurrence in time" in str(conversion_report(operator))
    fine = x.repeat_interleave(2, -1)
    torch.testing.assert_close(operator(fine)[..., ::2], network(x), rtol=0, atol=1e-12)


def test_a_recurrence_over_points_is_refused() -> None:
    class OverPoints(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.GRU(1, 1, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.cell(x.mT)[0].mT

    with pytest.raises(ConversionError, match=r"cell is a GRU that runs over 16 entries.*roles={'cell': 'pointwise'}"):
        to_operator(OverPoints(), (16,), channels=1)


def test_an_operator_that_is_fed_its_own_output_works_at_any_scale() -> None:
    network = nn.Sequential(nn.Conv1d(1, 1, 5, padding=2, padding_mode="circular"), nn.Tanh()).double()
    operator = to_operator(network, grid((16,), periodic=True), conv="stencil")
    x = torch.randn(1, 1, 16, dtype=torch.float64)
    fine = torch.randn(1, 1, 32, dtype=torch.float64)
    fine[..., ::2] = x
    for _ in range(5):
        x, fine = network(x), operator(fine)
    torch.testing.assert_close(fine[..., ::2], x, rtol=0, atol=1e-12)


@pytest.mark.parametrize("periodic", [False, True])
def test_a_function_parameter_is_exact_at_its_points_and_linear_between(periodic: bool) -> None:
    reference = RegularGrid(shape=(5, 4), bounds=((0.0, 1.0), (0.0, 2.0)), periodic=periodic)
    parameter = FunctionParameter(torch.randn(3, 5, 4, dtype=torch.float64), reference)
    assert parameter((5, 4)) is parameter.values
    shape = (10, 8) if periodic else (9, 7)
    fine = parameter(shape)
    torch.testing.assert_close(fine[:, ::2, ::2], parameter.values)
    torch.testing.assert_close(fine[:, 1, 0], (parameter.values[:, 0, 0] + parameter.values[:, 1, 0]) / 2)
    fine.sum().backward()
    assert parameter.values.grad is not None
    assert bool((parameter.values.grad > 0).all())


def test_values_that_do_not_fit_the_grid() -> None:
    with pytest.raises(ConversionError, match=r"values have shape \(3, 5\), expected \(\.\.\., 4\)"):
        FunctionParameter(torch.zeros(3, 5), RegularGrid(shape=(4,), bounds=((0.0, 1.0),)))
    with pytest.raises(ConversionError, match=r"shape is \(4, 4\), expected 1 numbers"):
        FunctionParameter(torch.zeros(3, 4), RegularGrid(shape=(4,), bounds=((0.0, 1.0),)))((4, 4))
