"""What encoders cost and see, against counts and reaches worked out by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from seqlab import components
from seqlab.contracts import Encoder
from seqlab.cost import count_macs, encoder_stride, measure_encoder, receptive_field
from seqlab.encoders.cnn.lenet import LeNetEncoder
from seqlab.encoders.cnn.resnet import ResNetEncoder
from seqlab.encoders.cnn.vgg import VGGEncoder
from seqlab.encoders.conformer import ConformerEncoder
from seqlab.encoders.crnn import CRNNEncoder
from seqlab.encoders.mlp import MLPEncoder
from seqlab.encoders.recurrent import RecurrentEncoder
from seqlab.encoders.separable import SeparableConvEncoder
from seqlab.encoders.tdnn import TDNNEncoder
from seqlab.encoders.transformer import TransformerEncoder
from seqlab.errors import SeqlabError

SMALL = {"hidden_dim": 8, "num_layers": 2}


@pytest.mark.parametrize(
    ("module", "shape", "macs"),
    [
        (nn.Linear(3, 5), (2, 7, 3), 2 * 7 * 3 * 5),
        (nn.Conv1d(6, 4, 5, stride=2, groups=2), (1, 6, 21), 9 * 4 * 3 * 5),
        (nn.Conv2d(3, 8, 3, padding=1), (2, 3, 10, 4), 2 * 40 * 8 * 27),
        (nn.ConvTranspose2d(3, 8, 2, stride=2), (1, 3, 5, 4), 20 * 3 * 8 * 4),
        # four gates of input and hidden state in each of two directions, at each of 11 steps
        (nn.LSTM(6, 5, bidirectional=True), (11, 1, 6), 11 * 2 * 4 * 5 * (6 + 5)),
        (nn.GRU(6, 5, batch_first=True), (2, 11, 6), 2 * 11 * 3 * 5 * (6 + 5)),
        (nn.Sequential(nn.ReLU(), nn.BatchNorm1d(4)), (2, 4, 9), 0),
    ],
)
def test_work_by_hand(module, shape, macs):
    assert count_macs(module, torch.zeros(shape)) == macs


def test_attention_counts_products_of_all_pairs():
    encoder = TransformerEncoder(8, **SMALL, num_heads=2, subsampling=1, positions="sinusoidal")
    frames, dim = 100, 8
    linear = sum(m.weight.numel() for m in encoder.modules() if isinstance(m, nn.Linear))
    assert measure_encoder(encoder).macs == frames * linear + 2 * 2 * frames * frames * dim


def test_counting_changes_nothing():
    encoder = ResNetEncoder(9, (4, 4), (1, 1), "basic", (1,) * 4, (1,) * 4, dropout=0.3).train()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    random = torch.get_rng_state()
    measure_encoder(encoder)
    assert encoder.training
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)


@pytest.mark.parametrize(
    ("build", "past", "lookahead"),
    [
        (lambda: MLPEncoder(5, context=4), 4, 4),
        # kernels 5, 3, 3 with dilations 1, 2, 4 behind a stride of 2
        (lambda: TDNNEncoder(5, 8, (5, 3, 3), (1, 2, 4), 2), 2 + 2 * (2 + 4), 2 + 2 * (2 + 4)),
        (lambda: TDNNEncoder(5, 8, (5, 3), (1, 2), 2, causal=True), 3 + 2 * 4, 1),
        # convolutions 1, 1, then at every 2nd frame 1, 1, at every 4th 1, 1 and the context 1;
        # pools of two read the first of their frames and the one behind it
        (lambda: VGGEncoder(8, (3, 4, 5)), 2 + 4 + 8 + 4, 2 + 1 + 4 + 2 + 8 + 4),
        (lambda: LeNetEncoder(8), 2 + 4 + 8, 2 + 1 + 4 + 2 + 8),
        # a kernel of 7, a maximum of 3 with a stride of 2, two blocks, one of dilation 3
        (
            lambda: ResNetEncoder(
                8, (4, 4), (1, 1), "basic", (1, 2, 1, 1), (1,) * 4, dilations=(1, 3)
            ),
            3 + 1 + 2 * (2 + 6),
            3 + 1 + 2 * (2 + 6),
        ),
        # gates read the whole recording
        (
            lambda: ResNetEncoder(8, (4,), (1,), "basic", (1,) * 3, (1,) * 3, reduction=2),
            None,
            None,
        ),
        (lambda: RecurrentEncoder(5, hidden_dim=4), None, 0),
        (lambda: RecurrentEncoder(5, hidden_dim=4, subsampling=3), None, 2),
        (lambda: RecurrentEncoder(5, hidden_dim=4, bidirectional=True), None, None),
        (lambda: CRNNEncoder(5, (3,), (2,), (2,), hidden_dim=4, bidirectional=False), None, 1),
        (lambda: TransformerEncoder(5, **SMALL, num_heads=2), None, None),
        # chunks of three and one before: the first frame of a chunk reads two ahead; the last one
        # reads two back in its own, and in each of two layers a chunk more
        (
            lambda: TransformerEncoder(
                5, **SMALL, num_heads=2, subsampling=1, chunk_frames=3, left_chunks=1
            ),
            2 + 2 * 3,
            2,
        ),
    ],
)
def test_reach_by_hand(build, past, lookahead):
    assert receptive_field(build()) == (past, lookahead)


def test_chunks_after_subsampling():
    encoder = ConformerEncoder(5, **SMALL, num_heads=2, chunk_frames=2, left_chunks=-1)
    cost = measure_encoder(encoder)
    assert (cost.stride, cost.past) == (4, None)
    assert cost.lookahead is not None and cost.lookahead >= 4
    assert cost.receptive_field_s is None
    assert cost.latency_s == pytest.approx(cost.lookahead * 0.01)


@pytest.mark.parametrize(
    "path",
    [p for p in components.available(Encoder, near="seqlab.encoders") if "ausal" not in p],
)
def test_causal_encoders_look_ahead_as_far_as_they_say(path):
    kind = components.resolve(path, Encoder)
    arguments = {"causal": True} if "causal" in kind.__init__.__annotations__ else {}
    encoder = kind(13, **arguments)
    if not encoder.causal:
        return
    _, lookahead = receptive_field(encoder)
    counts = encoder.output_lengths(torch.arange(64)).tolist()
    own = counts.index(1) - 1  # the last frame without which there is no first encoded one
    assert lookahead is not None and lookahead <= own + encoder.lookahead


def test_times_follow_the_frame_shift():
    encoder = SeparableConvEncoder(5, widths=8, kernel_sizes=(3,), strides=(2,), repeats=1)
    fine, coarse = measure_encoder(encoder), measure_encoder(encoder, 0.02)
    assert encoder_stride(encoder) == fine.stride == coarse.stride == 2
    assert fine.receptive_field_s == pytest.approx((fine.past + 1 + fine.lookahead) * 0.01)
    assert coarse.receptive_field_s == pytest.approx(2 * fine.receptive_field_s)
    assert coarse.macs == pytest.approx(fine.macs / 2, rel=0.05)


@pytest.mark.parametrize("frame_s", [0.0, -1.0, float("nan"), 2.0])
def test_bad_frame_shift(frame_s):
    with pytest.raises(SeqlabError, match=r"frame_s=.* must be within \(0, 1\]"):
        measure_encoder(MLPEncoder(3), frame_s)
