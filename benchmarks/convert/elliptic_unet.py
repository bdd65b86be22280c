"""U-Nets trained on 32 x 32 points of an elliptic problem, used at 64 and 128: plain, converted, or wrapped.

    (I - 0.01 Laplace) u = f on the periodic unit square

512 forcings for training, 64 for testing; width 8, two levels, circular padding; 600 steps of Adam at 32 x 32. One
network goes up by transposed convolutions of stride 2, the other by bilinear interpolation. The latter, plain and as an
operator with cubic kernels, is also trained from the start on samples at 32 x 32 and at 64 x 64, in as many steps.
Gates, for every seed: the converted net within 1.3 times the error at 32 x 32; the plain net at least 5 times worse at
128.

Where all levels are refined with the input, hats miss the gate: on the lower levels, whose points are an eighth of the
period apart, they blur what the network read as values at points. Cubic kernels do not. A transposed convolution gives
different answers at even and odd points; what the network makes of that pattern has no limit and is averaged away.
Latent: the lower levels stay on the lattices of the training, and neither happens.

    python benchmarks/convert/elliptic_unet.py
"""

import math
import statistics
from itertools import product

import torch
from common import Results, UNet, arguments, dataset, evaluate, train
from torch import Tensor, nn

from sciml.data import grid_split, operator_dataset
from sciml.operators.convert import InterpolationWrapper, to_operator
from sciml.spaces import RegularGrid
from sciml.spaces.random import SpectralGRF

TRAIN, TEST, STEPS, SIZES = 512, 64, 600, (32, 64, 128)


def plane(n: int) -> RegularGrid:
    """``n x n`` points of the period."""
    return RegularGrid(shape=(n, n), bounds=((0.0, 1.0),) * 2, periodic=True)


def solution(f: Tensor) -> Tensor:
    """Solutions of the equation by Fourier series, exact for what the grid holds."""
    n = f.shape[-1]
    k = 2 * math.pi * torch.fft.fftfreq(n, 1 / n, dtype=torch.float64)
    half = 2 * math.pi * torch.arange(n // 2 + 1, dtype=torch.float64)
    spectrum = torch.fft.rfft2(f) / (1 + 0.01 * (k[:, None] ** 2 + half**2))
    return torch.fft.irfft2(spectrum, s=(n, n))


def main() -> int:
    """Run what is missing, print, conclude."""
    options = arguments(__doc__)
    results = Results("convert_elliptic_unet", options.smoke)
    sampler = SpectralGRF(gamma=2.5, tau=7.0, dim=2, modes=12)
    fine = sampler.sample(TRAIN + TEST, seed=0).on(plane(SIZES[-1])).values[:, 0]
    fine = fine / fine.std()
    answer = solution(fine)
    pairs = {
        n: (fine[:, :: SIZES[-1] // n, :: SIZES[-1] // n], answer[:, :: SIZES[-1] // n, :: SIZES[-1] // n])
        for n in SIZES
    }
    splits = {n: grid_split(*(f[TRAIN:] for f in pairs[n]), plane(n)) for n in SIZES}

    def run(transposed: bool, seed: int) -> dict[str, float]:
        torch.manual_seed(seed)
        network = UNet(transposed=transposed)
        steps = 10 if options.smoke else STEPS
        trainer = train(network, dataset(*pairs[32], plane(32), TRAIN), steps, seed=seed, batch_size=32)
        models = {
            form if resolution == "follow" else f"{form}, {resolution}": to_operator(
                network, plane(32), conv=form, resolution=resolution
            )
            for form, resolution in product(("hat", "cubic", "stencil"), ("follow", "latent"))
        }
        wrappers = {f"wrapper, {how}": InterpolationWrapper(network, plane(32), how) for how in ("linear", "fourier")}
        return evaluate(trainer, {"plain": network, **models, **wrappers}, splits)

    def several(conv: str | None, seed: int) -> dict[str, float]:
        torch.manual_seed(seed)
        network: nn.Module = UNet(transposed=False)
        model = to_operator(network, plane(32), conv=conv) if conv else network
        parts = {f"train_{n}": grid_split(*(f[:TRAIN] for f in pairs[n]), plane(n)) for n in (32, 64)}
        steps = 10 if options.smoke else STEPS
        trainer = train(model, operator_dataset(parts), steps, seed=seed, batch_size=32)
        return evaluate(trainer, {"plain" if conv is None else conv: model}, splits)

    summary: dict[str, object] = {}
    gates: dict[str, bool] = {}
    for name, transposed in (("transposed", True), ("interpolated", False)):
        rows = [results.row(f"{name}, seed {s}", lambda t=transposed, s=s: run(t, s)) for s in options.seeds]
        for form in dict.fromkeys(key.rpartition(" ")[0] for key in rows[0] if key != "seconds"):
            means = [statistics.mean(row[f"{form} {n}"] for row in rows) for n in SIZES]
            summary[f"{name}, {form}"] = dict(zip(map(str, SIZES), means, strict=True))
            print(f"{name}, {form:20s}" + "  ".join(f"{value:.4f}" for value in means))
        for form in ("hat", "cubic", "hat, latent", "cubic, latent"):
            gates[f"{name}, {form} within 1.3 of the error at 32 x 32"] = all(
                row[f"{form} {n}"] <= 1.3 * row["plain 32"] for row in rows for n in SIZES
            )
        gates[f"{name}, plain at least 5 times worse at 128"] = all(
            row["plain 128"] >= 5 * row["plain 32"] for row in rows
        )
    for conv in (None, "cubic"):
        form = conv or "plain"
        rows = [
            results.row(f"trained at 32 and 64, {form}, seed {s}", lambda c=conv, s=s: several(c, s))
            for s in options.seeds
        ]
        means = {str(n): statistics.mean(row[f"{form} {n}"] for row in rows) for n in SIZES}
        summary[f"trained at 32 and 64, {form}"] = means
    return results.conclude(summary, gates)


if __name__ == "__main__":
    raise SystemExit(main())
