from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlab.data.sampling import BucketBatchSampler
from seqlab.errors import DataError

DURATIONS = st.lists(st.floats(0.1, 10), min_size=4, max_size=60)


def own_share(sampler: BucketBatchSampler) -> list[list[int]]:
    return [[index for _, index in batch] for batch in sampler]


@given(DURATIONS, st.integers(4, 20), st.integers(0, 5), st.integers(1, 4))
def test_size_limited_batches(
    durations: list[float], batch_size: int, epoch: int, world_size: int
) -> None:
    sampler = BucketBatchSampler(durations, batch_size=batch_size, seed=1)
    batches = sampler.batches(epoch)
    assert sorted(itertools.chain(*batches)) == list(range(len(durations)))
    sizes = [len(batch) for batch in batches]
    assert len(batches) == -(-len(durations) // batch_size)
    assert max(sizes) <= batch_size and max(sizes) - min(sizes) <= 1
    shares = []
    for rank in range(world_size):
        part = BucketBatchSampler(
            durations, batch_size=batch_size, seed=1, rank=rank, world_size=world_size
        )
        part.set_epoch(epoch)
        shares.append(own_share(part))
    for batch, *parts in zip(part.batches(epoch), *shares, strict=True):
        assert all(parts)
        assert sorted(batch) == sorted(itertools.chain(*parts))


@given(DURATIONS, st.floats(10, 60), st.integers(0, 3))
def test_duration_limited_batches(durations: list[float], limit: float, epoch: int) -> None:
    sampler = BucketBatchSampler(durations, batch_duration_s=limit, seed=1)
    batches = sampler.batches(epoch)
    assert sorted(itertools.chain(*batches)) == list(range(len(durations)))
    for batch in batches:
        assert len(batch) * max(durations[i] for i in batch) <= limit + 1e-9


def test_processes_do_not_change_the_global_batches() -> None:
    durations = np.random.default_rng(0).uniform(1, 5, 101).tolist()
    for limit in ({"batch_size": 16}, {"batch_duration_s": 40.0}):
        one = BucketBatchSampler(durations, **limit)
        two = BucketBatchSampler(durations, **limit, rank=1, world_size=2)
        assert [one.batches(e) for e in range(5)] == [two.batches(e) for e in range(5)]


def test_seed_and_epoch_decide() -> None:
    durations = np.random.default_rng(0).uniform(1, 5, 50).tolist()
    one = BucketBatchSampler(durations, batch_size=8, seed=1)
    again = BucketBatchSampler(durations, batch_size=8, seed=1)
    other = BucketBatchSampler(durations, batch_size=8, seed=2)
    assert one.batches(3) == again.batches(3)
    assert one.batches(3) != one.batches(4)
    assert one.batches(3) != other.batches(3)


def test_similar_durations_share_a_batch() -> None:
    durations = np.random.default_rng(0).uniform(1, 10, 400)
    batches = BucketBatchSampler(durations.tolist(), batch_size=16).batches(0)
    padded = sum(len(b) * durations[b].max() for b in batches)
    assert padded < 1.15 * durations.sum()
    in_order = sum(16 * durations[i : i + 16].max() for i in range(0, 400, 16))
    assert in_order > 1.5 * durations.sum()


def test_skipping_ahead_gives_the_rest_of_the_epoch() -> None:
    sampler = BucketBatchSampler([1.0] * 20, batch_size=4, seed=3)
    sampler.set_epoch(2)
    whole = list(sampler)
    assert all(epoch == 2 for batch in whole for epoch, _ in batch)
    sampler.set_position(3)
    assert list(sampler) == whole[3:]
    sampler.set_position(5)
    assert list(sampler) == []
    assert len(sampler) == 5
    sampler.set_epoch(2)
    assert list(sampler) == whole
    with pytest.raises(DataError, match="position 6"):
        sampler.set_position(6)


def test_a_rest_too_small_to_share_joins_its_neighbour() -> None:
    sampler = BucketBatchSampler(
        [1.0] * 5, batch_duration_s=4.0, shuffle=False, rank=0, world_size=3
    )
    assert [len(batch) for batch in sampler.batches(0)] == [5]
    alone = BucketBatchSampler([1.0] * 5, batch_duration_s=4.0, shuffle=False)
    assert [len(batch) for batch in alone.batches(0)] == [3, 2]


def test_batches_too_small_to_share_become_fewer() -> None:
    sampler = BucketBatchSampler([1.0] * 9, batch_size=4, world_size=4)
    assert sorted(len(batch) for batch in sampler.batches(0)) == [4, 5]


def test_without_shuffling_the_longest_comes_first_and_epochs_agree() -> None:
    sampler = BucketBatchSampler([1.0, 3.0, 2.0], batch_size=1, shuffle=False)
    assert sampler.batches(0) == sampler.batches(7) == [[1], [2], [0]]


def test_counting_the_batches_of_a_training() -> None:
    durations = np.random.default_rng(0).uniform(1, 5, 50).tolist()
    by_size = BucketBatchSampler(durations, batch_size=8)
    assert by_size.batch_counts(10) == [7] * 10
    by_time = BucketBatchSampler(durations, batch_duration_s=20.0)
    assert by_time.batch_counts(6) == [len(by_time.batches(e)) for e in range(6)]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "exactly one"),
        ({"batch_size": 4, "batch_duration_s": 4.0}, "exactly one"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"batch_size": 2, "world_size": 3}, "batch_size=2 must be at least the 3"),
        ({"batch_duration_s": 1.9}, r"longest utterance \(2.00 s\)"),
        ({"batch_duration_s": 3.9, "world_size": 2}, "once for each of 2"),
        ({"batch_size": 8, "world_size": 4}, "3 utterances"),
        ({"batch_size": 8, "rank": 2, "world_size": 2}, "rank=2"),
        ({"batch_size": 8, "rank": 0, "world_size": 0}, "rank=0"),
    ],
)
def test_limits_that_cannot_be_kept(arguments: dict, says: str) -> None:
    with pytest.raises(DataError, match=says):
        BucketBatchSampler([1.0, 2.0, 1.5], **arguments)


def test_nothing_to_batch() -> None:
    with pytest.raises(DataError, match="0 utterances"):
        BucketBatchSampler([], batch_size=1)
