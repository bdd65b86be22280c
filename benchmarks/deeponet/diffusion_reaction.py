"""Diffusion-reaction: error against the number of training functions, and against the points taken from each.

    s_t = 0.01 s_xx + 0.01 s^2 + u(x) on (0, 1), zero at the start and at both ends;  u from a Gaussian process, l = 0.2

u at 100 sensors; of every training solution P points at random, others for every function, of a grid of 100 x 100. ReLU
networks of width 100, branch [100, 100, 100], trunk [2, 100, 100, 100]. Lu, Jin, Karniadakis (2019) take 500 000 steps
of Adam on the whole batch; here it takes 5000 at 1e-3 on 2000 rows, the functions in turn, with a rate falling along a
cosine. 100 test functions at all points of the grid. Published (recalled, no figures): the error falls exponentially,
then like a power, in the number of functions and in P. The operator is nearly linear: least squares on the whole
solutions of as many functions is printed beside. Gates: the error falls with the number of functions, at a slope of the
mean squared error of at most -0.8, and with P, slope over 3 to 100 points likewise.

    python benchmarks/deeponet/diffusion_reaction.py
"""

import torch
from common import Results, arguments, compared, errors, geometric_mean, operator_dataset, slope, train

from sciml.data import Dataset, Split, aligned_split, ragged_split
from sciml.operators import deeponet
from sciml.problems import DiffusionReaction
from sciml.spaces import RegularGrid
from sciml.tasks import linear_baseline

STEPS, TEST, GRID, WIDTH, ROWS = 5000, 100, 100, 100, 2000
FUNCTIONS, POINTS = (12, 25, 50, 100, 200, 400), (1, 3, 10, 30, 100)
FIXED_POINTS, FIXED_FUNCTIONS = 100, 200


def rows_of(whole: Split, functions: int, points: int, seed: int) -> Split:
    """Random points of the first functions, the first ones of the same order whatever their number."""
    u, y, coords = whole["u"][:functions], whole["y"][:functions], whole["coords"]
    generator = torch.Generator().manual_seed(seed)
    index = torch.stack([torch.randperm(len(coords), generator=generator)[:points] for _ in range(functions)])
    return ragged_split(u, list(coords[index]), list(y.gather(1, index)))


def main() -> int:
    """Run what is missing, print, conclude."""
    options = arguments(__doc__)
    steps = 10 if options.smoke else STEPS
    results = Results("deeponet_diffusion_reaction", options.smoke)
    made = DiffusionReaction().generate(max(FUNCTIONS) + TEST, seed=0, resolution=GRID)
    grid = RegularGrid((GRID, GRID), ((0.0, 1.0), (0.0, 1.0)))
    whole = aligned_split(made["u"], grid.points, made["s"].reshape(len(made), -1))
    train_split, test = whole.select(slice(0, max(FUNCTIONS))), whole.select(slice(max(FUNCTIONS), None))

    def least_squares(functions: int) -> dict[str, float]:
        data = operator_dataset({"train": train_split.select(slice(0, functions))})
        return compared(linear_baseline(data, "u")(test), test)

    def run(functions: int, points: int, seed: int) -> dict[str, float]:
        part = rows_of(train_split, functions, points, seed)
        data: Dataset = operator_dataset({"train": part, "test": test})
        torch.manual_seed(seed)
        model = deeponet(sensors=GRID, dim=2, modes=WIDTH, branch=[WIDTH], trunk=[WIDTH, WIDTH])
        batch = min(functions, max(1, ROWS // points))
        trainer = train(model, data, steps, seed=seed, batch_size=batch, scheduler={"name": "cosine"})
        return errors(trainer, model, part, "train") | errors(trainer, model, test)

    linear = {
        n: results.row(f"linear least squares, {n} functions, whole solutions", lambda n=n: least_squares(n))
        for n in FUNCTIONS
    }
    jobs = [(n, FIXED_POINTS) for n in FUNCTIONS] + [(FIXED_FUNCTIONS, p) for p in POINTS if p != FIXED_POINTS]
    table: dict[tuple[int, int], list[float]] = {}
    for seed in options.seeds:
        for n, p in jobs:
            row = results.row(
                f"DeepONet, {n} functions, {p} points, seed {seed}", lambda n=n, p=p, s=seed: run(n, p, s)
            )
            table.setdefault((n, p), []).append(row["test_mse"])
    means = {key: geometric_mean(values) for key, values in table.items()}
    in_functions = [means[n, FIXED_POINTS] for n in FUNCTIONS]
    in_points = [means[FIXED_FUNCTIONS, p] for p in POINTS]
    slopes = slope(FUNCTIONS, in_functions), slope(POINTS[1:], in_points[1:])
    summary = {
        "test_mse": {f"{n} functions, {p} points": value for (n, p), value in means.items()},
        "linear_test_mse": {f"{n} functions": row["test_mse"] for n, row in linear.items()},
        "slope_over_functions": slopes[0],
        "slope_over_points": slopes[1],
    }
    return results.conclude(
        summary,
        {
            f"slope over functions {slopes[0]:.2f} (at most -0.8)": slopes[0] <= -0.8,
            f"slope over points {slopes[1]:.2f} (at most -0.8)": slopes[1] <= -0.8,
        },
    )


if __name__ == "__main__":
    raise SystemExit(main())
