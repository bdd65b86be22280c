"""Fixtures that several test folders share."""

import os
from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings
from torch import nn

from sciml.data import Dataset, Split
from sciml.registry import KINDS, registry
from sciml.spaces import DataSpec, FieldSpec, RegularGrid

# First calls compile and allocate, which says nothing about the code; in CI every run draws the same examples.
settings.register_profile("sciml", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("sciml")


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _same_registries() -> Iterator[None]:
    """A component that a test registers is gone after it."""
    before = {kind: dict(registry(kind)._registered) for kind in KINDS}
    yield
    for kind, registered in before.items():
        registry(kind)._registered = registered


@pytest.fixture
def line_data() -> Dataset:
    """A small linear problem on a periodic line: y is a shifted and scaled x, with 22, 6 and 6 samples."""
    grid = RegularGrid(shape=(8,), bounds=((0.0, 1.0),), periodic=True)
    generator = torch.Generator().manual_seed(7)

    def split(num: int) -> Split:
        x = torch.randn(num, 1, 8, generator=generator)
        return Split({"x": x, "y": 2 * x.roll(1, -1) + 1}, grids={"x": grid, "y": grid})

    fields = {name: FieldSpec(name, role, 1, (8,), grid=grid) for name, role in (("x", "input"), ("y", "target"))}
    return Dataset({"train": split(22), "val": split(6), "test": split(6)}, DataSpec(fields), "line")


class Net(nn.Module):
    """A two-layer network with dropout for fields of eight points."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(8, 16), nn.Tanh(), nn.Dropout(dropout), nn.Linear(16, 8), nn.Unflatten(1, (1, 8))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Fields ``(batch, 1, 8)`` to fields of the same shape."""
        return self.layers(x)


@pytest.fixture
def make_net() -> type[Net]:
    return Net
