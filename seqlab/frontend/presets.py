"""The settings of known toolkits, in one table: every constant of a preset stands here."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from seqlab.errors import SeqlabError
from seqlab.frontend.validation import did_you_mean

_EPSILON = 1.1920928955078125e-07

_FRAMES: dict[str, dict[str, Any]] = {
    "kaldi": {
        "sample_rate": 16000,
        "win_length": None,  # 25 ms
        "hop_length": None,  # 10 ms
        "n_fft": None,  # next power of two
        "window": "povey",
        "periodic": False,
        "edges": "snip",
        "scale": 32768.0,
        "remove_dc": True,
        "preemphasis": 0.97,
        "power": 2.0,
        "compression": "log",
        "floor": _EPSILON,
    },
}
_BANDS: dict[str, dict[str, Any]] = {
    "kaldi": {
        "f_min": 20.0,
        "f_max": None,
        "mel_scale": "htk",
        "mel_norm": None,
        "mel_triangles": "mel",
    },
}
PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "LogMel": {"kaldi": {**_FRAMES["kaldi"], **_BANDS["kaldi"], "n_mels": 80}},
}


def settings(frontend: type, name: str, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Constructor arguments of preset ``name`` for a front end class, with ``overrides``.

    Raises:
        SeqlabError: no such preset for this front end, or an override it does not take.
    """
    kind = next((base.__name__ for base in frontend.__mro__ if base.__name__ in PRESETS), "")
    table = PRESETS.get(kind, {})
    if name not in table:
        raise SeqlabError(
            f"preset {name!r} must be one of {', '.join(map(repr, table))} for "
            f"{frontend.__name__}{did_you_mean(name, table)}"
        )
    arguments = [a for a in inspect.signature(frontend).parameters if a != "self"]
    for key in overrides:
        if key not in arguments:
            raise SeqlabError(
                f"{key!r} must be an argument of {frontend.__name__}"
                f"{did_you_mean(key, arguments)}; it takes {', '.join(arguments)}"
            )
    return {**table[name], **overrides}
