"""Pictures of targets at query points: what is drawn where, and which shapes are refused."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sciml.errors import ConfigError
from sciml.plotting import QuerySample, plot_query_samples


def sample(dim: int, seed: int = 0, **changed: torch.Tensor) -> QuerySample:
    generator = torch.Generator().manual_seed(seed)
    coords = torch.rand(40, dim, generator=generator)
    y = coords.sum(1)
    parts = {"u": torch.rand(9, generator=generator), "coords": coords, "y": y, "prediction": y + 0.1, **changed}
    return QuerySample(**parts, label=f"sample {seed}")


def test_curves_are_drawn_in_the_order_of_their_points(tmp_path: Path) -> None:
    one = sample(1)
    figure = plot_query_samples([one, sample(1, 1)], names={"u": "force"}, path=tmp_path / "new/a.png")
    assert (tmp_path / "new/a.png").stat().st_size > 1000
    axes = figure.axes
    assert len(axes) == 6
    assert axes[0].get_ylabel() == "sample 0\nforce"
    x, y = axes[1].lines[0].get_data()
    assert np.all(np.diff(x) > 0)
    np.testing.assert_allclose(y, x, rtol=1e-6)
    np.testing.assert_allclose(axes[2].lines[0].get_ydata(), 0.1, atol=1e-6)


def test_truth_and_prediction_share_their_colours_and_errors_are_centred() -> None:
    figure = plot_query_samples([sample(2), sample(2, 1)], coordinates=("x", "t"))
    truth, prediction, error = (figure.axes[i].collections[0] for i in (1, 2, 3))
    assert truth.get_clim() == prediction.get_clim()
    assert error.get_clim() == pytest.approx((-0.1, 0.1), abs=1e-6)
    assert figure.axes[1].get_xlabel() == "x"
    assert figure.axes[1].get_ylabel() == "t"


def test_several_inputs_share_an_axis_with_a_legend() -> None:
    x = torch.linspace(0, 1, 5)
    one = sample(1)
    both = QuerySample({"state": x, "speed": x[:3]}, one.coords, one.y, one.prediction, {"speed": x[:3] * 2}, "row")
    axis = plot_query_samples([both]).axes[0]
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["state", "speed"]
    np.testing.assert_allclose(axis.lines[0].get_xdata(), range(5))
    np.testing.assert_allclose(axis.lines[1].get_xdata(), [0, 0.5, 1.0])


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([], "pictures need samples"),
        ([sample(3)], r"\(points, 2\), given \[3\]"),
        ([sample(1), sample(2)], r"given \[1, 2\]"),
        ([sample(1, prediction=torch.rand(39))], r"prediction \(39,\)"),
        ([sample(1, u=torch.rand(2, 9))], r"u \(2, 9\)"),
        ([sample(1, sensors=torch.rand(4))], r"expected \(sensors,\)"),
    ],
)
def test_samples_that_do_not_fit_are_refused(samples: list[QuerySample], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plot_query_samples(samples)


def test_labels_must_fit_the_axes() -> None:
    with pytest.raises(ConfigError, match="1 labels, the query points have 2 axes"):
        plot_query_samples([sample(2)], coordinates=("x",))
