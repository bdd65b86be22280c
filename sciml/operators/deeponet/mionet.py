"""MIONet: operators of several input functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from sciml.errors import ConfigError
from sciml.operators.deeponet.core import DeepONet
from sciml.operators.deeponet.inputs import Layout, read_branch
from sciml.operators.deeponet.networks import feature_size

__all__ = ["MIONet"]


class ProductBranch(nn.Module):
    """Product of the coefficients of several branches, each with an input of its own.

    Args:
        *branches: Branches with the same number of features.

    Shapes:
        - **inputs**: One input per branch.
        - **output**: ``(batch, features)``.
    """

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        sizes = [feature_size(branch) for branch in branches]
        known = {size for size in sizes if size is not None}
        if not branches or len(known) > 1:
            raise ConfigError(
                f"the branches give {sizes} features, expected one number for all: their coefficients are multiplied."
            )
        self.branches = nn.ModuleList(branches)

    @property
    def out_features(self) -> int | None:
        """Features of every branch, where they are known."""
        return next((size for size in map(feature_size, self.branches) if size is not None), None)

    def forward(self, inputs: Sequence[Any]) -> Tensor:
        """Multiply what the branches give."""
        if len(inputs) != len(self.branches):
            raise ConfigError(
                f"there are {len(inputs)} input functions for {len(self.branches)} branches: give one per branch, as a "
                "tuple u, or as u, u2, u3."
            )
        parts = [read_branch(branch, u, None, None, None) for branch, u in zip(self.branches, inputs, strict=True)]
        if len({part.shape for part in parts}) > 1:
            raise ConfigError(
                f"the branches give {', '.join(str(tuple(part.shape)) for part in parts)}, expected one shape "
                "(batch, features): the same number of functions for every input, and of features for every branch."
            )
        result = parts[0]
        for part in parts[1:]:
            result = result * part
        return result


class MIONet(DeepONet):
    r"""DeepONet with several input functions, whose branches are multiplied.

    .. math:: G_c(u_1, \dots, u_n)(y) = \sum_{k=1}^{p} \prod_{i=1}^{n} b^i_{ck}(u_i)\, t_k(y) + b_{c0}

    With one input it is a :class:`DeepONet`. Layouts, several outputs, features and derivatives are those of
    :class:`DeepONet`.

    Args:
        branches: One branch per input function: modules that give the same number of features, or lists of widths.
        trunk: Maps query points to basis values: a module or a list of widths.
        bias: Add one number per output channel.
        out_channels: Channels of the output function.
        **options: Further arguments of :class:`DeepONet`, except ``stacked``.

    Shapes:
        - **u**: The first input, or all of them as a tuple; each as for :class:`DeepONet`.
        - **u2**, **u3**: The second and third input, where ``u`` is the first.
        - **coords**, **output**: As for :class:`DeepONet`.

    Raises:
        ConfigError: If the number of inputs is not that of the branches, or their features differ.

    Reference:
        Jin, Meng, Lu: MIONet, learning multiple-input operators via tensor product (2022).

    Example:
        >>> net = MIONet([[100, 40, 40], [60, 40, 40]], trunk=[1, 40, 40])
        >>> net((torch.zeros(8, 100), torch.zeros(8, 60)), torch.rand(50, 1)).shape
        torch.Size([8, 50])
    """

    def __init__(
        self,
        branches: Sequence[nn.Module | Sequence[int]],
        trunk: nn.Module | Sequence[Any],
        bias: bool = True,
        out_channels: int = 1,
        **options: Any,
    ) -> None:
        if options.get("stacked") or options.get("multi_output") == "independent":
            raise ConfigError("MIONet has no stacked and no independent form: give such branches as modules.")
        made = [DeepONet(branch, trunk, False, out_channels, **options).branch for branch in branches]
        super().__init__(ProductBranch(*made), trunk, bias, out_channels, **options)

    def forward(  # type: ignore[override]
        self,
        u: Any,
        coords: Any,
        u2: Any = None,
        u3: Any = None,
        layout: Layout | None = None,
        mask: Tensor | None = None,
        function: Tensor | None = None,
    ) -> Tensor:
        """Evaluate the output functions at the query points; arguments as in :class:`DeepONet`."""
        return super().forward(self._inputs(u, u2, u3), coords, layout, mask, function)

    @staticmethod
    def _inputs(u: Any, u2: Any, u3: Any) -> tuple[Any, ...]:
        rest = tuple(given for given in (u2, u3) if given is not None)
        if isinstance(u, tuple | list):
            if rest:
                raise ConfigError(f"u holds {len(u)} functions, and u2 or u3 is given, too: name all in one way.")
            return tuple(u)
        return (u, *rest)

    def coefficients(self, u: Any, *sampled: Tensor | None) -> Tensor:
        """Product of what the branches give for a tuple of inputs, ``(batch, features)``."""
        return self.branch(u)
