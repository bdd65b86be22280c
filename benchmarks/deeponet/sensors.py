"""How many sensors: error against their number m and against the length-scale l of the inputs, beside kappa.

    s1' = s2,  s2' = -sin s1 + u(t),  s(0) = 0,  t in [0, 1];  u from a Gaussian process with length-scale l

For a system with Lipschitz constant c, |G u - G u_m| <= c T kappa exp(c T), where u_m interpolates u linearly between
m equispaced sensors and kappa(m, l) = max |u - u_m|, of the order 1 / (m^2 l^2). For the pendulum c = 1 in the maximum
norm. Four errors of the angle on 1000 test functions for every m and l:

    interpolated  the reference solver fed with u_m: what the bound speaks of
    linear        linear least squares from the m values to the trajectory
    DeepONet      ReLU, branch [m, 40, 40], trunk [1, 40, 40, 40], Adam at 1e-3, 4000 steps on the whole batch
    kappa         measured on the same functions

1000 training functions with their angle at 50 times. Published for l = 0.2 (recalled): the mean squared error falls
like 4.6^-m until it levels off; the sensors needed for an accuracy grow like 1 / l. Gates: kappa falls with the powers
-2 of m and of l, within 0.2; the bound holds everywhere; the DeepONet needs sensors in proportion to 1 / l, at a slope
within 0.35 of -1.

    python benchmarks/deeponet/sensors.py
"""

import math
from itertools import pairwise, takewhile
from typing import Any

import numpy as np
import torch
from common import Results, arguments, compared, errors, geometric_mean, operator_dataset, slope, train
from torch import Tensor

from sciml.data import Dataset, aligned_split
from sciml.operators import deeponet
from sciml.problems import Pendulum
from sciml.spaces.random import PiecewisePolynomials, RandomFunctions
from sciml.tasks import linear_baseline

STEPS, TRAIN, TEST, TIMES = 4000, 1000, 1000, 50
SENSORS = (2, 3, 4, 5, 7, 10, 15, 25, 50, 100)
LENGTH_SCALES = (0.1, 0.2, 0.5, 1.0)
# Root mean square of the error for which the needed sensors are counted; the angle's own is 0.2 to 0.3.
ACCURACY = 1e-2


def equispaced(num: int) -> Tensor:
    return torch.linspace(0, 1, num, dtype=torch.float64)


def interpolated(functions: RandomFunctions, sensors: int) -> PiecewisePolynomials:
    """The functions, linear between equispaced sensors."""
    nodes = equispaced(sensors)
    values = functions(nodes)
    slopes = values.diff() / nodes.diff()
    return PiecewisePolynomials(nodes, torch.stack([slopes, values[:, :-1]], -1))


class Problem:
    """The pendulum with inputs of one length-scale: training and test functions, and their trajectories."""

    def __init__(self, length_scale: float) -> None:
        self.pendulum = Pendulum(length_scale=length_scale)
        self.functions = self.pendulum.sampler().sample(TRAIN + TEST, seed=0)
        self.test = self.functions[TRAIN:]
        self.target = self.solve(self.functions)

    def solve(self, functions: RandomFunctions) -> Tensor:
        return self.pendulum.solve(functions, equispaced(TIMES))

    def dataset(self, sensors: int) -> Dataset:
        whole = aligned_split(self.functions(equispaced(sensors)), equispaced(TIMES), self.target)
        return operator_dataset({"train": whole.select(slice(0, TRAIN)), "test": whole.select(slice(TRAIN, None))})

    def bound(self, sensors: int) -> dict[str, float]:
        """kappa, and what it does to the trajectories."""
        fine = equispaced(1001)
        linear = interpolated(self.test, sensors)
        kappa = (self.test(fine) - linear(fine)).abs().max().item()
        error = self.solve(linear) - self.target[TRAIN:]
        return {
            "kappa": kappa,
            "interpolated_rmse": error.square().mean().sqrt().item(),
            "interpolated_max": error.abs().max().item(),
            "bound": math.e * kappa,
            "target_rms": self.target[TRAIN:].square().mean().sqrt().item(),
        }

    def linear(self, sensors: int) -> dict[str, float]:
        data = self.dataset(sensors)
        return compared(linear_baseline(data, "u")(data["test"]), data["test"])

    def network(self, sensors: int, seed: int, steps: int) -> dict[str, float]:
        data = self.dataset(sensors)
        torch.manual_seed(seed)
        model = deeponet(sensors=sensors, modes=40, branch=[40], trunk=[40, 40])
        trainer = train(model, data, steps, seed=seed)
        return errors(trainer, model, data.train, "train") | errors(trainer, model, data["test"])


