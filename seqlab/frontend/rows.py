"""Rows of a batch on a CPU: which frames to compute together, and the gradient."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlab.frontend.framing import FrameLayout, source_index
from seqlab.frontend.kernel.energies import spectral_rows
from seqlab.frontend.kernel.gradient import add_sample_gradient
from seqlab.frontend.kernel.tables import Tables
from seqlab.frontend.options import FrameOptions
from seqlab.frontend.streaming import Stretch
from seqlab.frontend.threads import share, task_frames

_BLOCK_VALUES = 32768  # of the rows of a block: fits the cache, and one thread of torch handles it


class RowSource(Protocol):
    """What is needed of a front end to compute its rows; ``FramedFrontend`` documents it."""

    options: FrameOptions
    layout: FrameLayout
    tables: Tables | None
    row_dim: int
    output_dim: int
    band_column: int
    energy_column: int | None

    def scaled(self, samples: Tensor, offset: int) -> Tensor:
        """Samples as frames read them."""

    @property
    def kernel_compresses(self) -> bool:
        """Whether ``compressed`` is what the kernel does, too."""

    def prepare_samples(self, samples: Tensor, offset: int) -> tuple[Tensor, float]:
        """Samples (n,) for the kernel, and a factor."""

    def compressed(self, rows: Tensor) -> Tensor:
        """Rows of energies on the scale of the features."""

    def torch_rows(self, waveform: Tensor, lengths: Tensor, counts: Tensor) -> Tensor:
        """Rows of a batch, by torch."""


@dataclass(frozen=True)
class Block:
    """Frames of one recording that are computed in one go."""

    item: int
    first: int
    last: int


def _blocks(
    layout: FrameLayout, samples: Sequence[int], counts: Sequence[int], first: int, size: int
) -> Iterator[Block]:
    """Blocks of at most ``size`` frames; those that read beyond the ends have their own."""
    for item, (length, count) in enumerate(zip(samples, counts, strict=True)):
        begins = max(first, min(-(-layout.left // layout.hop_length), count))
        ends = (length + layout.left - layout.win_length) // layout.hop_length + 1
        ends = max(begins, min(ends, count))
        for part in (range(first, begins), range(begins, ends), range(ends, count)):
            for begin in range(part.start, part.stop, size):
                yield Block(item, begin, min(begin + size, part.stop))


def _block_frames(frontend: RowSource) -> int:
    return max(_BLOCK_VALUES // max(frontend.row_dim, frontend.output_dim), 16)


def compute_rows(
    frontend: RowSource,
    waveform: Tensor,
    lengths: Sequence[int],
    counts: Sequence[int],
    first: int = 0,
    offset: int = 0,
) -> Tensor:
    """Rows of the frames from ``first`` on, by the compiled kernel.

    Args:
        frontend: whose tables and settings to use.
        waveform: samples (B, N) on the CPU; column 0 is sample number ``offset``.
        lengths: samples of the whole recordings (B,).
        counts: number after the last frame wanted of each recording (B,).
        first: number of the first frame wanted.
        offset: samples that were dropped before ``waveform``.

    Returns:
        Rows (B, T, row_dim), T the most of ``counts - first``; zero beyond the counts.
    """
    frames = [max(count - first, 0) for count in counts]
    longest, total = max(frames, default=0), sum(frames)
    rows = torch.empty(len(waveform), longest, frontend.row_dim)
    for row, count in zip(rows, frames, strict=True):
        if count < longest:
            row[count:] = 0
    waveform = waveform.detach()

    def work(task: Block) -> None:
        out = rows[task.item, task.first - first : task.last - first]
        piece = _cut_piece(frontend, waveform[task.item], lengths[task.item], task, offset)
        _compute_piece(frontend, piece, out)

    share(work, _blocks(frontend.layout, lengths, counts, first, task_frames(total)), total)
    return rows


@dataclass(frozen=True)
class _Piece:
    """Samples that the frames of a block read, as the kernel takes them."""

    samples: NDArray[np.float32]
    factor: float  # still to be applied
    places: slice | Tensor  # which samples of the recording they are
    inside: NDArray[np.bool_] | None  # False where silence stands beyond the ends; None: nowhere


def _cut_piece(
    frontend: RowSource, samples: Tensor, length: int, block: Block, offset: int
) -> _Piece:
    """What ``block`` reads of ``samples`` (N,), which begin with number ``offset``."""
    layout = frontend.layout
    begin, end = layout.span(block.first, block.last)
    if begin >= 0 and end <= length:
        at = slice(begin - offset, end - offset)
        piece, factor = frontend.prepare_samples(samples[at], begin)
        return _Piece(np.ascontiguousarray(piece.numpy()), factor, at, None)
    position = torch.arange(begin, end)
    places = source_index(position, torch.tensor([length]), layout.edges)[0]
    low, high = int(places.min()), int(places.max()) + 1
    # Dither belongs to the samples, so it comes before they are mirrored at the ends.
    piece, factor = frontend.prepare_samples(samples[low - offset : high - offset], low)
    values = piece[places - low].numpy()
    inside = None
    if layout.edges == "zero":
        inside = ((position >= 0) & (position < length)).numpy()
        values[~inside] = 0
    return _Piece(values, factor, places - offset, inside)


def _compute_piece(frontend: RowSource, piece: _Piece, out: Tensor) -> None:
    """Rows (T, row_dim) of a piece to ``out``."""
    if frontend.kernel_compresses:
        _run_kernel(frontend, piece, out, True)
        return
    size, hop = _block_frames(frontend), frontend.layout.hop_length
    for begin in range(0, len(out), size):
        part = out[begin : begin + size]
        rest = replace(piece, samples=piece.samples[begin * hop :])
        _run_kernel(frontend, rest, part, False)
        with torch.no_grad():
            part.copy_(frontend.compressed(part))


def _run_kernel(frontend: RowSource, piece: _Piece, out: Tensor, compress: bool) -> None:
    spectral_rows(  # type: ignore[no-untyped-call]
        piece.samples,
        piece.factor,
        frontend.tables,
        compress,
        frontend.band_column,
        frontend.energy_column or 0,
        out.numpy(),
    )


def compute_ragged_rows(frontend: RowSource, stretches: Sequence[Stretch]) -> Tensor:
    """Rows (M, row_dim) of the frames of single streams, one stream after the other.

    The samples of all streams go through the kernel as one recording, each from a multiple of
    ``hop_length`` on, because a call for each would cost more than its few frames.
    """
    hop = frontend.layout.hop_length
    starts, pieces, slots = [], [], 0
    for stretch in stretches:
        starts.append(slots)
        if stretch.last > stretch.first:
            block = Block(0, stretch.first, stretch.last)
            piece = _cut_piece(
                frontend, stretch.samples[0].detach(), stretch.length, block, stretch.offset
            )
            pieces.append((slots * hop, piece))
            slots += -(-len(piece.samples) // hop)
    if not pieces:
        return torch.zeros(0, frontend.row_dim)
    samples = np.zeros(slots * hop, np.float32)
    for begin, piece in pieces:
        samples[begin : begin + len(piece.samples)] = piece.samples
    rows = torch.zeros(slots, frontend.row_dim)
    _compute_piece(frontend, _Piece(samples, pieces[0][1].factor, slice(0), None), rows)
    return rows[
        [
            start + frame
            for start, stretch in zip(starts, stretches, strict=True)
            for frame in range(stretch.last - stretch.first)
        ]
    ]


class DifferentiableRows(torch.autograd.Function):
    """``compute_rows`` with a gradient to the waveform that keeps nothing but the waveform.

    The backward pass computes block after block anew, so that its memory does not grow with the
    recording. Where a gradient of the gradient is asked for, torch computes the whole.
    """

    @staticmethod
    def forward(
        ctx: Any, waveform: Tensor, frontend: RowSource, lengths: Tensor, counts: Tensor
    ) -> Tensor:
        """Rows (B, T, row_dim); arguments as ``compute_rows``."""
        ctx.save_for_backward(waveform, lengths, counts)
        ctx.frontend = frontend
        return compute_rows(frontend, waveform, lengths.tolist(), counts.tolist())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        """Gradient (B, N) to the waveform of the gradient (B, T, row_dim) to the rows."""
        (gradient,) = gradients
        waveform, lengths, counts = ctx.saved_tensors
        if torch.is_grad_enabled():
            rows = ctx.frontend.torch_rows(waveform, lengths, counts)
            (result,) = torch.autograd.grad(rows, waveform, gradient, create_graph=True)
            return result, None, None, None
        waveform, result = waveform.detach(), torch.zeros_like(waveform)
        size = _block_frames(ctx.frontend)
        wanted, samples_of = counts.tolist(), lengths.tolist()

        def work(item: int) -> None:  # the blocks of an item overlap, so one thread takes them all
            length, count = samples_of[item], wanted[item]
            for block in _blocks(ctx.frontend.layout, [length], [count], 0, size):
                part = gradient[item, block.first : block.last]
                _add_gradient(ctx.frontend, waveform[item], length, block, part, result[item])

        share(work, range(len(waveform)), sum(wanted))
        return result, None, None, None


def _add_gradient(
    frontend: RowSource,
    samples: Tensor,
    length: int,
    block: Block,
    gradient: Tensor,
    result: Tensor,
) -> None:
    """Add to ``result`` (N,) what the gradient (T, row_dim) of the rows of ``block`` brings."""
    piece = _cut_piece(frontend, samples, length, block, 0)
    energies = torch.empty(gradient.shape)
    _run_kernel(frontend, piece, energies, False)
    with torch.enable_grad():
        rows = frontend.compressed(energies.requires_grad_())
    (wanted,) = torch.autograd.grad(rows, energies, gradient)
    back = np.zeros(len(piece.samples))
    add_sample_gradient(  # type: ignore[no-untyped-call]
        piece.samples,
        piece.factor,
        frontend.tables,
        frontend.band_column,
        frontend.energy_column or 0,
        wanted.contiguous().numpy(),
        back,
    )
    if piece.inside is not None:
        back[~piece.inside] = 0
    share = torch.from_numpy(back * (frontend.options.scale / piece.factor)).to(result.dtype)
    if isinstance(piece.places, slice):
        result[piece.places] += share
    else:
        result.index_add_(0, piece.places, share)
