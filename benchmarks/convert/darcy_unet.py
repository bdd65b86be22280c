"""A U-Net trained on real Darcy samples at 16 x 16, used at 32 x 32: plain, wrapped, converted, beside an FNO.

1000 samples of the neuraloperator project for training, 50 for testing at both sizes. All networks see them 40 times,
with random symmetries of the square, and are trained alike: AdamW, one cycle of the rate, relative L2 + relative H1.
The U-Net has two levels, interpolates up, and reads the coordinates as further channels; the Fourier operator is that
of examples/darcy.yaml. Converted networks refine all levels with the input (no word), or keep the lower levels, whose
points are an eighth and a quarter of the square apart, on the lattices of the training (latent).

    python benchmarks/convert/darcy_unet.py
"""

import statistics
from itertools import product

import torch
from common import Results, UNet, arguments
from torch import Tensor, nn

from sciml import Trainer, load_dataset
from sciml.data import Split
from sciml.methods import GridSymmetry
from sciml.metrics import relative_l2
from sciml.nn import GridEmbedding
from sciml.operators import FNO
from sciml.operators.convert import InterpolationWrapper, to_operator
from sciml.tasks import OperatorRegression

SIZES = (16, 32)


class CoordinateUNet(UNet):
    """A U-Net that reads the coordinates as further channels."""

    def __init__(self) -> None:
        super().__init__(channels=3, width=24, mode="replicate", transposed=False)
        self.embed = GridEmbedding("left")

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.embed(x))


def fno() -> nn.Module:
    """The operator of the main example."""
    return FNO(in_channels=1, out_channels=1, modes=[8, 8], hidden_channels=24)


def main() -> int:
    """Run what is missing, print, conclude."""
    options = arguments(__doc__)
    results = Results("convert_darcy_unet", options.smoke)
    data = load_dataset("darcy-small")
    grid = data.train.grids["x"]
    tests: dict[int, Split] = {n: data[f"test_{n}"] for n in SIZES}

    def run(name: str, seed: int) -> dict[str, float]:
        torch.manual_seed(seed)
        network = CoordinateUNet() if name == "U-Net" else fno()
        trainer = Trainer(
            max_epochs=1 if options.smoke else 40, batch_size=32, progress=False, seed=seed, accelerator="cpu"
        )
        trainer.fit(
            network,
            data,
            OperatorRegression(loss="relative_l2+relative_h1"),
            [GridSymmetry(per_sample=True)],
            optimizer={"name": "adamw", "lr": RATES[name], "weight_decay": 1e-4},
            scheduler={"name": "onecycle", "max_lr": RATES[name], "pct_start": 0.1},
        )
        models: dict[str, nn.Module] = {name: network}
        if name == "U-Net":
            for form, resolution in product(("hat", "cubic", "stencil"), ("follow", "latent")):
                label = form if resolution == "follow" else f"{form}, {resolution}"
                models[label] = to_operator(network, grid, conv=form, resolution=resolution, channels=1)
            models |= {f"wrapper, {how}": InterpolationWrapper(network, grid, how) for how in ("linear", "cubic")}
        table = {"parameters": sum(p.numel() for p in network.parameters())}
        return table | {
            f"{label} {n}": relative_l2(trainer.predict(model, split), split["y"]).mean().item()
            for label, model in models.items()
            for n, split in tests.items()
        }

    summary = {}
    for name in RATES:
        rows = [results.row(f"{name}, seed {s}", lambda m=name, s=s: run(m, s)) for s in options.seeds]
        for key in rows[0]:
            if key not in ("seconds", "parameters"):
                values = [row[key] for row in rows]
                spread = statistics.stdev(values) if len(values) > 1 else None
                summary[key] = {"mean": statistics.mean(values), "std": spread}
                print(f"{key:24s}{summary[key]['mean']:.4f}  {spread or 0.0:.4f}")
    return results.conclude(summary, {})


RATES = {"U-Net": 2e-3, "FNO": 1e-2}

if __name__ == "__main__":
    raise SystemExit(main())
