"""Batches of one epoch, loaded in the training process or in worker processes."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from seqlab.data.batch import Batch, Encodes, SpeechDataset
from seqlab.data.cache import AudioCache
from seqlab.data.config import DataConfig, Split, load_split
from seqlab.data.sampling import BucketBatchSampler
from seqlab.errors import DataError, SeqlabError

Keys = list[tuple[int, int]]


@dataclass(frozen=True)
class _Failure:
    """An error on its way from a worker; raised again, unchanged, in the training process."""

    error: SeqlabError


class _Source(Dataset[Any]):
    """Hands whole batches to a DataLoader, errors included."""

    def __init__(self, dataset: SpeechDataset) -> None:
        self.dataset = dataset

    def __getitems__(self, keys: Keys) -> Batch | _Failure:
        try:
            return self.dataset.batch(keys)
        except SeqlabError as error:
            return _Failure(type(error)(str(error)))


class Loader:
    """Iterate to get the batches of the sampler's epoch, from the sampler's position on.

    Batches do not depend on the number of workers. An error in a worker is raised here as the
    same error, in the batch in which it occurred.

    Args:
        dataset: where examples come from.
        sampler: which examples make up which batch.
        num_workers: worker processes; 0 loads in this process. Workers are started afresh (not
            forked, so threads of this process cannot hold locks in them), use one thread, and
            stay for later epochs.

    Raises:
        DataError: a negative ``num_workers``, or a sampler made for other data.
    """

    def __init__(
        self, dataset: SpeechDataset, sampler: BucketBatchSampler, num_workers: int = 0
    ) -> None:
        if num_workers < 0:
            raise DataError(f"num_workers={num_workers} must be 0 or more")
        if len(sampler.durations) != len(dataset):
            raise DataError(
                f"the sampler knows {len(sampler.durations)} utterances, must be the "
                f"{len(dataset)} of the dataset; pass dataset.durations"
            )
        self.dataset = dataset
        self.sampler = sampler
        self.num_workers = num_workers
        self._workers: DataLoader[Any] | None = None

    def __len__(self) -> int:
        """Batches of the whole epoch."""
        return len(self.sampler)

    def __iter__(self) -> Iterator[Batch]:
        if self.num_workers == 0:
            for keys in self.sampler:
                yield self.dataset.batch(keys)
            return
        if self._workers is None:
            self._workers = self._start()
        for loaded in self._workers:
            if isinstance(loaded, _Failure):
                raise loaded.error
            yield loaded

    def close(self) -> None:
        """End the worker processes, if there are any."""
        self._workers = None

    def _start(self) -> DataLoader[Any]:
        dataset = _for_workers(self.dataset, self.num_workers)
        return DataLoader(
            _Source(dataset),
            batch_sampler=self.sampler,
            num_workers=self.num_workers,
            collate_fn=_unchanged,
            worker_init_fn=_prepare_worker,
            multiprocessing_context="spawn",
            persistent_workers=True,
            generator=torch.Generator(),  # else it draws from the global one, but only here
        )


def make_loader(
    dataset: SpeechDataset, sampler: BucketBatchSampler, num_workers: int = 0
) -> Loader:
    """The loader of ``dataset`` in the order of ``sampler``; see ``Loader``."""
    return Loader(dataset, sampler, num_workers)


def make_dataset(
    config: DataConfig,
    split: Split,
    tokenizer: Encodes | None,
    sample_rate: int,
    seed: int = 0,
) -> SpeechDataset:
    """The dataset of one side of ``config``; only train is augmented.

    Raises:
        DataError: as ``load_split``.
    """
    return SpeechDataset(
        load_split(config, split),
        tokenizer,
        sample_rate,
        augment=config.augment if split == "train" else None,
        seed=seed,
        cache=config.cache_mb > 0,
        cache_mb=config.cache_mb,
        root=config.root,
    )


def make_sampler(
    config: DataConfig,
    dataset: SpeechDataset,
    *,
    seed: int = 0,
    shuffle: bool = True,
    rank: int = 0,
    world_size: int = 1,
) -> BucketBatchSampler:
    """The sampler of ``dataset`` with the batch limit of ``config``.

    Raises:
        DataError: as ``BucketBatchSampler``.
    """
    return BucketBatchSampler(
        dataset.durations,
        batch_size=config.batch_size,
        batch_duration_s=config.batch_duration_s,
        seed=seed,
        shuffle=shuffle,
        rank=rank,
        world_size=world_size,
    )


def _for_workers(dataset: SpeechDataset, num_workers: int) -> SpeechDataset:
    """A copy with an empty cache: workers share the limit, and nothing large is sent to them."""
    copy = SpeechDataset.__new__(SpeechDataset)
    copy.__dict__.update(dataset.__dict__)
    copy.cache = AudioCache(dataset.cache.limit // num_workers)
    return copy


def _unchanged(batch: Sequence[Any] | Batch | _Failure) -> Any:
    return batch


def _prepare_worker(worker_id: int) -> None:
    """Leave Ctrl-C to the training process, and its cores to it as well."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
