"""Observers of a training run: they watch, stop it, or keep averaged weights, but do not touch gradients."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sciml.errors import ConfigError

if TYPE_CHECKING:
    from sciml.train.loop import TrainingLoop

__all__ = ["EMA", "Callback", "EarlyStopping"]


class Callback:
    """Base of all callbacks; every event does nothing."""

    def on_fit_start(self, loop: TrainingLoop) -> None:
        """After everything is set up and a checkpoint, if any, is loaded."""

    def on_step_end(self, loop: TrainingLoop) -> None:
        """After every optimizer step."""

    def on_epoch_end(self, loop: TrainingLoop, row: dict[str, float]) -> None:
        """After training and validation of an epoch; ``row`` holds what is logged. May set ``loop.should_stop``."""

    def on_fit_end(self, loop: TrainingLoop) -> None:
        """After the last epoch, before the model is saved."""

    def evaluation_weights(self, loop: TrainingLoop) -> AbstractContextManager[Any]:
        """Context in which the model is validated."""
        return nullcontext()

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` gave."""


class EarlyStopping(Callback):
    """Stops when a metric has not improved for some epochs.

    Args:
        monitor: Column of the log, for example ``"val/relative_l2"``.
        patience: Number of validations without improvement that are accepted.
        min_delta: Smallest change that counts.
        mode: Whether the metric should fall or rise.

    Raises:
        ConfigError: If ``mode`` is unknown, ``patience`` is negative or the column does not exist.
    """

    def __init__(self, monitor: str, patience: int = 10, min_delta: float = 0.0, mode: str = "min") -> None:
        if mode not in ("min", "max"):
            raise ConfigError(f"mode is {mode!r}, expected 'min' or 'max'.")
        if patience < 0:
            raise ConfigError(f"patience is {patience}, expected at least 0.")
        self.monitor, self.patience, self.min_delta, self.mode = monitor, patience, min_delta, mode
        self.best = math.inf
        self.waited = 0

    def on_epoch_end(self, loop: TrainingLoop, row: dict[str, float]) -> None:
        if self.monitor not in row:
            if any(name.startswith("val") for name in row):
                raise ConfigError(f"EarlyStopping monitors {self.monitor!r}; the log has {', '.join(sorted(row))}.")
            return
        value = row[self.monitor] if self.mode == "min" else -row[self.monitor]
        if value < self.best - self.min_delta:
            self.best, self.waited = value, 0
            return
        self.waited += 1
        if self.waited > self.patience:
            loop.stop(f"{self.monitor} has not improved for {self.waited} validations")

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best, self.waited = state["best"], state["waited"]


class EMA(Callback):
    r"""Exponential moving average of the weights, used for validation and as the final model.

    .. math:: \bar\theta_t = d\,\bar\theta_{t-1} + (1 - d)\,\theta_t

    Args:
        decay: The factor :math:`d`, in ``[0, 1)``.

    Raises:
        ConfigError: If ``decay`` is outside its range.
    """

    def __init__(self, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise ConfigError(f"decay is {decay}, expected a number in [0, 1).")
        self.decay = decay
        self._average: list[Tensor] = []

    def _parameters(self, model: nn.Module) -> list[Tensor]:
        return [parameter.data for parameter in model.parameters()]

    def on_fit_start(self, loop: TrainingLoop) -> None:
        parameters = self._parameters(loop.model)
        if not self._average:
            self._average = [parameter.clone() for parameter in parameters]
        self._average = [a.to(p.device) for a, p in zip(self._average, parameters, strict=True)]

    def on_step_end(self, loop: TrainingLoop) -> None:
        torch._foreach_lerp_(self._average, self._parameters(loop.model), 1 - self.decay)

    @contextmanager
    def evaluation_weights(self, loop: TrainingLoop) -> Iterator[None]:
        parameters = self._parameters(loop.model)
        trained = [parameter.clone() for parameter in parameters]
        torch._foreach_copy_(parameters, self._average)
        try:
            yield
        finally:
            torch._foreach_copy_(parameters, trained)

    def on_fit_end(self, loop: TrainingLoop) -> None:
        torch._foreach_copy_(self._parameters(loop.model), self._average)

    def state_dict(self) -> dict[str, Any]:
        return {"average": self._average}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._average = [average.clone() for average in state["average"]]
