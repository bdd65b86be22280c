"""Errors against the resolution: which numbers are drawn, and where."""

from pathlib import Path

import pytest

from sciml.errors import ConfigError
from sciml.plotting.resolution import plot_resolution_errors

pytest.importorskip("matplotlib")

ERRORS = {
    "fno": {(32, 32): (0.12, 0.01), (16, 16): (0.10, 0.02), (64, 16): (0.2, 0.0)},
    "training mean": {(16, 16): (0.5, 0.0)},
    "nothing": {},
}


def test_curves_run_over_the_points_per_axis_with_bars_and_training_grids(tmp_path: Path) -> None:
    figure = plot_resolution_errors(ERRORS, trained=[(8, 8), (16, 16)], metric="error", path=tmp_path / "new/it.png")
    (axes,) = figure.axes
    model, mean = (container for container in axes.containers if len(container[0].get_xdata()))
    # 64 x 16 has as many points as 32 x 32.
    assert list(model[0].get_xdata()) == [16.0, 32.0, 32.0]
    assert list(model[0].get_ydata()) == [0.10, 0.12, 0.2]
    low, high = model[2][0].get_segments()[0][:, 1]
    assert (low, high) == (pytest.approx(0.08), pytest.approx(0.12))
    assert list(mean[0].get_xdata()) == [16.0]
    dotted = [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == ":"]
    assert dotted == [8.0, 16.0]
    assert (axes.get_xscale(), axes.get_yscale(), axes.get_ylabel()) == ("log", "log", "error")
    assert [text.get_text() for text in axes.get_xticklabels()][:2] == ["8", "16"]
    assert (tmp_path / "new/it.png").stat().st_size > 0


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(ConfigError, match="errors holds no numbers"):
        plot_resolution_errors({"fno": {}})
