"""Pooling, upsampling and blocks over images against torch's own, and what padding cannot do."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from seqlab.blocks.image_branches import DenseBlock, DenseTransition, InceptionBlock
from seqlab.blocks.image_chain import ImageBlock, ImageChain, ImageLayer
from seqlab.blocks.image_pooling import (
    AverageImagePool,
    GlobalImagePool,
    MaxImagePool,
    SpatialPyramidPool,
)
from seqlab.blocks.image_residual import (
    BottleneckImageBlock,
    ImageSqueezeExcitation,
    ResidualImageBlock,
)
from seqlab.blocks.image_upsampling import ImageUpsample, TransposedImageConv, max_unpool
from seqlab.errors import SeqlabError

DIM = 3
POOLS = [(2, 2, 2), (3, 2, 1), ((3, 1), 1, 1), (3, 3, 2), ((4, 5), 2, 3), (5, 1, 1)]

BLOCKS = {
    "layer": lambda: ImageLayer(DIM, 4, (3, 5), 2, 1),
    "biased": lambda: ImageLayer(DIM, 4, batch_norm=False, activation="sigmoid"),
    "max": lambda: MaxImagePool(DIM, 3, 2, 2),
    "mean": lambda: AverageImagePool(DIM, (3, 2), 2, 2),
    "nearest": lambda: ImageUpsample(DIM, 3, 2),
    "bilinear": lambda: ImageUpsample(DIM, 2, 3, "bilinear"),
    "transposed": lambda: TransposedImageConv(DIM, 4, (5, 2), 2, 1),
    "inception": lambda: InceptionBlock(DIM, (2, 3, 4, 2, 3, 1)),
    "dense": lambda: DenseBlock(DIM, 2, 4),
    "transition": lambda: DenseTransition(DIM, 2),
    "residual": lambda: ResidualImageBlock(DIM, 4, 2, dilation=2, reduction=2),
    "bottleneck": lambda: BottleneckImageBlock(DIM, 8, 1, 2),
    "chain": lambda: ImageChain([MaxImagePool(DIM, 2), ImageLayer(DIM, 2, 1)]),
}


def image(frames: int, bins: int = 6, batch_size: int = 2) -> torch.Tensor:
    return torch.randn(batch_size, frames, bins, DIM)


def first(tensor: torch.Tensor) -> torch.Tensor:
    """Channels first, as torch wants it; and back, twice."""
    return tensor.permute(0, 3, 1, 2)


def last(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.permute(0, 2, 3, 1)


def whole(tensor: torch.Tensor) -> torch.Tensor:
    return torch.full((tensor.shape[0],), tensor.shape[1])


@pytest.mark.parametrize("name", BLOCKS)
@settings(max_examples=8, deadline=None)
@given(lengths=st.lists(st.integers(0, 11), min_size=1, max_size=3), bins=st.integers(1, 7))
def test_padding_reaches_nothing(name, lengths, bins):
    torch.manual_seed(0)
    block = BLOCKS[name]().eval()
    padded = image(max(lengths) + 2, bins, len(lengths))
    for row, length in zip(padded, lengths, strict=True):
        row[length:] = 0
    with torch.no_grad():
        result, after = block(padded, torch.tensor(lengths))
        assert after.tolist() == [block.output_lengths(length) for length in lengths]
        assert result.shape[1] == block.output_lengths(padded.shape[1])
        if isinstance(block, ImageBlock):
            assert result.shape[2:] == (block.output_bins(bins), block.output_dim)
        for row, item, length, count in zip(result, padded, lengths, after.tolist(), strict=True):
            assert not row[count:].any()
            alone = block(item[None, :length], torch.tensor([length]))[0][0]
            torch.testing.assert_close(row[:count], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("kernel_size", "time_stride", "frequency_stride"), POOLS)
@pytest.mark.parametrize("frames", [1, 2, 6, 9])
def test_pooling_equals_torch(kernel_size, time_stride, frequency_stride, frames):
    sides = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
    padding = tuple((side - 1) // 2 for side in sides)
    settings_ = (sides, (time_stride, frequency_stride), padding)
    x = image(frames, 7)
    rows, columns = -(-frames // time_stride), -(-7 // frequency_stride)
    for kind, expected in (
        (MaxImagePool, functional.max_pool2d(first(x), *settings_, ceil_mode=True)),
        (AverageImagePool, functional.avg_pool2d(first(x), *settings_, True, False)),
    ):
        result, _ = kind(DIM, kernel_size, time_stride, frequency_stride)(x, whole(x))
        torch.testing.assert_close(result, last(expected)[:, :rows, :columns])
        assert result.shape == (2, rows, columns, DIM)


def test_pooling_of_whole_images_equals_torch():
    x = image(9)
    flat = x.flatten(1, 2)
    torch.testing.assert_close(GlobalImagePool("mean", DIM)(x, whole(x)), flat.mean(1))
    torch.testing.assert_close(GlobalImagePool("max", DIM)(x, whole(x)), flat.amax(1))
    attention = GlobalImagePool("attention", DIM)
    weights = attention.pooling.score(flat).softmax(1)
    torch.testing.assert_close(attention(x, whole(x)), (weights * flat).sum(1))


@pytest.mark.parametrize("name", ["mean", "max", "attention"])
def test_pooling_of_whole_images_ignores_padding(name):
    pool = GlobalImagePool(name, DIM)
    x = image(9)
    spoilt = torch.cat([x, torch.full_like(x, float("nan"))], dim=1)
    torch.testing.assert_close(pool(spoilt, whole(x)), pool(x, whole(x)))
    assert not pool(spoilt, torch.tensor([0, 0])).any()


@pytest.mark.parametrize("name", ["max", "mean"])
@pytest.mark.parametrize("frames", [1, 3, 4, 10])
def test_pyramid_equals_torch(name, frames):
    x = image(frames, 5)
    adaptive = {"max": functional.adaptive_max_pool2d, "mean": functional.adaptive_avg_pool2d}
    expected = [last(adaptive[name](first(x), level)).flatten(1) for level in (1, 2, 4)]
    pool = SpatialPyramidPool(DIM, (1, 2, 4), name)
    result = pool(x, whole(x))
    torch.testing.assert_close(result, torch.cat(expected, dim=1))
    assert result.shape[1] == pool.output_dim


def test_pyramid_ignores_padding():
    pool, x = SpatialPyramidPool(DIM, (1, 3)), image(8)
    spoilt = torch.cat([x, torch.full_like(x, float("nan"))], dim=1)
    torch.testing.assert_close(pool(spoilt, torch.tensor([8, 0]))[0], pool(x, whole(x))[0])
    assert not pool(spoilt, torch.tensor([8, 0]))[1].any()
    assert not pool(x[:, :0], torch.tensor([0, 0])).any()


@pytest.mark.parametrize("kernel_size", [2, 3])
def test_unpooling_equals_torch(kernel_size):
    x = image(kernel_size * 3, kernel_size * 2)
    pooled, where, lengths = MaxImagePool(DIM, kernel_size).with_indices(x, whole(x))
    if kernel_size == 2:
        expected = functional.max_unpool2d(
            *functional.max_pool2d(first(x), 2, return_indices=True), 2
        )
        torch.testing.assert_close(
            max_unpool(pooled, where, lengths, x.shape[1], x.shape[2]), last(expected)
        )
    back = max_unpool(pooled, where, lengths, x.shape[1], x.shape[2])
    assert (back[back != 0] == x[back != 0]).all()
    assert back.sum() == pytest.approx(float(pooled.sum()), rel=1e-5)


def test_unpooling_leaves_padding_and_its_neighbours_alone():
    x = -image(7).abs() - 1
    pool, lengths = MaxImagePool(DIM, 3, 2, 2), torch.tensor([7, 3])
    pooled, where, after = pool.with_indices(x, lengths)
    back = max_unpool(pooled, where, after, 7, 6)
    alone, where_alone, after_alone = pool.with_indices(x[1:, :3], lengths[1:])
    torch.testing.assert_close(back[1, :3], max_unpool(alone, where_alone, after_alone, 3, 6)[0])
    assert not back[1, 3:].any()


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_upsampling_equals_torch(mode):
    x = image(5)
    expected = functional.interpolate(first(x), scale_factor=(3, 2), mode=mode)
    result, lengths = ImageUpsample(DIM, 3, 2, mode)(x, whole(x))
    torch.testing.assert_close(result, last(expected))
    assert lengths.tolist() == [15, 15]


@pytest.mark.parametrize(("kernel_size", "stride"), [(2, 2), (4, 2), (3, 1), (5, 3)])
def test_transposed_convolution_equals_torch(kernel_size, stride):
    up = TransposedImageConv(DIM, 4, kernel_size, stride, stride)
    x = image(5)
    crop = (kernel_size - stride) // 2
    expected = functional.conv_transpose2d(first(x), up.weight, up.bias, stride, padding=crop)[
        :, :, : 5 * stride, : 6 * stride
    ]
    torch.testing.assert_close(up(x, whole(x))[0], last(expected))


def test_inception_is_its_branches_side_by_side():
    block, x = InceptionBlock(DIM, (2, 3, 4, 2, 3, 1), batch_norm=False), image(6)
    convolutions = [m for m in block.modules() if isinstance(m, torch.nn.Conv2d)]
    assert [tuple(c.kernel_size) for c in convolutions] == [
        (1, 1), (1, 1), (3, 3), (1, 1), (5, 5), (1, 1),
    ]  # fmt: skip
    one, reduce3, three, reduce5, five, behind = convolutions

    def run(conv, y):
        padding = conv.kernel_size[0] // 2
        return functional.conv2d(y, conv.weight, conv.bias, padding=padding).relu()

    y = first(x)
    expected = [
        run(one, y),
        run(three, run(reduce3, y)),
        run(five, run(reduce5, y)),
        run(behind, functional.max_pool2d(y, 3, 1, 1)),
    ]
    torch.testing.assert_close(block(x, whole(x))[0], last(torch.cat(expected, 1)))


def test_dense_block_keeps_its_input_and_adds_growth():
    block, x = DenseBlock(DIM, 3, 4).eval(), image(6)
    result, _ = block(x, whole(x))
    assert result.shape[-1] == block.output_dim == DIM + 3 * 4
    assert torch.equal(result[..., :DIM], x)
    squeeze, widen = block.squeeze[0], block.widen[0]
    scale = (1 + 1e-5) ** -0.5  # a batch norm that has seen nothing
    inner = functional.conv2d((first(x) * scale).relu(), squeeze.convolution.weight)
    new = functional.conv2d((inner * scale).relu(), widen.convolution.weight, padding=1)
    torch.testing.assert_close(result[..., DIM : DIM + 4], last(new), rtol=1e-4, atol=1e-5)


def test_gate_scales_channels_by_their_mean():
    gate, x = ImageSqueezeExcitation(DIM, 1), image(6)
    weights = gate.gate(x.mean((1, 2)))
    torch.testing.assert_close(gate(x, whole(x)), x * weights[:, None, None])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: MaxImagePool(0), "dim=0"),
        (lambda: MaxImagePool(1, 2, 1, 1), "kernel_size=2 with a stride of 1"),
        (lambda: MaxImagePool(1, 2, 3), "kernel_size=2 with a stride of 3 leaves gaps"),
        (lambda: AverageImagePool(1, (2, 3, 4)), "one number, or a pair"),
        (lambda: GlobalImagePool("meen", 1), "did you mean 'mean'"),
        (lambda: SpatialPyramidPool(1, ()), "number of levels=0"),
        (lambda: SpatialPyramidPool(1, (1, 0)), "levels=0"),
        (lambda: ImageUpsample(1, 0), "time_factor=0"),
        (lambda: ImageUpsample(1, mode="cubic"), "mode='cubic' must be one of"),
        (lambda: TransposedImageConv(1, 1, 1, 2), "kernel_size=1 must be at least its stride 2"),
        (lambda: InceptionBlock(1, (1, 2)), "must be six"),
        (lambda: DenseBlock(1, 0, 4), "layers=0"),
        (
            lambda: max_unpool(image(2), image(3), torch.tensor([2, 2]), 4, 4),
            "shape of its indices",
        ),
        (lambda: BottleneckImageBlock(4, 6), "multiple of 4"),
    ],
)
def test_bad_arguments(build, message):
    with pytest.raises(SeqlabError, match=message):
        build()
