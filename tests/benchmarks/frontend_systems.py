"""Log-mel and MFCC of every system that the front end is compared with, at like settings.

All take frames of 25 ms every 10 ms at 16 kHz, 512 points; 80 bands, or 13 cepstra of 23. Where a
system computes a batch by itself and is faster so, that is what is measured.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import kaldi_native_fbank
import numpy as np
import torch
from torch import Tensor

import seqlab

SAMPLE_RATE = 16000
OURS = "seqlab"
System = Callable[[Tensor], object]  # waveforms (B, N), or (N,)


def _each(function: Callable[[Tensor], object]) -> System:
    """One recording after the other."""

    def run(waveform: Tensor) -> object:
        return [function(item) for item in torch.atleast_2d(waveform)]

    return run


def _ours(kind: str) -> System:
    frontend = seqlab.LogMel() if kind == "log-mel 80" else seqlab.MFCC()

    def run(waveform: Tensor) -> object:
        if waveform.dim() == 1:
            return frontend.extract(waveform, SAMPLE_RATE)
        return frontend(waveform, torch.full((len(waveform),), waveform.shape[1]))

    return run


def _kaldi_native_fbank(kind: str) -> System:
    mel = kind == "log-mel 80"
    options = kaldi_native_fbank.FbankOptions() if mel else kaldi_native_fbank.MfccOptions()
    options.frame_opts.dither = 0
    options.mel_opts.num_bins = 80 if mel else 23
    kaldi = kaldi_native_fbank.OnlineFbank if mel else kaldi_native_fbank.OnlineMfcc

    def one(waveform: Tensor) -> object:
        online = kaldi(options)
        online.accept_waveform(SAMPLE_RATE, waveform.numpy())
        online.input_finished()
        return np.stack([online.get_frame(i) for i in range(online.num_frames_ready)])

    return _each(one)


def _torchaudio_compliance(kind: str) -> System:
    from torchaudio.compliance import kaldi

    def one(waveform: Tensor) -> object:
        if kind == "log-mel 80":
            return kaldi.fbank(waveform[None], num_mel_bins=80)
        return kaldi.mfcc(waveform[None], num_mel_bins=23, num_ceps=13, use_energy=True)

    return _each(one)


def _torchaudio_transforms(kind: str) -> System:
    from torchaudio import transforms

    settings = {"n_fft": 512, "win_length": 400, "hop_length": 160}
    if kind == "log-mel 80":
        mel = transforms.MelSpectrogram(SAMPLE_RATE, n_mels=80, **settings)
        return _each(lambda waveform: mel(waveform).clamp_min(1e-10).log())
    mfcc = transforms.MFCC(SAMPLE_RATE, n_mfcc=13, melkwargs={"n_mels": 23, **settings})
    return _each(mfcc)


def _librosa(kind: str) -> System:
    import librosa

    settings = {"sr": SAMPLE_RATE, "n_fft": 512, "win_length": 400, "hop_length": 160}

    def one(waveform: Tensor) -> object:
        samples = waveform.numpy()
        if kind == "log-mel 80":
            mel = librosa.feature.melspectrogram(y=samples, n_mels=80, **settings)
            return np.log(np.maximum(mel, 1e-10))
        return librosa.feature.mfcc(y=samples, n_mfcc=13, n_mels=23, **settings)

    return _each(one)


def _lhotse(kind: str) -> System:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import lhotse
    if kind == "log-mel 80":
        extractor = lhotse.Fbank(lhotse.FbankConfig(num_filters=80))
    else:
        extractor = lhotse.Mfcc(lhotse.MfccConfig(num_ceps=13, num_filters=23))
    return _each(lambda waveform: extractor.extract(waveform[None], SAMPLE_RATE))


_BUILDERS = {
    OURS: _ours,
    "kaldi-native-fbank": _kaldi_native_fbank,
    "torchaudio.compliance": _torchaudio_compliance,
    "torchaudio.transforms": _torchaudio_transforms,
    "librosa": _librosa,
    "lhotse": _lhotse,
}
KINDS = ("log-mel 80", "MFCC 13")
NAMES = tuple(_BUILDERS)
DIFFERENTIABLE = (OURS, "torchaudio.compliance", "torchaudio.transforms")


def build(name: str, kind: str) -> System:
    """The system of a name, for one of ``KINDS``."""
    return _BUILDERS[name](kind)


def differentiable(name: str, kind: str) -> Callable[[Tensor], Tensor]:
    """As ``build``, from waveforms (B, N) to features that carry a gradient."""
    system = build(name, kind)

    def run(waveform: Tensor) -> Tensor:
        result = system(waveform)
        return result[0] if isinstance(result, tuple) else torch.stack(result)  # type: ignore

    return run
