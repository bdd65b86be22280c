"""The pendulum with an external force: DeepONet beside one network on (u, t), and error against training size.

    s1' = s2,  s2' = -sin s1 + u(t),  s(0) = 0,  t in [0, 1];  u from a Gaussian process with length-scale 0.2

Every function gives one training row at one random time. Adam at 1e-3, 4000 steps on the whole batch, mean squared
error. Gates: the DeepONet's test error is at least 20 times below that of the concatenated network at 1000 and at
10 000 functions, and falls with the number of functions, at a slope of at most -0.8.

    python benchmarks/deeponet/pendulum.py
"""

from itertools import pairwise

import torch
from common import ConcatNet, Results, arguments, errors, geometric_mean, operator_dataset, slope, train, triplets

from sciml.operators import deeponet
from sciml.problems import Pendulum

SENSORS, STEPS, TEST = 100, 4000, 10_000
SIZES = (250, 500, 1000, 2000, 4000)


def main() -> int:
    """Run what is missing, print, conclude."""
    options = arguments(__doc__)
    steps = 50 if options.smoke else STEPS
    results = Results("deeponet_pendulum", options.smoke)
    problem = Pendulum()
    # Test functions come from the same seed, behind all training functions.
    everything = triplets(problem.generate(10_000 + TEST, seed=0, resolution=SENSORS, queries=1))
    test = everything.select(slice(10_000, None))

    def run(kind: str, functions: int, seed: int) -> dict[str, float]:
        data = operator_dataset({"train": everything.select(slice(0, functions)), "test": test})
        torch.manual_seed(seed)
        if kind == "deeponet":
            model = deeponet(sensors=SENSORS, modes=40, branch=[40], trunk=[40, 40])
        else:
            model = ConcatNet(SENSORS + 1, 100, 100, 1)
        trainer = train(model, data, steps, seed=seed)
        return errors(trainer, model, data.train, "train") | errors(trainer, model, test)

    rows: dict[tuple[str, int], list[float]] = {}
    jobs = [("deeponet", size) for size in (*SIZES, 10_000)] + [("concatenated", 1000), ("concatenated", 10_000)]
    for seed in options.seeds:
        for kind, functions in jobs:
            row = results.row(
                f"{kind}, {functions} functions, seed {seed}", lambda k=kind, f=functions, s=seed: run(k, f, s)
            )
            rows.setdefault((kind, functions), []).append(row["test_mse"])
    means = {key: geometric_mean(values) for key, values in rows.items()}
    ratios = {size: means["concatenated", size] / means["deeponet", size] for size in (1000, 10_000)}
    curve = [means["deeponet", size] for size in SIZES]
    fitted = slope(SIZES, curve)
    summary = {
        "test_mse": {f"{kind}, {functions} functions": value for (kind, functions), value in means.items()},
        "concatenated_over_deeponet": ratios,
        "slope": fitted,
    }
    gates = {f"{ratio:.0f} times below at {size} functions (20)": ratio >= 20 for size, ratio in ratios.items()}
    gates["error falls monotonically"] = all(a > b for a, b in pairwise(curve))
    gates[f"slope {fitted:.2f} (at most -0.8)"] = fitted <= -0.8
    return results.conclude(summary, gates)


if __name__ == "__main__":
    raise SystemExit(main())
