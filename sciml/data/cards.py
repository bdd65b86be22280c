"""Datasets by name: a folder with a ``card.yaml`` that says what the data are, and usually the data files.

A name is looked up in ``root`` if given, in the folders of ``$SCIML_DATA``, in the user's cache, among the datasets
that come with sciml, and last among those of plugins.
"""

import hashlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import torch

from sciml.data.card_check import check_card
from sciml.data.convert import dataset_of, hold_out, inputs_of, spec_of, split_of
from sciml.data.dataset import Dataset, Split
from sciml.data.formats import open_dataset
from sciml.data.resolutions import RESOLUTION_OPTIONS, at_resolutions, finest_first, resolution_options
from sciml.errors import ConfigError, DataFormatError, SciMLError, unknown_name
from sciml.registry import registry

__all__ = ["Card", "find_dataset", "list_datasets", "load_card", "load_dataset", "load_inputs", "read_card"]

Card = dict[str, Any]

_CARD = "card.yaml"
_DTYPES = {"float32": torch.float32, "float64": torch.float64}
# Option to its types, and these in words.
_OPTIONS: dict[str, tuple[tuple[type, ...], str]] = {
    "validation": ((int, float), "a number of samples or a fraction"),
    "seed": ((int, type(None)), "an integer or null"),
    "dtype": ((str, type(None)), "'float32' or 'float64'"),
    "trajectory": ((bool,), "true or false"),
    "allow_nan": ((bool,), "true or false"),
}
_FILE_OPTIONS = _OPTIONS | {"channels": ((bool, type(None)), "true, false or null")}


def load_dataset(name_or_path: str | Path, root: str | Path | None = None, **options: Any) -> Dataset:
    """Load a dataset by name, or from a folder with a card, a card, or a data file.

    A data file of a layout that names input and target becomes a dataset with the split ``train``.

    Args:
        name_or_path: Name of a dataset, or a path.
        root: Folder that is searched first.
        **options: For datasets with a card, ``validation`` (number or fraction of training samples to hold out as
            ``val``; the last ones), ``seed`` (hold out random ones instead), ``dtype`` (``"float32"`` or
            ``"float64"``), ``trajectory`` (keep all times of a target, as channels) and ``allow_nan`` (accept NaN and
            infinite values). A data file also takes ``channels`` (whether the second axis of ``x`` and ``y`` counts
            channels, where the layout leaves it open). A plugin's dataset has its own. Any dataset on regular grids
            takes ``resolutions``, ``test_resolutions`` and ``resampling``, as :func:`~sciml.data.at_resolutions`.

    Raises:
        UnknownNameError: If no dataset has this name; the message says where it was looked for.
        FileNotFoundError: If a data file is missing; the message says how to get it.
        DataFormatError: If a file is not the one of the card (SHA-256), or damaged.
        ConfigError: If an option is unknown or does not fit.

    Example:
        >>> data = load_dataset("darcy-small", validation=100)
        >>> {name: len(data[name]) for name in data}
        {'train': 900, 'val': 100, 'test_16': 50, 'test_32': 50}
        >>> data.train["x"].shape
        torch.Size([900, 1, 16, 16])
    """
    wanted = resolution_options(options, _factory(name_or_path, root))
    data = _load(name_or_path, root, {name: value for name, value in options.items() if name not in wanted})
    return at_resolutions(data, **wanted) if wanted else data


def _factory(name_or_path: str | Path, root: str | Path | None) -> Callable[..., Any] | None:
    """The function behind a dataset that has no card and is no file."""
    name = str(name_or_path)
    is_path = Path(name_or_path).is_file() or (Path(name_or_path) / _CARD).is_file()
    if is_path or name in _folders(root) or name not in registry("datasets"):
        return None
    loaded: Callable[..., Any] = registry("datasets").load(name)
    return loaded


def _load(name_or_path: str | Path, root: str | Path | None, options: dict[str, Any]) -> Dataset:
    path = Path(name_or_path)
    if path.is_file() and path.name == _CARD:
        path = path.parent
    if (path / _CARD).is_file():
        return load_card(path, **options)
    if path.is_file():
        return _load_file(path, **options)
    name = str(name_or_path)
    folder = _folders(root).get(name)
    if folder is not None:
        return load_card(folder, **options)
    if name in registry("datasets"):
        return _load_plugin(name, options)
    raise _not_found(name, root)


