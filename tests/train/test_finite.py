"""A loss or gradient that is not finite stops at once, says where, and keeps what there is."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from sciml.data import Dataset
from sciml.errors import ConfigError, NonFiniteError
from sciml.train import Method, StepContext, Trainer
from sciml.train.checkpoint import load_checkpoint
from sciml.train.finite import all_finite


class Breaks(nn.Module):
    """A network whose ``middle`` gives NaN, or only a gradient that is not finite, from a given call on."""

    def __init__(self, at: int, gradient_only: bool = False) -> None:
        super().__init__()
        self.first, self.middle, self.last = nn.Linear(8, 8), nn.Identity(), nn.Linear(8, 8)
        self.at, self.calls, self.gradient_only = at, 0, gradient_only
        self.middle.register_forward_hook(self._break)

    def _break(self, module: nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        if self.calls < self.at:
            return output
        if self.gradient_only:
            return output + (output * 0).abs().sqrt()  # value 0, derivative 0 * inf
        return output * float("nan")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Fields ``(batch, 1, 8)`` to fields of the same shape."""
        self.calls += self.training
        return self.last(self.middle(self.first(x)))


def fit(model: nn.Module, data: Dataset, **kwargs: Any) -> None:
    Trainer(max_epochs=3, batch_size=5, progress=False, accelerator="cpu", **kwargs).fit(model, data)


def test_a_nan_names_step_batch_and_module_and_leaves_the_weights(line_data: Dataset, tmp_path: Path) -> None:
    model = Breaks(at=7)
    with pytest.raises(NonFiniteError, match=r"step 6 \(epoch 1, batch 1 of 5\).*'middle'.*crash\.pt"):
        fit(model, line_data, run_dir=tmp_path / "run")
    state = load_checkpoint(tmp_path / "run/checkpoints/crash.pt")
    assert state["loop"]["step"] == 6
    assert all_finite(list(state["model"].values()))
    assert all_finite(list(model.parameters()))


def test_a_gradient_that_is_not_finite_names_its_parameter(line_data: Dataset) -> None:
    with pytest.raises(NonFiniteError, match=r"the gradient is not finite.*'first\.weight'"):
        fit(Breaks(at=1, gradient_only=True), line_data)


@pytest.mark.parametrize(("split", "field"), [("train", "x"), ("train", "y"), ("val", "y")])
def test_bad_data_are_named_before_anything_is_fitted(
    line_data: Dataset, make_net: Any, split: str, field: str
) -> None:
    line_data[split][field][3] = float("inf")
    message = f"field '{field}' of the split '{split}' .* in 1 of {len(line_data[split])} samples, first in sample 3"
    with pytest.raises(ConfigError, match=message):
        Trainer(max_epochs=1, progress=False).fit(make_net(), line_data, "operator")


def test_data_that_a_method_spoils_are_named(line_data: Dataset, make_net: Any) -> None:
    class Spoil(Method):
        name = "spoil"

        def on_batch_start(self, context: StepContext) -> None:
            context.batch["x"] = context.batch["x"] / 0

    with pytest.raises(NonFiniteError, match="field 'x' of the batch") as caught:
        Trainer(max_epochs=1, progress=False).fit(make_net(), line_data, "operator", [Spoil()])
    assert "smaller lr" not in str(caught.value)


def test_without_the_check_training_goes_on(line_data: Dataset) -> None:
    model = Breaks(at=3)
    fit(model, line_data, check_finite=False)
    assert not all_finite(list(model.parameters()))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_all_finite_finds_one_bad_value(value: float, dtype: torch.dtype) -> None:
    tensors = [torch.zeros(3, 4, dtype=dtype), torch.zeros(5, dtype=dtype)]
    assert all_finite(tensors)
    tensors[1][2] = value
    assert not all_finite(tensors)


def test_large_finite_values_are_finite() -> None:
    assert all_finite([torch.full((10,), 3e38)])
    assert all_finite([])
    assert not all_finite([torch.zeros(1), torch.full((1,), float("nan"), dtype=torch.float64)])
