"""How long the package and its command take to start, against their gates.

python benchmarks/startup.py --rounds 9
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

COMMANDS = {
    "python -c pass": ([sys.executable, "-c", "pass"], None),
    "import sciml": ([sys.executable, "-c", "import sciml, sys; assert 'torch' not in sys.modules"], 0.15),
    "sciml --help": ([str(Path(sys.executable).with_name("sciml")), "--help"], 0.4),
    "sciml models": ([str(Path(sys.executable).with_name("sciml")), "models"], 0.6),
}


def main() -> int:
    """Measure in rounds, every command once a round; 1 when a gate is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for index in range(args.rounds + 1):
        for name, (command, _) in COMMANDS.items():
            begin = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            if index:  # the first round fills the disk cache
                seconds[name].append(time.perf_counter() - begin)
    missed = False
    results = {}
    print(f"{'':16s} {'median':>8s} {'min':>8s} {'max':>8s}  gate")
    for name, (_, gate) in COMMANDS.items():
        values = seconds[name]
        median = statistics.median(values)
        verdict = "" if gate is None else f"{gate:.2f} s {'met' if median <= gate else 'MISSED'}"
        missed = missed or (gate is not None and median > gate)
        results[name] = {"median_s": median, "min_s": min(values), "max_s": max(values), "gate_s": gate}
        print(f"{name:16s} {median:7.3f}s {min(values):7.3f}s {max(values):7.3f}s  {verdict}")
    if args.out is not None:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps({"python": platform.python_version(), "commands": results}, indent=2) + "\n")
    return int(missed)


if __name__ == "__main__":
    raise SystemExit(main())
