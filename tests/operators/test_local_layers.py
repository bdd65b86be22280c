"""Local integrals and derivatives: written-out sums, limits, orders, bad input."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from sciml.errors import ConfigError
from sciml.operators import FNO, DifferentialLayer, LocalIntegral, disc_basis


def wave(n: int) -> tuple[Tensor, Tensor, Tensor]:
    """A smooth periodic function on ``n x n`` points and both derivatives."""
    t = 2 * math.pi * torch.arange(n, dtype=torch.float64) / n
    x, y = t[:, None], t[None]
    f = torch.sin(x + 2 * y)
    slope = 2 * math.pi * torch.cos(x + 2 * y)
    return f[None, None], slope[None, None], 2 * slope[None, None]


def test_the_differential_layer_is_the_published_formula() -> None:
    layer = DifferentialLayer(2, 3, dim=2).double()
    x = torch.randn(2, 2, 6, 6, dtype=torch.float64)
    expected = torch.zeros(2, 3, 6, 6, dtype=torch.float64)
    for i in range(3):
        for j in range(3):
            shifted = x.roll((1 - i, 1 - j), (2, 3)) - x
            expected += torch.einsum("oc,bcxy->boxy", layer.weight[:, :, i, j], shifted) * 6
    torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-12)


def test_the_differential_layer_converges_to_a_directional_derivative_at_first_order() -> None:
    layer = DifferentialLayer(1, 1, dim=2).double()
    offsets = torch.arange(3, dtype=torch.float64) - 1
    first = (layer.weight[0, 0] * offsets[:, None]).sum()
    second = (layer.weight[0, 0] * offsets[None]).sum()
    errors = []
    for n in (32, 64, 128):
        f, along, across = wave(n)
        errors.append((layer(f) - first * along - second * across).norm() / n)
    rates = [math.log2(a / b) for a, b in pairwise(errors)]
    assert all(0.8 < rate < 1.2 for rate in rates)


def test_local_integrals_keep_constants_and_converge_at_second_order() -> None:
    layer = LocalIntegral(1, 1, radius=0.11, rings=3, sectors=4).double()
    total = layer.weight.sum()
    torch.testing.assert_close(
        layer(torch.ones(1, 1, 40, 40, dtype=torch.float64)),
        total.expand(1, 1, 40, 40),
        rtol=0,
        atol=1e-12,
    )
    line = LocalIntegral(1, 1, radius=0.11, rings=3, dim=1).double()

    def on(n: int) -> Tensor:
        return line(torch.sin(2 * math.pi * torch.arange(n, dtype=torch.float64) / n + 0.3).view(1, 1, -1))

    best = on(8192)
    errors = [(on(n) - best[..., :: 8192 // n]).abs().max().item() for n in (64, 128, 256, 512)]
    assert math.log2(errors[0] / errors[3]) / 3 > 1.7


def test_the_basis_is_a_partition_in_radius_and_angle() -> None:
    basis = disc_basis((200, 200), 0.1, 3, 5)
    assert basis.shape == (11, 39, 39)
    torch.testing.assert_close(basis.flatten(1).sum(1), torch.ones(11, dtype=torch.float64))
    line = disc_basis((100,), 0.1, 2, 2)
    assert line.shape == (3, 19)
    torch.testing.assert_close(line[1], line[2].flip(0))


def test_layers_commute_with_shifts_and_zero_boundaries_do_not_wrap() -> None:
    x = torch.randn(1, 2, 20, 20, dtype=torch.float64)
    for make in (
        lambda boundary: DifferentialLayer(2, 2, dim=2, boundary=boundary),
        lambda boundary: LocalIntegral(2, 2, radius=0.2, boundary=boundary),
    ):
        layer = make("periodic").double()
        torch.testing.assert_close(layer(x.roll((3, 5), (2, 3))), layer(x).roll((3, 5), (2, 3)))
        zeros = make("zeros").double()
        far = torch.zeros_like(x)
        far[..., 0, 10] = 1
        assert zeros(far)[..., -1, :].abs().max() == 0


@pytest.mark.parametrize("local", ["integral", "differential"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_fno_takes_local_layers(local: str, dtype: torch.dtype) -> None:
    model = FNO(1, 1, (4, 4), hidden_channels=6, num_layers=3, local=local, local_radius=0.2).to(dtype)
    has_local = [block.local is not None for block in model.blocks]
    assert has_local == ([True] * 3 if local == "integral" else [False, False, True])
    x = torch.randn(2, 1, 16, 16, dtype=dtype, requires_grad=True)
    y = model(x)
    y.sum().backward()
    assert y.shape == x.shape
    assert all(p.grad is not None for p in model.parameters())
    assert model(torch.randn(1, 1, 33, 20, dtype=dtype)).shape == (1, 1, 33, 20)


def test_bad_arguments_name_themselves() -> None:
    with pytest.raises(ConfigError, match="kernel_size is 4"):
        DifferentialLayer(1, 1, dim=2, kernel_size=4)
    with pytest.raises(ConfigError, match=r"radius is 0\.7"):
        LocalIntegral(1, 1, radius=0.7)
    with pytest.raises(ConfigError, match=r"radius 0\.05 .* too small for a grid of \(8, 8\).*larger radius"):
        LocalIntegral(1, 1, radius=0.05)(torch.zeros(1, 1, 8, 8))
    with pytest.raises(ConfigError, match="boundary is 'open', expected 'periodic' or 'zeros'"):
        LocalIntegral(1, 1, radius=0.1, boundary="open")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="local is 'global', expected 'integral', 'differential' or None"):
        FNO(1, 1, (4, 4), local="global")  # type: ignore[arg-type]
