"""The command line: every mistake is one clear line and exit code 2, and a run does what it says."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from sciml import load, load_dataset
from sciml.cli import main
from sciml.config import read_config
from sciml.train import RunFolder

SMALL = ["--model", "fno", "--model.modes", "[4, 4]", "--model.hidden_channels", "8", "--data", "darcy-small"]
SHORT = ["--trainer.max_steps", "3", "--trainer.batch_size", "16", "--trainer.progress", "false"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SCIML_TRACEBACK", raising=False)


def write(path: str, config: dict[str, Any]) -> str:
    Path(path).write_text(yaml.safe_dump(config))
    return path


def fails(tokens: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a mistake gives."""
    assert main(tokens) == 2
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("sciml: error: ")
    return captured.err


def test_fit_trains_prints_and_fills_the_run_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", *SMALL, *SHORT, "--trainer.run_dir", "run"]) == 0
    printed = capsys.readouterr().out
    for text in ("test_16", "test_32", "training mean", "linear least squares", "±", "parameters", "run folder: run"):
        assert text in printed
    names = {str(path.relative_to("run")) for path in Path("run").rglob("*") if path.is_file()}
    assert names == {
        "config.yaml", "metrics.csv", "metrics.json", "model.safetensors", "checkpoints/last.pt",
        "history.png", "prediction.png",
    }  # fmt: skip
    report = json.loads(Path("run/metrics.json").read_text())
    data = load_dataset("darcy-small")
    split = data["test_32"]
    prediction = load("run").predict(split)
    errors = (prediction - split["y"]).flatten(1).norm(dim=1) / split["y"].flatten(1).norm(dim=1)
    assert report["test_32"]["relative_l2"] == pytest.approx(errors.mean().item(), rel=1e-5)
    assert report["test_32"]["relative_l2_se"] == pytest.approx(errors.std().item() / 50**0.5, rel=1e-4)
    mean = data.train["y"].mean(0, keepdim=True).expand(50, -1, -1, -1)
    y = data["test_16"]["y"]
    expected = ((mean - y).flatten(1).norm(dim=1) / y.flatten(1).norm(dim=1)).mean().item()
    assert report["baselines"]["training mean"]["test_16"]["relative_l2"] == pytest.approx(expected, rel=1e-5)
    assert report["parameters"] == sum(p.numel() for p in load("run").model.parameters())
    assert report["data_hash"] == data.hash


