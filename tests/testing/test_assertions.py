"""Comparisons use the tolerance of their kind and dtype, and say how far off a value is."""

import pytest
import torch

from sciml.testing import assert_close


@pytest.mark.parametrize(
    ("dtype", "relative"), [(torch.float32, 1e-4), (torch.float64, 1e-10), (torch.complex64, 1e-4)]
)
def test_summation_allows_rounding_of_the_dtype(dtype, relative):
    expected = torch.tensor([100.0, -1000.0], dtype=dtype)
    assert_close(expected * (1 + 0.5 * relative), expected)
    with pytest.raises(AssertionError, match=r"2 of 2 values differ, by up to"):
        assert_close(expected * (1 + 3 * relative), expected)


def test_the_less_precise_dtype_decides():
    third = torch.tensor(1 / 3, dtype=torch.float64)
    assert_close(third.float(), third)
    assert_close(third, third.float())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64, torch.int64, torch.bool])
def test_copies_are_exact(dtype):
    expected = torch.tensor([0, 1, 1]).to(dtype)
    assert_close(expected.clone(), expected, "copy")
    with pytest.raises(AssertionError, match="1 of 3 values differ"):
        assert_close(torch.tensor([0, 0, 1]).to(dtype), expected, "copy")


def test_a_nan_equals_a_nan_in_copies_only():
    nan = torch.tensor([float("nan")])
    assert_close(nan, nan, "copy")
    with pytest.raises(AssertionError, match="1 of 1 values differ"):
        assert_close(nan, nan)


def test_equal_infinities_agree_and_others_do_not():
    infinity = torch.tensor([float("inf")])
    assert_close(infinity, infinity)
    with pytest.raises(AssertionError, match="differ"):
        assert_close(-infinity, infinity)
    with pytest.raises(AssertionError, match="differ"):
        assert_close(torch.tensor([1.0]), infinity)


def test_solvers_get_ten_times_their_tolerance():
    assert_close(torch.tensor(9e-4), torch.tensor(0.0), "solver", tolerance=1e-4)
    with pytest.raises(AssertionError):
        assert_close(torch.tensor(1.1e-3), torch.tensor(0.0), "solver", tolerance=1e-4)


def test_estimates_get_five_standard_errors_each():
    errors = torch.tensor([0.1, 1.0])
    assert_close(torch.tensor([0.4, 4.9]), torch.zeros(2), "monte-carlo", standard_error=errors)
    with pytest.raises(AssertionError, match="1 of 2"):
        assert_close(torch.tensor([0.6, 4.9]), torch.zeros(2), "monte-carlo", standard_error=errors)


def test_shapes_do_not_broadcast():
    with pytest.raises(AssertionError, match=r"norms: shapes differ: \(1,\) and \(\)"):
        assert_close(torch.zeros(1), torch.zeros(()), message="norms:")


@pytest.mark.parametrize(
    ("kind", "dtype", "message"),
    [
        ("solver", torch.float32, "needs tolerance"),
        ("monte-carlo", torch.float32, "needs standard_error"),
        ("summ", torch.float32, "expected summation, copy, solver or monte-carlo"),
        ("summation", torch.bfloat16, "no tolerance for torch.bfloat16"),
    ],
)
def test_comparisons_without_a_tolerance_are_refused(kind, dtype, message):
    with pytest.raises(ValueError, match=message):
        assert_close(torch.zeros(1, dtype=dtype), torch.zeros(1, dtype=dtype), kind)
