"""The module of a third-party distribution: a method that writes down every hook it gets."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from sciml import Method


class HookLog(Method):
    """Logs the hooks of one optimizer step, and what can be seen in them."""

    name = "hook-log"

    def __init__(self) -> None:
        self.log: list[str] = []

    def transform(self, model: nn.Module, batch: dict[str, Any]) -> nn.Module:
        self.log.append("transform")
        return model

    def wrap_optimizer(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        self.log.append("wrap_optimizer")
        return optimizer

    def setup(self, model: nn.Module, seed: int, total_steps: int | None) -> None:
        self.weights = [parameter.detach().clone() for parameter in model.parameters()]
        self.log.append("setup")

    def on_batch_start(self, context: Any) -> None:
        self.log.append(f"on_batch_start {context.step}")

    def micro_passes(self) -> int:
        return 2

    @contextmanager
    def forward_context(self, context: Any) -> Iterator[None]:
        self.log.append(f"enter {context.step}.{context.micro_pass}")
        yield
        self.log.append(f"leave {context.step}.{context.micro_pass}")

    def extra_loss(self, context: Any) -> dict[str, Tensor]:
        self.log.append(f"extra_loss {context.step}.{context.micro_pass}")
        return {"nothing": context.output.sum() * 0}

    def on_after_backward(self, context: Any) -> None:
        self.log.append(f"on_after_backward {context.step}.{context.micro_pass}")

    def _norm(self, context: Any) -> str:
        grads = [p.grad.flatten() for p in context.model.parameters()]
        return "norm>1" if torch.cat(grads).norm() > 1 + 1e-5 else "norm<=1"

    def on_unscaled_gradients(self, context: Any) -> None:
        self.log.append(f"on_unscaled_gradients {context.step} {self._norm(context)}")

    def on_clipped_gradients(self, context: Any) -> None:
        self.log.append(f"on_clipped_gradients {context.step} {self._norm(context)}")

    def on_after_step(self, context: Any) -> None:
        moved = any(not torch.equal(a, b) for a, b in zip(self.weights, context.model.parameters(), strict=True))
        self.log.append(f"on_after_step {context.step} weights {'moved' if moved else 'stayed'}")

    def on_epoch_end(self, context: Any) -> None:
        self.log.append(f"on_epoch_end {context.epoch + 1}")
