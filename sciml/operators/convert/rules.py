"""The rule of every kind of layer: what it becomes, and in which order it converges.

A rule is found by the class of a module, first among those of the user, then here, then among the plugins
(``sciml.converters``). A subclass that has a ``forward`` of its own is another layer and needs a rule of its own.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from torch import nn

from sciml.errors import ConversionError
from sciml.nn.grid_embedding import GridEmbedding
from sciml.operators.convert.attention import attention
from sciml.operators.convert.convolution import check, conv_class
from sciml.operators.convert.interpolation import LatticeUpsample
from sciml.operators.convert.linear import Factors, IntegralLinear, LatticeEmbedding, LatticeLayerNorm
from sciml.operators.convert.message_passing import ATTENTION, NORMALISED, SUMS, message_passing, readout
from sciml.operators.convert.normalisation import normalisation
from sciml.operators.convert.padding import pad_class
from sciml.operators.convert.pooling import pool_class
from sciml.operators.convert.site import Site, adopt
from sciml.operators.convert.trace import Trace
from sciml.operators.convert.transposed import LatticePixelShuffle, transpose_class
from sciml.registry import registry

__all__ = [
    "MESSAGES",
    "Place",
    "Rule",
    "describe",
    "find_rule",
    "reads_nodes",
    "register_converter",
    "unregister_converter",
]


@dataclass(frozen=True)
class Place:
    """What a rule may know about the module that it converts.

    Args:
        path: Name of the module in the network.
        site: For the converted module: shapes at the reference, lattice, scale of the present pass.
        form: Form of convolutions: ``hat``, ``cubic``, ``stencil``, ``differential``, ``spectral`` or ``cells``.
        role: What the user said about the module; None otherwise.
        trace: The pass at the reference.
        channels_last: Whether the network keeps the channels in the last axis.
    """

    path: str
    site: Site
    form: str = "hat"
    role: str | None = None
    trace: Trace = field(default_factory=Trace)
    channels_last: bool = False


@dataclass(frozen=True)
class Rule:
    """What becomes of a kind of layer.

    Args:
        name: One word for reports.
        convert: Makes the converted module, which holds the same parameters; None leaves the module as it is.
        order: How fast it converges as the lattice is refined, for smooth functions; for reports.
        whole: Whether the rule takes care of the modules inside; otherwise these are converted first.
        roles: Of the modules inside, by their names, where the user said nothing.
    """

    name: str
    convert: Callable[[nn.Module, Place], nn.Module] | None = None
    order: str = "exact"
    whole: bool = True
    roles: Mapping[str, str] = field(default_factory=dict)


_REGISTERED: dict[type[nn.Module] | str, Rule] = {}


def register_converter(kind: type[nn.Module] | str, rule: Rule) -> None:
    """Add a rule, or replace one.

    Args:
        kind: A class of modules, or its full name, so that its package need not be imported.
        rule: What becomes of its instances.

    Example:
        >>> class Swish(nn.Module):
        ...     def forward(self, x):
        ...         return x * x.sigmoid()
        >>> register_converter(Swish, Rule("pointwise"))
        >>> find_rule(Swish()).name
        'pointwise'
        >>> unregister_converter(Swish)
    """
    if not isinstance(rule, Rule):
        raise TypeError(f"rule is a {type(rule).__name__}, expected sciml.operators.convert.Rule.")
    _REGISTERED[kind] = rule


def unregister_converter(kind: type[nn.Module] | str) -> None:
    """Take a rule away that was added."""
    _REGISTERED.pop(kind, None)


def find_rule(module: nn.Module, rules: Mapping[type[nn.Module] | str, Rule] | None = None) -> Rule | None:
    """The rule of a module; None if there is none.

    Args:
        module: A module.
        rules: Rules that come before all others.
    """
    for table in (rules or {}, _REGISTERED, _builtin()):
        if (rule := _lookup(module, table)) is not None:
            return rule
    return _lookup(module, _plugins())


def _lookup(module: nn.Module, table: Mapping[Any, Rule]) -> Rule | None:
    mro: tuple[Any, ...] = type(module).__mro__
    for cls in mro:
        rule = table.get(cls) or table.get(f"{cls.__module__}.{cls.__qualname__}")
        if rule is not None:
            own: Any = type(module)
            return rule if own.forward is cls.forward else None
        if cls is nn.Module:
            return None
    return None


@cache
def _plugins() -> dict[Any, Rule]:
    found: dict[Any, Rule] = {}
    known = registry("converters")
    for name in known:
        loaded = known.load(name)
        if not isinstance(loaded, Mapping):
            raise ConversionError(f"the converter {name!r} is a {type(loaded).__name__}, expected a mapping to rules.")
        found.update(loaded)
    return found


def describe(module: nn.Module) -> tuple[str, str] | None:
    """Rule and order of a converted module, where they depend on more than the type of the layer."""
    conv: Any = module
    for form, order in _ORDERS.items():
        if isinstance(module, tuple(conv_class(form, d) for d in (1, 2, 3))):
            if all(k == 1 for k in conv.kernel_size):
                return ("pointwise", "exact") if all(s == 1 for s in conv.stride) else ("sampled", "2")
            jump = conv.padding_mode != "circular" and any(_pads(conv))
            return f"convolution, {form}", "1" if jump and form != "stencil" else order
    if type(module) is nn.Linear:
        return "pointwise", "exact"
    return ("integral", "2") if isinstance(module, IntegralLinear) else None


def _pads(module: Any) -> list[int]:
    return [p for p in module._reversed_padding_repeated_twice if p]


def _conv(module: Any, place: Place) -> nn.Module:
    form = "cells" if place.role == "patch" else place.form
    dim = len(module.kernel_size)
    if form == "differential" and all(k == 1 for k in module.kernel_size):
        form = "stencil"
    converted = adopt(module, conv_class(form, dim), place.site)
    check(converted)
    return converted


def _linear(module: Any, place: Place) -> nn.Module:
    if place.role == "pointwise":
        return module
    factors = _factors(module, place)
    if factors is None:
        if place.role == "integral":
            raise ConversionError(
                f"{place.path} has {module.in_features} inputs, which are not channels times points of any module "
                "before it; role 'integral' does not fit."
            )
        return module
    converted = adopt(module, IntegralLinear, place.site)
    converted.factors = factors
    return converted


def _factors(module: nn.Linear, place: Place) -> Factors | None:
    """How the input of a linear layer is made of a function's channels and points, if it is."""
    dim = len(place.site.axes)
    if not place.site.calls or _on_nodes(place):
        return None
    shape = place.site.calls[0].inputs
    before = []
    for path, call in place.trace.order:
        if path == place.path:
            break
        before.append(call.output)
    found: list[Factors] = []
    for output in reversed(before):
        found = _as_function(output, dim, module.in_features, place.channels_last)
        if found:
            break
    if not found:
        return None
    if len(found) > 1 or (len(shape) > 2 and place.role is None and _could_be_channels(shape, found[0])):
        raise ConversionError(
            f"{place.path} has {module.in_features} inputs of shape {shape}, which may be channels or points: say "
            f"which, roles={{{place.path!r}: 'pointwise'}} or 'integral'."
        )
    return found[0]


