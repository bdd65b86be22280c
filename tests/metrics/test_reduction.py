"""Means over samples: the two conventions and their standard errors."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from sciml.errors import ConfigError
from sciml.metrics import mean_and_standard_error, ratio_of_means, reduce, relative_l2


def samples(num: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Targets whose norms spread over a decade, with errors that depend on the norm."""
    generator = torch.Generator().manual_seed(seed)
    scale = torch.rand(num, 1, generator=generator, dtype=torch.float64) * 3 + 0.3
    target = scale * torch.randn(num, 12, generator=generator, dtype=torch.float64)
    return target + 0.1 * scale**2 * torch.randn(num, 12, generator=generator, dtype=torch.float64), target


def test_the_standard_error_is_that_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    values = torch.rand(23, dtype=torch.float64)
    mean, error = mean_and_standard_error(values)
    assert mean.item() == pytest.approx(values.numpy().mean(), rel=1e-12)
    assert error.item() == pytest.approx(stats.sem(values.numpy()), rel=1e-12)


@pytest.mark.filterwarnings("error")
def test_one_sample_has_a_mean_and_no_standard_error() -> None:
    mean, error = mean_and_standard_error(torch.tensor([0.25]))
    assert mean.item() == 0.25
    assert math.isnan(error.item())


@pytest.mark.parametrize("values", [torch.zeros(0), torch.zeros(3, 2), torch.tensor(1.0)])
def test_values_that_are_not_one_a_sample_are_refused(values: Tensor) -> None:
    with pytest.raises(ConfigError, match="one value a sample"):
        mean_and_standard_error(values)


def test_the_ratio_of_means_is_the_l2_relative_error_of_deepxde() -> None:
    prediction, target = samples(9)
    expected = np.linalg.norm((target - prediction).numpy()) / np.linalg.norm(target.numpy())
    assert ratio_of_means(prediction, target).item() == pytest.approx(expected, rel=1e-12)


def test_the_two_conventions_differ_when_norms_do_and_agree_when_they_do_not() -> None:
    prediction, target = samples(200)
    by_sample, _ = reduce(prediction, target)
    together, _ = reduce(prediction, target, reduction="ratio_of_means")
    assert together.item() > 1.2 * by_sample.item()  # here large functions have large relative errors
    signs = torch.tensor([[1.0, -1.0], [-1.0, 1.0]], dtype=torch.float64)
    a, b = reduce(1.3 * signs, signs), reduce(1.3 * signs, signs, reduction="ratio_of_means")
    torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_mean_of_ratios_is_the_default_and_the_mean_of_relative_l2() -> None:
    prediction, target = samples(9)
    weights = torch.linspace(0.1, 1, 12, dtype=torch.float64)
    value, error = reduce(prediction, target, weights)
    expected = mean_and_standard_error(relative_l2(prediction, target, weights))
    assert (value, error) == expected


def test_the_standard_error_of_the_ratio_of_means_equals_the_jackknife() -> None:
    n = 400
    prediction, target = samples(n)
    value, error = reduce(prediction, target, reduction="ratio_of_means")
    a, b = (prediction - target).square().sum(1), target.square().sum(1)
    left_out = torch.sqrt((a.sum() - a) / (b.sum() - b))
    jackknife = math.sqrt((n - 1) / n * (left_out - left_out.mean()).square().sum().item())
    assert value.item() == pytest.approx(math.sqrt(a.sum().item() / b.sum().item()), rel=1e-12)
    assert error.item() == pytest.approx(jackknife, rel=0.02)  # they differ by terms of order 1/n


def test_the_standard_error_is_the_spread_of_repeated_test_sets() -> None:
    repeated = [reduce(*samples(100, seed), reduction="ratio_of_means") for seed in range(200)]
    values, errors = (torch.stack(column) for column in zip(*repeated, strict=True))
    # The standard deviation of 200 draws has a relative standard error of 1/sqrt(2 * 199); five of them are allowed.
    assert errors.mean().item() == pytest.approx(values.std().item(), rel=5 / math.sqrt(398))


def test_exact_predictions_have_value_and_standard_error_zero() -> None:
    _, target = samples(5)
    for reduction in ("mean_of_ratios", "ratio_of_means"):
        value, error = reduce(target, target, reduction=reduction)  # type: ignore[arg-type]
        assert (value.item(), error.item()) == (0.0, 0.0)


def test_an_unknown_reduction_is_refused() -> None:
    with pytest.raises(ConfigError, match="'mean_of_ratios' or 'ratio_of_means'"):
        reduce(*samples(3), reduction="mean")  # type: ignore[arg-type]
