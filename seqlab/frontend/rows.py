"""Rows of a batch on a CPU: which frames to compute together, in which thread, and the gradient."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

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

Task = TypeVar("Task")

_BLOCK_VALUES = 32768  # of the rows of a block: fits the cache, and one thread of torch handles it
_TASK_FRAMES = 4096  # of a task, which works through them block by block
_THREADING_FRAMES = 1024  # of each thread; below it, handing over costs more than it saves


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

    def prepare_samples(self, samples: Tensor, offset: int) -> tuple[Tensor, np.float32]:
        """Samples for the kernel, and a factor."""

    def compressed(self, rows: Tensor) -> Tensor:
        """Rows of energies on the scale of the features."""

    def compress_in_place(self, rows: Tensor) -> None:
        """The same, in place."""

    def torch_rows(self, waveform: Tensor, lengths: Tensor, counts: Tensor) -> Tensor:
        """Rows of a batch, by torch."""


@dataclass(frozen=True)
class Block:
    """Frames of one recording that are computed in one go."""

    item: int
    first: int
    last: int


def _blocks(counts: list[int], first: int, size: int) -> Iterator[Block]:
    for item, count in enumerate(counts):
        for begin in range(first, count, size):
            yield Block(item, begin, min(begin + size, count))


def _block_frames(frontend: RowSource) -> int:
    return max(_BLOCK_VALUES // max(frontend.row_dim, frontend.output_dim), 16)


def compute_rows(
    frontend: RowSource,
    waveform: Tensor,
    lengths: Tensor,
    counts: Tensor,
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
    wanted = counts.tolist()
    samples_of = lengths.tolist()
    total = max([count - first for count in wanted], default=0)
    rows = torch.empty(len(waveform), max(total, 0), frontend.row_dim)
    for row, count in zip(rows, wanted, strict=True):
        row[max(count - first, 0) :] = 0
    frames = sum(max(count - first, 0) for count in wanted)
    size = max(1, min(-(-frames // _threads(frames)), _TASK_FRAMES))

    def work(task: Block) -> None:
        out = rows[task.item, task.first - first : task.last - first]
        _compute_block(frontend, waveform[task.item], samples_of[task.item], task, offset, out)

    _share(work, list(_blocks(wanted, first, size)), frames)
    return rows


def _threads(frames: int) -> int:
    return max(1, min(torch.get_num_threads(), frames // _THREADING_FRAMES))


def _share(work: Callable[[Task], None], tasks: Sequence[Task], frames: int) -> None:
    """Do all tasks, ``frames`` in sum, in as many threads as torch may use and as pay."""
    threads = min(_threads(frames), len(tasks))
    if threads < 2:
        for task in tasks:
            work(task)
        return
    inference = torch.is_inference_mode_enabled()  # what a thread must be told

    def in_thread(task: Task) -> None:
        with torch.inference_mode(inference):
            work(task)

    list(_pool(threads, os.getpid()).map(in_thread, tasks))


@functools.lru_cache(maxsize=1)
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """Threads kept from call to call; those of a parent ``process`` do not survive a fork."""
    return ThreadPoolExecutor(threads, thread_name_prefix="seqlab-features")


@dataclass(frozen=True)
class _Piece:
    """Samples that the frames of a block read, as the kernel takes them."""

    samples: NDArray[np.float32]
    factor: np.float32  # still to be applied
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
        piece, factor = frontend.prepare_samples(samples[None, at], begin)
        return _Piece(np.ascontiguousarray(piece[0].numpy()), factor, at, None)
    position = torch.arange(begin, end)
    places = source_index(position, torch.tensor([length]), layout.edges)[0]
    low, high = int(places.min()), int(places.max()) + 1
    # Dither belongs to the samples, so it comes before they are mirrored at the ends.
    piece, factor = frontend.prepare_samples(samples[None, low - offset : high - offset], low)
    values = piece[0][places - low].numpy()
    inside = None
    if layout.edges == "zero":
        inside = ((position >= 0) & (position < length)).numpy()
        values[~inside] = 0
    return _Piece(values, factor, places - offset, inside)


def _energies(frontend: RowSource, piece: _Piece, out: Tensor, begin: int = 0) -> None:
    """Rows (T, row_dim) of a piece from sample ``begin`` on, before compression, to ``out``."""
    spectral_rows(  # type: ignore[no-untyped-call]
        piece.samples[begin:],
        piece.factor,
        frontend.tables,
        frontend.band_column,
        frontend.energy_column or 0,
        out.numpy(),
    )


def _compute_block(
    frontend: RowSource, samples: Tensor, length: int, block: Block, offset: int, out: Tensor
) -> None:
    """Rows of one block to ``out``; ``samples`` (N,) begin with number ``offset``."""
    size, hop = _block_frames(frontend), frontend.layout.hop_length
    with torch.no_grad():
        piece = _cut_piece(frontend, samples, length, block, offset)
        for begin in range(0, len(out), size):
            part = out[begin : begin + size]
            _energies(frontend, piece, part, begin * hop)
            frontend.compress_in_place(part)


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
            piece = _cut_piece(frontend, stretch.samples[0], stretch.length, block, stretch.offset)
            pieces.append((slots * hop, piece))
            slots += -(-len(piece.samples) // hop)
    if not pieces:
        return torch.zeros(0, frontend.row_dim)
    samples = np.zeros(slots * hop, np.float32)
    for begin, piece in pieces:
        samples[begin : begin + len(piece.samples)] = piece.samples
    rows = torch.zeros(slots, frontend.row_dim)
    with torch.no_grad():
        _energies(frontend, _Piece(samples, pieces[0][1].factor, slice(0), None), rows)
        places = [
            start + frame
            for start, stretch in zip(starts, stretches, strict=True)
            for frame in range(stretch.last - stretch.first)
        ]
        return frontend.compressed(rows[places])


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
        return compute_rows(frontend, waveform, lengths, counts)

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
            for first in range(0, wanted[item], size):
                block = Block(item, first, min(first + size, wanted[item]))
                part = gradient[item, block.first : block.last]
                _add_gradient(
                    ctx.frontend, waveform[item], samples_of[item], block, part, result[item]
                )

        _share(work, range(len(waveform)), sum(wanted))
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
    _energies(frontend, piece, energies)
    with torch.enable_grad():
        rows = frontend.compressed(energies.requires_grad_())
    (wanted,) = torch.autograd.grad(rows, energies, gradient)
    back = np.zeros(len(piece.samples), np.float32)
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
    share = torch.from_numpy(back).to(result.dtype) * (frontend.options.scale / float(piece.factor))
    if isinstance(piece.places, slice):
        result[piece.places] += share
    else:
        result.index_add_(0, piece.places, share)
