"""Benchmarks: equal terms for all, failures as rows, results kept, and the same figures for the same seed."""

import json
from pathlib import Path

import pytest

from sciml.bench import Suite, markdown, run_suite
from sciml.cli import main
from sciml.errors import ConfigError

CONFIG = {"data": {"name": "burgers-small"}, "trainer": {"max_epochs": 1, "batch_size": 256}}
SUITE = Suite(
    "Tiny",
    CONFIG,
    {
        "mlp": {"model": {"name": "mlp", "hidden": [8]}},
        "broken": {"model": {"name": "fno", "modes": [8, 8, 8]}},
    },
)


def test_every_run_of_a_suite_shares_data_and_budget_and_has_its_own_seed() -> None:
    first, second = SUITE.run_config("mlp", 0, epochs=7), SUITE.run_config("broken", 5, epochs=7)
    assert first["data"] == second["data"]
    assert first["trainer"] == {"max_epochs": 7, "batch_size": 256, "seed": 0}
    assert second["trainer"]["seed"] == 5
    assert CONFIG["trainer"] == {"max_epochs": 1, "batch_size": 256}


def test_a_registered_model_takes_part_with_its_defaults() -> None:
    assert SUITE.run_config("deeponet", 0)["model"] == {"name": "deeponet"}


def test_an_unknown_model_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no model 'mpl'"):
        run_suite("tiny", SUITE, models=["mlp", "mpl"], out=tmp_path / "r.json")
    assert not (tmp_path / "r.json").exists()


@pytest.mark.slow
def test_failures_are_rows_results_are_kept_and_seeds_give_the_same_figures(tmp_path: Path) -> None:
    lines: list[str] = []
    path = tmp_path / "new" / "r.json"
    result = run_suite("tiny", SUITE, seeds=[0], out=path, report=lines.append)
    good, bad = result["rows"]
    assert good["status"] == "ok"
    assert 0 < good["splits"]["test"]["relative_l2"] < 2
    assert good["parameters"] == 16 * 8 + 8 + 8 * 16 + 16
    assert bad["status"] == "failed"
    assert "modes" in bad["reason"]
    assert "failed" in lines[1]
    assert json.loads(path.read_text())["rows"] == result["rows"]
    table = markdown(result)
    assert "| mlp | 280 | 1 of 1 |" in table
    assert "- broken, seed 0: failed" in table

    again = run_suite("tiny", SUITE, models=["mlp"], seeds=[0], report=lines.append)
    assert again["rows"][0]["splits"] == good["splits"]
    # The file holds this run already: it is taken from there, time and all.
    kept = run_suite("tiny", SUITE, models=["mlp"], seeds=[0], out=path, report=lines.append)
    assert kept["rows"] == [good]
    assert json.loads(path.read_text())["rows"] == result["rows"]


@pytest.mark.slow
def test_a_run_over_its_budget_is_a_time_out() -> None:
    result = run_suite("tiny", SUITE, models=["mlp"], seeds=[0], budget=0.05, report=lambda line: None)
    assert result["rows"][0]["status"] == "timeout"


def test_another_file_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "notes.json"
    path.write_text("[1, 2]")
    with pytest.raises(ConfigError, match="holds no benchmark result"):
        run_suite("tiny", SUITE, models=["mlp"], out=path)
    assert path.read_text() == "[1, 2]"


def test_the_command_lists_suites_and_explains_mistakes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench"]) == 0
    assert "darcy-small" in capsys.readouterr().out
    assert main(["bench", "darcy-smal"]) == 2
    assert "darcy-small" in capsys.readouterr().err
    assert main(["bench", "darcy-small", "--seeds", "a"]) == 2
    assert "0,1,2" in capsys.readouterr().err
