"""Operator regression: map input functions to target functions, on the grid where the target is sampled."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from sciml import metrics
from sciml.data import Batch, Dataset, Split, training_splits
from sciml.errors import ConfigError
from sciml.metrics import relative_h1, relative_l2
from sciml.spaces import RegularGrid
from sciml.train.binding import Binding, bind
from sciml.train.normalizer import FieldNormalizer
from sciml.train.task import Metric, Step, Task

__all__ = ["OperatorRegression"]

_LOSSES = ("mse", "relative_l2", "relative_h1")
# prediction, target, weights of the points or None -> scalar
_Loss = Callable[[Tensor, Tensor, Tensor | None], Tensor]


class OperatorRegression(Task):
    r"""Learns an operator :math:`G: x \mapsto y` from pairs of sampled functions.

    Inputs and targets are standardised per channel with statistics of the training split. The loss compares
    standardised functions; metrics and predictions are in the units of the data. With several training resolutions,
    every sample counts alike in the statistics, and each loss is taken by quadrature on the grid of its batch, so that
    they are comparable.

    Args:
        loss: ``mse``, ``relative_l2`` or ``relative_h1`` (the last needs a grid), or a sum of them:
            ``relative_l2+relative_h1``.
        normalize: Standardise floating-point inputs and targets; a list names the fields.
        target: Batch key of the target function.
        optimizer: Optimizer when the run names none.

    Shapes:
        - **x**, **y**: ``(batch, channels, *grid)`` or as the dataset says; a model may give ``(batch, points)`` for a
          scalar target on a grid.
        - **y.weight**: quadrature weights of the target's points, ``(points,)`` or ``(batch, points)``; losses and
          errors use them.
        - **y.mask**: ``(batch, points)``, False on padding, which no loss, error or statistic sees.

    Raises:
        ConfigError: If the loss is unknown, or needs a grid that the data lack.
    """

    def __init__(
        self,
        loss: str = "relative_l2",
        normalize: bool | list[str] = True,
        target: str = "y",
        optimizer: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if not set(loss.split("+")) <= set(_LOSSES):
            raise ConfigError(f"task.loss is {loss!r}, expected {', '.join(_LOSSES)}, or a sum of them with +.")
        self.loss = loss
        self.normalize = normalize
        self.target = target
        self.optimizer = optimizer
        self.normalizer = FieldNormalizer({})
        self._coords: dict[tuple[Any, ...], Tensor] = {}
        self._grids: dict[tuple[int, ...], RegularGrid] = {}
        self._several = False
        self._binding: Binding | None = None
        self._loss: _Loss | None = None

    def settings(self) -> dict[str, Any]:
        return {"loss": self.loss, "normalize": self.normalize, "target": self.target}

    def setup(self, dataset: Dataset) -> None:
        super().setup(dataset)
        train = dataset.train
        if self.target not in train.tensors:
            raise ConfigError(f"the data hold {sorted(train.tensors)}, but the task's target is {self.target!r}.")
        names = self._fields_to_normalize(dataset)
        channels = {name: spec.channels for name, spec in dataset.spec.fields.items()}
        splits = list(training_splits(dataset).values())
        self.normalizer = FieldNormalizer.fit(splits, names, channels)
        self._several = len(splits) > 1
        self._loss = self._make_loss()

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self.normalizer = FieldNormalizer.like(state, prefix="normalizer.fields.")
        super().restore(state)

    def _fields_to_normalize(self, dataset: Dataset) -> list[str]:
        if isinstance(self.normalize, bool):
            roles = [*dataset.spec.inputs, *dataset.spec.targets] if self.normalize else []
            return [field.name for field in roles if dataset.train[field.name].is_floating_point()]
        return list(self.normalize)

    def _make_loss(self) -> _Loss:
        parts = [self._loss_part(name) for name in self.loss.split("+")]
        if len(parts) == 1:
            return parts[0]
        return lambda prediction, target, weight: sum(part(prediction, target, weight) for part in parts)  # type: ignore[return-value]

    def _loss_part(self, name: str) -> _Loss:
        if name == "mse" and not self._several:
            return _mse
        if name == "mse":
            return lambda prediction, target, weight: _mse(prediction, target, self._weights(weight, prediction))
        if name == "relative_l2":
            return lambda prediction, target, weight: relative_l2(
                prediction, target, self._weights(weight, prediction)
            ).mean()
        if self.target not in self.grids:
            raise ConfigError(f"task.loss relative_h1 needs the grid of {self.target!r}, and the dataset has none.")
        return lambda prediction, target, weight: relative_h1(prediction, target, self._grid_of(target)).mean()

    def _weights(self, weight: Tensor | None, like: Tensor) -> Tensor | None:
        grid = self._grid_of(like) if weight is None and self.target in self.grids else None
        return _fitted(weight, grid, like)

    def _grid_of(self, values: Tensor) -> RegularGrid:
        """The grid of the target at the resolution of these values."""
        reference = self.grids[self.target]
        shape = tuple(values.shape[values.dim() - reference.dim :])
        if shape == reference.shape or values.dim() <= reference.dim:
            return reference
        if shape not in self._grids:
            self._grids[shape] = reference.with_shape(shape)
        return self._grids[shape]

    def bind(self, model: nn.Module, keys: Sequence[str], inputs: Mapping[str, str] | None = None) -> None:
        self._binding = bind(model, [key for key in keys if key != self.target], inputs)

    def prepare(self, split: Split) -> Split:
        encoded = split.map(self.encode)
        if "relative" in self.loss:
            self._check_scale(encoded[self.target])
        if f"{self.target}.mask" in split.tensors:
            key = f"{self.target}.weight"
            weight = _point_weights(split.tensors, self.target)
            assert weight is not None
            encoded = replace(encoded, tensors={**encoded.tensors, key: weight}, shared=encoded.shared - {key})
        grid = split.grids.get(self.target)
        if grid is None or "coords" in split.tensors:
            return encoded
        coords = self._query_points(tuple(grid.shape), split[self.target])
        return replace(encoded, tensors={**encoded.tensors, "coords": coords}, shared=encoded.shared | {"coords"})

    def _check_scale(self, target: Tensor) -> None:
        """A relative error needs targets that are not zero; one that is makes the loss infinite."""
        zero = target.flatten(1).abs().amax(1) == 0
        if bool(zero.any()):
            raise ConfigError(
                f"the target {self.target!r} equals its mean in {int(zero.sum())} samples, first in sample "
                f"{int(zero.nonzero()[0])}: task.loss {self.loss} has nothing to be relative to. Leave these samples "
                "out, or take task.loss mse."
            )

    def _query_points(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """Points ``(points, dim)`` of the target's grid at any resolution, for models that take coordinates."""
        key = (shape, like.dtype, like.device)
        if key not in self._coords:
            grid = self.grids[self.target].with_shape(shape)
            self._coords[key] = grid.points.to(dtype=like.dtype, device=like.device)
        return self._coords[key]

    def encode(self, batch: Batch) -> Batch:
        return self.normalizer.encode(batch)

    def compute(self, model: nn.Module, batch: Batch) -> Step:
        assert self._binding is not None
        assert self._loss is not None
        target = batch[self.target]
        output = _like(self._binding(model, batch), target)
        return Step(self._loss(output, target, batch.get(f"{self.target}.weight")), output)

    def predict(self, model: nn.Module, batch: Batch) -> Tensor:
        if self._binding is None:
            raise ConfigError("the task is not bound to a model yet: fit it, or load it with sciml.load.")
        inputs = self.encode({name: value for name, value in batch.items() if name != self.target})
        shape: tuple[int, ...] | None = None
        if "coords" in self._binding.arguments.values() and "coords" not in inputs and self.target in self.grids:
            source = batch[self.target] if self.target in batch else next(iter(inputs.values()))
            shape = tuple(source.shape[2:])
            inputs["coords"] = self._query_points(shape, next(iter(inputs.values())))
        output = self._binding(model, inputs)
        if self.target in batch:
            output = _like(output, batch[self.target])
        elif shape is not None and output.shape[-1] == math.prod(shape):
            output = output.reshape(len(output), -1, *shape)
        return self.normalizer[self.target].inverse(output) if self.target in self.normalizer else output

    def metrics(self) -> Mapping[str, Metric]:
        target = self.target

        def l2(prediction: Tensor, batch: Batch, split: Split) -> Tensor:
            weight = _point_weights(batch, target)
            return relative_l2(prediction, batch[target], _fitted(weight, split.grids.get(target), prediction))

        def mse(prediction: Tensor, batch: Batch, split: Split) -> Tensor:
            weight = _fitted(_point_weights(batch, target), None, prediction)
            return metrics.mse(prediction, batch[target], weight)

        def h1(prediction: Tensor, batch: Batch, split: Split) -> Tensor:
            return relative_h1(prediction, batch[target], split.grids[target])

        return {"relative_l2": l2, "mse": mse} | ({"relative_h1": h1} if target in self.grids else {})

    def configure_optimizers(self, model: nn.Module) -> Mapping[str, Any]:
        return {"optimizer": self.optimizer or {"name": "adamw", "lr": 1e-3}}


