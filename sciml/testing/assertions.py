"""Comparison of numbers with the tolerances of the project, each with its reason."""

from typing import Literal

import torch
from torch import Tensor

__all__ = ["TOLERANCES", "Kind", "assert_close"]

Kind = Literal["summation", "copy", "solver", "monte-carlo"]

# (kind, dtype) to (rtol, atol). Summation in another order: rounding (2e-16, 1e-7) times sums of some thousand terms.
TOLERANCES: dict[tuple[str, torch.dtype], tuple[float, float]] = {
    ("summation", torch.float64): (1e-10, 1e-12),
    ("summation", torch.float32): (1e-4, 1e-5),
}
_REAL = {torch.complex64: torch.float32, torch.complex128: torch.float64}


def assert_close(
    actual: Tensor,
    expected: Tensor,
    kind: Kind = "summation",
    *,
    tolerance: float | None = None,
    standard_error: float | Tensor | None = None,
    message: str = "",
) -> None:
    """Assert that two tensors agree as well as this kind of comparison allows.

    ===============  =========================================  =============================================
    kind             bound                                      reason
    ===============  =========================================  =============================================
    ``summation``    rtol 1e-10 (float64), 1e-4 (float32)       same formula, other order of summation
    ``copy``         exact                                      nothing is recomputed
    ``solver``       10 times the solver's own ``tolerance``    the stop criterion bounds the residual only
    ``monte-carlo``  5 times the ``standard_error``             false alarm below 1e-6
    ===============  =========================================  =============================================

    Args:
        actual: What the code gives.
        expected: What it should be; the less precise dtype of both decides.
        kind: Kind of comparison.
        tolerance: Relative and absolute tolerance that the solver was given.
        standard_error: Standard error of the estimate, in the units of the values.
        message: Words before the numbers of a failure.

    Raises:
        AssertionError: If they differ by more, or in shape.
        ValueError: If the kind is unknown, lacks its number, or has no tolerance for the dtype.

    Example:
        >>> assert_close(torch.tensor([1.0, 3.0]).sum(), torch.tensor(4.00001))
        >>> assert_close(torch.tensor(3.1), torch.tensor(3.14), "monte-carlo", standard_error=0.02)
    """
    rtol, atol = _bounds(_coarser(actual.dtype, expected.dtype), kind, tolerance, standard_error)
    if actual.shape != expected.shape:
        raise AssertionError(f"{message} shapes differ: {tuple(actual.shape)} and {tuple(expected.shape)}.".lstrip())
    common = torch.promote_types(actual.dtype, expected.dtype)
    a, b = actual.detach().to("cpu", common), expected.detach().to("cpu", common)
    if not (common.is_floating_point or common.is_complex):
        a, b, rtol, atol = a.double(), b.double(), 0.0, 0.0
    difference = (a - b).abs()
    # Equal infinities are equal, and no bound is infinite; a NaN equals a NaN only in copies.
    same = (a == b) | ((kind == "copy") & a.isnan() & b.isnan())
    wrong = ~(same | (b.isfinite() & (difference <= rtol * b.abs() + atol)))
    if wrong.any():
        worst = difference[wrong].max().item()
        count = f"{int(wrong.sum())} of {wrong.numel()} values"
        raise AssertionError(f"{message} {count} differ, by up to {worst:.3g} ({kind}, {common}).".lstrip())


def _bounds(
    dtype: torch.dtype, kind: str, tolerance: float | None, standard_error: float | Tensor | None
) -> tuple[float, float | Tensor]:
    if kind == "copy":
        return 0.0, 0.0
    if kind == "solver" and tolerance is not None:
        return 10 * tolerance, 10 * tolerance
    if kind == "monte-carlo" and standard_error is not None:
        return 0.0, 5 * (standard_error.detach().cpu() if isinstance(standard_error, Tensor) else standard_error)
    if (kind, dtype) in TOLERANCES:
        return TOLERANCES[kind, dtype]
    if kind in ("solver", "monte-carlo"):
        raise ValueError(f"kind {kind!r} needs {'tolerance' if kind == 'solver' else 'standard_error'}.")
    if kind != "summation":
        raise ValueError(f"kind is {kind!r}, expected summation, copy, solver or monte-carlo.")
    raise ValueError(f"there is no tolerance for {dtype}: convert to float32 or float64, or compare with kind='copy'.")


def _coarser(a: torch.dtype, b: torch.dtype) -> torch.dtype:
    """The dtype with the larger rounding; an exact integer or Boolean never is."""
    floating = [_REAL.get(d, d) for d in (a, b) if d.is_floating_point or d.is_complex]
    return max(floating, key=lambda d: torch.finfo(d).eps, default=torch.float64)
