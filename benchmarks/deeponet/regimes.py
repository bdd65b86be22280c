"""Error against training size for networks of three widths: exponential for small sets, then algebraic?

The pendulum as in pendulum.py, one random time a function, Adam at 1e-3, 4000 steps on the whole batch; branch
[100, w, w], trunk [1, w, w, w] of width w, 20 to 2560 training functions, other ones for every seed, 10 000 test
functions. Published (recalled, no figures): the error falls exponentially while the set is small, then like a power,
and wider networks turn later. For every width four curves are fitted to the logarithms of the mean over the seeds:

    power                        log E = a + b log n                                    2 parameters
    exponential                  log E = a + b n                                        2 parameters
    power, then power            both by least squares, at the best of all breaks       5 parameters
    exponential, then power      the same                                               5 parameters

Their residuals (root mean square of log E) and corrected Akaike criteria say which the measurements prefer; power and
exponential are fitted to the sets of up to 160 functions alone as well. Rows of one time each have no linear least
squares between functions to print beside; on whole trajectories it has a relative error of 6e-4.
Gates: for every width, exponential-then-power is preferred to one power, and to two powers; the power of the large sets
is at most -0.8.

    python benchmarks/deeponet/regimes.py
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from common import Results, arguments, errors, geometric_mean, operator_dataset, train, triplets

from sciml.operators import deeponet
from sciml.problems import Pendulum

SENSORS, STEPS, TEST = 100, 4000, 10_000
WIDTHS = (10, 40, 100)
SIZES = (20, 40, 60, 80, 120, 160, 240, 320, 640, 1280, 2560)
LEAST = 3  # sizes on either side of a break
SMALL = 160  # largest set of those that are also fitted alone


def line(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
    """Slope and intercept, and the sum of squared residuals."""
    coefficients = np.polyfit(x, y, 1)
    return coefficients, float(np.square(y - np.polyval(coefficients, x)).sum())


def fits(sizes: Sequence[int], values: Sequence[float]) -> dict[str, dict[str, Any]]:
    """The four curves, with residual and corrected Akaike criterion."""
    n, y = np.array(sizes, dtype=float), np.log(values)
    result: dict[str, dict[str, Any]] = {}

    def add(name: str, parameters: int, squares: float, **found: Any) -> None:
        count = len(n)
        criterion = count * math.log(squares / count) + 2 * parameters
        criterion += 2 * parameters * (parameters + 1) / (count - parameters - 1)
        result[name] = {"residual": math.sqrt(squares / count), "aicc": criterion, **found}

    for name, x in (("power", np.log(n)), ("exponential", n)):
        coefficients, squares = line(x, y)
        few = n <= SMALL
        small, left_over = line(x[few], y[few])
        alone = {"rate": small[0], "residual": math.sqrt(left_over / few.sum())}
        add(name, 2, squares, rate=coefficients[0], small_sets=alone)
        pairs = []
        for split in range(LEAST, len(n) - LEAST + 1):
            left, first = line(x[:split], y[:split])
            right, second = line(np.log(n[split:]), y[split:])
            pairs.append((first + second, split, left[0], right[0], first, second))
        best = min(pairs)
        add(
            f"{name}, then power",
            5,
            best[0],
            turn=[sizes[best[1] - 1], sizes[best[1]]],
            rates=[best[2], best[3]],
            residuals=[math.sqrt(best[4] / best[1]), math.sqrt(best[5] / (len(n) - best[1]))],
        )
    return result


def main() -> int:
    """Run what is missing, print, conclude."""
    options = arguments(__doc__)
    steps = 20 if options.smoke else STEPS
    results = Results("deeponet_regimes", options.smoke)
    problem = Pendulum()
    # The test functions have a seed of their own.
    test = triplets(problem.generate(TEST, seed=1000, resolution=SENSORS, queries=1))
    pools = {s: triplets(problem.generate(max(SIZES), seed=s, resolution=SENSORS, queries=1)) for s in options.seeds}

    def run(width: int, functions: int, seed: int) -> dict[str, float]:
        data = operator_dataset({"train": pools[seed].select(slice(0, functions)), "test": test})
        torch.manual_seed(seed)
        model = deeponet(sensors=SENSORS, modes=width, branch=[width], trunk=[width, width])
        trainer = train(model, data, steps, seed=seed)
        return errors(trainer, model, data.train, "train") | errors(trainer, model, test)

    rows: dict[tuple[int, int], list[float]] = {}
    for seed in options.seeds:
        for width in WIDTHS:
            for size in SIZES:
                row = results.row(
                    f"width {width}, {size} functions, seed {seed}", lambda w=width, n=size, s=seed: run(w, n, s)
                )
                rows.setdefault((width, size), []).append(row["test_mse"])
    curves = {width: [geometric_mean(rows[width, size]) for size in SIZES] for width in WIDTHS}
    found = {width: fits(SIZES, curve) for width, curve in curves.items()}
    gates: dict[str, bool] = {}
    for width, curve in found.items():
        two, power, powers = (curve[k] for k in ("exponential, then power", "power", "power, then power"))
        ours, last = two["aicc"], two["rates"][1]
        gates[f"width {width}: aicc {ours:.1f}, below that of one power, {power['aicc']:.1f}"] = ours < power["aicc"]
        gates[f"width {width}: and below that of two powers, {powers['aicc']:.1f}"] = ours < powers["aicc"]
        gates[f"width {width}: power of the large sets {last:.2f} (at most -0.8)"] = last <= -0.8
    summary = {
        "sizes": SIZES,
        "test_mse": {str(width): curve for width, curve in curves.items()},
        "fits": {str(width): curve for width, curve in found.items()},
    }
    return results.conclude(summary, gates)


if __name__ == "__main__":
    raise SystemExit(main())
