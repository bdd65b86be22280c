"""Building blocks that several parts of the library share."""

from sciml.nn.activations import ACTIVATIONS, activation_function
from sciml.nn.attention import attention_matrix, linear_attention, weighted_attention
from sciml.nn.channel_mlp import ChannelLinear, ChannelMLP
from sciml.nn.complexity import fft_flops, model_complexity
from sciml.nn.grid_embedding import GridEmbedding
from sciml.nn.integral_attention import IntegralAttention
from sciml.nn.mlp import MLP, FieldMLP
from sciml.nn.neighbours import Neighbours, radius_neighbours
from sciml.nn.weighted_batch_norm import WeightedBatchNorm, WeightedInstanceNorm
from sciml.nn.weighted_norm import WeightedGroupNorm, WeightedLayerNorm, weighted_moments

__all__ = [
    "ACTIVATIONS",
    "MLP",
    "ChannelLinear",
    "ChannelMLP",
    "FieldMLP",
    "GridEmbedding",
    "IntegralAttention",
    "Neighbours",
    "WeightedBatchNorm",
    "WeightedGroupNorm",
    "WeightedInstanceNorm",
    "WeightedLayerNorm",
    "activation_function",
    "attention_matrix",
    "fft_flops",
    "linear_attention",
    "model_complexity",
    "radius_neighbours",
    "weighted_attention",
    "weighted_moments",
]
