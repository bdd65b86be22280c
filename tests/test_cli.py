"""The command line: every mistake is one clear line and exit code 2, and a run does what it says."""

import inspect
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
from sciml.commands.run import check_config
from sciml.config import read_config
from sciml.operators import FNO
from sciml.registry import registry
from sciml.tasks import OperatorRegression
from sciml.train import RunFolder, Trainer
from sciml.train.optim import OPTIMIZERS, SCHEDULERS, build_optimizer, complete_optimizer, complete_schedule

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
        "history.png", "prediction.png", "resolution.png", ".sciml-run",
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


def parts(path: str) -> dict[str, Any]:
    return yaml.safe_load(Path(path).read_text())


def test_the_stored_configuration_is_complete() -> None:
    """Sizes from the data, the optimizer of the task, and all defaults: a later default changes nothing."""
    extra = ["--scheduler", "plateau", "--trainer.mode", "max", "--trainer.monitor", "train/loss"]
    more = ["--methods", "[gradient-noise]", "--callbacks", "[ema]"]
    assert main(["fit", *SMALL, *SHORT, *extra, *more, "--trainer.run_dir", "run"]) == 0
    stored = parts("run/config.yaml")
    used = torch.load("run/checkpoints/last.pt", weights_only=True)["loop"]["optimizer"]["param_groups"][0]
    assert stored["optimizer"].pop("name") == "adamw"
    assert {"lr", "betas", "eps", "weight_decay", "amsgrad"} <= set(stored["optimizer"])
    for name, value in stored["optimizer"].items():
        assert value == (list(used[name]) if isinstance(used[name], tuple) else used[name]), name
    assert stored["model"]["in_channels"] == stored["model"]["out_channels"] == 1
    assert (stored["model"]["dim"], stored["model"]["hidden_channels"]) == (2, 8)
    assert stored["model"]["num_layers"] == inspect.signature(FNO).parameters["num_layers"].default
    assert stored["scheduler"]["mode"] == "max"
    assert stored["scheduler"]["patience"] == 10
    assert stored["task"]["loss"] == OperatorRegression().loss
    assert stored["methods"][0]["gamma"] == 0.55
    assert stored["callbacks"] == [{"name": "ema", "decay": 0.999}]
    arguments = set(inspect.signature(Trainer).parameters)
    left_out = {"callbacks", "overwrite", "max_epochs", "clip_norm", "compile", "checkpoint_steps"}
    assert set(stored["trainer"]) == arguments - left_out
    assert stored["trainer"]["eval_batch_size"] == 256


@pytest.mark.parametrize("name", ["fno", "tfno", "deeponet", "modified-deeponet", "pod-deeponet", "mlp", "oformer"])
def test_a_complete_configuration_repeats_the_run_bit_for_bit(name: str) -> None:
    small = {model: ["--model.modes", "4"] for model in ("fno", "tfno", "oformer", "pod-deeponet")}
    options = [*small.get(name, []), *SHORT, "--scheduler", "cosine", "--trainer.run_dir", "run"]
    assert main(["fit", "--model", name, "--data", "burgers-small", *options]) == 0
    assert main(["fit", "run/config.yaml", "--trainer.run_dir", "again"]) == 0
    first, second = (parts(f"{folder}/config.yaml") for folder in ("run", "again"))
    assert len(first["model"]) > 5
    assert (first["trainer"].pop("run_dir"), second["trainer"].pop("run_dir")) == ("run", "again")
    assert first == second
    a, b = (load(folder).model.state_dict() for folder in ("run", "again"))
    assert all(torch.equal(value, b[key]) for key, value in a.items())
    assert main(["fit", "run/config.yaml", "--resume"]) == 0


def test_every_optimizer_and_schedule_is_stored_in_a_form_that_is_read_again() -> None:
    for optimizer in map(complete_optimizer, OPTIMIZERS):
        check_config({"optimizer": yaml.safe_load(yaml.safe_dump(json.loads(json.dumps(optimizer))))})
        assert build_optimizer(optimizer, torch.nn.Linear(1, 1)).defaults["lr"] == optimizer["lr"]
    for schedule in map(complete_schedule, SCHEDULERS):
        check_config({"scheduler": yaml.safe_load(yaml.safe_dump(json.loads(json.dumps(schedule))))})


