"""Script for a fresh interpreter: import one module and write down what that changed. Imports nothing of sciml.

The tables of global settings and random states serve the checks of models too.
"""

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


def settings() -> dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]]:
    """What models and imports must leave alone: how to read it, and how to set it again."""
    import numpy as np
    import torch
    from torch.backends import cudnn

    def set_device(device: torch.device) -> None:
        # A default device, the CPU too, makes every call that creates a tensor slower.
        torch.set_default_device(None if device.type == "cpu" else device)

    def deterministic() -> tuple[bool, bool]:
        return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()

    def set_deterministic(flags: tuple[bool, bool]) -> None:
        torch.use_deterministic_algorithms(flags[0], warn_only=flags[1])

    def set_cudnn(flags: tuple[bool, bool, bool]) -> None:
        cudnn.enabled, cudnn.benchmark, cudnn.deterministic = flags

    return {
        "torch's number of threads": (torch.get_num_threads, torch.set_num_threads),
        "torch's default dtype": (torch.get_default_dtype, torch.set_default_dtype),
        "torch's default device": (torch.get_default_device, set_device),
        "torch's gradient mode": (torch.is_grad_enabled, torch.set_grad_enabled),
        "torch's anomaly detection": (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
        "torch's float32 matmul precision": (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
        "torch's deterministic algorithms": (deterministic, set_deterministic),
        "torch's cuDNN flags": (lambda: (cudnn.enabled, cudnn.benchmark, cudnn.deterministic), set_cudnn),
        "numpy's error handling": (np.geterr, lambda handling: np.seterr(**handling)),
        "the working folder": (os.getcwd, os.chdir),
    }


def random_states() -> dict[str, Callable[[], Any]]:
    """The states of the global random generators, to be compared with ``==``."""
    import numpy as np
    import torch

    return {
        "torch's random state": lambda: torch.get_rng_state().tolist(),
        "numpy's random state": lambda: [str(part) for part in np.random.get_state(legacy=True)],  # noqa: NPY002
        "Python's random state": random.getstate,
    }


def getters() -> dict[str, Callable[[], Any]]:
    """What the import must leave alone, in words that follow "changes"."""
    return {
        **{name: get for name, (get, _) in settings().items()},
        **random_states(),
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