def test_the_stored_configuration_runs_again_and_gives_the_same_weights() -> None:
    assert main(["fit", *SMALL, *SHORT, "--trainer.run_dir", "run"]) == 0
    assert main(["fit", "run/config.yaml", "--trainer.run_dir", "again"]) == 0
    assert Path("run/metrics.csv").read_bytes() == Path("again/metrics.csv").read_bytes()
    for a, b in zip(load("run").model.parameters(), load("again").model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_resumed_run_equals_the_unbroken_one() -> None:
    length = ["--trainer.max_epochs", "1", "--trainer.batch_size", "250", "--trainer.progress", "false"]
    assert main(["fit", *SMALL, *length, "--trainer.run_dir", "whole"]) == 0
    assert main(["fit", *SMALL, *length, "--trainer.run_dir", "parts", "--trainer.max_steps", "2"]) == 0
    config = read_config("parts/config.yaml")
    del config["trainer"]["max_steps"]
    write("longer.yaml", config)
    assert main(["fit", "longer.yaml", "--resume"]) == 0
    for a, b in zip(load("whole").model.parameters(), load("parts").model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_test_repeats_the_table_and_predict_writes_predictions(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", *SMALL, *SHORT, "--trainer.run_dir", "run"]) == 0
    opening, *table = capsys.readouterr().out.splitlines()[:6]
    assert opening == "fno with 7129 parameters; darcy-small (train 1000, test_16 50, test_32 50 samples)"
    assert main(["test", "run"]) == 0
    assert capsys.readouterr().out.splitlines()[:5] == table
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(4, 24, 24, generator=generator) > 0.5
    torch.save({"x": x, "y": torch.rand(4, 24, 24, generator=generator)}, "mine.pt")
    assert main(["predict", "run", "--data", "mine.pt", "--out", "out/prediction.npz"]) == 0
    assert "(4, 1, 24, 24)" in capsys.readouterr().out
    with np.load("out/prediction.npz") as arrays:
        expected = load("run")(x=x[:, None].float())
        np.testing.assert_allclose(arrays["prediction"], expected.numpy(), rtol=1e-5, atol=1e-6)


def test_methods_and_callbacks_come_from_the_configuration() -> None:
    methods = "[{name: gradient-noise, eta: 0.3}, {name: grid-symmetry, alignment: left}]"
    callbacks = "[{name: ema, decay: 0.5}]"
    assert main(["fit", *SMALL, *SHORT, "--methods", methods, "--callbacks", callbacks]) == 0
    row = RunFolder("runs/fno-darcy-small").rows()[-1]
    assert row["gradient-noise/std"] == pytest.approx((0.3 / 3**0.55) ** 0.5)


def test_every_model_of_the_core_trains_by_name() -> None:
    for name in ("tfno", "deeponet", "mlp"):
        extra = ["--model.modes", "[4, 4]", "--model.hidden_channels", "8"] if name == "tfno" else []
        assert main(["fit", "--model", name, "--data", "darcy-small", *extra, *SHORT]) == 0


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (["fit", "nothing.yaml"], "there is no configuration nothing.yaml"),
        (["fit", "--model", "fnoo", *SMALL[2:], *SHORT], "Did you mean 'fno'"),
        (["fit", *SMALL, *SHORT, "--data", "darcy-smal"], "darcy-small"),
        (["fit", *SMALL, *SHORT, "--model.hidden_chanels", "3"], "Did you mean 'model.hidden_channels'"),
        (["fit", *SMALL, *SHORT, "--model.hidden_channels", "many"], "model.hidden_channels is 'many', expected int"),
        (["fit", *SMALL, *SHORT, "--trainer.max_step", "3"], "Did you mean 'trainer.max_steps'"),
        (["fit", *SMALL, *SHORT, "--trainer.batch_size", "0"], "batch_size is 0"),
        (["fit", *SMALL, *SHORT, "--trainer.clip_norm", "large"], "trainer.clip_norm is 'large'"),
        (["fit", *SMALL, *SHORT, "--optimizer", "addam"], "Did you mean 'adam'"),
        (["fit", *SMALL, *SHORT, "--optimizer", "adam", "--optimizer.rate", "1"], "no argument rate"),
        (["fit", *SMALL, *SHORT, "--scheduler", "cosin"], "Did you mean 'cosine'"),
        (["fit", *SMALL, *SHORT, "--task.loss", "l3"], "task.loss is 'l3'"),
        (["fit", *SMALL, *SHORT, "--methods", "[{name: gradient-noice}]"], "Did you mean 'gradient-noise'"),
        (["fit", *SMALL, *SHORT, "--methods", "[{name: gradient-noise, eta: -1}]"], "eta is -1"),
        (["fit", *SMALL, *SHORT, "--modle", "fno"], "Did you mean"),
        (["fit", *SMALL, *SHORT, "--seed", "1"], "unknown option"),
        (["fit", *SMALL, *SHORT, "--trainer.seed"], "needs a value"),
        (["fit", *SMALL, "--trainer.run_dir", "run"], "max_epochs or --trainer.max_steps"),
        (["fit", *SMALL, *SHORT, "--resume", "--overwrite"], "choose one"),
        (["fit", *SHORT, "--data", "darcy-small"], "no model"),
        (["test", "nothing"], "there is no run folder nothing"),
        (["predict", "nothing", "--data", "x.pt", "--out", "y.npz"], "there is no run folder nothing"),
        (["models", "fnoo"], "Did you mean 'fno'"),
        (["datasets", "nothing"], "darcy-small"),
        (["data", "info", "nothing.h5"], "nothing.h5"),
    ],
)
def test_a_mistake_is_one_clear_line(tokens: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert message in fails(tokens, capsys)


def test_a_bad_configuration_file_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.yaml").write_text("model: [unclosed")
    assert "not valid YAML" in fails(["fit", "bad.yaml"], capsys)
    assert "sciml_config 2" in fails(["fit", write("new.yaml", {"sciml_config": 2})], capsys)
    assert "unknown option 'modell'" in fails(["fit", write("odd.yaml", {"modell": {}})], capsys)
    Path("list.yaml").write_text("- 1")
    assert "holds a list" in fails(["fit", "list.yaml"], capsys)


def test_a_run_folder_that_exists_offers_three_choices(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", *SMALL, *SHORT, "--trainer.run_dir", "run"]) == 0
    capsys.readouterr()
    line = fails(["fit", *SMALL, *SHORT, "--trainer.run_dir", "run"], capsys)
    assert all(choice in line for choice in ("--resume", "--overwrite", "--trainer.run_dir"))
    assert main(["fit", *SMALL, *SHORT, "--trainer.run_dir", "run", "--overwrite"]) == 0


def test_a_run_folder_that_cannot_be_written_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").write_text("")
    assert "cannot be written" in fails(["fit", *SMALL, *SHORT, "--trainer.run_dir", "file/run"], capsys)


def test_class_path_is_refused_before_anything_is_imported(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("canary.py").write_text(
        "from pathlib import Path\nimport torch\nPath('sang').touch()\n"
        "class Net(torch.nn.Conv2d):\n    def __init__(self, width: int = 1):\n"
        "        super().__init__(width, 1, 3, padding=1)\n"
    )
    monkeypatch.syspath_prepend(".")
    config = {"model": {"class_path": "canary.Net", "init_args": {"width": 1}, "inputs": {"input": "x"}}}
    path = write("run.yaml", config)
    common = [path, "--data", "darcy-small", *SHORT, "--trainer.run_dir", "run"]
    assert "--allow-class-path" in fails(["fit", *common], capsys)
    assert not Path("sang").exists()
    assert main(["fit", *common, "--allow-class-path"]) == 0
    assert Path("sang").exists()
    assert main(["test", "run", "--allow-class-path"]) == 0


class _Canary:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("sang",)


def test_hostile_files_execute_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"x": _Canary(), "y": torch.zeros(1)}, "data.pt")
    fails(["data", "info", "data.pt"], capsys)
    assert main(["fit", *SMALL, *SHORT, "--trainer.run_dir", "run"]) == 0
    capsys.readouterr()
    torch.save({"format": 1, "model": _Canary()}, "run/checkpoints/last.pt")
    fails(["fit", "run/config.yaml", "--resume"], capsys)
    torch.save(_Canary(), "run/model.safetensors")
    fails(["test", "run"], capsys)
    Path("run/config.yaml").write_text("!!python/object/apply:os.mkdir [sang]")
    fails(["test", "run"], capsys)
    assert not Path("sang").exists()


def test_listings_and_descriptions(capsys: pytest.CaptureFixture[str]) -> None:
    for kind, name, text in [
        ("models", "fno", "Fourier neural operator"),
        ("tasks", "operator", "operator"),
        ("methods", "gradient-noise", "noise"),
        ("datasets", "darcy-small", "Darcy"),
    ]:
        assert main([kind]) == 0
        line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith(name))
        assert text.lower() in line.lower()
        assert main([kind, name]) == 0
        assert text.lower() in capsys.readouterr().out.lower()
    assert main(["models", "fno"]) == 0
    described = capsys.readouterr().out
    assert all(word in described for word in ("hidden_channels", "required", "parameters", "flops", "Apache-2.0"))
    assert main(["problems"]) == 0
    assert "no problems are installed" in capsys.readouterr().out


def test_every_listed_component_has_a_summary(capsys: pytest.CaptureFixture[str]) -> None:
    for kind in ("models", "tasks", "methods"):
        main([kind])
        for line in capsys.readouterr().out.splitlines():
            assert len(line.split(maxsplit=1)) == 2, f"{kind}: {line!r} says nothing"


def test_fit_help_shows_the_arguments_of_the_named_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--model", "fno", "--help"]) == 0
    printed = capsys.readouterr().out
    assert all(word in printed for word in ("--resume", "max_epochs", "hidden_channels"))


def test_listing_and_help_do_not_import_torch() -> None:
    for tokens in (["--help"], ["models"], ["methods"]):
        code = (
            "import sys\nfrom sciml.cli import main\n"
            f"try:\n    main({tokens!r})\nexcept SystemExit:\n    pass\n"
            "assert not {'torch', 'numpy', 'jsonargparse'} & set(sys.modules), 'heavy import'"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_sigterm_saves_and_the_printed_command_goes_on() -> None:
    command = [
        sys.executable,
        "-m",
        "sciml",
        "fit",
        *SMALL,
        "--trainer.max_epochs",
        "1000000",
        "--trainer.run_dir",
        "run",
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not Path("run/metrics.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    error = process.communicate(timeout=120)[1]
    assert process.returncode == 128 + signal.SIGTERM
    assert "sciml fit run/config.yaml --resume" in error
    steps = torch.load("run/checkpoints/last.pt", weights_only=True)["loop"]["step"]
    config = read_config("run/config.yaml")
    config["trainer"] |= {"max_epochs": None, "max_steps": steps + 2}
    write("shorter.yaml", config)
    assert main(["fit", "shorter.yaml", "--resume"]) == 0
    assert RunFolder("run").rows()[-1]["step"] == steps + 2
