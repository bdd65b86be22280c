"""What is learned: the loss, the metrics and the normalisation, independent of the model and of the loop."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from sciml.data import Batch, Dataset, Split
from sciml.spaces import RegularGrid

__all__ = ["Metric", "Phase", "Step", "Task"]

# prediction in the units of the data, batch in the units of the data, split with its grids -> one value a sample
Metric = Callable[[Tensor, Batch, Split], Tensor]


@dataclass
class Step:
    """Result of one forward pass.

    Attributes:
        loss: Scalar mean over the samples of the batch.
        output: What the model gave.
        terms: Parts of the loss worth logging, by name.
        per_sample: One loss value a sample, where the task has it.
    """

    loss: Tensor
    output: Any = None
    terms: Mapping[str, Tensor] = field(default_factory=dict)
    per_sample: Tensor | None = None


@dataclass(frozen=True)
class Phase:
    """One stage of a staged training.

    Args:
        epochs: Length of the stage.
        parameters: Name patterns of the parameters that are trained; the others are frozen.
        optimizer: ``{"name": ..., arguments}``; None keeps the optimizer of the run.
    """

    epochs: int
    parameters: Sequence[str] = ("*",)
    optimizer: Mapping[str, Any] | None = None


class Task(nn.Module):
    """Base of all tasks.

    A task owns the normalisation: :meth:`encode` maps a batch in the units of the data to what the model sees, and is
    applied to all training samples at once where they are in memory, so it must act on each sample by itself.
    :meth:`compute` receives encoded batches; :meth:`predict` and the metrics take and give the units of the data.
    """

    def __init__(self) -> None:
        super().__init__()
        self.grids: dict[str, RegularGrid] = {}

    def setup(self, dataset: Dataset) -> None:
        """Fit what depends on the training split, before training starts."""
        self.grids = dict(dataset.train.grids)

    def prepare(self, split: Split) -> Split:
        """A whole training split, encoded once."""
        return split.map(self.encode)

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Load what :meth:`setup` fitted, from a state dictionary."""
        self.load_state_dict(dict(state))

    def bind(self, model: nn.Module, keys: Sequence[str], inputs: Mapping[str, str] | None = None) -> None:
        """Resolve how batches reach the model."""

    def encode(self, batch: Batch) -> Batch:
        """From the units of the data to what the model sees."""
        return batch

    def compute(self, model: nn.Module, batch: Batch) -> Step:
        """Loss of an encoded batch."""
        raise TypeError(f"{type(self).__name__} does not define compute(model, batch) -> Step.")

    def predict(self, model: nn.Module, batch: Batch) -> Tensor:
        """Prediction for a batch in the units of the data, in the same units."""
        raise TypeError(f"{type(self).__name__} does not define predict(model, batch) -> Tensor.")

    def metrics(self) -> Mapping[str, Metric]:
        """Name to function of (prediction, batch, split) that gives one value a sample."""
        return {}

    def configure_optimizers(self, model: nn.Module) -> Mapping[str, Any]:
        """The optimizer, and optionally the scheduler, where the user named none."""
        return {"optimizer": {"name": "adamw", "lr": 1e-3}}

    def phases(self) -> Sequence[Phase]:
        """Stages of the training; none means one stage with everything."""
        return ()

    def fit_closed_form(self, model: nn.Module, dataset: Dataset) -> bool:
        """Fit without gradient steps; return True when that was done and no loop is needed."""
        return False

    def settings(self) -> dict[str, Any]:
        """Constructor arguments as plain data, to build the task again from a run folder."""
        return {}


def trainable(model: nn.Module) -> list[Tensor]:
    """Parameters that receive gradients."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def device_of(model: nn.Module) -> torch.device:
    """Device of the first parameter or buffer; the CPU for a model without any."""
    tensor: Tensor | None = next(model.parameters(), None)
    if tensor is None:
        tensor = next(model.buffers(), None)
    return torch.device("cpu") if tensor is None else tensor.device


def dtype_of(model: nn.Module) -> torch.dtype | None:
    """Type of the data for a model: double for one in double precision, else single; None without floating weights.

    Models in half precision get single precision: the engine rounds what they see, and errors are not rounded.
    """
    types = {tensor.dtype for tensor in (*model.parameters(), *model.buffers()) if tensor.is_floating_point()}
    if not types:
        return None
    return torch.float64 if torch.float64 in types else torch.float32


def cast_batch(batch: Batch, device: torch.device, dtype: torch.dtype | None) -> Batch:
    """A batch on a device, its floating-point fields in one type; other fields keep theirs."""
    return {
        name: value.to(device, dtype) if dtype is not None and value.is_floating_point() else value.to(device)
        for name, value in batch.items()
    }
