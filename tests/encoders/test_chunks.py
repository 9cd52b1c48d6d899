"""Encoders with attention, chunk by chunk: any chunking of a stream equals the whole."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.encoders.conformer import ConformerEncoder
from seqlab.encoders.e_branchformer import EBranchformerEncoder
from seqlab.encoders.transformer import TransformerEncoder
from seqlab.errors import SeqlabError
from seqlab.lengths import valid_mask
from tests.contract import invariants

KINDS = (TransformerEncoder, ConformerEncoder, EBranchformerEncoder)


def small(kind, **settings_):
    torch.manual_seed(0)
    more = {} if kind is TransformerEncoder else {"kernel_size": 7}
    arguments = {"hidden_dim": 8, "num_layers": 2, "num_heads": 2} | more | settings_
    return invariants.settled(kind(5, **arguments), 5)


ENCODERS = [small(kind, subsampling=factor) for kind in KINDS for factor in (1, 4)]
ENCODERS.append(small(TransformerEncoder, positions="sinusoidal"))


@settings(max_examples=40, deadline=None)
@given(
    encoder=st.sampled_from(ENCODERS),
    chunk_frames=st.integers(1, 6),
    left_chunks=st.integers(-1, 3),
    batch_size=st.integers(1, 3),
    chunks=st.lists(st.integers(0, 23), min_size=1, max_size=6),
)
def test_steps_equal_forward(encoder, chunk_frames, left_chunks, batch_size, chunks):
    encoder.chunk_frames, encoder.left_chunks = chunk_frames, left_chunks
    invariants.check_chunks(encoder, chunks, batch_size)


@settings(max_examples=20, deadline=None)
@given(
    encoder=st.sampled_from(ENCODERS),
    chunk_frames=st.integers(0, 6),
    left_chunks=st.integers(-1, 2),
    lengths=st.lists(st.integers(0, 50), min_size=1, max_size=4),
)
def test_padded_batches_equal_each_item_alone(encoder, chunk_frames, left_chunks, lengths):
    encoder.chunk_frames, encoder.left_chunks = chunk_frames, left_chunks
    invariants.check_padding(encoder, lengths)


@pytest.mark.parametrize("kind", KINDS)
def test_one_chunk_is_the_whole_utterance(kind):
    encoder = small(kind)
    features, lengths = torch.randn(2, 40, 5), torch.tensor([40, 27])
    with torch.no_grad():
        expected, frames = encoder(features, lengths)
        encoder.chunk_frames = 10
        result, _ = encoder(features, lengths)
        encoder.chunk_frames = 3
        other, _ = encoder(features, lengths)
    valid = valid_mask(frames)
    torch.testing.assert_close(result[valid], expected[valid], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(other[valid], expected[valid], atol=1e-2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_frame_sees_its_chunk_and_those_allowed_before(kind):
    encoder = small(kind, num_layers=1, chunk_frames=2, left_chunks=1, subsampling=1)
    features = torch.randn(1, 12, 5, requires_grad=True)
    encoded, _ = encoder(features, torch.tensor([12]))
    weight = torch.randn(8, generator=torch.Generator().manual_seed(1))
    (gradient,) = torch.autograd.grad((encoded[0, 8] * weight).sum(), features)
    seen = gradient[0].abs().sum(-1).nonzero().flatten().tolist()
    # Frame 8 is in chunk 4 and attends to chunks 3 and 4, frames 6 to 9. A kernel of 7 behind the
    # attention adds frame 5, which attends to chunks 1 and 2.
    assert seen == list(range(6 if kind is TransformerEncoder else 2, 10))


def test_dynamic_training_draws_whole_utterances_and_chunks():
    encoder = small(ConformerEncoder, dynamic_chunks=True, dropout=0.0, convolution_norm="layer")
    features, lengths = torch.randn(1, 200, 5), torch.tensor([200])
    expected, _ = encoder(features, lengths)
    encoder.train()
    results = []
    for seed in range(12):
        torch.manual_seed(seed)
        results.append(encoder(features, lengths)[0])
        torch.manual_seed(seed)
        assert torch.equal(encoder(features, lengths)[0], results[-1])
    whole = sum(torch.allclose(result, expected, atol=1e-5) for result in results)
    assert 2 <= whole <= 10


def test_chunk_size_may_change_after_loading():
    encoder = ConformerEncoder(5, 8, 1, 2, dynamic_chunks=True)
    assert not encoder.causal and encoder.constructor_arguments["chunk_frames"] == 0
    encoder.chunk_frames = 4
    assert encoder.causal and encoder.lookahead == 15
    encoder.chunk_frames = 0
    assert not encoder.causal
    for wrong in (-1, 2.5, True, "4"):
        with pytest.raises(SeqlabError, match="chunk_frames="):
            encoder.chunk_frames = wrong
    with pytest.raises(SeqlabError, match="left_chunks=-3"):
        encoder.left_chunks = -3
    assert encoder.chunk_frames == 0 and encoder.left_chunks == -1


def test_whole_utterances_cannot_be_streamed_and_the_message_says_why():
    encoder = ConformerEncoder(5, 8, 1, 2)
    with pytest.raises(NotImplementedError, match=r"assign encoder\.chunk_frames = 16"):
        encoder.initial_state()


def test_a_stream_keeps_the_chunks_it_began_with():
    encoder = small(ConformerEncoder, chunk_frames=2)
    features = torch.randn(1, 32, 5)
    with torch.no_grad():
        expected, _ = encoder(features, torch.tensor([32]))
        first, state = encoder.step(features[:, :16], encoder.initial_state())
        encoder.chunk_frames = 5
        second, state = encoder.step(features[:, 16:], state)
        result = torch.cat([first, second, encoder.flush(state)], dim=1)
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_state_of_a_limited_view_stays_small(kind):
    encoder = small(kind, chunk_frames=2, left_chunks=3)
    state, sizes = encoder.initial_state(), []
    with torch.no_grad():
        for _ in range(20):
            _, state = encoder.step(torch.randn(1, 11, 5), state)
            sizes.append(sum(part.numel() for cache in state.caches for part in cache))
    assert sizes[-1] == sizes[8]
    keys, values = state.caches[0][:2]
    assert keys.shape == values.shape == (1, 2, 6, 4)


def test_long_streams_stay_exact():
    encoder = small(ConformerEncoder, chunk_frames=8, left_chunks=2, subsampling=1).double()
    single = copy.deepcopy(encoder).float()
    features = torch.randn(1, 4000, 5, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        expected, _ = encoder(features.double(), torch.tensor([4000]))
        state, pieces = single.initial_state(), []
        for piece in features.split(500, dim=1):
            encoded, state = single.step(piece, state)
            pieces.append(encoded)
        pieces.append(single.flush(state))
    torch.testing.assert_close(torch.cat(pieces, 1).double(), expected, rtol=1e-4, atol=1e-5)


def test_one_model_serves_whole_utterances_and_streams():
    torch.manual_seed(0)
    encoder = ConformerEncoder(
        4, 16, 1, 2, kernel_size=5, subsampling=1, dropout=0.0, dynamic_chunks=True
    )
    output = torch.nn.Linear(16, 4)
    optimizer = torch.optim.Adam([*encoder.parameters(), *output.parameters()], 1e-2)
    lengths = torch.full((16,), 30)
    for _ in range(120):
        features = torch.randn(16, 30, 4)
        target = features.roll(2, dims=1)[:, 2:]  # what was heard two frames ago
        loss = (output(encoder(features, lengths)[0])[:, 2:] - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    encoder.eval()
    features = torch.randn(16, 30, 4)
    for chunk_frames in (0, 1, 2, 8):
        encoder.chunk_frames = chunk_frames
        with torch.no_grad():
            error = output(encoder(features, lengths)[0])[:, 2:] - features[:, :-2]
        assert error.square().mean() < 0.15, chunk_frames
