"""Run every example as a user would, each in a process of its own, and say how long each took.

SCIML_REDUCED=1 python examples/run_all.py
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Run scripts, then configurations; the number of failures is the exit code."""
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        commands = {path.name: [sys.executable, str(path)] for path in sorted(HERE.glob("plot_*.py"))}
        for path in sorted(HERE.glob("*.yaml")):
            run_dir = str(Path(folder) / path.stem)
            commands[path.name] = [
                *(sys.executable, "-m", "sciml", "fit", str(path)),
                *("--trainer.run_dir", run_dir, "--trainer.max_epochs", "2"),
            ]
        for name, command in commands.items():
            begin = time.perf_counter()
            done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
            verdict = "ok" if done.returncode == 0 else f"failed with exit code {done.returncode}"
            print(f"{name:24s} {time.perf_counter() - begin:6.1f} s  {verdict}", flush=True)
            if done.returncode:
                failed += 1
                print(done.stdout[-2000:], done.stderr[-4000:], sep="\n", flush=True)
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
