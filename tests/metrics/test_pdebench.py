"""The measures of PDEBench, against sums written out from its definitions."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from sciml.errors import ConfigError
from sciml.metrics import brmse, crmse, frmse

GRIDS = [(40,), (9,), (30, 34), (7, 12), (10, 12, 9)]


def pair(*shape: int) -> tuple[Tensor, Tensor]:
    return torch.randn(*shape, dtype=torch.float64), torch.randn(*shape, dtype=torch.float64)


@pytest.mark.parametrize("grid", GRIDS)
def test_crmse_is_the_rms_over_samples_of_the_sums_over_points(grid: tuple[int, ...]) -> None:
    p, t = pair(5, 2, *grid)
    axes = tuple(range(2, p.dim()))
    sums = p.numpy().sum(axes) - t.numpy().sum(axes)
    expected = (np.sqrt((sums**2).mean(0)) / math.prod(grid)).mean()
    assert crmse(p, t).item() == pytest.approx(expected, rel=1e-12)


def test_crmse_sees_only_what_is_conserved() -> None:
    x = torch.arange(64) / 64
    waves = torch.sin(2 * torch.pi * x).expand(3, 1, 64)
    assert crmse(waves, torch.zeros_like(waves)).item() < 1e-7
    assert crmse(waves + 2, waves).item() == pytest.approx(2.0, rel=1e-6)


@pytest.mark.parametrize("grid", GRIDS)
def test_brmse_counts_each_face(grid: tuple[int, ...]) -> None:
    p, t = pair(5, 2, *grid)
    e = (p - t).numpy()
    expected = np.zeros(5)
    for sample in range(5):
        for channel in range(2):
            faces = [np.take(e[sample, channel], end, axis) for axis in range(len(grid)) for end in (0, -1)]
            total, count = sum((face**2).sum() for face in faces), sum(face.size for face in faces)
            expected[sample] += math.sqrt(total / count) / 2
    np.testing.assert_allclose(brmse(p, t).numpy(), expected, rtol=1e-12)


def test_brmse_does_not_see_the_inside() -> None:
    p, t = torch.zeros(2, 1, 5, 6), torch.zeros(2, 1, 5, 6)
    p[:, :, 1:-1, 1:-1] = 7
    assert brmse(p, t).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("grid", GRIDS)
def test_frmse_equals_sums_over_shells_of_wave_numbers(grid: tuple[int, ...]) -> None:
    p, t = pair(3, 2, *grid)
    e = (p - t).numpy()
    dim, n = len(grid), math.prod(grid)
    num = grid[0] // 2 + 1 if dim == 1 else min(grid) // 2
    shells = np.zeros((3, 2, num))
    modes = np.fft.fftn(e, axes=tuple(range(2, 2 + dim)))
    for k in np.ndindex(*((num,) if dim == 1 else (m // 2 for m in grid))):
        q = math.floor(math.sqrt(sum(i * i for i in k)))
        if q < num:
            shells[:, :, q] += np.abs(modes[(slice(None), slice(None), *k)]) ** 2
    roots = np.sqrt(shells.mean(0)) / n * 2.5
    expected = [
        roots[:, band].mean() if roots[:, band].size else math.nan for band in map(slice, (0, 4, 12), (4, 12, None))
    ]
    np.testing.assert_allclose(frmse(p, t, volume=2.5).numpy(), expected, rtol=1e-10)


@pytest.mark.parametrize(("wave", "band"), [(0, 0), (3, 0), (4, 1), (11, 1), (12, 2), (30, 2)])
@pytest.mark.parametrize("dim", [1, 2])
def test_a_wave_is_seen_in_its_band_alone(wave: int, band: int, dim: int) -> None:
    x = torch.arange(64, dtype=torch.float64) / 64
    error = torch.cos(2 * torch.pi * wave * x).reshape(1, 1, *(64,) + (1,) * (dim - 1)).expand(1, 1, *(64,) * dim)
    values = frmse(error, torch.zeros_like(error))
    assert values[band] > 1e-3
    assert values.sum() - values[band] < 1e-12


def test_anisotropic_errors_are_not_mirrored_away() -> None:
    x = torch.arange(32, dtype=torch.float64) / 32
    error = torch.cos(2 * torch.pi * (3 * x[:, None] + 9 * x[None]))[None, None]  # |k| = 9.49
    low, middle, high = frmse(error, torch.zeros_like(error))
    assert middle > 1e-3
    assert max(low, high) < 1e-12


@pytest.mark.parametrize("metric", [crmse, brmse, frmse])
def test_measures_are_losses_in_both_precisions(metric: object) -> None:
    assert callable(metric)
    p, t = pair(2, 2, 30)
    p.requires_grad_()
    assert torch.autograd.gradcheck(metric, (p, t))
    exact = t.clone().requires_grad_()
    value = metric(exact, t).sum()
    assert value.item() == 0
    assert torch.autograd.grad(value, exact)[0].eq(0).all()
    single = metric(p.detach().float(), t.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), metric(p.detach(), t), rtol=1e-4, atol=1e-5)
    assert torch.equal(metric(p[:, 0], t[:, 0]), metric(p[:, :1], t[:, :1]))
    with pytest.raises(ConfigError, match="they must be equal"):
        metric(p, t[:, :1])


def test_a_grid_without_wave_numbers_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 2 points along every axis"):
        frmse(torch.zeros(1, 1, 4, 1), torch.zeros(1, 1, 4, 1))
