"""How each speech program is asked to say a text: arguments and standard input, never a shell.

Every function takes (text, voice, rate, pitch, WAV file to write); rate and pitch are times the
voice's own. Texts go in by standard input, or as the value of an option, so none is an option.
"""

from __future__ import annotations

import math
import re
from xml.sax.saxutils import escape

from seqlab.data._speech_voices import Known


def espeak_arguments(
    text: str, voice: Known, rate: float, pitch: float, file: str
) -> tuple[list[str], str]:
    """espeak-ng: 175 words a minute are usual; 50 is the middle of 0 to 99, about 1.7 octaves."""
    height = min(99, max(0, round(50 + 58 * math.log2(pitch))))
    options = ["-v", voice.code, "-s", str(round(175 * rate)), "-p", str(height)]
    return [*options, "-w", file, "--stdin"], text


def lacking_diphones(complaints: str) -> list[str]:
    """Steps from sound to sound that an mbrola voice has no recording of, and keeps silent at.

    Those to and from a pause (``_``) are left out: next to nothing is lost.

    Example:
        >>> lacking_diphones("Warning: T-U1 unknown, replaced with _-_")
        ['T-U1']
    """
    steps = re.findall(r"(\S+) unknown, replaced", complaints)
    return [step for step in dict.fromkeys(steps) if "_" not in step.split("-")]


def flite_arguments(
    text: str, voice: Known, rate: float, pitch: float, file: str
) -> tuple[list[str], str]:
    """Flite: durations and the mean of the melody, in Hz, are features of a voice."""
    features = {
        "duration_stretch": f"{1 / rate:.3f}",
        "int_f0_target_mean": f"{voice.pitch_hz * pitch:.1f}",
    }
    options = [part for item in features.items() for part in ("--setf", "=".join(item))]
    return ["-voice", voice.code, *options, "-t", text, "-o", file], ""


def pico_arguments(
    text: str, voice: Known, rate: float, pitch: float, file: str
) -> tuple[list[str], str]:
    """pico2wave: marks for speed and pitch, in percent; a text in marks is no option."""
    speed, height = round(100 * rate), min(200, max(50, round(100 * pitch)))
    marked = f'<speed level="{speed}"><pitch level="{height}">{escape(text)}</pitch></speed>'
    return ["-l", voice.code, "-w", file, marked], ""


def rhvoice_arguments(
    text: str, voice: Known, rate: float, pitch: float, file: str
) -> tuple[list[str], str]:
    """RHVoice-test: percent."""
    percent = ["-r", str(round(100 * rate)), "-t", str(round(100 * pitch))]
    return ["-p", voice.code, *percent, "-o", file], text


def festival_arguments(
    text: str, voice: Known, rate: float, pitch: float, file: str
) -> tuple[list[str], str]:
    """text2wave: expressions of Festival with numbers and the name of a voice of the registry."""
    mean = voice.pitch_hz * pitch
    expressions = [
        f"(voice_{voice.code})",
        f"(Parameter.set 'Duration_Stretch {1 / rate:.3f})",
        f"(set! int_lr_params '((target_f0_mean {mean:.1f}) (target_f0_std {mean / 8:.1f}) "
        "(model_f0_mean 170) (model_f0_std 34)))",
    ]
    options = [part for expression in expressions for part in ("-eval", expression)]
    return [*options, "-o", file], text
