"""The quadrature branch: its first layer integrates the input against kernels, so that no sensors are built in."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sciml.errors import ConfigError
from sciml.nn import ACTIVATIONS, MLP, activation_function
from sciml.operators.deeponet.features import FourierFeatures
from sciml.operators.deeponet.kernels import NetworkKernel, SensorKernel
from sciml.operators.deeponet.sampled import SampledBranch
from sciml.spaces import RegularGrid

__all__ = ["QuadratureBranch"]


class QuadratureBranch(SampledBranch):
    r"""Branch whose first layer is an integral, evaluated at whatever sensors there are.

    .. math:: h_i = \sigma\Big(\sum_c \int_D \kappa_{ic}(x)\, u_c(x)\, dx + \theta_i\Big)
        \approx \sigma\Big(\sum_c \sum_j w_j \kappa_{ic}(x_j)\, u_c(x_j) + \theta_i\Big)

    Args:
        out_features: Number of coefficients.
        dim: Dimension of the domain of the input functions.
        channels: Their channels.
        width: Number of kernels, the width of the first layer.
        kernel: Widths of the hidden layers of the network for all kernels; or such a network, from ``dim`` to ``width *
            channels`` features.
        hidden: Widths of the hidden layers after the first.
        activation: Name of :math:`\sigma` and of the activation of these layers.
        kernel_activation: Name of the activation in the network for the kernels; a smooth one makes smooth kernels, for
            which quadrature converges fast.
        frequencies: Random Fourier frequencies that this network reads in place of the coordinates, which makes rich
            kernels quick to learn; 0 for the coordinates themselves.
        frequency_scale: Their standard deviation, in cycles per unit of the coordinates: about one cycle over the
            domain suits a domain of length one.
        domain: Grid of functions that come without sensors.

    Shapes:
        As for :class:`SampledBranch`; the output is ``(batch, out_features)``.

    Raises:
        ConfigError: As for :class:`SampledBranch`.

    Reference:
        The first layer of a DeepONet's branch as the discretisation of an integral. Weights start Glorot normal, biases
        at zero.

    Example:
        >>> branch = QuadratureBranch(40, width=32)
        >>> x = torch.linspace(0, 1, 7)[:, None]
        >>> branch(torch.zeros(8, 7), x, torch.full((7,), 1 / 7)).shape
        torch.Size([8, 40])
    """

    def __init__(
        self,
        out_features: int,
        dim: int = 1,
        channels: int = 1,
        width: int = 64,
        kernel: Sequence[int] | nn.Module = (64, 64),
        hidden: Sequence[int] = (),
        activation: str = "relu",
        kernel_activation: str = "tanh",
        frequencies: int = 32,
        frequency_scale: float = 1.0,
        domain: RegularGrid | None = None,
    ) -> None:
        super().__init__(channels, dim, domain)
        activation_function(activation)
        self.out_features, self.activation = out_features, activation
        if not isinstance(kernel, nn.Module):
            sizes = (2 * frequencies or dim, *kernel, width * channels)
            kernel = MLP(*sizes, activation=kernel_activation, init="glorot-normal")
            if frequencies:
                kernel = nn.Sequential(FourierFeatures(dim, frequencies, frequency_scale), kernel)
        self.kernel: nn.Module = NetworkKernel(kernel, channels)
        self.theta = nn.Parameter(torch.zeros(width))
        self.head: nn.Module = MLP(width, *hidden, out_features, activation=activation, init="glorot-normal")

    @classmethod
    def from_dense(
        cls, network: MLP, sensors: Tensor, weights: Tensor, domain: RegularGrid | None = None
    ) -> QuadratureBranch:
        r"""The branch that equals a fully connected one at its sensors and reads any others, too.

        Its kernels are :math:`\kappa_{ic}(x_j) = \xi_{icj} / w_j` at the sensors, and linear in between. Other
        sensors serve as well as the trained weights are smooth from sensor to sensor, and those of a dense layer seldom
        are: train with a network as kernel, or put :class:`SensorBranch` before the dense one, where sensors will vary.

        Args:
            network: Trained branch; its weights are copied.
            sensors: Where it reads its input, ``(m, dim)``.
            weights: Quadrature weights of the sensors ``(m,)``, positive.
            domain: Grid of functions that come without sensors.

        Raises:
            ConfigError: If the sensors are not those of the network.

        Example:
            >>> dense, x = MLP(5, 16, 8, activation="relu"), torch.linspace(0, 1, 5)[:, None]
            >>> branch = QuadratureBranch.from_dense(dense, x, torch.full((5,), 0.2))
            >>> u = torch.rand(3, 5)
            >>> torch.allclose(branch(u, x, torch.full((5,), 0.2)), dense(u), atol=1e-6)
            True
        """
        sensors = sensors[:, None] if sensors.dim() == 1 else sensors
        first = network.layers[0]
        assert isinstance(first, nn.Linear)
        channels, rest = divmod(first.in_features, max(len(sensors), 1))
        if not channels or rest:
            raise ConfigError(
                f"the network reads {first.in_features} values, sensors have shape {tuple(sensors.shape)}: expected "
                "channels * m values at the m sensors of the training."
            )
        alone = len(network.layers) == 1
        activation = "identity" if alone and not network.final_activation else network.activation
        branch = cls(
            network.out_features, sensors.shape[1], channels, 1, (), (), activation, frequencies=0, domain=domain
        )
        branch.kernel = SensorKernel(first.weight, sensors, weights)
        branch.theta = nn.Parameter(first.bias.detach().clone())
        branch.head = nn.Identity() if alone else _without_first_layer(network)
        return branch.train(network.training)

    def encode(self, u: Tensor, points: Tensor, weights: Tensor) -> Tensor:
        """Integrals, activation, and the layers after it."""
        return self.head(ACTIVATIONS[self.activation](self.kernel(u, points, weights) + self.theta))


def _without_first_layer(network: MLP) -> MLP:
    rest = copy.deepcopy(network)
    rest.layers = rest.layers[1:]
    rest.widths = rest.widths[1:]
    return rest
