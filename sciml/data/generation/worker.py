"""Processes that generate chunks, one thread each.

They are plain interpreters that run :func:`main`, and not started by ``multiprocessing``, which would run the user's
script again in each of them. A worker ends when its standard input closes, so none outlives a parent that was killed.
"""

import base64
import json
import os
import pickle
import queue
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml.errors import ConfigError, NonFiniteError, SciMLError

if TYPE_CHECKING:
    from sciml.problems.base import Problem

__all__ = ["main", "run_workers"]

_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_COMMAND = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from sciml.data.generation.worker import main; main()"
)
Job = tuple[int, int, int]


def run_workers(
    problem: "Problem",
    folder: Path,
    jobs: list[Job],
    options: dict[str, Any],
    num: int,
    advance: Callable[[int], None],
) -> None:
    """Make all parts in ``num`` processes.

    Args:
        problem: The problem.
        folder: Folder of the parts.
        jobs: Number of the chunk, first sample, number of samples.
        options: ``seed`` and ``resolution``.
        num: Number of processes.
        advance: Called with the number of samples of each finished part.

    Raises:
        ConfigError: If the class of the problem cannot be imported by another process.
        NonFiniteError: If a solution is not finite.
        RuntimeError: If a worker fails otherwise, with what it printed.
    """
    if type(problem).__module__ == "__main__":
        raise ConfigError(
            f"{type(problem).__name__} is defined in a script or notebook, which worker processes cannot import. "
            "Put it in a module, or pass workers=0."
        )
    header = base64.b64encode(pickle.dumps((folder.absolute(), options, pickle.dumps(problem))))
    pending: queue.SimpleQueue[Job] = queue.SimpleQueue()
    for job in jobs:
        pending.put(job)
    stop = threading.Event()
    processes = [_start() for _ in range(num)]
    try:
        with ThreadPoolExecutor(num) as pool:
            futures = [pool.submit(_serve, process, header, pending, stop, advance) for process in processes]
            try:
                wait(futures, return_when=FIRST_EXCEPTION)
            finally:
                stop.set()
                for process in processes:
                    process.kill()
        for future in futures:
            future.result()
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def _start() -> "subprocess.Popen[str]":
    environment = os.environ | dict.fromkeys(_ONE_THREAD, "1")
    command = [sys.executable, "-c", _COMMAND, json.dumps(sys.path)]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )


def _serve(
    process: "subprocess.Popen[str]",
    header: bytes,
    pending: "queue.SimpleQueue[Job]",
    stop: threading.Event,
    advance: Callable[[int], None],
) -> None:
    """Give one worker a job after the other."""
    job = (0, 0, 0)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        print(header.decode(), file=process.stdin, flush=True)
        while not stop.is_set():
            try:
                job = pending.get_nowait()
            except queue.Empty:
                return
            print(*job, file=process.stdin, flush=True)
            answer = process.stdout.readline()
            if not stop.is_set():
                _raise_unless_done(answer, job)
                advance(job[2])
    except BrokenPipeError:
        if not stop.is_set():
            _raise_unless_done("", job)


def _raise_unless_done(answer: str, job: Job) -> None:
    word, _, text = answer.strip().partition(" ")
    if word == "done":
        return
    if not text:
        raise ConfigError(
            f"the process that made samples {job[1]} to {job[1] + job[2] - 1} ended without a word, probably for want "
            "of memory: ask for fewer points (resolution) or fewer processes (workers). What was made is kept."
        )
    message = base64.b64decode(text).decode()
    if word == "NonFiniteError":
        raise NonFiniteError(message)
    if word == "SciMLError":
        raise ConfigError(message)
    raise RuntimeError(f"a worker failed at samples {job[1]} to {job[1] + job[2] - 1}: {message}")


def main() -> None:
    """The worker: a header line, then one line for each job; one line of answer for each."""
    # What a solver prints must not be taken for an answer.
    answers, sys.stdout = sys.stdout, sys.stderr
    folder, options, pickled = pickle.loads(base64.b64decode(sys.stdin.readline()))
    jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
    threading.Thread(target=_read_jobs, args=(jobs,), daemon=True).start()
    while True:
        index, start, num = jobs.get()
        try:
            from sciml.data.generation.parts import make_part

            make_part(pickle.loads(pickled), folder, index, start, num, options)
            answer = "done"
        except NonFiniteError as error:
            answer = f"NonFiniteError {_text(str(error))}"
        except SciMLError as error:
            answer = f"SciMLError {_text(str(error))}"
        except Exception:
            answer = f"error {_text(traceback.format_exc())}"
        print(answer, file=answers, flush=True)


def _read_jobs(jobs: "queue.SimpleQueue[Job]") -> None:
    for line in sys.stdin:
        index, start, num = map(int, line.split())
        jobs.put((index, start, num))
    # The parent is gone, or has no more work: what is being made is not wanted.
    os._exit(0)


def _text(message: str) -> str:
    return base64.b64encode(message.encode()).decode()
