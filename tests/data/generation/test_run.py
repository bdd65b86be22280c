"""Generating: the same bytes whatever happens on the way, and nothing is mixed, lost or overwritten."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from sciml.data import generate, open_dataset
from sciml.data.generation import code_hash, resolve_problem
from sciml.errors import ConfigError, NonFiniteError
from sciml.registry import registry

HERE = Path(__file__).parent


@pytest.fixture
def decay(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The class of the toy problem, from a module that workers can import."""
    monkeypatch.syspath_prepend(str(HERE))
    from toy_problem import Decay

    return Decay


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def make(problem: Any, num: int, out: Path, **options: Any) -> Path:
    return generate(problem, num, out, **{"workers": 0, "progress": False, **options})


def test_the_file_holds_the_samples_of_the_problem(decay: Any, tmp_path: Path) -> None:
    file = make(decay(rate=2.0), 7, tmp_path / "a.hdf5", seed=3, resolution=16, chunk=3)
    expected = decay(rate=2.0).generate(7, seed=3, resolution=16)
    with h5py.File(file) as content:
        np.testing.assert_array_equal(content["tensor"][:], expected.arrays["u"].astype(np.float32))
        assert content.attrs["rate"] == 2.0
    with open_dataset(file) as fields:
        made = fields.attrs["generated"]
        assert (made["seed"], made["num"], made["resolution"], made["parameters"]["rate"]) == (3, 7, 16, 2.0)
        assert fields.attrs["equation"] == "u_t = -rate u"
    assert [path.name for path in tmp_path.iterdir()] == ["a.hdf5"]


def test_workers_chunk_by_chunk_and_this_process_give_the_same_bytes(decay: Any, tmp_path: Path) -> None:
    log = tmp_path / "log"
    one = make(decay(log=str(log)), 20, tmp_path / "one" / "a.hdf5", chunk=2)
    processes = {line.split()[2] for line in log.read_text().splitlines()}
    assert processes == {str(os.getpid())}
    log.unlink()
    time.sleep(1.1)  # a time stamp in the file would differ now
    two = make(decay(log=str(log)), 20, tmp_path / "two" / "a.hdf5", chunk=2, workers=2)
    lines = [line.split() for line in log.read_text().splitlines()]
    assert sorted((int(line[0]), int(line[1])) for line in lines) == [(i, 2) for i in range(0, 20, 2)]
    assert str(os.getpid()) not in {line[2] for line in lines}
    assert sha256(one) == sha256(two)


