"""Matrices, windows and normalisers against the peers that compute the same."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import librosa
import numpy as np
import scipy.fft
import scipy.signal
import torch
import torchaudio
from torchaudio.compliance import kaldi

from seqlab.frontend.cepstrum import add_deltas, dct_matrix
from seqlab.frontend.mel import mel_matrix
from seqlab.frontend.normalize import PeakReference
from seqlab.frontend.pcen import PCEN
from seqlab.frontend.sliding_cmvn import SlidingCMVN
from seqlab.frontend.vtln import Warp
from seqlab.frontend.window import make_window

Array = np.ndarray
SIZES = [  # sample rate, points, bands, Hz from, Hz to
    (16000, 512, 80, 0.0, None),
    (16000, 400, 80, 0.0, None),
    (16000, 512, 40, 20.0, 7600.0),
    (22050, 2048, 128, 0.0, None),
    (8000, 256, 23, 20.0, 3800.0),
    (44100, 4096, 229, 30.0, 16000.0),
]
FRAMES = 700


@dataclass(frozen=True)
class Piece:
    """Something of ours, the same of a peer, and the bound of their largest difference."""

    name: str
    peer: str
    ours: Callable[[], Array | torch.Tensor]
    theirs: Callable[[], Array | torch.Tensor]
    bound: float

    def error(self) -> float:
        """Largest absolute difference."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of empty bands
            ours, theirs = (np.asarray(make(), np.float64) for make in (self.ours, self.theirs))
        return float(np.abs(ours - theirs).max()) if ours.shape == theirs.shape else np.inf


def _mel_matrices() -> Iterator[Piece]:
    norms = (None, "slaney", 1, 2.0, np.inf)
    for (rate, n_fft, n_mels, low, high), scale, norm in itertools.product(
        SIZES, ("htk", "slaney"), norms
    ):
        ours = partial(
            mel_matrix, rate, n_fft, n_mels, f_min=low, f_max=high, scale=scale, norm=norm
        )
        theirs = partial(
            librosa.filters.mel, sr=rate, n_fft=n_fft, n_mels=n_mels, fmin=low, fmax=high
        )
        theirs = partial(theirs, htk=scale == "htk", norm=norm, dtype=np.float64)
        name = f"mel matrix {rate} Hz {n_fft} points {n_mels} {scale} norm={norm}"
        yield Piece(
            name, "librosa", partial(_transposed, partial(ours, triangles="hz")), theirs, 1e-12
        )


def _transposed(make: Callable[[], torch.Tensor]) -> torch.Tensor:
    return make().T


def _kaldi_banks(warp: float) -> Piece:
    def ours() -> torch.Tensor:
        return mel_matrix(16000, 512, 40, f_min=20.0, warp=Warp(warp))[:-1].T

    def theirs() -> torch.Tensor:
        return kaldi.get_mel_banks(40, 512, 16000.0, 20.0, 0.0, 100.0, -500.0, warp)[0]

    return Piece(f"mel matrix vtln_warp={warp}", "compliance", ours, theirs, 2e-4)


def _windows() -> Iterator[Piece]:
    for name, periodic in itertools.product(("hann", "hamming", "blackman"), (False, True)):
        yield Piece(
            f"window {name} periodic={periodic}",
            "scipy",
            partial(make_window, name, 400, periodic=periodic),
            partial(scipy.signal.get_window, name, 400, fftbins=periodic),
            1e-15,
        )


def features(width: int = 13) -> torch.Tensor:
    """Features (1, T, width) that look like log-mel energies."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(1, FRAMES, width, generator=generator) * 4 + 10


def _sliding() -> Iterator[Piece]:
    lengths = torch.tensor([FRAMES])
    for window, center, variance in itertools.product((600, 50), (False, True), (False, True)):
        settings = {"center": center, "variance": variance}
        normalizer = SlidingCMVN(window, min(window, 100), **settings)
        yield Piece(
            f"sliding CMVN window={window} center={center} variance={variance}",
            "torchaudio",
            lambda n=normalizer: n(features(), lengths)[0],
            partial(
                torchaudio.functional.sliding_window_cmn,
                features()[0].double(),
                window,
                min(window, 100),
                center,
                variance,
            ),
            2e-6,
        )


def _pcen(bias: float, power: float) -> Piece:
    energies = features(40).exp() * 1e-5
    options = {"b": 0.025, "gain": 0.98, "bias": bias, "power": power, "eps": 1e-6}
    return Piece(
        f"PCEN bias={bias} power={power}",
        "librosa",
        lambda: PCEN(bias=bias, power=power, start=1.0)(energies, torch.tensor([FRAMES]))[0],
        lambda: librosa.pcen(energies[0].double().numpy().T, **options).T,
        1e-4,
    )


def _deltas() -> torch.Tensor:
    once = torchaudio.functional.compute_deltas(features().double().mT, win_length=5)
    twice = torchaudio.functional.compute_deltas(once, win_length=5)
    return torch.cat([features().double(), once.mT, twice.mT], 2)


def _peak() -> torch.Tensor:
    decibels = 10 * features().abs().log10()
    return PeakReference()(decibels, torch.tensor([FRAMES]))[0]


PIECES = [
    *_mel_matrices(),
    Piece(
        "mel matrix in float32",
        "torchaudio",
        lambda: mel_matrix(16000, 512, 40, triangles="hz"),
        partial(torchaudio.functional.melscale_fbanks, 257, 0.0, 8000.0, 40, 16000),
        1e-4,
    ),
    *(_kaldi_banks(warp) for warp in (1.0, 0.8, 1.25)),
    *_windows(),
    Piece(
        "cosine transform",
        "scipy",
        lambda: features()[0].double() @ dct_matrix(13, 13),
        lambda: scipy.fft.dct(features()[0].double().numpy(), norm="ortho"),
        1e-12,
    ),
    Piece(
        "HTK deltas",
        "torchaudio",
        lambda: add_deltas(features().double(), torch.tensor([FRAMES]), method="htk"),
        _deltas,
        1e-12,
    ),
    *_sliding(),
    *(_pcen(bias, power) for bias, power in ((2.0, 0.5), (10.0, 0.25), (0.0, 0.5))),
    Piece(
        "relative to the peak (ref=np.max)",
        "librosa",
        _peak,
        lambda: librosa.power_to_db(
            features()[0].abs().numpy(), ref=np.max, amin=1e-10, top_db=None
        ),
        1e-5,
    ),
]
