"""What the trainer costs: time per optimizer step against a bare loop and other trainers, interleaved in one process.

Every competitor trains the same model from the same weights with the same fused Adam, batch size and data. A round runs
each of them once, in rotating order; within a run the first epochs are warm-up and the median epoch counts, so set-up
is excluded for all. The table gives medians over rounds; ratios are taken within a round.

    python benchmarks/trainer_overhead.py --rounds 9 --out benchmarks/results/trainer_overhead.json
"""

import argparse
import copy
import json
import logging
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sciml.data import Dataset, Split
from sciml.nn import MLP
from sciml.operators import FNO, DeepONet
from sciml.spaces import DataSpec, FieldSpec
from sciml.tasks import OperatorRegression
from sciml.train import Callback, Trainer

GATES = {
    "deeponet": {"sciml": 1.10, "sciml, finiteness check": 1.15},
    "fno": {"sciml": 1.02, "sciml, finiteness check": 1.02},
}
LR = 1e-3


class Case:
    """A model with its data, and how a batch goes through it."""

    def __init__(self, name: str, model: nn.Module, split: Split, batch_size: int, epochs: int) -> None:
        self.name, self.model, self.split = name, model, split
        self.batch_size, self.epochs = batch_size, epochs
        self.with_coords = "coords" in split.tensors

    def loss(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        output = model(x, self.split["coords"]) if self.with_coords else model(x)
        return nn.functional.mse_loss(output, y)


def deeponet_case() -> Case:
    """The reference DeepONet: 100 sensors, 100 query points, 1600 samples in batches of 100."""
    generator = torch.Generator().manual_seed(0)
    u = torch.randn(1600, 100, generator=generator)
    coords = torch.linspace(0, 1, 100)[:, None]
    split = Split({"u": u, "coords": coords, "y": u.cumsum(1) / 100}, shared=frozenset({"coords"}))
    torch.manual_seed(0)
    return Case("deeponet", DeepONet(branch=MLP(100, 40, 40), trunk=MLP(1, 40, 40)), split, 100, 24)


def fno_case() -> Case:
    """An FNO of 1.2 million parameters on 32 x 32 grids in batches of 20."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(100, 1, 32, 32, generator=generator)
    torch.manual_seed(0)
    model = FNO(in_channels=1, out_channels=1, modes=[16, 16], hidden_channels=32)
    return Case("fno", model, Split({"x": x, "y": x.roll(3, -1)}), 20, 5)


def median_epoch(stamps: list[float], steps: int) -> float:
    """Seconds a step, from the times at which epochs ended; the first quarter is warm-up."""
    lengths = [b - a for a, b in pairwise(stamps)]
    return statistics.median(lengths[len(lengths) // 4 :]) / steps


def bare_loop(case: Case) -> float:
    model = copy.deepcopy(case.model)
    optimizer = torch.optim.Adam(model.parameters(), lr=LR, fused=True)
    x, y = case.split["u" if case.with_coords else "x"], case.split["y"]
    generator = torch.Generator().manual_seed(0)
    stamps = []
    for _ in range(case.epochs):
        for index in torch.randperm(len(x), generator=generator).split(case.batch_size):
            optimizer.zero_grad()
            case.loss(model, x[index], y[index]).backward()
            optimizer.step()
        stamps.append(time.perf_counter())
    return median_epoch(stamps, len(x) // case.batch_size)


class _Stamps(Callback):
    def __init__(self) -> None:
        self.stamps: list[float] = []

    def on_epoch_end(self, loop: Any, row: dict[str, float]) -> None:
        self.stamps.append(time.perf_counter())


def ours(case: Case, check_finite: bool) -> float:
    fields = {name: FieldSpec(name, "target" if name == "y" else "input", None, ()) for name in case.split.tensors}
    stamps = _Stamps()
    trainer = Trainer(
        max_epochs=case.epochs,
        batch_size=case.batch_size,
        check_finite=check_finite,
        callbacks=[stamps],
        progress=False,
        accelerator="cpu",
    )
    task = OperatorRegression(loss="mse", normalize=False)
    data = Dataset({"train": case.split}, DataSpec(fields))
    trainer.fit(copy.deepcopy(case.model), data, task, optimizer={"name": "adam", "lr": LR})
    return median_epoch(stamps.stamps, len(case.split) // case.batch_size)


def lightning_trainer(case: Case) -> float:
    import lightning as lightning_package
    from torch.utils.data import BatchSampler, DataLoader, RandomSampler

    class Whole(torch.utils.data.Dataset[Any]):
        """Indexed by a whole batch, the fastest way that a DataLoader offers."""

        def __len__(self) -> int:
            return len(case.split)

        def __getitem__(self, index: list[int]) -> tuple[Tensor, Tensor]:
            return case.split["u" if case.with_coords else "x"][index], case.split["y"][index]

    class Module(lightning_package.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = copy.deepcopy(case.model)
            self.stamps: list[float] = []

        def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
            return case.loss(self.model, *batch)

        def on_train_epoch_end(self) -> None:
            self.stamps.append(time.perf_counter())

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), lr=LR, fused=True)

    data = Whole()
    loader = DataLoader(data, sampler=BatchSampler(RandomSampler(data), case.batch_size, False), batch_size=None)
    module = Module()
    trainer = lightning_package.Trainer(
        max_epochs=case.epochs,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, loader)
    return median_epoch(module.stamps, len(case.split) // case.batch_size)


def neuraloperator_trainer(case: Case) -> float:
    from neuralop import Trainer as PeerTrainer
    from torch.utils.data import DataLoader

    stamps: list[float] = []

    class Timed(PeerTrainer):
        def train_one_epoch(self, *args: Any, **kwargs: Any) -> Any:
            result = super().train_one_epoch(*args, **kwargs)
            stamps.append(time.perf_counter())
            return result

    class TakesAll(nn.Module):
        """That trainer gives the model the whole sample, target included."""

        def __init__(self) -> None:
            super().__init__()
            self.model = copy.deepcopy(case.model)

        def forward(self, x: Tensor, **rest: Any) -> Tensor:
            return self.model(x)

    samples = [{"x": x, "y": y} for x, y in zip(case.split["x"], case.split["y"], strict=True)]
    loader = DataLoader(samples, batch_size=case.batch_size, shuffle=True)  # type: ignore[arg-type]
    model = TakesAll()
    optimizer = torch.optim.Adam(model.parameters(), lr=LR, fused=True)
    trainer = Timed(model=model, n_epochs=case.epochs, device="cpu", verbose=False, eval_interval=10**6)
    trainer.train(
        train_loader=loader,
        test_loaders={},
        optimizer=optimizer,
        scheduler=torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0),
        training_loss=lambda output, y, **_: nn.functional.mse_loss(output, y),
        eval_losses={},
    )
    return median_epoch(stamps, len(case.split) // case.batch_size)


def competitors(case: Case) -> dict[str, Callable[[], float]]:
    """Everything that can train this case."""
    runners: dict[str, Callable[[], float]] = {
        "bare loop": lambda: bare_loop(case),
        "sciml": lambda: ours(case, check_finite=False),
        "sciml, finiteness check": lambda: ours(case, check_finite=True),
        "Lightning Trainer": lambda: lightning_trainer(case),
    }
    if not case.with_coords:
        runners["neuraloperator Trainer"] = lambda: neuraloperator_trainer(case)
    return runners


def measure(case: Case, rounds: int) -> dict[str, dict[str, float]]:
    """Median milliseconds a step and median ratio to the bare loop of the same round."""
    runners = competitors(case)
    names = list(runners)
    for name in names:
        runners[name]()
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for index in range(rounds):
        shift = index % len(names)
        for name in names[shift:] + names[:shift]:
            seconds[name].append(runners[name]())
    base = seconds["bare loop"]
    return {
        name: {
            "ms_per_step": 1e3 * statistics.median(values),
            "ratio": statistics.median(v / b for v, b in zip(values, base, strict=True)),
            "ratio_min": min(v / b for v, b in zip(values, base, strict=True)),
            "ratio_max": max(v / b for v, b in zip(values, base, strict=True)),
        }
        for name, values in seconds.items()
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    results: dict[str, Any] = {
        "versions": {"torch": torch.__version__, "python": platform.python_version()},
        "threads": args.threads,
        "rounds": args.rounds,
    }
    missed = False
    for case in (deeponet_case(), fno_case()):
        parameters = sum(p.numel() for p in case.model.parameters())
        print(f"\n{case.name}: {parameters} parameters, batch {case.batch_size} of {len(case.split)}")
        table = measure(case, args.rounds)
        results[case.name] = {"parameters": parameters, **table}
        print(f"{'':26s} {'ms/step':>8s} {'ratio':>6s}  {'min-max':>11s}  gate")
        for name, row in table.items():
            gate = GATES[case.name].get(name)
            verdict = "" if gate is None else f"{gate:.2f} {'met' if row['ratio'] <= gate else 'MISSED'}"
            missed = missed or (gate is not None and row["ratio"] > gate)
            spread = f"{row['ratio_min']:.2f}-{row['ratio_max']:.2f}"
            print(f"{name:26s} {row['ms_per_step']:8.3f} {row['ratio']:6.3f}  {spread:>11s}  {verdict}")
        if args.out is not None:
            args.out.parent.mkdir(parents=True, exist_ok=True)
            args.out.write_text(json.dumps(results, indent=2) + "\n")
    return int(missed)


if __name__ == "__main__":
    raise SystemExit(main())
