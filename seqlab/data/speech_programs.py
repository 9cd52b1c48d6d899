"""Programs on this machine that speak: other synthesisers than the one that comes as a wheel.

Several synthesisers differ more than the voices of one: diphones and sounds of recorded people,
models of their voices, other pauses and melodies. The programs are the user's own, found by name
on ``PATH``; which ones are known, and what is asked of them, stands in ``_speech_registry.py``.
"""

from __future__ import annotations

import functools
import hashlib
import io
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seqlab.data._speech_arguments import lacking_diphones
from seqlab.data._speech_registry import PROGRAMS, Program
from seqlab.data._speech_voices import Known
from seqlab.errors import DataError, MissingDependencyError

TIMEOUT_S = 30.0
_PROBE = "one two three"

Audio = npt.NDArray[np.float64]


class LacksSoundError(DataError):
    """A voice has no recording of a sound in a text."""


@dataclass(frozen=True)
class SpeechVoice:
    """A voice of a program.

    Args:
        name: Such as ``flite:slt``.
        person: Whose voice it is; programs share people.
        digest: Of what it says to a probe: another version or voice has another.
    """

    name: str
    person: str
    digest: str


def find_voices(wanted: str | Sequence[str] = "all") -> list[SpeechVoice]:
    """Voices on this machine that are wanted and say something.

    Args:
        wanted: Names of programs or of voices (``flite``, ``mbrola:us1``), by spaces or in a
            sequence; ``all``: every one that is found.

    Returns:
        In the order of the names, each once.

    Raises:
        MissingDependencyError: A program that was named is not on this machine.
        DataError: Nothing is wanted, a name is not known, a voice that was named says nothing, or
            a program has no voice at all.

    Example:
        >>> find_voices("mbrolla")
        Traceback (most recent call last):
            ...
        seqlab.errors.DataError: speech program 'mbrolla' must be one of mbrola, flite, pico, \
rhvoice, festival, or all
    """
    names = wanted.split() if isinstance(wanted, str) else list(wanted)
    if not names:
        raise DataError("speech programs must be one or more; name them, or say all")
    found: dict[str, SpeechVoice] = {}
    for name in names:
        if name == "all":
            here = [program for program in PROGRAMS if _missing(program) is None]
            voices = [voice for program in here for voice in _voices_of(program)]
        elif ":" in name:
            voices = [_probed(name)]
        else:
            voices = _voices_of(name)
            if not voices:
                raise DataError(
                    f"speech program {name!r} has no voice that says something; install one: "
                    f"{PROGRAMS[name].about}"
                )
        found |= {voice.name: voice for voice in voices}
    if not found:
        raise DataError(
            f"no speech program is on this machine; install one of {', '.join(PROGRAMS)}, such as "
            f"{PROGRAMS['flite'].about}"
        )
    return list(found.values())


def speak(text: str, voice: str, *, rate: float = 1.0, pitch: float = 1.0) -> tuple[Audio, int]:
    """Samples (N,) within -1 and 1 of ``text`` in a voice, and their rate in Hz.

    Args:
        text: What to say, in English.
        voice: Such as ``mbrola:us1``.
        rate: Times as fast as usual, 0.4 to 2.5.
        pitch: Times as high as usual, 0.5 to 2; some voices of festival and flite do not heed it.

    Raises:
        MissingDependencyError: The program is not on this machine.
        DataError: The voice is not known, numbers are out of range, or the program fails, takes
            too long or says nothing.
        LacksSoundError: The voice has no recording of a part of it.
    """
    program, known = _known(voice)
    for name, value, low, high in (("rate", rate, 0.4, 2.5), ("pitch", pitch, 0.5, 2.0)):
        if not low <= value <= high:
            raise DataError(f"{name}={value} must be within {low} and {high}")
    if not text.strip() or "\0" in text:
        raise DataError(f"text={text!r} must be words; {voice} cannot say it")
    _check_here(voice.partition(":")[0])
    with tempfile.TemporaryDirectory(prefix="speech") as folder:
        file = Path(folder) / "speech.wav"
        arguments, given = program.arguments(text, known, rate, pitch, str(file))
        complaints = _run([program.executables[0], *arguments], given, voice, text)
        lacking = lacking_diphones(complaints)
        if lacking:
            raise LacksSoundError(
                f"voice {voice} lacks {', '.join(lacking)} of {text!r}; spell it otherwise, or "
                "leave this voice out"
            )
        return _read(file, voice, text)


