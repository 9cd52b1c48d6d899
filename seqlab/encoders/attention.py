"""What encoders with self-attention share: subsampling, positions, layers, chunks and streams."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from seqlab.blocks.attention import (
    AttentionLayer,
    Cache,
    rotary_positions,
    sinusoidal_positions,
)
from seqlab.blocks.checks import check_sequence
from seqlab.blocks.chunks import View, draw_chunk_frames, visible_frames
from seqlab.blocks.dropout import Dropout
from seqlab.blocks.streaming import full_lengths
from seqlab.blocks.subsampling import ConvSubsampling
from seqlab.checks import check_at_least, check_choice
from seqlab.contracts import Between, Encoder
from seqlab.errors import SeqlabError
from seqlab.lengths import Length, zero_padding

POSITIONS = ("rotary", "sinusoidal")


class StreamState(NamedTuple):
    """Where streams stand.

    Args:
        chunk_frames: Encoded frames in a chunk; a stream keeps those it began with.
        done: Encoded frames so far.
        subsampling: State of the subsampling.
        waiting: (B, W, D), subsampled frames of a chunk that is not complete.
        caches: For each layer, what it keeps of the frames behind it.
    """

    chunk_frames: int
    done: int
    subsampling: tuple[Tensor, ...]
    waiting: Tensor
    caches: tuple[Cache, ...]


class AttentionEncoder(Encoder):
    """Layers with self-attention over subsampled frames: of whole utterances, or chunk by chunk.

    The base of the encoders with attention, which choose the layers. The same weights serve whole
    recordings and live streams: without chunks every frame sees the whole utterance; with them it
    sees the frames of its chunk and of the chunks before, so that steps, which wait for whole
    chunks, and ``flush`` together equal ``forward``.

    Args:
        subsampling: Features (B, T, F) to frames (B, T', D).
        layers: At least one; their width is D.
        norm: Behind the last layer.
        head_dim: Width of an attention head, even for rotary positions.
        dropout: Probability in [0, 1) in front of the first layer.
        positions: "rotary" (relative, inside the attention) or "sinusoidal" (added once).
        chunk_frames: Encoded frames in a chunk; 0 for whole utterances.
        left_chunks: Chunks seen before the own one; -1 for all.
        dynamic_chunks: Whether each batch of a training draws a chunk size.

    Raises:
        SeqlabError: If an argument is out of range.
    """

    @abc.abstractmethod
    def __init__(
        self,
        subsampling: ConvSubsampling,
        layers: Sequence[AttentionLayer],
        norm: nn.Module,
        head_dim: int,
        dropout: float,
        positions: str,
        chunk_frames: int,
        left_chunks: int,
        dynamic_chunks: bool,
    ) -> None:
        super().__init__()
        check_choice("positions", positions, POSITIONS)
        self.input_dim = subsampling.input_dim
        self.output_dim = subsampling.output_dim
        self.num_layers = len(layers)
        self.subsampling = subsampling
        self.layers = nn.ModuleList(layers)
        self.norm = norm
        self.dropout = Dropout(dropout)
        self.head_dim = head_dim
        self.positions = positions
        self.dynamic_chunks = dynamic_chunks
        self.chunk_frames = chunk_frames
        self.left_chunks = left_chunks

    @property
    def chunk_frames(self) -> int:
        """Encoded frames in a chunk; 0 for whole utterances. May be assigned at any time."""
        return self._chunk_frames

    @chunk_frames.setter
    def chunk_frames(self, frames: int) -> None:
        check_at_least("chunk_frames", frames, 0, "0 is for whole utterances")
        self._chunk_frames = frames
        self.causal = frames > 0
        self.lookahead = max(0, frames * self.subsampling.factor - 1)

    @property
    def left_chunks(self) -> int:
        """Chunks that a frame sees before its own; -1 for all. May be assigned at any time."""
        return self._left_chunks

    @left_chunks.setter
    def left_chunks(self, chunks: int) -> None:
        check_at_least("left_chunks", chunks, -1, "-1 is for all chunks")
        self._left_chunks = chunks

    def forward(
        self, features: Tensor, lengths: Tensor, between: Between | None = None
    ) -> tuple[Tensor, Tensor]:
        """Map features (B, T, F) and lengths (B,) to encoded (B, T', D) and lengths (B,)."""
        check_sequence(features, lengths, self.input_dim, "features")
        if features.shape[1] == 0:
            return features.new_zeros(features.shape[0], 0, self.output_dim), lengths
        frames, lengths = self.subsampling(features, lengths)
        drawn = self.training and self.dynamic_chunks
        chunk_frames = draw_chunk_frames() if drawn else self.chunk_frames
        encoded, _ = self._encode(frames, lengths, chunk_frames, between=between)
        return zero_padding(encoded, lengths), lengths

    def output_lengths(self, lengths: Length) -> Length:
        """Encoded frames (B,) of ``lengths`` feature frames (B,): divided, rounded up."""
        return self.subsampling.output_lengths(lengths)

    def initial_state(self, batch_size: int = 1) -> StreamState:
        """State of ``batch_size`` streams before their first frame; with chunks only."""
        self._check_causal()
        check_at_least("batch_size", batch_size, 1)
        tails = self.subsampling.initial_state(batch_size)
        waiting = tails[0].new_zeros(batch_size, 0, self.output_dim)
        caches = tuple(layer.initial_cache(batch_size) for layer in self._layers())
        return StreamState(self.chunk_frames, 0, tails, waiting, caches)

    def step(
        self, features: Tensor, state: StreamState, between: Between | None = None
    ) -> tuple[Tensor, StreamState]:
        """Encoded (B, T', D) of the chunks that the next features (B, T, F) complete, new state."""
        self._check_causal()
        frames, tails = self.subsampling.step(features, state.subsampling)
        frames = torch.cat([state.waiting, frames], dim=1)
        whole = frames.shape[1] // state.chunk_frames * state.chunk_frames
        encoded, caches = self._advance(frames[:, :whole], state, between)
        done = state.done + whole
        return encoded, StreamState(state.chunk_frames, done, tails, frames[:, whole:], caches)

    def flush(self, state: StreamState, between: Between | None = None) -> Tensor:
        """The encoded frames (B, T', D) of the last chunk, which the stream left incomplete."""
        self._check_causal()
        rest = self.subsampling.flush(state.subsampling)
        return self._advance(torch.cat([state.waiting, rest], dim=1), state, between)[0]

    def _check_causal(self) -> None:
        if not self.causal:
            raise NotImplementedError(
                f"{type(self).__name__} is not causal with chunk_frames=0, which sees whole "
                "utterances; assign encoder.chunk_frames = 16, for example, to stream"
            )

    def _advance(
        self, frames: Tensor, state: StreamState, between: Between | None
    ) -> tuple[Tensor, tuple[Cache, ...]]:
        if frames.shape[1] == 0:
            return frames, state.caches
        lengths = full_lengths(frames)
        return self._encode(frames, lengths, state.chunk_frames, state.caches, state.done, between)

    def _encode(
        self,
        frames: Tensor,
        lengths: Tensor,
        chunk_frames: int,
        caches: Sequence[Cache] = (),
        done: int = 0,
        between: Between | None = None,
    ) -> tuple[Tensor, tuple[Cache, ...]]:
        """Subsampled frames (B, T', D) through all layers, after ``done`` others."""
        view = self._view(lengths, frames, chunk_frames, caches)
        if self.positions == "sinusoidal":
            count, dim = frames.shape[1:]
            frames = frames + sinusoidal_positions(count, dim, frames, first=done)
        sequence = self.dropout(frames)
        kept = []
        for index, layer in enumerate(self.layers):
            sequence, cache = layer(sequence, view, caches[index] if caches else ())
            kept.append(cache)
            if between is not None:
                sequence = between(index + 1, sequence, lengths)
        return self.norm(sequence), tuple(kept)

    def _view(
        self, lengths: Tensor, frames: Tensor, chunk_frames: int, caches: Sequence[Cache]
    ) -> View:
        count = frames.shape[1]
        past = caches[0][0].shape[2] if caches else 0
        visible = visible_frames(lengths, count, past, chunk_frames, self.left_chunks)
        rotary = None
        if self.positions == "rotary":
            rotary = rotary_positions(past + count, self.head_dim, frames)
        kept = self.left_chunks * chunk_frames if self.left_chunks >= 0 else -1
        return View(lengths, visible, rotary, chunk_frames, kept)

    def _layers(self) -> list[AttentionLayer]:
        return [layer for layer in self.layers if isinstance(layer, AttentionLayer)]


def check_widths(hidden_dim: int, num_layers: int, num_heads: int, **others: int) -> None:
    """Raise SeqlabError unless all are at least 1 and heads of even width fill ``hidden_dim``."""
    sizes = {"hidden_dim": hidden_dim, "num_layers": num_layers, "num_heads": num_heads}
    for name, value in (sizes | others).items():
        check_at_least(name, value, 1)
    if hidden_dim % (2 * num_heads):
        raise SeqlabError(
            f"hidden_dim={hidden_dim} must be divisible by 2 * num_heads = {2 * num_heads}"
        )
