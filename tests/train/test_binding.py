"""Which entry of a batch goes to which argument of a model."""

import pytest
from torch import Tensor, nn

from sciml.errors import ConfigError
from sciml.train import bind


class Field(nn.Module):
    """Takes its input under a name of its own."""

    def forward(self, field: Tensor, coords: Tensor | None = None) -> Tensor:
        """The field as it is."""
        return field


@pytest.mark.parametrize(
    ("keys", "key"),
    [
        (["coords", "x"], "x"),
        (["coords", "u", "u.pos"], "u"),
        (["coords", "force", "params"], "force"),
        (["coords", "y.weight"], "y.weight"),
    ],
)
def test_the_message_suggests_an_input_function_before_points_and_weights(keys: list[str], key: str) -> None:
    with pytest.raises(ConfigError, match=rf"inputs=\{{'field': '{key}'\}}"):
        bind(Field(), keys)
