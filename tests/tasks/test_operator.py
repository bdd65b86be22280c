"""Operator regression: normalisation, units, binding, shapes."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sciml.data import Dataset, Split
from sciml.errors import ConfigError
from sciml.spaces import DataSpec, FieldSpec, RegularGrid
from sciml.tasks import OperatorRegression
from sciml.train import Standardize, bind


class Doubles(nn.Module):
    """Gives ``2 x``, in whatever units it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return 2 * x * self.weight


class AtPoints(nn.Module):
    """Evaluates ``sum(x) + first coordinate`` at query points."""

    def forward(self, u: Tensor, coords: Tensor) -> Tensor:
        return u.flatten(1).sum(1, keepdim=True) + coords[:, 0]


def prepared(task: OperatorRegression, model: nn.Module, data: Dataset) -> Split:
    task.setup(data)
    train = task.prepare(data.train)
    task.bind(model, list(train.tensors))
    return train


def test_the_model_sees_standardised_fields_and_predicts_in_units(line_data: Dataset) -> None:
    task, model = OperatorRegression(), Doubles()
    train = prepared(task, model, line_data)
    for name in ("x", "y"):
        assert train[name].double().mean().item() == pytest.approx(0, abs=1e-6)
        assert train[name].double().std(unbiased=False).item() == pytest.approx(1, abs=1e-6)
    x, y = line_data.train["x"].double(), line_data.train["y"].double()
    test = line_data["test"]
    expected = 2 * (test["x"].double() - x.mean()) / x.std(unbiased=False) * y.std(unbiased=False) + y.mean()
    prediction = task.predict(model, {"x": test["x"]})
    torch.testing.assert_close(prediction.double(), expected, rtol=1e-4, atol=1e-5)


def test_statistics_do_not_see_validation_or_test(line_data: Dataset) -> None:
    first, second = OperatorRegression(), OperatorRegression()
    first.setup(line_data)
    splits = {**line_data.splits, "test": Split({k: 1e6 * v for k, v in line_data["test"].tensors.items()})}
    second.setup(Dataset(splits, line_data.spec))
    assert torch.equal(first.normalizer["x"].mean, second.normalizer["x"].mean)


def test_normalize_can_be_switched_off_or_name_fields(line_data: Dataset) -> None:
    task = OperatorRegression(normalize=False)
    assert torch.equal(prepared(task, Doubles(), line_data)["x"], line_data.train["x"])
    task = OperatorRegression(normalize=["y"])
    train = prepared(task, Doubles(), line_data)
    assert torch.equal(train["x"], line_data.train["x"])
    assert not torch.equal(train["y"], line_data.train["y"])


@pytest.mark.parametrize("loss", ["mse", "relative_l2", "relative_h1"])
def test_the_loss_of_a_perfect_model_is_zero_and_that_of_zero_is_one(loss: str, line_data: Dataset) -> None:
    class Perfect(nn.Module):
        def __init__(self, factor: float) -> None:
            super().__init__()
            self.factor = factor

        def forward(self, x: Tensor) -> Tensor:
            return self.factor * x

    x = line_data.train["x"]
    same = Dataset({"train": Split({"x": x, "y": x}, grids=line_data.train.grids)}, line_data.spec)
    task, model = OperatorRegression(loss=loss), Perfect(1.0)
    train = prepared(task, model, same)
    assert task.compute(model, dict(train.tensors)).loss.item() == pytest.approx(0, abs=1e-6)
    assert task.compute(Perfect(0.0), dict(train.tensors)).loss.item() == pytest.approx(1, rel=1e-5)


def test_query_points_come_from_the_grid_at_any_resolution(line_data: Dataset) -> None:
    task, model = OperatorRegression(normalize=False), AtPoints()
    train = prepared(task, model, line_data)
    step = task.compute(model, dict(train.tensors))
    assert step.output.shape == train["y"].shape
    coarse = torch.ones(3, 1, 4)
    points = RegularGrid(shape=(4,), bounds=((0.0, 1.0),), periodic=True).points[:, 0].float()
    torch.testing.assert_close(task.predict(model, {"x": coarse}), (4 + points).expand(3, 1, 4))


def test_a_wrong_number_of_outputs_names_both_shapes(line_data: Dataset) -> None:
    class Wrong(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.expand(-1, 2, -1)

    task, model = OperatorRegression(), Wrong()
    train = prepared(task, model, line_data)
    with pytest.raises(ConfigError, match=r"\(22, 2, 8\).*\(22, 1, 8\)"):
        task.compute(model, dict(train.tensors))


def test_wrong_settings_are_refused(line_data: Dataset) -> None:
    with pytest.raises(ConfigError, match="loss is 'l3'"):
        OperatorRegression(loss="l3")
    with pytest.raises(ConfigError, match="target is 'z'"):
        OperatorRegression(target="z").setup(line_data)
    no_grid = Dataset({"train": Split(line_data.train.tensors)}, line_data.spec)
    with pytest.raises(ConfigError, match="needs the grid"):
        OperatorRegression(loss="relative_h1").setup(no_grid)
    with pytest.raises(ConfigError, match="not bound"):
        OperatorRegression().predict(Doubles(), {"x": torch.zeros(1, 1, 8)})


def test_standardize_inverts_itself_and_keeps_a_constant_channel() -> None:
    u = torch.randn(6, 3, 5, dtype=torch.float64) * torch.tensor([1.0, 100.0, 0.0])[:, None] + 7
    scale = Standardize(3).double().fit(u)
    encoded = scale(u)
    torch.testing.assert_close(scale.inverse(encoded), u, rtol=1e-12, atol=1e-12)
    assert encoded.std(dim=(0, 2), unbiased=False).tolist() == pytest.approx([1, 1, 0], abs=1e-9)
    assert scale.std[2] == 1


def test_arguments_bind_to_keys_of_their_name_with_a_fallback() -> None:
    class Two(nn.Module):
        def forward(self, u: Tensor, coords: Tensor, *, params: Tensor | None = None) -> Tensor:
            return u if params is None else u + params

    binding = bind(Two(), ["x", "coords", "params"])
    assert binding.arguments == {"u": "x", "coords": "coords", "params": "params"}
    x = torch.ones(2, 3)
    assert torch.equal(binding(Two(), {"x": x, "coords": x, "params": x}), 2 * x)
    assert torch.equal(bind(Two(), ["x", "coords"])(Two(), {"x": x, "coords": x}), x)
    assert bind(Two(), ["u", "x", "coords"]).arguments["u"] == "u"


@pytest.mark.parametrize(
    ("keys", "inputs", "message"),
    [
        (["z"], None, r"forward of Doubles takes \['x'\], the batch holds \['z'\]"),
        (["x"], {"y": "x"}, r"inputs names \['y'\], but forward of Doubles takes \['x'\]"),
        (["x"], {"x": "a"}, r"nothing for x \(from a\)"),
    ],
)
def test_a_binding_that_cannot_work_lists_both_sides(keys: list[str], inputs: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        bind(Doubles(), keys, inputs)


def test_a_missing_field_spec_is_named() -> None:
    with pytest.raises(LookupError, match="unknown field 'z'"):
        _ = DataSpec({"x": FieldSpec("x", "input", 1, (8,))})["z"]
