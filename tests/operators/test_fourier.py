"""The truncated transforms against numpy's FFT and a sum written out, on both of their paths."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sciml.operators import fourier, frequencies, truncated_fft, truncated_ifft

GRIDS = [(16,), (15,), (2,), (1,), (12, 9), (7, 8), (6, 5, 4), (5, 4, 7)]


@pytest.fixture(params=["matmul", "fft"])
def _path(request, monkeypatch):
    monkeypatch.setattr(fourier, "MATMUL_MODES", 10**6 if request.param == "matmul" else 0)


def modes_for(grid):
    """Fewer modes than points where that is possible."""
    return [max(1, n - 3) for n in grid[:-1]] + [max(1, grid[-1] // 2)]


def numpy_coefficients(x, modes):
    """Coefficients from numpy's full FFT, in our layout."""
    axes = tuple(range(2, x.ndim))
    spectrum = np.fft.fftn(x.numpy(), axes=axes, norm="forward")
    for axis, k in zip(axes, modes, strict=True):
        spectrum = np.take(spectrum, frequencies(k, half=axis == axes[-1]), axis=axis)  # negative indices wrap
    return torch.from_numpy(np.moveaxis(np.stack([spectrum.real, spectrum.imag]), (1, 2), (-2, -1)).copy())


@pytest.mark.usefixtures("_path")
@pytest.mark.parametrize("grid", GRIDS)
def test_truncated_fft_gives_the_coefficients_of_the_full_transform(grid):
    x = torch.randn(2, 3, *grid, dtype=torch.float64)
    modes = modes_for(grid)
    torch.testing.assert_close(truncated_fft(x, modes), numpy_coefficients(x, modes), rtol=1e-10, atol=1e-12)


@pytest.mark.usefixtures("_path")
@pytest.mark.parametrize("grid", GRIDS)
def test_truncated_ifft_equals_irfftn_of_the_spectrum_filled_with_zeros(grid):
    modes = modes_for(grid)
    coefficients = torch.randn(2, *modes, 2, 3, dtype=torch.float64)
    full = torch.zeros(2, 3, *grid[:-1], grid[-1] // 2 + 1, dtype=torch.complex128)
    index = [[k % n for k in frequencies(m)] for n, m in zip(grid[:-1], modes[:-1], strict=True)] + [range(modes[-1])]
    for position in np.ndindex(*modes):
        place = tuple(index[axis][i] for axis, i in enumerate(position))
        full[(slice(None), slice(None), *place)] = torch.complex(*coefficients[(slice(None), *position)])
    axes = tuple(range(2, 2 + len(grid)))
    expected = np.fft.irfftn(full.numpy(), s=grid, axes=axes, norm="forward")
    torch.testing.assert_close(truncated_ifft(coefficients, grid), torch.from_numpy(expected), rtol=1e-10, atol=1e-12)


def test_both_paths_have_equal_gradients(monkeypatch):
    x = torch.randn(2, 3, 9, 8, dtype=torch.float64, requires_grad=True)
    seed = torch.randn_like(x)
    gradients = []
    for limit in (10**6, 0):
        monkeypatch.setattr(fourier, "MATMUL_MODES", limit)
        y = truncated_ifft(truncated_fft(x, [5, 4]), (9, 8))
        gradients.append(torch.autograd.grad(y, x, seed)[0])
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-12)


def test_default_path_depends_on_the_number_of_modes_and_stays_exact():
    x = torch.randn(2, 1, 80, 90, dtype=torch.float64)  # 70 modes take the FFT on one axis, 20 the product on the other
    torch.testing.assert_close(truncated_fft(x, [70, 20]), numpy_coefficients(x, [70, 20]), rtol=1e-10, atol=1e-12)


@given(n=st.integers(1, 12), m=st.integers(1, 12), seed=st.integers(0, 100))
def test_transform_back_and_forth_is_the_identity_when_all_modes_are_kept(n, m, seed):
    x = torch.randn(1, 2, n, m, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(truncated_ifft(truncated_fft(x, [n, m // 2 + 1]), (n, m)), x, rtol=1e-10, atol=1e-12)


def test_coefficients_of_a_band_limited_function_do_not_depend_on_the_grid():
    def sample(n, m):
        s, t = torch.meshgrid(torch.arange(n) / n, torch.arange(m) / m, indexing="ij")
        angle = 2 * np.pi * (2 * s - t.double())
        return (1 + torch.cos(angle) - 3 * torch.sin(2 * np.pi * s.double()))[None, None]

    coarse, fine = truncated_fft(sample(8, 7), [5, 3]), truncated_fft(sample(33, 20), [5, 3])
    torch.testing.assert_close(coarse, fine, rtol=1e-7, atol=1e-7)  # the grid points are float32


def test_matrices_made_in_inference_mode_serve_in_training():
    fourier._kept_matrices.cache_clear()
    x = torch.randn(1, 1, 6, 6)
    with torch.inference_mode():
        truncated_ifft(truncated_fft(x, [3, 3]), (6, 6))
    x.requires_grad_()
    truncated_ifft(truncated_fft(x, [3, 3]), (6, 6)).sum().backward()
    assert x.grad is not None


def test_second_derivatives_exist():
    x = torch.randn(1, 1, 5, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: truncated_ifft(truncated_fft(x, [3, 3]), (5, 6)) ** 3, x)
