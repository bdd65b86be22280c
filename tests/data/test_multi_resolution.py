"""MultiResolutionLoader: every sample once, one resolution a batch, sizes, order, position, slices of ranks."""

from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sciml.data import MultiResolutionLoader, Split
from sciml.data.multi_resolution import batch_sizes
from sciml.errors import ConfigError

Seen = list[tuple[int, list[int]]]


def splits_of(numbers: dict[int, int]) -> dict[str, Split]:
    """Splits by number of points, whose values are the indices of their samples."""
    shared = frozenset({"coords"})
    return {
        f"train_{points}": Split(
            {"x": torch.arange(num)[:, None, None].expand(-1, 1, points), "coords": torch.zeros(points, 1)}, shared
        )
        for points, num in numbers.items()
    }


def epoch(loader: MultiResolutionLoader) -> Seen:
    """Points and samples of every batch of an epoch."""
    return [content(batch) for batch in loader]


def content(batch: dict[str, torch.Tensor]) -> tuple[int, list[int]]:
    x = batch["x"]
    assert bool((x == x[:, :, :1]).all())
    assert len(batch["coords"]) == x.shape[2]
    return x.shape[2], x[:, 0, 0].tolist()


problems = st.dictionaries(st.sampled_from([2, 4, 7, 16]), st.integers(1, 25), min_size=1, max_size=3)