def needed(values: dict[int, float], accuracy: float = ACCURACY) -> float | None:
    """Sensors at which the error first reaches an accuracy, interpolated on logarithmic axes; None if it never does."""
    pairs = sorted(values.items())
    for (m, above), (n, below) in pairwise(pairs):
        if above > accuracy >= below:
            share = math.log(above / accuracy) / math.log(above / below)
            return m * (n / m) ** share
    return None


def powers(kappa: dict[tuple[float, int], float]) -> tuple[float, float]:
    """Exponents of m - 1 and l in kappa where sensors are closer than half a length-scale, by least squares."""
    points = [(scale, m, value) for (scale, m), value in kappa.items() if (m - 1) * scale >= 2]
    matrix = torch.tensor([[1.0, math.log(m - 1), math.log(scale)] for scale, m, _ in points], dtype=torch.float64)
    logs = torch.tensor([math.log(value) for *_, value in points], dtype=torch.float64)
    solution = torch.linalg.lstsq(matrix, logs[:, None]).solution[:, 0]
    return solution[1].item(), solution[2].item()


def decay(values: dict[int, float]) -> float | None:
    """Factor by which the mean squared error falls with one more sensor, until it comes near its least value."""
    floor = 2 * min(values.values())
    falling = [(m, 2 * math.log(value)) for m, value in takewhile(lambda pair: pair[1] > floor, sorted(values.items()))]
    return math.exp(-np.polyfit(*zip(*falling, strict=True), 1)[0]) if len(falling) > 2 else None


def summarise(rows: dict[str, dict[tuple[float, int], float]]) -> dict[str, dict[str, Any]]:
    """Sensors needed by length-scale for each error, how they grow with it, and how fast errors fall."""
    summary: dict[str, dict[str, Any]] = {}
    for name, values in rows.items():
        counts = {
            scale: needed({m: v for (other, m), v in values.items() if other == scale}) for scale in LENGTH_SCALES
        }
        known = {scale: count for scale, count in counts.items() if count is not None}
        fitted = slope(list(known), list(known.values())) if len(known) > 1 else None
        summary[name] = {"needed": counts, "slope": fitted}
        if name in ("linear", "net"):  # the others fall like powers
            summary[name]["mse_falls_per_sensor"] = {
                scale: decay({m: v for (other, m), v in values.items() if other == scale}) for scale in LENGTH_SCALES
            }
    return summary


def main() -> int:
    """Run what is missing, print, conclude."""
    options = arguments(__doc__)
    steps = 20 if options.smoke else STEPS
    results = Results("deeponet_sensors", options.smoke)
    rows: dict[str, dict[tuple[float, int], float]] = {name: {} for name in ("kappa", "interpolated", "linear", "net")}
    excess = 0.0
    for scale in LENGTH_SCALES:
        problem = Problem(scale)
        for m in SENSORS:
            at = f"l = {scale}, {m} sensors"
            row = results.row(f"{at}, interpolation", lambda p=problem, m=m: p.bound(m))
            rows["kappa"][scale, m], rows["interpolated"][scale, m] = row["kappa"], row["interpolated_rmse"]
            excess = max(excess, row["interpolated_max"] / row["bound"])
            linear = results.row(f"{at}, linear least squares", lambda p=problem, m=m: p.linear(m))
            rows["linear"][scale, m] = linear["test_mse"] ** 0.5
            nets = [
                results.row(f"{at}, DeepONet, seed {s}", lambda p=problem, m=m, s=s: p.network(m, s, steps))
                for s in options.seeds
            ]
            rows["net"][scale, m] = geometric_mean([net["test_mse"] for net in nets]) ** 0.5
    in_m, in_l = powers(rows["kappa"])
    counts = summarise(rows)
    table = {
        name: {f"l = {scale}, {m} sensors": v for (scale, m), v in values.items()} for name, values in rows.items()
    }
    summary = {"rmse": table, "kappa_powers": {"m": in_m, "l": in_l}, "sensors": counts, "accuracy": ACCURACY}
    grown = counts["net"]["slope"]
    gates = {
        f"kappa falls with the powers {in_m:.2f} of m and {in_l:.2f} of l": max(abs(in_m + 2), abs(in_l + 2)) <= 0.2,
        f"largest error over bound {excess:.3f} (at most 1)": excess <= 1,
        f"sensors needed, slope over l {grown} (-1)": grown is not None and abs(grown + 1) <= 0.35,
    }
    return results.conclude(summary, gates)


if __name__ == "__main__":
    raise SystemExit(main())
