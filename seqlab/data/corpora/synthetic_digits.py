"""Synthetic spoken digits: made on this machine, no download; never a measure of accuracy."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from seqlab.checks import check_range
from seqlab.data.corpora._layout import ordered
from seqlab.data.corpora._pauses import Loudness, without_pauses
from seqlab.data.manifest import Utterance
from seqlab.data.synthetic import TABLE, Plan, cached_corpus, default_voices
from seqlab.data.table import read_table
from seqlab.errors import DataError

DIGITS = "zero one two three four five six seven eight nine"
PRONUNCIATIONS = {  # in espeak-ng's phonemes: weak diphthongs, and sounds of German, French, Greek
    "zero": ("z'i:ro:", "s'i@roU"),
    "one": ("w'an", "v'Van"),
    "two": ("t'u:", "t'U"),
    "three": ("tr'i:", "sr'i:", "fr'i:"),
    "four": ("f'O:", "f'o:r"),
    "five": ("f'aEv", "f'A:v", "f'aIf"),
    "six": ("s'i:ks", "z'Iks"),
    "seven": ("s'EvEn", "z'Ev@n"),
    "eight": ("'e:t", "'Et"),
    "nine": ("n'aEn", "n'A:n"),
}
NOTES = ("synthetic speech by espeak-ng: accuracy on it says nothing about people",)
_LOUD = Loudness(frames_per_s=100, smoothed=1, drop_db=35, rise_db=6, quiet_percent=5)


def prepare(
    source: Path,
    *,
    voices: int = 48,
    takes: int = 4,
    seed: int = 0,
    words: str = DIGITS,
    lively: bool = False,
    pronunciations: bool = False,
    margin_s: float = 0.0,
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
        pronunciations: whether the digits among the words are also said in two or three other ways,
            ``takes`` times each: espeak-ng glides more than most people, and never errs.
        margin_s: seconds of pause that are kept on either side of a word, where there are as many;
            0: all. Recordings of words are mostly cut tight, and these are not.
        cache: folder for the audio; empty: the user's cache folder.

    Raises:
        MissingDependencyError: espeakng-loader is not installed.
        SeqlabError: options out of range, or the cache cannot be written.
    """
    check_range("margin_s", margin_s, 0, 10, "0.03 is as tight as most recordings of words")
    if voices < 3:
        raise DataError(f"voices={voices} must be 3 or more, one for each of train, dev and test")
    labels = {word: word for word in words.split()}
    if pronunciations:
        labels |= {f"[[{said}]]": word for word in labels for said in PRONUNCIATIONS.get(word, ())}
    plan = Plan(tuple(labels), default_voices(voices), takes, seed, lively)
    folder = cached_corpus(plan, cache or None)
    kinds = {voice: _split(number) for number, voice in enumerate(plan.voices)}
    splits: dict[str, list[Utterance]] = {"train": [], "dev": [], "test": []}
    for _, utterance in read_table(folder / TABLE):
        label = labels[str(utterance.transcript)]
        word = dataclasses.replace(utterance, label=label, transcript=label)
        word = without_pauses(word, margin_s, _LOUD) if margin_s else word
        splits[kinds[str(utterance.speaker)]].append(word)
    return ordered(splits)


def _split(number: int) -> str:
    return {1: "dev", 2: "test"}.get(number % 8, "train")
