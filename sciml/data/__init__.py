"""Data files and datasets.

:func:`open_dataset` reads a file of any known layout, :func:`load_dataset` gives a named dataset with its splits,
:class:`TensorLoader` its batches. :func:`at_resolutions` takes a dataset to several resolutions, and
:class:`MultiResolutionLoader` gives batches of all of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sciml.data.cards import find_dataset, list_datasets, load_dataset
    from sciml.data.dataset import Batch, Dataset, Split
    from sciml.data.formats import Fields, Format, open_dataset
    from sciml.data.generated import problem_dataset
    from sciml.data.generation import generate
    from sciml.data.info import describe_dataset, describe_file
    from sciml.data.loader import TensorLoader
    from sciml.data.multi_resolution import MultiResolutionLoader
    from sciml.data.operator_data import aligned_split, grid_split, operator_dataset, ragged_split, triplet_split
    from sciml.data.resolutions import at_resolutions, finest_first, restrict_split, training_splits
    from sciml.data.writers import save_pdebench, save_well

__all__ = [
    "Batch",
    "Dataset",
    "Fields",
    "Format",
    "MultiResolutionLoader",
    "Split",
    "TensorLoader",
    "aligned_split",
    "at_resolutions",
    "describe_dataset",
    "describe_file",
    "find_dataset",
    "finest_first",
    "generate",
    "grid_split",
    "list_datasets",
    "load_dataset",
    "open_dataset",
    "operator_dataset",
    "problem_dataset",
    "ragged_split",
    "restrict_split",
    "save_pdebench",
    "save_well",
    "training_splits",
    "triplet_split",
]

_MODULES = {
    "cards": ("find_dataset", "list_datasets", "load_dataset"),
    "dataset": ("Batch", "Dataset", "Split"),
    "formats": ("Fields", "Format", "open_dataset"),
    "generated": ("problem_dataset",),
    "generation": ("generate",),
    "info": ("describe_dataset", "describe_file"),
    "loader": ("TensorLoader",),
    "multi_resolution": ("MultiResolutionLoader",),
    "operator_data": ("aligned_split", "grid_split", "operator_dataset", "ragged_split", "triplet_split"),
    "resolutions": ("at_resolutions", "finest_first", "restrict_split", "training_splits"),
    "writers": ("save_pdebench", "save_well"),
}
_WHERE = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'sciml.data' has no attribute {name!r}; public names: {', '.join(__all__)}")
    return getattr(import_module(f"sciml.data.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return __all__