def find_dataset(name: str, root: str | Path | None = None) -> Path:
    """The folder with the card of a dataset.

    Raises:
        UnknownNameError: If there is none; the message says where it was looked for.

    Example:
        >>> find_dataset("darcy-small").name
        'darcy-small'
    """
    folder = _folders(root).get(name)
    if folder is None:
        raise _not_found(name, root)
    return folder


def list_datasets(root: str | Path | None = None) -> dict[str, Card]:
    """Names and cards of all datasets, without reading any data.

    Datasets of plugins have the card ``{"name": ..., "source": <distribution>}``.

    Example:
        >>> list_datasets()["darcy-small"]["licence"]
        'MIT'
    """
    plugins = {
        name: {"name": name, "source": f"plugin {entry.dist}" if entry.dist else "registered in this process"}
        for name, entry in registry("datasets").items()
    }
    cards = {name: _readable_card(folder) for name, folder in _folders(root).items()}
    return dict(sorted((plugins | cards).items()))


def read_card(folder: str | Path) -> Card:
    """Read ``card.yaml`` and check that the parts are there that loading needs.

    Raises:
        DataFormatError: If it is not YAML, lacks a part, or a key holds something else than it should.
    """
    import yaml

    from sciml.data.strict_yaml import load_yaml

    path = Path(folder) / _CARD
    try:
        card = load_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise DataFormatError(f"{path} is not a readable card: {error}") from error
    check_card(path, card)
    return card


def load_card(folder: str | Path, **options: Any) -> Dataset:
    """Load the dataset of one folder; the options are those of :func:`load_dataset`."""
    _check_options(Path(folder).name, options, _OPTIONS)
    card = read_card(folder)
    kind = _dtype(options.get("dtype") or card.get("dtype") or "float32")
    reading = {**(card.get("options") or {}), **_only(options, "allow_nan")}
    splits = {}
    for name, part in card["splits"].items():
        with open_dataset(_data_file(Path(folder), card, part), card["format"], **reading) as fields:
            splits[name] = split_of(fields, card["fields"], card.get("grid"), kind, options.get("trajectory", False))
        _check_contents(Path(folder) / _CARD, card, name, splits[name])
    splits = finest_first(hold_out(splits, options.get("validation", 0), options.get("seed")))
    spec = spec_of(next(iter(splits.values())), card["fields"], task=card["task"], name=card["name"])
    return Dataset(splits, spec, card["name"], card)


def _check_contents(path: Path, card: Card, name: str, split: Split) -> None:
    """What a card says of a file is what the file holds."""
    part = card["splits"][name]
    found: list[tuple[str, Any]] = [("samples", len(split))]
    for key, grid in split.grids.items():
        if card["fields"][key].get("role") == "target":
            found.append(("resolution", list(grid.shape)))
    for key, value in found:
        if part.get(key) not in (None, value):
            raise DataFormatError(
                f"{path}: splits.{name}.{key} is {part[key]}, but {part['file']} has {value}. Correct the card, or get "
                "the file that it describes."
            )


def load_inputs(path: str | Path, **options: Any) -> Split:
    """A data file as one split for a model that is already trained: the target may be missing.

    Args:
        path: The file.
        **options: ``dtype``, ``trajectory``, ``allow_nan`` and ``channels``, as for :func:`load_dataset`.

    Raises:
        ConfigError: If the layout does not say what is input.
        DataFormatError: If no layout fits.
    """
    known = {key: value for key, value in _FILE_OPTIONS.items() if key not in ("validation", "seed")}
    _check_options("a data file", options, known)
    with open_dataset(path, **_only(options, "channels", "allow_nan")) as fields:
        return inputs_of(fields, dtype=_dtype(options.get("dtype") or "float32"), **_only(options, "trajectory"))


def _load_file(path: Path, **options: Any) -> Dataset:
    _check_options("a data file", options, _FILE_OPTIONS)
    dtype = _dtype(options.get("dtype") or "float32")
    with open_dataset(path, **_only(options, "channels", "allow_nan")) as fields:
        return dataset_of(fields, dtype=dtype, **_only(options, "validation", "seed", "trajectory"))


