"""Weights trained with the ``neuraloperator`` package, as models of this one. The package itself is not needed here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sciml.errors import CheckpointError, ConfigError
from sciml.operators.fno import FNO

__all__ = ["from_neuraloperator", "load_neuraloperator_state_dict"]
