"""What the DeepONet experiments share: training on whole batches, errors, and results that survive an interruption."""

import argparse
import json
import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
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

RESULTS = Path(__file__).resolve().parents[1] / "results"


class Results:
    """Rows of an experiment by key, written after every row; a key that is there already is not computed again.

    Args:
        name: Name of the file in ``benchmarks/results``.
        smoke: Write to a scratch file instead, for runs at reduced size.
    """

    def __init__(self, name: str, smoke: bool = False) -> None:
        self.path = RESULTS / f"{name}{'.smoke' if smoke else ''}.json"
        old = json.loads(self.path.read_text()) if self.path.exists() and not smoke else {}
        self.rows: dict[str, dict[str, Any]] = old.get("rows", {})
        self.summary: dict[str, Any] = old.get("summary", {})
        self.smoke = smoke

    def row(self, key: str, compute: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """The row of a key, computed if need be."""
        if key not in self.rows:
            begin = time.perf_counter()
            row = dict(compute())
            self.rows[key] = {**row, "seconds": round(time.perf_counter() - begin, 2)}
            self.write()
        row = self.rows[key]
        print(f"{key:48s} " + "  ".join(f"{k} {_short(v)}" for k, v in row.items()), flush=True)
        return row

    def write(self) -> None:
        """Write all rows, atomically."""
        if self.smoke:
            return
        versions = {name: metadata.version(name) for name in ("sciml", "torch", "numpy", "scipy")}
        content = {
            "versions": {**versions, "python": platform.python_version()},
            "threads": torch.get_num_threads(),
            "rows": self.rows,
            "summary": self.summary,
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(content, indent=1) + "\n")
        temporary.replace(self.path)

    def conclude(self, summary: Mapping[str, Any], gates: Mapping[str, bool]) -> int:
        """Store what the rows say; returns the number of missed gates."""
        self.summary = {**summary, "gates": {name: bool(met) for name, met in gates.items()}}
        self.write()
        for name, met in gates.items():
            print(f"{'met   ' if met else 'MISSED'} {name}")
        return sum(not met for met in gates.values())


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def arguments(description: str | None) -> argparse.Namespace:
    """Options that all experiments have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--smoke", action="store_true", help="a few steps of everything, results are not kept")
    parsed = parser.parse_args()
    torch.set_num_threads(parsed.threads)
    return parsed


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