def check_voice(voice: str) -> None:
    """Refuse a voice that no program has.

    Raises:
        DataError: The voice is not known.

    Example:
        >>> check_voice("flite:slt")
    """
    _known(voice)


def voice_digest(voice: str) -> str:
    """Digest of what a voice says to a probe: another version or other data has another.

    Raises:
        MissingDependencyError: The program is not on this machine.
        DataError: The voice is not known, or fails.
    """
    program, _ = _known(voice)
    _check_here(voice.partition(":")[0])
    return _digest(voice, tuple(str(shutil.which(name)) for name in program.executables))


def _run(command: list[str], given: str, voice: str, text: str) -> str:
    try:
        done = subprocess.run(
            command, input=given.encode(), capture_output=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise DataError(
            f"{command[0]} took more than {TIMEOUT_S:g} s over {text!r} with voice {voice}; "
            "leave this voice out"
        ) from None
    except OSError as error:
        raise DataError(f"{command[0]} cannot be started ({error.strerror or error})") from None
    complaints = done.stderr.decode(errors="replace")
    if done.returncode != 0:
        lines = complaints.strip().splitlines()
        reason = lines[-1] if lines else f"exit status {done.returncode}"
        raise DataError(
            f"{command[0]} fails for {text!r} with voice {voice} ({reason}); leave this voice out"
        )
    return complaints


def _read(file: Path, voice: str, text: str) -> tuple[Audio, int]:
    import soundfile

    try:
        samples, sample_rate = soundfile.read(io.BytesIO(file.read_bytes()), dtype="float64")
    except (OSError, soundfile.LibsndfileError):
        samples, sample_rate = np.zeros(0), 0
    if samples.ndim == 2:
        samples = samples.mean(1)
    if not len(samples) or np.abs(samples).max() < 1e-3:
        raise DataError(
            f"voice {voice} says nothing for {text!r}; its data may not be installed "
            f"({_known(voice)[0].about})"
        )
    return samples, int(sample_rate)


def _voices_of(program: str) -> list[SpeechVoice]:
    voices = []
    known = _program(program).voices
    _check_here(program)
    for name in known:
        try:
            voices.append(_probed(f"{program}:{name}"))
        except DataError:  # this voice is not installed
            continue
    return voices


def _probed(voice: str) -> SpeechVoice:
    _, known = _known(voice)
    return SpeechVoice(voice, known.person, voice_digest(voice))


@functools.cache
def _digest(voice: str, _executables: tuple[str, ...]) -> str:
    samples, sample_rate = speak(_PROBE, voice)
    return hashlib.sha256(samples.tobytes() + str(sample_rate).encode()).hexdigest()[:16]


def _known(voice: str) -> tuple[Program, Known]:
    name, _, own = voice.partition(":")
    voices = _program(name).voices
    if own not in voices:
        raise DataError(f"voice {voice!r} is not known; those of {name} are {', '.join(voices)}")
    return PROGRAMS[name], voices[own]


def _program(name: str) -> Program:
    if name not in PROGRAMS:
        raise DataError(f"speech program {name!r} must be one of {', '.join(PROGRAMS)}, or all")
    return PROGRAMS[name]


def _missing(program: str) -> str | None:
    return next((e for e in PROGRAMS[program].executables if shutil.which(e) is None), None)


def _check_here(program: str) -> None:
    missing = _missing(program)
    if missing is not None:
        raise MissingDependencyError(
            f"speech program {program!r} needs {missing}, which is not on PATH; install "
            f"{PROGRAMS[program].about}"
        )
