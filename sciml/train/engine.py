"""Devices, precision and processes: a plain engine for one device, lightning-fabric for everything else.

The plain engine adds nothing to a step. Fabric is imported only when it is needed.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from sciml.errors import ConfigError

__all__ = ["Engine", "FabricEngine", "make_engine"]

ACCELERATORS = ("auto", "cpu", "cuda", "gpu", "mps")
_PRECISIONS = ("32-true", "64-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true")


class Engine:
    """One device, float32 or float64, no wrapping.

    Attributes:
        device: Where model and batches live.
        rank: Index of this process.
        world_size: Number of processes.
        scales_loss: Gradients may be infinite for a step, which the loss scaler then skips.
    """

    rank = 0
    world_size = 1

    def __init__(self, device: torch.device, dtype: torch.dtype | None = None) -> None:
        self.device = device
        self.dtype = dtype
        self.scales_loss = False

    def prepare(self, model: nn.Module) -> nn.Module:
        """Move the model to the device and give it the dtype of the run."""
        return model.to(self.device, self.dtype) if self.dtype else model.to(self.device)

    def setup(self, model: nn.Module, optimizer: Optimizer) -> tuple[nn.Module, Optimizer]:
        """Wrap for several processes or mixed precision."""
        return model, optimizer

    def backward(self, loss: Tensor) -> None:
        """Gradients of the loss."""
        loss.backward()

    def unscale(self, optimizer: Optimizer) -> None:
        """Undo a loss scale before gradients are looked at."""

    @contextmanager
    def no_sync(self, model: nn.Module, enabled: bool) -> Iterator[None]:
        """Leave out the gradient reduction between processes, for all micro-batches but the last."""
        yield

    def sum(self, values: Tensor) -> Tensor:
        """Sum over processes."""
        return values

    def barrier(self) -> None:
        """Wait for all processes."""


class FabricEngine(Engine):
    """Several devices, mixed precision, or a strategy by name."""

    def __init__(self, accelerator: str, devices: Any, num_nodes: int, strategy: Any, precision: str) -> None:
        from lightning_fabric import Fabric

        self.fabric = Fabric(
            accelerator=accelerator,
            devices=devices,
            num_nodes=num_nodes,
            strategy=strategy,
            # Model and data are cast here; Fabric's own double precision would round outputs to float32.
            precision="32-true" if precision == "64-true" else precision,  # type: ignore[arg-type]
        )
        self.fabric.launch()
        # Threads of a process group that is still open abort the interpreter at exit.
        atexit.register(_leave_process_group)
        super().__init__(self.fabric.device, torch.float64 if precision == "64-true" else None)
        self.rank = self.fabric.global_rank
        self.world_size = self.fabric.world_size
        self._scaler = getattr(self.fabric._precision, "scaler", None)
        self.scales_loss = self._scaler is not None

    def setup(self, model: nn.Module, optimizer: Optimizer) -> tuple[nn.Module, Optimizer]:
        wrapped, wrapped_optimizer = self.fabric.setup(model, optimizer)
        return wrapped, wrapped_optimizer

    def backward(self, loss: Tensor) -> None:
        self.fabric.backward(loss)

    def unscale(self, optimizer: Optimizer) -> None:
        if self._scaler is not None:
            self.fabric._precision.unscale_gradients(optimizer)

    @contextmanager
    def no_sync(self, model: nn.Module, enabled: bool) -> Iterator[None]:
        if self.world_size == 1 or not enabled:
            yield
            return
        with self.fabric.no_backward_sync(model, enabled=True):  # type: ignore[arg-type]
            yield

    def sum(self, values: Tensor) -> Tensor:
        if self.world_size == 1:
            return values
        total = self.fabric.all_reduce(values, reduce_op="sum")
        assert isinstance(total, Tensor)
        return total

    def barrier(self) -> None:
        self.fabric.barrier()


def _leave_process_group() -> None:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def make_engine(accelerator: str, devices: Any, num_nodes: int, strategy: Any, precision: str) -> Engine:
    """The plain engine where it suffices, else Fabric.

    Raises:
        ConfigError: If accelerator, precision or strategy are unknown, the accelerator is not there, the strategy
            cannot run on it, or there is no launcher for several machines.
    """
    if accelerator not in ACCELERATORS:
        raise ConfigError(f"accelerator is {accelerator!r}, expected one of {', '.join(ACCELERATORS)}.")
    if precision not in _PRECISIONS:
        raise ConfigError(f"precision is {precision!r}, expected one of {', '.join(_PRECISIONS)}.")
    if accelerator in ("cuda", "gpu") and not torch.cuda.is_available():
        raise ConfigError(f"accelerator is {accelerator!r}, but torch sees no CUDA device. Use accelerator='cpu'.")
    if accelerator == "mps" and not torch.backends.mps.is_available():
        raise ConfigError("accelerator is 'mps', but torch sees no Metal device. Use accelerator='cpu'.")
    _check_strategy(strategy, accelerator)
    if num_nodes > 1:
        _check_launcher(num_nodes)
    launched_outside = torch.distributed.is_available() and torch.distributed.is_torchelastic_launched()
    plain = devices in (1, "1") and num_nodes == 1 and strategy == "auto" and precision in ("32-true", "64-true")
    if not plain or launched_outside:
        return FabricEngine(accelerator, devices, num_nodes, strategy, precision)
    return Engine(_single_device(accelerator), torch.float64 if precision == "64-true" else None)


def _check_strategy(strategy: Any, accelerator: str) -> None:
    """A strategy by name exists, and its devices are there."""
    if strategy == "auto" or not isinstance(strategy, str):
        return
    from lightning_fabric.strategies import STRATEGY_REGISTRY

    known = ["auto", *STRATEGY_REGISTRY.available_strategies()]
    if strategy not in known:
        close = get_close_matches(strategy, known, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ConfigError(f"trainer.strategy is {strategy!r}, expected one of {', '.join(known)}.{hint}")
    on_cuda = accelerator in ("cuda", "gpu") or (accelerator == "auto" and torch.cuda.is_available())
    if strategy.startswith(("fsdp", "deepspeed")) and not on_cuda:
        raise ConfigError(
            f"trainer.strategy is {strategy!r}, which splits a model over CUDA devices, but this run uses none "
            f"(accelerator={accelerator!r}). Take strategy='ddp' with devices=2 or more, or leave strategy out."
        )


def _check_launcher(num_nodes: int) -> None:
    """Several machines need a launcher on each; one that was started alone would wait for the others for ever."""
    from lightning_fabric.plugins import environments

    launchers = ("TorchElasticEnvironment", "SLURMEnvironment", "LSFEnvironment", "MPIEnvironment")
    by_hand = {"MASTER_ADDR", "MASTER_PORT"} <= set(os.environ) and {"NODE_RANK", "GROUP_RANK"} & set(os.environ)
    if by_hand or any(getattr(environments, name).detect() for name in launchers):
        return
    raise ConfigError(
        f"trainer.num_nodes is {num_nodes}, but no launcher started this process, so it would wait for the other "
        f"machines for ever. Start it on every machine with torchrun --nnodes {num_nodes} --nproc-per-node DEVICES "
        "--rdzv-endpoint HOST:PORT -m sciml fit ..., or under SLURM with srun; on one machine leave num_nodes out."
    )


def _single_device(accelerator: str) -> torch.device:
    if accelerator in ("cuda", "gpu") or (accelerator == "auto" and torch.cuda.is_available()):
        return torch.device("cuda", torch.cuda.current_device())
    if accelerator == "mps":
        return torch.device("mps")
    return torch.device("cpu")
