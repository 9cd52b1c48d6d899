"""From samples to frames: where frames lie, what edges read, dither, pre-emphasis."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from seqlab.checks import check_at_least, check_choice
from seqlab.errors import SeqlabError
from seqlab.frontend.hashing import seed_tensor, uniform
from seqlab.lengths import Length, frame_count, frame_count_centered, frame_count_rounded

EDGES = ("snip", "mirror", "zero", "reflect", "edge")
CENTRED = ("zero", "reflect", "edge")


@dataclass(frozen=True)
class FrameLayout:
    """Where the frames of a recording lie and what they read beyond its ends.

    Frame t covers ``win_length`` samples from sample t * hop_length - left. The five edges:

    - "snip": whole frames only, the first at sample 0 (Kaldi's default, HTK).
    - "mirror": Kaldi's snip_edges=False; samples / hop frames, the signal mirrored at its ends
      with the end sample repeated.
    - "zero": centred frames, silence beyond the ends (librosa).
    - "reflect": centred frames, the signal mirrored about its end samples (torch.stft, Whisper).
    - "edge": centred frames, the end samples held (librosa's and NumPy's "edge", torch's
      "replicate").

    An empty recording has no frames under any of them. A recording shorter than a frame is
    mirrored as often as it takes.

    Args:
        win_length: samples of a frame, at least 1.
        hop_length: samples between the starts of frames, at least 1.
        n_fft: points of the transform, at least ``win_length``; places centred frames.
        edges: one of the five above.
        drop_last: leave out the last frame, as Whisper does; centred frames only.
    """

    win_length: int
    hop_length: int
    n_fft: int
    edges: str = "snip"
    drop_last: bool = False

    def __post_init__(self) -> None:
        check_at_least("win_length", self.win_length, 1, "25 ms are 0.025 * sample_rate")
        check_at_least("hop_length", self.hop_length, 1, "10 ms are 0.01 * sample_rate")
        check_at_least("n_fft", self.n_fft, 1, "take a power of two not below win_length")
        check_choice("edges", self.edges, EDGES)
        if self.n_fft < self.win_length:
            raise SeqlabError(
                f"n_fft={self.n_fft} must be at least win_length={self.win_length}; "
                "raise n_fft or shorten the window"
            )
        if self.drop_last and self.edges not in CENTRED:
            raise SeqlabError(
                f"drop_last=True needs centred frames, but edges={self.edges!r}; "
                'set edges="reflect" or drop_last=False'
            )

    @property
    def left(self) -> int:
        """Samples before the recording that frame 0 reads; negative where it starts inside."""
        if self.edges == "snip":
            return 0
        if self.edges == "mirror":
            return self.win_length // 2 - self.hop_length // 2
        return self.n_fft // 2 - (self.n_fft - self.win_length) // 2

    def count(self, samples: Length) -> Length:
        """Frames of a recording of ``samples`` samples: an int, or a tensor (B,)."""
        if self.edges == "snip":
            return frame_count(samples, self.win_length, self.hop_length)
        if self.edges == "mirror":
            return frame_count_rounded(samples, self.hop_length)
        frames = frame_count_centered(samples, self.n_fft, self.hop_length) - int(self.drop_last)
        return frames * (samples > 0)

    def ready(self, samples: int) -> int:
        """Frames that no later sample can change once ``samples`` samples have come."""
        if self.edges in ("mirror", "reflect") and samples <= self.left:
            return 0
        complete = (samples + self.left - self.win_length) // self.hop_length + 1
        return max(min(complete, self.count(samples)), 0)

    def start(self, frame: int) -> int:
        """First sample that frame number ``frame`` reads; may lie before the recording."""
        return frame * self.hop_length - self.left

    def span(self, first: int, last: int) -> tuple[int, int]:
        """First sample that frames ``first`` to ``last`` (exclusive) read, and that after them."""
        return self.start(first), self.start(last - 1) + self.win_length


def source_index(position: Tensor, lengths: Tensor, edges: str) -> Tensor:
    """The sample that a position beyond the ends of a recording reads.

    Args:
        position: sample positions (L,), int64, negative or beyond the end allowed.
        lengths: samples of each recording (B,).
        edges: "mirror" or "reflect"; under the others the nearest sample is named.

    Returns:
        Index (B, L) within [0, lengths), or 0 where a recording is empty.

    Example:
        >>> where = torch.arange(-2, 5)
        >>> source_index(where, torch.tensor([3]), "mirror").tolist()
        [[1, 0, 0, 1, 2, 2, 1]]
        >>> source_index(where, torch.tensor([3]), "reflect").tolist()
        [[2, 1, 0, 1, 2, 1, 0]]
    """
    length = lengths.unsqueeze(-1).clamp(min=1)
    if edges == "mirror":
        folded = position.remainder(2 * length)
        return torch.minimum(folded, 2 * length - 1 - folded)
    if edges == "reflect":
        period = (2 * length - 2).clamp(min=1)
        folded = position.remainder(period)
        return torch.minimum(folded, period - folded).minimum(length - 1)
    return torch.minimum(position.clamp(min=0), length - 1)


def cut_samples(
    waveform: Tensor, lengths: Tensor, layout: FrameLayout, first: int, last: int, offset: int = 0
) -> Tensor:
    """The samples that frames ``first`` to ``last`` (exclusive) read, in one piece.

    Args:
        waveform: samples (B, N); column 0 is sample number ``offset`` of the recording.
        lengths: samples of the whole recordings (B,).
        layout: where frames lie.
        first: number of the first frame wanted.
        last: number after the last frame wanted, above ``first``.
        offset: samples of the recording that were dropped before ``waveform``.

    Returns:
        Samples (B, (last - first - 1) * hop_length + win_length); what frames past a recording's
        own count read holds no meaning.
    """
    begin, end = layout.span(first, last)
    if layout.edges == "snip":
        return waveform[:, begin - offset : end - offset]
    position = torch.arange(begin, end, device=waveform.device)
    index = source_index(position, lengths, layout.edges) - offset
    piece = waveform.gather(1, index.clamp(0, max(waveform.shape[1] - 1, 0)))
    if layout.edges == "zero":
        inside = (position >= 0) & (position < lengths.unsqueeze(-1))
        piece = piece.masked_fill(~inside, 0)
    return piece


def cut_frames(
    waveform: Tensor, lengths: Tensor, layout: FrameLayout, first: int, last: int, offset: int = 0
) -> Tensor:
    """Frames (B, last - first, win_length) of each recording; arguments as ``cut_samples``."""
    if last <= first:
        return waveform.new_zeros(len(waveform), 0, layout.win_length)
    piece = cut_samples(waveform, lengths, layout, first, last, offset)
    return piece.unfold(1, layout.win_length, layout.hop_length)


def preemphasize(frames: Tensor, coefficient: float) -> Tensor:
    """First difference x[i] - coefficient * x[i-1] within each frame (..., win_length).

    The first sample of a frame stands in for the one before it, as in Kaldi and HTK; so a frame
    never reads the one before.

    >>> preemphasize(torch.tensor([[1.0, 2.0, 4.0]]), 0.5).tolist()
    [[0.5, 1.5, 3.0]]
    """
    head = frames[..., :1] * (1 - coefficient)
    return torch.cat([head, frames[..., 1:].sub(frames[..., :-1], alpha=coefficient)], -1)


def dither_noise(
    first: int, count: int, seed: int, device: torch.device | str | None = None
) -> Tensor:
    """Gaussian noise (count,) of unit variance that depends on the seed and sample number alone.

    So the noise on sample i is the same in a padded batch, alone, and in any stream.

    Args:
        first: number of the first sample.
        count: how many samples.
        seed: any whole number.
        device: where the noise is made.

    Returns:
        Noise (count,), float32.

    Source: Box and Muller 1958, on two counter-based uniform numbers a sample.
    """
    number = 2 * torch.arange(first, first + count, device=device, dtype=torch.int64)
    key = seed_tensor(seed, device)
    radius = torch.sqrt(-2 * torch.log(uniform(key, number)))
    return (radius * torch.cos(2 * math.pi * uniform(key, number + 1))).float()
