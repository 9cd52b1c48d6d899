"""seqlab: from waveform to text. Speech features, encoders, CTC, keyword spotting, recipes.

Importing this package is cheap: the public names below load their module when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_PUBLIC = {
    "LogMel": "seqlab.frontend.logmel",
    "MFCC": "seqlab.frontend.mfcc",
    "NGramModel": "seqlab.lm.ngram.model",
    "PLP": "seqlab.frontend.plp",
    "SeqlabError": "seqlab.errors",
    "Spectrogram": "seqlab.frontend.spectrogram",
    "SpeechModel": "seqlab.model",
    "load_audio": "seqlab.audio",
    "save_audio": "seqlab.audio",
}

__all__ = [  # noqa: RUF022 - written out so that type checkers can read it
    "LogMel",
    "MFCC",
    "NGramModel",
    "PLP",
    "SeqlabError",
    "Spectrogram",
    "SpeechModel",
    "load_audio",
    "save_audio",
]

if TYPE_CHECKING:
    from seqlab.audio import load_audio, save_audio
    from seqlab.errors import SeqlabError
    from seqlab.frontend.logmel import LogMel
    from seqlab.frontend.mfcc import MFCC
    from seqlab.frontend.plp import PLP
    from seqlab.frontend.spectrogram import Spectrogram
    from seqlab.lm.ngram.model import NGramModel
    from seqlab.model import SpeechModel


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'seqlab' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
