"""The parts of a data file that is being generated: one file per chunk, complete or absent, whatever happens.

A part appears under its name only when it is whole, so that a run that was killed goes on with the parts that are
there; the file itself is written from the parts at the end, always in the same order.
"""

import json
import os
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sciml.errors import NonFiniteError
from sciml.spaces import RegularGrid

if TYPE_CHECKING:
    from sciml.problems.base import Problem, ProblemData

__all__ = ["is_whole", "load_part", "make_part", "part_path"]

_META = "meta"


def part_path(folder: Path, index: int) -> Path:
    """File of one chunk."""
    return folder / f"{index:06d}.npz"


def make_part(problem: "Problem", folder: Path, index: int, start: int, num: int, options: dict[str, Any]) -> None:
    """Generate one chunk and keep it.

    Args:
        problem: The problem.
        folder: Folder of the parts.
        index: Number of the chunk.
        start: Index of its first sample in the sequence of the seed.
        num: Number of samples.
        options: ``seed`` and ``resolution``.

    Raises:
        NonFiniteError: If a value is NaN or infinite, with the sample.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        data = problem.generate(num, start=start, **options)
    finally:
        torch.set_num_threads(threads)
    _check(problem.name, data, start)
    path = part_path(folder, index)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        np.savez(file, **_packed(data))  # type: ignore[arg-type]
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def load_part(path: Path) -> "ProblemData":
    """What :func:`make_part` kept."""
    from sciml.problems.base import ProblemData

    with np.load(path, allow_pickle=False) as stored:
        meta = json.loads(stored[_META].tobytes())
        arrays: dict[str, Any] = {name: stored[f"array.{name}"] for name in meta["axes"] if name not in meta["ragged"]}
        for name, shapes in meta["ragged"].items():
            ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
            flat = np.split(stored[f"array.{name}"], ends[:-1])
            arrays[name] = [values.reshape(shape) for values, shape in zip(flat, shapes, strict=True)]
        coords = {axis: stored[f"coord.{axis}"] for axis in meta["coords"]}
    return ProblemData(
        arrays={name: arrays[name] for name in meta["axes"]},
        axes={name: tuple(axes) for name, axes in meta["axes"].items()},
        coords=coords,
        roles=meta["roles"],
        units=meta["units"],
        attrs=meta["attrs"],
        grid=RegularGrid(**meta["grid"]) if meta["grid"] else None,
    )


def _packed(data: "ProblemData") -> dict[str, np.ndarray]:
    packed: dict[str, np.ndarray] = {}
    ragged: dict[str, list[Any]] = {}
    for name, values in data.arrays.items():
        if isinstance(values, list):
            ragged[name] = [np.shape(sample) for sample in values]
            packed[f"array.{name}"] = _single(np.concatenate([np.ravel(sample) for sample in values]))
        else:
            packed[f"array.{name}"] = _single(np.asarray(values))
    packed |= {f"coord.{axis}": np.asarray(values) for axis, values in data.coords.items()}
    meta = {
        "axes": data.axes,
        "coords": list(data.coords),
        "ragged": ragged,
        "roles": data.roles,
        "units": data.units,
        "attrs": data.attrs,
        "grid": asdict(data.grid) if data.grid is not None else None,
    }
    packed[_META] = np.frombuffer(json.dumps(meta, default=lambda value: value.tolist()).encode(), dtype=np.uint8)
    return packed


def _single(values: np.ndarray) -> np.ndarray:
    """Floating-point numbers in the precision of the file."""
    return values.astype(np.float32) if values.dtype.kind == "f" else values


def _check(problem: str, data: "ProblemData", start: int) -> None:
    for name, values in data.arrays.items():
        if "sample" not in data.axes[name] or _finite(values):
            continue
        samples = values if isinstance(values, list) else np.moveaxis(values, data.axes[name].index("sample"), 0)
        for i, sample in enumerate(samples):
            if not _finite(sample):
                raise NonFiniteError(
                    f"{problem}: {name} of sample {start + i} has NaN or infinite values: the solver diverged. "
                    "Choose other parameters, or a finer resolution."
                )


def _finite(values: Any) -> bool:
    if isinstance(values, list):
        return all(map(_finite, values))
    array = np.asarray(values)
    return array.dtype.kind not in "fc" or bool(np.isfinite(array).all())


def is_whole(path: Path) -> bool:
    """Whether a part is there and readable."""
    return path.is_file() and zipfile.is_zipfile(path)
