"""What the DeepONet experiments share: training on whole batches, errors, and results that survive an interruption."""

import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sciml.data import Dataset, Split, aligned_split, operator_dataset, triplet_split
from sciml.metrics import mse, ratio_of_means, relative_l2
from sciml.nn import MLP
from sciml.problems import ProblemData
from sciml.tasks import OperatorRegression
from sciml.train import Trainer

sys.path.append(str(Path(__file__).resolve().parents[1]))
from experiment import Results, arguments  # the folder of the scripts is not installed


class ConcatNet(nn.Module):
    """The baseline of the DeepONet paper: one network that reads the sensor values and the query point together.

    Args:
        widths: Widths of all layers; the first is the number of sensors plus the dimension of the points.
    """

    def __init__(self, *widths: int) -> None:
        super().__init__()
        self.network = MLP(*widths, activation="relu", init="glorot-normal")

    def forward(self, u: Tensor, coords: Tensor) -> Tensor:
        """Values ``(batch, points)`` from ``u`` (batch, sensors) and ``coords`` (batch, points, dim)."""
        u = u[:, None].expand(-1, coords.shape[-2], -1)
        return self.network(torch.cat([u, coords.expand(len(u), -1, -1)], -1)).squeeze(-1)


def aligned(data: ProblemData) -> Split:
    """A split of functions that share their query points, of a problem with one axis."""
    return aligned_split(data["u"], data.coords["x1"], data["s"])


def triplets(data: ProblemData) -> Split:
    """A split with one row for every pair of function and query point."""
    points, values = data["coords"], data["s"]
    num, per_function = values.shape
    function = torch.arange(num).repeat_interleave(per_function)
    return triplet_split(data["u"], points.reshape(num * per_function, -1), values.reshape(-1), function)


def train(
    model: nn.Module,
    data: Dataset,
    steps: int,
    *,
    seed: int = 0,
    lr: float = 1e-3,
    batch_size: int | None = None,
    loss: str = "mse",
    normalize: bool = False,
    scheduler: Mapping[str, Any] | None = None,
    methods: Sequence[Any] = (),
    optimizer: Mapping[str, Any] | None = None,
) -> Trainer:
    """Train with Adam, on whole batches unless a batch size is given."""
    trainer = Trainer(
        max_steps=steps, batch_size=batch_size or len(data.train), progress=False, seed=seed, accelerator="cpu"
    )
    task = OperatorRegression(loss=loss, normalize=normalize)
    optimizer = dict(optimizer or {"name": "adam", "lr": lr})
    trainer.fit(model, data, task, list(methods), optimizer=optimizer, scheduler=scheduler)
    return trainer


def errors(trainer: Trainer, model: nn.Module, split: Split, prefix: str = "test") -> dict[str, float]:
    """Mean squared error, mean of the functions' relative errors, and the relative error of all together."""
    prediction, target = trainer.predict(model, split), split["y"]
    result = {f"{prefix}_mse": mse(prediction, target).mean().item()}
    if target.shape[-1] > 1:
        result[f"{prefix}_relative_l2"] = relative_l2(prediction, target).mean().item()
    result[f"{prefix}_relative_l2_all"] = ratio_of_means(prediction, target).item()
    return result


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Slope of log y over log x by least squares."""
    u, v = [math.log(value) for value in x], [math.log(value) for value in y]
    mean_u, mean_v = statistics.mean(u), statistics.mean(v)
    return sum((a - mean_u) * (b - mean_v) for a, b in zip(u, v, strict=True)) / sum((a - mean_u) ** 2 for a in u)


def geometric_mean(values: Sequence[float]) -> float:
    """Mean of quantities that spread over orders of magnitude."""
    return math.exp(statistics.mean(math.log(value) for value in values))


__all__ = [
    "ConcatNet",
    "Results",
    "aligned",
    "arguments",
    "errors",
    "geometric_mean",
    "operator_dataset",
    "slope",
    "train",
    "triplets",
]
