"""One training run on one or two processes; started by the tests."""

import argparse
import json
import os
from pathlib import Path

import torch
from torch import nn

from sciml.data import Dataset, Split
from sciml.methods import GradientNoise
from sciml.spaces import DataSpec, FieldSpec
from sciml.tasks import OperatorRegression
from sciml.train import Trainer


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("devices", type=int)
    parser.add_argument("--accumulate", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--resolutions", action="store_true")
    args = parser.parse_args()

    torch.manual_seed(0)
    x = torch.randn(30, 1, 8, dtype=torch.float64)
    y = x.roll(1, -1).square()
    fields = {name: FieldSpec(name, role, 1, (8,)) for name, role in (("x", "input"), ("y", "target"))}
    splits = {"train": Split({"x": x[:23], "y": y[:23]}), "val": Split({"x": x[23:], "y": y[23:]})}
    data = Dataset({**splits, "test": splits["val"]}, DataSpec(fields))
    if args.resolutions:
        coarse = Split({"x": x[:19, :, ::2], "y": y[:19, :, ::2]})
        training = {"train_8": splits["train"], "train_4": coarse}
        data = Dataset({**training, "val": splits["val"], "test": splits["val"]}, DataSpec(fields))
    layers = [nn.Flatten(), nn.Linear(8, 16), nn.Tanh(), nn.Dropout(args.dropout), nn.Linear(16, 8)]
    model = nn.Sequential(*layers, nn.Unflatten(1, (1, 8))).double()
    if args.resolutions:
        model = nn.Sequential(nn.Conv1d(1, 4, 3, padding=1), nn.Tanh(), nn.Conv1d(4, 1, 1)).double()
    rank = os.environ.get("LOCAL_RANK", "0")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.with_name(f"{args.out.name}.pid.{rank}").write_text(str(os.getpid()))
    trainer = Trainer(
        max_epochs=args.epochs,
        batch_size=4,
        eval_batch_size=3,
        accumulate=args.accumulate,
        precision="64-true",
        accelerator="cpu",
        devices=args.devices,
        strategy="ddp" if args.devices > 1 else "auto",
        clip_norm=1.0,
        progress=False,
        run_dir=args.out,
    )
    trainer.fit(
        model,
        data,
        OperatorRegression(loss="mse"),
        [GradientNoise(eta=0.01)],
        optimizer={"name": "adam", "lr": 1e-2},
        inputs={"input": "x"},
        resume="auto" if args.resume else None,
    )
    result = trainer.test(model, data)["test"]
    if trainer.is_main:
        (args.out / "test.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
