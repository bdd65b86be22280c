"""Datasets: named splits of named tensors, with a specification and a card.

A :class:`Split` holds whole tensors; parts that all samples share (one grid, one set of query points) are stored once,
without a batch axis. A :class:`Dataset` is a mapping of splits with the :class:`~sciml.spaces.DataSpec` of its training
split.
"""

import hashlib
import reprlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sciml.errors import ConfigError, unknown_name
from sciml.spaces import DataSpec, RegularGrid

__all__ = ["Batch", "Dataset", "Split"]

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Split:
    """Named tensors of equal length, and the tensors that all samples share.

    Args:
        tensors: Field name to tensor, or to a numpy array, which becomes a tensor; the first axis counts samples,
            except for shared fields.
        shared: Names of fields stored once, without a batch axis.
        grids: Field name to the grid on which its values live.

    Raises:
        ConfigError: If a field is no array of numbers, or the fields have different numbers of samples.

    Example:
        >>> split = Split({"x": torch.zeros(8, 1, 4), "coords": torch.rand(4, 1)}, shared=frozenset({"coords"}))
        >>> len(split), split.batch(torch.tensor([0, 3]))["x"].shape
        (8, torch.Size([2, 1, 4]))
    """

    tensors: Mapping[str, Tensor]
    shared: frozenset[str] = frozenset()
    grids: Mapping[str, RegularGrid] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.tensors, Mapping):
            raise ConfigError(
                f"the fields of a split are a {type(self.tensors).__name__}, expected a mapping of names to tensors, "
                "such as {'x': x, 'y': y}."
            )
        if not all(isinstance(value, Tensor) for value in self.tensors.values()):
            object.__setattr__(self, "tensors", {name: _tensor(name, v) for name, v in self.tensors.items()})
        for name, value in self.tensors.items():
            if value.dim() == 0 and name not in self.shared:
                raise ConfigError(f"field {name!r} is a single number, expected an axis of samples first.")
        lengths = {name: len(value) for name, value in self.tensors.items() if name not in self.shared}
        if len(set(lengths.values())) > 1:
            raise ConfigError(
                f"the fields of a split have different numbers of samples: {lengths}. "
                "Name fields that all samples share in shared=..."
            )

    def __len__(self) -> int:
        return next((len(value) for name, value in self.tensors.items() if name not in self.shared), 0)

    def __repr__(self) -> str:
        parts = [_shape_words(name, value, name in self.shared) for name, value in self.tensors.items()]
        return f"Split({len(self)} samples: {', '.join(parts)})"

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.tensors:
            raise unknown_name("field", name, self.tensors)
        return self.tensors[name]

    @property
    def nbytes(self) -> int:
        """Memory of all tensors in bytes."""
        return sum(value.nbytes for value in self.tensors.values())

    def batch(self, index: Tensor | slice) -> Batch:
        """The samples at ``index``; shared tensors as they are."""
        return {name: value if name in self.shared else value[index] for name, value in self.tensors.items()}

    def select(self, index: Tensor | slice) -> "Split":
        """A split of the samples at ``index``."""
        return replace(self, tensors=self.batch(index))

    def map(self, function: Callable[[Batch], Batch]) -> "Split":
        """Apply an elementwise function of a batch to all samples at once."""
        return replace(self, tensors=function(dict(self.tensors)))

    def to(self, device: torch.device | str) -> "Split":
        """Copy to a device."""
        return replace(self, tensors={name: value.to(device) for name, value in self.tensors.items()})


@dataclass(frozen=True)
class Dataset:
    """Splits of one problem with what they mean.

    ``train`` is used for training, names that begin with ``val`` for model selection and those that begin with
    ``test`` for the final numbers, so one dataset may have test splits at several resolutions. So it may be for
    training: all names that begin with ``train`` are used, and ``train``, or else the first of them, is the reference
    that models take their sizes from.

    Args:
        splits: Name to split.
        spec: Fields of the training split, and the usual task.
        name: Name under which it is listed.
        card: Provenance, licence, citation, units as read from ``card.yaml``.
    """

    splits: Mapping[str, Split]
    spec: DataSpec
    name: str = ""
    card: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        splits = "".join(f"\n  {name}: {split!r}" for name, split in self.splits.items())
        return f"Dataset({reprlib.repr(self.name)}, {len(self.splits)} splits){':' if splits else ''}{splits}"

    def __getitem__(self, name: str) -> Split:
        if name not in self.splits:
            raise unknown_name("split", name, self.splits)
        return self.splits[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.splits)

    @property
    def train(self) -> Split:
        """The training split; the reference where there are several resolutions."""
        return self["train" if "train" in self.splits else next(iter(self.names("train")), "train")]

    def names(self, prefix: str) -> list[str]:
        """Split names that begin with ``prefix``, in the order of the dataset."""
        return [name for name in self.splits if name.startswith(prefix)]

    @cached_property
    def hash(self) -> str:
        """SHA-256 over names, shapes, types and values of all splits."""
        digest = hashlib.sha256()
        for split_name, split in sorted(self.splits.items()):
            for name, value in sorted(split.tensors.items()):
                digest.update(f"{split_name}/{name}{tuple(value.shape)}{value.dtype}".encode())
                digest.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().data)
        return digest.hexdigest()


def _tensor(name: str, value: Any) -> Tensor:
    """A numpy array or nested list of numbers as a tensor; the memory of an array is shared where that is possible."""
    if isinstance(value, Tensor):
        return value
    if not isinstance(value, np.ndarray | np.generic | list | tuple | int | float):
        raise ConfigError(f"field {name!r} is a {type(value).__name__}, expected a tensor or a numpy array.")
    try:
        array = np.asarray([np.asarray(part) for part in value] if isinstance(value, list | tuple) else value)
    except ValueError as error:
        raise ConfigError(
            f"field {name!r} is a list of samples of different shapes, expected one array. Samples with points of "
            "their own: sciml.data.ragged_split."
        ) from error
    if array.dtype.kind not in "biufc" or array.dtype.itemsize > 16 or array.dtype == np.longdouble:
        ragged = " Samples with points of their own: sciml.data.ragged_split." * (array.dtype.kind == "O")
        raise ConfigError(
            f"field {name!r} is an array of {array.dtype.name}, expected numbers in single or double precision.{ragged}"
        )
    # torch takes neither foreign byte orders nor negative strides, and warns of memory that it must not write.
    plain = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("=")).reshape(array.shape)
    return torch.from_numpy(plain if plain.flags.writeable else plain.copy())


def _shape_words(name: str, value: Tensor, shared: bool) -> str:
    shape = " x ".join(map(str, value.shape if shared else value.shape[1:])) or "scalar"
    kind = str(value.dtype).removeprefix("torch.")
    return f"{name} {shape} {kind}{' shared' if shared else ''}"
