"""Weights trained with the ``neuraloperator`` package, in models of this one. The package itself is not needed here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from sciml.errors import CheckpointError, ConfigError
from sciml.nn.activations import ACTIVATIONS
from sciml.operators.fno import FNO
from sciml.operators.fno_block import Skip

__all__ = ["from_neuraloperator", "load_neuraloperator_state_dict"]

_SKIPS = {"linear": "linear", "soft-gating": "gate", "identity": "identity", None: "none"}
# What a reference model must have for its forward pass to be that of our FNO.
_REQUIRED = {"complex_data": False, "separable": False, "preactivation": False, "fno_block_precision": "full"}


def from_neuraloperator(module: nn.Module) -> FNO:
    """An :class:`FNO` with the layout and the weights of a model of ``neuraloperator``.

    Args:
        module: A ``neuralop.models.FNO`` or ``TFNO`` (dense or Tucker weights).

    Raises:
        ConfigError: If the model uses an option that this FNO does not have; the message names it.

    Example:
        >>> from neuralop.models import FNO as Reference  # doctest: +SKIP
        >>> model = from_neuraloperator(Reference((8, 8), 1, 1, 16))  # doctest: +SKIP
    """
    reference = cast(Any, module)
    blocks = reference.fno_blocks
    for option, value in _REQUIRED.items():
        if getattr(reference, option) != value:
            raise ConfigError(f"the model has {option}={getattr(reference, option)!r}; only {value!r} is supported.")
    for option in ("norm", "stabilizer", "resolution_scaling_factor", "max_n_modes"):
        if getattr(blocks, option) is not None:
            raise ConfigError(f"the model uses {option}, which this FNO does not have.")
    if (reference.factorization or "dense").lower() not in ("dense", "tucker"):
        raise ConfigError(
            f"the model has factorization={reference.factorization!r}; only dense and Tucker are supported."
        )
    padding = reference.domain_padding
    state = module.state_dict()
    cores = [value.shape for name, value in state.items() if name.endswith("weight.core")]
    model = FNO(
        in_channels=reference.in_channels,
        out_channels=reference.out_channels,
        modes=tuple(reference.n_modes),
        hidden_channels=reference.hidden_channels,
        num_layers=reference.n_layers,
        grid_embedding=_has_unit_grid(reference.positional_embedding, reference.n_dim),
        padding=0.0 if padding is None else padding.domain_padding,
        activation=_activation_name(reference.non_linearity),
        lifting_ratio=reference.lifting_channel_ratio,
        projection_ratio=reference.projection_channel_ratio,
        skip=cast(Skip, _SKIPS[blocks.fno_skip]),
        channel_mlp=blocks.use_channel_mlp,
        channel_mlp_expansion=blocks.channel_mlp_expansion,
        channel_mlp_skip=cast(Skip, _SKIPS[blocks.channel_mlp_skip]),
        dropout=blocks.channel_mlp_dropout,
        rank=(*cores[0][2:], *cores[0][:2]) if cores else None,
    )
    load_neuraloperator_state_dict(model, state)
    return model.train(module.training)


def load_neuraloperator_state_dict(model: FNO, state: Mapping[str, Any]) -> FNO:
    """Copy the weights of a reference model of the same layout into an :class:`FNO`.

    Args:
        model: Takes the weights, in its own type and on its own device.
        state: ``state_dict()`` of a ``neuralop.models.FNO`` or ``TFNO``.

    Returns:
        The same model.

    Raises:
        CheckpointError: If a weight is missing, left over, or has another shape.
    """
    shapes = {name: value.shape for name, value in model.state_dict().items()}
    converted: dict[str, Tensor] = {}
    for name, value in state.items():
        if name != "_metadata":
            converted |= _convert(name, value, model)
    for name, value in converted.items():
        # They keep axes of size one for broadcasting.
        if name in shapes and value.numel() == shapes[name].numel():
            converted[name] = value.reshape(shapes[name])
    try:
        model.load_state_dict(converted)
    except RuntimeError as error:
        raise CheckpointError(f"the weights are not those of a model of this layout: {error}") from error
    return model


# Their names to ours, applied in turn.
_NAMES = [
    (r"^fno_blocks\.convs\.(\d+)\.", r"blocks.\1.conv."),
    (r"^fno_blocks\.fno_skips\.(\d+)\.(conv\.)?", r"blocks.\1.skip."),
    (r"^fno_blocks\.channel_mlp\.(\d+)\.", r"blocks.\1.channel_mlp."),
    (r"^fno_blocks\.channel_mlp_skips\.(\d+)\.(conv\.)?", r"blocks.\1.channel_mlp_skip."),
    (r"\.fcs\.", ".layers."),
    (r"\.weight\.tensor$", ".weight"),
    (r"\.weight\.core$", ".core"),
]


def _convert(name: str, value: Tensor, model: FNO) -> dict[str, Tensor]:
    """One of their parameters under our name and in our layout."""
    ours = name
    for pattern, replacement in _NAMES:
        ours = re.sub(pattern, replacement, ours)
    if value.is_complex():
        value = torch.view_as_real(value).movedim(-1, 0)
        factor = re.search(r"weight\.factors\.factor_(\d+)$", ours)
        if factor is None:
            return {ours: value.movedim((1, 2), (-2, -1))}  # (in, out, *modes) to (*modes, in, out)
        axis = (int(factor[1]) - 2) % (model.dim + 2)
        return {f"{ours[: factor.start()]}factors.{axis}": value}
    if ours == "lifting.layers.0.weight" and model.grid_embedding:
        return {ours: value[:, : model.in_channels, 0], "grid_weight": value[:, model.in_channels :, 0]}
    return {ours: value}


def _has_unit_grid(embedding: Any, dim: int) -> bool:
    if embedding is None:
        return False
    bounds = getattr(embedding, "grid_boundaries", None)
    if bounds is None or [[float(a), float(b)] for a, b in bounds] != [[0.0, 1.0]] * dim:
        raise ConfigError(f"the model embeds positions with {embedding}; only the grid of the unit cube is supported.")
    return True


def _activation_name(function: Any) -> str:
    name = str(getattr(function, "__name__", type(function).__name__)).lower()
    if name not in ACTIVATIONS:
        raise ConfigError(f"the model has the activation {name}; supported: {', '.join(ACTIVATIONS)}.")
    return name
