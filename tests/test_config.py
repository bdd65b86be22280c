"""Configurations: overrides, types, nested components."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from sciml.commands.arguments import type_words
from sciml.commands.run import build_run
from sciml.config import apply_overrides, check_arguments, parse_value, read_config, refuse_class_path
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
    def build(
        width: int, rate: float = 0.1, sizes: Sequence[int] = (1,), limit: int | None = None, flag: bool = False
    ) -> None:
        """Nothing."""

    assert check_arguments("model", build, {"rate": 1, "sizes": [2, 3]}) == {"rate": 1.0, "sizes": [2, 3]}
    for arguments, message in [
        ({"width": "wide"}, r"model\.width is 'wide', expected an integer"),
        ({"flag": 3.5}, r"model\.flag is 3\.5, expected true or false"),
        ({"sizes": ["a"]}, r"model\.sizes is \['a'\], expected a list of integers\."),
        ({"limit": "x"}, r"model\.limit is 'x', expected an integer or null\."),
        ({"width": None}, r"model\.width is null, expected an integer\."),
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


def test_a_key_that_stands_twice_is_refused_with_both_lines(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("model:\n  name: fno\n  modes: 8\n  modes: 12\n")
    with pytest.raises(ConfigError, match=r"run\.yaml .*the key 'modes' stands twice, in line 3 and in line 4"):
        read_config(path)
    with pytest.raises(ConfigError, match=r"command line: .*'eta' stands twice"):
        apply_overrides({}, ["--methods", "[{name: gradient-noise, eta: 1, eta: 2}]"])


def test_a_name_alone_stands_for_a_section(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("model: fno\ndata: mine.pt\nmethods: [gradient-noise]\n")
    assert read_config(path) == {
        "model": {"name": "fno"},
        "data": {"name": "mine.pt"},
        "methods": [{"name": "gradient-noise"}],
    }
    for text, message in [
        ("trainer: fast", "trainer is 'fast', expected a mapping"),
        ("model: 3", "model is 3, expected a mapping or a name"),
        ("model:", "model is empty, expected a mapping or a name"),
        ("", "run.yaml is empty"),
        ("# only a comment", "run.yaml is empty"),
        ("fno", "holds a text"),
    ]:
        path.write_text(text)
        with pytest.raises(ConfigError, match=message):
            read_config(path)


def test_types_are_said_in_words() -> None:
    for hint, words in [
        (float | None, "a number or null"),
        (list[str], "a list of texts"),
        (int | Sequence[int], "an integer or a list of integers"),
        (tuple[int, int], "a list of 2: an integer, an integer"),
        (Literal["min", "max"] | None, "'min' or 'max' or null"),
        (dict[str, int], "a mapping"),
        (Sequence[int | None], "a list of items, each an integer or null"),
    ]:
        assert type_words(hint) == words


def test_the_refusal_of_a_constructor_names_section_and_arguments(line_data: Dataset) -> None:
    class Odd(nn.Linear):
        def __init__(self, width: int = 8) -> None:
            if width % 2:
                raise ValueError("the width must be even")
            super().__init__(width, 8)

    registry("models").register("odd-for-test")(ModelSpec(Odd, inputs={"input": "x"}))
    trainer = {"max_steps": 1, "progress": False}
    with pytest.raises(ConfigError, match="model odd-for-test cannot be built with width=3: the width must be even"):
        build_run({"model": {"name": "odd-for-test", "width": 3}, "trainer": trainer}, line_data)
    with pytest.raises(ConfigError, match=r"model fno cannot be built with modes=\[4, 4\]"):
        build_run({"model": {"name": "fno", "modes": [4, 4]}, "trainer": trainer}, line_data)


@pytest.mark.parametrize(
    ("trainer", "message"),
    [
        ({"monitor": "val_loss"}, r"trainer\.monitor is 'val_loss', expected a column.*train/loss, val/relative_l2"),
        ({"monitor": "loss"}, r"trainer\.monitor is 'loss'.*Did you mean 'train/loss'"),
        ({"loggers": ["nothing"]}, "trainer.loggers names 'nothing'"),
    ],
)
def test_a_column_that_the_log_cannot_have_is_found_before_training(
    trainer: dict[str, Any], message: str, line_data: Dataset
) -> None:
    config = {"model": {"name": "fno", "modes": [3], "hidden_channels": 4}, "trainer": {"max_steps": 1, **trainer}}
    with pytest.raises(ConfigError, match=message):
        build_run(config, line_data).fit()


def test_a_monitor_without_a_validation_split_names_the_way_out(line_data: Dataset) -> None:
    bare = Dataset({"train": line_data.train}, line_data.spec, "line")
    callbacks = [{"name": "early-stopping", "monitor": "val/relative_l2"}]
    config = {"model": {"name": "fno", "modes": [3]}, "trainer": {"max_steps": 1}, "callbacks": callbacks}
    with pytest.raises(
        ConfigError, match=r"EarlyStopping\.monitor .*line has no split for validation.*data\.validation"
    ):
        build_run(config, bare).fit()


def test_a_tracker_that_is_not_installed_is_named(line_data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sciml.commands.run.find_spec", lambda name: None)
    config = {"model": {"name": "fno", "modes": [3]}, "trainer": {"max_steps": 1, "loggers": ["wandb"]}}
    with pytest.raises(ConfigError, match=r"wandb, which is not installed: pip install"):
        build_run(config, line_data)


@pytest.mark.parametrize("text", ["model: &a {name: fno, x: *a}", "a: &a [1, 1]\nmodel: {name: fno, x: [*a, *a]}"])
def test_aliases_are_refused_before_they_grow(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ConfigError, match="write the value where it is used"):
        read_config(tmp_path / "a.yaml")
