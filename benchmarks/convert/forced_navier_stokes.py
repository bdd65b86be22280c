"""Random forcing to vorticity on the torus: networks and operators at four resolutions, trained at one or at several.

Re = 500, T = 5, forces from N(0, 27 (-Laplace + 9)^-4) (the set-up of Berner et al., 2025, whose models have 65 million
parameters and 10 000 samples). Here: about 0.4 million parameters, 400 functions for training, computed on 128 x 128
points; 30 for testing, computed on 256 x 256. Coarser grids are every second, fourth, eighth point. 600 steps of AdamW
at 1e-3 (weight decay 1e-4, one cycle) on 20 functions at 64 x 64, or on 80, 20 or 5 functions at 32, 64 or 128 with
several resolutions; relative L2. One seed. Settings were fixed before the first test; nothing was chosen.

Trained at 64: U-Net and ViT as they stand (ViT with interpolated positions, as is usual), converted, and between two
interpolations. Trained at several: as they stand, and converted before training.

    python benchmarks/convert/forced_navier_stokes.py
"""

from collections.abc import Mapping

import torch
from common import Results, arguments
from forced_models import MODELS, ViT
from torch import nn

from sciml.data import Dataset, Split, operator_dataset, problem_dataset, restrict_split
from sciml.metrics import relative_l2
from sciml.operators.convert import InterpolationWrapper, to_operator
from sciml.spaces import RegularGrid
from sciml.tasks import OperatorRegression
from sciml.train import Trainer

TRAIN, TEST, STEPS = 400, 30, 600
SIZES = (32, 64, 128, 256)


def splits(num: int, points: int, sizes: tuple[int, ...], start: str) -> dict[int, Split]:
    """Samples computed once, kept in the user's cache, and seen on coarser grids."""
    one = problem_dataset(
        "navier-stokes-forced",
        train=num if start == "train" else 1,
        test=num if start == "test" else 0,
        resolution=points,
        parameters={"points": points},
        layout="grid",
        workers=1,
    )
    whole = one[start]
    return {n: whole if n == points else restrict_split(whole, n) for n in sizes}


def train(model: nn.Module, data: Dataset, steps: int) -> Trainer:
    """One recipe for all."""
    trainer = Trainer(max_steps=steps, batch_size=20, progress=False, seed=0, accelerator="cpu")
    trainer.fit(
        model,
        data,
        OperatorRegression(),
        optimizer={"name": "adamw", "lr": 1e-3, "weight_decay": 1e-4},
        scheduler={"name": "onecycle", "max_lr": 2e-3},
    )
    return trainer


def forms(name: str, network: nn.Module, grid: RegularGrid) -> dict[str, nn.Module]:
    """The network as it stands, and what can be made of it."""
    if name == "ViT":
        plain = ViT()
        plain.load_state_dict(network.state_dict())
        return {
            "as it stands": network,
            "converted": to_operator(plain, grid),
            "between interpolations": InterpolationWrapper(network, grid, "fourier"),
        }
    if name == "U-Net":
        return {
            "as it stands": network,
            "converted, hat": to_operator(network, grid),
            "converted, cubic": to_operator(network, grid, conv="cubic"),
            "converted, cubic, latent": to_operator(network, grid, conv="cubic", resolution="latent"),
            "between interpolations": InterpolationWrapper(network, grid, "fourier"),
        }
    return {"as it stands": network}


def errors(trainer: Trainer, models: Mapping[str, nn.Module], tests: Mapping[int, Split]) -> dict[str, float]:
    """Mean relative L2 error of each at each resolution, a few functions at a time."""
    table = {}
    for label, model in models.items():
        for n, split in tests.items():
            parts = [split.select(slice(i, i + 5)) for i in range(0, len(split), 5)]
            found = torch.cat([relative_l2(trainer.predict(model, part), part["y"]) for part in parts])
            table[f"{label} {n}"] = found.mean().item()
    return table


def main() -> int:
    """Run what is missing, print, conclude."""
    options = arguments(__doc__)
    results = Results("convert_forced_navier_stokes", options.smoke)
    steps, num = (2, 8) if options.smoke else (STEPS, TRAIN)
    trains = splits(num, 128, (128, 64, 32), "train")
    tests = splits(5 if options.smoke else TEST, 256, SIZES, "test")
    grid = trains[64].grids["x"]
    one = operator_dataset({"train": trains[64]}, "navier-stokes-forced")
    several = operator_dataset({f"train_{n}": trains[n] for n in (128, 64, 32)}, "navier-stokes-forced")
    mean = trains[64]["y"].mean(0)

    def at_one(name: str) -> dict[str, float]:
        torch.manual_seed(0)
        network = MODELS[name]()
        trainer = train(network, one, steps)
        table = {"parameters": sum(p.numel() for p in network.parameters())}
        return table | errors(trainer, forms(name, network, grid), tests)

    def at_several(name: str) -> dict[str, float]:
        torch.manual_seed(0)
        network: nn.Module = ViT() if name == "ViT, converted" else MODELS[name.partition(",")[0]]()
        if name == "ViT, converted":
            network = to_operator(network, grid)
        elif name == "U-Net, converted":
            network = to_operator(network, grid, conv="cubic", resolution="latent")
        return errors(train(network, several, steps), {"as it stands": network}, tests)

    baseline = relative_l2(mean.expand_as(tests[64]["y"]), tests[64]["y"]).mean().item()
    print(f"training mean {baseline:.4f}")
    summary: dict[str, object] = {"training mean": baseline}
    for name in MODELS:
        summary[f"at 64, {name}"] = results.row(f"at 64, {name}", lambda n=name: at_one(n))
    for name in (*MODELS, "U-Net, converted", "ViT, converted"):
        summary[f"at several, {name}"] = results.row(f"at several, {name}", lambda n=name: at_several(n))
    return results.conclude(summary, {})


if __name__ == "__main__":
    raise SystemExit(main())
