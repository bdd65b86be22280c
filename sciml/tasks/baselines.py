"""Trivial predictors that every operator result is printed beside: the training mean, and linear least squares."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from sciml.data import Dataset, Split
from sciml.errors import ConfigError
from sciml.spaces import RegularGrid

__all__ = ["constant_baseline", "linear_baseline", "mean_baseline"]

Predictor = Callable[[Split], Tensor]


def mean_baseline(dataset: Dataset, target: str = "y") -> Predictor:
    """Predicts the mean target function of the training split, interpolated linearly to the grid of the split.

    Args:
        dataset: Its training split gives the mean.
        target: Name of the target.

    Returns:
        Function of a split that gives predictions ``(samples, channels, *grid)``.

    Example:
        >>> x = torch.randn(5, 1, 4)
        >>> data = Dataset({"train": Split({"x": x, "y": x})}, spec=None)
        >>> torch.allclose(mean_baseline(data)(data.train)[2], x.mean(0))
        True
    """
    train = dataset.train
    mean = train[target].double().mean(0, keepdim=True)

    def predict(split: Split) -> Tensor:
        like = split[target]
        return _resample(mean, train.grids.get(target), split.grids.get(target), like).expand(like.shape).to(like)

    return predict


def constant_baseline(dataset: Dataset, target: str = "y") -> Predictor:
    """Predicts the mean value of the training targets, one number a channel, where samples have points of their own.

    Quadrature weights and the mask of the points count, where the training split has them.

    Args:
        dataset: Its training split gives the mean.
        target: Name of the target.

    Returns:
        Function of a split that gives predictions like its targets ``(samples, [channels,] points)``.

    Example:
        >>> split = Split({"y": torch.tensor([[1.0, 4.0]]), "y.weight": torch.tensor([[2.0, 1.0]])})
        >>> constant_baseline(Dataset({"train": split}, spec=None))(split)
        tensor([[2., 2.]])
    """
    train = dataset.train
    values = train[target].double()
    weight = torch.ones(values.shape[-1], dtype=torch.float64)
    for part in ("weight", "mask"):
        if (found := train.tensors.get(f"{target}.{part}")) is not None:
            weight = weight * found.double()
    if weight.dim() == 2 and values.dim() == 3:
        weight = weight[:, None]
    weight = weight.expand_as(values)
    axes = [0, values.dim() - 1]
    mean = (weight * values).sum(axes, keepdim=True) / weight.sum(axes, keepdim=True)
    return lambda split: mean.to(split[target]).expand_as(split[target])


def linear_baseline(dataset: Dataset, source: str | Sequence[str] = "x", target: str = "y") -> Predictor:
    r"""The best affine map from sampled input to sampled target, :math:`\min_W \|[X, 1] W - Y\|`, of least norm.

    On another grid the input is interpolated linearly to the training grid and the prediction back.

    Args:
        dataset: Its training split is fitted.
        source: Name of the input, or names of several.
        target: Name of the target.

    Returns:
        Function of a split that gives predictions ``(samples, channels, *grid)``.
    """
    train, y = dataset.train, dataset.train[target].double()
    sources = [source] if isinstance(source, str) else list(source)

    def inputs(split: Split) -> Tensor:
        parts = [
            _resample(split[name].double(), split.grids.get(name), train.grids.get(name), train[name]).flatten(1)
            for name in sources
        ]
        return torch.cat([*parts, parts[0].new_ones(len(split), 1)], 1)

    solution = torch.linalg.lstsq(inputs(train), y.flatten(1), driver="gelsd").solution

    def predict(split: Split) -> Tensor:
        like = split[target]
        output = (inputs(split) @ solution).reshape(len(split), *y.shape[1:])
        return _resample(output, train.grids.get(target), split.grids.get(target), like).to(like)

    return predict


def _resample(u: Tensor, old: RegularGrid | None, new: RegularGrid | None, like: Tensor) -> Tensor:
    """Multilinear interpolation between grids, in true coordinates, extrapolating linearly beyond the last nodes."""
    if u.shape[2:] == like.shape[2:]:
        return u
    if old is None or new is None:
        raise ConfigError(
            f"the split has shape {tuple(like.shape[2:])}, training had {tuple(u.shape[2:])}, and the dataset gives no "
            "grids to interpolate between."
        )
    for axis, (from_nodes, to_nodes) in enumerate(zip(old.axes, new.axes, strict=True)):
        matrix = _interpolation_matrix(from_nodes.to(u), to_nodes.to(u))
        u = torch.tensordot(u, matrix, dims=([axis + 2], [1])).movedim(-1, axis + 2)
    return u


def _interpolation_matrix(old: Tensor, new: Tensor) -> Tensor:
    right = torch.searchsorted(old, new).clamp(1, len(old) - 1)
    weight = (new - old[right - 1]) / (old[right] - old[right - 1])
    matrix = torch.zeros(len(new), len(old), dtype=old.dtype)
    rows = torch.arange(len(new))
    matrix[rows, right - 1] = 1 - weight
    matrix[rows, right] = weight
    return matrix
