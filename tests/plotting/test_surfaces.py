"""Pictures on surfaces: colours, sizes, and which shapes are refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial import ConvexHull

from sciml.errors import ConfigError
from sciml.plotting.surfaces import SurfaceSample, plot_surface_samples


def sample(seed: int = 0, triangles: bool = True, shift: float = 0.1) -> SurfaceSample:
    points = torch.nn.functional.normalize(torch.randn(80, 3, generator=torch.Generator().manual_seed(seed)), dim=1)
    faces = torch.tensor(ConvexHull(points.numpy()).simplices.astype(np.int64)) if triangles else None
    y = points[:, 0]
    return SurfaceSample(points, y, y + shift, faces, label=f"sample {seed}")


def test_triangles_have_the_mean_of_their_corners_and_not_their_height(tmp_path: Path) -> None:
    one = sample()
    figure = plot_surface_samples([one], path=tmp_path / "new/a.png")
    assert (tmp_path / "new/a.png").stat().st_size > 1000
    truth, prediction, error = (figure.axes[i].collections[0] for i in range(3))
    corners = one.y[one.triangles].mean(1).numpy()
    np.testing.assert_allclose(truth.get_array(), corners, rtol=1e-6)
    np.testing.assert_allclose(prediction.get_array(), corners + 0.1, rtol=1e-5)
    np.testing.assert_allclose(error.get_array(), 0.1, atol=1e-6)


def test_truth_and_prediction_share_their_colours_over_all_rows_and_errors_are_centred() -> None:
    figure = plot_surface_samples([sample(0), sample(1, shift=-0.3)], name="pressure", units="Pa")
    limits = [axis.collections[0].get_clim() for axis in figure.axes[:6]]
    assert limits[0] == limits[1] == limits[3] == limits[4]
    assert limits[2] == limits[5] == pytest.approx((-0.3, 0.3), abs=1e-6)
    assert [axis.get_ylabel() for axis in figure.axes[6:]] == ["pressure [Pa]", "prediction $-$ truth [Pa]"]
    words = [text.get_text() for text in figure.texts]
    assert words[:2] == ["pressure, truth", "prediction"]
    assert "sample 1" in words


def test_the_error_above_the_picture_is_weighted() -> None:
    y = torch.tensor([3.0, 4.0, 0.0])
    one = SurfaceSample(torch.rand(3, 3), y, torch.tensor([3.0, 0.0, 0.0]), weights=torch.tensor([1.0, 0.0, 1.0]))
    assert "relative L2 error 0.000" in [text.get_text() for text in plot_surface_samples([one]).texts]


def test_coordinates_are_reordered_and_scaled() -> None:
    one = sample(triangles=False)
    figure = plot_surface_samples([one], axes=(2, 0, 1), scale=(1.0, 2.0, 3.0), length_unit="m")
    drawn = np.stack(figure.axes[0].collections[0]._offsets3d)
    expected = one.points.numpy()[:, [2, 0, 1]] * [3.0, 1.0, 2.0]
    np.testing.assert_allclose(drawn, expected.T, rtol=1e-6)
    size = " x ".join(f"{length:.2g}" for length in np.ptp(expected, axis=0))
    assert f"sample 0\n{size} m" in [text.get_text() for text in figure.texts]


@pytest.mark.parametrize(
    ("samples", "options", "message"),
    [
        ([], {}, "at least one sample"),
        ([SurfaceSample(torch.rand(4, 2), torch.rand(4), torch.rand(4))], {}, r"expected \(points, 3\)"),
        ([SurfaceSample(torch.rand(4, 3), torch.rand(5), torch.rand(5))], {}, r"y \(5,\)"),
        (
            [SurfaceSample(torch.rand(4, 3), torch.rand(4), torch.rand(4), torch.tensor([[0, 1, 4]]))],
            {},
            "indices below 4",
        ),
        ([sample()], {"axes": (0, 0, 1)}, "an order of 0, 1, 2"),
    ],
)
def test_what_does_not_fit_is_refused(samples, options, message) -> None:
    with pytest.raises(ConfigError, match=message):
        plot_surface_samples(samples, **options)
