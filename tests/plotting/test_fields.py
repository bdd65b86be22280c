"""Pictures of operators: what is drawn where, with which colours, limits and words."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sciml.errors import ConfigError
from sciml.metrics import relative_l2
from sciml.plotting import OperatorSample, plot_operator_samples
from sciml.spaces import RegularGrid

pytest.importorskip("matplotlib")


def plane(n: int, m: int | None = None, factor: float = 1.1, label: str = "") -> OperatorSample:
    grid = RegularGrid(shape=(n, m or n), bounds=((0.0, 1.0), (0.0, 1.0)))
    x1, x2 = grid.points.T.reshape(2, 1, *grid.shape)
    y = x1 + 10 * x2
    return OperatorSample(x1 > 0.5, y, factor * y, grid, label)


def line(n: int) -> OperatorSample:
    grid = RegularGrid(shape=(n,), bounds=((0.0, 2.0),))
    x = grid.points.T
    return OperatorSample(x.sin(), x.cos(), 0.9 * x.cos(), grid, "test")


def images(figure: Any) -> list[Any]:
    return [axes.images[0] for axes in figure.axes if axes.images]


def texts(figure: Any) -> set[str]:
    words = {text for axes in figure.axes for text in (axes.get_title(), axes.get_xlabel(), axes.get_ylabel())}
    return words - {""}


def test_each_row_shows_input_truth_prediction_and_error_with_the_first_axis_to_the_right() -> None:
    sample = plane(4, 6)
    drawn = images(plot_operator_samples([sample]))
    expected: list[Tensor] = [sample.x, sample.y, sample.prediction, sample.prediction - sample.y]
    for image, field in zip(drawn, expected, strict=True):
        np.testing.assert_allclose(image.get_array(), field[0].double().numpy().T)
        assert image.origin == "lower"


def test_truth_and_prediction_share_their_colours_over_rows_of_different_resolution() -> None:
    figure = plot_operator_samples([plane(16, label="test_16"), plane(32, label="test_32", factor=0.95)])
    drawn = images(figure)
    assert len(drawn) == 8
    assert [image.get_array().shape[0] for image in drawn] == [16] * 4 + [32] * 4
    limits = {image.get_clim() for column in (1, 2) for image in drawn[column::4]}
    assert len(limits) == 1
    assert limits.pop() == (0.0, pytest.approx(12.1))
    low, high = drawn[3].get_clim()
    assert -low == high == pytest.approx(1.1)
    assert drawn[7].get_clim() == (low, high)


def test_a_wild_prediction_does_not_take_the_colours_from_the_truth() -> None:
    figure = plot_operator_samples([plane(8, factor=100.0)])
    assert images(figure)[1].get_clim() == (0.0, pytest.approx(11 * 1.25))
    assert figure.axes[5].get_ylabel() == "solution"
    assert images(figure)[2].colorbar.extend == "max"


def test_a_coefficient_with_two_levels_has_two_colours_and_their_values() -> None:
    binary = images(plot_operator_samples([plane(8)]))[0]
    assert binary.cmap.N == 2
    assert [text.get_text() for text in binary.colorbar.ax.get_yticklabels()] == ["0", "1"]
    sample = plane(8)
    smooth = images(plot_operator_samples([OperatorSample(sample.y, sample.y, sample.y)]))[0]
    assert smooth.cmap.N > 2


def test_names_units_and_coordinates_are_written() -> None:
    figure = plot_operator_samples(
        [plane(8, label="row")],
        names={"x": "permeability", "y": "pressure"},
        units={"x": None, "y": "Pa"},
        coordinates=("east [km]", "north [km]"),
    )
    expected = {"permeability", "pressure [Pa], truth", "prediction", "relative L2 error 0.100", "pressure [Pa]"}
    assert expected | {"prediction $-$ truth [Pa]", "east [km]", "row\nnorth [km]"} == texts(figure)


def test_pixels_are_cells_around_the_points_and_indices_without_a_grid() -> None:
    sample = plane(5)
    assert images(plot_operator_samples([sample]))[0].get_extent() == pytest.approx([-0.125, 1.125] * 2)
    figure = plot_operator_samples([OperatorSample(sample.x, sample.y, sample.prediction)])
    assert images(figure)[0].get_extent() == [-0.5, 4.5, -0.5, 4.5]
    assert "index of $x_1$" in texts(figure)


def test_the_error_in_the_title_is_the_weighted_one_of_the_drawn_channel() -> None:
    sample = plane(4)
    y = torch.cat([sample.y, 100 * sample.y])
    prediction = torch.cat([sample.y**2 / 10, sample.y])
    weights = sample.grid.weights if sample.grid else None
    value = relative_l2(prediction[None, :1], y[None, :1], weights).item()
    figure = plot_operator_samples([OperatorSample(sample.x, y, prediction, sample.grid)])
    assert f"relative L2 error {value:.3f}" in texts(figure)


@pytest.mark.filterwarnings("error")
def test_constant_and_non_finite_fields_can_be_drawn(tmp_path: Path) -> None:
    zero, wrong = torch.zeros(1, 4, 4), torch.full((1, 4, 4), torch.nan)
    plot_operator_samples(
        [OperatorSample(zero, zero, zero), OperatorSample(zero, zero, wrong)], path=tmp_path / "a.png"
    )
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_on_a_line_the_functions_are_curves() -> None:
    sample = line(20)
    figure = plot_operator_samples([sample, line(9)], units={"y": "m"})
    assert len(figure.axes) == 6
    truth, prediction = figure.axes[1].lines
    np.testing.assert_allclose(truth.get_xdata(), np.linspace(0, 2, 20), rtol=1e-12)
    np.testing.assert_allclose(prediction.get_ydata(), 0.9 * sample.y[0].numpy(), rtol=1e-12)
    np.testing.assert_allclose(figure.axes[2].lines[0].get_ydata(), -0.1 * sample.y[0].numpy(), rtol=1e-9)
    assert {"solution [m]", "$x$", "relative L2 error 0.100"} <= texts(figure)


def test_the_picture_is_saved_in_a_new_folder(tmp_path: Path) -> None:
    path = tmp_path / "figures" / "line.png"
    plot_operator_samples([line(9)], path=path)
    assert path.read_bytes()[:4] == b"\x89PNG"


def test_samples_that_cannot_be_drawn_are_refused() -> None:
    cube, flat = torch.zeros(1, 3, 3, 3), torch.zeros(1, 4, 4)
    with pytest.raises(ConfigError, match="line or a plane"):
        plot_operator_samples([OperatorSample(cube, cube, cube)])
    with pytest.raises(ConfigError, match="at least one sample"):
        plot_operator_samples([])
    with pytest.raises(ConfigError, match=r"prediction \(1, 4, 3\)"):
        plot_operator_samples([OperatorSample(flat, flat, flat[:, :, :3])])
    with pytest.raises(ConfigError, match=r"grid \(5, 5\)"):
        plot_operator_samples([OperatorSample(flat, flat, flat, plane(5).grid)])
    with pytest.raises(ConfigError, match="1 labels, the samples 2 axes"):
        plot_operator_samples([plane(4)], coordinates=["x"])


def test_importing_and_drawing_touch_no_global_state_of_matplotlib() -> None:
    code = (
        "import sys, torch, sciml.plotting as p; assert 'matplotlib' not in sys.modules;"
        "u = torch.rand(1, 4, 4); p.plot_operator_samples([p.OperatorSample(u, u, u)]);"
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
