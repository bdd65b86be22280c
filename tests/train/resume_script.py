"""A small training run with everything that has state; started by the tests in processes of its own."""

import argparse
import os
import signal
import sys

import torch
from torch import nn

from sciml.data import Dataset, Split
from sciml.methods import GradientNoise
from sciml.spaces import DataSpec, FieldSpec
from sciml.tasks import OperatorRegression
from sciml.train import EMA, Interrupted, Trainer


def make_data() -> Dataset:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(28, 1, 8, generator=generator)
    y = x.roll(1, -1).square()
    fields = {name: FieldSpec(name, role, 1, (8,)) for name, role in (("x", "input"), ("y", "target"))}
    splits = {"train": Split({"x": x[:22], "y": y[:22]}), "val": Split({"x": x[22:], "y": y[22:]})}
    return Dataset(splits, DataSpec(fields), "shifted squares")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True)
    parser.add_argument("--steps", type=int, required=True, help="length of the whole run")
    parser.add_argument("--stop", type=int, help="send SIGTERM to itself after this step")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--kill-in-save", type=int, help="kill itself in the middle of this save")
    args = parser.parse_args()

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Flatten(),
        nn.Linear(8, 16),
        nn.BatchNorm1d(16),
        nn.Tanh(),
        nn.Dropout(0.3),
        nn.Linear(16, 8),
        nn.Unflatten(1, (1, 8)),
    )

    if args.kill_in_save:
        count = 0
        save = torch.save

        def torn_save(state: object, path: object) -> None:
            nonlocal count
            count += "last.pt" in str(path)
            save(state, path)
            if count == args.kill_in_save:
                os.truncate(str(path), os.path.getsize(str(path)) // 2)
                os.kill(os.getpid(), signal.SIGKILL)

        torch.save = torn_save

    callbacks = [EMA(0.9)]
    if args.stop:

        class Stopper(EMA):
            def on_step_end(self, loop: object) -> None:
                super().on_step_end(loop)
                if loop.step == args.stop:
                    os.kill(os.getpid(), signal.SIGTERM)

        callbacks = [Stopper(0.9)]

    trainer = Trainer(
        max_steps=args.steps,
        batch_size=5,
        seed=3,
        callbacks=callbacks,
        run_dir=args.out,
        progress=False,
        accelerator="cpu",
        clip_norm=1.0,
        checkpoint_steps=4 if args.kill_in_save else None,
    )
    try:
        trainer.fit(
            model,
            make_data(),
            OperatorRegression(loss="mse"),
            [GradientNoise(eta=0.01)],
            optimizer={"name": "adamw", "lr": 1e-2},
            scheduler={"name": "onecycle", "max_lr": 1e-2, "total_steps": 17} if args.steps == 17 else None,
            inputs={"input": "x"},
            resume="auto" if args.resume else None,
        )
    except Interrupted as error:
        print(error, file=sys.stderr)


if __name__ == "__main__":
    main()
