"""Try the tasks and methods of a plugin: a tiny model trains for some steps, is stopped, resumed and loaded again."""

import inspect
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

import torch
from torch import nn

from sciml.data import Dataset, Split
from sciml.data.operator_data import aligned_split, grid_split, operator_dataset
from sciml.errors import SciMLError
from sciml.plugins.isolated import record
from sciml.registry import registry
from sciml.spaces import RegularGrid
from sciml.train import Callback, FitResult, Method, Task, Trainer, build_model, load

__all__ = ["try_method", "try_task"]

_STEPS = 4


class _Stop(Callback):
    """Ends a run half way."""

    def on_step_end(self, loop: Any) -> None:
        if loop.step == _STEPS // 2:
            loop.stop("half way", final=False)


def try_method(results: TextIO, name: str) -> None:
    """In another process: record whether a method trains, and whether a resumed run equals the unbroken one."""
    _try(results, "methods", name, Method)


def try_task(results: TextIO, name: str) -> None:
    """In another process: the same of a task, its metrics, and its state in a run folder."""
    _try(results, "tasks", name, Task)


def _try(results: TextIO, kind: str, name: str, base: type) -> None:
    build = registry(kind).load(name)
    if not callable(build):
        record(results, ["is a class", False, f"it is a {type(build).__name__}, expected a {base.__name__} class."])
        return
    if missing := _required(build):
        record(results, ["trains", True, f"not tried: it needs {', '.join(missing)}"])
        return
    made = build()
    if not isinstance(made, base):
        record(results, ["is a class", False, f"it builds a {type(made).__name__}, expected a {base.__name__}."])
        return
    refused = []
    for label, data, model in _problems():
        try:
            _run(build, kind, data, model)
        except SciMLError as error:  # made for other data: no fault
            refused.append(f"{label}: {error}")
            continue
        except Exception as error:
            record(results, ["trains", False, f"{label}: {type(error).__name__}: {error}"])
            return
        record(results, ["trains", True, label])
        _record(results, "resumes", _resumes, build, kind, data, model)
        if kind == "tasks":
            _record(results, "is loaded again", _loads, build, kind, data, model)
        return
    record(results, ["trains", True, f"not tried: {'; '.join(refused)}"])


def _required(build: Callable[..., Any]) -> list[str]:
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = inspect.signature(build).parameters.values()
    return [p.name for p in parameters if p.default is inspect.Parameter.empty and p.kind in by_name]


def _problems() -> Iterator[tuple[str, Dataset, dict[str, Any]]]:
    """Fields on a grid with a Fourier neural operator; values at points with a DeepONet."""
    generator = torch.Generator().manual_seed(0)
    grid = RegularGrid(shape=(8, 8), bounds=((0.0, 1.0), (0.0, 1.0)), periodic=True)

    def fields(num: int) -> Split:
        x = torch.randn(num, 1, 8, 8, generator=generator)
        return grid_split(x, 2 * x.roll(1, -1) + 1, grid)

    splits = {"train": fields(16), "test": fields(4)}
    yield "fields on a grid, with fno", operator_dataset(splits), {"name": "fno", "modes": [2, 2], "hidden_channels": 4}
    points = torch.linspace(0, 1, 9)

    def values(num: int) -> Split:
        u = torch.randn(num, 9, generator=generator)
        return aligned_split(u, points, u.cumsum(1))

    yield (
        "values at points, with deeponet",
        operator_dataset({"train": values(16), "test": values(4)}),
        {"name": "deeponet"},
    )


def _run(
    build: Callable[..., Any], kind: str, data: Dataset, model: dict[str, Any], resume: str | None = None, **more: Any
) -> tuple[nn.Module, Trainer, FitResult]:
    torch.manual_seed(0)
    arguments = {key: value for key, value in model.items() if key != "name"}
    net = build_model(model["name"], data.spec, **arguments)
    trainer = Trainer(max_steps=_STEPS, batch_size=4, accelerator="cpu", progress=False, **more)
    given: dict[str, Any] = {"task": build()} if kind == "tasks" else {"methods": [build()]}
    result = trainer.fit(net, data, **given, resume=resume)
    metrics = trainer.test(net, data)["test"]
    if not all(torch.isfinite(torch.tensor(list(metrics.values())))):
        raise ArithmeticError(f"a metric is not finite: {metrics}")
    return net, trainer, result


def _record(results: TextIO, name: str, check: Callable[..., str], *arguments: Any) -> None:
    try:
        message = check(*arguments)
    except Exception as error:
        message = f"{type(error).__name__}: {error}"
    record(results, [name, not message, message])


def _resumes(build: Callable[..., Any], kind: str, data: Dataset, model: dict[str, Any]) -> str:
    """What differs between a run that was stopped half way and resumed, and one that was not; empty if nothing."""
    whole, _, _ = _run(build, kind, data, model)
    with tempfile.TemporaryDirectory(prefix="sciml-") as folder:
        run_dir = Path(folder) / "run"
        common: dict[str, Any] = {"run_dir": run_dir, "callbacks": [_Stop()]}
        _run(build, kind, data, model, **common)
        resumed, _, result = _run(build, kind, data, model, resume="auto", **common)
    if result.steps != _STEPS:
        return f"the resumed run ended at step {result.steps} of {_STEPS}."
    differing = [
        name
        for (name, a), b in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True)
        if not torch.equal(a, b)
    ]
    if not differing:
        return ""
    return (
        f"a run that was stopped and resumed has other weights ({differing[0]}) than one that was not: everything that "
        "the next step depends on belongs into the state (state_dict and load_state_dict), and random numbers come "
        "from the seed that setup gives."
    )


def _loads(build: Callable[..., Any], kind: str, data: Dataset, model: dict[str, Any]) -> str:
    with tempfile.TemporaryDirectory(prefix="sciml-") as folder:
        net, trainer, _ = _run(build, kind, data, model, run_dir=Path(folder) / "run")
        loaded = load(Path(folder) / "run").predict(data["test"])
        expected = trainer.predict(net, data["test"])
    if torch.allclose(loaded, expected, rtol=1e-5, atol=1e-6):
        return ""
    return (
        "the task from the run folder predicts other values: settings() must give the constructor's arguments, and "
        "what setup() fits must be buffers or parameters."
    )