def _on_nodes(place: Place) -> bool:
    """Whether the network takes the nodes of a graph ``(nodes, channels)``: its linear layers act on channels."""
    calls = place.trace.calls.get("", [])
    return place.site.axes[0].kind == "cloud" and bool(calls) and calls[0].inputs[:-1] == place.site.points


def _as_function(output: tuple[int, ...], dim: int, features: int, channels_last: bool) -> list[Factors]:
    found = []
    if len(output) == dim + 2:
        grid = output[1:-1] if channels_last else output[2:]
        channels = output[-1] if channels_last else output[1]
        points = 1
        for n in grid:
            points *= n
        if points > 1 and channels * points == features:
            found.append(Factors(channels, grid, "points" if channels_last else "channels"))
        elif points > 1 and points == features:
            found.append(Factors(1, grid))
    return found


def _could_be_channels(shape: tuple[int, ...], factors: Factors) -> bool:
    return factors.channels == 1 and shape[-2] == shape[-1]


def _embedding(module: Any, place: Place) -> nn.Module:
    indices = place.trace.indices.get(place.path)
    if indices is None or indices.dim() == 0:
        return module
    flat = indices.reshape(-1, indices.shape[-1])[0]
    counts = (flat[1:] - flat[:-1] == 1).all() and flat[0] == 0 and len(flat) > 1
    return adopt(module, LatticeEmbedding, place.site) if counts else module


