"""Script for a fresh interpreter: import one module and write down what that changed. Imports nothing of sciml."""

import importlib
import importlib.util
import json
import logging
import multiprocessing
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def getters() -> dict[str, Callable[[], Any]]:
    """What the import must leave alone, in words that follow "changes"."""
    import numpy as np
    import torch

    return {
        "torch's number of threads": torch.get_num_threads,
        "torch's default dtype": torch.get_default_dtype,
        "torch's default device": torch.get_default_device,
        "torch's random state": lambda: torch.get_rng_state().tolist(),
        "torch's gradient mode": torch.is_grad_enabled,
        "torch's float32 matmul precision": torch.get_float32_matmul_precision,
        "torch's deterministic algorithms": torch.are_deterministic_algorithms_enabled,
        "numpy's random state": lambda: [str(part) for part in np.random.get_state(legacy=True)],  # noqa: NPY002
        "numpy's error handling": np.geterr,
        "Python's random state": random.getstate,
        "the working folder": os.getcwd,
        "the start method of multiprocessing": lambda: multiprocessing.get_start_method(allow_none=True),
        "the handlers of the root logger": lambda: list(logging.getLogger().handlers),
    }


def watch_network() -> list[str]:
    """Refuse connections and look-ups of hosts from now on, and list them."""
    wanted: list[str] = []

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in ("socket.connect", "socket.getaddrinfo"):
            return
        address = arguments[1] if event == "socket.connect" else arguments[0]
        if isinstance(address, tuple) or event == "socket.getaddrinfo":
            wanted.append(str(address[0] if isinstance(address, tuple) else address))
            raise PermissionError("no network while a module is imported")

    sys.addaudithook(hook)
    return wanted


def main(module: str, result: str) -> None:
    """Import the module and write the findings."""
    found: dict[str, Any] = {"absent": False, "error": None, "effects": []}
    if importlib.util.find_spec(module.partition(".")[0]) is None:
        found["absent"] = True
    else:
        found |= observe(module)
    Path(result).write_text(json.dumps(found), encoding="utf-8")


def observe(module: str) -> dict[str, Any]:
    """Import the module and compare."""
    found: dict[str, Any] = {"effects": []}
    state, folder = getters(), Path.cwd()
    before = {name: get() for name, get in state.items()}
    network = watch_network()
    try:
        # Looking for a.b imports a, which is part of what is watched.
        found["absent"] = importlib.util.find_spec(module) is None
        if not found["absent"]:
            importlib.import_module(module)
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}."):
            found["absent"] = True
        found["error"] = f"{type(error).__name__}: {error}"
    found["effects"] += [f"changes {name}" for name, get in state.items() if get() != before[name]]
    found["effects"] += [f"connects to {host}" for host in dict.fromkeys(network)]
    found["effects"] += [f"writes {path.name}" for path in sorted(folder.iterdir())]
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
