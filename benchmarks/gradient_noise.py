"""Gradient noise on a deep plain network: 20 ReLU layers of width 50 on the 8 x 8 digits of scikit-learn.

The experiment of Neelakantan et al. (2015), section 3.1, on a smaller data set: weights from N(0, 0.1^2) let the signal
vanish and the network stays at chance; annealed noise on the gradient walks the weights to where signals keep their
size, and training begins. Weights that are all zero never move without noise. A network with good initial weights gains
nothing. All seeds train side by side as one model with a leading axis; clipping and data order are those of each seed.

    OMP_NUM_THREADS=1 python benchmarks/gradient_noise.py
"""

import argparse
import json
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

import sciml
from sciml.methods import add_gradient_noise_, gradient_noise_std

DEPTH, WIDTH, CLASSES = 20, 50, 10
NUM_TRAIN, BATCH, CLIP_NORM = 1400, 32, 10.0
GAMMA = 0.55
OUT = Path(__file__).parent / "results" / "gradient_noise.json"


@dataclass(frozen=True)
class Case:
    """One setting: how the weights begin, how much noise, and the learning rate."""

    init: str
    eta: float
    lr: float = 0.05

    @property
    def name(self) -> str:
        return f"{self.init} init, eta {self.eta:g}, lr {self.lr:g}"


CASES = [
    Case("simple", 0.0),
    Case("simple", 0.1),
    Case("zero", 0.0),
    Case("zero", 0.1),
    Case("good", 0.0),
    Case("good", 0.01),
    Case("good", 0.3, lr=0.1),
]


