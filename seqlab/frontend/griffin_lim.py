"""From the magnitude of a spectrum back to a waveform, after Griffin and Lim."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from seqlab.checks import check_at_least, check_range
from seqlab.errors import SeqlabError
from seqlab.frontend.base import FramedFrontend
from seqlab.frontend.framing import FrameLayout, cut_frames, source_index

_LEAST_COVER = 1e-2  # of the largest sum of squared windows; less would amplify rounding errors
_AUDIBLE, _SILENT = 1e-6, 1e-30  # least magnitude, of the largest and in any case
_FORGOTTEN = 1e-12  # of an impulse: what is left of it then is no longer followed


@torch.no_grad()
def waveform_from_spectrum(
    frontend: FramedFrontend,
    magnitude: Tensor,
    *,
    iterations: int = 32,
    momentum: float = 0.9,
    seed: int = 0,
    length: int | None = None,
) -> Tensor:
    """Waveform whose frames have nearly the given magnitudes, in the front end's own framing.

    Use it to hear what a spectrum holds. Phases begin as the slope of the spectrum suggests and are
    made to agree step by step; pre-emphasis and ``scale`` are undone at the end. The sign of a
    waveform cannot be known.

    Args:
        frontend: whose window, hop, edges, pre-emphasis and scale to use.
        magnitude: magnitudes (T, n_fft // 2 + 1), not negative, as the front end sees them: of
            scaled, pre-emphasised and windowed frames.
        iterations: projections to and fro, at least 0; 32 is common, 100 are better.
        momentum: how far each step goes beyond the last one, within [0, 1]; 0 is Griffin and
            Lim's own method, 0.9 and above converge faster.
        seed: of the phases of the first frame; the same seed gives the same waveform.
        length: samples (N) to return; None takes the fewest that have T frames.

    Returns:
        Waveform (N,), on the scale of [-1, 1] though it may pass it.

    Raises:
        SeqlabError: magnitudes are not (T, n_fft // 2 + 1), negative or not finite; a recording of
            ``length`` samples does not have T frames; an option is out of range.

    Source: Griffin and Lim 1984, "Signal estimation from modified short-time Fourier transform";
    with momentum: Perraudin, Balazs and Sondergaard 2013, "A fast Griffin-Lim algorithm"; the first
    phases: see ``initial_phases``. Where the windows hardly cover a sample, at the ends, it is
    drawn towards zero.

    Example:
        >>> from seqlab import Spectrogram
        >>> frontend = Spectrogram()
        >>> waveform_from_spectrum(frontend, torch.ones(98, 257)).shape
        torch.Size([15920])
    """
    check_at_least("iterations", iterations, 0, "32 is common")
    check_range("momentum", momentum, 0, 1, "0.9 is common, 0 is the original method")
    _check_magnitude(frontend, magnitude)
    frames = len(magnitude)
    length = _length(frontend.layout, frames, length)
    if frames == 0:
        return magnitude.new_zeros(length)
    magnitude = magnitude.to(frontend.window.device)
    grid = _Grid(frontend, frames, length, magnitude.dtype)
    transform = torch.polar(magnitude, initial_phases(frontend, magnitude, seed))
    consistent = transform
    for iteration in range(iterations):
        previous, consistent = consistent, grid.analyse(grid.synthesise(transform))
        # The step beyond the projection: nothing to compare with in the first round.
        reach = momentum if iteration else 0.0
        phases = torch.angle(consistent + reach * (consistent - previous))
        transform = torch.polar(magnitude, phases)
    waveform = grid.synthesise(transform) / frontend.options.scale
    waveform = deemphasize(waveform, frontend.options.preemphasis)
    return waveform - waveform.mean() if frontend.options.remove_dc else waveform


def deemphasize(waveform: Tensor, coefficient: float) -> Tensor:
    """Undo pre-emphasis: y[n] = x[n] + coefficient * y[n-1], with y[-1] = 0.

    Args:
        waveform: samples (..., N).
        coefficient: within [0, 1]; 0 leaves the waveform as it is.

    Returns:
        Samples (..., N).

    Source: 1 / (1 - c z^-1) as the product of all 1 + c^k z^-k, k = 1, 2, 4, 8 ..., so that it runs
    in parallel and is differentiable.

    Example:
        >>> deemphasize(torch.tensor([1.0, 0.0, 0.0]), 0.5).tolist()
        [1.0, 0.5, 0.25]
    """
    check_range("coefficient", coefficient, 0, 1, "0.97 is common, 0 leaves it out")
    size, shift = waveform.shape[-1], 1
    while shift < size and coefficient**shift > _FORGOTTEN:
        delayed = coefficient**shift * waveform[..., :-shift]
        waveform = waveform + torch.nn.functional.pad(delayed, (shift, 0))
        shift *= 2
    return waveform


class _Grid:
    """Where the frames of one recording lie: the transform of its frames, and the way back."""

    def __init__(
        self, frontend: FramedFrontend, frames: int, length: int, dtype: torch.dtype
    ) -> None:
        self.layout = frontend.layout
        self.frames = frames
        self.window = frontend.window.to(dtype)
        self.lengths = torch.tensor([length], device=self.window.device)
        self.length = length
        self.begin, end = self.layout.span(0, frames)
        position = torch.arange(self.begin, end, device=self.window.device)
        self.index = source_index(position, self.lengths, self.layout.edges)[0]
        outside = (position < 0) | (position >= length)
        self.unheard = outside if self.layout.edges in ("snip", "zero") else outside & False
        cover = self._overlap_add(self.window.square().expand(frames, -1))
        self.cover = cover.clamp_min(float(cover.max()) * _LEAST_COVER)

    def analyse(self, waveform: Tensor) -> Tensor:
        """Transform (T, n_fft // 2 + 1) of the frames of a waveform (N,)."""
        cut = cut_frames(waveform.unsqueeze(0), self.lengths, self.layout, 0, self.frames)[0]
        transform: Tensor = torch.fft.rfft(cut * self.window, n=self.layout.n_fft)
        return transform

    def synthesise(self, transform: Tensor) -> Tensor:
        """Waveform (N,) whose transform is nearest to the given one, in the least squares sense."""
        cut = torch.fft.irfft(transform, n=self.layout.n_fft)[:, : self.layout.win_length]
        return self._overlap_add(cut * self.window) / self.cover

    def _overlap_add(self, cut: Tensor) -> Tensor:
        """Sum (N,) of frames; what lies beyond the ends goes to the sample that was read there."""
        size = len(self.index)
        line = torch.nn.functional.fold(
            cut.T.unsqueeze(0),
            (1, size),
            (1, self.layout.win_length),
            stride=(1, self.layout.hop_length),
        ).reshape(size)
        line = line.masked_fill(self.unheard, 0)
        return line.new_zeros(self.length).index_add(0, self.index, line)


def initial_phases(frontend: FramedFrontend, magnitude: Tensor, seed: int) -> Tensor:
    """Phases that advance from frame to frame as fast as the magnitudes around each bin suggest.

    Use it to start ``waveform_from_spectrum``: against phases all at random, it saves iterations,
    more than half of them where a frame holds few periods of the voice.

    Args:
        frontend: whose window and hop to use.
        magnitude: magnitudes (T, n_fft // 2 + 1), not negative.
        seed: of the first frame's phases, which are random and do not depend on the device.

    Returns:
        Phases (T, n_fft // 2 + 1) within [0, 2 pi].

    Source: Prusa, Balazs and Sondergaard 2017, "A noniterative method for reconstruction of phase
    from STFT magnitude", equation 13: under a Gaussian window exp(-pi t^2 / g) the frequency of a
    bin is its own plus the slope of the log magnitude over bins, divided by g. Here g is that of
    the Gaussian of the same variance as the window, and the slope is summed over time only.
    """
    window, n_fft = frontend.window.double(), frontend.n_fft
    weight = window.square() / window.square().sum()
    place = torch.arange(len(window), dtype=torch.float64, device=window.device)
    variance = (weight * (place - (weight * place).sum()).square()).sum().clamp_min(1e-3)
    log_magnitude = magnitude.double().clamp_min(float(magnitude.max()) * _AUDIBLE + _SILENT).log()
    slope = torch.zeros_like(log_magnitude)
    slope[:, 1:-1] = (log_magnitude[:, 2:] - log_magnitude[:, :-2]) / 2
    bins = torch.arange(magnitude.shape[1], dtype=torch.float64, device=window.device)
    # Radians a sample, with g = 4 pi times the variance.
    frequency = 2 * math.pi / n_fft * bins + slope * n_fft / (4 * math.pi * variance)
    advance = frontend.hop_length * frequency
    advance[1:] = (advance[1:] + advance[:-1]) / 2
    generator = torch.Generator().manual_seed(seed)
    first = torch.rand(magnitude.shape[1], generator=generator, dtype=torch.float64)
    advance[0] = 2 * math.pi * first.to(window.device)
    return advance.cumsum(0).remainder(2 * math.pi).to(magnitude.dtype)


def _length(layout: FrameLayout, frames: int, length: int | None) -> int:
    """Samples of a recording with so many frames."""
    if length is not None:
        check_at_least("length", length, 0, "None takes the fewest samples that have the frames")
        if layout.count(length) != frames:
            raise SeqlabError(
                f"length={length} samples have {layout.count(length)} frames, must have the "
                f"{frames} of the magnitude; pass the length of the recording it came from, or None"
            )
        return length
    if frames == 0:
        return 0
    guess = max((frames - 2) * layout.hop_length, 0)
    while layout.count(guess) < frames:
        guess += 1
    return guess


def _check_magnitude(frontend: FramedFrontend, magnitude: Tensor) -> None:
    if not isinstance(frontend, FramedFrontend):
        raise SeqlabError(
            f"frontend is {type(frontend).__name__}, must be a Spectrogram, LogMel or MFCC; pass "
            "the front end that the features came from"
        )
    bins = frontend.n_fft // 2 + 1
    if not isinstance(magnitude, Tensor) or magnitude.dtype not in (torch.float32, torch.float64):
        kind = magnitude.dtype if isinstance(magnitude, Tensor) else type(magnitude).__name__
        raise SeqlabError(f"magnitude is {kind}, must be float32 or float64; convert it first")
    if magnitude.dim() != 2 or magnitude.shape[1] != bins:
        raise SeqlabError(
            f"magnitude has shape {tuple(magnitude.shape)}, must be (T, n_fft // 2 + 1 = {bins}); "
            "take one recording, and the front end that the spectrum came from"
        )
    if not bool(magnitude.isfinite().all()) or bool((magnitude < 0).any()):
        raise SeqlabError(
            "magnitude holds NaN, infinite or negative values, must be finite and not negative; "
            "check the spectrum that it came from"
        )
