"""What the experiments on converted networks share: training on a grid, errors at several resolutions, networks."""

import sys
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sciml.data import Dataset, Split, grid_split, operator_dataset
from sciml.metrics import relative_l2
from sciml.spaces import RegularGrid
from sciml.tasks import OperatorRegression
from sciml.train import Trainer

sys.path.append(str(Path(__file__).resolve().parents[1]))

from experiment import Results, arguments  # the folder of the scripts is not installed

__all__ = ["CNN", "Results", "UNet", "arguments", "dataset", "evaluate", "train"]


class CNN(nn.Module):
    """Circular convolutions on a line with GELU between them, as anyone would write them."""

    def __init__(self, width: int = 32, kernel: int = 7, layers: int = 4) -> None:
        parts: list[nn.Module] = []
        for layer in range(layers):
            a, b = (1 if layer == 0 else width), (1 if layer == layers - 1 else width)
            parts += [nn.Conv1d(a, b, kernel, padding=kernel // 2, padding_mode="circular"), nn.GELU()]
        super().__init__()
        self.layers = nn.Sequential(*parts[:-1])

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class _Block(nn.Module):
    def __init__(self, channels: int, out: int, mode: str) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, out, 3, padding=1, padding_mode=mode)
        self.norm = nn.GroupNorm(1, out)
        self.second = nn.Conv2d(out, out, 3, padding=1, padding_mode=mode)
        self.activation = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.second(self.activation(self.norm(self.first(x)))))


class UNet(nn.Module):
    """A plain U-Net: two convolutions a level, mean pools down; transposed convolutions or interpolation up."""

    def __init__(
        self, channels: int = 1, width: int = 8, levels: int = 2, mode: str = "circular", transposed: bool = True
    ) -> None:
        super().__init__()
        pairs = list(pairwise(width * 2**level for level in range(levels + 1)))
        self.lift = _Block(channels, width, mode)
        self.pool = nn.AvgPool2d(2)
        self.down = nn.ModuleList([_Block(a, b, mode) for a, b in pairs])
        self.up = nn.ModuleList([self._up(a, b, transposed) for a, b in pairs])
        self.join = nn.ModuleList([_Block(2 * a, a, mode) for a, _ in pairs])
        self.head = nn.Conv2d(width, 1, 1)

    @staticmethod
    def _up(a: int, b: int, transposed: bool) -> nn.Module:
        if transposed:
            return nn.ConvTranspose2d(b, a, 2, 2)
        return nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(b, a, 1))

    def forward(self, x: Tensor) -> Tensor:
        levels = [self.lift(x)]
        for block in self.down:
            levels.append(block(self.pool(levels[-1])))
        x = levels.pop()
        for up, join in zip(reversed(self.up), reversed(self.join), strict=True):
            x = join(torch.cat([up(x), levels.pop()], 1))
        return self.head(x)


def dataset(x: Tensor, y: Tensor, grid: RegularGrid, train: int) -> Dataset:
    """The first ``train`` functions for training, the others for testing."""
    whole = grid_split(x, y, grid)
    return operator_dataset({"train": whole.select(slice(0, train)), "test": whole.select(slice(train, None))})


def train(
    model: nn.Module,
    data: Dataset,
    steps: int,
    *,
    seed: int,
    lr: float = 2e-3,
    batch_size: int = 64,
) -> Trainer:
    """Adam with one cycle of the learning rate on the relative L2 error of standardised functions."""
    trainer = Trainer(max_steps=steps, batch_size=batch_size, progress=False, seed=seed, accelerator="cpu")
    trainer.fit(
        model,
        data,
        OperatorRegression(),
        optimizer={"name": "adam", "lr": lr},
        scheduler={"name": "onecycle", "max_lr": lr},
    )
    return trainer


def evaluate(trainer: Trainer, models: Mapping[str, Callable[..., Any]], splits: Mapping[int, Split]) -> dict[str, Any]:
    """Mean relative L2 error of each model at each resolution."""
    table: dict[str, Any] = {}
    for name, model in models.items():
        for n, split in splits.items():
            prediction = trainer.predict(model, split)
            table[f"{name} {n}"] = relative_l2(prediction, split["y"]).mean().item()
    return table
