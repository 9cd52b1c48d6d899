"""Typed phrases, their near misses and other sentences, said by synthetic voices."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import numpy as np

from seqlab.data._speech_plan import in_phonemes
from seqlab.data.corpora._given import in_halves, noises_in, speech_without
from seqlab.data.manifest import Utterance, read_manifest
from seqlab.data.speech_programs import find_voices
from seqlab.data.synthetic import TABLE, Plan, cached_corpus, default_voices
from seqlab.data.table import read_table
from seqlab.errors import DataError
from seqlab.text.sayings import NEAR, Saying, read_sayings
from seqlab.text.vocabulary import UNKNOWN_LABEL

NOTES = ("synthetic speech: figures on it say nothing about people",)
SHARED_SPEAKERS = "voices are those of train or those of dev, none is both"

_DEV_EVERY = 4  # each so-manieth voice
_CARRIERS, _NEAR = 2, 6  # texts of a voice, for each phrase
_SENTENCE_S = 2.9  # what one takes at least, on average
_MOST_JUDGED_S = 900.0  # of sentences that every epoch is judged by
_LONGEST_STRETCH = 200  # sentences that a voice says in one go: what a kill can cost

Told = Callable[[int, int], None]


def prepare(
    source: Path,
    *,
    voices: int = 70,
    copies: int = 3,
    seed: int = 0,
    hours: float = 1.0,
    programs: str = "",
    noise: str = "",
    negatives: str = "",
    dest: Path | None = None,
) -> dict[str, list[Utterance]]:
    """Splits for a detector of typed phrases, from a script that ``seqlab wakeword`` writes.

    ``train`` and ``dev`` hold the phrases, alone and among other words; ``near_train`` and
    ``near_dev`` near misses, as ``<unknown>``; ``other_train`` and ``other_dev`` sentences;
    ``judged`` the near misses of dev and some of its sentences, to judge every epoch by. Each
    fourth voice is dev. Half of the
    recordings of ``negatives`` (by speaker where known) and of ``noise`` become
    ``negatives_train`` and ``noise_train``, half ``negatives_dev`` and ``noise_dev``. The voices
    of ``programs`` are all learnt from, and say what they have the sounds for.

    Voices that were made before, whole, are not made again.

    Args:
        source: the script, a table of what is said.
        voices: how many, 2 to 70.
        copies: takes of each text by each voice.
        seed: of what each voice says, and how.
        hours: of sentences by the voices of dev, about, and as many by those of train.
        programs: other programs that speak, or their voices, by spaces, as
            `seqlab.data.speech_programs.find_voices` takes them; empty: espeak-ng alone.
        noise: folder of recordings without speech; empty: none.
        negatives: manifest of speech without the phrases; empty: none.
        dest: folder of the audio.

    Raises:
        MissingDependencyError: espeakng-loader is not installed.
        DataError: the script cannot be used, an option is out of range, or the place cannot be
            written.
    """
    sayings = read_script(source)
    if dest is None:
        raise DataError(f"{source} makes new recordings, which must have a folder; name dest")
    plans = voice_plans(
        sayings, voices=voices, copies=copies, seed=seed, hours=hours, programs=programs
    )
    folders = speak(plans, dest / "speech")
    by_text = {saying.text: saying for saying in sayings}
    splits: dict[str, list[Utterance]] = {}
    for (split, _), folder in zip(plans, folders, strict=True):
        for _, said in read_table(folder / TABLE):
            saying = by_text[str(said.transcript)]
            utterance = _named(said, saying)
            kinds = {None: f"other_{split}", UNKNOWN_LABEL: f"near_{split}"}
            splits.setdefault(kinds.get(utterance.label, split), []).append(utterance)
    judged = _first(splits["other_dev"], _MOST_JUDGED_S)
    splits["judged"] = splits.get("near_dev", []) + judged
    labels = list(dict.fromkeys(saying.label for saying in sayings if saying.label))
    return (
        splits
        | in_halves("noise", noises_in(noise))
        | in_halves("negatives", speech_without(labels, negatives))
    )


def voice_plans(
    sayings: Sequence[Saying],
    *,
    voices: int,
    copies: int,
    seed: int,
    hours: float,
    programs: str = "",
) -> list[tuple[str, Plan]]:
    """What each voice says: the phrases, and of everything else its own share.

    Args:
        sayings: the script.
        voices: see ``prepare``, as the others.
        copies: takes of each text.
        seed: of the shares.
        hours: of sentences in dev, and in train.
        programs: see ``prepare``.

    Returns:
        Pairs of the split, ``train`` or ``dev``, and what one voice of it says.

    Raises:
        DataError: a number is out of range, or the script lacks phrases or sentences.
    """
    check_options(voices, copies, seed, hours)
    sentences = [saying.text for saying in sayings if saying.kind == "sentence"]
    if len(sentences) < 2 or not any(saying.kind == "phrase" for saying in sayings):
        raise DataError("the script must hold a phrase and two sentences; add their lines")
    names = default_voices(voices)
    kinds = ["dev" if number % _DEV_EVERY == 1 else "train" for number in range(voices)]
    others = [other.name for other in find_voices(programs)] if programs else []
    said = [*zip(names, kinds, strict=True), *((name, "train") for name in others)]
    made = []
    for number, (voice, split) in enumerate(said):
        rng = np.random.default_rng([seed, number])
        texts = _share(sayings, rng)
        if voice in others:
            texts = [text for text in texts if not in_phonemes(text)]
        made.append((split, Plan(tuple(texts), (voice,), copies, seed, lively=True)))
        each = round(hours * 3600 / _SENTENCE_S / sum(side == split for _, side in said))
        mine = sentences[0::2] if split == "train" else sentences[1::2]
        stretches = _stretches(mine, each, voice, seed, rng)
        made += [(split, plan) for plan in stretches]
    return made


def check_options(
    voices: int,
    copies: int,
    seed: int,
    hours: float,
    programs: str = "",
    noise: str = "",
    negatives: str = "",
) -> None:
    """Raise DataError where an option of ``prepare`` is out of range or cannot be read."""
    noises_in(noise)
    if programs:
        find_voices(programs)
    if negatives:
        read_manifest(negatives)
    if voices < 2:
        raise DataError(f"voices={voices} must be 2 or more, one for each of train and dev")
    if not 0 < hours <= 100:
        raise DataError(f"hours={hours} must be more than 0 and at most 100")
    if copies < 1:
        raise DataError(f"copies={copies} must be 1 or more")
    Plan(("a",), default_voices(voices), copies, seed)


def speak(
    plans: Sequence[tuple[str, Plan]], folder: Path, told: Told = lambda done, total: None
) -> list[Path]:
    """Make the speech of every plan that is not there yet, several at a time.

    Each appears whole or not at all, so that what was made before a kill is kept.

    Args:
        plans: from ``voice_plans``.
        folder: of the speech.
        told: called with the plans done and all, after each.

    Returns:
        The folder of each plan.

    Raises:
        MissingDependencyError: espeakng-loader is not installed.
        DataError: the folder cannot be written, or espeak-ng fails.
    """
    if folder.is_dir():
        for left in folder.glob(".*"):  # half made, by a process that was killed
            shutil.rmtree(left, ignore_errors=True)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        jobs = [pool.submit(cached_corpus, plan, folder) for _, plan in plans]
        try:
            for done, job in enumerate(as_completed(jobs), start=1):
                job.result()
                told(done, len(jobs))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return [job.result() for job in jobs]


def read_script(source: Path) -> list[Saying]:
    """What is to be said.

    Raises:
        DataError: no script; the message names the line.
    """
    if not source.is_file():
        state = "is a folder" if source.exists() else "does not exist"
        raise DataError(
            f"{source} {state}, must be a script; seqlab wakeword PHRASE -o DIR --prepare-only "
            "writes one"
        )
    try:
        return read_sayings(source.read_text(encoding="utf-8"), str(source))
    except UnicodeDecodeError:
        raise DataError(f"{source} must be UTF-8 text; convert it") from None


def _share(sayings: Sequence[Saying], rng: np.random.Generator) -> list[str]:
    """Texts of one voice, sentences apart."""
    phrases = [saying.text for saying in sayings if saying.kind == "phrase"]
    texts = list(phrases)
    for label in dict.fromkeys(saying.label for saying in sayings if saying.label):
        mine = [saying for saying in sayings if saying.label == label]
        texts += _drawn([s.text for s in mine if s.kind == "carrier"], _CARRIERS, rng)
        by_kind = ([s.text for s in mine if s.kind == kind] for kind in NEAR)
        found = [_drawn(every, _NEAR, rng) for every in by_kind]
        # of each kind one, then of each a second, until there are enough
        ranked = [every[place] for place in range(_NEAR) for every in found if place < len(every)]
        texts += ranked[:_NEAR]
    return list(dict.fromkeys(texts))


def _drawn(texts: Sequence[str], count: int, rng: np.random.Generator) -> list[str]:
    return [texts[int(place)] for place in rng.permutation(len(texts))[:count]]


def _stretches(
    sentences: Sequence[str], count: int, voice: str, seed: int, rng: np.random.Generator
) -> list[Plan]:
    """So many sentences by one voice: each once, or more often where there are too few."""
    takes = -(-max(1, count) // len(sentences))
    texts = _drawn(sentences, -(-max(1, count) // takes), rng)
    size = max(1, _LONGEST_STRETCH // takes)
    parts = [texts[begin : begin + size] for begin in range(0, len(texts), size)]
    return [Plan(tuple(part), (voice,), takes, seed, lively=True) for part in parts]


def _named(said: Utterance, saying: Saying) -> Utterance:
    label = {"phrase": saying.label, "carrier": saying.label, "sentence": None}
    return Utterance(
        id=said.id,
        path=said.path,
        start_s=said.start_s,
        duration_s=said.duration_s,
        sample_rate=said.sample_rate,
        transcript=saying.transcript or None,
        label=label.get(saying.kind, UNKNOWN_LABEL),
        speaker=said.speaker,
        recording_s=said.recording_s,
    )


def _first(utterances: Iterable[Utterance], most_s: float) -> list[Utterance]:
    """Spread over the utterances, as many as take so long."""
    every = list(utterances)
    total_s = sum(u.duration_s for u in every)
    return every[:: max(1, round(total_s / most_s))]
