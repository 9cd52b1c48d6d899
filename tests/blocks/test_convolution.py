"""Convolutions over frames and images against torch's own, and what they keep zero."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from seqlab.blocks.convolution import (
    MaskedActivation,
    SeparableConv,
    SqueezeExcitation,
)
from seqlab.blocks.frames import FrameConv
from seqlab.blocks.image import ImageConv
from seqlab.blocks.image_residual import ResidualImageBlock
from seqlab.blocks.subsampling import ConvSubsampling
from seqlab.errors import SeqlabError
from seqlab.lengths import valid_mask, zero_padding


@pytest.mark.parametrize("kernel_size", [1, 3, 11])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("groups", [1, 6])
@pytest.mark.parametrize("frames", [1, 2, 13])
def test_frame_conv_equals_conv1d(kernel_size, stride, groups, frames):
    conv = FrameConv(6, 12, kernel_size, stride, groups)
    sequence = torch.randn(3, frames, 6)
    expected = functional.conv1d(
        sequence.transpose(1, 2),
        conv.weight,
        conv.bias,
        stride=stride,
        padding=kernel_size // 2,
        groups=groups,
    ).transpose(1, 2)
    torch.testing.assert_close(conv(sequence), expected)
    assert conv.output_lengths(frames) == expected.shape[1]


def test_image_conv_equals_conv2d():
    conv = ImageConv(3, 5, 3, time_stride=2, frequency_stride=3)
    image = torch.randn(2, 9, 10, 3)
    expected = functional.conv2d(
        image.permute(0, 3, 1, 2), conv.weight, stride=(2, 3), padding=1
    ).permute(0, 2, 3, 1)
    torch.testing.assert_close(conv(image), expected)
    assert (conv.output_lengths(9), conv.output_bins(10)) == tuple(expected.shape[1:3])


def test_separable_conv_is_depthwise_then_pointwise():
    layer = SeparableConv(4, 6, 5, stride=2).eval()
    sequence = torch.randn(2, 11, 4)
    lengths = torch.tensor([11, 6])
    result, frames = layer(zero_padding(sequence, lengths), lengths)
    full = torch.einsum(
        "oi,ik->oik", layer.convolution[1].weight[..., 0], layer.convolution[0].weight[:, 0]
    )
    images = zero_padding(sequence, lengths).transpose(1, 2)
    expected = functional.conv1d(images, full, stride=2, padding=2).transpose(1, 2)
    expected = zero_padding((expected / (1 + 1e-5) ** 0.5).relu(), frames)
    assert frames.tolist() == [6, 3]
    torch.testing.assert_close(result, expected)


@pytest.mark.parametrize("name", ["relu", "sigmoid", "log_sigmoid", "tanh", "softsign"])
def test_activation_leaves_padding_zero(name):
    lengths = torch.tensor([3, 1])
    sequence = zero_padding(torch.randn(2, 4, 5), lengths)
    result = MaskedActivation(name)(sequence, lengths)
    assert not result[~valid_mask(lengths, 4)].any()


def test_squeeze_excitation_by_hand():
    gate = SqueezeExcitation(2, reduction=2)
    lengths = torch.tensor([2])
    sequence = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [0.0, 0.0]]])
    scale = gate.gate(torch.tensor([[2.0, 4.0]]))
    torch.testing.assert_close(gate(sequence, lengths), sequence * scale)


def test_residual_block_adds_its_input():
    block = ResidualImageBlock(4, 4).eval()
    with torch.no_grad():
        block.norm2.weight.zero_()
    image = torch.randn(1, 5, 6, 4)
    result, lengths = block(image, torch.tensor([5]))
    assert torch.equal(result, image.relu()) and lengths.tolist() == [5]


@pytest.mark.parametrize(("factor", "frames"), [(1, 21), (2, 11), (4, 6), (8, 3)])
def test_subsampling_factor(factor, frames):
    layer = ConvSubsampling(7, 9, factor)
    result, lengths = layer(torch.randn(2, 21, 7), torch.tensor([21, 1]))
    assert result.shape == (2, frames, 9) and lengths.tolist() == [frames, 1]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: FrameConv(3, 4, kernel_size=4), "use 3 or 5"),
        (lambda: FrameConv(3, 4, stride=0), "stride=0"),
        (lambda: ImageConv(3, 4, groups=2), "groups=2 must divide"),
        (lambda: ImageConv(3, 4, frequency_stride=0), "frequency_stride=0"),
        (lambda: ConvSubsampling(3, 4, factor=3), "must be 1, 2, 4 or 8"),
        (lambda: SqueezeExcitation(4, reduction=0), "reduction=0"),
        (lambda: MaskedActivation("relu", dropout=1.0), "dropout=1.0"),
    ],
)
def test_bad_arguments(build, message):
    with pytest.raises(SeqlabError, match=message):
        build()
