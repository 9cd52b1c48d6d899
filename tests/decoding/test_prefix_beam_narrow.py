"""Beams that drop prefixes, against the search written down with dictionaries."""

from __future__ import annotations

import math
from collections import defaultdict

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.decoding.prefix_beam import PrefixBeamDecoder
from seqlab.decoding.prefix_beam_units import TokenUnits
from tests.decoding.prefix_beam_reference import log_probs

Tokens = tuple[int, ...]


def search(rows: torch.Tensor, beam: int) -> list[tuple[Tokens, float]]:
    """Hannun et al. 2014, algorithm 1, without a language model; the blank is token 0."""
    followed = {(): (0.0, 1.0)}  # probability of ending in the last token, and in a blank
    for row in rows.double().exp().tolist():
        sums: dict[Tokens, list[float]] = defaultdict(lambda: [0.0, 0.0])
        for prefix, (ends, quiet) in followed.items():
            sums[prefix][1] += (ends + quiet) * row[0]
            for token in range(1, len(row)):
                if prefix and prefix[-1] == token:
                    sums[prefix][0] += ends * row[token]
                    sums[(*prefix, token)][0] += quiet * row[token]
                else:
                    sums[(*prefix, token)][0] += (ends + quiet) * row[token]
        best = sorted(sums.items(), key=lambda item: -sum(item[1]))[:beam]
        followed = {prefix: (ends, quiet) for prefix, (ends, quiet) in best if ends + quiet > 0}
    return [(prefix, math.log(sum(parts))) for prefix, parts in followed.items()]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6), frames=st.integers(1, 25), beam=st.integers(1, 12),
    tokens=st.sampled_from([2, 3, 6, 40]), sharpness=st.sampled_from([0.1, 1.0, 3.0]),
)  # fmt: skip
def test_narrow_beams_follow_the_best(seed, frames, beam, tokens, sharpness):
    rows = log_probs(seed, frames, tokens, sharpness)
    found = PrefixBeamDecoder(
        TokenUnits.words([f"w{token}" for token in range(tokens)]), 1.0, beam=beam, n_best=beam,
        beam_threshold=math.inf,
    ).decode(rows[None], torch.tensor([frames]))[0]  # fmt: skip
    expected = search(rows, beam)
    assert [answer.tokens for answer in found] == [prefix for prefix, _ in expected]
    assert [answer.score for answer in found] == pytest.approx([score for _, score in expected])


@pytest.mark.parametrize("tokens", [4, 300])
def test_tokens_of_equal_probability(tokens):
    """More prefixes are worth the same than there is room for; some are followed, in any order."""
    rows = torch.full((12, tokens), -math.log(tokens))
    units = TokenUnits.words([f"w{token}" for token in range(tokens)])
    found = PrefixBeamDecoder(units, 1.0, beam=5, n_best=5, beam_threshold=math.inf)
    answers = found.decode(rows[None], torch.tensor([12]))[0]
    assert len({answer.tokens for answer in answers}) == 5
    assert answers == found.decode(rows[None], torch.tensor([12]))[0]
    for answer in answers:
        ways = math.exp(answer.score + 12 * math.log(tokens))
        assert 1 - 1e-9 <= ways <= math.comb(24, 12)
