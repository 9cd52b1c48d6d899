"""Synthetic spoken digits: made on this machine, no download; never a measure of accuracy."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from seqlab.checks import check_range
from seqlab.data.corpora._digit_pronunciations import DIGITS, PRONUNCIATIONS, WEAK_GLIDES
from seqlab.data.corpora._layout import ordered
from seqlab.data.corpora._pauses import Loudness, without_pauses
from seqlab.data.manifest import Utterance
from seqlab.data.speech_programs import find_voices
from seqlab.data.synthetic import TABLE, Plan, cached_corpus, default_voices
from seqlab.data.table import read_table
from seqlab.errors import DataError

NOTES = ("synthetic speech: accuracy on it says nothing about people",)
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
    weak_glides: bool = False,
    margin_s: float = 0.0,
    programs: str = "",
    cache: str = "",
) -> dict[str, list[Utterance]]:
    """Splits of spoken digits by espeak-ng and other programs; no voice is in two of them.

    The corpus is made once and kept in the user's cache folder; equal options give equal samples.
    Each eighth voice is ``test``, each eighth ``dev``, the others ``train``; a person who lent a
    voice to two programs is in one of them.

    Args:
        source: not used; any text.
        voices: how many of espeak-ng, 0 to 70; with those of ``programs`` 3 or more.
        takes: of each word by each voice.
        seed: of voices' noise, rates, pitches, levels and pauses.
        words: what to say, by spaces.
        lively: whether rate and pitch differ more, and melody and emphasis differ, too.
        pronunciations: whether the digits among the words are also said in two or three other ways,
            ``takes`` times each, by espeak-ng alone: it glides more than most, and never errs.
        weak_glides: whether five and nine are also said with hardly a glide, like ``faav`` and
            ``naan``: people often do, and synthesisers never.
        margin_s: seconds of pause that are kept on either side of a word, where there are as many;
            0: all. Recordings of words are mostly cut tight, and these are not.
        programs: other programs that speak, or their voices, by spaces, such as
            ``mbrola flite:slt``; ``all``: those on this machine. They are mbrola, flite, pico,
            rhvoice and festival.
        cache: folder for the audio; empty: the user's cache folder.

    Raises:
        MissingDependencyError: espeakng-loader, or a program, is not installed.
        SeqlabError: options out of range, or the cache cannot be written.
    """
    check_range("margin_s", margin_s, 0, 10, "0.03 is as tight as most recordings of words")
    labels = {word: word for word in words.split()}
    others = find_voices(programs) if programs else []
    if voices + len(others) < 3:
        raise DataError(
            f"voices={voices} must be 3 or more, one for each of train, dev and test; "
            f"programs={programs!r} have {len(others)}"
        )
    names = (default_voices(voices) if voices else ()) + tuple(other.name for other in others)
    if pronunciations:
        labels |= {f"[[{said}]]": word for word in labels for said in PRONUNCIATIONS.get(word, ())}
    if weak_glides:
        labels |= {said: word for word, said in WEAK_GLIDES.items() if word in labels}
    plan = Plan(tuple(labels), names, takes, seed, lively)
    folder = cached_corpus(plan, cache or None)
    kinds = _kinds(plan.voices, {other.name: other.person for other in others})
    splits: dict[str, list[Utterance]] = {"train": [], "dev": [], "test": []}
    for _, utterance in read_table(folder / TABLE):
        label = labels[str(utterance.transcript)]
        word = dataclasses.replace(utterance, label=label, transcript=label)
        word = without_pauses(word, margin_s, _LOUD) if margin_s else word
        splits[kinds[str(utterance.speaker)]].append(word)
    return ordered(splits)


def _kinds(voices: tuple[str, ...], people: dict[str, str]) -> dict[str, str]:
    """Split of each voice; that of a person's first voice holds for the other ones."""
    numbers: dict[str, int] = {}
    for voice in voices:
        numbers.setdefault(people.get(voice, voice), len(numbers))
    return {voice: _split(numbers[people.get(voice, voice)]) for voice in voices}


def _split(number: int) -> str:
    return {1: "dev", 2: "test"}.get(number % 8, "train")
