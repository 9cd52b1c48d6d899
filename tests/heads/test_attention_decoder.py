"""Attention decoders against torch's own Transformer, and against equations written out."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from seqlab.blocks.attention import sinusoidal_positions
from seqlab.blocks.frame_attention import DotAttention, LocationAttention
from seqlab.errors import SeqlabError
from seqlab.heads.attention_decoder import TransformerDecoderHead
from seqlab.heads.attention_head import AttentionHead
from seqlab.heads.lstm_decoder import LSTMDecoderHead

HEADS = {
    "transformer": lambda **more: TransformerDecoderHead(
        6, 4, hidden_dim=8, num_layers=2, num_heads=2, **more
    ),
    "location": lambda **more: LSTMDecoderHead(6, 4, hidden_dim=8, num_layers=2, **more),
    "dot": lambda **more: LSTMDecoderHead(6, 4, hidden_dim=8, attention="dot", **more),
}


@pytest.fixture(params=HEADS, ids=str)
def make(request: pytest.FixtureRequest):
    torch.manual_seed(0)
    return HEADS[request.param]


def torch_decoder(head: TransformerDecoderHead) -> nn.TransformerDecoder:
    """torch's Transformer decoder with the weights of the head."""
    kinds = {"d_model": 8, "nhead": 2, "dim_feedforward": 32, "dropout": 0.0}
    layer = nn.TransformerDecoderLayer(**kinds, norm_first=True, batch_first=True)
    decoder = nn.TransformerDecoder(layer, num_layers=2, norm=head.norm).double().eval()
    for ours, theirs in zip(head.layers, decoder.layers, strict=True):
        for own, other in (
            (ours.attention, theirs.self_attn),
            (ours.memory_attention, theirs.multihead_attn),
        ):
            weight = torch.cat([own.query.weight, own.key_value.weight])
            other.in_proj_weight.data.copy_(weight)
            other.in_proj_bias.data.copy_(torch.cat([own.query.bias, own.key_value.bias]))
            other.out_proj.load_state_dict(own.output.state_dict())
        theirs.linear1.load_state_dict(ours.feedforward[0].state_dict())
        theirs.linear2.load_state_dict(ours.feedforward[3].state_dict())
        theirs.norm1.load_state_dict(ours.attention_norm.state_dict())
        theirs.norm2.load_state_dict(ours.memory_norm.state_dict())
        theirs.norm3.load_state_dict(ours.feedforward_norm.state_dict())
    return decoder


def test_equals_the_transformer_of_torch() -> None:
    torch.manual_seed(0)
    head = TransformerDecoderHead(8, 5, hidden_dim=8, num_layers=2, num_heads=2).double().eval()
    encoded, lengths = torch.randn(2, 7, 8).double(), torch.tensor([7, 4])
    tokens = torch.tensor([[0, 3, 1, 4], [0, 2, 2, 1]])
    embedded = head.embedding(tokens) * math.sqrt(8)
    embedded = embedded + sinusoidal_positions(4, 8, embedded)
    expected = torch_decoder(head)(
        embedded,
        encoded,
        tgt_mask=torch.ones(4, 4, dtype=torch.bool).triu(1),
        memory_key_padding_mask=torch.arange(7) >= lengths[:, None],
    )
    expected = head.linear(expected).log_softmax(-1)
    torch.testing.assert_close(head.log_probs(encoded, lengths, tokens), expected)


def test_location_aware_attention_by_the_equations() -> None:
    """e_j = w tanh(W s + V h_j + U f_j), f = F * alpha (Chorowski et al. 2015, 8 and 9)."""
    torch.manual_seed(1)
    attention = LocationAttention(5, 3, 4).double()
    query, frames = torch.randn(2, 5).double(), torch.randn(1, 6, 3).double()
    last, valid = torch.rand(2, 6).double(), torch.tensor([[True] * 5 + [False]])
    found = attention(query, attention.keys(frames), last, valid)
    kernel = attention.convolution.weight[:, 0]
    for row in range(2):
        energies = []
        for j in range(5):
            located = sum(
                kernel[:, 15 + k - j] * last[row, k] for k in range(6) if abs(k - j) <= 15
            )
            inner = attention.query(query[row]) + attention.key(frames[0, j])
            energies.append(attention.score(torch.tanh(inner + attention.location(located))))
        torch.testing.assert_close(found[row, :5], torch.cat(energies).softmax(0))
    assert not found[:, 5].any()


def test_dot_attention_equals_that_of_torch() -> None:
    torch.manual_seed(1)
    attention = DotAttention(5, 3, 4).double()
    query, frames = torch.randn(4, 5).double(), torch.randn(2, 6, 3).double()
    valid = torch.arange(6) < torch.tensor([[6], [3]])
    found = attention(query, attention.keys(frames), torch.zeros(4, 6), valid)
    identity = torch.eye(6).double().expand(2, 6, 6)
    expected = functional.scaled_dot_product_attention(
        attention.query(query).view(2, 2, 4), attention.key(frames), identity, valid[:, None]
    )
    torch.testing.assert_close(found.view(2, 2, 6), expected)


