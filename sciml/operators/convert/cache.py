"""Refined kernels are kept while nothing trains."""

from collections.abc import Callable, Hashable

import torch
from torch import Tensor

__all__ = ["KernelCache"]


class KernelCache:
    """The last kernel that was made of a weight; made anew when the weight changed or a gradient is wanted."""

    def __init__(self) -> None:
        self._key: Hashable = None
        self._weight: Tensor | None = None
        self._kernel: Tensor | None = None

    def __call__(self, scale: Hashable, weight: Tensor, make: Callable[[Tensor], Tensor]) -> Tensor:
        """The kernel of a weight at a scale."""
        if torch.is_grad_enabled() and weight.requires_grad:
            return make(weight)
        if weight.is_inference() or torch.compiler.is_compiling():
            return make(weight)
        key = (scale, weight.dtype, weight.device)
        # The version of a tensor does not tell: fused optimizers change weights and leave it as it was.
        if key != self._key or self._kernel is None or self._weight is None or not torch.equal(weight, self._weight):
            self._key, self._weight, self._kernel = key, weight.detach().clone(), make(weight)
        return self._kernel

    def __deepcopy__(self, memo: object) -> "KernelCache":
        return KernelCache()

    def __reduce__(self) -> tuple[type["KernelCache"], tuple[()]]:
        return KernelCache, ()