def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Standardised training and test images with labels; pixels that never change stay zero."""
    images, labels = (torch.from_numpy(a) for a in load_digits(return_X_y=True))
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    images, labels = images[order], labels[order].long()
    train = images[:NUM_TRAIN]
    std = train.std(0)
    images = ((images - train.mean(0)) / torch.where(std > 0, std, 1.0)).float()
    return images[:NUM_TRAIN], labels[:NUM_TRAIN], images[NUM_TRAIN:], labels[NUM_TRAIN:]


INITS: dict[str, Callable[[int], float]] = {
    "simple": lambda fan_in: 0.1,
    "zero": lambda fan_in: 0.0,
    "good": lambda fan_in: (2 / fan_in) ** 0.5,  # He et al.: keeps the size of signals through ReLU layers
}


def weights(init: str, in_features: int, seeds: int) -> list[nn.Parameter]:
    """Weights ``(seeds, in, out)`` and zero biases ``(seeds, 1, out)`` in turn; the numbers of a seed are its own."""
    sizes = [in_features] + [WIDTH] * DEPTH + [CLASSES]
    generators = [torch.Generator().manual_seed(seed) for seed in range(seeds)]
    result = []
    for fan_in, fan_out in pairwise(sizes):
        scale = INITS[init](fan_in)
        result.append(
            nn.Parameter(torch.stack([torch.randn(fan_in, fan_out, generator=g) * scale for g in generators]))
        )
        result.append(nn.Parameter(torch.zeros(seeds, 1, fan_out)))
    return result


def forward(params: list[nn.Parameter], x: Tensor) -> Tensor:
    """Images ``(seeds, batch, pixels)`` to scores ``(seeds, batch, classes)``."""
    for weight, bias in zip(params[:-2:2], params[1:-2:2], strict=True):
        x = torch.baddbmm(bias, x, weight).relu()
    return torch.baddbmm(params[-1], x, params[-2])


def clip_each_seed_(params: list[nn.Parameter], max_norm: float) -> None:
    """``clip_grad_norm_`` for every seed on its own."""
    grads = [p.grad for p in params if p.grad is not None]
    norm = torch.stack([g.flatten(1).square().sum(1) for g in grads]).sum(0).sqrt()
    scale = (max_norm / (norm + 1e-6)).clamp(max=1.0)
    torch._foreach_mul_(grads, [scale.view(-1, 1, 1)] * len(grads))


def accuracy(params: list[nn.Parameter], x: Tensor, y: Tensor) -> list[float]:
    """Share of correct answers of each seed, in per cent."""
    with torch.no_grad():
        scores = forward(params, x.expand(params[0].shape[0], -1, -1))
    return (scores.argmax(-1) == y).float().mean(1).mul(100).tolist()


def run(case: Case, seeds: int, steps: int) -> dict[str, Any]:
    """Train all seeds of one case."""
    x, y, x_test, y_test = digits()
    params = weights(case.init, x.shape[1], seeds)
    hidden = params[:-2:2]
    start = [p.detach().clone() for p in hidden]
    optimizer = torch.optim.SGD(params, lr=case.lr)
    orders = [torch.Generator().manual_seed(1000 + seed) for seed in range(seeds)]
    noise = torch.Generator().manual_seed(2000)
    largest_hidden_gradient = torch.zeros(())
    curve = []
    begin = time.perf_counter()
    for step in range(steps):
        index = torch.stack([torch.randint(len(x), (BATCH,), generator=g) for g in orders])
        # The sum over seeds of the mean over the batch: the gradient of a seed is that of training it alone.
        loss = nn.functional.cross_entropy(forward(params, x[index]).flatten(0, 1), y[index].flatten()) * seeds
        optimizer.zero_grad()
        loss.backward()
        if case.init == "zero":
            norms = torch._foreach_norm([p.grad for p in hidden if p.grad is not None])
            largest_hidden_gradient = torch.maximum(largest_hidden_gradient, torch.stack(norms).max())
        clip_each_seed_(params, CLIP_NORM)
        add_gradient_noise_(params, step, case.eta, GAMMA, noise)
        optimizer.step()
        if (step + 1) % max(steps // 6, 1) == 0:
            curve.append({"step": step + 1, "test_accuracy": accuracy(params, x_test, y_test)})
    seconds = time.perf_counter() - begin
    test = accuracy(params, x_test, y_test)
    hidden_rms = torch.stack([p.detach().square().mean((1, 2)) for p in hidden]).mean(0).sqrt().tolist()
    return {
        **asdict(case),
        "gamma": GAMMA,
        "std_first_last": [gradient_noise_std(0, case.eta, GAMMA), gradient_noise_std(steps - 1, case.eta, GAMMA)],
        "test_accuracy": test,
        "mean": float(np.mean(test)),
        "std_over_seeds": float(np.std(test, ddof=1)) if seeds > 1 else None,
        "train_accuracy": accuracy(params, x, y),
        "hidden_weights_moved": bool(any(not torch.equal(a, b) for a, b in zip(hidden, start, strict=True))),
        "largest_hidden_gradient_norm": float(largest_hidden_gradient) if case.init == "zero" else None,
        "hidden_weight_rms": hidden_rms,
        "curve": curve,
        "seconds": round(seconds, 1),
    }


def verdicts(cases: dict[str, dict[str, Any]]) -> dict[str, bool]:
    """The claims, as far as their cases have run."""
    claims: dict[str, tuple[list[Case], Callable[..., bool]]] = {
        "simple init without noise stays at chance (mean < 15 %)": ([CASES[0]], lambda a: a["mean"] < 15),
        "simple init with noise learns (mean > 85 %)": ([CASES[1]], lambda a: a["mean"] > 85),
        "zero init without noise: hidden gradients are exactly zero at every step": (
            [CASES[2]],
            lambda a: a["largest_hidden_gradient_norm"] == 0.0 and not a["hidden_weights_moved"],
        ),
        "zero init with noise: hidden weights move": ([CASES[3]], lambda a: a["hidden_weights_moved"]),
        "good init: noise changes the mean by less than 3 points": (
            [CASES[4], CASES[5]],
            lambda a, b: abs(a["mean"] - b["mean"]) < 3,
        ),
        "good init, too large eta and lr: chance (mean < 15 %)": ([CASES[6]], lambda a: a["mean"] < 15),
    }
    return {
        claim: test(*(cases[case.name] for case in needed))
        for claim, (needed, test) in claims.items()
        if all(case.name in cases for case in needed)
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=4, help="runs of every case")
    parser.add_argument("--steps", type=int, default=6000, help="optimizer steps")
    parser.add_argument("--out", type=Path, default=OUT, help="JSON file, written after each case")
    args = parser.parse_args()
    torch.set_num_threads(1)
    results: dict[str, Any] = {
        "experiment": __doc__.splitlines()[0],
        "sizes": {
            "hidden_layers": DEPTH, "width": WIDTH, "train": NUM_TRAIN, "test": 397, "batch": BATCH,
            "clip_norm": CLIP_NORM, "steps": args.steps, "seeds": args.seeds, "threads": 1,
        },
        "versions": {
            "sciml": sciml.__version__, "torch": torch.__version__, "scikit-learn": sklearn.__version__,
            "python": platform.python_version(),
        },
        "cases": {},
        "claims": {},
    }  # fmt: skip
    args.out.parent.mkdir(parents=True, exist_ok=True)
    print(f"{'case':36s} {'mean':>6s} {'std':>5s}  {'test accuracy of each seed, %':32s} seconds")
    for case in CASES:
        row = run(case, args.seeds, args.steps)
        results["cases"][case.name] = row
        results["claims"] = verdicts(results["cases"])
        args.out.write_text(json.dumps(results, indent=2) + "\n")
        spread = "" if row["std_over_seeds"] is None else f"{row['std_over_seeds']:5.1f}"
        each = " ".join(f"{value:5.1f}" for value in row["test_accuracy"])
        print(f"{case.name:36s} {row['mean']:6.1f} {spread:>5s}  {each:32s} {row['seconds']:7.1f}", flush=True)
    for claim, holds in results["claims"].items():
        print(f"{'holds ' if holds else 'FAILS '} {claim}")
    return int(not all(results["claims"].values()))


if __name__ == "__main__":
    raise SystemExit(main())
