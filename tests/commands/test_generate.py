"""``sciml data generate``: the file of the library call, parameters as options, mistakes in one line."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sciml.cli import main
from sciml.data import generate, open_dataset
from sciml.registry import registry

HERE = Path(__file__).parents[1] / "data" / "generation"


@pytest.fixture(autouse=True)
def decay(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(HERE))
    from toy_problem import Decay

    monkeypatch.setattr(registry("problems"), "_registered", {})
    registry("problems").register("toy-decay")(Decay)
    return Decay


def run(*tokens: str) -> int:
    return main(["data", "generate", *tokens])


BASE = ("toy-decay", "--num", "4", "--out", "a.hdf5", "--workers", "0")


def test_the_file_is_that_of_the_library(decay: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*BASE, "--seed", "3", "--resolution", "16", "--rate", "2e-1", "--chunk", "2") == 0
    assert capsys.readouterr().out.startswith("4 samples of toy-decay: a.hdf5 (")
    same = generate(decay(rate=0.2), 4, "b.hdf5", seed=3, resolution=16, chunk=2, workers=0, progress=False)
    assert Path("a.hdf5").read_bytes() == same.read_bytes()


def test_parameters_come_as_options_or_by_set(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*BASE, "--frames", "5", "--axis-name", "theta", "--set", "cut=true") == 0
    made = open_dataset("a.hdf5", "pdebench-hdf5").attrs["generated"]["parameters"]
    assert (made["frames"], made["axis_name"], made["cut"]) == (5, "theta", True)
    assert run(*BASE, "--overwrite", "--set", "frames=2", "--set", "axis-name=1e3") == 0
    made = open_dataset("a.hdf5", "pdebench-hdf5").attrs["generated"]["parameters"]
    assert (made["frames"], made["axis_name"], made["cut"]) == (2, "1e3", False)


def test_the_well_is_a_folder() -> None:
    assert run("toy-decay", "--num", "2", "--out", "waves", "--workers", "0", "--format", "well") == 0
    assert Path("waves/data/train/waves.hdf5").is_file()
    assert Path("waves/stats.yaml").is_file()


def test_help_lists_the_parameters_with_defaults_and_explanations(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run("toy-decay", "--help")
    assert ended.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    for text in (
        "Waves that decay", "u_t = -rate u", "--num N", "--format {pdebench,well}", "--overwrite",
        "--rate VALUE Rate of decay, in 1/s; 100 % of it counts. (default 1.0)",
        "--axis_name VALUE, --axis-name VALUE Name of the axis. (default x)",
    ):  # fmt: skip
        assert text in shown
    with pytest.raises(SystemExit):
        run("--help")
    assert "sciml data generate NAME --help lists the parameters" in capsys.readouterr().out


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom sciml.cli import main\n"
        "try:\n    main(['data', 'generate', '--help'])\nexcept SystemExit:\n    pass\n"
        "print('loaded', *({'torch', 'numpy', 'h5py', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].split() == ["loaded"]


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (("--spead", "1"), "unknown option or parameter of toy-decay 'spead'. Did you mean 'seed'"),
        (("--set", "rat=1"), "unknown parameter of toy-decay 'rat'. Did you mean 'rate'"),
        (("--set", "rate"), "--set rate: expected NAME=VALUE"),
        (("--set", "frames=many"), "--set frames=many: 'many' is no int"),
        (("--resolution", "fine"), "--resolution is 'fine', expected a number, or numbers with commas"),
        (("stray",), "'stray' is neither an option nor the value of one"),
        (("--num", "0"), "num is 0, expected at least 1"),
    ],
)
def test_mistakes_are_one_line(tokens: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*BASE, *tokens) == 2
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert message in shown


def test_values_of_the_wrong_type_and_missing_options_end_with_two(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(*BASE, "--rate", "fast")
    assert ended.value.code == 2
    assert "argument --rate: 'fast' is no float" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        run("toy-decay")
    assert ended.value.code == 2
    assert "the following arguments are required: --num, --out" in capsys.readouterr().err


def test_an_unknown_problem_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("toy-decai", "--num", "2", "--out", "a.hdf5") == 2
    assert "unknown problem 'toy-decai'. Did you mean 'toy-decay'" in capsys.readouterr().err
    assert run(*BASE) == 0
    capsys.readouterr()
    assert run(*BASE) == 2
    assert "a.hdf5 exists. Pass overwrite=True (--overwrite)" in capsys.readouterr().err
