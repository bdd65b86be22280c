"""What the DeepONet experiments share: training on whole batches, errors, and results that survive an interruption."""

import math
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sciml.data import Dataset, Split, aligned_split, operator_dataset, triplet_split
from sciml.metrics import mse, ratio_of_means, relative_l2
from sciml.nn import MLP
from sciml.operators import PODDeepONet
from sciml.operators.deeponet import PODModes, pod_deeponet
from sciml.problems import ProblemData
from sciml.tasks import OperatorRegression, linear_baseline, mean_baseline
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
    normalize: bool | list[str] = False,
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
    return compared(trainer.predict(model, split), split, prefix)


def compared(prediction: Tensor, split: Split, prefix: str = "test") -> dict[str, float]:
    """The errors of a prediction, with the quadrature weights of the target's points where the split has them."""
    target, weights = split["y"], split.tensors.get("y.weight")
    result = {f"{prefix}_mse": mse(prediction, target, weights).mean().item()}
    if target.shape[-1] > 1:
        result[f"{prefix}_relative_l2"] = relative_l2(prediction, target, weights).mean().item()
    result[f"{prefix}_relative_l2_all"] = ratio_of_means(prediction, target, weights).item()
    return result


def predictors(results: Results, label: str, data: Dataset) -> dict[str, list[float]]:
    """Relative errors on the test functions of what a network is compared with: training mean, linear least squares."""
    fits = {"training mean": lambda: mean_baseline(data), "linear least squares": lambda: linear_baseline(data, "u")}
    table = {}
    for name, fit in fits.items():
        row = results.row(f"{label}, {name}", lambda f=fit: compared(f()(data["test"]), data["test"]))  # type: ignore[misc]
        table[f"{label}, {name}"] = [row["test_relative_l2"]]
    return table


def networks(
    results: Results,
    label: str,
    data: Dataset,
    models: Mapping[str, tuple[Callable[[], nn.Module], Mapping[str, Any]]],
    seeds: Sequence[int],
    steps: int,
) -> dict[str, list[float]]:
    """Relative errors on the test functions of networks, each given by how it is made and the options of training."""

    def run(name: str, seed: int) -> dict[str, float]:
        build, options = models[name]
        torch.manual_seed(seed)
        model = build()
        trainer = train(model, data, steps, seed=seed, **options)
        return errors(trainer, model, data.train, "train") | errors(trainer, model, data["test"])

    table: dict[str, list[float]] = {}
    for seed in seeds:
        for name in models:
            row = results.row(f"{label}, {name}, seed {seed}", lambda n=name, s=seed: run(n, s))  # type: ignore[misc]
            table.setdefault(f"{label}, {name}", []).append(row["test_relative_l2"])
    return table


def projection(results: Results, label: str, data: Dataset, modes: int | float) -> tuple[int, dict[str, list[float]]]:
    """Number of POD modes of the training targets, and what is left of the test targets on them.

    No branch of a POD-DeepONet can do better.
    """

    def run() -> dict[str, float]:
        train_split, test = data.train, data["test"]
        basis = PODModes.from_data(train_split["y"], train_split["coords"], modes, train_split["y.weight"])
        mean = basis.mean[:, 0]
        on_modes = mean + ((test["y"] - mean) * basis.weights) @ basis.modes @ basis.modes.T
        return {"modes": basis.num_modes, **compared(on_modes, test)}

    row = results.row(f"{label}, projection on the modes", run)
    return row["modes"], {f"{label}, projection on the modes": [row["test_relative_l2"]]}


def pod_model(data: Dataset, modes: int, branch: Sequence[int], activation: str = "relu") -> PODDeepONet:
    """A POD-DeepONet whose modes the trainer fills from the training targets, as it standardises them."""
    coords = data.train["coords"]
    return pod_deeponet(
        sensors=data.train["u"].shape[1],
        points=len(coords),
        dim=coords.shape[1],
        modes=modes,
        branch=branch,
        activation=activation,
    )


def statistics_of(table: Mapping[str, Sequence[float]]) -> dict[str, dict[str, float | None]]:
    """Mean and standard deviation over the seeds."""
    return {
        name: {"mean": statistics.mean(v), "std": statistics.stdev(v) if len(v) > 1 else None}
        for name, v in table.items()
    }


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
    "compared",
    "errors",
    "geometric_mean",
    "networks",
    "operator_dataset",
    "pod_model",
    "predictors",
    "projection",
    "slope",
    "statistics_of",
    "train",
    "triplets",
]
