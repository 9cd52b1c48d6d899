"""What a synthetic corpus is made of: takes of words, their pauses and levels, and its files."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seqlab.data._espeak import Espeak, Samples
from seqlab.data._speech_plan import FORMAT, Plan, in_phonemes, is_of_program
from seqlab.data.speech_programs import LacksSoundError, speak, voice_digest
from seqlab.errors import DataError

SAMPLE_RATE = 16000
TABLE, RECORD = "manifest.tsv", "corpus.json"

Audio = npt.NDArray[np.float64]
_Place = tuple[int, int, int]  # numbers of voice, word and take


def write_corpus(plan: Plan, folder: Path) -> None:
    """Say everything, in order; to be run in a fresh process."""
    import soundfile

    espeak = Espeak(plan.seed) if plan.needs_espeak else None
    rows = ["path\tlabel\ttranscript\tspeaker\tstart_s\tduration_s\tid"]
    samples_hash = hashlib.sha256()
    (folder / "audio").mkdir()
    for number, voice in enumerate(plan.voices):
        name = f"audio/{number:03d}_{voice.replace('+', '_').replace(':', '_')}.flac"
        parts: list[Samples] = []
        start = 0
        for (_, word_number, take), part in _takes(plan, number, espeak):
            word = plan.words[word_number]
            times = f"{start / SAMPLE_RATE!r}\t{len(part) / SAMPLE_RATE!r}"
            rows.append(f"{name}\t{word}\t{word}\t{voice}\t{times}\t{voice}/{word}/{take}")
            parts.append(part)
            start += len(part)
        if not parts:
            raise DataError(f"voice {voice} lacks sounds of every text; leave it out")
        samples = np.concatenate(parts)
        samples_hash.update(samples.astype("<i2").tobytes())
        soundfile.write(folder / name, samples, SAMPLE_RATE, "PCM_16", format="FLAC")
    (folder / TABLE).write_text("\n".join(rows) + "\n", encoding="utf-8")
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    record = {
        **asdict(plan),
        "synthetic": True,
        "format": FORMAT,
        "espeak_ng": espeak.version if espeak else None,
        "programs": {voice: voice_digest(voice) for voice in filter(is_of_program, plan.voices)},
        "checksum": samples_hash.hexdigest(),
        "files": {n: hashlib.sha256((folder / n).read_bytes()).hexdigest() for n in names},
    }
    (folder / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _takes(plan: Plan, number: int, espeak: Espeak | None) -> Iterator[tuple[_Place, Samples]]:
    """All takes of a voice, in order; a program's, several at once, but for what it lacks."""
    of_program = is_of_program(plan.voices[number])
    places = [
        (number, word_number, take)
        for word_number, word in enumerate(plan.words)
        for take in range(plan.per_word)
        if not (of_program and in_phonemes(word))
    ]
    if not of_program:
        assert espeak is not None
        for place in places:
            yield place, _by_espeak(plan, place, espeak)
        return
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for place, said in zip(
            places, pool.map(lambda p: _by_program(plan, p), places), strict=True
        ):
            if said is not None:
                yield place, said


def _by_espeak(plan: Plan, place: _Place, espeak: Espeak) -> Samples:
    rng = np.random.default_rng([plan.seed, *place])
    word, voice = plan.words[place[1]], plan.voices[place[0]]
    spoken = espeak.say(word, voice, **_manner(word, rng, plan.lively)) / 32768.0
    return _finished(spoken, espeak.sample_rate, rng)


def _by_program(plan: Plan, place: _Place) -> Samples | None:
    """A take; None where the voice has no recording of one of its sounds."""
    rng = np.random.default_rng([plan.seed, *place])
    word, voice = plan.words[place[1]], plan.voices[place[0]]
    rate, pitch = np.exp(rng.uniform(-1, 1, 2) * (0.4 if plan.lively else 0.25))
    try:
        spoken, sample_rate = speak(word, voice, rate=float(rate), pitch=float(pitch))
    except LacksSoundError:
        return None
    return _finished(spoken, sample_rate, rng)


def _manner(word: str, rng: np.random.Generator, lively: bool) -> dict[str, int]:
    """How a take is said: arguments of ``Espeak.say``."""
    if not lively:
        return {"rate": int(rng.integers(120, 221)), "pitch": int(rng.integers(25, 76))}
    ranges = {"rate": (100, 261), "pitch": (10, 91), "pitch_range": (20, 91)}
    manner = {name: int(rng.integers(low, high)) for name, (low, high) in ranges.items()}
    emphasised, place = rng.random(2)
    if emphasised < 1 / 3:
        manner["stressed"] = int(place * len(word.split()))
    return manner


def _finished(spoken: Audio, sample_rate: int, rng: np.random.Generator) -> Samples:
    """A take (N,) at 16 kHz, with pauses around it, a level and a faint noise of its own."""
    import soxr

    loud = np.flatnonzero(np.abs(spoken) > 100 / 32768)
    if len(loud):
        spoken = spoken[loud[0] : loud[-1] + 1]
    audio: Audio = soxr.resample(spoken, sample_rate, SAMPLE_RATE, "VHQ")
    level = 10 ** (rng.uniform(-20, -3) / 20) / max(1e-3, float(np.abs(audio).max()))
    before, after = rng.integers(int(0.05 * SAMPLE_RATE), int(0.3 * SAMPLE_RATE), 2)
    audio = np.concatenate([np.zeros(before), audio * level, np.zeros(after)])
    audio += rng.normal(0, 10 ** (rng.uniform(-80, -55) / 20), len(audio))
    return np.clip(np.round(audio * 32767), -32768, 32767).astype(np.int16)
