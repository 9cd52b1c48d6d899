"""The toolkits that presets are named after, called with the settings that a preset restates."""

from __future__ import annotations

from collections.abc import Callable

import kaldi_native_fbank as knf
import librosa
import numpy as np
import torch
import torchaudio
from torchaudio.compliance import kaldi

Array = np.ndarray


def knf_features(kind: str, x: Array, rate: int = 16000, **settings: object) -> Array:
    """Features (T, F) of kaldi-native-fbank without dither.

    Args:
        kind: "LogMel", of 80 bands, or "MFCC".
        x: waveform in [-1, 1].
        rate: Hz.
        settings: options by name; a double underscore leads into ``frame_opts`` or ``mel_opts``.
    """
    options = knf.FbankOptions() if kind == "LogMel" else knf.MfccOptions()
    options.frame_opts.dither = 0
    options.frame_opts.samp_freq = rate
    options.mel_opts.num_bins = 80 if kind == "LogMel" else 23
    for name, value in settings.items():
        target: object = options
        *path, last = name.split("__")
        for part in path:
            target = getattr(target, part)
        setattr(target, last, value)
    computer = (knf.OnlineFbank if kind == "LogMel" else knf.OnlineMfcc)(options)
    computer.accept_waveform(rate, (x * 32768).tolist())
    computer.input_finished()
    frames = [computer.get_frame(t) for t in range(computer.num_frames_ready)]
    return np.array(frames).reshape(len(frames), -1)


def compliance(kind: str, x: Array, **options: object) -> Array:
    """Features (T, F) of torchaudio.compliance.kaldi without dither, as Kaldi's defaults are."""
    function = {"LogMel": kaldi.fbank, "MFCC": kaldi.mfcc, "Spectrogram": kaldi.spectrogram}[kind]
    own = {"LogMel": {"num_mel_bins": 80}, "MFCC": {"use_energy": True}, "Spectrogram": {}}[kind]
    waveform = torch.from_numpy(x).unsqueeze(0) * 32768
    settings = {"dither": 0.0, "energy_floor": 0.0, **own, **options}
    return function(waveform, **settings).numpy()


KNF_HTK = {
    "frame_opts__remove_dc_offset": False,
    "frame_opts__window_type": "hamming",
    "mel_opts__num_bins": 26,
    "mel_opts__low_freq": 0,
    "mel_opts__htk_mode": True,
    "htk_compat": True,
}
HTK = {
    "window_type": "hamming",
    "low_freq": 0.0,
    "remove_dc_offset": False,
    "htk_compat": True,
    "num_mel_bins": 26,
    "use_energy": False,
}


def librosa_db(power: Array, top_db: float | None) -> Array:
    return librosa.power_to_db(power, top_db=top_db).T


def transform_db(power: torch.Tensor, top_db: float | None) -> Array:
    return torchaudio.transforms.AmplitudeToDB("power", top_db)(power).numpy().T


LIBROSA_MEL = {"n_fft": 2048, "hop_length": 512, "n_mels": 128}
TORCH_MEL = {"n_fft": 400, "hop_length": 200, "n_mels": 128}
SLANEY = {"norm": "slaney", "mel_scale": "slaney", "pad_mode": "constant"}
HTK_MEL = {"norm": None, "htk": True, "pad_mode": "reflect", "sr": 16000}


def in_double(peer: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """The peer computing in double precision: what it means, rather than what it rounds to."""

    def compute(x: Array) -> Array:
        torch.set_default_dtype(torch.float64)
        try:
            return peer(x.astype(np.float64))
        finally:
            torch.set_default_dtype(torch.float32)

    return compute


def torch_mel(x: Array, rate: int, **options: object) -> torch.Tensor:
    """Mel power of torchaudio.transforms."""
    return torchaudio.transforms.MelSpectrogram(rate, **options)(torch.from_numpy(x))


def torch_power(x: Array, n_fft: int, hop_length: int, **options: object) -> torch.Tensor:
    """Power of torchaudio.transforms."""
    transform = torchaudio.transforms.Spectrogram(n_fft, hop_length=hop_length, **options)
    return transform(torch.from_numpy(x))


def librosa_power(x: Array, n_fft: int, hop_length: int, **options: object) -> Array:
    """Power of librosa's short-time Fourier transform."""
    return np.abs(librosa.stft(x, n_fft=n_fft, hop_length=hop_length, **options)) ** 2


def librosa_mfcc(x: Array, n_mfcc: int, rate: int, **mel: object) -> Array:
    """Cepstra of librosa, of a mel spectrogram made with settings ``mel``."""
    power = librosa.feature.melspectrogram(y=x, **{"sr": rate, **mel})
    return librosa.feature.mfcc(S=librosa.power_to_db(power), n_mfcc=n_mfcc).T


def torch_mfcc(x: Array, n_mfcc: int, rate: int, **mel: object) -> Array:
    """Cepstra of torchaudio.transforms."""
    transform = torchaudio.transforms.MFCC(rate, n_mfcc, melkwargs=mel)
    return transform(torch.from_numpy(x)).numpy().T


def whisper(power: Array) -> Array:
    """Whisper's formula on a mel spectrogram (F, T + 1), its last frame still there."""
    logs = np.log10(np.maximum(power[:, :-1], np.float32(1e-10)))
    return ((np.maximum(logs, logs.max() - 8) + 4) / 4).T


def whisper_torch(x: Array, n_mels: int = 80) -> Array:
    """Whisper's features by torch."""
    window = torch.hann_window(400)
    transform = torch.stft(torch.from_numpy(x), 400, 160, window=window, return_complex=True)
    bank = torch.from_numpy(librosa.filters.mel(sr=16000, n_fft=400, n_mels=n_mels, dtype=x.dtype))
    return whisper((bank @ transform.abs() ** 2).numpy())


def whisper_librosa(x: Array, n_mels: int = 80) -> Array:
    """Whisper's features by librosa."""
    options = {"n_fft": 400, "hop_length": 160, "n_mels": n_mels, "pad_mode": "reflect"}
    return whisper(librosa.feature.melspectrogram(y=x, sr=16000, **options))