@pytest.mark.parametrize("format", ["pdebench", "well"])
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(decay: Any, tmp_path: Path, format: str) -> None:
    out = tmp_path / ("a.hdf5" if format == "pdebench" else "a")
    file = out if format == "pdebench" else out / "data" / "train" / "a.hdf5"
    log = tmp_path / "log"
    slow = decay(wait=0.01, log=str(log))
    code = (
        f"import sys; sys.path.insert(0, {str(HERE)!r})\n"
        "from toy_problem import Decay\nfrom sciml.data import generate\n"
        f"generate(Decay(wait=0.01, log={str(log)!r}), 40, {str(out)!r}, chunk=2, workers=2, format={format!r})\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
    parts = file.with_name(file.name + ".parts")
    deadline = time.monotonic() + 60
    while len(list(parts.glob("*.npz"))) < 4:
        assert time.monotonic() < deadline
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    there = {int(path.stem) for path in parts.glob("*.npz")}
    assert 4 <= len(there) < 20
    assert not file.exists()
    before = len(log.read_text().splitlines())
    assert make(slow, 40, out, chunk=2, format=format) == file
    again = [int(line.split()[0]) // 2 for line in log.read_text().splitlines()[before:]]
    assert not there & set(again), "parts that were there are not made again"
    assert not parts.exists()
    unbroken = tmp_path / "unbroken" / out.name
    assert sha256(make(slow, 40, unbroken, chunk=2, format=format)) == sha256(file)


def test_workers_end_with_a_parent_that_is_killed(decay: Any, tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = (
        f"import sys; sys.path.insert(0, {str(HERE)!r})\n"
        "from toy_problem import Decay\nfrom sciml.data import generate\n"
        f"generate(Decay(wait=60.0, log={str(log)!r}), 4, {str(tmp_path / 'a.hdf5')!r}, chunk=1, workers=2)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 60
    while not log.exists() or len(log.read_text().splitlines()) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    workers = [int(line.split()[2]) for line in log.read_text().splitlines()]
    process.kill()
    process.wait()
    while any(_alive(pid) for pid in workers):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _alive(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_damaged_part_of_a_killed_run_is_made_again(decay: Any, tmp_path: Path) -> None:
    expected = sha256(make(decay(), 6, tmp_path / "b.hdf5", chunk=2))
    with pytest.raises(NonFiniteError):
        make(decay(diverges_at=5), 6, tmp_path / "a.hdf5", chunk=2)
    parts = tmp_path / "a.hdf5.parts"
    settings = json.loads((parts / "settings.json").read_text())
    settings["parameters"]["diverges_at"] = -1
    (parts / "settings.json").write_text(json.dumps(settings))
    (parts / "000000.npz").write_bytes((parts / "000000.npz").read_bytes()[:100])
    assert sha256(make(decay(), 6, tmp_path / "a.hdf5", chunk=2)) == expected


def test_a_finished_file_is_not_replaced_unless_asked(decay: Any, tmp_path: Path) -> None:
    file = make(decay(), 4, tmp_path / "a.hdf5")
    before = sha256(file)
    with pytest.raises(ConfigError, match=r"a\.hdf5 exists\. Pass overwrite=True"):
        make(decay(), 4, file, seed=1)
    assert sha256(file) == before
    make(decay(), 4, file, seed=1, overwrite=True)
    assert sha256(file) != before


def test_parts_of_other_settings_are_refused_with_what_differs(decay: Any, tmp_path: Path) -> None:
    file = tmp_path / "a.hdf5"
    with pytest.raises(NonFiniteError):
        make(decay(diverges_at=3), 4, file, chunk=1)
    with pytest.raises(ConfigError, match=r"diverges_at was 3, now -1; rate was 1\.0, now 2\.0; seed was 0, now 5"):
        make(decay(rate=2.0), 4, file, chunk=1, seed=5)
    made = make(decay(rate=2.0), 4, file, chunk=1, seed=5, overwrite=True)
    assert sha256(made) == sha256(make(decay(rate=2.0), 4, tmp_path / "b.hdf5", chunk=1, seed=5))


def test_two_ranges_of_a_sequence_are_the_whole(decay: Any, tmp_path: Path) -> None:
    whole = open_dataset(make(decay(), 10, tmp_path / "a.hdf5"))
    first = open_dataset(make(decay(), 4, tmp_path / "b.hdf5"))
    second = open_dataset(make(decay(), 6, tmp_path / "c.hdf5", start=4))
    np.testing.assert_array_equal(whole["u"][:], np.concatenate([first["u"][:], second["u"][:]]))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_solution_that_diverges_names_the_sample(decay: Any, tmp_path: Path, workers: int) -> None:
    with pytest.raises(NonFiniteError, match=r"decay: u of sample 5 has NaN or infinite values"):
        make(decay(diverges_at=5), 8, tmp_path / "a.hdf5", chunk=2, workers=workers)
    assert not (tmp_path / "a.hdf5").exists()


def test_an_error_in_a_worker_is_shown_with_its_samples(decay: Any, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"a worker failed at samples 0 to 1: [\s\S]*FileNotFoundError"):
        make(decay(log=str(tmp_path / "nowhere" / "log")), 2, tmp_path / "a.hdf5", chunk=2, workers=1)


def test_a_worker_that_is_killed_is_reported(decay: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sciml.data.generation.worker._COMMAND", "import os; os.abort()")
    with pytest.raises(ConfigError, match="want of memory: ask for fewer points"):
        make(decay(), 2, tmp_path / "a.hdf5", workers=1)


def test_a_problem_of_a_script_needs_this_process(decay: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decay, "__module__", "__main__")
    with pytest.raises(ConfigError, match=r"Decay is defined in a script or notebook.*workers=0"):
        make(decay(), 2, tmp_path / "a.hdf5", workers=1)


def test_a_second_process_is_told_that_the_file_is_being_made(decay: Any, tmp_path: Path) -> None:
    from sciml.data.lock import file_lock

    with (
        file_lock(tmp_path / "a.hdf5.lock", wait=False),
        pytest.raises(ConfigError, match=r"another process is writing .*a\.hdf5: wait"),
    ):
        make(decay(), 2, tmp_path / "a.hdf5")
    assert make(decay(), 2, tmp_path / "a.hdf5").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num": 0}, "num is 0, expected at least 1"),
        ({"chunk": -1}, "chunk is -1, expected at least 1"),
        ({"start": -1}, "start is -1, expected at least 0"),
        ({"format": "zarr"}, "format is 'zarr', expected one of pdebench, well"),
    ],
)
def test_arguments_are_checked(decay: Any, tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        generate(decay(), **{"num": 2, "out": tmp_path / "a.hdf5", "progress": False, **options})


def test_a_folder_is_no_file(decay: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"out is the folder .*, expected a file such as .*decay\.hdf5"):
        make(decay(), 2, tmp_path)


def test_parameters_are_set_by_name(decay: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry("problems"), "_registered", {})
    registry("problems").register("toy-decay")(decay)
    assert resolve_problem("toy-decay", {"rate": 3.0}) == decay(rate=3.0)
    with pytest.raises(ConfigError, match="decay has no parameter speed; there are rate, frames"):
        resolve_problem("toy-decay", {"speed": 1})


def test_the_hash_of_the_code_changes_with_the_code(
    decay: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "toy_copy.py"
    copy.write_text((HERE / "toy_problem.py").read_text())
    monkeypatch.syspath_prepend(str(tmp_path))
    from toy_copy import Decay as Copy  # type: ignore[import-not-found]

    before = code_hash(Copy())
    assert before == code_hash(Copy(rate=2.0))
    copy.write_text(copy.read_text() + "\n# changed\n")
    assert code_hash(Copy()) != before


def test_a_log_gets_lines_of_progress(
    decay: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sciml.data.generation.progress._EVERY", 0.0)
    generate(decay(), 4, tmp_path / "a.hdf5", chunk=2, workers=0)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["decay 2/4 samples", "decay 4/4 samples"]
    assert "samples/s" in lines[0]
    assert "s left" in lines[0]