def test_generated_data_are_stored_with_their_defaults() -> None:
    data = ["--data", "problem", "--data.problem", "antiderivative", "--data.train", "20", "--data.test", "5"]
    assert main(["fit", "--model", "deeponet", *data, *SHORT, "--trainer.run_dir", "run"]) == 0
    stored = parts("run/config.yaml")["data"]
    assert (stored["train"], stored["val"], stored["seed"], stored["layout"]) == (20, 0, 0, "auto")
    assert main(["fit", "run/config.yaml", "--trainer.run_dir", "again"]) == 0
    assert Path("run/metrics.csv").read_bytes() == Path("again/metrics.csv").read_bytes()


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
        (
            ["fit", *SMALL, *SHORT, "--model.hidden_channels", "many"],
            "model.hidden_channels is 'many', expected an integer.",
        ),
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
        (["fit"], "no model: give --model NAME (sciml models lists them); no data: "),
        (["fit"], "no length: give --trainer.max_epochs or --trainer.max_steps. sciml fit --help lists"),
        (["fit", "--model", "fno", "--model.hidden_chanels", "3"], "Did you mean 'model.hidden_channels'"),
        (["fit", "--trainer.max_epoch", "3"], "Did you mean 'trainer.max_epochs'"),
        (["fit", "--optimizer", "adam", "--optimizer.rate", "1"], "no argument rate"),
        (
            ["fit", *SMALL, *SHORT, "--optimizer", "adam", "--optimizer.lr", "fast"],
            "optimizer.lr is 'fast', expected a",
        ),
        (["fit", *SMALL, *SHORT, "--optimizer", "adam", "--optimizer.lr", "-1"], "Invalid learning rate"),
        (["fit", *SMALL, *SHORT, "--scheduler", "step"], "scheduler step needs step_size"),
        (["fit", *SMALL, *SHORT, "--data.validation", "many"], "data.validation is 'many', expected a number of sam"),
        (["fit", *SMALL, *SHORT, "--data.validaton", "3"], "Did you mean 'validation'"),
        (["fit", *SMALL[:6], "--data", "problem", "--data.train", "x", *SHORT], "data.train is 'x', expected an int"),
        (["fit", *SMALL[:2], "--model.modes", "[0, 4]", *SMALL[-2:], *SHORT], "model"),
        (["fit", *SMALL, *SHORT, "--trainer.devices", "none"], "trainer cannot be built with devices='none'"),
        (["fit", *SMALL, *SHORT, "--model.inputs", "x"], "model.inputs is 'x', expected a mapping"),
        (["fit", *SMALL, *SHORT, "--trainer.strategy", "fsdp"], "strategy is 'fsdp', which splits a model over CUDA"),
        (["fit", *SMALL, *SHORT, "--trainer.num_nodes", "2"], "num_nodes is 2, but no launcher started this process"),
        (["fit", *SMALL, *SHORT, "--trainer.monitor", "nonsense"], "monitor is 'nonsense', expected a column of the"),
        (
            ["fit", *SMALL, *SHORT, "--data.validation", "9", "--trainer.monitor", "val/mes"],
            "Did you mean 'val/mse'",
        ),
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
    assert "real numbers that are trained; a complex parameter counts as two" in described
    assert not {"`", "\\"} & set(described)
    assert main(["problems"]) == 0


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


