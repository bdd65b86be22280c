"""Importing a model's module must change nothing: each effect is found and named."""

from pathlib import Path
from unittest import SkipTest

import pytest

from sciml.testing import check_import_side_effects

EFFECTS = {
    "threads": (
        "import torch; torch.set_num_threads(torch.get_num_threads() + 1)",
        "changes torch's number of threads",
    ),
    "dtype": ("import torch; torch.set_default_dtype(torch.float64)", "changes torch's default dtype"),
    "torch_rng": ("import torch; torch.rand(1)", "changes torch's random state"),
    "numpy_rng": ("import numpy; numpy.random.seed(0)", "changes numpy's random state"),
    "python_rng": ("import random; random.seed(0)", "changes Python's random state"),
    "prints": ("print('hello')", "prints 'hello'"),
    "writes": ("open('cache.txt', 'w').close()", "writes cache.txt"),
    "raises": ("raise RuntimeError('no licence file')", "raised RuntimeError: no licence file"),
    "exits": ("import os; os._exit(3)", "ended the process with exit code 3"),
    # The failure is swallowed, the attempt counts.
    "connects": (
        "import socket\ntry: socket.create_connection(('127.0.0.1', 9), 1)\nexcept OSError: pass",
        "connects to 127.0.0.1",
    ),
}


@pytest.mark.parametrize("name", EFFECTS)
def test_a_side_effect_is_found_and_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source, message = EFFECTS[name]
    module = f"effect_of_{name}"
    tmp_path.joinpath(f"{module}.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(AssertionError) as caught:
        check_import_side_effects(module)
    assert message in str(caught.value)
    others = {other for _, other in EFFECTS.values()} - {message}
    assert not any(other in str(caught.value) for other in others)


def test_a_module_that_hangs_is_given_up(tmp_path, monkeypatch):
    tmp_path.joinpath("hanging_module.py").write_text("import time; time.sleep(60)")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(AssertionError, match="not imported within 3 s"):
        check_import_side_effects("hanging_module", timeout=3)


@pytest.mark.parametrize("module", ["no_such_module", "no_such_package.model"])
def test_a_module_that_a_fresh_interpreter_cannot_find_is_skipped(module):
    with pytest.raises(SkipTest, match=module):
        check_import_side_effects(module)


def test_a_missing_dependency_of_the_module_is_an_error_not_a_skip(tmp_path, monkeypatch):
    tmp_path.joinpath("needs_more.py").write_text("import no_such_package")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(AssertionError, match="No module named 'no_such_package'"):
        check_import_side_effects("needs_more")