def _softmax(module: Any, place: Place) -> nn.Module:
    for call in place.site.calls:
        axis = module.dim % len(call.inputs) if module.dim is not None else -1
        dim = len(place.site.axes)
        spatial = axis in range(1, 1 + dim) if place.channels_last else axis >= len(call.inputs) - dim
        if len(call.inputs) == dim + 2 and spatial:
            raise ConversionError(
                f"{place.path} is a softmax over points, whose sum grows with their number: use attention, or say "
                f"roles={{{place.path!r}: 'wrap'}}."
            )
    return module


def _recurrence(module: Any, place: Place) -> nn.Module:
    """A recurrence in time acts on every point alone; one over the points does not."""
    for call in place.site.calls:
        steps = call.inputs[1 if module.batch_first and len(call.inputs) == 3 else 0]
        if steps in (*place.site.points, math.prod(place.site.points)):
            raise ConversionError(
                f"{place.path} is a {type(module).__name__} that runs over {steps} entries, as many as there are "
                f"points. Over points a recurrence has no limit; if they are times, say "
                f"roles={{{place.path!r}: 'pointwise'}}."
            )
    return module


def _transformer_layer(module: Any, place: Place) -> nn.Module:
    # torch's fused path would call the weights directly and pass by the converted attention.
    module.activation_relu_or_gelu = 0
    return module


def _transformer(module: Any, place: Place) -> nn.Module:
    module.enable_nested_tensor = False
    module.use_nested_tensor = False
    return module


def _vit_embeddings(module: Any, place: Place) -> nn.Module:
    # The patches keep their number, but the layer compares the size of the image with that of the configuration.
    base: Any = type(module)

    def forward(self: Any, pixel_values: Any, *args: Any, **kwargs: Any) -> Any:
        self.image_size = tuple(pixel_values.shape[-2:])
        return base.forward(self, pixel_values, *args, **kwargs)

    module.__class__ = type(base.__name__, (base,), {"forward": forward})
    return module


# The aggregation inside of a convolution is over edges, and the convolution takes care of it.
_INSIDE = {"aggr_module": "inside"}
MESSAGES = Rule("message passing", lambda m, p: message_passing(m, p.site), "that of the weights", False, _INSIDE)
_POINTWISE_OF_PYG = (
    "torch_geometric.nn.dense.linear.Linear",
    "torch_geometric.nn.models.jumping_knowledge.JumpingKnowledge",
    "torch_geometric.utils._trim_to_layer.TrimToLayer",
)
_OVER_NODES = ("torch_geometric.nn.conv.message_passing.MessagePassing", "torch_geometric.nn.aggr.base.Aggregation")


def reads_nodes(module: nn.Module) -> bool:
    """Whether a module of PyG sums over nodes or edges, whatever modules it has inside."""
    return any(f"{cls.__module__}.{cls.__qualname__}" in _OVER_NODES for cls in type(module).__mro__)


def _graph_rules() -> dict[type[nn.Module] | str, Rule]:
    names = [f"torch_geometric.nn.conv.{name}" for name in (*SUMS, *NORMALISED, *ATTENTION)]
    nodes = Rule("readout", lambda m, p: readout(m, p.site), "that of the weights")
    readouts = [f"torch_geometric.nn.aggr.basic.{name}Aggregation" for name in ("Sum", "Mean", "Max")]
    table: dict[type[nn.Module] | str, Rule] = {**dict.fromkeys(names, MESSAGES), **dict.fromkeys(readouts, nodes)}
    return table | dict.fromkeys(_POINTWISE_OF_PYG, Rule("pointwise"))


_FEED_FORWARD = {"linear1": "pointwise", "linear2": "pointwise"}
_ORDERS = {
    "hat": "2",
    "cubic": "2",
    "stencil": "0: as at the reference",
    "differential": "2",
    "spectral": "exact",
    "cells": "2",
}
_POINTWISE = (
    "Identity ReLU ReLU6 RReLU LeakyReLU PReLU ELU SELU CELU GELU SiLU Mish Sigmoid LogSigmoid Tanh Hardtanh "
    "Hardshrink Softshrink Tanhshrink Softplus Softsign Hardsigmoid Hardswish Threshold GLU Softmax2d RMSNorm "
    "Dropout Dropout1d Dropout2d Dropout3d AlphaDropout FeatureAlphaDropout SyncBatchNorm "
    "Flatten Unflatten ChannelShuffle LocalResponseNorm"
)
_TRANSFORMERS = (
    "GELUActivation NewGELUActivation FastGELUActivation QuickGELUActivation GELUTanh PytorchGELUTanh "
    "AccurateGELUActivation ClippedGELUActivation MishActivation LinearActivation LaplaceActivation "
    "ReLUSquaredActivation SiLUActivation"
)
_MOMENTS = "GroupNorm InstanceNorm1d InstanceNorm2d InstanceNorm3d BatchNorm1d BatchNorm2d BatchNorm3d"
_ADAPTIVE = (
    "AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d AdaptiveMaxPool1d AdaptiveMaxPool2d AdaptiveMaxPool3d"
)
_PADS = "ConstantPad ZeroPad ReflectionPad ReplicationPad CircularPad"