@pytest.mark.distributed
def test_two_processes_that_are_stopped_say_so_once() -> None:
    options = ["--trainer.devices", "2", "--trainer.strategy", "ddp", "--trainer.accelerator", "cpu"]
    length = ["--trainer.max_epochs", "1000000", "--trainer.run_dir", "run"]
    process = subprocess.Popen(
        [sys.executable, "-m", "sciml", "fit", *SMALL, *options, *length],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not Path("run/metrics.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    error = process.communicate(timeout=120)[1]
    assert process.returncode == 128 + signal.SIGTERM
    assert error.count("stopped by SIGTERM") == 1
    assert "Traceback" not in error


class _Mean(OperatorRegression):
    def metrics(self) -> Any:
        return {"mean_error": lambda prediction, batch, split: (prediction - batch["y"]).flatten(1).mean(1).abs()}


class _Silent(OperatorRegression):
    def metrics(self) -> Any:
        return {}


class _OfModelsOnly(OperatorRegression):
    """A metric that only predictions of the model have."""

    def metrics(self) -> Any:
        def own(prediction: Any, batch: Any, split: Any) -> Any:
            if prediction.std() < 1e-3:
                raise KeyError("nothing to see")
            return prediction.flatten(1).std(1)

        return {"own": own}


def test_a_task_without_the_usual_metrics_is_evaluated_by_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    for name, task in (("mean-for-test", _Mean), ("silent-for-test", _Silent), ("own-for-test", _OfModelsOnly)):
        registry("tasks").register(name)(task)
    assert main(["fit", *SMALL, *SHORT, "--task", "mean-for-test", "--trainer.run_dir", "run"]) == 0
    printed = capsys.readouterr().out
    assert "mean_error (mean ± standard error over test samples)" in printed
    assert "training mean" in printed
    report = json.loads(Path("run/metrics.json").read_text())
    assert set(report["test_16"]) == {"mean_error", "mean_error_se"}
    assert set(report["baselines"]["training mean"]["test_16"]) == {"mean_error", "mean_error_se"}
    assert main(["test", "run"]) == 0
    assert main(["predict", "run", "--data", "darcy-small", "--split", "test_16", "--out", "p.npz"]) == 0
    assert "mean_error against the file" in capsys.readouterr().out
    assert main(["fit", *SMALL, *SHORT, "--task", "silent-for-test", "--trainer.run_dir", "silent"]) == 0
    assert "the task has no metrics" in capsys.readouterr().out
    assert main(["fit", *SMALL, *SHORT, "--task", "own-for-test", "--trainer.run_dir", "own"]) == 0


def test_another_resolution_without_a_grid_leaves_a_gap_in_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path("waves")
    folder.mkdir()
    for name, points in (("train", 16), ("fine", 32)):
        x = torch.randn(20, points)
        np.savez(folder / f"{name}.npz", x=x, y=2 * x)
    card = {
        "name": "waves", "task": "operator", "source": "the test", "licence": "CC0", "format": "plain",
        "fields": {"x": {"role": "input"}, "y": {"role": "target"}},
        "splits": {"train": {"file": "train.npz"}, "test_fine": {"file": "fine.npz"}},
    }  # fmt: skip
    write("waves/card.yaml", card)
    model = ["--model", "fno", "--model.modes", "[4]", "--model.hidden_channels", "4"]
    assert main(["fit", *model, "--data", "waves", *SHORT, "--trainer.run_dir", "run"]) == 0
    rows = {line.rsplit(maxsplit=1)[0].strip(): line for line in capsys.readouterr().out.splitlines()}
    assert rows["training mean"].endswith("-")
    assert json.loads(Path("run/metrics.json").read_text())["test_fine"]["relative_l2"] > 0


def test_a_plain_file_trains_and_the_run_is_tested_from_another_folder(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    x = torch.rand(12, 1, 8, 8)
    np.savez("mine.npz", x=x, y=x.flip(-1))
    write("run.yaml", {"model": "fno", "data": "mine.npz", "trainer": {"max_steps": 2, "progress": False}})
    assert main(["fit", "run.yaml", "--model.modes", "[2, 2]", "--model.hidden_channels", "4"]) == 0
    stored = Path("runs/run/config.yaml").read_text()
    assert stored.startswith("sciml_config: 1\n")
    assert read_config("runs/run/config.yaml")["data"]["name"] == str(Path("mine.npz").absolute())
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert main(["test", "../runs/run"]) == 0


def test_runs_on_files_of_one_stem_do_not_share_a_folder() -> None:
    x = torch.rand(12, 8, 8)
    np.savez("mine.npz", x=x, y=x)
    torch.save({"x": x, "y": x}, "mine.pt")
    for name in ("mine.npz", "mine.pt"):
        assert main(["fit", *SMALL[:6], "--data", name, *SHORT]) == 0
    assert {path.name for path in Path("runs").iterdir()} == {"fno-mine-npz", "fno-mine-pt"}


def test_predict_takes_files_without_a_target_and_one_split_of_a_dataset(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", *SMALL, *SHORT, "--trainer.run_dir", "run"]) == 0
    x = torch.rand(3, 1, 16, 16)
    np.savez("new.npz", x=x)
    torch.save({"x": x}, "new.pt")
    expected = load("run")(x=x).numpy()
    for name in ("new.npz", "new.pt"):
        assert main(["predict", "run", "--data", name, "--out", "out.npz"]) == 0
        with np.load("out.npz") as arrays:
            assert set(arrays) == {"x", "prediction"}
            np.testing.assert_allclose(arrays["prediction"], expected, rtol=1e-5, atol=1e-6)
    common = ["predict", "run", "--out", "out.npz", "--data"]
    assert main([*common, "darcy-small", "--split", "test_32"]) == 0
    with np.load("out.npz") as arrays:
        assert arrays["prediction"].shape == (50, 1, 32, 32)
    capsys.readouterr()
    line = fails([*common, "darcy-small"], capsys)
    assert "train (1000 samples), test_16 (50 samples), test_32 (50 samples): choose one with --split" in line
    assert "unknown split 'tset'" in fails([*common, "darcy-small", "--split", "tset"], capsys)
    assert "without splits" in fails([*common, "new.pt", "--split", "test"], capsys)
    for shape in [(3, 16), (3, 2, 16, 16)]:
        np.savez("wrong.npz", x=np.zeros(shape))
        assert f"the shape {(shape[0], *shape[1:])}" in fails([*common, "wrong.npz"], capsys) or len(shape) == 2
    np.savez("wrong.npz", u=np.zeros((3, 16)), coords=np.zeros((16, 1)))
    assert "the model was trained on 'x'" in fails([*common, "wrong.npz"], capsys)
    assert main(["fit", *SHORT, "--model", "mlp", "--data", "darcy-small", "--trainer.run_dir", "mlp"]) == 0
    capsys.readouterr()
    np.savez("wrong.npz", x=np.zeros((3, 1, 20, 20)))
    line = fails(["predict", "mlp", "--out", "out.npz", "--data", "wrong.npz"], capsys)
    assert "wrong.npz (x (3, 1, 20, 20))" in line


def test_complex_data_are_refused_instead_of_losing_their_imaginary_part(capsys: pytest.CaptureFixture[str]) -> None:
    x = torch.randn(8, 1, 8, 8, dtype=torch.complex64)
    torch.save({"x": x, "y": x.real.clone()}, "mine.pt")
    line = fails(["fit", *SMALL[:6], "--data", "mine.pt", *SHORT], capsys)
    assert "x holds complex numbers (complex64)" in line
    assert "two channels" in line


def run_here(tokens: list[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **options.pop("env", {})}
    return subprocess.run([sys.executable, "-m", "sciml", *tokens], env=environment, **options)


def test_a_terminal_that_knows_ascii_only_ends_nothing() -> None:
    ascii_only = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = run_here(["fit", *SMALL, *SHORT], env=ascii_only, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert b"mean ? standard error" in done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_behind_the_output_costs_no_run() -> None:
    with open("/dev/full", "w") as full:
        done = run_here(["fit", *SMALL, *SHORT, "--trainer.run_dir", "run"], stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stderr
    assert b"the output cannot be written" in done.stderr
    assert {"model.safetensors", "metrics.json", "prediction.png"} <= {path.name for path in Path("run").iterdir()}


def test_listings_say_why_a_dataset_is_not_available(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "waves").mkdir()
    write("waves/card.yaml", {"name": "waves"})
    monkeypatch.setenv("SCIML_DATA", str(tmp_path))
    assert main(["datasets"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("waves"))
    assert "not available: " in line
    assert "lacks task" in line


def test_plugins_new_says_what_it_writes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["plugins", "new", "--help"])
    assert "a package with a model, its tests, an example and a README" in " ".join(capsys.readouterr().out.split())
    assert main(["plugins", "new", "heat", "--directory", "a folder"]) == 0
    assert "pip install -e 'a folder'" in capsys.readouterr().out
