"""A stopped run, resumed, equals the run that was never stopped; and nothing is lost on the way."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from sciml.data import Dataset
from sciml.errors import CheckpointError, ConfigError
from sciml.methods import GradientNoise
from sciml.tasks import OperatorRegression
from sciml.train import EMA, Callback, Interrupted, Phase, RunFolder, Trainer
from sciml.train.checkpoint import load_checkpoint, save_checkpoint
from sciml.train.randomness import restore_rng, rng_state

SCRIPT = Path(__file__).with_name("resume_script.py")


def run_script(*args: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=check, timeout=120)


def assert_same_run(first: Path, second: Path) -> None:
    a, b = load_checkpoint(first), load_checkpoint(second)

    def compare(x: Any, y: Any, where: str) -> None:
        assert type(x) is type(y), where
        if isinstance(x, torch.Tensor):
            assert torch.equal(x, y), where
        elif isinstance(x, dict):
            assert x.keys() == y.keys(), where
            for key in x:
                compare(x[key], y[key], f"{where}.{key}")
        elif isinstance(x, list):
            assert len(x) == len(y), where
            for index, pair in enumerate(zip(x, y, strict=True)):
                compare(*pair, f"{where}[{index}]")
        else:
            assert x == y, where

    compare(a, b, "state")


@pytest.mark.parametrize("stop", [3, 5, 12])
def test_a_run_resumed_in_a_new_process_equals_the_unbroken_run(stop: int, tmp_path: Path) -> None:
    # Dropout, a step schedule, EMA and gradient noise; 22 samples in batches of 5: steps 3 and 12 are in mid-epoch.
    run_script("--out", tmp_path / "whole", "--steps", 17)
    run_script("--out", tmp_path / "parts", "--steps", 17, "--stop", stop)
    assert load_checkpoint(tmp_path / "parts/checkpoints/last.pt")["loop"]["step"] == stop
    run_script("--out", tmp_path / "parts", "--steps", 17, "--resume")
    assert_same_run(tmp_path / "whole/checkpoints/last.pt", tmp_path / "parts/checkpoints/last.pt")
    assert (tmp_path / "whole/metrics.csv").read_bytes() == (tmp_path / "parts/metrics.csv").read_bytes()
    assert (tmp_path / "whole/model.safetensors").read_bytes() == (tmp_path / "parts/model.safetensors").read_bytes()


def test_a_kill_in_the_middle_of_saving_leaves_the_last_good_checkpoint(tmp_path: Path) -> None:
    killed = run_script("--out", tmp_path / "run", "--steps", 17, "--kill-in-save", 3, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert load_checkpoint(tmp_path / "run/checkpoints/last.pt")["loop"]["step"] == 8
    run_script("--out", tmp_path / "run", "--steps", 17, "--resume")
    run_script("--out", tmp_path / "whole", "--steps", 17)
    assert_same_run(tmp_path / "whole/checkpoints/last.pt", tmp_path / "run/checkpoints/last.pt")
    assert (tmp_path / "whole/metrics.csv").read_bytes() == (tmp_path / "run/metrics.csv").read_bytes()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_says_how_to_go_on(number: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--out", str(tmp_path / "run"), "--steps", "1000000"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / "run/metrics.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    error = process.communicate(timeout=60)[1]
    assert number.name in error
    assert "resume='auto'" in error
    state = load_checkpoint(tmp_path / "run/checkpoints/last.pt")
    assert state["loop"]["step"] > 0


def fit(model: nn.Module, data: Dataset, run: Path | None, resume: str | None = None, **kwargs: Any) -> None:
    settings: dict[str, Any] = {"max_epochs": 2, "batch_size": 5, **kwargs}
    Trainer(progress=False, run_dir=run, accelerator="cpu", **settings).fit(model, data, resume=resume)


def test_an_existing_run_folder_is_not_touched(line_data: Dataset, make_net: Any, tmp_path: Path) -> None:
    fit(make_net(), line_data, tmp_path / "run")
    before = (tmp_path / "run/metrics.csv").read_bytes()
    with pytest.raises(ConfigError, match=r"--resume.*--overwrite"):
        fit(make_net(), line_data, tmp_path / "run")
    assert (tmp_path / "run/metrics.csv").read_bytes() == before


def test_overwrite_replaces_a_run_but_never_another_folder(line_data: Dataset, make_net: Any, tmp_path: Path) -> None:
    fit(make_net(), line_data, tmp_path / "run", max_epochs=3)
    fit(make_net(), line_data, tmp_path / "run", max_epochs=1, overwrite=True)
    assert len(RunFolder(tmp_path / "run").rows()) == 1
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/holiday.jpg").write_bytes(b"x")
    with pytest.raises(ConfigError, match="not a run folder"):
        fit(make_net(), line_data, tmp_path / "photos", overwrite=True)
    assert (tmp_path / "photos/holiday.jpg").exists()


def test_only_files_of_a_run_are_ever_removed(line_data: Dataset, make_net: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    fit(make_net(), line_data, run)
    (run / "thesis.tex").write_text("chapter 1")
    fit(make_net(), line_data, run, max_epochs=1, overwrite=True)
    assert (run / "thesis.tex").read_text() == "chapter 1"
    assert len(RunFolder(run).rows()) == 1
    # A folder that looks like a run, but was not written by one.
    other = tmp_path / "project"
    other.mkdir()
    (other / "config.yaml").write_text("mine: 1")
    for settings in ({"overwrite": True}, {"resume": "auto"}, {}):
        with pytest.raises(ConfigError, match="not a run folder"):
            fit(make_net(), line_data, other, **settings)
    assert (other / "config.yaml").read_text() == "mine: 1"
    assert [path.name for path in other.iterdir()] == ["config.yaml"]


def test_a_run_without_its_checkpoint_is_not_thrown_away(line_data: Dataset, make_net: Any, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    fit(make_net(), line_data, run.path)
    run.last.unlink()
    before = run.model.read_bytes()
    with pytest.raises(CheckpointError, match="without its checkpoint"):
        fit(make_net(), line_data, run.path, resume="auto")
    assert run.model.read_bytes() == before
    assert run.best.exists()


def test_a_run_that_was_stopped_before_its_first_checkpoint_starts_again(
    line_data: Dataset, make_net: Any, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    run.begin()
    fit(make_net(), line_data, run.path, resume="auto")
    assert len(run.rows()) == 2


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"batch_size": 7}, "trainer.batch_size was 5, now 7"),
        ({"seed": 1}, "trainer.seed was 0, now 1"),
        ({"clip_norm": 1.0}, "trainer.clip_norm was None, now 1.0"),
        ({"optimizer": {"name": "sgd", "lr": 0.1}}, r"its length: optimizer.name was adamw, now sgd\. Take"),
        ({"optimizer": {"name": "adamw", "eps": 1e-6}}, r"its length: optimizer.eps was 1e-08, now 1e-06\. Take"),
        ({"optimizer": {"name": "adamw", "lr": 0.1}}, "optimizer.lr was 0.001, now 0.1"),
        ({"scheduler": {"name": "onecycle", "max_lr": 0.1}}, "scheduler.name was left out, now onecycle"),
        ({"task": OperatorRegression(loss="mse")}, "task.loss was relative_l2, now mse"),
    ],
)
def test_a_resumed_run_keeps_its_settings_and_a_refusal_changes_nothing(
    line_data: Dataset, make_net: Any, tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    fit(make_net(), line_data, tmp_path / "run")
    before = snapshot(tmp_path)
    fitting = {key: changed.pop(key) for key in ("optimizer", "scheduler", "task") if key in changed}
    trainer = Trainer(**{"max_epochs": 4, "batch_size": 5, "progress": False, "run_dir": tmp_path / "run"} | changed)
    with pytest.raises(ConfigError, match=message):
        trainer.fit(make_net(), line_data, resume="auto", config={"model": "another"}, **fitting)
    assert snapshot(tmp_path) == before


def test_arguments_that_are_spelt_out_are_the_same_settings(line_data: Dataset, make_net: Any, tmp_path: Path) -> None:
    trainer = {"batch_size": 5, "progress": False, "run_dir": tmp_path / "run"}
    Trainer(max_epochs=2, **trainer).fit(make_net(), line_data, scheduler="plateau")
    optimizer = {"name": "adamw", "lr": 1e-3, "betas": [0.9, 0.999], "weight_decay": 0.01}
    scheduler = {"name": "plateau", "mode": "min"}
    result = Trainer(max_epochs=3, **trainer).fit(
        make_net(), line_data, resume="auto", optimizer=optimizer, scheduler=scheduler
    )
    assert result.epochs == 3
    with pytest.raises(ConfigError, match=r"scheduler\.mode was min, now max"):
        Trainer(max_epochs=4, mode="max", **trainer).fit(
            make_net(), line_data, resume="auto", optimizer=optimizer, scheduler="plateau"
        )


def test_other_data_of_the_same_shape_are_refused(line_data: Dataset, make_net: Any, tmp_path: Path) -> None:
    fit(make_net(), line_data, tmp_path / "run")
    line_data.train["y"][0, 0, 0] += 1
    with pytest.raises(CheckpointError, match="data have changed"):
        fit(make_net(), line_data, tmp_path / "run", max_epochs=4, resume="auto")


def test_two_processes_cannot_train_in_one_folder(line_data: Dataset, make_net: Any, tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run").claim():
        for settings in ({}, {"overwrite": True}, {"resume": "auto"}):
            with pytest.raises(ConfigError, match="another process trains in the run folder"):
                fit(make_net(), line_data, tmp_path / "run", **settings)
    fit(make_net(), line_data, tmp_path / "run")
    assert not (tmp_path / "run/.lock").exists()


@pytest.mark.parametrize("resume", ["atuo", 3])
def test_a_checkpoint_that_is_nowhere_is_named(line_data: Dataset, make_net: Any, resume: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"resume is {resume!r}, expected 'auto'"):
        fit(make_net(), line_data, tmp_path / "run", resume=resume)


def test_a_checkpoint_that_lacks_a_part_is_refused(line_data: Dataset, make_net: Any, tmp_path: Path) -> None:
    fit(make_net(), line_data, tmp_path / "run")
    last = RunFolder(tmp_path / "run").last
    state = load_checkpoint(last)
    del state["loop"], state["format"]
    save_checkpoint(state, last)
    with pytest.raises(CheckpointError, match="lacks loop"):
        fit(make_net(), line_data, tmp_path / "run", max_epochs=3, resume="auto")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="limits the size of files in a child process")
def test_a_full_disk_is_said_and_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint({"a": torch.zeros(3)}, path)
    before = path.read_bytes()
    code = (
        "import resource, signal, sys, torch; from pathlib import Path; from sciml.train.checkpoint import *\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))\n"
        "save_checkpoint({'a': torch.zeros(100_000)}, Path(sys.argv[1]))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert "CheckpointError" in done.stderr
    assert "is the disk full?" in done.stderr
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["last.pt"]


def test_a_folder_that_cannot_be_written_is_named(line_data: Dataset, make_net: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        fit(make_net(), line_data, tmp_path / "file" / "run")


def test_python_without_a_run_dir_writes_nothing(
    line_data: Dataset, make_net: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fit(make_net(), line_data, None)
    assert list(tmp_path.iterdir()) == []


def test_resume_auto_starts_anew_where_there_is_no_checkpoint(
    line_data: Dataset, make_net: Any, tmp_path: Path
) -> None:
    fit(make_net(), line_data, tmp_path / "run", resume="auto")
    assert len(RunFolder(tmp_path / "run").rows()) == 2


def test_a_complete_run_can_be_extended(line_data: Dataset, make_net: Any, tmp_path: Path) -> None:
    model, whole = make_net(), make_net()
    whole.load_state_dict(model.state_dict())
    fit(model, line_data, tmp_path / "run", max_epochs=2)
    fit(model, line_data, tmp_path / "run", max_epochs=4, resume="auto")
    fit(whole, line_data, None, max_epochs=4)
    for a, b in zip(model.parameters(), whole.parameters(), strict=True):
        assert torch.equal(a, b)


def test_other_data_than_those_of_the_checkpoint_are_refused(line_data: Dataset, make_net: Any, tmp_path: Path) -> None:
    fit(make_net(), line_data, tmp_path / "run")
    fewer = Dataset({"train": line_data.train.select(slice(0, 9))}, line_data.spec)
    with pytest.raises(CheckpointError, match=r"\[22, 1, 8\].*\[9, 1, 8\]"):
        fit(make_net(), fewer, tmp_path / "run", resume="auto", max_epochs=3)


def test_an_epoch_schedule_does_not_step_in_mid_epoch(line_data: Dataset, make_net: Any, tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "optimizer": {"name": "sgd", "lr": 1.0},
        "scheduler": {"name": "step", "step_size": 1, "gamma": 0.5},
    }
    common: dict[str, Any] = {"batch_size": 5, "progress": False, "accelerator": "cpu"}
    whole, parts = make_net(), make_net()
    parts.load_state_dict(whole.state_dict())
    Trainer(max_steps=12, **common).fit(whole, line_data, **settings)
    for steps in (3, 5, 8, 12):
        Trainer(max_steps=steps, run_dir=tmp_path, **common).fit(parts, line_data, **settings, resume="auto")
    for a, b in zip(whole.parameters(), parts.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_signal_at_the_end_of_an_epoch_brings_no_validation_of_its_own(
    line_data: Dataset, make_net: Any, tmp_path: Path
) -> None:
    class Stopper(Callback):
        def on_step_end(self, loop: Any) -> None:
            if loop.step == 5:
                os.kill(os.getpid(), signal.SIGTERM)

    common: dict[str, Any] = {"max_epochs": 4, "batch_size": 5, "progress": False, "validate_every": 2}
    whole, parts = make_net(), make_net()
    parts.load_state_dict(whole.state_dict())
    Trainer(run_dir=tmp_path / "whole", **common).fit(whole, line_data)
    with pytest.raises(Interrupted, match=r"resume='auto'"):
        Trainer(run_dir=tmp_path / "parts", callbacks=[Stopper()], **common).fit(parts, line_data)
    Trainer(run_dir=tmp_path / "parts", callbacks=[Callback()], **common).fit(parts, line_data, resume="auto")
    assert (tmp_path / "whole/metrics.csv").read_bytes() == (tmp_path / "parts/metrics.csv").read_bytes()


def test_a_schedule_that_was_made_for_a_shorter_run_says_so(line_data: Dataset, make_net: Any, tmp_path: Path) -> None:
    common: dict[str, Any] = {"batch_size": 5, "progress": False, "run_dir": tmp_path / "run"}
    settings = {"optimizer": {"name": "sgd", "lr": 0.1}, "scheduler": {"name": "onecycle", "max_lr": 0.1}}
    Trainer(max_epochs=1, **common).fit(make_net(), line_data, **settings)
    with pytest.raises(ConfigError, match="keeps the length it was made for"):
        Trainer(max_epochs=2, **common).fit(make_net(), line_data, **settings, resume="auto")


def test_resume_across_phases_equals_the_unbroken_run(line_data: Dataset, make_net: Any, tmp_path: Path) -> None:
    class Staged(OperatorRegression):
        def phases(self) -> list[Phase]:
            return [Phase(2, ["layers.1.*"]), Phase(2, ["layers.4.*"], {"name": "sgd", "lr": 0.1})]

    whole, parts = make_net(), make_net()
    parts.load_state_dict(whole.state_dict())
    common: dict[str, Any] = {"batch_size": 5, "progress": False, "accelerator": "cpu"}
    Trainer(**common).fit(whole, line_data, Staged())
    for steps in (3, 10, 13, 20):
        Trainer(**common, max_steps=steps, run_dir=tmp_path / "run").fit(parts, line_data, Staged(), resume="auto")
    for a, b in zip(whole.parameters(), parts.parameters(), strict=True):
        assert torch.equal(a, b)


def test_other_methods_than_those_of_the_checkpoint_are_refused(
    line_data: Dataset, make_net: Any, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    Trainer(max_epochs=1, progress=False, run_dir=run).fit(make_net(), line_data, methods=[GradientNoise()])
    with pytest.raises(ConfigError, match=r"methods was \['gradient-noise'\], now \[\]"):
        Trainer(max_epochs=2, progress=False, run_dir=run).fit(make_net(), line_data, resume="auto")


def test_another_model_than_that_of_the_checkpoint_is_refused(
    line_data: Dataset, make_net: Any, tmp_path: Path
) -> None:
    fit(make_net(), line_data, tmp_path / "run")
    other = nn.Sequential(nn.Flatten(), nn.Linear(8, 8), nn.Unflatten(1, (1, 8)))
    with pytest.raises(CheckpointError, match="does not fit the model"):
        Trainer(max_epochs=3, batch_size=5, progress=False, run_dir=tmp_path / "run").fit(
            other, line_data, resume="auto", inputs={"input": "x"}
        )


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 truncated"])
def test_a_broken_checkpoint_is_one_clear_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"last\.pt"):
        load_checkpoint(tmp_path / "last.pt")


class _Canary:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_a_hostile_checkpoint_executes_nothing(tmp_path: Path) -> None:
    torch.save({"format": 1, "model": _Canary(tmp_path / "canary")}, tmp_path / "last.pt")
    with pytest.raises(CheckpointError):
        load_checkpoint(tmp_path / "last.pt")
    assert not (tmp_path / "canary").exists()


def test_a_checkpoint_of_another_format_is_refused(tmp_path: Path) -> None:
    torch.save({"format": 99}, tmp_path / "last.pt")
    with pytest.raises(CheckpointError, match="format 99"):
        load_checkpoint(tmp_path / "last.pt")


def test_random_states_survive_a_checkpoint(tmp_path: Path) -> None:
    import random

    import numpy as np

    def draw() -> tuple[Any, ...]:
        return torch.rand(3).tolist(), np.random.rand(3).tolist(), random.gauss(0, 1)  # noqa: NPY002

    random.gauss(0, 1)
    save_checkpoint({"rng": rng_state()}, tmp_path / "last.pt")
    expected = draw()
    restore_rng(load_checkpoint(tmp_path / "last.pt")["rng"])
    assert draw() == expected


def test_ema_survives_a_resume(line_data: Dataset, make_net: Any, tmp_path: Path) -> None:
    whole, parts = make_net(), make_net()
    parts.load_state_dict(whole.state_dict())
    fit(whole, line_data, None, max_epochs=4, callbacks=[EMA(0.8)])
    fit(parts, line_data, tmp_path / "run", max_steps=7, callbacks=[EMA(0.8)])
    fit(parts, line_data, tmp_path / "run", max_epochs=4, callbacks=[EMA(0.8)], resume="auto")
    for a, b in zip(whole.parameters(), parts.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_run_that_a_callback_ended_stays_ended_when_it_is_resumed(
    line_data: Dataset, make_net: Any, tmp_path: Path
) -> None:
    class StopAt(Callback):
        def on_epoch_end(self, loop: Any, row: dict[str, float]) -> None:
            if loop.epoch == 3:
                loop.stop("three are enough")

    run = RunFolder(tmp_path / "run")
    fit(make_net(), line_data, run.path, max_epochs=9, callbacks=[StopAt()])
    log = run.log.read_bytes()
    trainer = Trainer(progress=False, run_dir=run.path, max_epochs=9, batch_size=5, callbacks=[StopAt()])
    result = trainer.fit(make_net(), line_data, resume="auto")
    assert (result.epochs, result.stop_reason) == (3, "three are enough")
    assert run.log.read_bytes() == log


@pytest.mark.parametrize(
    "damage", [{"loop": {}}, {"loop": 7}, {"history": 3}, {"rng": {}}, {"task": [1]}, {"model": 5}, {"data": None}]
)
def test_a_damaged_checkpoint_is_one_clear_error(
    line_data: Dataset, make_net: Any, tmp_path: Path, damage: dict[str, Any]
) -> None:
    fit(make_net(), line_data, tmp_path / "run")
    last = RunFolder(tmp_path / "run").last
    state = load_checkpoint(last)
    del state["format"]
    save_checkpoint({**state, **damage}, last)
    with pytest.raises(CheckpointError):
        fit(make_net(), line_data, tmp_path / "run", max_epochs=3, resume="auto")


@pytest.mark.parametrize(
    "settings", [{"restore_best": True}, {"scheduler": {"name": "plateau"}}], ids=["restore_best", "plateau"]
)
def test_what_follows_a_metric_needs_one(line_data: Dataset, make_net: Any, settings: dict[str, Any]) -> None:
    data = Dataset({"train": line_data.train}, line_data.spec, "line")
    fitting = {key: settings.pop(key) for key in ("scheduler",) if key in settings}
    with pytest.raises(ConfigError, match="no validation split"):
        Trainer(max_epochs=1, progress=False, **settings).fit(make_net(), data, **fitting)
