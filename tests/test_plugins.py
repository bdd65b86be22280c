"""The verbs behind ``sciml plugins``: list what is installed, write a plugin, check one."""

import ast
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import sciml
from sciml.errors import ConfigError
from sciml.plugins import check_plugin, list_plugins, main_check, main_list, main_new, new_plugin
from sciml.plugins.public_names import private_uses
from sciml.registry import refresh, registry


@pytest.fixture(autouse=True)
def _fresh_view(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("SCIML_DISABLE_PLUGINS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    refresh()
    yield
    monkeypatch.undo()
    refresh()


def install(
    site: Path, dist: str, components: dict[str, str], modules: dict[str, str], requires: str = "sciml>=0.1,<0.2"
) -> None:
    """Write a distribution with datasets (which need no conformance checks) as pip leaves it behind."""
    info = site / f"{dist.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    info.joinpath("METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {dist}\nVersion: 1.0\n" + (f"Requires-Dist: {requires}\n" if requires else "")
    )
    lines = "".join(f"{name} = {value}\n" for name, value in components.items())
    info.joinpath("entry_points.txt").write_text(f"[sciml.datasets]\n{lines}")
    info.joinpath("RECORD").write_text("".join(f"{name}.py,,\n" for name in modules))
    for name, source in modules.items():
        site.joinpath(f"{name}.py").write_text(source)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the search path of this process, empty so far."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


def test_listing_survives_components_that_fail_crash_and_hang(site, monkeypatch):
    sources = {
        "p_ok": "print('noise on stdout')\nthing = dict",
        "p_raises": "raise RuntimeError('no licence file')",
        "p_exits": "import os; os._exit(0)",
        "p_crashes": "import os; os.abort()",
        "p_hangs": "import time; time.sleep(60)",
    }
    install(site, "p-mixed", {f"{i}-{name}": f"{name}:thing" for i, name in enumerate(sources)}, sources)
    install(site, "p-old", {"old": "p_raises:thing"}, {}, requires="sciml>=7")
    refresh()
    rows = {row.name: row for row in list_plugins(["p-mixed", "P_Old"], timeout=3)}
    assert {name: row.status for name, row in rows.items()} == {
        "0-p_ok": "ok",
        "1-p_raises": "failed",
        "2-p_exits": "failed",
        "3-p_crashes": "failed",
        "4-p_hangs": "failed",
        "old": "incompatible",
    }
    assert rows["0-p_ok"].cause == ""
    assert rows["1-p_raises"].cause == "RuntimeError: no licence file"
    assert "ended the process" in rows["2-p_exits"].cause
    assert "signal 6" in rows["3-p_crashes"].cause
    assert "did not finish within 3 s" in rows["4-p_hangs"].cause
    assert "requires sciml>=7" in rows["old"].cause
    assert not {"p_ok", "p_raises"} & set(sys.modules)


def test_a_component_in_a_group_that_does_not_exist_is_shown(site):
    install(site, "p-typo", {"a": "builtins:dict"}, {})
    entry_points = site / "p_typo-1.0.dist-info" / "entry_points.txt"
    entry_points.write_text("[sciml.model]\na = builtins:dict\n")
    refresh()
    (row,) = list_plugins(["p-typo"])
    assert row.status == "failed"
    assert "Did you mean 'sciml.models'" in row.cause


def test_main_list_prints_every_component_and_what_is_skipped(site, capsys, monkeypatch):
    install(site, "p-broken", {"broken": "p_absent:thing"}, {})
    monkeypatch.setenv("SCIML_DISABLE_PLUGINS", "p-skipped")
    refresh()
    assert main_list() == 0
    printed = capsys.readouterr().out
    assert "p-broken" in printed
    assert "ModuleNotFoundError: No module named 'p_absent'" in printed
    assert "Skipped by SCIML_DISABLE_PLUGINS: p-skipped." in printed
    assert all(name in printed for name in registry("models"))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from sciml.train import Task\nclass A(Task):\n    def f(self): self._x = 1", []),
        ("import sciml\nprint(sciml.__version__, sciml.train.Trainer)", []),
        ("from sciml._discovery import entries", ["line 1: sciml._discovery"]),
        ("import sciml._discovery as d\nd.entries", ["line 1: sciml._discovery", "line 2: sciml._discovery"]),
        ("import sciml.train\n\nsciml.train._loop.run()", ["line 3: sciml.train._loop"]),
        ("import sciml.train as t\nt._loop", ["line 2: sciml.train._loop"]),
        ("from sciml import train\ntrain.Task._hidden", ["line 2: sciml.train.Task._hidden"]),
        ("from scimlx import _a\nfrom . import _b\nimport numpy\nnumpy._c", []),
    ],
)
def test_private_uses_are_those_of_sciml(source, expected):
    assert private_uses(source) == expected


