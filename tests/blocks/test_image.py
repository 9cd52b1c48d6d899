"""Image convolutions, their layers and norms, against torch's on padded images; and streams."""

from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.nn import functional

from seqlab.blocks.image import CausalImageConv, ImageConv, sides
from seqlab.blocks.image_stream import ImageMean, NormalizedImage
from seqlab.blocks.sub_spectral import SubSpectralNorm
from seqlab.errors import SeqlabError
from tests.contract.invariants import noise

SIZES = st.tuples(st.integers(1, 6), st.integers(1, 6))
STEPS = st.tuples(st.integers(1, 3), st.integers(1, 3))


def poison() -> None:
    """Leave NaN in the memory that the next tensors take."""
    blocks = [torch.full((size,), float("nan")) for size in (16, 64, 256, 1024, 4096)]
    del blocks


def plain(conv, image, time_padding):
    """conv2d in double precision over zeros that are really there, channels first."""
    padded = functional.pad(image.double(), (0, 0, *conv.frequency_padding, *time_padding))
    first = padded.permute(0, 3, 1, 2).contiguous()
    bias = None if conv.bias is None else conv.bias.double()
    weight = conv.weight.double()
    result = functional.conv2d(first, weight, bias, conv.stride, 0, conv.dilation, conv.groups)
    return result.permute(0, 2, 3, 1).float()


@settings(max_examples=80, deadline=None)
@given(SIZES, STEPS, STEPS, st.integers(1, 12), st.integers(1, 9), st.booleans(), st.booleans())
def test_convolutions_equal_torch(kernel, stride, dilation, frames, bins, depthwise, training):
    dim = 4 if depthwise else 1
    groups = dim if depthwise else 1
    image = noise(2, frames, bins, dim)
    for kind in (ImageConv, CausalImageConv):
        if kind is CausalImageConv and dilation[0] * (kernel[0] - 1) + 1 < stride[0]:
            with pytest.raises(SeqlabError, match="must span at least the time_stride"):
                kind(dim, 8, kernel, *stride, dilation=dilation)
            continue
        conv = kind(dim, 8, kernel, *stride, True, dilation, groups).train(training)
        poison()
        result = conv(image)
        expected = plain(conv, image, conv.time_padding)
        torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-5)
        assert result.shape[1] == conv.output_lengths(frames) == -(-frames // stride[0])
        assert result.shape[2] == conv.output_bins(bins) == -(-bins // stride[1])


def test_one_bin_of_a_strided_kernel_reads_no_foreign_memory():
    """OneDNN's kernels for one channel do, where they give one bin."""
    conv = ImageConv(1, 8, 5, frequency_stride=2)
    for bins in (1, 2):
        image = noise(2, 150, bins, 1)
        for _ in range(5):
            poison()
            torch.testing.assert_close(conv(image), plain(conv, image, (2, 2)), atol=1e-5, rtol=0)


def test_kernels_within_the_frequencies():
    conv = ImageConv(2, 3, 5, pad_frequency=False)
    image = noise(1, 7, 8, 2)
    assert conv(image).shape == (1, 7, 4, 3) and conv.output_bins(8) == 4
    torch.testing.assert_close(conv(image), plain(conv, image, (2, 2)), atol=1e-5, rtol=1e-4)


def pieces_of(layer, image, sizes, *bins):
    state, pieces, seen = layer.initial_state(len(image), *bins), [], 0
    for size in sizes:
        passed, state = layer.step(image[:, seen : seen + size], state)
        pieces, seen = [*pieces, passed], seen + size
    return torch.cat([*pieces, layer.flush(state)], dim=1)


@settings(max_examples=80, deadline=None)
@given(SIZES, STEPS, STEPS, st.lists(st.integers(0, 7), min_size=1, max_size=6))
def test_causal_convolutions_step_as_they_run(kernel, stride, dilation, sizes):
    assume(dilation[0] * (kernel[0] - 1) + 1 >= stride[0])
    image = noise(2, sum(sizes), 5, 3)
    conv = CausalImageConv(3, 4, kernel, *stride, dilation=dilation)
    result = pieces_of(conv, image, sizes, 5)
    torch.testing.assert_close(result, conv(image), rtol=1e-4, atol=1e-5)
    layer = NormalizedImage(5, 3, 4, kernel, *stride, "sigmoid", dilation, causal=True).eval()
    whole, _ = layer(image, torch.full((2,), sum(sizes)))
    torch.testing.assert_close(pieces_of(layer, image, sizes), whole, rtol=1e-4, atol=1e-5)
    pool = ImageMean(5, 3, stride)
    whole, _ = pool(image, torch.full((2,), sum(sizes)))
    torch.testing.assert_close(pieces_of(pool, image, sizes), whole, rtol=1e-4, atol=1e-5)


def test_folded_norm_equals_the_norm():
    layer = NormalizedImage(6, 3, 5, (3, 2), 2, 1, "relu").train()
    lengths = torch.tensor([11, 4])
    for seed in range(3):
        layer(noise(2, 11, 6, 3, seed=seed), lengths)
    with torch.no_grad():
        layer.norm.weight.uniform_(0.5, 2)
        layer.norm.bias.uniform_(-1, 1)
    layer.eval()
    image = noise(2, 11, 6, 3)
    image[1, 4:] = 0
    result, after = layer(image, lengths)
    expected = layer.norm(layer.convolution(image), after).relu()
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-5)
    assert after.tolist() == [6, 2] and not result[1, 2:].any()


def test_sub_spectral_norm_equals_batch_norm_of_bands_as_channels():
    """Chang et al. 2021, section 3: (B, C, F, T) seen as (B, C S, F / S, T)."""
    ours, theirs = SubSpectralNorm(10, 3, 5), torch.nn.BatchNorm2d(15)
    with torch.no_grad():
        ours.weight.uniform_(0.5, 2)
        theirs.weight.copy_(ours.weight.view(5, 3).T.flatten())
    image = noise(4, 9, 10, 3) * 3 + 1
    for training in (True, False):
        ours.train(training), theirs.train(training)
        seen = image.permute(0, 3, 2, 1).reshape(4, 15, 2, 9)
        expected = theirs(seen).reshape(4, 3, 10, 9).permute(0, 3, 2, 1)
        result = ours(image, torch.full((4,), 9))
        torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-5)
    variance = theirs.running_var.view(3, 5).T.flatten()
    torch.testing.assert_close(ours.running_var, variance)