def test_lstm_step_by_the_equations() -> None:
    """s_i = RNN(s_i-1, y_i-1, c_i-1), c_i by s_i, y_i by s_i and c_i (Chan et al. 2016)."""
    torch.manual_seed(2)
    head = LSTMDecoderHead(3, 4, hidden_dim=5, attention="dot").double().eval()
    encoded, lengths = torch.randn(1, 6, 3).double(), torch.tensor([6])
    tokens = [0, 2, 3]
    found = head.log_probs(encoded, lengths, torch.tensor([tokens]))[0]
    lstm = nn.LSTM(8, 5).double()
    for name, weight in head.cells[0].named_parameters():
        getattr(lstm, f"{name}_l0").data.copy_(weight)
    state, context = None, torch.zeros(3).double()
    for index, token in enumerate(tokens):
        value = torch.cat([head.embedding.weight[token], context])[None, None]
        output, state = lstm(value, state)
        scores = head.attention.key(encoded[0]) @ head.attention.query(output[0, 0])
        context = (scores / math.sqrt(5)).softmax(0) @ encoded[0]
        expected = head.linear(torch.cat([output[0, 0], context])).log_softmax(-1)
        torch.testing.assert_close(found[index], expected)


@torch.no_grad()
def test_probabilities_of_all_texts_sum_to_one(make) -> None:
    """Those of up to two tokens, and what begins with three."""
    head: AttentionHead = make().double().eval()
    encoded, lengths = torch.randn(1, 5, 6).double(), torch.tensor([5])
    total = 0.0
    for size in range(3):
        texts = torch.tensor(list(itertools.product([1, 2, 3], repeat=size)), dtype=torch.int64)
        count = len(texts)
        many = encoded.expand(count, -1, -1), lengths.expand(count)
        total += float(head.score(*many, texts, torch.full((count,), size)).exp().sum())
    begun = torch.tensor(list(itertools.product([1, 2, 3], repeat=3)))
    inputs = functional.pad(begun, (1, 0))
    many = encoded.expand(27, -1, -1), lengths.expand(27)
    log_probs = head.log_probs(*many, inputs)[:, :3]
    total += float(log_probs.gather(-1, begun[..., None]).sum((1, 2)).exp().sum())
    assert total == pytest.approx(1, abs=1e-12)


@torch.no_grad()
def test_score_is_the_sum_of_the_steps(make) -> None:
    head: AttentionHead = make(blank=3).double().eval()
    encoded, lengths = torch.randn(2, 5, 6).double(), torch.tensor([5, 3])
    targets, sizes = torch.tensor([[1, 0, 2], [2, 3, 3]]), torch.tensor([3, 1])
    scores = head.score(encoded, lengths, targets, sizes)
    for row, size in enumerate(sizes.tolist()):
        state = head.initial_state(encoded[row : row + 1], lengths[row : row + 1])
        path = [3, *targets[row, :size].tolist(), 3]
        total = 0.0
        for fed, said in itertools.pairwise(path):
            log_probs, state = head.advance(state, torch.tensor([fed]))
            total += float(log_probs[0, said])
        assert float(scores[row]) == pytest.approx(total, abs=1e-12)


def test_loss_smooths_and_divides(make) -> None:
    """Half of the weight on the target, the other half spread: both parts by hand."""
    head: AttentionHead = make(label_smoothing=0.5, length_normalized=True).double().eval()
    encoded, lengths = torch.randn(1, 5, 6).double(), torch.tensor([5])
    log_probs = head.log_probs(encoded, lengths, torch.tensor([[0, 1, 2]]))[0]
    own = -(log_probs[0, 1] + log_probs[1, 2] + log_probs[2, 0])
    even = -log_probs.mean(-1).sum()
    loss = head.loss(encoded, lengths, torch.tensor([[1, 2]]), torch.tensor([2]))
    torch.testing.assert_close(loss[0], (0.5 * own + 0.5 * even) / 3)
    plain = head.score(encoded, lengths, torch.tensor([[1, 2]]), torch.tensor([2]))
    torch.testing.assert_close(plain[0], -own)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: TransformerDecoderHead(4, 3, hidden_dim=7, num_heads=7), "hidden_dim=7.* even"),
        (lambda: TransformerDecoderHead(4, 3, hidden_dim=6, num_heads=4), "divisible by num_heads"),
        (lambda: TransformerDecoderHead(4, 3, num_layers=0), "num_layers=0"),
        (lambda: TransformerDecoderHead(4, 3, feedforward_dim=-1), "feedforward_dim=-1"),
        (lambda: TransformerDecoderHead(4, 3, label_smoothing=1.0), "label_smoothing=1.0"),
        (lambda: TransformerDecoderHead(4, 3, blank=3), "blank=3 must be .* below 3"),
        (lambda: LSTMDecoderHead(4, 3, attention="loaction"), "did you mean 'location'"),
        (lambda: LSTMDecoderHead(4, 3, hidden_dim=0), "hidden_dim=0"),
    ],
)
def test_bad_arguments(call, message: str) -> None:
    with pytest.raises(SeqlabError, match=message):
        call()


def test_blank_in_a_target_is_refused(make) -> None:
    with pytest.raises(SeqlabError, match="not the blank 0"):
        make().loss(
            torch.zeros(1, 3, 6), torch.tensor([3]), torch.tensor([[1, 0]]), torch.tensor([2])
        )


def test_select_before_anything_was_fed() -> None:
    head = HEADS["transformer"]()
    state = head.initial_state(torch.zeros(1, 3, 6), torch.tensor([3]))
    with pytest.raises(SeqlabError, match="advance it by the blank"):
        head.select(state, torch.tensor([0]))