@pytest.mark.slow
def test_check_names_each_thing_that_is_wrong(site):
    sources = {
        "q_private": "from sciml.registry import Registry\nthing = Registry._find\n",
        "q_broken": "raise RuntimeError('no licence file')",
    }
    install(site, "q-bad", {"a": "q_private:thing", "b": "q_broken:thing"}, sources, requires="sciml>=0.1")
    refresh()
    checks = {check.name: check for check in check_plugin("q-bad", timeout=60)}
    assert checks["is an installed plugin"].ok
    assert not checks["requires sciml with an upper bound"].ok
    assert "sciml>=0.1" in checks["requires sciml with an upper bound"].message
    assert checks["datasets/a loads"].ok
    assert "no licence file" in checks["datasets/b loads"].message
    private = checks["uses public names of sciml only"]
    assert (private.ok, private.message) == (False, "q_private.py line 2: sciml.registry.Registry._find")


@pytest.mark.slow
def test_check_finds_a_module_that_changes_the_state_everybody_shares(site):
    source = "import torch\ntorch.set_default_dtype(torch.float64)\nthing = dict\n"
    install(site, "q-loud", {"a": "q_loud:thing"}, {"q_loud": source})
    refresh()
    checks = {check.name: check for check in check_plugin("q-loud", timeout=120)}
    assert checks["datasets/a loads"].ok
    assert not checks["import q_loud changes nothing"].ok
    assert "dtype" in checks["import q_loud changes nothing"].message


TRIED = """
import torch
from sciml.data import Split
from sciml.tasks import OperatorRegression
from sciml.train import Method

class Good(Method):
    name = "good"
    def on_unscaled_gradients(self, context):
        for parameter in context.model.parameters():
            parameter.grad.mul_(0.5)

class Forgets(Method):
    name = "forgets"
    def setup(self, model, seed, total_steps):
        self.factor = 1.0
    def on_unscaled_gradients(self, context):
        self.factor *= 0.5
        for parameter in context.model.parameters():
            parameter.grad.mul_(self.factor)

class Raises(Method):
    def on_batch_start(self, context):
        raise RuntimeError("no such device")

class Needs(Method):
    def __init__(self, rate):
        self.rate = rate

class Shifted(OperatorRegression):
    def metrics(self):
        return {"largest": lambda prediction, batch, split: (prediction - batch["y"]).abs().flatten(1).amax(1)}

class Loses(OperatorRegression):
    def setup(self, dataset):
        super().setup(dataset)
        self.offset = dataset.train["y"].mean() + 1
    def restore(self, state):
        super().restore(state)
        self.offset = 0.0
    def predict(self, model, batch):
        return super().predict(model, batch) + self.offset
"""


@pytest.mark.slow
def test_check_trains_resumes_and_loads_with_each_method_and_task(site):
    install(site, "q-tried", {}, {"q_tried": TRIED})
    lines = "".join(f"{name.lower()} = q_tried:{name}\n" for name in ("Good", "Forgets", "Raises", "Needs"))
    tasks = "".join(f"{name.lower()} = q_tried:{name}\n" for name in ("Shifted", "Loses"))
    entry_points = f"[sciml.methods]\n{lines}[sciml.tasks]\n{tasks}"
    (site / "q_tried-1.0.dist-info" / "entry_points.txt").write_text(entry_points)
    refresh()
    checks = {check.name: check for check in check_plugin("q-tried", timeout=300)}
    assert checks["methods/good: trains"].ok
    assert checks["methods/good: resumes"].ok
    assert not checks["methods/forgets: resumes"].ok
    assert "belongs into the state" in checks["methods/forgets: resumes"].message
    assert "RuntimeError: no such device" in checks["methods/raises: trains"].message
    assert not checks["methods/raises: trains"].ok
    assert checks["methods/needs: trains"].message == "not tried: it needs rate"
    assert checks["tasks/shifted: trains"].ok
    assert checks["tasks/shifted: resumes"].ok
    assert checks["tasks/shifted: is loaded again"].ok
    assert not checks["tasks/loses: is loaded again"].ok


def test_the_cause_of_a_crash_is_the_error_not_what_follows_it(site):
    words = "ValueError: the licence has expired\\nnoise of a library\\n"
    source = f"import os, sys\nsys.stderr.write('{words}')\nos._exit(3)"
    install(site, "q-noisy", {"a": "q_noisy:thing"}, {"q_noisy": source})
    refresh()
    (row,) = list_plugins(["q-noisy"], timeout=60)
    assert row.cause == "the process ended with exit code 3: ValueError: the licence has expired"


