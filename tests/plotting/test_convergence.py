"""Errors against the spacing: what is drawn where."""

from pathlib import Path

import numpy as np
import pytest

from sciml.errors import ConfigError
from sciml.operators.convert import DiscretizationError
from sciml.plotting import plot_discretization_error

HAT = DiscretizationError((0.2, 0.1, 0.05), ((5,), (10,), (20,)), (4e-2, 1e-2, 2.5e-3), (0.0, 3e-2, 4e-2), 2.0, (80,))
EXACT = DiscretizationError((0.2, 0.1), ((5,), (10,)), (1e-16, 0.0), (0.0, 1e-16), float("nan"), (40,))


def test_curves_and_reference_slopes_are_drawn(tmp_path: Path) -> None:
    figure = plot_discretization_error({"hat": HAT, "stencil": EXACT}, path=tmp_path / "orders.png")
    left, right = figure.axes
    labels = [line.get_label() for line in left.lines]
    assert labels == ["hat (order 2.0)", "stencil", "order 1", "order 2"]
    np.testing.assert_allclose(left.lines[0].get_ydata(), HAT.limit)
    second = left.lines[3]
    slope = np.polyfit(np.log(second.get_xdata()), np.log(second.get_ydata()), 1)[0]
    assert slope == pytest.approx(2)
    np.testing.assert_allclose(right.lines[0].get_ydata(), HAT.training[1:])
    assert (tmp_path / "orders.png").stat().st_size > 5000


def test_rounding_is_not_drawn_and_one_result_needs_no_label() -> None:
    left, _ = plot_discretization_error(EXACT).axes
    assert np.isnan(left.lines[0].get_ydata()).all()
    with pytest.raises(ConfigError, match="errors is empty"):
        plot_discretization_error({})
