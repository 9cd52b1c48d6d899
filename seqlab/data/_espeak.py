"""libespeak-ng from the wheel ``espeakng-loader``, driven through ctypes.

The library keeps its state in globals: use it in a process of its own that ends with it.
"""

from __future__ import annotations

import ctypes
import os
import tempfile
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import numpy.typing as npt

from seqlab.errors import DataError, MissingDependencyError

_SYNCHRONOUS, _DONT_EXIT = 2, 0x8000
_UTF8, _MARKUP, _PHONEMES = 1, 0x10, 0x100
_PARAMETERS = {"rate": 1, "volume": 2, "pitch": 3, "pitch_range": 4}
_CHARACTER_POSITION = 1
_LONGEST_PATH = 140  # the library keeps 160 bytes for the path of its data, its own parts included

Samples = npt.NDArray[np.int16]
_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


class Espeak:
    """One synthesiser. Same seed and same calls in the same order: the same samples.

    Args:
        seed: of the noise in voices, 0 to 2**31 - 1.

    Raises:
        MissingDependencyError: the wheel is not installed.
        DataError: the library cannot be started.
    """

    def __init__(self, seed: int) -> None:
        loader = import_loader()
        self._library = ctypes.CDLL(loader.get_library_path())
        self._declare()
        self._data = Path(loader.get_data_path())
        self._link = tempfile.TemporaryDirectory(prefix="espeak")
        self.sample_rate = int(
            self._library.espeak_Initialize(_SYNCHRONOUS, 0, self._data_path(), _DONT_EXIT)
        )
        if self.sample_rate <= 0:
            raise DataError(
                f"espeak-ng cannot start (error {self.sample_rate}, data in {self._data}); "
                "install espeakng-loader anew"
            )
        self._parts: list[Samples] = []
        self._callback = _Callback(self._receive)  # the library does not keep it alive
        self._library.espeak_SetSynthCallback(self._callback)
        self._library.espeak_ng_SetRandSeed(seed)

    def _declare(self) -> None:
        library = self._library
        library.espeak_Initialize.argtypes = [
            ctypes.c_int,
            ctypes.c_int,
            ctypes.c_char_p,
            ctypes.c_int,
        ]
        library.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]
        library.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
        library.espeak_SetParameter.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int]
        library.espeak_SetSynthCallback.argtypes = [_Callback]
        library.espeak_Info.argtypes = [ctypes.c_void_p]
        library.espeak_Info.restype = ctypes.c_char_p
        library.espeak_Synth.argtypes = [
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.c_uint,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.c_uint,
            ctypes.c_void_p,
            ctypes.c_void_p,
        ]

    def _data_path(self) -> bytes:
        path = os.fsencode(self._data)
        if len(path) <= _LONGEST_PATH:
            return path
        link = Path(self._link.name) / "data"
        link.symlink_to(self._data, target_is_directory=True)
        return os.fsencode(link)

    def _receive(self, samples: object, count: int, _events: object) -> int:
        if samples and count > 0:
            self._parts.append(np.ctypeslib.as_array(samples, shape=(count,)).copy())
        return 0

    @property
    def version(self) -> str:
        """Of the library, such as ``1.52.0``."""
        return str(self._library.espeak_Info(None).decode())

    def say(
        self,
        text: str,
        voice: str,
        *,
        rate: int = 175,
        pitch: int = 50,
        pitch_range: int = 50,
        stressed: int | None = None,
    ) -> Samples:
        """Samples (N,) of ``text``, int16 at ``sample_rate``.

        Args:
            text: what to say; espeak's names of phonemes in double square brackets are said too.
            voice: a language, or language+variant, such as ``en-us+f3``.
            rate: words a minute, 80 to 450.
            pitch: 0 to 99.
            pitch_range: 0 (monotonous) to 99.
            stressed: number of the word, from 0, that is emphasised.

        Raises:
            DataError: unknown voice, or nothing was said.
        """
        self._choose(voice)
        settings = {"rate": rate, "volume": 100, "pitch": pitch}
        settings["pitch_range"] = pitch_range
        for name, value in settings.items():
            self._library.espeak_SetParameter(_PARAMETERS[name], value, 0)
        self._parts.clear()
        marked, flags = _marked(text, stressed)
        data = marked.encode() + b"\0"
        result = self._library.espeak_Synth(
            data, len(data), 0, _CHARACTER_POSITION, 0, flags, None, None
        )
        self._library.espeak_Synchronize()
        if result != 0 or not self._parts:
            raise DataError(
                f"espeak-ng says nothing for {text!r} with voice {voice} (error {result}); "
                "choose another text"
            )
        return np.concatenate(self._parts)

    def _choose(self, voice: str) -> None:
        _, _, variant = voice.partition("+")
        known = not variant or (self._data / "voices" / "!v" / variant).is_file()
        if not known or self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise DataError(f"voice {voice!r} is not known to espeak-ng; such as en-us or en+f3")


def _marked(text: str, stressed: int | None) -> tuple[str, int]:
    """The text as the library takes it, and flags that say how."""
    flags = _UTF8 | (_PHONEMES if "[[" in text else 0)
    if stressed is None:
        return text, flags
    words = [escape(word) for word in text.split()]
    if "[[" in words[stressed]:  # phonemes are read as letters within a mark
        return text, flags
    words[stressed] = f'<emphasis level="strong">{words[stressed]}</emphasis>'
    return " ".join(words), flags | _MARKUP


def import_loader() -> Any:
    """The module ``espeakng_loader``.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import espeakng_loader
    except ImportError:
        raise MissingDependencyError(
            "synthetic speech needs espeakng-loader, which is not installed; "
            'run: pip install "seqlab[synth]"'
        ) from None
    return espeakng_loader
