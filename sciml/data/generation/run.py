"""Generating data files from problems: in chunks, on all cores, and resumable.

The samples are cut into chunks at fixed places. Worker processes with one thread each make the chunks and keep them as
parts in a folder beside the file; when all are there, the file is written from them in order and renamed. A run that is
killed at any moment therefore ends, started again, with the same bytes.
"""

import hashlib
import inspect
import json
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml.data.generation.parts import is_whole, load_part, make_part, part_path
from sciml.data.generation.progress import make_progress
from sciml.data.generation.worker import run_workers
from sciml.data.lock import file_lock
from sciml.data.writers import PDEBenchWriter, WellWriter
from sciml.data.writers.hdf5 import replacing
from sciml.data.writers.well_stats import write_stats
from sciml.errors import ConfigError
from sciml.registry import registry

if TYPE_CHECKING:
    from sciml.problems.base import Problem, ProblemData

__all__ = ["code_hash", "generate", "problem_parameters", "resolve_problem"]

_FORMATS = ("pdebench", "well")
_SETTINGS = "settings.json"


def generate(
    problem: "str | Problem",
    num: int,
    out: str | Path,
    *,
    resolution: Any = None,
    seed: int = 0,
    start: int = 0,
    workers: int | None = None,
    chunk: int | None = None,
    format: str = "pdebench",
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Generate samples of a problem and write them to a file.

    Until the file is complete, its parts lie in the folder ``OUT.parts``. A call with the same arguments goes on from
    there, after a kill too, and the file has the bytes that an unbroken run gives on that machine. The parts need the
    room of the file once more.

    Args:
        problem: A problem, or the name of one with its default parameters.
        num: Number of samples.
        out: The file; for ``format="well"`` the folder of the dataset.
        resolution: Points per axis; the problem's own when None.
        seed: Seed of the sequence of samples.
        start: First sample of the sequence; files of one seed and disjoint ranges share no sample.
        workers: Processes, one thread each; all cores when None. 0 computes in this process, which a problem needs
            that is defined in a script or notebook.
        chunk: Samples per part; a 32nd of all, at most 256, when None.
        format: ``pdebench`` or ``well``.
        overwrite: Replace an existing file, and discard parts of other settings.
        progress: Show on standard error how far it is.

    Returns:
        The file.

    Raises:
        UnknownNameError: If no problem has this name.
        ConfigError: If the file exists, its parts were made with other settings (the message says which), another
            process is generating it, or an argument does not fit.
        NonFiniteError: If a solution is not finite; the message names the sample.
    """
    problem = resolve_problem(problem)
    for name, value, least in (("num", num, 1), ("start", start, 0), ("chunk", chunk or 1, 1), ("seed", seed, 0)):
        if value < least:
            raise ConfigError(f"{name} is {value}, expected at least {least}.")
    if format not in _FORMATS:
        raise ConfigError(f"format is {format!r}, expected one of {', '.join(_FORMATS)}.")
    file = _file(Path(out), format, problem.name)
    if file.exists() and not overwrite:
        raise ConfigError(f"{file} exists. Pass overwrite=True (--overwrite) to replace it, or choose another file.")
    chunk = chunk or min(256, -(-num // 32))
    options = {"seed": seed, "resolution": resolution}
    settings = _settings(problem, options | {"num": num, "start": start, "chunk": chunk, "format": format})
    parts = file.with_name(file.name + ".parts")
    parts.mkdir(parents=True, exist_ok=True)
    with file_lock(parts.with_name(f"{file.name}.lock"), wait=False):
        _resume_or_refuse(parts, settings, overwrite, file)
        jobs = [
            (index, start + begin, min(chunk, num - begin))
            for index, begin in enumerate(range(0, num, chunk))
            if not is_whole(part_path(parts, index))
        ]
        with make_progress(progress, problem.name, num, num - sum(size for _, _, size in jobs)) as advance:
            _make(problem, parts, jobs, options, workers, advance)
        _assemble(problem, parts, -(-num // chunk), file, format, settings)
        shutil.rmtree(parts)
    return file


def resolve_problem(problem: "str | Problem", parameters: Mapping[str, Any] | None = None) -> "Problem":
    """A problem by name, or the given one, with parameters set.

    Raises:
        UnknownNameError: If no problem has this name.
        ConfigError: If it has no such parameter.
    """
    found: Any = registry("problems").create(problem) if isinstance(problem, str) else problem
    if not parameters:
        return found
    known = [field.name for field in fields(found)]
    if unknown := [name for name in parameters if name not in known]:
        raise ConfigError(
            f"{found.name} has no parameter {', '.join(unknown)}; there are {', '.join(known) or 'none'}."
        )
    return replace(found, **parameters)


def problem_parameters(problem: "Problem") -> dict[str, Any]:
    """Parameters of a problem as plain values, in the form in which JSON gives them back."""
    values = {field.name: getattr(problem, field.name) for field in fields(problem)}  # type: ignore[arg-type]
    return json.loads(json.dumps(values, default=repr))


def code_hash(problem: "Problem") -> str:
    """Hash of the source that determines the samples: the problem, its helpers, and the random functions."""
    import sciml.spaces

    digest = hashlib.sha256()
    files: set[Path] = set()
    for cls in type(problem).__mro__:
        if cls.__module__ in ("builtins", "abc"):
            continue
        try:
            files.add(Path(inspect.getfile(cls)))
        except (OSError, TypeError):  # a class of a notebook has no file: its compiled methods stand for it
            for name, value in sorted(vars(cls).items()):
                if inspect.isfunction(value):
                    digest.update(name.encode() + value.__code__.co_code + repr(value.__code__.co_consts).encode())
    own = {file.parent for file in files if file.parent.name == "problems" and file.parent.parent.name == "sciml"}
    files |= {file for folder in own for file in folder.glob("_*.py")}
    files |= set((Path(sciml.spaces.__file__).parent / "random").glob("*.py"))
    for file in sorted(files, key=lambda path: (path.name, path.parent.name)):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def _settings(problem: "Problem", options: Mapping[str, Any]) -> dict[str, Any]:
    import numpy
    import scipy
    import torch

    import sciml

    versions = {module.__name__: module.__version__ for module in (sciml, numpy, scipy, torch)}
    settings = {
        "problem": problem.name,
        "parameters": problem_parameters(problem),
        **options,
        "versions": versions | {"code": code_hash(problem)},
    }
    return json.loads(json.dumps(settings))


def _file(out: Path, format: str, name: str) -> Path:
    if format == "well":
        return out / "data" / "train" / f"{out.resolve().name or name}.hdf5"
    if out.is_dir():
        raise ConfigError(f"out is the folder {out}, expected a file such as {out / f'{name}.hdf5'}.")
    return out


def _resume_or_refuse(parts: Path, settings: dict[str, Any], overwrite: bool, file: Path) -> None:
    """Go on with parts of the same settings; never mix parts of different ones."""
    path = parts / _SETTINGS
    if path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
        different = _differences(before, settings)
        if different and not overwrite:
            raise ConfigError(
                f"{parts} holds parts of an unfinished file with other settings: {'; '.join(different)}. "
                "Use the same settings to go on, overwrite=True (--overwrite) to begin again, or another file."
            )
        if different:
            shutil.rmtree(parts)
            parts.mkdir()
    for left in parts.glob("*.tmp"):
        left.unlink()
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(settings, indent=1), encoding="utf-8")
    os.replace(temporary, path)


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    lines = []
    for key in sorted({*before, *now}):
        old, new = before.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            lines += _differences(old, new)
        elif old != new:
            lines.append(f"{key} was {old}, now {new}")
    return lines


def _make(
    problem: "Problem",
    parts: Path,
    jobs: list[tuple[int, int, int]],
    options: dict[str, Any],
    workers: int | None,
    advance: Callable[[int], None],
) -> None:
    if workers == 0:
        for index, begin, size in jobs:
            make_part(problem, parts, index, begin, size, options)
            advance(size)
    elif jobs:
        run_workers(problem, parts, jobs, options, min(workers or _cores(), len(jobs)), advance)


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def _assemble(
    problem: "Problem", parts: Path, num_parts: int, file: Path, format: str, settings: dict[str, Any]
) -> None:
    attrs: dict[str, Any] = {}
    with replacing(file) as partial:
        with _writer(problem, partial, format, file.stem) as writer:
            for index in range(num_parts):
                data: ProblemData = load_part(part_path(parts, index))
                attrs = attrs or {**data.attrs, "generated": settings}
                writer.append(replace(data, attrs=attrs))
        if format == "well":
            write_stats(partial, file.parents[2] / "stats.yaml")


def _writer(problem: "Problem", path: Path, format: str, name: str) -> AbstractContextManager[Any]:
    if format == "well":
        return WellWriter(path, name)
    return PDEBenchWriter(path, layout="groups" if problem.layout == "pdebench-groups" else "auto")
