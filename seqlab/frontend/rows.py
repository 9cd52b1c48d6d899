"""Rows of a batch on a CPU: which frames to compute together, in which thread, and the gradient."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from seqlab.frontend.framing import FrameLayout, cut_frames, cut_samples, source_index
from seqlab.frontend.kernel import spectral_rows
from seqlab.frontend.tables import Tables

_BLOCK_VALUES = 32768  # of the rows of a block: fits the cache, and one thread of torch handles it
_THREADING_FRAMES = 4000  # below it, starting threads costs more than they save
_GRADIENT_FRAMES = 512


class RowSource(Protocol):
    """What is needed of a front end to compute its rows; ``FramedFrontend`` documents it."""

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

    def compress_rows(self, rows: Tensor) -> None:
        """Compress rows in place."""

    def analyse(self, frames: Tensor) -> Tensor:
        """Rows of frames, by torch."""

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
    size = max(_BLOCK_VALUES // max(frontend.row_dim, frontend.output_dim), 16)
    blocks = list(_blocks(wanted, first, size))

    def work(block: Block) -> None:
        out = rows[block.item, block.first - first : block.last - first]
        _compute_block(frontend, waveform[block.item], samples_of[block.item], block, offset, out)

    threads = min(torch.get_num_threads(), len(blocks))
    if threads < 2 or sum(block.last - block.first for block in blocks) < _THREADING_FRAMES:
        for block in blocks:
            work(block)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, blocks))
    return rows


def _compute_block(
    frontend: RowSource, samples: Tensor, length: int, block: Block, offset: int, out: Tensor
) -> None:
    """Rows of one block to ``out``; ``samples`` (N,) begin with number ``offset``."""
    layout = frontend.layout
    begin, end = layout.span(block.first, block.last)
    with torch.no_grad():
        if begin >= 0 and end <= length:
            piece, scale = frontend.prepare_samples(
                samples[None, begin - offset : end - offset], begin
            )
        else:
            # Dither belongs to the samples, so it comes before they are mirrored at the ends.
            whole = torch.tensor([length])
            places = source_index(torch.arange(begin, end), whole, layout.edges)
            low, high = int(places.min()), int(places.max()) + 1
            piece, scale = frontend.prepare_samples(
                samples[None, low - offset : high - offset], low
            )
            piece = cut_samples(piece, whole, layout, block.first, block.last, low)
        spectral_rows(  # type: ignore[no-untyped-call]
            np.ascontiguousarray(piece[0].numpy()),
            scale,
            frontend.tables,
            frontend.band_column,
            frontend.energy_column or 0,
            out.numpy(),
        )
        frontend.compress_rows(out)


class DifferentiableRows(torch.autograd.Function):
    """``compute_rows`` with a gradient to the waveform that keeps nothing but the waveform.

    The backward pass computes block after block anew with torch, so that its memory does not grow
    with the recording. Where a gradient of the gradient is asked for, the whole is computed so.
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
        result = torch.zeros_like(waveform)
        for block in _blocks(counts.tolist(), 0, _GRADIENT_FRAMES):
            _add_gradient(ctx.frontend, waveform, lengths, block, gradient, result)
        return result, None, None, None


def _add_gradient(
    frontend: RowSource,
    waveform: Tensor,
    lengths: Tensor,
    block: Block,
    gradient: Tensor,
    result: Tensor,
) -> None:
    """Add what ``block`` contributes to the gradient of the waveform."""
    layout, item = frontend.layout, block.item
    begin, end = layout.span(block.first, block.last)
    inside = begin >= 0 and end <= int(lengths[item])
    a, z = (begin, end) if inside else (0, waveform.shape[1])
    piece = waveform[item : item + 1, a:z].detach().requires_grad_()
    with torch.enable_grad():
        samples = frontend.scaled(piece, a)
        length = lengths[item : item + 1]
        frames = cut_frames(samples, length, layout, block.first, block.last, a)
        rows = frontend.analyse(frames[0])
    wanted = gradient[item, block.first : block.last]
    result[item, a:z] += torch.autograd.grad(rows, piece, wanted)[0][0]
