"""Causal convolutions and those within chunks, against torch's on padded or cut sequences."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from seqlab.blocks.cnn import ConvPoolBlock
from seqlab.blocks.convolution import SeparableConv
from seqlab.blocks.depthwise import is_slow_backward
from seqlab.blocks.frames import CausalConv, ChunkedConv, FrameConv
from seqlab.blocks.image import CausalImageConv
from seqlab.blocks.streaming import chain_flush, chain_state, chain_step
from seqlab.blocks.subsampling import ConvSubsampling
from seqlab.errors import SeqlabError


def pieces_of(layer, sequence, sizes):
    """What a layer of a stream gives for a sequence cut into pieces."""
    state, pieces = layer.initial_state(len(sequence)), []
    for piece in sequence.split(sizes, dim=1):
        passed, state = layer.step(piece, state)
        pieces.append(passed)
    return torch.cat([*pieces, layer.flush(state)], dim=1)


@pytest.mark.parametrize("dilation", [1, 3])
@pytest.mark.parametrize("frames", [1, 2, 13])
def test_dilated_frame_conv_equals_conv1d(dilation, frames):
    conv = FrameConv(4, 6, 3, dilation=dilation)
    sequence = torch.randn(2, frames, 4)
    expected = functional.conv1d(
        sequence.transpose(1, 2), conv.weight, conv.bias, padding=dilation, dilation=dilation
    )
    torch.testing.assert_close(conv(sequence), expected.transpose(1, 2))


@pytest.mark.parametrize(("kernel_size", "stride", "dilation"), [(5, 2, 1), (3, 3, 1), (3, 1, 4)])
@pytest.mark.parametrize("frames", [1, 6, 13])
def test_causal_conv_equals_conv1d_over_zeros_in_front(kernel_size, stride, dilation, frames):
    conv = CausalConv(4, 6, kernel_size, stride, dilation=dilation)
    sequence = torch.randn(2, frames, 4)
    span = dilation * (kernel_size - 1) + 1
    padded = functional.pad(sequence.transpose(1, 2), (span - stride, stride - 1))
    expected = functional.conv1d(padded, conv.weight, conv.bias, stride, dilation=dilation)
    torch.testing.assert_close(conv(sequence), expected.transpose(1, 2))
    assert conv.output_lengths(frames) == expected.shape[2] == -(-frames // stride)


@settings(max_examples=40, deadline=None)
@given(
    kernel_size=st.sampled_from([1, 3, 5]),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 3),
    sizes=st.lists(st.integers(0, 7), min_size=1, max_size=6),
)
def test_causal_conv_steps_as_it_runs(kernel_size, stride, dilation, sizes):
    if dilation * (kernel_size - 1) + 1 < stride:
        with pytest.raises(SeqlabError, match="must span at least the stride"):
            CausalConv(3, 2, kernel_size, stride, dilation=dilation)
        return
    conv = CausalConv(3, 2, kernel_size, stride, dilation=dilation)
    sequence = torch.randn(2, sum(sizes), 3)
    with torch.no_grad():
        torch.testing.assert_close(pieces_of(conv, sequence, sizes), conv(sequence))


@settings(max_examples=30, deadline=None)
@given(
    factor=st.sampled_from([1, 2, 4, 8]), sizes=st.lists(st.integers(0, 9), min_size=1, max_size=7)
)
def test_subsampling_steps_as_it_runs(factor, sizes):
    layer = ConvSubsampling(3, 4, factor, activation="sigmoid")
    frames = sum(sizes)
    sequence = torch.randn(2, frames, 3)
    with torch.no_grad():
        expected, lengths = layer(sequence, torch.tensor([frames, frames]))
        torch.testing.assert_close(pieces_of(layer, sequence, sizes), expected)
    assert lengths.tolist() == [-(-frames // factor)] * 2


def test_subsampled_frame_needs_its_own_frames_and_earlier_ones():
    layer = ConvSubsampling(3, 4, 4, activation="tanh")
    sequence = torch.randn(1, 40, 3, requires_grad=True)
    subsampled, _ = layer(sequence, torch.tensor([40]))
    (gradient,) = torch.autograd.grad(subsampled[0, 5].sum(), sequence)
    seen = gradient[0].abs().sum(-1).nonzero().flatten()
    # kernels of 5 and strides of 2: frames 7 to 11 of the halved ones, 2 * 7 - 3 to 2 * 11 + 1
    assert (int(seen.min()), int(seen.max())) == (11, 23)


@pytest.mark.parametrize("kernel_size", [1, 3, 9])
@pytest.mark.parametrize("chunk_frames", [1, 2, 5, 30])
@pytest.mark.parametrize("frames", [1, 10, 13])
def test_chunked_conv_sees_zeros_behind_each_chunk(kernel_size, chunk_frames, frames):
    conv = ChunkedConv(3, kernel_size)
    sequence = torch.randn(2, frames, 3)
    expected = torch.empty_like(sequence)
    for start in range(0, frames, chunk_frames):
        end = min(frames, start + chunk_frames)
        seen = torch.cat([sequence[:, :end], torch.zeros(2, frames - end, 3)], dim=1)
        expected[:, start:end] = conv(seen)[:, start:end]
    torch.testing.assert_close(conv(sequence, chunk_frames), expected)
    cut = frames // chunk_frames // 2 * chunk_frames
    past = conv.initial_tail(2)
    first = conv(sequence[:, :cut], chunk_frames, past) if cut else sequence[:, :0]
    past = conv.tail(sequence[:, :cut], past)
    second = conv(sequence[:, cut:], chunk_frames, past)
    torch.testing.assert_close(torch.cat([first, second], dim=1), expected)


def test_chunked_conv_without_chunks_is_centred():
    conv = ChunkedConv(3, 5)
    sequence = torch.randn(2, 9, 3)
    expected = functional.conv1d(
        sequence.transpose(1, 2), conv.weight, conv.bias, padding=2, groups=3
    )
    torch.testing.assert_close(conv(sequence), expected.transpose(1, 2))


def test_chain_passes_on_what_each_layer_held():
    layers = [SeparableConv(3, 4, 3, 2, causal=True).eval() for _ in range(1)]
    layers.append(SeparableConv(4, 5, 5, 3, causal=True).eval())
    sequence = torch.randn(1, 10, 3)
    with torch.no_grad():
        first, lengths = layers[0](sequence, torch.tensor([10]))
        expected, _ = layers[1](first, lengths)
        passed, states = chain_step(layers, sequence, chain_state(layers))
        result = torch.cat([passed, chain_flush(layers, states)], dim=1)
    torch.testing.assert_close(result, expected)


def test_causal_image_conv_equals_conv2d_over_zeros_in_front():
    conv = CausalImageConv(2, 3, 3)
    image = torch.randn(2, 7, 6, 2)
    padded = functional.pad(image.permute(0, 3, 1, 2), (1, 1, 2, 0))
    expected = functional.conv2d(padded, conv.weight).permute(0, 2, 3, 1)
    torch.testing.assert_close(conv(image), expected)


def test_pooling_block_equals_torch():
    block = ConvPoolBlock(1, 3, time_pool=2, frequency_pool=3).eval()
    image = torch.randn(1, 9, 8, 1)
    x = image.permute(0, 3, 1, 2)
    for conv in (block.conv1, block.conv2):
        x = functional.relu(functional.conv2d(x, conv.weight, padding=1) / (1 + 1e-5) ** 0.5)
    expected = functional.max_pool2d(x, (2, 3)).permute(0, 2, 3, 1)
    result, lengths = block(image, torch.tensor([9]))
    assert lengths.tolist() == [4] and block.output_bins(8) == 2
    torch.testing.assert_close(result, expected)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: FrameConv(3, 4, dilation=0), "dilation=0"),
        (lambda: CausalConv(3, 4, 3, stride=4), "use 5 or more"),
        (lambda: ChunkedConv(3, 4), "kernel_size=4 must be odd"),
        (lambda: ConvPoolBlock(1, 3, time_pool=0), "time_pool=0"),
        (lambda: ConvPoolBlock(1, 3, frequency_pool=0), "frequency_pool=0"),
    ],
)
def test_bad_arguments(build, message):
    with pytest.raises(SeqlabError, match=message):
        build()


@pytest.mark.parametrize("kind", [FrameConv, CausalConv])
@pytest.mark.parametrize(
    ("kernel_size", "stride", "dilation", "bias"),
    [(5, 1, 4, True), (3, 1, 1, False), (5, 3, 1, True), (9, 2, 2, False), (3, 1, 40, True)],
)
def test_gradients_of_depthwise_convolutions(
    kind: type[FrameConv], kernel_size: int, stride: int, dilation: int, bias: bool
) -> None:
    """In single precision they are compiled loops; torch's own of double precision is right."""
    torch.manual_seed(0)
    fast = kind(6, 6, kernel_size, stride, 6, bias, dilation)
    right = kind(6, 6, kernel_size, stride, 6, bias, dilation).double()
    right.load_state_dict(fast.state_dict())
    sequence = torch.randn(3, 150, 6, requires_grad=True)
    double = sequence.detach().double().requires_grad_()
    result, wanted = fast(sequence), right(double)
    assert is_slow_backward(sequence, fast.weight) and not is_slow_backward(double, right.weight)
    above = torch.randn_like(result)
    result.backward(above)
    wanted.backward(above.double())
    torch.testing.assert_close(result.double(), wanted, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(sequence.grad.double(), double.grad, rtol=1e-5, atol=1e-5)
    for single, true in zip(fast.parameters(), right.parameters(), strict=True):
        torch.testing.assert_close(single.grad.double(), true.grad, rtol=1e-5, atol=2e-5)


def test_gradients_keep_single_precision_where_another_is_the_default() -> None:
    convolution = CausalConv(4, 4, 3, groups=4, dilation=2)
    sequence = torch.randn(2, 9, 4, requires_grad=True)
    torch.set_default_dtype(torch.float64)
    try:
        convolution(sequence).sum().backward()
    finally:
        torch.set_default_dtype(torch.float32)
    assert sequence.grad.dtype == torch.float32