@pytest.mark.parametrize("bins", [10, 12])  # equal bands become one operator, others do not
def test_sub_spectral_norm_is_the_same_when_exported(bins):
    norm = SubSpectralNorm(bins, 3, 5).eval()
    with torch.no_grad():
        for values in (norm.weight, norm.running_var):
            values.uniform_(0.5, 2)
        for values in (norm.bias, norm.running_mean):
            values.uniform_(-1, 1)
    image, lengths = noise(2, 9, bins, 3), torch.tensor([9, 4])
    exported = torch.export.export(norm, (image, lengths))
    operators = [str(node.target) for node in exported.graph.nodes]
    assert any("batch_norm" in name for name in operators) == (bins == 10)
    torch.testing.assert_close(exported.module()(image, lengths), norm(image, lengths))


@given(bins=st.integers(1, 30), bands=st.integers(1, 8))
@settings(max_examples=40, deadline=None)
def test_bands_share_the_bins(bins, bands):
    norm = SubSpectralNorm(bins, 1, bands)
    assert sum(norm.sizes) == bins == len(norm.bands) and len(norm.sizes) == min(bands, bins)
    assert max(norm.sizes) - min(norm.sizes) <= 1
    image = noise(3, 40, bins, 1) * 2 + 5
    result = norm(image, torch.tensor([40, 25, 31])).detach()
    for part in torch.split(result, norm.sizes, dim=2):
        valid = torch.cat([part[0], part[1, :25], part[2, :31]])
        assert abs(float(valid.mean())) < 1e-4 and abs(float(valid.std()) - 1) < 0.01
    assert not result[1, 25:].any()


def test_mean_of_rectangles_by_hand():
    image = torch.arange(15.0).reshape(1, 5, 3, 1)
    pooled, lengths = ImageMean(3, 1, (2, 2))(image, torch.tensor([3]))
    # rows 0..2 of [0 1 2], [3 4 5], [6 7 8] in rectangles of 2 x 2; the third row stands alone
    assert pooled[0, :, :, 0].tolist() == [[2.0, 3.5], [6.5, 8.0], [0.0, 0.0]]
    assert lengths.tolist() == [2]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: sides("kernel_size", (3, 3, 3)), "must be one number, or a pair"),
        (lambda: ImageConv(3, 4, kernel_size=0), "kernel_size=0"),
        (lambda: ImageConv(3, 4, groups=2), "groups=2 must divide input_dim=3"),
        (lambda: CausalImageConv(3, 4, 1, 2), "use 2 or more"),
        (lambda: NormalizedImage(0, 1, 4), "bins=0"),
        (lambda: SubSpectralNorm(4, 3, bands=0), "bands=0"),
        (lambda: SubSpectralNorm(4, 3)(torch.zeros(1, 2, 5, 3), None), "must be \\(B, T, 4, 3\\)"),
        (lambda: ImageMean(0, 3, 2), "bins=0"),
    ],
)
def test_bad_arguments(build, message):
    with pytest.raises(SeqlabError, match=message):
        build()
