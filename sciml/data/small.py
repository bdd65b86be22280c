"""The small datasets that come with sciml, as functions for the registry."""

from typing import Any

from sciml.data.cards import find_dataset, load_card
from sciml.data.dataset import Dataset

__all__ = ["burgers_small", "darcy_small"]


def darcy_small(**options: Any) -> Dataset:
    """Darcy flow through two materials at 16 x 16, with a test set at 32 x 32; options of :func:`load_dataset`.

    Example:
        >>> darcy_small().train["y"].shape
        torch.Size([1000, 1, 16, 16])
    """
    return load_card(find_dataset("darcy-small"), **options)


def burgers_small(**options: Any) -> Dataset:
    """Burgers equation on a periodic line, initial to final velocity; options of :func:`load_dataset`.

    Example:
        >>> burgers_small().train["y"].shape, burgers_small(trajectory=True).train["y"].shape
        (torch.Size([800, 1, 16]), torch.Size([800, 17, 16]))
    """
    return load_card(find_dataset("burgers-small"), **options)
