"""Building blocks that several parts of the library share."""

from sciml.nn.activations import ACTIVATIONS, activation_function
from sciml.nn.channel_mlp import ChannelLinear, ChannelMLP
from sciml.nn.complexity import fft_flops, model_complexity
from sciml.nn.mlp import MLP, FieldMLP

__all__ = [
    "ACTIVATIONS",
    "MLP",
    "ChannelLinear",
    "ChannelMLP",
    "FieldMLP",
    "activation_function",
    "fft_flops",
    "model_complexity",
]
