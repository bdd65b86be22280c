"""Datasets made from problems, kept in the user's cache under the hash of what made them."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml.data.cards import cache_folder
from sciml.data.dataset import Dataset, Split
from sciml.data.formats import open_dataset
from sciml.data.generation import code_hash, generate, problem_parameters, resolve_problem
from sciml.data.lock import file_lock
from sciml.data.operator_data import operator_dataset
from sciml.data.roles import Layout, split_by_roles, tensor_units
from sciml.errors import ConfigError

if TYPE_CHECKING:
    from sciml.problems.base import Problem

__all__ = ["problem_dataset"]

# Every split has its own stretch of the sequence of samples: none changes when the size of another does.
_STRETCH = 10**8
_FIRST = {"train": 0, "val": _STRETCH, "test": 2 * _STRETCH}


def problem_dataset(
    problem: "str | Problem" = "antiderivative",
    *,
    train: int = 1000,
    val: int = 0,
    test: int = 100,
    resolution: Any = None,
    test_resolutions: Sequence[Any] = (),
    seed: int = 0,
    parameters: Mapping[str, Any] | None = None,
    queries: int | None = None,
    layout: Layout = "auto",
    cache: bool = True,
    workers: int | None = None,
) -> Dataset:
    """A dataset of samples of a problem, made when first asked for.

    Args:
        problem: Name of a problem (``sciml problems`` lists them), or a problem.
        train: Number of training samples.
        val: Number of samples for model selection.
        test: Number of test samples, the same ones whatever ``train`` and ``val`` are.
        resolution: Points per axis; the problem's own when None.
        test_resolutions: The test samples once more at each of these, as splits ``test_32`` and so on.
        seed: Seed of the samples.
        parameters: Parameters of the problem.
        queries: Train on as many query points per function, drawn at random; all when None. Test splits have all.
        layout: ``grid`` (fields on a grid), ``points`` (values at query points), or ``auto``.
        cache: Keep the files in the user's cache (``$SCIML_CACHE``).
        workers: Processes that generate, as for :func:`~sciml.data.generate`.

    Raises:
        UnknownNameError: If no problem has this name.
        ConfigError: If it has no such parameter, or an argument does not fit.

    Example:
        >>> data = problem_dataset("antiderivative", train=8, test=4, cache=False, workers=0)
        >>> {name: len(data[name]) for name in data}
        {'train': 8, 'test': 4}
    """
    if train < 1 or val < 0 or test < 0 or max(train, val, test) > _STRETCH:
        raise ConfigError(f"train is {train}, val {val}, test {test}; expected at least 1, 0 and 0 samples.")
    found = resolve_problem(problem, parameters)
    wanted = [("train", train, resolution), ("val", val, resolution), ("test", test, resolution)]
    wanted += [(f"test_{_label(other)}", test, other) for other in test_resolutions]
    folder = Path(cache_folder() / "generated") if cache else Path(tempfile.mkdtemp(prefix="sciml-"))
    splits: dict[str, Split] = {}
    parts: dict[str, Any] = {}
    units: dict[str, str] = {}
    attrs: dict[str, Any] = {}
    try:
        for name, num, points in wanted:
            if num:
                file = _file(found, folder, num, points, seed, _FIRST[name.partition("_")[0]], workers)
                with open_dataset(file, "pdebench-hdf5") as fields:
                    drawn = queries if name == "train" else None
                    kind: Layout = "points" if queries is not None and layout == "auto" else layout
                    splits[name] = split_by_roles(fields, layout=kind, queries=drawn, seed=seed)
                    attrs, units = dict(fields.attrs), tensor_units(fields)
                parts[name] = {"samples": num, "resolution": points, "file": str(file) if cache else None}
    finally:
        if not cache:
            shutil.rmtree(folder, ignore_errors=True)
    return operator_dataset(splits, found.name, units=units, card=_card(found, attrs, parts, seed))


def _file(
    problem: "Problem", folder: Path, num: int, resolution: Any, seed: int, start: int, workers: int | None
) -> Path:
    """The file with these samples, generated if it is not there; other processes that want it wait."""
    import sciml

    made_from = {
        "problem": problem.name,
        "parameters": problem_parameters(problem),
        "num": num,
        "resolution": resolution,
        "seed": seed,
        "start": start,
        "version": sciml.__version__,
        "code": code_hash(problem),
    }
    digest = hashlib.sha256(json.dumps(made_from, sort_keys=True, default=str).encode()).hexdigest()[:16]
    file = folder / f"{problem.name}-{digest}.hdf5"
    if not file.exists():
        with file_lock(folder / f"{file.stem}.wait", wait=True):
            if not file.exists():
                generate(problem, num, file, resolution=resolution, seed=seed, start=start, workers=workers)
    return file


def _label(resolution: Any) -> str:
    return "x".join(map(str, resolution)) if isinstance(resolution, list | tuple) else str(resolution)


def _card(problem: "Problem", attrs: Mapping[str, Any], parts: Mapping[str, Any], seed: int) -> dict[str, Any]:
    parameters = problem_parameters(problem)
    options = "".join(f" --set {name}={value}" for name, value in parameters.items())
    return {
        "name": problem.name,
        "title": attrs.get("equation", problem.equation),
        "task": "operator",
        "source": f"generated by the problem {problem.name}",
        "licence": "none needed: generated",
        "equation": problem.equation,
        "scheme": problem.scheme,
        "parameters": parameters,
        "seed": seed,
        "splits": dict(parts),
        "obtain": f"sciml data generate {problem.name} --num N --seed {seed}{options} --out FILE.hdf5",
    }
