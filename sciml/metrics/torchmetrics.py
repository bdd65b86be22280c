"""Accumulators over batches and processes for users of TorchMetrics; the numbers are those of :mod:`sciml.metrics`."""

import torch
from torch import Tensor

from sciml.metrics.functional import relative_l2

try:
    from torchmetrics import Metric
except ImportError as error:
    raise ImportError("sciml.metrics.torchmetrics needs torchmetrics: pip install torchmetrics.") from error

__all__ = ["RelativeL2"]


class RelativeL2(Metric):
    """Mean over samples of the relative L2 error, with the standard error of that mean.

    Sums are kept in float64, so many small batches lose nothing. With one sample the standard error is NaN.

    Args:
        weights: Quadrature weights, as in :func:`~sciml.metrics.relative_l2`.

    Example:
        >>> metric = RelativeL2()
        >>> metric.update(torch.tensor([[2.0]]), torch.tensor([[1.0]]))
        >>> metric.update(torch.tensor([[3.0]]), torch.tensor([[3.0]]))
        >>> {name: value.item() for name, value in metric.compute().items()}
        {'relative_l2': 0.5, 'relative_l2_se': 0.5}
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    total: Tensor
    squares: Tensor
    count: Tensor
    weights: Tensor | None

    def __init__(self, weights: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("weights", weights, persistent=False)
        for name in ("total", "squares", "count"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Add samples ``(batch, channels, *grid)`` or ``(batch, points)``."""
        errors = relative_l2(prediction, target, self.weights).detach().double()
        self.total += errors.sum()
        self.squares += errors.square().sum()
        self.count += len(errors)

    def compute(self) -> dict[str, Tensor]:
        """``relative_l2`` and its standard error ``relative_l2_se``."""
        mean = self.total / self.count
        variance = (self.squares / self.count - mean.square()).clamp_min(0) * self.count / (self.count - 1)
        return {"relative_l2": mean, "relative_l2_se": (variance / self.count).sqrt()}