def test_check_of_an_unknown_plugin_suggests_the_installed_ones(site, capsys):
    install(site, "q-heat", {"a": "builtins:dict"}, {})
    refresh()
    assert main_check("q-haet") == 1
    printed = capsys.readouterr().out
    assert "FAILED  is an installed plugin" in printed
    assert "Did you mean 'q-heat'?" in printed
    assert [check.ok for check in check_plugin("sciml")] == [False]


@pytest.mark.parametrize("name", ["", "2d", "a--b-", "a/b", "../x", "naïve", "sciml-"])
def test_names_that_cannot_be_a_package_are_refused(tmp_path, name):
    with pytest.raises(ConfigError, match="plugin name is"):
        new_plugin(name, tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_a_name_that_a_model_has_and_a_folder_that_is_not_empty_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="sciml already has a model 'fno'"):
        new_plugin("fno", tmp_path / "x")
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(ConfigError, match="not an empty folder"):
        new_plugin("heat", tmp_path)
    with pytest.raises(ConfigError, match="not an empty folder"):
        new_plugin("heat", tmp_path / "mine.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("name", ["none", "heat-net", "Sciml_Waves_2d", "module"])
def test_a_written_plugin_is_complete_and_parses(tmp_path, name):
    folder = new_plugin(name, tmp_path / "new")
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    package = project["project"]["name"].replace("-", "_")
    python = {f"{package}/__init__.py", f"{package}/model.py", "tests/test_model.py"}
    assert files == python | {"pyproject.toml", "README.md", "examples/darcy.yaml"}
    for path in python:
        ast.parse((folder / path).read_text())
    ((model, value),) = project["project"]["entry-points"]["sciml.models"].items()
    assert f"class {value.split(':')[1]}(nn.Module)" in (folder / package / "model.py").read_text()
    assert yaml.safe_load((folder / "examples/darcy.yaml").read_text())["model"]["name"] == model
    assert not any("${" in (folder / path).read_text() for path in files)


def test_main_new_writes_into_the_current_folder_and_says_what_next(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main_new("heat") == 0
    assert (tmp_path / "sciml-heat" / "sciml_heat" / "model.py").is_file()
    assert "pip install -e sciml-heat" in capsys.readouterr().out


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A plugin as ``plugins new`` writes it, and the folder that pip installed it into."""
    root = tmp_path_factory.mktemp("plugin")
    folder, target = new_plugin("freshly-made", root / "folder"), root / "installed"
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-build-isolation", "--no-deps"]
    subprocess.run([*command, "--target", str(target), str(folder)], check=True)
    return folder, target


def run(arguments: list[str], written: tuple[Path, Path]) -> subprocess.CompletedProcess[str]:
    """Run Python in the plugin's folder, with the installed plugin on the path."""
    folder, target = written
    environment = {**os.environ, "PYTHONPATH": str(target), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-P", *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.mark.slow
def test_a_written_plugin_installs_and_its_model_is_built_by_name(written, monkeypatch):
    monkeypatch.syspath_prepend(str(written[1]))
    refresh()
    assert registry("models")["freshly-made"].dist == "sciml-freshly-made"
    (row,) = list_plugins(["sciml-freshly-made"])
    assert (row.group, row.name, row.status) == ("models", "freshly-made", "ok")
    build = "registry('models').create('freshly-made', in_channels=1, out_channels=2)"
    code = f"from sciml.registry import registry; print({build}.project)"
    assert run(["-c", code], written).stdout.startswith("Conv2d(32, 2")


@pytest.mark.slow
def test_a_written_plugin_passes_its_own_tests(written):
    done = run(["-m", "pytest", "-q", "-p", "no:cacheprovider"], written)
    assert done.returncode == 0, done.stdout
    assert "passed" in done.stdout


@pytest.mark.slow
def test_a_written_plugin_passes_the_check(written, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(written[1]))
    refresh()
    code = main_check("sciml-freshly-made")
    printed = capsys.readouterr().out
    assert code == 0, printed
    assert len([line for line in printed.splitlines() if line.startswith("ok      models/freshly-made: ")]) > 10


@pytest.mark.slow
def test_the_example_of_a_written_plugin_trains_from_the_command_line(written, tmp_path):
    arguments = ["--trainer.max_epochs", "2", "--trainer.run_dir", str(tmp_path / "run")]
    done = run(["-m", "sciml", "fit", "examples/darcy.yaml", *arguments], written)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "model.safetensors").is_file()
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["model"]["name"] == "freshly-made"


def test_templates_travel_in_the_package():
    folder = Path(sciml.__file__).parent / "_plugin_template"
    assert len(list(folder.rglob("*.tmpl"))) == 6
