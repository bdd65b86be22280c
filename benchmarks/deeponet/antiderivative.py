"""The antiderivative, learned from 150 functions: plain and stacked networks, POD, two spaces of input functions.

    s'(x) = u(x), s(0) = 0 on [0, 1]

100 sensors and query points, ReLU networks of width 40 (the branch of the POD: tanh), Adam at 1e-3, 10 000 steps on the
whole batch, 1000 test functions. The operator is linear: the row of linear least squares is the answer that a network
has to be compared with.
Gate: mean relative L2 error of the plain network in [0.012, 0.035] for every seed.

    python benchmarks/deeponet/antiderivative.py
"""

import statistics
from typing import Any

import torch
from common import Results, aligned, arguments, errors, operator_dataset, train

from sciml.data import Dataset
from sciml.metrics import relative_l2
from sciml.operators import PODDeepONet, deeponet
from sciml.problems import Antiderivative
from sciml.spaces.random import Chebyshev
from sciml.tasks import linear_baseline

STEPS, TRAIN, TEST, SENSORS = 10_000, 150, 1000, 100


def dataset(inputs: Any) -> Dataset:
    """150 training and 1000 test functions."""
    problem = Antiderivative() if inputs is None else Antiderivative(inputs=inputs)
    whole = aligned(problem.generate(TRAIN + TEST, seed=0, resolution=SENSORS))
    return operator_dataset({"train": whole.select(slice(0, TRAIN)), "test": whole.select(slice(TRAIN, None))})


def main() -> int:
    """Run what is missing, print, conclude."""
    options = arguments(__doc__)
    steps = 50 if options.smoke else STEPS
    results = Results("deeponet_antiderivative", options.smoke)
    spaces = {"Gaussian process, l = 0.2": None, "Chebyshev, 20 coefficients": Chebyshev(num_coefficients=20)}
    data = {name: dataset(inputs) for name, inputs in spaces.items()}

    def run(space: str, kind: str, seed: int) -> dict[str, float]:
        torch.manual_seed(seed)
        if kind == "POD, 10 modes, tanh":
            train_split = data[space].train
            model: torch.nn.Module = PODDeepONet.from_data(
                train_split["y"], train_split["coords"], modes=10, branch=[SENSORS, 40, 40], activation="tanh"
            )
        else:
            model = deeponet(sensors=SENSORS, modes=40, branch=[40], trunk=[40], stacked=kind == "stacked")
        trainer = train(model, data[space], steps, seed=seed)
        return errors(trainer, model, data[space].train, "train") | errors(trainer, model, data[space]["test"])

    table: dict[str, list[float]] = {}
    for space, content in data.items():
        test = content["test"]
        linear = linear_baseline(content, "u")
        row = results.row(
            f"{space}, linear least squares",
            lambda t=test, f=linear: {"test_relative_l2": relative_l2(f(t), t["y"]).mean().item()},
        )
        table[f"{space}, linear least squares"] = [row["test_relative_l2"]]
    jobs = [(space, kind) for space in data for kind in ("unstacked", "stacked")]
    jobs.append((next(iter(data)), "POD, 10 modes, tanh"))
    for seed in options.seeds:
        for space, kind in jobs:
            row = results.row(f"{space}, {kind}, seed {seed}", lambda a=space, b=kind, s=seed: run(a, b, s))
            table.setdefault(f"{space}, {kind}", []).append(row["test_relative_l2"])
    summary = {
        name: {"mean": statistics.mean(v), "std": statistics.stdev(v) if len(v) > 1 else None}
        for name, v in table.items()
    }
    plain = table[f"{next(iter(data))}, unstacked"]
    within = all(0.012 <= value <= 0.035 for value in plain)
    return results.conclude(summary, {f"relative L2 {[round(v, 4) for v in plain]} in [0.012, 0.035]": within})


if __name__ == "__main__":
    raise SystemExit(main())
