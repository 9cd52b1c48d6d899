"""The speech programs that are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from seqlab.data._speech_arguments import (
    espeak_arguments,
    festival_arguments,
    flite_arguments,
    pico_arguments,
    rhvoice_arguments,
)
from seqlab.data._speech_voices import FESTIVAL, FLITE, MBROLA, PICO, RHVOICE, Known

_Arguments = Callable[[str, Known, float, float, str], tuple[list[str], str]]


@dataclass(frozen=True)
class Program:
    """A synthesiser that is known.

    Args:
        executables: Programs it needs on ``PATH``; the first is started.
        about: What it is and how it comes to a machine, for people.
        voices: By name.
        arguments: (text, voice, rate, pitch, WAV file to write) to (arguments, standard input).
    """

    executables: tuple[str, ...]
    about: str
    voices: dict[str, Known]
    arguments: _Arguments


PROGRAMS = {
    "mbrola": Program(
        ("espeak-ng", "mbrola"),
        "espeak-ng with the diphones of people for mbrola; in Debian the packages espeak-ng, "
        "mbrola and mbrola-us1, mbrola-de2 and so on (some for non-commercial use)",
        MBROLA,
        espeak_arguments,
    ),
    "flite": Program(
        ("flite",), "a small synthesiser; in Debian the package flite", FLITE, flite_arguments
    ),
    "pico": Program(
        ("pico2wave",),
        "SVOX Pico; in Debian the package libttspico-utils",
        PICO,
        pico_arguments,
    ),
    "rhvoice": Program(
        ("RHVoice-test",),
        "RHVoice; in Debian the packages rhvoice and rhvoice-english",
        RHVOICE,
        rhvoice_arguments,
    ),
    "festival": Program(
        ("text2wave",),
        "Festival; in Debian the packages festival, festvox-kallpc16k, festvox-rablpc16k and so on",
        FESTIVAL,
        festival_arguments,
    ),
}