@cache
def _builtin() -> dict[type[nn.Module] | str, Rule]:
    conv = Rule("convolution", _conv, "2, or 1 at ends with zeros")
    transpose = Rule("transposed convolution", lambda m, p: adopt(m, transpose_class(m), p.site), "2 inside")
    average = Rule("mean over a length", lambda m, p: adopt(m, pool_class(m), p.site), "2 inside")
    largest = Rule("maximum over a length", lambda m, p: adopt(m, pool_class(m), p.site), "1")
    pad = Rule("padding", lambda m, p: adopt(m, pad_class(m), p.site), "1")
    table: dict[type[nn.Module] | str, Rule] = {
        nn.Upsample: Rule("interpolation", lambda m, p: adopt(m, LatticeUpsample, p.site), "2 inside, nearest 1"),
        nn.UpsamplingNearest2d: Rule("interpolation", lambda m, p: adopt(m, LatticeUpsample, p.site), "1"),
        nn.UpsamplingBilinear2d: Rule("interpolation", lambda m, p: adopt(m, LatticeUpsample, p.site), "2"),
        nn.PixelShuffle: Rule("transposed convolution", lambda m, p: adopt(m, LatticePixelShuffle, p.site), "2 inside"),
        nn.Linear: Rule("linear", _linear, "exact on channels, else 2"),
        nn.LayerNorm: Rule("normalisation", lambda m, p: adopt(m, LatticeLayerNorm, p.site), "exact on channels"),
        nn.Embedding: Rule("table of positions", _embedding, "2"),
        nn.Softmax: Rule("pointwise", _softmax),
        nn.LogSoftmax: Rule("pointwise", _softmax),
        **dict.fromkeys((nn.RNN, nn.LSTM, nn.GRU), Rule("recurrence in time", _recurrence)),
        **dict.fromkeys((nn.RNNCell, nn.LSTMCell, nn.GRUCell), Rule("recurrence in time")),
        nn.MultiheadAttention: Rule("attention", lambda m, p: attention(m, p.site), "that of the weights"),
        nn.TransformerEncoderLayer: Rule("transformer", _transformer_layer, whole=False, roles=_FEED_FORWARD),
        nn.TransformerDecoderLayer: Rule("transformer", _transformer_layer, whole=False, roles=_FEED_FORWARD),
        nn.TransformerEncoder: Rule("transformer", _transformer, whole=False),
    }
    table |= {f"transformers.activations.{name}": Rule("pointwise") for name in _TRANSFORMERS.split()}
    table |= _graph_rules()
    table["transformers.models.vit.modeling_vit.ViTEmbeddings"] = Rule("patches", _vit_embeddings, whole=False)
    for d in (1, 2, 3):
        table[getattr(nn, f"Conv{d}d")] = conv
        table[getattr(nn, f"ConvTranspose{d}d")] = transpose
        table[getattr(nn, f"AvgPool{d}d")] = average
        table[getattr(nn, f"MaxPool{d}d")] = largest
        for name in _PADS.split():
            if hasattr(nn, f"{name}{d}d"):
                table[getattr(nn, f"{name}{d}d")] = pad
    table[GridEmbedding] = Rule("coordinates")
    table |= {getattr(nn, name): Rule("pointwise") for name in _POINTWISE.split()}
    moments = Rule("moments", lambda m, p: normalisation(m, p.site), "that of the weights")
    table |= {getattr(nn, name): moments for name in _MOMENTS.split()}
    table |= {getattr(nn, name): Rule("pool to a fixed size", order="1") for name in _ADAPTIVE.split()}
    return table
