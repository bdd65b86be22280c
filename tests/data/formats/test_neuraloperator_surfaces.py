"""Surfaces of neuraloperator: triangles found from their centroids, weights, padding, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial import ConvexHull

from sciml.data.cards import find_dataset, load_dataset
from sciml.data.convert import split_of
from sciml.data.formats.base import LayoutError
from sciml.data.formats.centroid_triangles import axis_scales, triangles_from_centroids, vertex_weights
from sciml.data.formats.neuraloperator_surfaces import FORMAT, read
from sciml.errors import DataFormatError
from sciml.registry import registry


def body(points: int = 60, seed: int = 0, scale: tuple[float, float, float] = (2.0, 1.0, 0.5)) -> dict[str, Any]:
    """An ellipsoid in the layout of the file: vertices in the unit cube, areas and normals in units of its own."""
    generator = np.random.default_rng(seed)
    sphere = generator.standard_normal((points, 3))
    sphere /= np.linalg.norm(sphere, axis=1, keepdims=True)
    faces = ConvexHull(sphere).simplices
    vertices = 0.5 + 0.5 * sphere
    places = vertices * scale
    cross = np.cross(places[faces[:, 1]] - places[faces[:, 0]], places[faces[:, 2]] - places[faces[:, 0]])
    inwards = (cross * (places[faces].mean(1) - places.mean(0))).sum(1) < 0
    faces[inwards] = faces[inwards][:, ::-1]
    cross[inwards] *= -1
    size = np.linalg.norm(cross, axis=1)
    axis = np.linspace(0, 1, 4)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    arrays = {
        "vertices": vertices,
        "centroids": vertices[faces].mean(1),
        "triangle_areas": size / 2,
        "triangle_normals": cross / size[:, None],
        "press": places[None, :, 0] ** 2,
        "distance": np.linalg.norm(grid - 0.5, axis=-1, keepdims=True),
        "query_points": grid,
    }
    return {key: torch.tensor(value, dtype=torch.float32) for key, value in arrays.items()} | {"faces": faces}


def saved(path: Path, bodies: Any) -> Path:
    for each in bodies:
        if isinstance(each, dict):
            each.pop("faces", None)
    torch.save(bodies, path)
    return path


def rows(faces: np.ndarray) -> list[tuple[int, ...]]:
    """Triangles from their smallest corner on, in the order of their corners."""
    return [tuple(np.roll(face, -int(np.argmin(face))).tolist()) for face in faces]


def test_triangles_scale_and_orientation_are_found_from_centroids_areas_and_normals() -> None:
    one = body(200)
    arrays = {key: np.asarray(value, dtype=np.float64) for key, value in one.items()}
    faces, scale = triangles_from_centroids(
        arrays["vertices"], arrays["centroids"], arrays["triangle_areas"], arrays["triangle_normals"]
    )
    assert rows(faces) == rows(one["faces"])
    np.testing.assert_allclose(scale, [2.0, 1.0, 0.5], rtol=1e-4)  # the file is in single precision


def test_a_centroid_of_no_triangle_is_an_error() -> None:
    arrays = {key: np.asarray(value, dtype=np.float64) for key, value in body().items()}
    arrays["centroids"][3] += 1e-3
    with pytest.raises(DataFormatError, match="the mean of no three vertices nearby, the first 3"):
        triangles_from_centroids(
            arrays["vertices"], arrays["centroids"], arrays["triangle_areas"], arrays["triangle_normals"]
        )


def test_areas_that_no_scale_explains_are_an_error() -> None:
    with pytest.raises(DataFormatError, match="under any scale of the axes"):
        axis_scales(np.eye(3)[[0, 0, 1, 2]], np.array([1.0, 1.0, 1.0, 0.0]))


def test_weights_of_the_vertices_sum_to_the_area_and_integrate_linear_functions_exactly() -> None:
    one = body()
    places, faces, areas = np.asarray(one["vertices"]), one["faces"], np.asarray(one["triangle_areas"])
    weights = vertex_weights(faces, areas, len(places))
    assert weights.sum() == pytest.approx(areas.sum())
    np.testing.assert_allclose(weights @ places, (areas[:, None] * places[faces].mean(1)).sum(0), rtol=1e-6)


def test_bodies_become_points_with_weights_on_a_grid(tmp_path: Path) -> None:
    one, two = body(seed=0), body(seed=1)
    faces = one["faces"]
    fields = read(saved(tmp_path / "a.pt", [one, two]))
    assert {name: (values.shape, fields.axes[name]) for name, values in fields.arrays.items()} == {
        "x": ((2, 4, 4, 4), ("sample", "x1", "x2", "x3")),
        "coords": ((2, 60, 3), ("sample", "point", "dim")),
        "y": ((2, 60), ("sample", "point")),
        "y.weight": ((2, 60), ("sample", "point")),
        "y.triangles": ((2, len(faces), 3), ("sample", "triangle", "dim")),
    }
    assert rows(fields["y.triangles"][0]) == rows(faces)
    np.testing.assert_array_equal(fields["y"][0], one["press"][0])
    np.testing.assert_allclose(fields.coords["x2"], [0, 1 / 3, 2 / 3, 1], rtol=1e-6)
    assert fields.attrs["scale of the axes"] == pytest.approx([2.0, 1.0, 0.5], rel=1e-3)
    assert not fields.roles  # weights would be lost: a card is needed


def test_bodies_of_different_size_are_padded_and_masked(tmp_path: Path) -> None:
    fields = read(saved(tmp_path / "a.pt", [body(40), body(60)]))
    mask = fields["y.mask"]
    assert mask.sum(1).tolist() == [40, 60]
    assert not fields["y.weight"][~mask].any()
    roles = {"x": {"role": "input"}, "coords": {"role": "coords"}, "y": {"role": "target"}, "y.mask": {"role": "other"}}
    assert split_of(fields, roles)["y"].shape == (2, 60)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda bodies: {"x": torch.zeros(3, 4)}, "expected a list of dictionaries"),
        (lambda bodies: [torch.zeros(3)], "expected a list of dictionaries"),
        (lambda bodies: [{k: v for k, v in bodies[0].items() if k != "press"}], "body 0 has no tensor press"),
        (lambda bodies: [{**bodies[0], "press": torch.zeros(1, 7)}], r"press \(7,\), expected \(60,\)"),
        (lambda bodies: [bodies[0], {**bodies[0], "query_points": torch.zeros(4, 4, 4, 3)}], "different grids"),
    ],
)
def test_other_layouts_are_named(tmp_path: Path, change: Any, message: str) -> None:
    content = change([body()])
    path = tmp_path / "a.pt"
    torch.save(content, path) if isinstance(content, dict) else saved(path, content)
    with pytest.raises(LayoutError, match=message):
        read(path)


def test_values_that_are_not_finite_are_refused_unless_allowed(tmp_path: Path) -> None:
    one = body()
    one["press"][0, 5] = torch.nan
    path = saved(tmp_path / "a.pt", [one])
    with pytest.raises(DataFormatError, match=r"press of body 0 has 1 NaN .* at index \(5,\)"):
        read(path)
    assert np.isnan(read(path, allow_nan=True)["y"][0, 5])


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_triangles_of_the_cars_make_closed_surfaces(split: str) -> None:
    fields = read(find_dataset("mini-car") / f"mini_car_{split}.pt")
    for faces, points, areas in zip(fields["y.triangles"], fields["coords"], fields["y.weight"], strict=True):
        edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
        # Every edge is there once in each direction, so the surface is closed and the triangles are turned alike.
        assert len(np.unique(edges, axis=0)) == len(edges)
        np.testing.assert_array_equal(np.unique(edges, axis=0), np.unique(edges[:, ::-1], axis=0))
        assert len(points) - len(edges) // 2 + len(faces) == 2
        assert areas.min() > 0


def test_the_dataset_of_the_cars_is_complete() -> None:
    if "neuraloperator-surfaces" not in registry("formats"):
        registry("formats").register("neuraloperator-surfaces")(FORMAT)
    data = load_dataset("mini-car")
    assert {name: len(data[name]) for name in data} == {"train": 2, "test": 1}
    assert [field.name for field in data.spec.inputs] == ["x"]
    assert data.spec["x"].shape == (16, 16, 16)
    assert data.spec.grid is not None
    assert [float(axis[-1]) for axis in data.spec.grid.axes] == [1.0, 1.0, 1.0]
    assert data.spec["coords"].shape == (3586,)
    assert data.spec["y"].channels is None
    # About 4.4 x 1.8 x 1.2 metres: twice the sum of the sides of the box is an upper bound of a convex body.
    area = data.train["y.weight"].sum(1)
    assert bool(((area > 19) & (area < 2 * (4.6 * 1.8 + 4.6 * 1.25 + 1.8 * 1.25))).all())
    assert bool((data.train["y"].std(1) > 0.8).all())
