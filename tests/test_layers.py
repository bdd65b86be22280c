"""Packages import downwards only, and importing sciml is cheap and has no side effects."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "sciml"

LAYERS: list[set[str]] = [
    {"errors", "registry", "_discovery"},
    {"spaces", "nn", "metrics"},
    {"problems", "operators", "graphs", "equilibrium", "kernels"},
    {"theory", "data", "analysis"},
    {"train"},
    {"tasks", "methods"},
    {"plotting", "testing", "bench", "plugins", "config", "commands"},
    {"cli", "__main__"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def imports_of(path: Path) -> set[str]:
    """Top-level parts of sciml that a file imports, at module level or inside functions, but not for type checking."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            node.body = []
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            if node.module == "sciml":
                found |= {alias.name for alias in node.names}
            elif node.module.startswith("sciml."):
                found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("sciml.")}
    return found


FILES = sorted(path for path in ROOT.rglob("*.py") if "_plugin_template" not in path.parts and path.parent != ROOT)
FILES += [path for path in ROOT.glob("*.py") if path.name != "__init__.py"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_downwards(path: Path) -> None:
    own = path.relative_to(ROOT).parts[0].removesuffix(".py")
    for name in imports_of(path) - {own, "__version__"}:
        assert name in LEVEL, f"{path.name} imports sciml.{name}, which has no layer"
        assert LEVEL[name] <= LEVEL[own], f"sciml.{own} (layer {LEVEL[own]}) imports sciml.{name} (layer {LEVEL[name]})"


def test_relative_imports_are_not_used() -> None:
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            assert not (isinstance(node, ast.ImportFrom) and node.level), f"{path}: relative import"


def loaded_after(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_sciml_loads_nothing_heavy() -> None:
    heavy = {"torch", "numpy", "scipy", "matplotlib", "rich", "h5py", "xarray", "jsonargparse", "yaml"}
    assert loaded_after("import sciml") & heavy == set()


def test_importing_the_trainer_loads_no_tracker_and_no_plotting() -> None:
    unwanted = {"matplotlib", "rich", "tensorboard", "mlflow", "wandb", "lightning_fabric", "h5py", "xarray", "pytest"}
    assert loaded_after("import sciml.train, sciml.tasks, sciml.methods") & unwanted == set()


def test_every_public_name_of_the_package_exists() -> None:
    import sciml

    for name in sciml.__all__:
        assert getattr(sciml, name) is not None
    with pytest.raises(AttributeError, match="public names"):
        _ = sciml.nothing


PACKAGES = [
    "spaces",
    "nn",
    "metrics",
    "operators",
    "data",
    "train",
    "tasks",
    "methods",
    "plotting",
    "plugins",
    "testing",
]


@pytest.mark.parametrize("package", [f"sciml.{name}" for name in PACKAGES])
def test_public_names_are_listed_and_documented(package: str) -> None:
    import importlib

    module = importlib.import_module(package)
    assert module.__doc__
    assert module.__all__ == sorted(set(module.__all__), key=module.__all__.index)
    for name in module.__all__:
        value = getattr(module, name)
        assert not name.startswith("_")
        if callable(value):
            assert value.__doc__, f"{package}.{name} has no docstring"
