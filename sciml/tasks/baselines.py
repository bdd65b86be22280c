"""Trivial predictors that every operator result is printed beside: the training mean, and linear least squares."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sciml.data import Dataset, Split

__all__ = ["linear_baseline", "mean_baseline"]

Predictor = Callable[[Split], Tensor]


def mean_baseline(dataset: Dataset, target: str = "y") -> Predictor:
    """Predicts the mean target function of the training split, interpolated linearly to the grid of the split.

    Args:
        dataset: Its training split gives the mean.
        target: Name of the target.

    Returns:
        Function of a split that gives predictions ``(samples, channels, *grid)``.
    """
    mean = dataset.train[target].double().mean(0, keepdim=True)

    def predict(split: Split) -> Tensor:
        like = split[target]
        return _resample(mean, tuple(like.shape[2:])).to(like).expand(like.shape)

    return predict


def linear_baseline(dataset: Dataset, source: str = "x", target: str = "y") -> Predictor:
    r"""The best affine map from sampled input to sampled target, :math:`\min_W \|[X, 1] W - Y\|`, of least norm.

    On another grid the input is interpolated linearly to the training grid and the prediction back.

    Args:
        dataset: Its training split is fitted.
        source: Name of the input.
        target: Name of the target.
    """
    x, y = dataset.train[source].double(), dataset.train[target].double()
    ones = torch.ones(len(x), 1, dtype=torch.float64)
    solution = torch.linalg.lstsq(torch.cat([x.flatten(1), ones], 1), y.flatten(1), driver="gelsd").solution

    def predict(split: Split) -> Tensor:
        like = split[target]
        inputs = _resample(split[source].double(), tuple(x.shape[2:])).flatten(1)
        flat = torch.cat([inputs, torch.ones(len(inputs), 1, dtype=torch.float64)], 1) @ solution
        return _resample(flat.reshape(len(flat), *y.shape[1:]), tuple(like.shape[2:])).to(like)

    return predict


def _resample(u: Tensor, shape: tuple[int, ...]) -> Tensor:
    if tuple(u.shape[2:]) == shape:
        return u
    mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[len(shape)]
    return torch.nn.functional.interpolate(u, size=shape, mode=mode, align_corners=False)
