"""Synthetic spoken digits: made on this machine, no download; never a measure of accuracy."""

from __future__ import annotations

from pathlib import Path

from seqlab.data.corpora._layout import ordered
from seqlab.data.manifest import Utterance
from seqlab.data.synthetic import TABLE, Plan, cached_corpus, default_voices
from seqlab.data.table import read_table
from seqlab.errors import DataError

DIGITS = "zero one two three four five six seven eight nine"
NOTES = ("synthetic speech by espeak-ng: accuracy on it says nothing about people",)


def prepare(
    source: Path,
    *,
    voices: int = 48,
    takes: int = 4,
    seed: int = 0,
    words: str = DIGITS,
    lively: bool = False,
    cache: str = "",
) -> dict[str, list[Utterance]]:
    """Splits of spoken digits by espeak-ng; no voice is in two of them.

    The corpus is made once and kept in the user's cache folder; equal options give equal samples.
    Each eighth voice is ``test``, each eighth ``dev``, the others ``train``.

    Args:
        source: not used; any text.
        voices: how many, 3 to 70.
        takes: of each word by each voice.
        seed: of voices' noise, rates, pitches, levels and pauses.
        words: what to say, by spaces.
        lively: whether rate and pitch differ more, and melody and emphasis differ, too.
        cache: folder for the audio; empty: the user's cache folder.

    Raises:
        MissingDependencyError: espeakng-loader is not installed.
        DataError: options out of range, or the cache cannot be written.
    """
    if voices < 3:
        raise DataError(f"voices={voices} must be 3 or more, one for each of train, dev and test")
    plan = Plan(tuple(words.split()), default_voices(voices), takes, seed, lively)
    folder = cached_corpus(plan, cache or None)
    kinds = {voice: _split(number) for number, voice in enumerate(plan.voices)}
    splits: dict[str, list[Utterance]] = {"train": [], "dev": [], "test": []}
    for _, utterance in read_table(folder / TABLE):
        splits[kinds[str(utterance.speaker)]].append(utterance)
    return ordered(splits)


def _split(number: int) -> str:
    return {1: "dev", 2: "test"}.get(number % 8, "train")
