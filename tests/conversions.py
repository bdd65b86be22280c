"""What the tests of converted networks share."""

from typing import Any

import torch
from torch import Tensor, nn

from sciml.operators.convert import to_operator
from sciml.spaces import RegularGrid


def grid(shape: tuple[int, ...], alignment: str = "cell", periodic: bool = False) -> RegularGrid:
    return RegularGrid(shape=shape, bounds=((0.0, 1.0),) * len(shape), periodic=periodic, alignment=alignment)  # type: ignore[arg-type]


def assert_same(network: nn.Module, reference: Any, x: Tensor, **options: Any) -> None:
    """Values and gradients of all parameters and of the input, in training and in evaluation mode."""
    operator = to_operator(network, reference, **options)
    parameters, own = dict(network.named_parameters()), dict(operator.network.named_parameters())
    assert {name: p.data_ptr() for name, p in parameters.items()} == {name: p.data_ptr() for name, p in own.items()}
    assert list(network.state_dict()) == list(operator.network.state_dict())
    for mode in (True, False):
        network.train(mode), operator.train(mode)
        gradients = []
        for function in (network, operator):
            x = x.detach().requires_grad_()
            torch.manual_seed(1)
            y = function(x)
            gradients.append(
                (y.detach(), *torch.autograd.grad(y.square().sum(), [x, *parameters.values()], allow_unused=True))
            )
        for expected, found in zip(*gradients, strict=True):
            assert (expected is None) == (found is None)
            if expected is not None:
                torch.testing.assert_close(found, expected, rtol=0, atol=1e-12 if x.dtype == torch.float64 else 1e-6)
