"""The toolkits that presets are named after, called with the settings that a preset restates."""

from __future__ import annotations

from collections.abc import Callable

import kaldi_native_fbank as knf
import librosa
import numpy as np
import torch
import torchaudio

Array = np.ndarray


def knf_fbank(x: Array, *, htk: bool = False) -> Array:
    options = knf.FbankOptions()
    options.mel_opts.num_bins = 26 if htk else 80
    if htk:
        options.use_power = False
        options.frame_opts.remove_dc_offset = False
        options.htk_compat = True
    return _knf(knf.OnlineFbank, options, x, htk)


def knf_mfcc(x: Array, *, htk: bool = False) -> Array:
    options = knf.MfccOptions()
    if htk:
        options.mel_opts.num_bins = 26
        options.use_energy = False
        options.frame_opts.remove_dc_offset = False
        options.htk_compat = True
    return _knf(knf.OnlineMfcc, options, x, htk)


def _knf(online: Callable[..., object], options: object, x: Array, htk: bool) -> Array:
    options.frame_opts.dither = 0
    if htk:
        options.frame_opts.window_type = "hamming"
        options.mel_opts.low_freq = 0
        options.mel_opts.htk_mode = True
    computer = online(options)
    computer.accept_waveform(16000, (x * 32768).tolist())
    computer.input_finished()
    return np.stack([computer.get_frame(t) for t in range(computer.num_frames_ready)])


def compliance(function: Callable[..., torch.Tensor], x: Array, **options: object) -> Array:
    waveform = torch.from_numpy(x).unsqueeze(0) * 32768
    return function(waveform, dither=0.0, energy_floor=0.0, **options).numpy()


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


def torch_mel(x: Array, rate: int, **options: object) -> torch.Tensor:
    return torchaudio.transforms.MelSpectrogram(rate, **options)(torch.from_numpy(x))


def torch_power(x: Array, n_fft: int, hop_length: int, **options: object) -> torch.Tensor:
    transform = torchaudio.transforms.Spectrogram(n_fft, hop_length=hop_length, **options)
    return transform(torch.from_numpy(x))


def librosa_power(x: Array, n_fft: int, hop_length: int, **options: object) -> Array:
    return np.abs(librosa.stft(x, n_fft=n_fft, hop_length=hop_length, **options)) ** 2


def librosa_mfcc(x: Array, n_mfcc: int, rate: int, **mel: object) -> Array:
    power = librosa.feature.melspectrogram(y=x, **{"sr": rate, **mel})
    return librosa.feature.mfcc(S=librosa.power_to_db(power), n_mfcc=n_mfcc).T


def torch_mfcc(x: Array, n_mfcc: int, rate: int, **mel: object) -> Array:
    transform = torchaudio.transforms.MFCC(rate, n_mfcc, melkwargs=mel)
    return transform(torch.from_numpy(x)).numpy().T


def whisper(power: Array) -> Array:
    """Whisper's formula on a mel spectrogram (80, T + 1), its last frame still there."""
    logs = np.log10(np.maximum(power[:, :-1], np.float32(1e-10)))
    return ((np.maximum(logs, logs.max() - 8) + 4) / 4).T


def whisper_torch(x: Array) -> Array:
    window = torch.hann_window(400)
    transform = torch.stft(torch.from_numpy(x), 400, 160, window=window, return_complex=True)
    bank = librosa.filters.mel(sr=16000, n_fft=400, n_mels=80)
    return whisper((torch.from_numpy(bank) @ transform.abs() ** 2).numpy())


def whisper_librosa(x: Array) -> Array:
    options = {"n_fft": 400, "hop_length": 160, "n_mels": 80, "pad_mode": "reflect"}
    return whisper(librosa.feature.melspectrogram(y=x, sr=16000, **options))
