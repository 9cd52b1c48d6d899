"""Which utterances make up which batch: a function of seed and epoch, never of the machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from seqlab.errors import DataError

JITTER = 0.1  # durations are sorted after a random change of up to this share


class BucketBatchSampler:
    """Batches of utterances of similar duration, the same for every number of processes.

    The global batches depend only on durations, limit, seed and epoch. Process ``rank`` takes
    ``batch[rank::world_size]`` of each, so that all processes together see the global batch.
    A share is never empty: batches are evened out, so that no small rest is left; and where
    batches would still be smaller than ``world_size``, fewer and larger ones are made (the one
    case where the limit is passed and ``world_size`` matters).

    Args:
        durations: seconds of each utterance (N,), before augmentation.
        batch_size: utterances in a global batch, 1 or more; or
        batch_duration_s: most seconds in a global batch, padding counted: the number of
            utterances times the longest one.
        seed: of the order.
        shuffle: mix anew in each epoch; otherwise longest first, always the same.
        rank: this process.
        world_size: number of processes.

    Raises:
        DataError: no or both limits, nothing to batch, or an utterance beyond the limit.

    Example:
        >>> sampler = BucketBatchSampler([1.0, 4.0, 1.1, 4.1], batch_size=2, shuffle=False)
        >>> sampler.batches(0)
        [[3, 1], [2, 0]]
    """

    def __init__(
        self,
        durations: Sequence[float],
        *,
        batch_size: int | None = None,
        batch_duration_s: float | None = None,
        seed: int = 0,
        shuffle: bool = True,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if (batch_size is None) == (batch_duration_s is None):
            raise DataError(
                f"batch_size={batch_size} and batch_duration_s={batch_duration_s}: exactly one "
                "must be given"
            )
        if not 0 <= rank < world_size:
            raise DataError(f"rank={rank} must be within 0 and world_size - 1 = {world_size - 1}")
        self.durations = np.asarray(durations, dtype=np.float64)
        self.batch_size = batch_size
        self.batch_duration_s = batch_duration_s
        self.seed = seed
        self.shuffle = shuffle
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0
        self.position = 0
        self._made: tuple[int, list[list[int]]] | None = None
        self._check()

    def _check(self) -> None:
        if len(self.durations) < self.world_size:
            raise DataError(
                f"{len(self.durations)} utterances must be at least one for each of "
                f"{self.world_size} processes; add data or start fewer"
            )
        if self.batch_size is not None and self.batch_size < self.world_size:
            raise DataError(
                f"batch_size={self.batch_size} must be at least the {self.world_size} processes "
                "that share a batch; raise it or start fewer"
            )
        longest = float(self.durations.max())
        if self.batch_duration_s is not None and longest * self.world_size > self.batch_duration_s:
            raise DataError(
                f"batch_duration_s={self.batch_duration_s} must hold the longest utterance "
                f"({longest:.2f} s) once for each of {self.world_size} processes; raise it or "
                "lower max_duration_s"
            )

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that iteration gives, from its first batch."""
        self.epoch = epoch
        self.position = 0

    def set_position(self, batch_index: int) -> None:
        """Start iteration of this epoch at its ``batch_index``-th batch (to resume exactly).

        Raises:
            DataError: the epoch has fewer batches.
        """
        count = len(self.batches(self.epoch))
        if not 0 <= batch_index <= count:
            raise DataError(
                f"position {batch_index} must be within 0 and the {count} batches of epoch "
                f"{self.epoch}; the data or batch limit have changed since the checkpoint"
            )
        self.position = batch_index

    def batches(self, epoch: int) -> list[list[int]]:
        """The global batches of an epoch, as positions in ``durations``."""
        if self._made is None or self._made[0] != epoch:
            self._made = (epoch, self._make(epoch))
        return self._made[1]

    def batch_counts(self, epochs: int) -> list[int]:
        """Batches of each of the epochs 0 to ``epochs - 1``, for schedules.

        Under ``batch_duration_s`` epochs differ slightly in their number of batches.
        """
        if self.batch_size is not None or not self.shuffle:
            return [len(self.batches(0))] * epochs
        return [len(self._make(epoch)) for epoch in range(epochs)]

    def __len__(self) -> int:
        """Batches of the current epoch, from its beginning."""
        return len(self.batches(self.epoch))

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        """This process's share of each batch, as pairs (epoch, index)."""
        epoch = self.epoch
        for batch in self.batches(epoch)[self.position :]:
            yield [(epoch, index) for index in batch[self.rank :: self.world_size]]

    def _make(self, epoch: int) -> list[list[int]]:
        rng = np.random.default_rng([self.seed, epoch])
        keys = self.durations
        if self.shuffle:
            keys = keys * (1 + rng.uniform(-JITTER, JITTER, len(keys)))
        order = np.argsort(-keys, kind="stable")
        if self.batch_size is not None:
            count = min(-(-len(order) // self.batch_size), len(order) // self.world_size)
            groups = [part.tolist() for part in np.array_split(order, count)]
        else:
            groups = self._by_duration(order.tolist())
        if len(groups) > 1 and min(len(groups[-1]), len(groups[-2])) < self.world_size:
            groups[-2:] = [groups[-2] + groups[-1]]
        if self.shuffle:
            groups = [[int(i) for i in rng.permutation(group)] for group in groups]
            groups = [groups[int(i)] for i in rng.permutation(len(groups))]
        return groups

    def _by_duration(self, order: list[int]) -> list[list[int]]:
        limit = self.batch_duration_s
        assert limit is not None
        groups: list[list[int]] = []
        longest = 0.0
        for index in order:
            duration = float(self.durations[index])
            longest = max(longest, duration)
            if groups and (len(groups[-1]) + 1) * longest <= limit:
                groups[-1].append(index)
            else:
                groups.append([index])
                longest = duration
        if len(groups) > 1:
            rest = groups[-2] + groups[-1]
            halves = [rest[: (len(rest) + 1) // 2], rest[(len(rest) + 1) // 2 :]]
            if all(self._padded(half) <= limit for half in halves):
                groups[-2:] = halves
        return groups

    def _padded(self, group: list[int]) -> float:
        return len(group) * float(self.durations[group].max())
