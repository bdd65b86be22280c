"""TensorLoader: order, position, slices of ranks."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sciml.data import Split, TensorLoader
from sciml.errors import ConfigError


def split_of(num: int) -> Split:
    return Split({"x": torch.arange(num), "coords": torch.zeros(3, 1)}, shared=frozenset({"coords"}))


def epoch(loader: TensorLoader) -> list[list[int]]:
    return [batch["x"].tolist() for batch in loader]


@given(num=st.integers(1, 40), size=st.integers(1, 12), seed=st.integers(0, 10), drop=st.booleans())
def test_an_epoch_gives_every_sample_once(num: int, size: int, seed: int, drop: bool) -> None:
    if drop and num < size:
        return
    loader = TensorLoader(split_of(num), size, shuffle=True, seed=seed, drop_last=drop)
    batches = epoch(loader)
    seen = [sample for batch in batches for sample in batch]
    assert len(batches) == len(loader)
    assert len(set(seen)) == len(seen) == (num // size * size if drop else num)


@given(num=st.integers(2, 30), size=st.integers(1, 7), world=st.integers(1, 4))
def test_ranks_together_see_what_one_process_sees(num: int, size: int, world: int) -> None:
    whole = epoch(TensorLoader(split_of(num), size, shuffle=True, seed=3))
    ranks = [TensorLoader(split_of(num), size, shuffle=True, seed=3, rank=r, world_size=world) for r in range(world)]
    for reference, *parts in zip(whole, *ranks, strict=True):
        union = [s for loader, part in zip(ranks, parts, strict=True) if loader.local_size for s in part["x"].tolist()]
        assert union == reference
        assert sum(loader.local_size for loader in ranks) == ranks[0].total_size == len(reference)


def test_a_restored_loader_goes_on_in_the_middle_of_an_epoch() -> None:
    reference = TensorLoader(split_of(10), 3, shuffle=True, seed=1)
    expected = epoch(reference) + epoch(reference)
    first = TensorLoader(split_of(10), 3, shuffle=True, seed=1)
    iterator = iter(first)
    seen = [next(iterator)["x"].tolist() for _ in range(2)]
    second = TensorLoader(split_of(10), 3, shuffle=True, seed=99)
    second.load_state_dict(first.state_dict())
    assert seen + epoch(second) + epoch(second) == expected


def test_a_loader_saved_after_the_last_batch_of_an_epoch_goes_on_with_the_next() -> None:
    reference = TensorLoader(split_of(10), 3, shuffle=True, seed=1)
    expected = epoch(reference) + epoch(reference)
    first = TensorLoader(split_of(10), 3, shuffle=True, seed=1)
    iterator = iter(first)
    seen = [next(iterator)["x"].tolist() for _ in range(len(first))]
    second = TensorLoader(split_of(10), 3, shuffle=True, seed=1)
    second.load_state_dict(first.state_dict())
    assert epoch(second) == []
    assert seen + epoch(second) == expected


def test_epochs_have_different_orders_and_the_global_generator_is_untouched() -> None:
    state = torch.get_rng_state()
    loader = TensorLoader(split_of(50), 25, shuffle=True)
    assert epoch(loader) != epoch(loader)
    assert torch.equal(torch.get_rng_state(), state)


def test_one_whole_batch_is_not_shuffled() -> None:
    assert epoch(TensorLoader(split_of(10), 10, shuffle=True)) == epoch(TensorLoader(split_of(10), 10))


def test_large_and_small_splits_give_the_same_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    gathered = epoch(TensorLoader(split_of(10), 4, shuffle=True, seed=2))
    monkeypatch.setattr("sciml.data.loader._GATHER_BYTES", 0)
    assert epoch(TensorLoader(split_of(10), 4, shuffle=True, seed=2)) == gathered


def test_shared_tensors_come_as_they_are() -> None:
    split = split_of(4)
    assert next(iter(TensorLoader(split, 2)))["coords"] is split["coords"]


@pytest.mark.parametrize(
    ("num", "kwargs", "message"),
    [
        (0, {"batch_size": 2}, "no samples"),
        (3, {"batch_size": 0}, "batch_size is 0"),
        (3, {"batch_size": 4, "drop_last": True}, "leaves no batch"),
    ],
)
def test_a_loader_without_batches_is_refused(num: int, kwargs: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TensorLoader(split_of(num), **kwargs)


def test_fields_of_different_length_are_refused() -> None:
    with pytest.raises(ConfigError, match="different numbers of samples"):
        Split({"x": torch.zeros(3), "y": torch.zeros(4)})