def _point_weights(batch: Mapping[str, Tensor], target: str) -> Tensor | None:
    """Weights of the target's points, zero on padding; None where all count alike."""
    weight, mask = batch.get(f"{target}.weight"), batch.get(f"{target}.mask")
    if mask is None:
        return weight
    return mask.to(batch[target].dtype) if weight is None else weight * mask


def _fitted(weight: Tensor | None, grid: RegularGrid | None, like: Tensor) -> Tensor | None:
    """Weights that broadcast to the values; those of the grid where the batch has none and they are not equal."""
    if weight is not None:
        return weight[:, None] if weight.dim() == 2 and like.dim() == 3 else weight
    # Equal weights cancel in a relative error.
    if grid is None or grid.uniform or grid.shape != tuple(like.shape[like.dim() - grid.dim :]):
        return None
    return grid.weights_nd(dtype=like.dtype, device=like.device)


def _mse(prediction: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
    if weight is None:
        return nn.functional.mse_loss(prediction, target)
    return metrics.mse(prediction, target, weight).mean()


def _like(output: Tensor, target: Tensor) -> Tensor:
    """The output in the shape of the target: grids may come as lists of points, one channel without its axis."""
    if output.shape == target.shape:
        return output
    # Nothing but the two: a reshape that only keeps the number of values could exchange channels and points.
    if _canonical(output.shape) == _canonical(target.shape):
        return output.reshape(target.shape)
    raise ConfigError(
        f"the model gives {tuple(output.shape)}, the target has {tuple(target.shape)}. "
        "Check the number of output channels, and that the model's query points are those of the target."
    )


def _canonical(shape: Sequence[int]) -> tuple[int, int, int]:
    """Batch, channels, points; without an axis of channels there is one."""
    batch, *rest = shape
    channels = rest[0] if len(rest) > 1 else 1
    return batch, channels, math.prod(rest) // max(channels, 1)