def _only(options: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: options[name] for name in names if name in options}


def _check_options(where: str, options: Mapping[str, Any], known: Mapping[str, tuple[tuple[type, ...], str]]) -> None:
    if unknown := [key for key in options if key not in known]:
        names = [*known, *RESOLUTION_OPTIONS] if "validation" in known else list(known)
        close = get_close_matches(unknown[0], names, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ConfigError(f"{where} has no option {', '.join(unknown)}; there are {', '.join(names)}.{hint}")
    for key, value in options.items():
        types, words = known[key]
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise ConfigError(f"data.{key} is {value!r}, expected {words}.")


def _dtype(kind: Any) -> torch.dtype:
    if kind not in _DTYPES:
        raise ConfigError(f"dtype is {kind!r}, expected one of {', '.join(_DTYPES)}.")
    return _DTYPES[kind]


def _load_plugin(name: str, options: Mapping[str, Any]) -> Dataset:
    try:
        dataset = registry("datasets").create(name, **options)
    except SciMLError:
        raise
    except (TypeError, ValueError) as error:
        shown = ", ".join(f"{key}={value!r}" for key, value in options.items()) or "no options"
        raise ConfigError(f"dataset {name} cannot be made with {shown}: {' '.join(str(error).split())}") from error
    if not isinstance(dataset, Dataset):
        raise ConfigError(f"the dataset {name!r} of a plugin gave a {type(dataset).__name__}, expected sciml.Dataset.")
    return dataset


def _readable_card(folder: Path) -> Card:
    try:
        return read_card(folder)
    except DataFormatError as error:
        return {"name": folder.name, "error": str(error)}


def _roots(root: str | Path | None) -> Iterator[Path]:
    if root is not None:
        yield Path(root)
    for entry in os.environ.get("SCIML_DATA", "").split(os.pathsep):
        if entry:
            yield Path(entry)
    yield cache_folder()
    package = Path(__file__).parents[1]
    # In a checkout the folder beside the package is the original; an editable install may leave a stale copy.
    checkout = package.parent / "datasets"
    is_checkout = checkout.is_dir() and (package.parent / "pyproject.toml").is_file()
    yield checkout if is_checkout else package / "_datasets"


def cache_folder() -> Path:
    if given := os.environ.get("SCIML_CACHE"):
        return Path(given)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "sciml" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "sciml"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sciml"


def _folders(root: str | Path | None) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for place in _roots(root):
        for card in sorted(place.glob(f"*/{_CARD}")):
            found.setdefault(card.parent.name, card.parent)
    return found


def _not_found(name: str, root: str | Path | None) -> Exception:
    known = {*_folders(root), *registry("datasets")}
    places = ", ".join(str(place) for place in _roots(root))
    if os.sep in name or Path(name).suffix:
        return FileNotFoundError(f"no file or folder with a card at {name}, and no dataset of this name in: {places}.")
    return unknown_name("dataset", name, known, f"Looked for NAME/{_CARD} in: {places}.")


def _data_file(folder: Path, card: Card, part: Mapping[str, Any]) -> Path:
    name = PurePosixPath(part["file"])
    places = [folder, *(place / card["name"] for place in _roots(None))]
    for place in places:
        if (path := place / name).is_file():
            _check_hash(path, part)
            return path
    raise FileNotFoundError(
        f"{card['name']}: {name} is in none of {', '.join(str(place) for place in places)}. "
        f"{card.get('obtain', 'Source: ' + str(card['source']))}"
    )


def _check_hash(path: Path, part: Mapping[str, Any]) -> None:
    expected = part.get("sha256")
    stat = path.stat()
    if expected and (actual := _sha256(path, stat.st_size, stat.st_mtime_ns)) != expected.lower():
        raise DataFormatError(
            f"{path} is not the file of the card: SHA-256 {actual}, expected {expected}. Get the original file again."
        )


@cache
def _sha256(path: Path, size: int, modified: int) -> str:
    """Hash of a file; size and time of change are there so that a changed file is read again."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
