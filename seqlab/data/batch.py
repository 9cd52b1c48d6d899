"""Utterances become examples, examples become batches of padded tensors."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from seqlab.audio import load_audio, resample
from seqlab.data.augment import WaveformAugmenter
from seqlab.data.cache import AudioCache
from seqlab.data.config import AugmentConfig
from seqlab.data.manifest import Utterance, check_ids
from seqlab.data.sections import Sections
from seqlab.errors import DataError
from seqlab.lengths import pad_stack


class Encodes(Protocol):
    """What a dataset needs of a tokenizer."""

    def encode(self, text: str) -> list[int]:
        """Tokens of ``text``."""
        ...


@dataclass(frozen=True)
class Example:
    """One utterance ready to be batched."""

    utterance: Utterance
    waveform: Tensor  # (N,)
    targets: Tensor  # (U,)
    seed: int


@dataclass(frozen=True)
class Batch:
    """Padded tensors of B utterances, and what they came from."""

    waveform: Tensor  # (B, N) float32, zeros beyond lengths
    lengths: Tensor  # (B,) int64 samples
    targets: Tensor  # (B, U) int64, zeros beyond target_lengths
    target_lengths: Tensor  # (B,) int64
    seeds: Tensor  # (B,) int64, at least 0: random numbers of each utterance in this epoch
    utterances: tuple[Utterance, ...]

    @property
    def ids(self) -> list[str]:
        """Ids of the utterances."""
        return [u.id for u in self.utterances]

    @property
    def references(self) -> list[str]:
        """Labels or transcripts; empty where there is none."""
        return [u.target or "" for u in self.utterances]

    @property
    def speakers(self) -> list[str | None]:
        """Speakers, None where not known."""
        return [u.speaker for u in self.utterances]

    def __len__(self) -> int:
        return len(self.utterances)

    def to(self, device: torch.device | str) -> Batch:
        """The same batch with its tensors on ``device``."""
        names = ("waveform", "lengths", "targets", "target_lengths", "seeds")
        return replace(
            self, **{name: getattr(self, name).to(device, non_blocking=True) for name in names}
        )


def collate(examples: Sequence[Example]) -> Batch:
    """Stack examples into a batch.

    Raises:
        SeqlabError: no examples.
    """
    waveform, lengths = pad_stack([e.waveform for e in examples])
    targets, target_lengths = pad_stack([e.targets for e in examples])
    return Batch(
        waveform=waveform,
        lengths=lengths,
        targets=targets,
        target_lengths=target_lengths,
        seeds=torch.tensor([e.seed for e in examples], dtype=torch.int64),
        utterances=tuple(e.utterance for e in examples),
    )


def utterance_seed(seed: int, epoch: int, utterance_id: str, purpose: str) -> int:
    """A seed in [0, 2**63) for one use of one utterance in one epoch, on every machine the same.

    >>> utterance_seed(0, 1, "a", "noise") == utterance_seed(0, 1, "a", "noise")
    True
    >>> utterance_seed(0, 1, "a", "noise") == utterance_seed(0, 2, "a", "noise")
    False
    """
    text = f"{seed}\0{epoch}\0{purpose}\0{utterance_id}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def section_entries(
    sections: Sections, utterances: Sequence[Utterance], seed: int, sample_rate: int
) -> list[Utterance]:
    """An entry for each section of an epoch; their lengths are drawn once, for batches of a kind.

    Args:
        sections: how many, and how long; by default as long as ``utterances`` are.
        utterances: those that are trained on.
        seed: of the lengths.
        sample_rate: of the sections, in Hz.
    """
    durations = sorted(u.duration_s for u in utterances)
    entries = []
    for number in range(sections.count):
        name = f"{sections.label}/{number}"
        draw = float(np.random.default_rng(utterance_seed(seed, 0, name, "duration")).random())
        if sections.duration_s is not None:
            low, high = sections.duration_s
            duration_s = low + (high - low) * draw
        else:
            duration_s = durations[int(draw * len(durations))]
        duration_s = max(1, round(duration_s * sample_rate)) / sample_rate
        entries.append(
            Utterance(name, sections.label, 0.0, duration_s, sample_rate, label=sections.label)
        )
    return entries


class SpeechDataset:
    """Examples by (epoch, index), the same whichever process asks and in whatever order.

    Decoded audio stays in memory up to ``cache_mb``, in each process that loads. Where several
    utterances lie in one file, and all of them fit, the file is decoded once.

    Args:
        utterances: in any order; ids are unique.
        tokenizer: encodes ``Utterance.target``; None: batches without targets.
        sample_rate: in Hz; files at another rate are resampled.
        augment: changes to the waveforms; None: none (evaluation).
        seed: of augmentation.
        cache: keep decoded audio in memory.
        cache_mb: most memory for it, in 2**20 bytes.
        root: folder that the manifests in ``augment`` are relative to.
        sections: examples that are cut anew in each epoch; their entries follow the utterances.

    Raises:
        DataError: ids clash, or a manifest of ``augment`` cannot be read.
    """

    def __init__(
        self,
        utterances: Sequence[Utterance],
        tokenizer: Encodes | None,
        sample_rate: int,
        augment: AugmentConfig | None = None,
        seed: int = 0,
        cache: bool = True,
        *,
        cache_mb: int = 1024,
        root: str = ".",
        sections: Sequence[Sections] = (),
    ) -> None:
        self.utterances = list(utterances)
        self.tokenizer = tokenizer
        self.sample_rate = sample_rate
        self.seed = seed
        self.augmenter = WaveformAugmenter(augment, sample_rate, root) if augment else None
        self.cache = AudioCache(cache_mb * 2**20 if cache else 0)
        self._by_file: dict[str, list[Utterance]] = defaultdict(list)
        for utterance in self.utterances:
            self._by_file[utterance.path].append(utterance)
        self.sections: dict[str, Sections] = {}
        for part in sections:
            entries = section_entries(part, utterances, seed, sample_rate)
            self.sections |= {entry.id: part for entry in entries}
            self.utterances += entries
        check_ids(self.utterances, "the data set")

    @property
    def durations(self) -> list[float]:
        """Seconds of each utterance, before augmentation."""
        return [u.duration_s for u in self.utterances]

    def __len__(self) -> int:
        return len(self.utterances)

    def __getitem__(self, key: tuple[int, int]) -> Example:
        """The example ``(epoch, index)``; augmentation differs from epoch to epoch.

        Raises:
            AudioError: the audio cannot be used.
            DataError: there is no transcript or label, or it does not fit the tokenizer.
        """
        epoch, index = key
        utterance = self.utterances[index]
        waveform = self._waveform(utterance, epoch)
        if self.augmenter is not None:
            rng = np.random.default_rng(utterance_seed(self.seed, epoch, utterance.id, "waveform"))
            waveform = self.augmenter(waveform, rng)
        return Example(
            utterance=utterance,
            waveform=waveform,
            targets=torch.tensor(self.encode(utterance), dtype=torch.int64),
            seed=utterance_seed(self.seed, epoch, utterance.id, "features"),
        )

    def _waveform(self, utterance: Utterance, epoch: int) -> Tensor:
        """As recorded, or the section that is cut for this epoch."""
        section = self.sections.get(utterance.id)
        if section is None:
            return self.load(utterance)
        rng = np.random.default_rng(utterance_seed(self.seed, epoch, utterance.id, "section"))
        samples = round(utterance.duration_s * self.sample_rate)
        return section.cut(samples, self.sample_rate, rng, self.cache)

    def batch(self, keys: Sequence[tuple[int, int]]) -> Batch:
        """The examples ``(epoch, index)`` as one batch, the same on any number of threads."""
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # sums over a waveform differ in the last bit otherwise
        try:
            return collate([self[key] for key in keys])
        finally:
            torch.set_num_threads(threads)

    def encode(self, utterance: Utterance) -> list[int]:
        """Target tokens of an utterance.

        Raises:
            DataError: no transcript or label, or one outside the vocabulary; names the utterance.
        """
        if self.tokenizer is None:
            return []
        if utterance.target is None:
            raise DataError(
                f"utterance {utterance.id} ({utterance.path}) has neither transcript nor label; "
                "add one or leave it out"
            )
        try:
            return self.tokenizer.encode(utterance.target)
        except DataError as error:
            raise DataError(f"utterance {utterance.id} ({utterance.path}): {error}") from None

    def load(self, utterance: Utterance) -> Tensor:
        """Waveform (N,) of an utterance as recorded, at the dataset's sample rate."""
        kept = self.cache.get(utterance.id)
        if kept is not None:
            return kept
        siblings = self._by_file[utterance.path]
        if len(siblings) > 1 and self._fit(siblings):
            return self._load_file(utterance, siblings)
        whole = _is_whole(utterance)
        waveform, _ = load_audio(
            utterance.path,
            start_s=0.0 if whole else utterance.start_s,
            duration_s=None if whole else utterance.duration_s,
            sample_rate=self.sample_rate,
        )
        self.cache.put(utterance.id, waveform)
        return waveform

    def _fit(self, siblings: Sequence[Utterance]) -> bool:
        """Whether the cache has room for all of them; else each would decode the whole file."""
        seconds = sum(u.duration_s for u in siblings)
        needed = 4 * self.sample_rate * seconds  # float32, the most it can be
        return self.cache.used + needed <= self.cache.limit

    def _load_file(self, wanted: Utterance, siblings: list[Utterance]) -> Tensor:
        recording, rate = load_audio(wanted.path)
        found: Tensor | None = None
        for utterance in siblings:
            start = round(utterance.start_s * rate)
            count = max(1, round(utterance.duration_s * rate))
            if start + count > len(recording) + max(1, 0.001 * rate):
                if utterance is not wanted:
                    continue  # its own turn reports it
                load_audio(wanted.path, start_s=wanted.start_s, duration_s=wanted.duration_s)
            waveform = resample(recording[start : start + count], rate, self.sample_rate)
            self.cache.put(utterance.id, waveform)
            if utterance is wanted:
                found = waveform.clone()
        assert found is not None
        return found


def _is_whole(utterance: Utterance) -> bool:
    if utterance.start_s != 0 or utterance.recording_s is None:
        return False
    return abs(utterance.recording_s - utterance.duration_s) * utterance.sample_rate < 0.5
