"""Branches that do not depend on the sensors: trained on 100 sensors, evaluated on 50 random ones and on 400.

The antiderivative as in antiderivative.py. A quadrature branch integrates the input function against learned kernels,
with weights of the sensors it is given, trapezoid weights of the sorted points. Beside it the plain branch, whose
input is interpolated linearly to the training sensors, and the plain branch fed by index. Gate: the quadrature branch
stays within 0.01 of its error at the training sensors.

    python benchmarks/deeponet/sensor_free.py
"""

import statistics

import numpy as np
import torch
from common import Results, aligned, arguments, errors, operator_dataset, train
from torch import Tensor

from sciml.metrics import relative_l2
from sciml.operators import deeponet, sensor_free_deeponet
from sciml.problems import Antiderivative
from sciml.spaces import PointCloud, RegularGrid

STEPS, TRAIN, TEST, SENSORS = 10_000, 150, 1000, 100


def sensors(kind: str) -> tuple[Tensor, Tensor]:
    """Sorted points and trapezoid weights."""
    if kind == "400 equispaced":
        grid = RegularGrid((400,), ((0.0, 1.0),))
        return grid.points, grid.weights
    points = np.sort(np.random.default_rng(1).uniform(0, 1, 50))
    cloud = PointCloud(torch.as_tensor(points)[:, None], weights="sorted-trapezoid", bounds=((0.0, 1.0),))
    return cloud.points, cloud.weights


def main() -> int:
    """Run what is missing, print, conclude."""
    options = arguments(__doc__)
    steps = 50 if options.smoke else STEPS
    results = Results("deeponet_sensor_free", options.smoke)
    problem = Antiderivative()
    whole = aligned(problem.generate(TRAIN + TEST, seed=0, resolution=SENSORS))
    data = operator_dataset({"train": whole.select(slice(0, TRAIN)), "test": whole.select(slice(TRAIN, None))})
    functions = problem.sampler().sample(TEST, seed=0, start=TRAIN)
    test = data["test"]

    def run(kind: str, seed: int) -> dict[str, float]:
        torch.manual_seed(seed)
        if kind == "quadrature":
            # On its own, the training grid; with sensors, wherever these are.
            model = sensor_free_deeponet(modes=40, branch=[40], trunk=[40], bounds=[[0.0, 1.0]])
        else:
            model = deeponet(sensors=SENSORS, modes=40, branch=[40], trunk=[40])
        trainer = train(model, data, steps, seed=seed)
        row = errors(trainer, model, test)
        for name in ("50 random", "400 equispaced"):
            points, weights = sensors(name)
            u = functions(points).float()
            with torch.no_grad():
                if kind == "quadrature":
                    prediction = model(u, test["coords"], sensors=points.float(), sensor_weights=weights.float())
                elif kind == "plain, linear interpolation":
                    at = np.linspace(0, 1, SENSORS)
                    values = [np.interp(at, points[:, 0].numpy(), f) for f in u.double().numpy()]
                    prediction = model(torch.as_tensor(np.stack(values)).float(), test["coords"])
                else:
                    filled = torch.nn.functional.pad(u, (0, max(SENSORS - u.shape[1], 0)))[:, :SENSORS]
                    prediction = model(filled, test["coords"])
            row[name] = relative_l2(prediction, test["y"]).mean().item()
        return row

    table: dict[str, list[dict[str, float]]] = {}
    for seed in options.seeds:
        for kind in ("quadrature", "plain, linear interpolation", "plain, padded by index"):
            row = results.row(f"{kind}, seed {seed}", lambda k=kind, s=seed: run(k, s))
            table.setdefault(kind, []).append(row)
    columns = ("test_relative_l2", "50 random", "400 equispaced")
    summary = {
        kind: {column: statistics.mean(row[column] for row in rows) for column in columns}
        for kind, rows in table.items()
    }
    shifts = [abs(row[c] - row["test_relative_l2"]) for row in table["quadrature"] for c in columns[1:]]
    return results.conclude(summary, {f"largest shift {max(shifts):.4f} (at most 0.01)": max(shifts) <= 0.01})


if __name__ == "__main__":
    raise SystemExit(main())
