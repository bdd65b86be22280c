"""Final models on disk: weights in safetensors, and what builds model, task and normalisers again in its header."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sciml.data import Split
from sciml.errors import CheckpointError, ConfigError
from sciml.registry import registry
from sciml.train.build import Origin, build_model, grid_from_dict, origin_of, spec_from_dict, spec_to_dict
from sciml.train.checkpoint import atomic_path
from sciml.train.run_folder import RunFolder
from sciml.train.task import Task, cast_batch, device_of, dtype_of

__all__ = ["TrainedModel", "load", "save_model"]


class TrainedModel:
    """A trained model with its normalisers: takes and gives the units of the data.

    Attributes:
        model: The network.
        task: The task, which holds the normalisers.
        info: What the file says of itself: model, task, versions.

    Example:
        >>> run = load("runs/darcy")  # doctest: +SKIP
        >>> run(x=coefficient).shape  # doctest: +SKIP
        torch.Size([50, 1, 32, 32])
    """

    def __init__(self, model: nn.Module, task: Task, info: Mapping[str, Any]) -> None:
        self.model = model.eval()
        self.task = task.eval()
        self.info = dict(info)

    @torch.no_grad()
    def __call__(self, batch: Mapping[str, Tensor] | None = None, /, **fields: Tensor) -> Tensor:
        """Predict for a batch given as a mapping or as keyword arguments, on the device and in the dtype of the model.

        Shapes:
            - **x**: ``(batch, channels, *grid)``, in the units of the training data; other fields as in training.
            - **output**: as the target of the training data, on the grid of the input.

        Raises:
            ConfigError: If a field that the model needs is missing.
        """
        if not isinstance(batch, Mapping | None):
            raise ConfigError(f"the fields are a {type(batch).__name__}, expected names: run(x=values).")
        given = {name: torch.as_tensor(value) for name, value in {**(batch or {}), **fields}.items()}
        return self.task.predict(self.model, cast_batch(given, device_of(self.model), dtype_of(self.model)))

    def to(self, device: torch.device | str) -> TrainedModel:
        """Move to a device."""
        self.model.to(device)
        self.task.to(device)
        return self

    def predict(self, split: Split, batch_size: int = 256) -> Tensor:
        """Predictions for all samples of a split, on the CPU."""
        from sciml.train.evaluate import predict_split

        return predict_split(self.model, self.task, split, batch_size=batch_size, device=device_of(self.model))


def save_model(
    path: Path, model: nn.Module, task: Task, inputs: Mapping[str, str] | None, info: Mapping[str, Any]
) -> None:
    """Write weights and normalisers with everything needed to build them again."""
    from safetensors.torch import save_file

    origin = origin_of(model)
    header = {
        **info,
        "model": None if origin is None else {"name": origin.name, "arguments": dict(origin.arguments)},
        "spec": None if origin is None or origin.spec is None else spec_to_dict(origin.spec),
        "class": f"{type(model).__module__}:{type(model).__qualname__}",
        "task": {"name": _task_name(task), "arguments": task.settings()},
        "inputs": dict(inputs or {}),
        "grids": {name: dataclasses.asdict(grid) for name, grid in task.grids.items()},
    }
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"task.{name}": value for name, value in task.state_dict().items()}
    # Tied weights share memory, which the format refuses; each name gets its own copy.
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={"sciml": json.dumps(header)})


def _task_name(task: Task) -> str | None:
    for name, entry in registry("tasks").items():
        similar = entry.error is None and entry.value.endswith(f":{type(task).__name__}")
        # Another class may have the same name.
        if similar and registry("tasks").load(name) is type(task):
            return name
    return None


def load(run: str | Path, *, model: nn.Module | None = None, task: Task | None = None) -> TrainedModel:
    """The trained model of a run folder, with its normalisers, from the folder alone.

    Args:
        run: Run folder, or a ``model.safetensors`` file.
        model: The network to fill, for one that is not registered.
        task: The task to fill, likewise.

    Raises:
        CheckpointError: If the folder holds no finished model, the file is broken, or it cannot say how to build
            the model.
    """
    path = Path(run)
    path = path if path.suffix == ".safetensors" else RunFolder(path).model
    header, tensors = _read(path)
    model = model if model is not None else _build_model(path, header)
    task = task if task is not None else _build_task(path, header)
    task.grids = {name: grid_from_dict(grid) for name, grid in header["grids"].items()}
    task.restore(_part(tensors, "task."))
    weights = _part(tensors, "model.")
    types = {value.dtype for value in weights.values() if value.is_floating_point()}
    # Weights in half precision are exact in single precision, which every device computes in.
    floating = torch.float64 if torch.float64 in types else torch.float32
    try:
        # Not model.to(floating): that would drop the imaginary parts of complex weights.
        model = model.double() if floating is torch.float64 else model.float()
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(f"the weights in {path} do not fit {type(model).__name__}: {error}") from error
    task.bind(model, header.get("keys", []), header.get("inputs"))
    return TrainedModel(model, task, header)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise CheckpointError(
            f"there is no finished model at {path}. If the run was stopped, continue it with `sciml fit --resume`."
        )
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})["sciml"])
            if not isinstance(header, dict) or not {"model", "task", "grids"} <= set(header):
                raise ValueError("its header does not say how to build the model")
            return header, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise CheckpointError(f"{path} is not a model written by sciml: {error}") from error


def _build_model(path: Path, header: Mapping[str, Any]) -> nn.Module:
    if header.get("model") is None:
        raise CheckpointError(
            f"{path} holds a {header.get('class')}, which is not a registered model with plain arguments. "
            "Give the network: sciml.load(run, model=...)."
        )
    spec = None if header.get("spec") is None else spec_from_dict(header["spec"])
    origin = Origin(header["model"]["name"], header["model"]["arguments"], spec)
    return build_model(origin.name, origin.spec, **origin.arguments)


def _build_task(path: Path, header: Mapping[str, Any]) -> Task:
    name = header["task"]["name"]
    if name is None:
        raise CheckpointError(f"{path} was trained with an unregistered task. Give it: sciml.load(run, task=...).")
    task = registry("tasks").create(name, **header["task"]["arguments"])
    assert isinstance(task, Task)
    return task


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
