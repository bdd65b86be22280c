"""Batches of tensors without per-sample collation, with a position that can be saved and restored."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sciml.data.dataset import Batch, Split
from sciml.errors import ConfigError

__all__ = ["TensorLoader"]

# Below this size an epoch is gathered once into its shuffled order, which makes a batch a view.
_GATHER_BYTES = 512 * 2**20


@dataclass(frozen=True)
class _Slice:
    start: int
    stop: int
    local: int
    total: int


class TensorLoader:
    """Iterates over a split in batches.

    One pass of ``iter`` is one epoch. The order of an epoch depends on ``(seed, epoch)`` alone, so a loader whose state
    is restored in the middle of an epoch goes on with the batch that comes next.

    Args:
        split: The samples.
        batch_size: Samples per optimizer step over all ranks; every rank takes its slice of each batch.
        shuffle: Draw a new order for every epoch.
        seed: Seed of the order.
        drop_last: Leave out a last batch that is smaller than ``batch_size``.
        rank: Index of this process.
        world_size: Number of processes.

    Attributes:
        local_size: Samples of the current batch on this rank. It is 0 when a small last batch leaves nothing for this
            rank; the batch then repeats a sample, to be weighted by zero.
        total_size: Samples of the current batch on all ranks.

    Raises:
        ConfigError: If the split is empty or the batch size is not positive.

    Example:
        >>> loader = TensorLoader(Split({"x": torch.arange(5)}), batch_size=2)
        >>> [batch["x"].tolist() for batch in loader]
        [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self,
        split: Split,
        batch_size: int,
        *,
        shuffle: bool = False,
        seed: int = 0,
        drop_last: bool = False,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if batch_size < 1:
            raise ConfigError(f"batch_size is {batch_size}, expected at least 1.")
        if len(split) == 0:
            raise ConfigError("the split has no samples: nothing to iterate over.")
        if drop_last and len(split) < batch_size:
            raise ConfigError(
                f"drop_last leaves no batch: {len(split)} samples, batch_size {batch_size}. Choose a smaller one."
            )
        self.split = split
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.epoch = 0
        self.position = 0
        self.local_size = 0
        self.total_size = 0
        self._slices = list(_slices(len(split), batch_size, drop_last, rank, world_size))

    def __len__(self) -> int:
        return len(self._slices)

    def _order(self) -> Tensor | None:
        # The order of the samples within one whole batch does not matter.
        if not self.shuffle or len(self._slices) == 1:
            return None
        # Two consecutive seeds must not share epochs, hence the large odd factor.
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + self.epoch) % 2**63)
        return torch.randperm(len(self.split), generator=generator)

    def _fetch(self) -> Callable[[int, int], Batch]:
        order = self._order()
        split = self.split
        if order is None:
            return lambda start, stop: split.batch(slice(start, stop))
        device = next(value.device for name, value in split.tensors.items() if name not in split.shared)
        order = order.to(device)
        if split.nbytes <= _GATHER_BYTES:
            gathered = split.select(order)
            return lambda start, stop: gathered.batch(slice(start, stop))
        return lambda start, stop: split.batch(order[start:stop])

    def __iter__(self) -> Iterator[Batch]:
        fetch = self._fetch()
        while self.position < len(self._slices):
            part = self._slices[self.position]
            self.position += 1
            self.local_size, self.total_size = part.local, part.total
            yield fetch(part.start, part.stop)
        self.epoch += 1
        self.position = 0

    def state_dict(self) -> dict[str, Any]:
        """Seed, epoch and number of batches already given out in it."""
        return {"seed": self.seed, "epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where the saved loader stood."""
        # A run may be saved after the last batch of an epoch, before the next one begins.
        if not 0 <= state["position"] <= len(self):
            raise ConfigError(f"the saved position is {state['position']}, an epoch has {len(self)} batches.")
        self.seed, self.epoch, self.position = state["seed"], state["epoch"], state["position"]


def _slices(num: int, batch_size: int, drop_last: bool, rank: int, world_size: int) -> Iterator[_Slice]:
    for begin in range(0, num, batch_size):
        end = min(begin + batch_size, num)
        total = end - begin
        if drop_last and total < batch_size:
            return
        start = begin + total * rank // world_size
        stop = begin + total * (rank + 1) // world_size
        local = stop - start
        yield _Slice(start, stop, local, total) if local else _Slice(begin, begin + 1, 0, total)
