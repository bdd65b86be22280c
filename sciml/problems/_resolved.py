"""Whether an expansion in Fourier modes or polynomials holds what it stands for."""

import warnings

from torch import Tensor

__all__ = ["warn_if_unresolved"]

# Largest share that the last eighth of the coefficients may have; smooth functions reach 1e-6 and less.
_TAIL = 1e-3


def warn_if_unresolved(coefficients: Tensor, what: str, way_out: str) -> None:
    """Warn when the coefficients of high order have not decayed: digits are missing.

    Args:
        coefficients: ``(samples, ..., k)`` in ascending order.
        what: What is expanded, for the message.
        way_out: What to change.

    Example:
        >>> import torch
        >>> warn_if_unresolved(torch.tensor([[1.0, 0.1, 1e-5]]), "the source", "take more nodes")
    """
    size = coefficients.detach().abs()
    tail = size[..., -max(1, size.shape[-1] // 8) :].amax(-1)
    largest = size.amax(-1)
    share = (tail / largest.where(largest > 0, 1)).reshape(len(size), -1)
    worst = float(share.max()) if share.numel() else 0.0
    if worst > _TAIL:
        num = int((share > _TAIL).any(1).sum())
        warnings.warn(
            f"{what} of {num} of {len(size)} samples is not resolved: coefficients of the highest order are "
            f"{worst:.0e} of the largest, expected less than {_TAIL:.0e}. {way_out}",
            stacklevel=3,
        )
