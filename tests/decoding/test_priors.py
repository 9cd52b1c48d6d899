"""Posteriors divided by token priors: the arithmetic by hand, and in the beam search."""

from __future__ import annotations

import math

import pytest
import torch

from seqlab.decoding.prefix_beam import PrefixBeamDecoder
from seqlab.decoding.prefix_beam_units import TokenUnits
from seqlab.decoding.priors import Priors
from seqlab.errors import SeqlabError

UNITS = TokenUnits.characters(["-", " ", "a", "b"])


def test_priors_are_the_mean_posteriors_of_valid_frames():
    probs = torch.tensor([[[0.5, 0.5], [0.7, 0.3]], [[0.9, 0.1], [0.0, 1.0]]])
    priors = Priors.of(probs.log(), torch.tensor([2, 1]))
    assert torch.tensor(priors.log_priors).exp().tolist() == pytest.approx([0.7, 0.3])
    never = Priors.of(torch.tensor([[[1.0, 0.0]]]).log(), torch.tensor([1]))
    assert all(map(math.isfinite, never.log_priors))


def test_division_by_hand():
    """0.8 / sqrt(0.64) = 1 and 0.2 / sqrt(0.36) = 1/3: three quarters and a quarter."""
    priors = Priors((math.log(0.64), math.log(0.36)), 0.5)
    found = priors.divide(torch.tensor([[0.8, 0.2]]).log()).exp()
    assert found.flatten().tolist() == pytest.approx([0.75, 0.25])
    same = torch.tensor([[0.8, 0.2]]).log()
    assert Priors(priors.log_priors).divide(same) is same


def test_the_search_is_that_of_divided_posteriors():
    generator = torch.Generator().manual_seed(0)
    log_probs = torch.randn(3, 30, 4, generator=generator).mul(3).log_softmax(-1)
    lengths = torch.tensor([30, 12, 0])
    priors = Priors.of(log_probs, lengths, 0.4)
    plain = PrefixBeamDecoder(UNITS, 0.04, beam=8, n_best=3)
    with_priors = PrefixBeamDecoder(UNITS, 0.04, beam=8, n_best=3, priors=priors)
    wanted = plain.decode(priors.divide(log_probs), lengths)
    assert with_priors.decode(log_probs, lengths) == wanted
    again = PrefixBeamDecoder(UNITS, 0.04, beam=8, n_best=3, priors=Priors(priors.log_priors))
    assert again.decode(log_probs, lengths) == plain.decode(log_probs, lengths)
    assert again.with_weights(prior_weight=0.4).decode(log_probs, lengths) == wanted
    state = with_priors.initial_state()
    for cut in log_probs[0].split(7):
        _, _, state = with_priors.step(cut, state)
    assert with_priors.flush(state)[0].text == wanted[0][0].text
    assert all(0 <= answer[0].confidence <= 1 for answer in wanted)


def test_what_is_refused():
    with pytest.raises(SeqlabError, match="prior_weight=-1"):
        Priors((0.0,), -1)
    with pytest.raises(SeqlabError, match="finite"):
        Priors((math.nan,))
    with pytest.raises(SeqlabError, match="0 frames"):
        Priors.of(torch.zeros(1, 3, 2), torch.tensor([0]))
    with pytest.raises(SeqlabError, match="2 priors for 4 tokens"):
        Priors((0.0, 0.0), 1.0).divide(torch.zeros(1, 4))
    with pytest.raises(SeqlabError, match="needs priors"):
        PrefixBeamDecoder(UNITS, 0.04).with_weights(prior_weight=0.5)
