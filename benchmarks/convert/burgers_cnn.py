"""A CNN trained on 64 points of Burgers' equation, used on up to 512: plain, converted, and between interpolations.

    u_t + (u^2 / 2)_x = 0.05 u_xx on [0, 1), periodic, from u(0) to u(0.1)

Initial states with 24 modes, 256 functions for training, 64 for testing; four circular convolutions with 7 taps, width
32, GELU; 400 steps of Adam at 64 points. The same weights are then evaluated at 64, 128, 256 and 512 points.
Gates, for every seed: hat and stencil within 1.3 times the error at 64 points everywhere; the plain network at least 5
times worse at 256.

    python benchmarks/convert/burgers_cnn.py
"""

import statistics

import torch
from common import CNN, Results, arguments, dataset, evaluate, train

from sciml.data import grid_split
from sciml.operators.convert import InterpolationWrapper, to_operator
from sciml.problems import Burgers
from sciml.spaces import RegularGrid

TRAIN, TEST, STEPS, SIZES = 256, 64, 400, (64, 128, 256, 512)


def line(n: int) -> RegularGrid:
    """``n`` points of the period."""
    return RegularGrid(shape=(n,), bounds=((0.0, 1.0),), periodic=True)


def main() -> int:
    """Run what is missing, print, conclude."""
    options = arguments(__doc__)
    results = Results("convert_burgers_cnn", options.smoke)
    data = Burgers(nu=0.05, duration=0.1, modes=24).generate(TRAIN + TEST, seed=0, resolution=SIZES[-1])
    u0, u = (torch.from_numpy(data[name]).float() for name in ("u0", "u"))
    pairs = {n: (u0[:, :: SIZES[-1] // n], u[:, :: SIZES[-1] // n]) for n in SIZES}
    splits = {n: grid_split(*(f[TRAIN:] for f in pairs[n]), line(n)) for n in SIZES}

    def run(seed: int) -> dict[str, float]:
        torch.manual_seed(seed)
        network = CNN()
        trainer = train(network, dataset(*pairs[64], line(64), TRAIN), 20 if options.smoke else STEPS, seed=seed)
        models = {form: to_operator(network, line(64), conv=form) for form in ("hat", "cubic", "stencil", "spectral")}
        wrappers = {f"wrapper, {how}": InterpolationWrapper(network, line(64), how) for how in ("linear", "fourier")}
        return evaluate(trainer, {"plain": network, **models, **wrappers}, splits)

    rows = [results.row(f"seed {seed}", lambda s=seed: run(s)) for seed in options.seeds]
    keys = [key for key in rows[0] if key != "seconds"]
    summary = {key: {"mean": statistics.mean(r[key] for r in rows), "values": [r[key] for r in rows]} for key in keys}
    gates = {
        f"{form} within 1.3 of the error at 64 points": all(
            row[f"{form} {n}"] <= 1.3 * row["plain 64"] for row in rows for n in SIZES
        )
        for form in ("hat", "cubic", "stencil")
    }
    gates["plain at least 5 times worse at 256"] = all(row["plain 256"] >= 5 * row["plain 64"] for row in rows)
    for form in dict.fromkeys(key.rpartition(" ")[0] for key in keys):
        print(f"{form:20s}" + "  ".join(f"{summary[f'{form} {n}']['mean']:.4f}" for n in SIZES))
    return results.conclude(summary, gates)


if __name__ == "__main__":
    raise SystemExit(main())
