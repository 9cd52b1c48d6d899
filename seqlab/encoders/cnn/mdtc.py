"""Multi-scale depthwise temporal convolution for wake words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from seqlab.blocks.convolution import ConvLayer, NormalizedConv
from seqlab.blocks.frames import CausalConv, FrameConv
from seqlab.blocks.residual_frames import ResidualFrames
from seqlab.blocks.streaming import chain_state, chain_step
from seqlab.checks import check_at_least
from seqlab.encoders.cnn.frame_network import FrameNetworkEncoder
from seqlab.lengths import Length


class MDTCEncoder(FrameNetworkEncoder):
    """Stacks of dilated depthwise convolutions over time, whose results are summed.

    Use it with ``causal=True`` to listen for wake words in a stream. In each stack the dilation
    doubles from block to block; the sum over the stacks sees short and long contexts alike. With
    the defaults a frame's context is 245 frames.

    Args:
        input_dim: Features a frame, at least 1.
        hidden_dim: Channels of every block, at least 1.
        stacks: Stacks of blocks, at least 1.
        stack_size: Blocks in a stack, with dilations 1, 2, 4 ..., at least 1.
        kernel_size: Frames under each depthwise kernel, odd.
        subsampling: Stride of the first block, from 1 to ``kernel_size``.
        dropout: Probability in [0, 1) after each block.
        activation: Name of an activation.
        causal: Whether all kernels look back only, to follow a stream.

    Raises:
        SeqlabError: If an argument is out of range.

    Source: Hou et al. 2021, "The NPU System for the 2020 Personalized Voice Trigger Challenge",
    section 3 (MDTC); sizes as in Wang et al. 2023, "WeKws: A Production First Small-Footprint
    End-to-End Keyword Spotting Toolkit". Deviation: convolutions in front of a batch norm, which
    takes it away again, have no bias.

    Example:
        >>> import torch
        >>> encoder = MDTCEncoder(80, causal=True)
        >>> encoded, lengths = encoder(torch.zeros(2, 98, 80), torch.tensor([98, 50]))
        >>> tuple(encoded.shape), lengths.tolist()
        ((2, 98, 64), [98, 50])
    """

    def __init__(
        self,
        input_dim: int,
        hidden_dim: int = 64,
        stacks: int = 4,
        stack_size: int = 4,
        kernel_size: int = 5,
        subsampling: int = 1,
        dropout: float = 0.0,
        activation: str = "relu",
        causal: bool = False,
    ) -> None:
        check_at_least("input_dim", input_dim, 1)
        check_at_least("stacks", stacks, 1)
        check_at_least("stack_size", stack_size, 1)
        # The first block has no connection around it, since the width changes there.
        first = _layers(input_dim, hidden_dim, kernel_size, subsampling, 1, activation, causal)
        first.append(
            NormalizedConv(hidden_dim, hidden_dim, 1, 1, activation, dropout, causal=causal)
        )
        settings = (kernel_size, activation, dropout, causal)
        dilations = [2**index for index in range(stack_size)]
        summed = _SummedStacks(
            [
                [_block(hidden_dim, dilation, *settings) for dilation in dilations]
                for _ in range(stacks)
            ]
        )
        super().__init__(input_dim, hidden_dim, [*first, summed], subsampling, causal)


def _layers(
    dim: int,
    width: int,
    kernel_size: int,
    stride: int,
    dilation: int,
    activation: str,
    causal: bool,
) -> list[ConvLayer]:
    """A depthwise layer and a pointwise one, each with its batch norm."""
    kind = CausalConv if causal else FrameConv
    depthwise = kind(dim, dim, kernel_size, stride, groups=dim, bias=False, dilation=dilation)
    return [
        ConvLayer([depthwise], None, 0.0),
        NormalizedConv(dim, width, 1, 1, activation, causal=causal),
    ]


def _block(
    dim: int, dilation: int, kernel_size: int, activation: str, dropout: float, causal: bool
) -> ResidualFrames:
    body = _layers(dim, dim, kernel_size, 1, dilation, activation, causal)
    body.append(NormalizedConv(dim, dim, 1, 1, None, causal=causal))
    return ResidualFrames(body, None, activation, dropout)


class _SummedStacks(nn.Module):
    """Stacks one after the other; the sum of what each of them gives. No strides."""

    def __init__(self, stacks: Sequence[Sequence[ResidualFrames]]) -> None:
        super().__init__()
        self.stacks = nn.ModuleList(nn.ModuleList(stack) for stack in stacks)

    def forward(self, sequence: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        results = []
        for stack in self._stacks():
            for block in stack:
                sequence, lengths = block(sequence, lengths)
            results.append(sequence)
        return sum(results[1:], results[0]), lengths

    def output_lengths(self, lengths: Length) -> Length:
        return lengths

    def initial_state(self, batch_size: int = 1) -> tuple[Any, ...]:
        return tuple(chain_state(stack, batch_size) for stack in self._stacks())

    def step(self, sequence: Tensor, state: tuple[Any, ...]) -> tuple[Tensor, tuple[Any, ...]]:
        results, after = [], []
        for stack, before in zip(self._stacks(), state, strict=True):
            sequence, kept = chain_step(stack, sequence, before)
            results.append(sequence)
            after.append(kept)
        return sum(results[1:], results[0]), tuple(after)

    def flush(self, state: tuple[Any, ...]) -> Tensor:
        past: Tensor = state[0][0][0]
        return past[:, :0]  # none: the strides are 1

    def _stacks(self) -> list[list[ResidualFrames]]:
        return [
            [block for block in stack.children() if isinstance(block, ResidualFrames)]
            for stack in self.stacks
        ]
