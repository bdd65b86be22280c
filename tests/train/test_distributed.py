"""Two processes on the CPU equal one process to rounding."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from sciml.train.session import FitSession

SCRIPT = Path(__file__).with_name("distributed_script.py")


def run(out: Path, devices: int, *extra: str) -> dict[str, torch.Tensor]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), str(out), str(devices), *extra]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    return load_file(out / "model.safetensors")


@pytest.mark.distributed
@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_to_one_process_stops_both_at_the_same_step(rank: int, tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), str(tmp_path / "run"), "2", "--epochs", "1000000"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (tmp_path / "run/metrics.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    target = process.pid if rank == 0 else int((tmp_path / "run.pid.1").read_text())
    os.kill(target, signal.SIGTERM)
    error = process.communicate(timeout=120)[1]
    # One message from each process, and no failed collective.
    assert error.count("stopped by SIGTERM") == 2
    assert "RuntimeError" not in error
    assert torch.load(tmp_path / "run/checkpoints/last.pt", weights_only=True)["loop"]["step"] > 0


def test_a_signal_that_arrives_while_processes_agree_waits_for_the_next_step() -> None:
    """Else one of them would stop alone, and the other would wait for it for ever."""

    def add(flag: torch.Tensor) -> torch.Tensor:
        total = flag.clone()
        session._signal = signal.SIGTERM
        return total

    engine = SimpleNamespace(world_size=2, device=torch.device("cpu"), sum=add)
    session = SimpleNamespace(engine=engine, _signal=0)
    assert not FitSession._all_stop(session)  # type: ignore[arg-type]
    assert FitSession._all_stop(session)  # type: ignore[arg-type]


@pytest.mark.distributed
def test_two_processes_that_are_stopped_and_resumed_equal_the_unbroken_run(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", 2, "--dropout", "0.3", "--epochs", "4")
    run(tmp_path / "parts", 2, "--dropout", "0.3", "--epochs", "2")
    parts = run(tmp_path / "parts", 2, "--dropout", "0.3", "--epochs", "4", "--resume")
    for name, value in whole.items():
        assert torch.equal(parts[name], value), name
    logs = [(tmp_path / name / "metrics.csv").read_text() for name in ("whole", "parts")]
    assert logs[0] == logs[1]


@pytest.mark.distributed
@pytest.mark.parametrize("extra", [[], ["--accumulate", "2"], ["--resolutions"]])
def test_two_processes_equal_one_to_rounding(extra: list[str], tmp_path: Path) -> None:
    # 23 samples in batches of 4: the last batch has 3 samples, two on one rank and one on the other.
    one = run(tmp_path / "one", 1, *extra)
    two = run(tmp_path / "two", 2, *extra)
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-9, atol=1e-11, msg=name)
    first, second = (json.loads((tmp_path / n / "test.json").read_text()) for n in ("one", "two"))
    for key, value in first.items():
        assert second[key] == pytest.approx(value, rel=1e-9)
    rows = [(tmp_path / n / "metrics.csv").read_text().splitlines() for n in ("one", "two")]
    assert rows[0][0] == rows[1][0]
    for a, b in zip(rows[0][1:], rows[1][1:], strict=True):
        assert [float(v) for v in a.split(",")] == pytest.approx([float(v) for v in b.split(",")], rel=1e-9)
