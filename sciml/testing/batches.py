"""Example batches: which tensors all samples share, and copies with other samples, types and values.

A batch is a mapping of names to tensors. What the checks know about this layout is in this file.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from sciml.data import Batch
from sciml.data.convert import spec_of
from sciml.data.dataset import Split
from sciml.spaces import DataSpec

__all__ = [
    "TARGET",
    "data_spec",
    "disturb",
    "example_loss",
    "num_samples",
    "permute_queries",
    "shared_names",
    "take",
    "to",
]

TARGET = "y"
_ROLES = {TARGET: "target", "coords": "coords", "params": "params"}


def num_samples(batch: Mapping[str, Tensor]) -> int:
    """Number of samples, counted at the target."""
    return len(batch[TARGET])


def shared_names(batch: Mapping[str, Tensor]) -> frozenset[str]:
    """Names of the tensors without a batch axis: 2-D ``coords``, and those with another length than the target.

    Example:
        >>> batch = {"u": torch.zeros(4, 9), "coords": torch.zeros(4, 1), "w": torch.zeros(7), "y": torch.zeros(4, 4)}
        >>> sorted(shared_names(batch))
        ['coords', 'w']
    """
    num = num_samples(batch)
    return frozenset(
        name
        for name, value in batch.items()
        if value.dim() == 0 or len(value) != num or (name == "coords" and value.dim() == 2)
    )


def take(batch: Mapping[str, Tensor], index: slice) -> Batch:
    """Some of the samples, and the shared tensors as they are."""
    shared = shared_names(batch)
    return {name: value if name in shared else value[index] for name, value in batch.items()}


def to(batch: Mapping[str, Tensor], dtype: torch.dtype | None = None, device: str | None = None) -> Batch:
    """A copy that shares no memory; only floating-point tensors get the dtype."""
    return {
        name: value.detach().clone().to(dtype=dtype if value.is_floating_point() else None, device=device)
        for name, value in batch.items()
    }


def disturb(batch: Mapping[str, Tensor], scale: float, seed: int) -> Batch:
    """A batch with other input values: ``x (1 + scale z)`` with standard normal ``z``.

    The noise is a factor, so that zeros and mostly signs stay. Query points, shared tensors, integers and the target
    are left alone: their values may not be free.
    """
    generator = torch.Generator().manual_seed(seed)
    fixed = shared_names(batch) | {TARGET, "coords"}

    def noisy(value: Tensor) -> Tensor:
        noise = torch.randn(value.shape, generator=generator).to(value)
        return value * (1 + scale * noise)

    return {
        name: noisy(value) if value.is_floating_point() and name not in fixed else value.clone()
        for name, value in batch.items()
    }


def permute_queries(batch: Mapping[str, Tensor], order: Tensor) -> Batch:
    """The query points in another order; everything else as it is."""
    return {**batch, "coords": batch["coords"].index_select(-2, order)}


def data_spec(batch: Mapping[str, Tensor]) -> DataSpec:
    """What a dataset of such batches would say about itself."""
    roles = {name: {"role": _ROLES.get(name, "input")} for name in batch}
    return spec_of(Split(batch, shared=shared_names(batch)), roles)


def example_loss(output: Tensor, target: Tensor) -> Tensor:
    """Mean squared error in double precision; cross entropy when the target holds class numbers."""
    if target.is_floating_point():
        return (output.double() - target.double()).square().mean()
    return F.cross_entropy(output.double(), target)
