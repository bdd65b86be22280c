"""Batches of several resolutions: each of one resolution alone, all in one epoch."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from sciml.data.dataset import Batch, Split
from sciml.data.loader import TensorLoader
from sciml.data.resolutions import sample_size
from sciml.errors import ConfigError

__all__ = ["MultiResolutionLoader", "batch_sizes"]


class MultiResolutionLoader:
    """Iterates over splits of different resolutions; every batch has one resolution, drawn at random.

    One pass of ``iter`` is one epoch: every sample of every split once. Each step draws a split that has batches left,
    with a probability proportional to their number, so that every order of all batches is equally likely and no
    resolution crowds at the end. Like that of :class:`~sciml.data.TensorLoader`, the order depends on ``(seed, epoch)``
    alone and is the same on all ranks.

    Args:
        splits: Name to samples; the fields and their channels must agree, the numbers of points may differ.
        batch_size: Samples per optimizer step over all ranks, in the split ``base``. In the others it is inversely
            proportional to the number of points, so that all steps cost about the same: see :func:`batch_sizes`.
        base: Name of a split; the finest when None.
        shuffle: Draw a new order for every epoch; otherwise the splits come one after the other.
        seed: Seed of the order.
        drop_last: Leave out last batches that are smaller than the others of their split.
        rank: Index of this process.
        world_size: Number of processes.

    Attributes:
        batch_sizes: Samples of a batch, by split.
        split: The split of the current batch.
        local_size: Samples of the current batch on this rank, as for :class:`~sciml.data.TensorLoader`.
        total_size: Samples of the current batch on all ranks.

    Raises:
        ConfigError: If there are no splits, or one is empty, or their fields differ.

    Example:
        >>> splits = {"fine": Split({"x": torch.zeros(4, 1, 8)}), "coarse": Split({"x": torch.zeros(4, 1, 4)})}
        >>> loader = MultiResolutionLoader(splits, batch_size=1, shuffle=True)
        >>> loader.batch_sizes
        {'fine': 1, 'coarse': 2}
        >>> [tuple(batch["x"].shape) for batch in loader]
        [(2, 1, 4), (1, 1, 8), (1, 1, 8), (1, 1, 8), (1, 1, 8), (2, 1, 4)]
    """

    def __init__(
        self,
        splits: Mapping[str, Split],
        batch_size: int,
        *,
        base: str | None = None,
        shuffle: bool = False,
        seed: int = 0,
        drop_last: bool = False,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        _check_splits(splits)
        self.batch_sizes = batch_sizes(splits, batch_size, base)
        self.shuffle, self.seed = shuffle, seed
        self.epoch = 0
        self.position = 0
        self.local_size = 0
        self.total_size = 0
        self.split = next(iter(splits.values()))
        self._loaders = {
            name: TensorLoader(
                split,
                self.batch_sizes[name],
                shuffle=shuffle,
                seed=_derived(seed, name),
                drop_last=drop_last,
                rank=rank,
                world_size=world_size,
            )
            for name, split in splits.items()
        }

    def __len__(self) -> int:
        return sum(map(len, self._loaders.values()))

    def _order(self) -> list[str]:
        """The split of every batch of the current epoch."""
        names = [name for name, loader in self._loaders.items() for _ in range(len(loader))]
        if not self.shuffle:
            return names
        generator = torch.Generator().manual_seed(_derived(self.seed, f"order/{self.epoch}"))
        return [names[index] for index in torch.randperm(len(names), generator=generator).tolist()]

    def __iter__(self) -> Iterator[Batch]:
        order = self._order()
        batches: dict[str, Iterator[Batch]] = {}
        while self.position < len(order):
            name = order[self.position]
            loader = self._loaders[name]
            if name not in batches:
                batches[name] = iter(loader)
            batch = next(batches[name])
            self.split, self.local_size, self.total_size = loader.split, loader.local_size, loader.total_size
            if loader.position == len(loader):
                # Its epoch ends here, and its shuffled copy can go.
                next(batches.pop(name), None)
            self.position += 1
            yield batch
        self.epoch += 1
        self.position = 0

    def set_epoch(self, epoch: int) -> None:
        """Go to the start of an epoch."""
        self.epoch, self.position = epoch, 0
        for loader in self._loaders.values():
            loader.epoch, loader.position = epoch, 0

    def state_dict(self) -> dict[str, Any]:
        """Seed, epoch, number of batches already given out in it, and the state of the loader of every split."""
        loaders = {name: loader.state_dict() for name, loader in self._loaders.items()}
        return {"seed": self.seed, "epoch": self.epoch, "position": self.position, "loaders": loaders}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where the saved loader stood.

        Raises:
            ConfigError: If it had other splits, or positions that do not go together.
        """
        if list(state.get("loaders", ())) != list(self._loaders):
            raise ConfigError(
                f"the saved loader had the splits {', '.join(state.get('loaders', ())) or 'of one resolution'}, this "
                f"one has {', '.join(self._loaders)}: resume with the same resolutions."
            )
        if not 0 <= state["position"] <= len(self):
            raise ConfigError(f"the saved position is {state['position']}, an epoch has {len(self)} batches.")
        self.seed, self.epoch, self.position = state["seed"], state["epoch"], state["position"]
        done = self._order()[: self.position]
        for name, loader in self._loaders.items():
            loader.load_state_dict(state["loaders"][name])
            if loader.epoch * len(loader) + loader.position != self.epoch * len(loader) + done.count(name):
                raise ConfigError(f"the saved position of {name} does not go with that of the epoch.")


