"""Strings of words put together from single recorded words, such as connected digits."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from seqlab.audio import save_audio
from seqlab.checks import check_at_least, check_range
from seqlab.data.corpora._layout import require_folder, wrong_layout
from seqlab.data.manifest import Utterance, from_file, read_manifest
from seqlab.errors import DataError

NOTES = (
    "strings of separate recordings: nobody says them so, for words do not run into each other",
)
SHARED_SPEAKERS = (
    "splits share their speakers as the source does: figures on test say little about new ones"
)
SPLITS = ("train", "dev", "test")
_EXPECTED = "train.jsonl.gz, dev.jsonl.gz or test.jsonl.gz, as seqlab prepare fsdd makes them"
_NOISE_DB = (-75.0, -55.0)  # level of the noise that covers the seams, re full scale

Words = dict[str, list[Utterance]]


@dataclass(frozen=True)
class Shape:
    """How strings are put together."""

    min_words: int
    max_words: int
    pause_s: float
    sample_rate: int
    seed: int


def prepare(
    source: Path,
    *,
    dest: Path,
    train: int = 1800,
    dev: int = 120,
    test: int = 300,
    min_words: int = 3,
    max_words: int = 7,
    pause_s: float = 0.4,
    sample_rate: int = 8000,
    seed: int = 0,
) -> dict[str, list[Utterance]]:
    """Strings of words, each of one speaker, from a prepared corpus of single words.

    A split takes its recordings from the same split of the source, so none is on two sides. The
    speakers take turns; words, takes and pauses are drawn evenly. Faint noise covers the seams.
    The audio is kept in ``DEST/audio``; equal options give equal samples.

    Args:
        source: folder of manifests of single words, made by ``seqlab prepare``, such as
            ``data/fsdd`` or ``data/synthetic_digits``.
        dest: folder for the audio (``audio/`` in it).
        train: strings of the split; 0: none.
        dev: strings of the split; 0: none.
        test: strings of the split; 0: none.
        min_words: words of the shortest string, 1 or more.
        max_words: words of the longest string, at most 100.
        pause_s: longest pause before, between and after words in seconds, 0 to 10.
        sample_rate: of the audio, in Hz; recordings at another rate are resampled.
        seed: of everything drawn, 0 or more.

    Raises:
        DataError: another layout, a recording without a word, or options out of range.
        AudioError: a recording cannot be read.
    """
    require_folder(source, "single words", _EXPECTED)
    check_at_least("seed", seed, 0)
    check_at_least("min_words", min_words, 1)
    check_at_least("max_words", max_words, min_words, "strings have min_words to max_words words")
    check_range("max_words", max_words, min_words, 100, "7 is a telephone number")
    check_range("pause_s", pause_s, 0, 10, "0.4 is a short breath")
    shape = Shape(min_words, max_words, pause_s, sample_rate, seed)
    counts = {"train": train, "dev": dev, "test": test}
    for name, count in counts.items():
        check_at_least(name, count, 0, "0 leaves the split out")
    found = [name for name in SPLITS if (source / f"{name}.jsonl.gz").is_file()]
    if not any(counts[name] for name in found):
        raise wrong_layout(source, "single words", _EXPECTED)
    return {
        name: _strings(source / f"{name}.jsonl.gz", name, counts[name], shape, dest / "audio")
        for name in found
        if counts[name]
    }


def _strings(manifest: Path, split: str, count: int, shape: Shape, folder: Path) -> list[Utterance]:
    speakers = _by_speaker(read_manifest(manifest), manifest)
    names = sorted(speakers, key=lambda name: name or "")
    (folder / split).mkdir(parents=True, exist_ok=True)
    loaded: dict[str, Tensor] = {}
    strings = []
    for number in range(count):
        rng = np.random.default_rng([shape.seed, SPLITS.index(split), number])
        speaker = names[number % len(names)]
        takes = _draw(speakers[speaker], shape, rng)
        for take in takes:
            if take.id not in loaded:
                loaded[take.id] = take.waveform(shape.sample_rate)
        path = folder / split / f"{number:05d}.flac"
        waveform = join_words([loaded[take.id] for take in takes], shape, rng)
        save_audio(path, waveform, shape.sample_rate, clip=True)
        words = " ".join(str(take.target) for take in takes)
        name = f"{split}/{number:05d}"
        strings.append(from_file(path, name, transcript=words, speaker=speaker))
    return strings


def _by_speaker(utterances: list[Utterance], manifest: Path) -> dict[str | None, Words]:
    """Takes of each word by each speaker; those whose speaker is not known count as one."""
    speakers: dict[str | None, Words] = defaultdict(lambda: defaultdict(list))
    for utterance in utterances:
        if not (utterance.target or "").strip():
            raise DataError(
                f"{manifest}: utterance {utterance.id} has neither label nor transcript, must have "
                "the word spoken; prepare a corpus of words"
            )
        speakers[utterance.speaker][str(utterance.target)].append(utterance)
    return speakers


def _draw(words: Words, shape: Shape, rng: np.random.Generator) -> list[Utterance]:
    names = sorted(words)
    count = int(rng.integers(shape.min_words, shape.max_words + 1))
    chosen = [words[names[int(index)]] for index in rng.integers(len(names), size=count)]
    return [takes[int(rng.integers(len(takes)))] for takes in chosen]


def join_words(words: list[Tensor], shape: Shape, rng: np.random.Generator) -> Tensor:
    """One waveform (N,) of ``words`` (n,) with random pauses around and between them.

    Args:
        words: waveforms at ``shape.sample_rate``.
        shape: longest pause and sample rate.
        rng: draws the pauses, one more than words, then the level of the noise and the noise.

    Example:
        >>> shape = Shape(1, 1, 0.0, 8000, 0)
        >>> words = [torch.ones(3), torch.zeros(2)]
        >>> join_words(words, shape, np.random.default_rng(0)).abs().round(decimals=1).tolist()
        [1.0, 1.0, 1.0, 0.0, 0.0]
    """
    most = round(shape.pause_s * shape.sample_rate)
    pauses = rng.integers(0, most + 1, size=len(words) + 1)
    parts = [torch.zeros(int(pauses[0]))]
    for word, pause in zip(words, pauses[1:], strict=True):
        parts += [word, torch.zeros(int(pause))]
    waveform = torch.cat(parts)
    level = 10 ** (rng.uniform(*_NOISE_DB) / 20)
    noise = rng.normal(0, level, len(waveform)).astype(np.float32)
    return waveform + torch.from_numpy(noise)
