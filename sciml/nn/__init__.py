"""Building blocks that several parts of the library share."""

from sciml.nn.activations import ACTIVATIONS, activation_function
from sciml.nn.channel_mlp import ChannelLinear, ChannelMLP

__all__ = ["ACTIVATIONS", "ChannelLinear", "ChannelMLP", "activation_function"]
