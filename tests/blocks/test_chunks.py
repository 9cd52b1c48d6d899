"""What frames may see, by hand; how often chunks are drawn."""

from __future__ import annotations

import torch
from torch import nn

from seqlab.blocks.attention import SelfAttention, rotary_positions, sinusoidal_positions
from seqlab.blocks.chunks import View, draw_chunk_frames, visible_frames


def rows(mask: torch.Tensor) -> list[str]:
    """Each row as the columns that it sees."""
    return ["".join(str(i) for i, seen in enumerate(row) if seen) for row in mask.tolist()]


def test_chunks_by_hand():
    lengths = torch.tensor([5, 3])
    all_before = visible_frames(lengths, 5, chunk_frames=2)
    assert all_before.shape == (2, 1, 5, 5)
    assert rows(all_before[0, 0]) == ["01", "01", "0123", "0123", "01234"]
    assert rows(all_before[1, 0]) == ["01", "01", "012", "0123", "0124"]  # 3 and 4 are padding
    one_before = visible_frames(lengths, 5, chunk_frames=2, left_chunks=1)
    assert rows(one_before[0, 0]) == ["01", "01", "0123", "0123", "234"]
    after_past = visible_frames(torch.tensor([3]), 3, past=2, chunk_frames=2, left_chunks=1)
    assert rows(after_past[0, 0]) == ["0123", "0123", "234"]


def test_whole_utterances_see_what_is_valid():
    mask = visible_frames(torch.tensor([2, 0]), 3).expand(2, 1, 3, 3)
    assert rows(mask[0, 0]) == ["01", "01", "01"]
    assert rows(mask[1, 0]) == ["012", "012", "012"]  # lest a softmax be empty


def test_no_padding_is_ever_seen_by_a_real_frame():
    for chunk_frames in (0, 1, 3):
        mask = visible_frames(torch.tensor([4]), 7, chunk_frames=chunk_frames).expand(1, 1, 7, 7)
        assert not mask[0, 0, :4, 4:].any() and mask.any(-1).all()


def test_attention_within_a_view_equals_torch():
    ours, theirs = SelfAttention(8, 2), nn.MultiheadAttention(8, 2, batch_first=True)
    theirs.in_proj_weight, theirs.in_proj_bias = ours.input.weight, ours.input.bias
    theirs.out_proj = ours.output
    sequence, lengths = torch.randn(2, 7, 8), torch.tensor([7, 7])
    view = View(lengths, visible_frames(lengths, 7, chunk_frames=3, left_chunks=1), None, 3, 3)
    hidden = ~view.visible[0, 0]
    expected, _ = theirs(sequence, sequence, sequence, attn_mask=hidden)
    result, (keys, values) = ours.attend(sequence, view)
    torch.testing.assert_close(result, expected)
    assert keys.shape == values.shape == (2, 2, 3, 4)


def test_relative_positions_by_hand():
    # With one pair of channels and frequency 1 the score of frames m and n is
    # Re(q conj(k) exp(i (m - n))) / sqrt(2).
    attention = SelfAttention(2, 1).double()
    sequence = torch.randn(1, 4, 2, dtype=torch.float64)
    projected = attention.input(sequence)[0]
    query, key = (torch.view_as_complex(part.contiguous()) for part in projected.split(2, -1)[:2])
    distance = torch.arange(4.0)[:, None] - torch.arange(4.0)
    scores = (query[:, None] * key.conj() * torch.exp(1j * distance.double())).real / 2**0.5
    expected = attention.output(scores.softmax(-1) @ projected[:, 4:])
    result = attention(sequence, torch.tensor([4]), rotary_positions(4, 2, sequence))
    torch.testing.assert_close(result[0], expected)


def test_positions_may_begin_anywhere():
    like = torch.zeros(())
    whole = sinusoidal_positions(100_010, 8, like)
    assert torch.equal(sinusoidal_positions(10, 8, like, first=100_000), whole[100_000:])
    exact = torch.tensor(100_003.0, dtype=torch.float64).sin()
    torch.testing.assert_close(whole[100_003, 0].double(), exact, rtol=0, atol=1e-7)


def test_half_of_the_draws_are_whole_utterances():
    torch.manual_seed(0)
    drawn = [draw_chunk_frames() for _ in range(20_000)]
    counts = torch.bincount(torch.tensor(drawn))
    assert counts.shape == (26,)
    assert abs(int(counts[0]) - 10_000) < 5 * 5000**0.5
    assert (counts[1:] - 400).abs().max() < 5 * 400**0.5


def test_the_seed_decides_what_is_drawn():
    draws = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        draws.append([draw_chunk_frames() for _ in range(20)])
    assert draws[0] == draws[1] != draws[2]
