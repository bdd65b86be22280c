"""Spectral convolutions against a discrete Fourier sum written out, and their invariants."""

import copy
import itertools
import math
import pickle

import pytest
import torch

from sciml.operators import SpectralConv, TuckerSpectralConv, frequencies, tucker_rank
from sciml.operators.spectral_conv import kept_modes


def slow_spectral_conv(conv, x):
    """The same convolution as a sum over modes and points in complex arithmetic, for grids that hold all modes."""
    grid = x.shape[2:]
    kept = kept_modes(conv.modes)
    points = torch.cartesian_prod(*(torch.arange(n, dtype=torch.float64) / n for n in grid)).reshape(-1, len(grid))
    values = x.flatten(2).to(torch.complex128)
    y = torch.zeros(len(x), conv.out_channels, len(points), dtype=torch.complex128)
    axes = [frequencies(k, half=axis == len(grid) - 1) for axis, k in enumerate(kept)]
    for position in itertools.product(*(range(k) for k in kept)):
        wave = torch.tensor([axes[axis][i] for axis, i in enumerate(position)], dtype=torch.float64)
        phase = 2j * math.pi * (points @ wave)
        coefficient = (values * torch.exp(-phase)).mean(-1)
        matrix = torch.complex(*conv.weight[(slice(None), *position)])
        pairs = 1 if wave[-1] == 0 or 2 * wave[-1] == grid[-1] else 2
        y += pairs * (coefficient @ matrix)[..., None] * torch.exp(phase)
    return y.real.unflatten(2, grid) + conv.bias.view(-1, *(1,) * len(grid))


@pytest.mark.parametrize(
    ("modes", "grid"),
    [((6,), (9,)), ((8,), (8,)), ((4, 6), (8, 8)), ((4, 5), (7, 9)), ((5, 4), (5, 4)), ((3, 4, 4), (5, 4, 6))],
)
def test_spectral_conv_equals_the_sum_over_modes(modes, grid):
    conv = SpectralConv(2, 3, modes).double()
    x = torch.randn(2, 2, *grid, dtype=torch.float64)
    torch.testing.assert_close(conv(x), slow_spectral_conv(conv, x), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("make", [SpectralConv, TuckerSpectralConv])
@pytest.mark.parametrize(("modes", "grid"), [((6,), (7,)), ((4, 3), (5, 6)), ((3, 2, 2), (4, 3, 4))])
def test_derivatives_are_right(make, modes, grid):
    conv = make(2, 2, modes).double()
    x = torch.randn(1, 2, *grid, dtype=torch.float64, requires_grad=True)
    names, parameters = zip(*conv.named_parameters(), strict=True)

    def call(x, *parameters):
        return torch.func.functional_call(conv, dict(zip(names, parameters, strict=True)), (x,))

    assert torch.autograd.gradcheck(call, (x, *parameters))


@pytest.mark.parametrize("make", [SpectralConv, TuckerSpectralConv])
@pytest.mark.parametrize(("coarse", "fine"), [((11, 11), (16, 12)), ((12, 9), (13, 30))])
def test_spectral_conv_is_resolution_invariant_for_band_limited_input(make, coarse, fine):
    conv = make(1, 2, (8, 7)).double()

    def sample(shape):
        s, t = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) / n for n in shape), indexing="ij")
        return (torch.sin(2 * math.pi * (3 * s + t)) + torch.cos(2 * math.pi * (s - 3 * t)) + 0.5)[None, None]

    # Both outputs are band limited, so that they agree wherever the grids do: compare their Fourier coefficients.
    kept = [torch.fft.rfftn(conv(sample(n)), dim=(-2, -1), norm="forward")[..., :4, :4] for n in (coarse, fine)]
    torch.testing.assert_close(*kept, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("size", [3, 4, 5, 6, 7])
def test_a_grid_too_coarse_for_all_modes_uses_the_weights_of_its_wave_numbers(size):
    conv = SpectralConv(1, 1, (8, 8), bias=False).double()
    s, t = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) / n for n in (size, size)), indexing="ij")
    fine_s, fine_t = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) / n for n in (16, 16)), indexing="ij")
    wave = lambda s, t: torch.cos(2 * math.pi * (s + t))[None, None]  # noqa: E731
    coarse, fine = conv(wave(s, t)), conv(wave(fine_s, fine_t))
    # The output has the one wave (1, 1), whose amplitude and phase both grids resolve.
    kept = [torch.fft.rfftn(y, dim=(-2, -1), norm="forward")[0, 0, 1, 1] for y in (coarse, fine)]
    torch.testing.assert_close(*kept, rtol=1e-10, atol=1e-12)


