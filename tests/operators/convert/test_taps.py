"""Kernels at other resolutions, against sums written out."""

from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from sciml.errors import ConversionError
from sciml.operators.convert.lattice import LatticeAxis, Window
from sciml.operators.convert.taps import (
    Taps,
    box_taps,
    central_differences,
    cubic_taps,
    differential_taps,
    hat_taps,
    refine,
    smooth,
    stencil_taps,
)

KINDS = ["cell", "left", "closed"]
WINDOWS = st.builds(
    Window,
    kernel=st.integers(1, 5),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 2),
    padding=st.integers(0, 3),
)
SCALES = st.sampled_from([Fraction(1), Fraction(2), Fraction(3), Fraction(4), Fraction(3, 2), Fraction(5, 4)])


def response(taps: Taps, weights: torch.Tensor, low: int, high: int) -> np.ndarray:
    """What the first output takes of a unit value at each of the points ``low ... high``."""
    weight = refine(weights.view(1, 1, -1), (taps,))
    found = np.zeros(high - low + 1)
    for point in range(low, high + 1):
        x = torch.zeros(1, 1, taps.reach, dtype=torch.float64)
        if 0 <= point - taps.first < taps.reach:
            x[0, 0, point - taps.first] = 1
        found[point - low] = F.conv1d(smooth(x, (taps,)), weight, dilation=taps.dilation)[0, 0, 0]
    return found


@given(window=WINDOWS, scale=SCALES, kind=st.sampled_from(KINDS))
def test_hat_kernels_are_samples_of_the_piecewise_linear_kernel(window: Window, scale: Fraction, kind: str) -> None:
    weights = torch.randn(window.kernel, dtype=torch.float64)
    offset = window.offset(kind, scale, scale)
    taps = hat_taps(window, scale, offset, window.stride)
    low, high = taps.first - 3, taps.last + 3
    expected = np.zeros(high - low + 1)
    width = scale if window.kernel > 1 else Fraction(1)  # a single tap is no kernel, it reads a point
    for weight, z in zip(weights.tolist(), window.taps, strict=True):
        hat = np.array(
            [max(0.0, 1 - abs(float((m - offset) / scale - z) * float(scale / width))) for m in range(low, high + 1)]
        )
        expected += weight * hat / hat.sum()
    np.testing.assert_allclose(response(taps, weights, low, high), expected, atol=1e-12)


@given(
    window=WINDOWS,
    scale=SCALES,
    kind=st.sampled_from(KINDS),
    make=st.sampled_from([hat_taps, cubic_taps, stencil_taps, box_taps]),
)
def test_every_tap_keeps_its_weight_and_its_place(window: Window, scale: Fraction, kind: str, make: object) -> None:
    offset = window.offset(kind, scale, scale)
    taps = make(window, scale, offset, window.stride)  # type: ignore[operator]
    low, high = taps.first, taps.last
    for k, z in enumerate(window.taps):
        unit = torch.zeros(window.kernel, dtype=torch.float64)
        unit[k] = 1
        found = response(taps, unit, low, high)
        assert found.sum() == pytest.approx(1, abs=1e-12)
        if scale.denominator == 1:  # at other scales a hat is no longer symmetric on the lattice
            assert found @ np.arange(low, high + 1) == pytest.approx(float(offset + scale * z), abs=1e-10)


@given(
    window=WINDOWS, kind=st.sampled_from(KINDS), make=st.sampled_from([hat_taps, cubic_taps, stencil_taps, box_taps])
)
def test_at_the_reference_the_taps_are_those_of_the_layer(window: Window, kind: str, make: object) -> None:
    offset = window.offset(kind, Fraction(1), Fraction(1))
    assert offset == window.center
    taps = make(window, Fraction(1), offset, window.stride)  # type: ignore[operator]
    weights = torch.randn(window.kernel, dtype=torch.float64)
    expected = np.zeros((window.kernel - 1) * window.dilation + 1)
    expected[:: window.dilation] = weights.numpy()
    low = -window.padding
    np.testing.assert_allclose(response(taps, weights, low, low + len(expected) - 1), expected, atol=1e-15)


@pytest.mark.parametrize("taps", [3, 5, 7])
def test_central_differences_are_exact_on_polynomials_and_span_all_kernels(taps: int) -> None:
    rows, points = central_differences(taps), np.arange(taps) - taps // 2
    assert np.linalg.matrix_rank(rows) == taps
    for order in range(taps):
        found = rows @ points.astype(float) ** order
        factorial = float(np.prod(np.arange(1, order + 1)))
        assert found[order] == pytest.approx(factorial)
        np.testing.assert_allclose(found[order + 1 :], 0, atol=1e-9)


def test_the_differential_form_scales_every_derivative_by_its_power() -> None:
    window, scale = Window(3, padding=1), Fraction(4)
    weights = torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64)
    taps = differential_taps(window, scale, Fraction(0), 1)
    found = refine(weights.view(1, 1, -1), (taps,)).flatten().numpy()
    rows = central_differences(3)
    coefficients = np.linalg.solve(rows.T, weights.numpy())
    np.testing.assert_allclose(found, (coefficients * 4.0 ** np.arange(3)) @ rows, atol=1e-12)


def test_the_differential_form_says_when_it_cannot_be_used() -> None:
    with pytest.raises(ConversionError, match="odd kernel, not 2; convert it as 'hat'"):
        differential_taps(Window(2), Fraction(2), Fraction(0), 1)
    with pytest.raises(ConversionError, match="between two points"):
        differential_taps(Window(3), Fraction(2), Fraction(1, 2), 1)


@pytest.mark.parametrize("kind", KINDS)
def test_lattices_count_and_scale_back(kind: str) -> None:
    axis = LatticeAxis(kind)  # type: ignore[arg-type]
    for n in (2, 7, 16):
        for scale in (Fraction(1), Fraction(2), Fraction(5, 3)):
            count = axis.count(n, scale)
            if count.denominator == 1:
                assert axis.scale(int(count), n) == scale
