"""Metrics of a model on a split: mean and standard error over samples, reduced over processes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from sciml.data import Split, TensorLoader
from sciml.train.engine import Engine
from sciml.train.task import Metric, Task, cast_batch, dtype_of

__all__ = ["evaluate", "predict_split"]


def evaluate(
    model: nn.Module,
    task: Task,
    split: Split,
    *,
    batch_size: int = 256,
    engine: Engine | None = None,
    metrics: Mapping[str, Metric] | None = None,
) -> dict[str, float]:
    """Mean of each metric over the samples of a split, and ``NAME_se``, its standard error.

    Args:
        model: The trained model.
        task: Gives predictions in the units of the data, and the metrics.
        split: The samples, in the units of the data.
        batch_size: Samples per forward pass.
        engine: Device and processes.
        metrics: Instead of the metrics of the task.
    """
    engine = engine or Engine(torch.device("cpu"))
    metrics = task.metrics() if metrics is None else metrics
    dtype = dtype_of(model)
    loader = TensorLoader(split, batch_size, rank=engine.rank, world_size=engine.world_size)
    sums = {name: torch.zeros(3, dtype=torch.float64) for name in metrics}
    was_training = model.training
    model.eval()
    with torch.no_grad():
        for batch in loader:
            batch = cast_batch(batch, engine.device, dtype)
            prediction = task.predict(model, batch)
            if loader.local_size == 0:
                continue
            for name, metric in metrics.items():
                values = metric(prediction, batch, split).double()
                sums[name] += torch.stack([values.sum(), values.square().sum(), torch.ones_like(values).sum()]).cpu()
    model.train(was_training)
    result: dict[str, float] = {}
    for name, value in sums.items():
        total, squares, count = engine.sum(value.to(engine.device)).tolist()
        mean = total / count
        variance = max(squares / count - mean**2, 0.0) * count / max(count - 1, 1)
        result[name] = mean
        result[f"{name}_se"] = math.sqrt(variance / count)
    return result


def predict_split(
    model: nn.Module, task: Task, split: Split, *, batch_size: int = 256, device: torch.device | None = None
) -> Tensor:
    """Predictions for all samples of a split, in the units of the data, on the CPU."""
    device = device or torch.device("cpu")
    was_training = model.training
    model.eval()
    parts: Sequence[Tensor]
    with torch.no_grad():
        parts = [
            task.predict(model, cast_batch(batch, device, dtype_of(model))).cpu()
            for batch in TensorLoader(split, batch_size)
        ]
    model.train(was_training)
    return torch.cat(list(parts))
