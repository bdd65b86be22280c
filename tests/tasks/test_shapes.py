"""Outputs in another layout than the target: only the two harmless ones are accepted."""

import pytest
import torch

from sciml.errors import ConfigError
from sciml.tasks.operator import _like


@pytest.mark.parametrize(
    ("output", "target"),
    [((3, 8), (3, 1, 8)), ((3, 1, 8), (3, 8)), ((3, 2, 8), (3, 2, 4, 2)), ((3, 8), (3, 1, 4, 2)), ((3, 1), (3, 1, 1))],
)
def test_lists_of_points_and_single_channels_fit(output: tuple[int, ...], target: tuple[int, ...]) -> None:
    values = torch.rand(output)
    shaped = _like(values, torch.zeros(target))
    assert shaped.shape == target
    assert torch.equal(shaped.flatten(), values.flatten())


@pytest.mark.parametrize(("output", "target"), [((3, 2, 8), (3, 8, 2)), ((3, 16), (3, 2, 8)), ((8, 3), (3, 8))])
def test_channels_and_points_are_never_exchanged(output: tuple[int, ...], target: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="number of output channels"):
        _like(torch.rand(output), torch.zeros(target))