def batch_sizes(splits: Mapping[str, Split], batch_size: int, base: str | None = None) -> dict[str, int]:
    """Batch sizes that are inversely proportional to the number of points.

    They do not depend on the number of processes: each takes its slice of every batch, whether or not the sizes divide,
    so that several processes give what one gives.

    Args:
        splits: Name to samples.
        batch_size: That of the split ``base``.
        base: Name of a split; the finest when None.

    Returns:
        For every split at least 1, and at most the number of its samples.

    Raises:
        ConfigError: If there is no split of this name, or the size is not positive.

    Example:
        >>> splits = {f"train_{n}": Split({"x": torch.zeros(500, 1, n, n)}) for n in (64, 32, 16)}
        >>> batch_sizes(splits, 20), batch_sizes(splits, 20, base="train_32")
        ({'train_64': 20, 'train_32': 80, 'train_16': 320}, {'train_64': 5, 'train_32': 20, 'train_16': 80})
    """
    if batch_size < 1:
        raise ConfigError(f"batch_size is {batch_size}, expected at least 1.")
    if base is not None and base not in splits:
        raise ConfigError(f"base is {base!r}, expected one of {', '.join(splits)}.")
    points = {name: sample_size(split) for name, split in splits.items()}
    total = batch_size * (points[base] if base is not None else max(points.values()))
    return {name: min(max(total // points[name], 1), max(len(split), 1)) for name, split in splits.items()}


def _check_splits(splits: Mapping[str, Split]) -> None:
    if not splits:
        raise ConfigError("there are no splits: give at least one, such as {'train_16': split}.")
    first, reference = next(iter(splits.items()))
    for name, split in splits.items():
        if len(split) == 0:
            raise ConfigError(f"the split {name} has no samples: nothing to iterate over.")
        if set(split.tensors) != set(reference.tensors) or split.shared != reference.shared:
            raise ConfigError(
                f"the split {name} has the fields {', '.join(split.tensors)}, {first} has "
                f"{', '.join(reference.tensors)}: all resolutions need the same."
            )
        for field in split.tensors:
            _check_field(field, name, split, first, reference)


def _check_field(field: str, name: str, split: Split, first: str, reference: Split) -> None:
    shapes = [tuple(one[field].shape) for one in (split, reference)]
    on_grid = field in split.grids and field in reference.grids
    channels = [one[field].dim() - one.grids[field].dim for one in (split, reference)] if on_grid else [1, 1]
    leading = [shape[1:num] for shape, num in zip(shapes, channels, strict=True)]
    same_type = split[field].dtype == reference[field].dtype
    if len(shapes[0]) != len(shapes[1]) or leading[0] != leading[1] or not same_type:
        kinds = [str(one[field].dtype).removeprefix("torch.") for one in (split, reference)]
        raise ConfigError(
            f"{field} is {shapes[0]} {kinds[0]} in {name} and {shapes[1]} {kinds[1]} in {first}: only the numbers of "
            "samples and points may differ."
        )


def _derived(seed: int, name: str) -> int:
    """A seed for one split or one epoch, so that none shares its order with another."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8], "little") >> 1
