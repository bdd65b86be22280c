"""Write the folder of a new plugin from the templates in ``sciml/_plugin_template``."""

import re
import shlex
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

from sciml._discovery import normalized
from sciml.errors import ConfigError
from sciml.registry import registry

__all__ = ["main_new", "new_plugin"]

SUFFIX = ".tmpl"


@dataclass(frozen=True)
class Names:
    """The names of a plugin, all from one: ``heat`` gives ``sciml-heat``, ``sciml_heat`` and ``HeatNet``."""

    name: str

    @property
    def dist(self) -> str:
        """Name of the distribution."""
        return f"sciml-{self.name}"

    @property
    def package(self) -> str:
        """Name to import."""
        return self.dist.replace("-", "_")

    @property
    def model(self) -> str:
        """Name of the model's class; it ends in Net, so that it is never a word of Python or of the template."""
        words = "".join(word.capitalize() for word in self.name.split("-"))
        return words if words.endswith("Net") and words != "Net" else f"{words}Net"


def new_plugin(name: str, directory: str | Path | None = None) -> Path:
    """Write a complete plugin: a package with a small model, its tests, an example and a README.

    Args:
        name: Name of the plugin and of its model, for example ``"heat-net"``.
        directory: Folder to write, absent or empty; None for ``sciml-NAME`` in the current folder.

    Returns:
        The folder.

    Raises:
        ConfigError: If the name cannot be used, a model already has it, or the folder is not empty.
    """
    names = _names(name)
    folder = Path(names.dist if directory is None else directory)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} exists and is not an empty folder. Give another directory, or remove it.")
    values = {"name": names.name, "dist": names.dist, "package": names.package, "model": names.model}
    for path, template in _templates(files("sciml") / "_plugin_template", Path()):
        target = folder.joinpath(*(names.package if part == "package" else part for part in path.parts))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(Template(template).substitute(values), encoding="utf-8")
    return folder


def _names(name: str) -> Names:
    plain = normalized(name).removeprefix("sciml-")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", plain):
        raise ConfigError(
            f"plugin name is {name!r}, expected a letter, then letters, digits and hyphens, for example 'heat-net'."
        )
    names = Names(plain)
    taken = registry("models").get(plain)
    if taken is not None and normalized(taken.dist) != names.dist:
        raise ConfigError(f"{taken.dist or 'this process'} already has a model {plain!r}. Choose another name.")
    return names


def _templates(folder: Traversable, path: Path) -> list[tuple[Path, str]]:
    found = []
    for part in folder.iterdir():
        if part.is_dir():
            found += _templates(part, path / part.name)
        elif part.name.endswith(SUFFIX):
            found.append((path / part.name.removesuffix(SUFFIX), part.read_text(encoding="utf-8")))
    return found


def main_new(name: str, directory: str | Path | None = None) -> int:
    """Write a plugin and print what to do next, for ``sciml plugins new NAME``; the exit code is 0."""
    folder = new_plugin(name, directory)
    names = _names(name)
    print(f"Wrote {folder}. Its model {names.name!r} is in {names.package}/model.py. Next:")
    place, example = shlex.quote(str(folder)), shlex.quote(str(folder / "examples" / "darcy.yaml"))
    print(f"  pip install -e {place}")
    print(f"  pytest {place}")
    print(f"  sciml plugins check {names.dist}")
    print(f"  sciml fit {example}")
    return 0
