"""Configurations: overrides, types, nested components."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from sciml.commands.run import build_run
from sciml.config import apply_overrides, check_arguments, parse_value, refuse_class_path
from sciml.data import Dataset
from sciml.errors import ConfigError
from sciml.nn import MLP
from sciml.registry import ModelSpec, registry


def test_another_name_drops_the_arguments_of_the_old_component() -> None:
    config = {"model": {"name": "fno", "modes": 8}, "data": {"name": "darcy-small", "validation": 100}}
    changed = apply_overrides(config, ["--model", "mlp", "--model.hidden", "[8]", "--data", "darcy-small"])
    assert changed["model"] == {"name": "mlp", "hidden": [8]}
    assert changed["data"] == config["data"]
    assert config["model"] == {"name": "fno", "modes": 8}


def test_the_order_of_name_and_arguments_does_not_matter() -> None:
    first = apply_overrides({}, ["--model.modes=12", "--model", "fno"])
    assert (
        first
        == apply_overrides({}, ["--model", "fno", "--model.modes", "12"])
        == {"model": {"name": "fno", "modes": 12}}
    )


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.booleans())
def test_numbers_and_booleans_survive_the_command_line(value: Any) -> None:
    assert parse_value(repr(value)) == value or parse_value(str(value).lower()) == value


@pytest.mark.parametrize(
    ("text", "value"), [("1e-3", 1e-3), ("[1, 2]", [1, 2]), ("null", None), ("a: b: c", "a: b: c")]
)
def test_values_are_read_as_yaml_or_text(text: str, value: Any) -> None:
    assert parse_value(text) == value


def test_types_are_converted_or_refused() -> None:
    def build(width: int, rate: float = 0.1, sizes: Sequence[int] = (1,), mode: str = "a", flag: bool = False) -> None:
        """Nothing."""

    assert check_arguments("model", build, {"rate": 1, "sizes": [2, 3]}) == {"rate": 1.0, "sizes": [2, 3]}
    for arguments, message in [
        ({"width": "wide"}, r"model\.width is 'wide', expected int"),
        ({"flag": 3.5}, r"model\.flag is 3\.5, expected bool"),
        ({"sizes": ["a"]}, r"model\.sizes"),
        ({"wdith": 3}, r"Did you mean 'model\.width'"),
    ]:
        with pytest.raises(ConfigError, match=message):
            check_arguments("model", build, arguments)


@pytest.mark.parametrize(
    "config", [{"model": {"class_path": "os.system"}}, {"methods": [{"name": "a", "b": {"class_path": "c"}}]}]
)
def test_class_path_is_found_anywhere(config: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="would import code"):
        refuse_class_path(config)


def test_text_for_an_argument_that_takes_code_imports_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "evil_for_test.py").write_text(f"open({str(tmp_path / 'sang')!r}, 'w')\nclass Net:\n    pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    def build(
        branch: nn.Module, schedule: Callable[[int], float] | None = None, parts: Sequence[nn.Module] = ()
    ) -> None:
        """Nothing."""

    for name, value in [
        ("branch", "evil_for_test.Net"),
        ("schedule", "evil_for_test.Net"),
        ("parts", ["evil_for_test.Net"]),
    ]:
        with pytest.raises(ConfigError, match=name):
            check_arguments("model", build, {name: value})
    noise = registry("methods").load("gradient-noise")
    for name in ("schedule", "params"):
        with pytest.raises(ConfigError, match=name):
            check_arguments("methods[0]", noise, {name: "evil_for_test.Net"})
    assert not (tmp_path / "sang").exists()


def test_a_mapping_with_a_name_becomes_a_component(line_data: Dataset) -> None:
    class Wrapper(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: Any) -> Any:
            return self.inner(x)

    models = registry("models")
    models.register("wrapper-for-test")(ModelSpec(Wrapper))
    inner = {"name": "mlp", "in_shape": [1, 8], "out_shape": [1, 8], "hidden": [4]}
    config = {"model": {"name": "wrapper-for-test", "inner": inner}, "trainer": {"max_steps": 1, "progress": False}}
    run = build_run(config, line_data)
    assert run.fit().steps == 1
    assert any(isinstance(module, MLP) for module in run.model.modules())


def test_the_weights_of_a_run_depend_on_its_seed_alone(line_data: Dataset) -> None:
    import torch

    def first_weight(seed: int) -> Any:
        config = {
            "model": {"name": "fno", "modes": [3], "hidden_channels": 4},
            "trainer": {"max_steps": 1, "seed": seed, "progress": False},
        }
        return next(build_run(config, line_data).model.parameters()).detach().clone()

    a = first_weight(0)
    torch.rand(7)
    assert torch.equal(a, first_weight(0))
    assert not torch.equal(a, first_weight(1))
