"""Surfaces of neuraloperator: a ``.pt`` file with a list of dictionaries, one for each body in a flow.

====================  ======================  ===================================================
array                 axes                    from
====================  ======================  ===================================================
``coords``            (sample, point, dim)    ``vertices``
``y``                 (sample, point)         ``press``
``y.weight``          (sample, point)         a third of the area of the triangles around
``y.triangles``       (sample, triangle, dim) ``centroids``: the files do not hold the triangles
``x``                 (sample, x1, x2, x3)    ``distance`` on a grid of ``query_points``
``y.mask``            (sample, point)         False on padding; only where numbers of points differ
====================  ======================  ===================================================
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from sciml.data.formats.base import Fields, Format, LayoutError, check_finite
from sciml.data.formats.centroid_triangles import triangles_from_centroids, vertex_weights
from sciml.data.formats.neuraloperator_pt import _check_archive, _listing, _load

__all__ = ["FORMAT", "read"]

_NAME = "neuraloperator-surfaces"
_AXES = {
    "x": ("sample", "x1", "x2", "x3"),
    "coords": ("sample", "point", "dim"),
    "y": ("sample", "point"),
    "y.weight": ("sample", "point"),
    "y.triangles": ("sample", "triangle", "dim"),
    "y.mask": ("sample", "point"),
}
# Key to the number of axes, counting from the last.
_NEEDED = {
    "vertices": 2,
    "press": 1,
    "centroids": 2,
    "triangle_areas": 1,
    "triangle_normals": 2,
    "distance": 4,
    "query_points": 4,
}


def read(path: Path, *, allow_nan: bool = False) -> Fields:
    """Read all bodies; the triangles are found from their centroids, some tenths of a second each.

    Args:
        path: The file.
        allow_nan: Accept NaN and infinite values.

    Raises:
        LayoutError: If it is no ``torch.save`` archive of such a list.
        DataFormatError: If it is damaged, holds values that are not finite, or triangles that do not fit the vertices.
    """
    _check_archive(path)
    content = _load(path)
    found = _listing(content)
    if not isinstance(content, list | tuple) or not content or not all(isinstance(body, Mapping) for body in content):
        raise LayoutError(f"the content is a {type(content).__name__}, expected a list of dictionaries", found)
    bodies = [_arrays(body, i, found) for i, body in enumerate(content)]
    if not allow_nan:
        for i, body in enumerate(bodies):
            for key, value in body.items():
                check_finite(f"{key} of body {i}", value, str(path))
    if any(not np.array_equal(body["query_points"], bodies[0]["query_points"]) for body in bodies):
        raise LayoutError("the bodies have different grids", found)
    samples, scales = zip(*(_sample(body) for body in bodies), strict=True)
    arrays = _stacked(samples)
    attrs = {"scale of the axes": np.mean(scales, axis=0).round(4).tolist()}
    points = bodies[0]["query_points"]
    coords = {"x1": points[:, 0, 0, 0], "x2": points[0, :, 0, 1], "x3": points[0, 0, :, 2]}
    return Fields(_NAME, path, arrays, {name: _AXES[name] for name in arrays}, coords, attrs)


def _sniff(path: Path, head: bytes) -> bool | str:
    return head.startswith(b"PK\x03\x04") or "not a torch.save archive"


def _arrays(body: Mapping[str, Any], index: int, found: list[tuple[str, str]]) -> dict[str, np.ndarray]:
    """The arrays of one body, with the shapes checked."""
    missing = [key for key in _NEEDED if not isinstance(body.get(key), Tensor)]
    if missing:
        raise LayoutError(f"body {index} has no tensor {', '.join(missing)}", found)
    arrays = {}
    for key, ndim in _NEEDED.items():
        value = body[key].detach().numpy()
        while value.ndim > ndim and value.shape[0] == 1:
            value = value[0]
        arrays[key] = value.astype(np.float64)
    points, triangles, grid = len(arrays["vertices"]), len(arrays["centroids"]), arrays["query_points"].shape[:-1]
    expected = {
        "vertices": (points, 3),
        "press": (points,),
        "centroids": (triangles, 3),
        "triangle_areas": (triangles,),
        "triangle_normals": (triangles, 3),
        "distance": (*grid, 1),
        "query_points": (*grid, 3),
    }
    if wrong := [key for key, shape in expected.items() if arrays[key].shape != shape]:
        shapes = ", ".join(f"{key} {arrays[key].shape}" for key in wrong)
        raise LayoutError(
            f"body {index} has {shapes}, expected {', '.join(str(expected[key]) for key in wrong)}", found
        )
    return arrays


def _sample(body: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    triangles, scale = triangles_from_centroids(
        body["vertices"], body["centroids"], body["triangle_areas"], body["triangle_normals"]
    )
    weights = vertex_weights(triangles, body["triangle_areas"], len(body["vertices"]))
    return {
        "x": body["distance"][..., 0],
        "coords": body["vertices"],
        "y": body["press"],
        "y.weight": weights,
        "y.triangles": triangles,
    }, scale


def _stacked(samples: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """One array a name; zeros after the last point of a body, and a mask, where the numbers of points differ."""
    arrays = {}
    for name in samples[0]:
        parts = [sample[name] for sample in samples]
        longest = max(len(part) for part in parts)
        padded = [np.pad(part, [(0, longest - len(part))] + [(0, 0)] * (part.ndim - 1)) for part in parts]
        arrays[name] = np.stack(padded)
    counts = np.array([len(sample["y"]) for sample in samples])
    if len(set(counts.tolist())) > 1:
        arrays["y.mask"] = np.arange(counts.max()) < counts[:, None]
    return arrays


FORMAT = Format(_NAME, _sniff, read)