@given(numbers=problems, size=st.integers(1, 9), seed=st.integers(0, 5), shuffle=st.booleans(), drop=st.booleans())
def test_an_epoch_gives_every_sample_of_every_resolution_once(
    numbers: dict[int, int], size: int, seed: int, shuffle: bool, drop: bool
) -> None:
    loader = MultiResolutionLoader(splits_of(numbers), size, shuffle=shuffle, seed=seed, drop_last=drop)
    for number in range(2):
        assert loader.epoch == number
        batches = epoch(loader)
        assert len(batches) == len(loader)
        seen = Counter((points, sample) for points, samples in batches for sample in samples)
        assert set(seen.values()) == {1}
        for points, num in numbers.items():
            full = loader.batch_sizes[f"train_{points}"]
            assert sum(key[0] == points for key in seen) == (num // full * full if drop else num)


@given(numbers=problems, size=st.integers(1, 9), world=st.integers(1, 4))
def test_ranks_together_see_what_one_process_sees_at_the_same_resolution(
    numbers: dict[int, int], size: int, world: int
) -> None:
    def loader(rank: int, world: int) -> MultiResolutionLoader:
        return MultiResolutionLoader(splits_of(numbers), size, shuffle=True, seed=3, rank=rank, world_size=world)

    ranks = [loader(rank, world) for rank in range(world)]
    for reference, *parts in zip(epoch(loader(0, 1)), *ranks, strict=True):
        held = [content(part) for part in parts]
        assert {points for points, _ in held} == {reference[0]}
        union = [s for rank, (_, samples) in zip(ranks, held, strict=True) if rank.local_size for s in samples]
        assert union == reference[1]
        assert sum(rank.local_size for rank in ranks) == ranks[0].total_size == len(reference[1])


@given(numbers=problems, size=st.integers(1, 9), data=st.data())
def test_a_restored_loader_goes_on_wherever_it_was_saved(numbers: dict[int, int], size: int, data: Any) -> None:
    reference = MultiResolutionLoader(splits_of(numbers), size, shuffle=True, seed=1)
    expected = epoch(reference) + epoch(reference) + epoch(reference)
    first = MultiResolutionLoader(splits_of(numbers), size, shuffle=True, seed=1)
    seen = epoch(first)
    iterator = iter(first)
    seen += [content(next(iterator)) for _ in range(data.draw(st.integers(0, len(first)), label="batches"))]
    second = MultiResolutionLoader(splits_of(numbers), size, shuffle=True, seed=99)
    second.load_state_dict(first.state_dict())
    # What is left of the second epoch, which may be nothing, and the third.
    assert seen + epoch(second) + epoch(second) == expected


def test_batch_sizes_are_inverse_to_the_points_and_every_step_costs_alike() -> None:
    splits = {f"train_{n}": Split({"y": torch.zeros(1000, 1, n, n)}) for n in (64, 32, 16)}
    assert batch_sizes(splits, 10) == {"train_64": 10, "train_32": 40, "train_16": 160}
    assert batch_sizes(splits, 32, base="train_16") == {"train_64": 2, "train_32": 8, "train_16": 32}
    # At least one sample, and no more than there are.
    assert batch_sizes(splits, 4, base="train_16")["train_64"] == 1
    assert batch_sizes(splits, 100) == {"train_64": 100, "train_32": 400, "train_16": 1000}
    assert {batch["y"].numel() for batch in MultiResolutionLoader(splits, 10, drop_last=True)} == {10 * 64 * 64}


def test_every_order_of_the_batches_is_equally_likely() -> None:
    # Two fine batches and one coarse: three orders, each in a third of the epochs within five standard errors.
    loader = MultiResolutionLoader(splits_of({4: 2, 2: 2}), 1, shuffle=True)
    assert len(loader) == 3
    epochs = 3000
    counts = Counter(tuple(points for points, _ in epoch(loader)) for _ in range(epochs))
    assert set(counts) == {(4, 4, 2), (4, 2, 4), (2, 4, 4)}
    spread = (epochs * (1 / 3) * (2 / 3)) ** 0.5
    assert all(abs(count - epochs / 3) < 5 * spread for count in counts.values())


def test_epochs_and_resolutions_have_orders_of_their_own_and_the_global_generator_is_untouched() -> None:
    state = torch.get_rng_state()
    loader = MultiResolutionLoader(splits_of({4: 50, 8: 50}), 10, shuffle=True)
    orders = [[s for p, samples in sorted(epoch(loader)) if p == points for s in samples] for points in (4, 8)]
    assert orders[0] != orders[1]
    first, second = epoch(loader), epoch(loader)
    assert first != second
    loader.set_epoch(2)
    assert epoch(loader) == first
    assert torch.equal(torch.get_rng_state(), state)


def test_without_shuffling_the_splits_come_in_order() -> None:
    loader = MultiResolutionLoader(splits_of({4: 3, 2: 3}), 2)
    assert epoch(loader) == [(4, [0, 1]), (4, [2]), (2, [0, 1, 2])]


def test_the_split_of_the_current_batch_is_known() -> None:
    loader = MultiResolutionLoader(splits_of({4: 5, 8: 5}), 2, shuffle=True)
    for batch in loader:
        assert batch["coords"] is loader.split["coords"]


def test_a_state_of_other_resolutions_is_refused() -> None:
    loader = MultiResolutionLoader(splits_of({4: 5, 8: 5}), 2)
    other = MultiResolutionLoader(splits_of({4: 5, 16: 5}), 2)
    with pytest.raises(ConfigError, match="resume with the same resolutions"):
        loader.load_state_dict(other.state_dict())
    with pytest.raises(ConfigError, match="splits of one resolution"):
        loader.load_state_dict({"seed": 0, "epoch": 0, "position": 0})
    state = loader.state_dict()
    with pytest.raises(ConfigError, match="saved position is 99"):
        loader.load_state_dict({**state, "position": 99})
    with pytest.raises(ConfigError, match="saved position of train_4 does not go with"):
        loader.load_state_dict({**state, "position": len(loader)})


def test_splits_that_do_not_go_together_are_refused() -> None:
    x, coords = torch.zeros(3, 1, 4), torch.zeros(4, 1)
    good = Split({"x": x})
    cases: list[tuple[dict[str, Split], dict[str, Any], str]] = [
        ({}, {}, "there are no splits"),
        ({"a": good, "b": Split({"x": x[:0]})}, {}, "split b has no samples"),
        (
            {"a": good, "b": Split({"x": x, "coords": coords}, frozenset({"coords"}))},
            {},
            "all resolutions need the same",
        ),
        ({"a": good, "b": Split({"x": x[:, 0]})}, {}, "only the numbers of samples and points may differ"),
        ({"a": good, "b": Split({"x": x.double()})}, {}, "float64 in b and .* float32 in a"),
        ({"a": good}, {"base": "b"}, "base is 'b', expected one of a"),
        ({"a": good}, {"batch_size": 0}, "batch_size is 0"),
    ]
    for splits, options, message in cases:
        with pytest.raises(ConfigError, match=message):
            MultiResolutionLoader(splits, **{"batch_size": 2, **options})


def test_other_channels_at_another_resolution_are_refused() -> None:
    from sciml.data import grid_split
    from sciml.spaces import RegularGrid

    def split(channels: int, n: int) -> Split:
        grid = RegularGrid((n,), ((0.0, 1.0),), periodic=True)
        return grid_split(torch.zeros(3, channels, n), torch.zeros(3, 1, n), grid)

    with pytest.raises(ConfigError, match=r"x is .3, 2, 4. float32 in coarse and .3, 1, 8. float32 in fine"):
        MultiResolutionLoader({"fine": split(1, 8), "coarse": split(2, 4)}, 2)
