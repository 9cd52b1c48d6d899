"""The settings of known toolkits: every constant of a preset stands in this file.

What each preset reproduces, for a waveform in [-1, 1]:

- kaldi: compute-fbank-feats (80 bands), compute-mfcc-feats, compute-plp-feats and
  compute-spectrogram-feats with ``--dither=0``, on the int16 samples that Kaldi reads from a
  file. Whoever feeds kaldi-native-fbank or torchaudio.compliance.kaldi the waveform in [-1, 1]
  takes ``scale=1``.
- htk: HCopy with the configuration of The HTK Book's tutorial (section 3.1.5), targets FBANK and
  MFCC_0, with 26 bands of the magnitude spectrum, and target PLP_0 with those of the power
  spectrum (USEPOWER = T). ENORMALISE is left out.
- librosa: power_to_db of feature.melspectrogram or of the power of stft, and feature.mfcc, with
  librosa's default arguments at librosa's default rate of 22050 Hz.
- torchaudio: transforms.MelSpectrogram or Spectrogram followed by AmplitudeToDB, and
  transforms.MFCC, with default arguments. Its 128 bands are too many for 400 points, so some of
  them are empty, which warns here as it does there.
- whisper: log_mel_spectrogram of OpenAI's Whisper; ``n_mels=128`` for large-v3. Its models expect
  3000 frames, so pad the waveform with zeros to 480000 samples first if that is where the
  features go; padding changes the frames that read it, and the clamp only if all is silent.

Where they have options under other names:

- Kaldi: ``snip_edges=false`` is ``edges="mirror"``, ``round_to_power_of_two=false`` is
  ``n_fft=win_length``, ``htk_compat`` is ``energy_position`` or ``c0_position`` of "last", with
  ``dct_norm="htk"`` for cepstra without energy, ``htk_mode`` is ``mel_triangles="htk"``,
  ``use_power=false`` is ``power=1``, window "hanning" is "hann".
- librosa, torchaudio: ``pad_mode`` of "constant", "reflect", "edge" or "replicate" is ``edges`` of
  "zero", "reflect", "edge"; ``center=False`` is "snip". There the frames have n_fft samples, so
  with a shorter ``win_length`` drop the first (n_fft - win_length) // 2 samples to have the same
  frames. ``top_db`` is ``dynamic_range``, always of one utterance; ``ref=np.max`` is the
  normalizer ``PeakReference``.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from seqlab.checks import check_choice, did_you_mean
from seqlab.errors import SeqlabError
from seqlab.frontend.spectrum import EPSILON

Settings = dict[str, Any]

_INT16 = 32768.0

_FRAMES: dict[str, Settings] = {
    "kaldi": {
        "sample_rate": 16000,
        "win_length": None,  # 25 ms
        "hop_length": None,  # 10 ms
        "n_fft": None,  # the next power of two
        "window": "povey",
        "periodic": False,
        "edges": "snip",
        "drop_last": False,
        "scale": _INT16,
        "remove_dc": True,
        "preemphasis": 0.97,
        "power": 2.0,
        "compression": "log",
        "floor": EPSILON,
        "dynamic_range": None,
        "delta_method": "kaldi",
    },
    "htk": {
        "sample_rate": 16000,
        "win_length": None,  # WINDOWSIZE = 250000.0
        "hop_length": None,  # TARGETRATE = 100000.0
        "n_fft": None,
        "window": "hamming",  # USEHAMMING = T
        "periodic": False,
        "edges": "snip",
        "drop_last": False,
        "scale": _INT16,
        "remove_dc": False,  # ZMEANSOURCE = F
        "preemphasis": 0.97,  # PREEMCOEF = 0.97
        "power": 1.0,  # USEPOWER = F
        "compression": "log",
        "floor": 1.0,
        "dynamic_range": None,
        "delta_method": "htk",
    },
    "librosa": {
        "sample_rate": 22050,
        "win_length": 2048,
        "hop_length": 512,
        "n_fft": 2048,
        "window": "hann",
        "periodic": True,
        "edges": "zero",
        "drop_last": False,
        "scale": 1.0,
        "remove_dc": False,
        "preemphasis": 0.0,
        "power": 2.0,
        "compression": "db",
        "floor": 1e-10,  # amin
        "dynamic_range": 80.0,  # top_db
        "delta_method": "htk",
    },
    "torchaudio": {
        "sample_rate": 16000,
        "win_length": 400,
        "hop_length": 200,
        "n_fft": 400,
        "window": "hann",
        "periodic": True,
        "edges": "reflect",
        "drop_last": False,
        "scale": 1.0,
        "remove_dc": False,
        "preemphasis": 0.0,
        "power": 2.0,
        "compression": "db",
        "floor": 1e-10,
        "dynamic_range": None,
        "delta_method": "htk",
    },
    "whisper": {
        "sample_rate": 16000,
        "win_length": 400,
        "hop_length": 160,
        "n_fft": 400,
        "window": "hann",
        "periodic": True,
        "edges": "reflect",
        "drop_last": True,
        "scale": 1.0,
        "remove_dc": False,
        "preemphasis": 0.0,
        "power": 2.0,
        "compression": "whisper",
        "floor": 1e-10,
        "dynamic_range": 2.0,  # 8 powers of ten, and the compression divides by 4
        "delta_method": "htk",
    },
}

_KALDI_MEL: Settings = {
    "f_min": 20.0,
    "f_max": None,
    "mel_scale": "htk",
    "mel_norm": None,
    "mel_triangles": "mel",
}
_HTK_MEL: Settings = {**_KALDI_MEL, "f_min": 0.0, "mel_triangles": "htk"}
_TORCHAUDIO_MEL: Settings = {**_KALDI_MEL, "f_min": 0.0, "mel_triangles": "hz"}
_SLANEY_MEL: Settings = {
    "f_min": 0.0,
    "f_max": None,
    "mel_scale": "slaney",
    "mel_norm": "slaney",
    "mel_triangles": "hz",
}
_PLP: Settings = {
    "compression": "none",
    "n_plp": 13,
    "lpc_order": 12,
    "lifter": 22.0,
    "cepstral_scale": 1.0,
}

PRESETS: dict[str, dict[str, Settings]] = {
    "Spectrogram": {
        "kaldi": {**_FRAMES["kaldi"], "energy": "raw"},
        "librosa": {**_FRAMES["librosa"], "energy": "none"},
        "torchaudio": {**_FRAMES["torchaudio"], "energy": "none"},
    },
    "LogMel": {
        "kaldi": {**_FRAMES["kaldi"], **_KALDI_MEL, "n_mels": 80, "energy": "none"},
        "htk": {
            **_FRAMES["htk"],
            **_HTK_MEL,
            "n_mels": 26,
            "energy": "none",
            "energy_position": "last",
        },
        "librosa": {**_FRAMES["librosa"], **_SLANEY_MEL, "n_mels": 128, "energy": "none"},
        "torchaudio": {**_FRAMES["torchaudio"], **_TORCHAUDIO_MEL, "n_mels": 128, "energy": "none"},
        "whisper": {**_FRAMES["whisper"], **_SLANEY_MEL, "n_mels": 80, "energy": "none"},
    },
    "MFCC": {
        "kaldi": {
            **_FRAMES["kaldi"],
            **_KALDI_MEL,
            "n_mels": 23,
            "n_mfcc": 13,
            "lifter": 22.0,
            "dct_norm": "ortho",
            "energy": "raw",
            "c0_position": "first",
        },
        "htk": {
            **_FRAMES["htk"],
            **_HTK_MEL,
            "n_mels": 26,
            "n_mfcc": 13,  # NUMCEPS = 12, and c0
            "lifter": 22.0,
            "dct_norm": "htk",
            "energy": "none",
            "c0_position": "last",
        },
        "librosa": {
            **_FRAMES["librosa"],
            **_SLANEY_MEL,
            "n_mels": 128,
            "n_mfcc": 20,
            "lifter": 0.0,
            "dct_norm": "ortho",
            "energy": "none",
            "c0_position": "first",
        },
        "torchaudio": {
            **_FRAMES["torchaudio"],
            **_TORCHAUDIO_MEL,
            "n_mels": 128,
            "n_mfcc": 40,
            "dynamic_range": 80.0,
            "lifter": 0.0,
            "dct_norm": "ortho",
            "energy": "none",
            "c0_position": "first",
        },
    },
    "PLP": {
        "kaldi": {
            **_FRAMES["kaldi"],
            **_KALDI_MEL,
            **_PLP,
            "n_mels": 23,
            "compress_factor": 0.33333,
            "energy": "raw",
            "c0_position": "first",
        },
        "htk": {
            **_FRAMES["htk"],
            **_HTK_MEL,
            **_PLP,
            "n_mels": 26,
            "power": 2.0,  # USEPOWER = T
            "compress_factor": 0.33,  # COMPRESSFACT, its default
            "energy": "none",
            "c0_position": "last",
        },
    },
}


def settings(frontend: type, name: str, overrides: Mapping[str, Any]) -> Settings:
    """Constructor arguments of a preset for a front end class.

    Args:
        frontend: ``Spectrogram``, ``LogMel``, ``MFCC``, ``PLP`` or a subclass of one of them.
        name: name of the preset.
        overrides: arguments that replace the preset's.

    Raises:
        SeqlabError: no such preset for this front end, or an override it does not take.
    """
    kind = next((base.__name__ for base in frontend.__mro__ if base.__name__ in PRESETS), "")
    table = PRESETS.get(kind, {})
    check_choice(f"{frontend.__name__} preset", name, table)
    arguments = list(inspect.signature(frontend).parameters)
    for key in overrides:
        if key not in arguments:
            raise SeqlabError(
                f"{key!r} must be an argument of {frontend.__name__}{did_you_mean(key, arguments)}"
            )
    return {**table[name], **overrides}
