"""The classic image networks against published numbers of parameters, and under other settings.

The published networks have three input channels, ours one: the kernels of the first layer that
are not there are added explicitly, as are layers that belong to the head.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from seqlab.encoders.cnn.alexnet import AlexNetEncoder
from seqlab.encoders.cnn.densenet import DenseNetEncoder
from seqlab.encoders.cnn.googlenet import GoogLeNetEncoder
from seqlab.encoders.cnn.lenet import LeNetEncoder
from seqlab.encoders.cnn.nin import NiNEncoder
from seqlab.encoders.cnn.resnet import ResNetEncoder
from seqlab.encoders.cnn.vgg import VGGEncoder
from seqlab.errors import SeqlabError
from seqlab.heads.classifier import ClassifierHead
from tests.contract import invariants

HALVES = {"time_strides": (2,) * 5, "frequency_strides": (2,) * 5}
WIDE = (256, 512, 1024, 2048)


def count(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def test_lenet_with_its_head_has_61706_parameters():
    # C1 156, C3 2416 (every map reads all), C5 48120, F6 10164, output 850. C5 sees 5 x 5: with
    # centred kernels 20 bins leave five, where valid ones leave five of 32.
    encoder = LeNetEncoder(20)
    assert count(encoder) + count(ClassifierHead(84, 10)) == 61_706
    assert [count(block) for block in encoder.blocks.blocks] == [156, 0, 2416, 0]


def test_alexnet_convolutions_have_2469696_parameters():
    # torchvision.models.alexnet, `features`
    with torch.device("meta"):
        encoder = AlexNetEncoder(224, (64, 192, 384, 256, 256), batch_norm=False, hidden_dims=())
    assert count(encoder) + 2 * 64 * 11 * 11 == 2_469_696


@pytest.mark.parametrize(
    ("layers", "features", "total"),
    [  # torchvision.models.vgg16 and vgg19, `features`; the totals are in the paper's table 2
        ((2, 2, 3, 3, 3), 14_714_688, 138_357_544),
        ((2, 2, 4, 4, 4), 20_024_384, 143_667_240),
    ],
)
def test_vgg_has_the_published_parameters(layers, features, total):
    pools = {"time_pools": (2,) * 5, "frequency_pools": (2,) * 5, "batch_norm": False}
    with torch.device("meta"):
        vgg = VGGEncoder(
            224, (64, 128, 256, 512, 512), layers, **pools, hidden_dims=(4096, 4096), context=7
        )
        head = ClassifierHead(4096, 1000)
    missing = 2 * 64 * 9
    assert count(vgg.blocks) + missing == features
    assert count(vgg) + missing + count(head) == total


def test_nin_has_966986_parameters():
    # The authors' CIFAR-10 network; its last 1 x 1 convolution, to ten classes, is the head's.
    widths = ((192, 160, 96), (192, 192, 192), (192, 192))
    encoder = NiNEncoder(32, widths, batch_norm=False)
    assert count(encoder) + 2 * 192 * 25 + count(ClassifierHead(192, 10)) == 966_986


@pytest.mark.parametrize(
    ("wide_kernel", "batch_norm", "total"),
    [  # the published network with biases; torchvision.models.googlenet, which has 3 x 3 for 5 x 5
        (5, False, 6_998_552),
        (3, True, 6_624_904),
    ],
)
def test_googlenet_has_the_published_parameters(wide_kernel, batch_norm, total):
    with torch.device("meta"):
        encoder = GoogLeNetEncoder(
            224, 1.0, wide_kernel=wide_kernel, batch_norm=batch_norm, **HALVES
        )
    assert encoder.output_dim == 1024
    assert count(encoder) + 2 * 64 * 49 + count(ClassifierHead(1024, 1000)) == total


@pytest.mark.parametrize(
    ("arguments", "trunk"),
    [  # torchvision's resnet18, 34, 50 without `fc`; SE-ResNet-50 (28.1 M with it) by hand
        ({"widths": (64, 128, 256, 512)}, 11_176_512),
        ({"widths": (64, 128, 256, 512), "blocks": (3, 4, 6, 3)}, 21_284_672),
        ({"widths": WIDE, "blocks": (3, 4, 6, 3), "kind": "bottleneck"}, 23_508_032),
        (
            {"widths": WIDE, "blocks": (3, 4, 6, 3), "kind": "bottleneck", "reduction": 16},
            28_088_024 - 2_049_000,
        ),
    ],
)
def test_resnet_has_the_published_parameters(arguments, trunk):
    with torch.device("meta"):
        assert count(ResNetEncoder(224, **arguments)) + 2 * 64 * 49 == trunk


@pytest.mark.parametrize(
    ("layers", "growth", "stem_dim", "features"),
    [  # torchvision's densenet121, densenet161, densenet169 without `classifier`
        ((6, 12, 24, 16), 32, 64, 7_978_856 - 1_025_000),
        ((6, 12, 36, 24), 48, 96, 28_681_000 - 2_209_000),
        ((6, 12, 32, 32), 32, 64, 14_149_480 - 1_665_000),
    ],
)
def test_densenet_has_the_published_parameters(layers, growth, stem_dim, features):
    with torch.device("meta"):
        encoder = DenseNetEncoder(224, layers, growth, stem_dim, **HALVES)
    assert count(encoder) + 2 * stem_dim * 49 == features


def published_resnet(encoder: ResNetEncoder, image: torch.Tensor) -> torch.Tensor:
    """ResNet-18 as torchvision defines it, over an image (B, 1, T, F), with our weights."""

    def normalized(x, norm):
        settings = (norm.running_mean, norm.running_var, norm.weight, norm.bias)
        return functional.batch_norm(x, *settings, training=False, eps=1e-5)

    stem, _, *blocks = encoder.blocks.blocks
    x = functional.conv2d(image, stem.convolution.weight, stride=2, padding=3)
    x = functional.max_pool2d(functional.relu(normalized(x, stem.norm)), 3, 2, padding=1)
    for block in blocks:
        stride = block.strides[0]
        identity = x
        if block.shortcut is not None:
            identity = functional.conv2d(x, block.shortcut.weight, stride=stride)
            identity = normalized(identity, block.shortcut_norm)
        x = functional.conv2d(x, block.conv1.weight, stride=stride, padding=1)
        x = functional.relu(normalized(x, block.norm1))
        x = normalized(functional.conv2d(x, block.conv2.weight, padding=1), block.norm2)
        x = functional.relu(x + identity)
    return x.mean((2, 3))


def test_resnet_computes_what_torchvision_defines():
    strides = (2, 2, 1, 2, 2, 2)
    encoder = ResNetEncoder(
        33, (8, 16, 24, 32), time_strides=strides, frequency_strides=strides
    ).train()
    encoder(torch.randn(2, 64, 33) * 2 + 1, torch.tensor([64, 64]))  # moves the running averages
    encoder.eval()
    features = torch.randn(2, 75, 33)
    with torch.no_grad():
        encoded, lengths = encoder(features, torch.tensor([75, 75]))
        assert lengths.tolist() == [3, 3]  # 75, 38, 19, 19, 10, 5, 3
        expected = published_resnet(encoder, features[:, None])
    torch.testing.assert_close(encoded.mean(1), expected, rtol=1e-4, atol=1e-5)


VARIANTS = {
    "lenet": lambda: LeNetEncoder(7, (3, 4), 3, (3, 1), (1, 2), (5,), 1, "sigmoid"),
    "alexnet": lambda: AlexNetEncoder(
        7, (3, 4, 5, 4, 3), time_strides=(2, 1, 2, 2), batch_norm=False, hidden_dims=()
    ),
    "vgg": lambda: VGGEncoder(
        7, (3, 4), (1, 2), (3, 2), (2, 1), batch_norm=False, activation="silu"
    ),
    "nin": lambda: NiNEncoder(7, ((3, 4), (5,), (4, 3, 2)), batch_norm=False),
    "one stage": lambda: NiNEncoder(7, ((3, 4),), (3,), (), ()),
    "googlenet": lambda: GoogLeNetEncoder(
        7, 0.05, batch_norm=False, time_strides=(2, 1, 2, 1, 2), activation="log_sigmoid"
    ),
    "bottleneck": lambda: ResNetEncoder(
        7,
        (8, 12),
        (1, 2),
        "bottleneck",
        (1, 2, 1, 1),
        (1, 1, 2, 1),
        dilations=(1, 2),
        reduction=2,
        activation="sigmoid",
    ),
    "densenet": lambda: DenseNetEncoder(
        7, (1, 2), 3, 4, 2, 1.0, (2, 1, 3), (1, 2, 2), activation="gelu"
    ),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_other_settings_keep_the_contract(name):
    torch.manual_seed(1)
    encoder = VARIANTS[name]()
    invariants.check_padding(encoder, [37, 5, 1, 16, 0])
    invariants.check_padding_in_training(encoder)
    invariants.check_lengths(encoder, longest=13)
    invariants.check_empty_among_others(encoder)


@pytest.mark.parametrize(
    "kind",
    [
        LeNetEncoder,
        AlexNetEncoder,
        VGGEncoder,
        NiNEncoder,
        GoogLeNetEncoder,
        ResNetEncoder,
        DenseNetEncoder,
    ],
)
def test_one_frame_of_one_bin_is_encoded(kind):
    encoded, lengths = kind(1).eval()(torch.ones(1, 1, 1), torch.tensor([1]))
    assert encoded.shape[1] == 1 and lengths.tolist() == [1]
    assert encoded.isfinite().all()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: LeNetEncoder(9, (6,)), r"time_pools=\[2, 2\] must have 1 entries"),
        (lambda: LeNetEncoder(9, hidden_dims=(0,)), "hidden_dims=0"),
        (lambda: LeNetEncoder(9, context=4), "kernel_size=4 must be odd"),
        (lambda: AlexNetEncoder(9, (1, 2, 3)), r"widths=\[1, 2, 3\] must have 5 entries"),
        (lambda: VGGEncoder(9, layers=(1, 0, 1)), "layers=0"),
        (lambda: VGGEncoder(9, (), (), (), ()), "number of stages=0"),
        (lambda: NiNEncoder(9, ((2,), ())), "kernel_sizes"),
        (lambda: NiNEncoder(9, ((2,), ()), (3, 3), (1,), (1,)), "number of layers in stage 1=0"),
        (lambda: GoogLeNetEncoder(9, 0.0), r"scale=0.0 must be a number within"),
        (lambda: GoogLeNetEncoder(9, stages=(((1, 2, 3),),)), "time_strides"),
        (
            lambda: GoogLeNetEncoder(9, 1, (((1, 2),),), (1, 1, 1), (1, 1, 1)),
            r"widths=\[1, 2\] must be six",
        ),
        (lambda: ResNetEncoder(9, kind="bottelneck"), "did you mean 'bottleneck'"),
        (lambda: ResNetEncoder(9, reduction=-1), "reduction=-1"),
        (lambda: ResNetEncoder(9, (6, 6), (1, 1), "bottleneck", (1,) * 4, (1,) * 4), "multiple"),
        (lambda: ResNetEncoder(9, dilations=(1,)), r"dilations=\[1\] must have 4 entries"),
        (lambda: DenseNetEncoder(9, compression=0), "compression=0"),
        (lambda: DenseNetEncoder(9, growth=0), "growth=0"),
        (lambda: DenseNetEncoder(9, ()), "number of blocks=0"),
    ],
)
def test_bad_arguments(build, message):
    with pytest.raises(SeqlabError, match=message):
        build()
