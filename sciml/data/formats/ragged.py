"""Arrays whose samples differ in shape, read when they are indexed."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from sciml.data.formats.hdf5 import H5File, Node
from sciml.data.formats.hdf5_arrays import H5Array
from sciml.errors import DataFormatError

__all__ = ["H5Ragged"]


class H5Ragged:
    """Datasets of different shapes, one per sample.

    A position gives the array of one sample; a slice or list of positions a list of arrays. Axes that differ between
    samples have the length -1 in ``shape``.

    Args:
        file: The file.
        nodes: The dataset of each sample.
        name: Name of the array, for messages.
        allow_nan: Give out NaN and infinite values instead of raising an error.

    Raises:
        DataFormatError: If the samples differ in the number of axes or in type.
    """

    def __init__(self, file: H5File, nodes: Sequence[Node], name: str, *, allow_nan: bool = False) -> None:
        if len({(len(node.shape), node.dtype) for node in nodes}) != 1:
            raise DataFormatError(f"{file.path}: the samples of {name} differ in the number of axes or in type.")
        lengths = [set(sizes) for sizes in zip(*(node.shape for node in nodes), strict=True)]
        self.shape = (len(nodes), *(sizes.pop() if len(sizes) == 1 else -1 for sizes in lengths))
        self.dtype = nodes[0].dtype
        self.name = name
        self._samples = [H5Array(file, node, f"{name} of {node.key}", allow_nan=allow_nan) for node in nodes]

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, shape={self.shape}, dtype={self.dtype})"

    def __getitem__(self, index: Any) -> Any:
        first, rest = (index[0], index[1:]) if isinstance(index, tuple) else (index, ())
        chosen = np.arange(len(self))[slice(None) if first is Ellipsis else first]
        if chosen.ndim == 0:
            return self._samples[int(chosen)][(*rest, ...)]
        return [self._samples[i][(*rest, ...)] for i in chosen]
