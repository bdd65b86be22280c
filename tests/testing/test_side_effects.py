"""Importing a model's module must change nothing: each effect is found and named."""

from pathlib import Path
from unittest import SkipTest

import pytest

from sciml.testing import check_import_side_effects

# Line of a module to what is said of it. The attempt to connect counts, also when its failure is swallowed.
EFFECTS = {
    "torch.set_num_threads(torch.get_num_threads() + 1)": "changes torch's number of threads",
    "torch.set_default_dtype(torch.float64)": "changes torch's default dtype",
    "torch.set_grad_enabled(False)": "changes torch's gradient mode",
    "torch.use_deterministic_algorithms(True)": "changes torch's deterministic algorithms",
    "numpy.seterr(all='ignore')": "changes numpy's error handling",
    "torch.rand(1)": "changes torch's random state",
    "numpy.random.seed(0)": "changes numpy's random state",
    "random.seed(0)": "changes Python's random state",
    "logging.basicConfig()": "changes the handlers of the root logger",
    "try: socket.create_connection(('127.0.0.1', 9), 1)\nexcept OSError: pass": "connects to 127.0.0.1",
    "open('cache.txt', 'w').close()": "writes cache.txt",
    "print('hello')": "prints 'hello'",
}


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Write a module that can be imported."""

    def write(name: str, source: str) -> str:
        tmp_path.joinpath(f"{name}.py").write_text(source)
        monkeypatch.syspath_prepend(str(tmp_path))
        return name

    return write


def test_every_side_effect_is_found_and_named(module):
    name = module("many_effects", "import logging, numpy, random, socket, torch\n" + "\n".join(EFFECTS))
    with pytest.raises(AssertionError) as caught:
        check_import_side_effects(name)
    assert str(caught.value) == (
        f"importing many_effects {'; '.join(EFFECTS.values())}. Move this into the function that needs it."
    )


def test_a_module_without_side_effects_passes(module):
    check_import_side_effects(module("harmless", "import torch\nx = torch.zeros(3)"))


@pytest.mark.parametrize(
    ("name", "source", "message"),
    [
        ("raises", "raise RuntimeError('no licence file')", "raised RuntimeError: no licence file"),
        ("exits", "import os; os._exit(3)", "ended the process with exit code 3"),
        ("needs_more", "import no_such_package", "No module named 'no_such_package'"),
    ],
)
def test_a_module_that_cannot_be_imported_fails(module, name, source, message):
    with pytest.raises(AssertionError, match=message):
        check_import_side_effects(module(name, source))


def test_a_module_that_hangs_is_given_up(module):
    with pytest.raises(AssertionError, match="not imported within 1 s"):
        check_import_side_effects(module("hanging_module", "import time; time.sleep(60)"), timeout=1)


@pytest.mark.parametrize("name", ["no_such_module", "no_such_package.model", "harmless.model"])
def test_a_module_that_a_fresh_interpreter_cannot_find_is_skipped(module, name):
    module("harmless", "")
    with pytest.raises(SkipTest, match=name):
        check_import_side_effects(name)