def test_spectral_conv_is_linear_without_bias():
    conv = SpectralConv(2, 2, (4, 4), bias=False).double()
    x, y = torch.randn(2, 3, 2, 7, 7, dtype=torch.float64)
    torch.testing.assert_close(conv(2 * x - 3 * y), 2 * conv(x) - 3 * conv(y), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("make", [SpectralConv, TuckerSpectralConv])
def test_spectral_conv_commutes_with_shifts_of_the_grid(make):
    conv = make(2, 3, (4, 6)).double()
    x = torch.randn(2, 2, 9, 8, dtype=torch.float64)
    torch.testing.assert_close(conv(x.roll((2, 3), (2, 3))), conv(x).roll((2, 3), (2, 3)), rtol=1e-10, atol=1e-12)


def test_identity_weights_return_the_low_pass_part():
    conv = SpectralConv(3, 3, (16, 16), bias=False)
    with torch.no_grad():
        conv.weight.copy_(torch.stack([torch.eye(3), torch.zeros(3, 3)])[:, None, None].expand_as(conv.weight))
    x = torch.randn(2, 3, 15, 16)
    torch.testing.assert_close(conv(x), x, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_mixed_precision_computes_the_convolution_in_the_precision_of_its_weights(dtype):
    conv = SpectralConv(2, 2, (4, 4))
    x = torch.randn(2, 2, 8, 8)
    with torch.autocast("cpu", dtype):
        y = conv(x.to(dtype))
    assert y.dtype == torch.float32
    torch.testing.assert_close(y, conv(x.to(dtype).float()), rtol=0, atol=0)


@pytest.mark.parametrize("make", [SpectralConv, TuckerSpectralConv])
def test_state_survives_copies_pickles_and_state_dicts(make):
    conv, other = make(2, 3, (4, 4)), make(2, 3, (4, 4))
    x = torch.randn(2, 2, 8, 8)
    other.load_state_dict(conv.state_dict())
    for copied in (other, copy.deepcopy(conv), pickle.loads(pickle.dumps(conv))):
        assert torch.equal(copied(x), conv(x))


def test_all_parameters_are_real():
    for conv in (SpectralConv(2, 3, (4, 4)), TuckerSpectralConv(2, 3, (4, 4))):
        assert {p.dtype for p in conv.parameters()} == {torch.float32}
        assert {p.dtype for p in conv.double().parameters()} == {torch.float64}


# Tucker form


def dense_tucker(conv):
    """The dense weights ``(*modes, in, out)`` of a two-dimensional Tucker convolution, as one sum."""
    factors = [torch.complex(*factor) for factor in conv.factors]
    return torch.einsum("abcd,xa,yb,ic,od->xyio", torch.complex(*conv.core), *factors)


@pytest.mark.parametrize("rank", [(2, 2, 1, 2), (4, 3, 5, 6), (3, 2, 5, 1)])  # either order of contraction is cheaper
@pytest.mark.parametrize("grid", [(8, 8), (7, 9), (3, 4)])
def test_tucker_conv_equals_the_dense_convolution_with_its_expanded_weights(rank, grid):
    conv = TuckerSpectralConv(5, 6, (4, 4), rank=rank).double()
    dense = SpectralConv(5, 6, (4, 4)).double()
    with torch.no_grad():
        dense.weight.copy_(torch.view_as_real(dense_tucker(conv)).movedim(-1, 0))
        dense.bias.copy_(conv.bias)
    for batch in (1, 9):
        x = torch.randn(batch, 5, *grid, dtype=torch.float64)
        torch.testing.assert_close(conv(x), dense(x), rtol=1e-10, atol=1e-12)


def test_expanded_tucker_weights_start_with_the_variance_of_dense_ones():
    conv = TuckerSpectralConv(24, 24, (12, 12), rank=(6, 5, 12, 12))
    variances = []
    for _ in range(20):
        conv.reset_parameters()
        variances.append(dense_tucker(conv).abs().square().mean().item())
    mean, error = torch.tensor(variances).mean(), torch.tensor(variances).std() / 20**0.5
    assert abs(mean - 2 / 48) < 5 * error


@pytest.mark.parametrize("shape", [(24, 24, 8, 5), (64, 64, 16, 9), (32, 32, 9), (16, 16, 6, 6, 4)])
@pytest.mark.parametrize("fraction", [0.02, 0.1, 0.42, 1.0])
def test_tucker_rank_keeps_about_the_fraction_of_the_parameters(shape, fraction):
    ranks = tucker_rank(shape, fraction)
    kept = math.prod(ranks) + sum(n * r for n, r in zip(shape, ranks, strict=True))
    # Rounding one of the ranks by 1/2 changes the core by up to 1/2 over the rank.
    assert kept / math.prod(shape) == pytest.approx(fraction, rel=sum(0.5 / r for r in ranks) + 0.01)


def test_bad_ranks_are_refused():
    with pytest.raises(ValueError, match="rank is 0, expected a positive fraction"):
        TuckerSpectralConv(4, 4, (4, 4), rank=0)
    with pytest.raises(ValueError, match=r"expected a fraction or 4 positive ranks, for axes of sizes \(4, 3, 4, 4\)"):
        TuckerSpectralConv(4, 4, (4, 4), rank=(2, 2))
