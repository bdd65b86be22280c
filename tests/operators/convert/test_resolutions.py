"""Beyond the reference: orders of convergence, exactness where the form promises it, symmetries, composition."""

import math
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise

import pytest
import torch
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from sciml.errors import ConversionError
from sciml.operators.convert import (
    CubicConv1d,
    DifferentialConv1d,
    HatConv1d,
    HatConv2d,
    InterpolationWrapper,
    StencilConv2d,
    discretization_error,
    spectral_conv_from,
    to_operator,
)
from sciml.spaces import Function, RegularGrid
from sciml.spaces.random import SpectralGRF

SMOOTH = SpectralGRF(gamma=5.0, tau=3.0, dim=1)


def line(n: int, alignment: str = "node", periodic: bool = True) -> RegularGrid:
    return RegularGrid(shape=(n,), bounds=((0.0, 1.0),), periodic=periodic, alignment=alignment)  # type: ignore[arg-type]


def plane(n: int, alignment: str = "node", periodic: bool = True) -> RegularGrid:
    return RegularGrid(shape=(n, n), bounds=((0.0, 1.0),) * 2, periodic=periodic, alignment=alignment)  # type: ignore[arg-type]


def cnn(padding_mode: str, kernel: int = 5, layers: int = 3) -> nn.Module:
    widths = [1, *[8] * (layers - 1), 1]
    parts: list[nn.Module] = []
    for a, b in pairwise(widths):
        parts += [nn.Conv1d(a, b, kernel, padding=kernel // 2, padding_mode=padding_mode), nn.GELU()]
    return nn.Sequential(*parts[:-1]).double()


def band_limited(grid: RegularGrid, seed: int = 0, modes: int = 5) -> Tensor:
    """Two functions with wave numbers up to ``modes`` along each axis, at the points of any grid."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.zeros(2, grid.num_points, dtype=torch.float64)
    for _ in range(6):
        wave = torch.randint(-modes, modes + 1, (2, grid.dim), generator=generator).double()
        phase = torch.rand(2, 1, generator=generator, dtype=torch.float64) * 2 * math.pi
        values += torch.cos(2 * math.pi * wave @ grid.points.T + phase)
    return values.view(2, 1, *grid.shape)


@pytest.mark.parametrize(
    ("padding_mode", "grid", "low", "high"),
    [
        ("circular", line(32), 1.8, 2.2),
        ("circular", line(32, "cell"), 1.8, 2.2),
        ("zeros", line(33, periodic=False), 0.8, 1.3),
    ],
)
def test_hat_kernels_converge_at_their_order(padding_mode: str, grid: RegularGrid, low: float, high: float) -> None:
    errors = discretization_error(to_operator(cnn(padding_mode), grid), SMOOTH, (1, 2, 4, 8), finest=64)
    assert low <= errors.order <= high
    assert errors.training[0] == 0


def test_the_error_against_training_does_not_vanish_but_that_against_the_limit_does() -> None:
    errors = discretization_error(to_operator(cnn("circular"), line(32)), SMOOTH, (1, 2, 4, 8, 16), finest=64)
    assert errors.limit[-1] < errors.limit[0] / 100
    assert errors.training[-1] == pytest.approx(errors.limit[0], rel=0.05)


def test_the_differential_form_converges_to_its_operator_at_second_order() -> None:
    network = nn.Conv1d(1, 1, 3, padding=1, padding_mode="circular").double()
    errors = discretization_error(to_operator(network, line(32), conv="differential"), SMOOTH, (1, 2, 4, 8), finest=64)
    assert 1.8 <= errors.order <= 2.2


def test_the_differential_form_of_a_second_difference_is_the_second_derivative() -> None:
    layer = DifferentialConv1d(1, 1, 3, padding=1, padding_mode="circular", bias=False, reference=line(16)).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[[1.0, -2.0, 1.0]]]) * 16**2)
    x = line(1024).points.T[None]
    found = layer(torch.sin(2 * math.pi * x))
    torch.testing.assert_close(found, -((2 * math.pi) ** 2) * torch.sin(2 * math.pi * x), rtol=0, atol=1e-3)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_spectral_form_is_exact_for_functions_that_the_reference_holds(scale: int) -> None:
    network = nn.Conv1d(1, 3, 5, padding=2, padding_mode="circular").double()
    operator = to_operator(network, line(16), conv="spectral")
    coarse, fine = band_limited(line(16)), band_limited(line(16 * scale))
    torch.testing.assert_close(operator(fine)[..., ::scale], network(coarse), rtol=0, atol=1e-10)


@pytest.mark.parametrize("alignment", ["node", "cell"])
def test_the_spectral_form_is_exact_in_two_dimensions_and_on_coarser_grids(alignment: str) -> None:
    network = nn.Conv2d(1, 2, (3, 5), padding=(1, 2), padding_mode="circular").double()
    operator = to_operator(network, plane(12, alignment), conv="spectral")
    fine = operator(Function(band_limited(plane(36, alignment), modes=3), plane(36, alignment)))
    expected = network(band_limited(plane(12, alignment), modes=3))
    start = 0 if alignment == "node" else 1
    torch.testing.assert_close(fine.values[..., start::3, start::3], expected, rtol=0, atol=1e-10)
    coarse = (
        operator(Function(band_limited(plane(8, "node"), modes=3), plane(8, "node"))) if alignment == "node" else None
    )
    if coarse is not None:
        torch.testing.assert_close(coarse.values[..., ::2, ::2], expected[..., ::3, ::3], rtol=0, atol=1e-10)


@pytest.mark.parametrize(("grid", "mode"), [(line(16), "circular"), (line(17, periodic=False), "zeros")])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_stencil_form_repeats_the_network_at_its_points(grid: RegularGrid, mode: str, scale: int) -> None:
    network = cnn(mode)
    fine = grid.refine(scale)
    x = torch.randn(2, 1, *fine.shape, dtype=torch.float64)
    found = to_operator(network, grid, conv="stencil")(x)
    torch.testing.assert_close(found[..., ::scale], network(x[..., ::scale]), rtol=0, atol=1e-12)


def test_the_stencil_form_keeps_strides_and_levels() -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, 2, 1, padding_mode="circular"),
        nn.ReLU(),
        nn.Conv2d(4, 2, 3, 1, 2, 2, padding_mode="circular"),
    ).double()
    x = torch.randn(1, 1, 32, 32, dtype=torch.float64)
    found = to_operator(network, plane(16), conv="stencil")(x)
    torch.testing.assert_close(found[..., ::2, ::2], network(x[..., ::2, ::2]), rtol=0, atol=1e-12)


@given(
    kernel=st.integers(2, 5),
    dilation=st.integers(1, 2),
    scale=st.sampled_from([2, 3, 4, 8]),
    alignment=st.sampled_from(["node", "cell"]),
)
def test_hat_kernels_keep_constants(kernel: int, dilation: int, scale: int, alignment: str) -> None:
    layer = HatConv1d(
        2, 3, kernel, dilation=dilation, padding=kernel // 2, padding_mode="circular", reference=line(24, alignment)
    ).double()
    ones = torch.ones(1, 2, 24, dtype=torch.float64)
    expected = layer(ones).mean(-1, keepdim=True)
    found = layer(torch.ones(1, 2, 24 * scale, dtype=torch.float64))
    torch.testing.assert_close(found, expected.expand_as(found), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("padding_mode", "alignment"), [("circular", "node"), ("circular", "cell")])
def test_cubic_kernels_converge_faster_and_stay_closer_to_training_than_hats(padding_mode: str, alignment: str) -> None:
    network = cnn(padding_mode)
    cubic, hat = (
        discretization_error(to_operator(network, line(32, alignment), conv=form), SMOOTH, (1, 2, 4, 8), finest=64)
        for form in ("cubic", "hat")
    )
    assert cubic.limit[-1] < 0.1 * hat.limit[-1] or alignment == "cell"  # cells compare averages, to second order
    assert cubic.training[-1] < 0.3 * hat.training[-1]


@pytest.mark.parametrize("scale", [2, 3, 4, Fraction(3, 2)])
def test_cubic_kernels_keep_quadratic_functions_away_from_the_ends(scale: Fraction) -> None:
    layer = CubicConv1d(1, 1, 5, padding=2, bias=False, reference=line(33, periodic=False)).double()
    grid = line(int(scale * 32) + 1, periodic=False)
    t = grid.points[:, 0]
    found = layer((t**2)[None, None])[0, 0]
    taps = (torch.arange(5, dtype=torch.float64) - 2) / 32
    expected = (layer.weight[0, 0, :, None] * (t + taps[:, None]) ** 2).sum(0)
    inside = (t > 0.2) & (t < 0.8)
    tolerance = 1e-12 if scale == int(scale) else 1e-4
    torch.testing.assert_close(found[inside], expected[inside], rtol=0, atol=tolerance)


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_symmetric_hats_keep_linear_functions_away_from_the_ends(scale: int) -> None:
    layer = HatConv1d(1, 1, 5, padding=2, bias=False, reference=line(33, periodic=False)).double()
    with torch.no_grad():
        layer.weight.copy_(layer.weight + layer.weight.flip(-1))
    grid = line(33, periodic=False).refine(scale)
    found = layer(grid.points.T[None])
    inside = (grid.points[:, 0] > 0.2) & (grid.points[:, 0] < 0.8)
    torch.testing.assert_close(found[0, 0, inside], layer.weight.sum() * grid.points[inside, 0], rtol=0, atol=1e-12)


@settings(max_examples=20)
@given(shift=st.integers(1, 63), form=st.sampled_from(["hat", "cubic", "spectral", "differential", "stencil"]))
def test_circular_forms_commute_with_shifts_by_any_fine_point(shift: int, form: str) -> None:
    torch.manual_seed(3)
    operator = to_operator(cnn("circular", 3, 2), line(16), conv=form)
    x = band_limited(line(64))
    shifted = operator(x.roll(shift, -1))
    torch.testing.assert_close(shifted, operator(x).roll(shift, -1), rtol=0, atol=1e-11)


@pytest.mark.parametrize("form", ["hat", "cubic", "spectral", "stencil"])
def test_converting_parts_or_the_whole_is_the_same(form: str) -> None:
    a, b = cnn("circular", 3, 2), cnn("circular", 5, 2)
    x = band_limited(line(48))
    whole = to_operator(nn.Sequential(a, b), line(16), conv=form)(x)
    parts = to_operator(b, line(16), conv=form)(to_operator(a, line(16), conv=form)(x))
    torch.testing.assert_close(whole, parts, rtol=0, atol=1e-13)


def test_converting_twice_changes_nothing_and_another_reference_is_refused() -> None:
    operator = to_operator(cnn("circular"), line(16))
    assert to_operator(operator, line(16)) is operator
    with pytest.raises(ConversionError, match=r"convert its \.original"):
        to_operator(operator, line(32))


def test_a_circular_convolution_becomes_the_spectral_layer_of_neuraloperator() -> None:
    spectral_layers = pytest.importorskip("neuralop.layers.spectral_convolution")
    conv = nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular").double()
    ours = spectral_conv_from(conv, (9, 9))
    theirs = spectral_layers.SpectralConv(2, 3, (9, 9), bias=True)
    with torch.no_grad():
        weight = torch.complex(*ours.weight).movedim((-2, -1), (0, 1))
        theirs.weight.tensor.copy_(weight)
        theirs.bias.copy_(ours.bias.view(-1, 1, 1))
    # On an odd number of points the reference's inverse shift is off by one; 18 is even.
    x = band_limited(plane(18), modes=4).expand(-1, 2, -1, -1)
    expected = to_operator(conv, plane(9), conv="spectral")(x)
    torch.testing.assert_close(ours(x), expected, rtol=0, atol=1e-12)
    found = theirs(x.float()).double()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("method", ["linear", "cubic", "fourier"])
def test_the_interpolation_wrapper_is_the_network_at_the_reference_and_keeps_the_grid(method: str) -> None:
    network = cnn("circular")
    wrapper = InterpolationWrapper(network, line(16), method)
    x = torch.randn(2, 1, 16, dtype=torch.float64)
    assert torch.equal(wrapper(x), network(x))
    fine = wrapper(Function(band_limited(line(64)), line(64)))
    assert isinstance(fine, Function)
    assert fine.disc == line(64)
    torch.testing.assert_close(fine.values[..., ::4], network(band_limited(line(16))), rtol=0, atol=1e-12)


PIECES: list[Callable[[int], nn.Module]] = [
    lambda c: nn.Conv1d(c, c, 3, padding=1),
    lambda c: nn.Conv1d(c, c, 2, 2),
    lambda c: nn.Conv1d(c, c, 3, 2, 1, padding_mode="replicate"),
    lambda c: nn.Conv1d(c, c, 5, padding=4, dilation=2, groups=c, padding_mode="reflect"),
    lambda c: nn.Conv1d(c, c, 1),
    lambda c: nn.MaxPool1d(2),
    lambda c: nn.AvgPool1d(3, 1, 1),
    lambda c: nn.ConvTranspose1d(c, c, 4, 2, 1),
    lambda c: nn.Upsample(scale_factor=2, mode="linear"),
    lambda c: nn.GroupNorm(1, c),
    lambda c: nn.GELU(),
    lambda c: nn.ReflectionPad1d(1),
]


@settings(max_examples=60)
@given(
    pieces=st.lists(st.integers(0, len(PIECES) - 1), min_size=1, max_size=4),
    alignment=st.sampled_from(["cell", "node"]),
    seed=st.integers(0, 5),
)
def test_random_stacks_are_exact_at_the_reference_finite_beyond_and_converge(
    pieces: list[int], alignment: str, seed: int
) -> None:
    torch.manual_seed(seed)
    network = nn.Sequential(*(PIECES[i](2) for i in pieces)).double()
    grid = line(32 if alignment == "cell" else 33, alignment, periodic=False)
    x = torch.randn(1, 2, *grid.shape, dtype=torch.float64)
    try:
        expected = network(x)
    except RuntimeError:  # a reflection wider than what is left of the line
        reject()
    operator = to_operator(network, grid, channels=2)
    torch.testing.assert_close(operator(x), expected, rtol=0, atol=1e-12)

    def smooth(scale: int) -> Tensor:
        t = grid.refine(scale).points[:, 0]
        with torch.no_grad():
            return operator(torch.stack([torch.sin(2 * t + 1), torch.exp(-t)])[None])

    best = smooth(32)
    errors = []
    for scale in (1, 2, 4, 8):
        values = smooth(scale)
        assert values.isfinite().all()
        factor = 32 // scale
        cells = alignment == "cell"
        moved = best.unflatten(-1, (values.shape[-1], factor)).mean(-1) if cells else best[..., ::factor]
        errors.append(((values - moved).norm() / (moved.norm() + 1e-12)).item())
    # The maximum of a monotone function over nodes is exact at any scale, but for rounding and its last points.
    assert errors[3] < 0.6 * max(errors[:2]) + 1e-5


def test_a_scale_below_one_reads_the_linear_interpolant() -> None:
    layer = HatConv1d(1, 1, 3, padding=1, padding_mode="circular", reference=line(32)).double()
    x = band_limited(line(16), modes=2)
    between = (x + x.roll(-1, -1)) / 2
    fine = torch.stack([x, between], -1).flatten(-2)
    torch.testing.assert_close(layer(x), layer(fine)[..., ::2], rtol=0, atol=1e-13)


def test_refined_kernels_are_kept_only_while_nothing_trains() -> None:
    layer = HatConv2d(1, 1, 3, padding=1, reference=(8, 8))
    x = torch.randn(1, 1, 20, 20)  # a scale of 5/2 needs a kernel of its own
    with torch.no_grad():
        first = layer(x)
        layer.weight.mul_(2)
        layer.bias.mul_(2)
        torch.testing.assert_close(layer(x), 2 * first)
    layer(x).sum().backward()
    assert layer.weight.grad is not None


def test_a_fused_optimizer_between_two_evaluations_is_seen() -> None:
    layer = HatConv2d(1, 1, 3, padding=1, reference=(8, 8))
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.1, fused=True)
    x = torch.randn(1, 1, 20, 20)
    with torch.no_grad():
        before = layer(x)
    layer(x).sum().backward()
    optimizer.step()
    trained = layer(x).detach()
    with torch.no_grad():
        torch.testing.assert_close(layer(x), trained)
    assert not torch.allclose(before, trained)


def test_layers_of_their_own_check_their_arguments() -> None:
    with pytest.raises(ConversionError, match=r"circular padding, axis 0 of the reference is not periodic"):
        HatConv1d(1, 1, 3, padding=1, padding_mode="circular", reference=(16,))
    with pytest.raises(ConversionError, match=r"even kernel \(2,\).*convert it as 'hat'"):
        DifferentialConv1d(1, 1, 2, reference=(16,))
    assert StencilConv2d(1, 1, 3, reference=(8, 8)).site.axes[0].count(8, Fraction(2)) == 16
