"""The search through an attention decoder against all texts there are."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.decoding.attention_beam import AttentionBeamDecoder
from seqlab.decoding.ctc_prefix import CTCPrefixScorer
from seqlab.decoding.shallow_fusion import ShallowFusion
from seqlab.errors import SeqlabError
from seqlab.heads.attention_decoder import TransformerDecoderHead
from seqlab.heads.ctc import CTCHead
from seqlab.heads.lstm_decoder import LSTMDecoderHead
from seqlab.heads.transducer import TransducerHead

from .exhaustive import Letters, all_texts, ctc_scores, ranked, scores

NAMES = ["<blank>", "1", "2", "3"]


def spell(tokens) -> str:
    return " ".join(str(token) for token in tokens)


def transformer(seed: int = 0) -> TransformerDecoderHead:
    torch.manual_seed(seed)
    head = TransformerDecoderHead(6, 4, hidden_dim=8, num_layers=1, num_heads=2).double().eval()
    head.linear.weight.data.mul_(3)  # so that it prefers something
    return head


class Both(torch.nn.Module):
    """An attention decoder and CTC side by side."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        attention, ctc = transformer(seed), CTCHead(6, 4).double()
        ctc.linear.weight.data.mul_(4)
        self.heads = torch.nn.ModuleDict({"ctc": ctc, "attention": attention})


def noise(frames: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(frames, 6, generator=generator, dtype=torch.float64)


@settings(max_examples=20, deadline=None)
@given(
    frames=st.integers(0, 4),
    padding=st.integers(0, 2),
    blank=st.integers(0, 2),
    seed=st.integers(0, 99),
)
def test_ctc_prefixes_against_all_texts(frames, padding, blank, seed) -> None:
    """The probability of a prefix is the sum over all texts that begin with it."""
    torch.manual_seed(seed)
    log_probs = (2 * torch.randn(frames + padding, 3).double()).log_softmax(-1)
    tokens = [token for token in range(3) if token != blank]
    texts = all_texts(tokens, frames)
    values = (
        [1.0]
        if frames == 0
        else [math.exp(s) for s in ctc_scores(log_probs[:frames], texts, blank)]
    )
    known = dict(zip(texts, values, strict=True))
    scorer = CTCPrefixScorer(log_probs[None], torch.tensor([frames]), blank)
    states = {(): scorer.initial_state()}
    for prefix in all_texts(tokens, 3):
        if prefix:
            parents, last = torch.tensor([[0]]), torch.tensor([[prefix[-1]]])
            states[prefix] = scorer.advance(states[prefix[:-1]], parents, last)
        found = scorer.extensions(states[prefix])[0, 0].exp()
        assert float(found[blank]) == pytest.approx(known.get(prefix, 0.0), rel=1e-9, abs=1e-15)
        for token in tokens:
            longer = (*prefix, token)
            expected = sum(v for text, v in known.items() if text[: len(longer)] == longer)
            assert float(found[token]) == pytest.approx(expected, rel=1e-9, abs=1e-15)


def test_ctc_prefixes_of_certain_frames() -> None:
    """Log-probabilities of -inf, as a head far too sure of itself gives."""
    log_probs = torch.tensor([[0.0, 1, 0], [0, 1, 0], [1, 0, 0], [0, 0, 1]]).log()[None]
    scorer = CTCPrefixScorer(log_probs, torch.tensor([4]), 0)
    state = scorer.initial_state()
    assert scorer.extensions(state).exp().flatten().tolist() == pytest.approx([0, 1, 0])
    state = scorer.advance(state, torch.tensor([[0, 0]]), torch.tensor([[1, 2]]))
    found = scorer.extensions(state).exp()[0]
    assert found[0].tolist() == pytest.approx([0, 0, 1]) and found[1].tolist() == [0, 0, 0]


@pytest.mark.parametrize("length_bonus", [0.0, -0.3, 0.7])
@pytest.mark.parametrize("ctc_weight", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_equals_exhaustive_search(length_bonus, ctc_weight, weight) -> None:
    both, encoded = Both(), noise(3)
    texts = all_texts([1, 2, 3], 3)
    log_probs = both.heads["ctc"](encoded[None], torch.tensor([3]))[0].detach()
    language = Letters(4).score_batch([[str(t) for t in text] for text in texts])
    parts = zip(
        texts,
        scores(both.heads["attention"], encoded, texts),
        ctc_scores(log_probs, texts, 0),
        language,
        strict=True,
    )
    totals = [
        (1 - ctc_weight) * a
        + (ctc_weight * c if ctc_weight else 0)
        + weight * m
        + length_bonus * len(text)
        for text, a, c, m in parts
    ]
    decoder = AttentionBeamDecoder(
        both,
        spell,
        beam_size=40,
        ctc_weight=ctc_weight,
        language_model=ShallowFusion(Letters(4), weight, NAMES) if weight else None,
        length_bonus=length_bonus,
        n_best=40,
        stop_margin=math.inf,
    )
    (found,) = decoder.decode(encoded[None], torch.tensor([3]))
    expected = ranked(texts, totals)
    assert len(found) == len(expected)
    for hypothesis, (text, total) in zip(found, expected, strict=True):
        assert hypothesis.tokens == text and hypothesis.text == spell(text)
        assert hypothesis.score == pytest.approx(total, abs=1e-9)
    decoder.n_best = 1
    (one,) = decoder.decode(encoded[None], torch.tensor([3]))
    assert one[0].tokens == expected[0][0]  # stopping early loses nothing


@pytest.mark.parametrize("kind", ["joint", "lstm"])
@pytest.mark.parametrize("fused", [False, True])
def test_batches_change_nothing(kind, fused) -> None:
    torch.manual_seed(1)
    head = Both(3) if kind == "joint" else LSTMDecoderHead(6, 4, hidden_dim=5).double().eval()
    items = [noise(length, seed=length) for length in (7, 0, 3, 12)]
    encoded = torch.full((4, 12, 6), torch.nan).double()
    for row, item in enumerate(items):
        encoded[row, : len(item)] = item
    model = ShallowFusion(Letters(4), 0.3, NAMES) if fused else None
    decoder = AttentionBeamDecoder(head, spell, beam_size=4, language_model=model, n_best=3)
    together = decoder.decode(encoded, torch.tensor([7, 0, 3, 12]))
    assert [h.text for h in together[1]] == [""]
    for row, item in enumerate(items):
        (alone,) = decoder.decode(item[None], torch.tensor([len(item)]))
        assert [h.tokens for h in alone] == [h.tokens for h in together[row]]
        for one, other in zip(alone, together[row], strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-8)
            assert one.token_confidences == pytest.approx(other.token_confidences, abs=1e-8)


def test_greedy_takes_the_best_token() -> None:
    head, encoded = transformer(2), noise(6)
    decoder = AttentionBeamDecoder(head, spell, beam_size=1)
    ((found,),) = decoder.decode(encoded[None], torch.tensor([6]))
    state = head.initial_state(encoded[None], torch.tensor([6]))
    tokens, confidences, last = [], [], 0
    while len(tokens) < 6:
        log_probs, state = head.advance(state, torch.tensor([last]))
        last = int(log_probs.argmax())
        if last == 0:
            break
        tokens.append(last)
        confidences.append(float(log_probs.detach().max().exp()))
    size = len(found.tokens)
    assert found.tokens == tuple(tokens[:size])
    assert found.token_confidences == pytest.approx(confidences[:size])
    assert 0 < found.confidence <= 1
    (score,) = scores(head, encoded, [found.tokens])
    assert found.score == pytest.approx(score) == found.details["attention"]


def test_longest_text() -> None:
    head = transformer()
    head.linear.bias.data[0] = -50  # it never wants to end
    decoder = AttentionBeamDecoder(head, spell, beam_size=2, max_length_ratio=0.5)
    ((found,),) = decoder.decode(noise(7)[None], torch.tensor([7]))
    assert len(found.tokens) <= 4
    longer = AttentionBeamDecoder(head, spell, 2, length_bonus=100.0)
    ((found,),) = longer.decode(noise(7)[None], torch.tensor([7]))
    assert len(found.tokens) == 7


def test_nothing_to_decode() -> None:
    decoder = AttentionBeamDecoder(transformer(), spell)
    assert decoder.decode(torch.zeros(0, 5, 6), torch.zeros(0, dtype=torch.int64)) == []
    (found,) = decoder.decode(torch.zeros(1, 0, 6).double(), torch.tensor([0]))
    assert found[0].tokens == ()


def test_words_are_scored_when_they_end() -> None:
    """The texts "1 2", in pieces of tokens, and the same words at once."""
    pieces = ["", "1", " ", "2"]
    model = Letters(4)

    def decode(tokens) -> str:
        return "".join(pieces[token] for token in tokens)

    fusion = ShallowFusion(model, 1.0, pieces, decode, unit="word")
    state = fusion.initial_state()
    for token, known in zip([1, 2, 3, 2, 3], ["", "", "1", "1", "1 2"], strict=True):
        state = fusion.extend(state, token)
        units, inner, total = known.split(), model.initial_state(), 0.0
        for unit in units:
            gained, inner = model.advance(inner, unit)
            total += gained
        assert state.score == pytest.approx(total)
    (expected,) = model.score_batch(["1 2 2"])
    assert fusion.ended(state) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"beam_size": 0}, "beam_size=0"),
        ({"n_best": 9}, "n_best=9 must be at most beam_size=8"),
        ({"ctc_weight": 0.3}, "needs a CTC head"),
        ({"ctc_weight": 1.5}, "ctc_weight=1.5"),
        ({"length_bonus": math.nan}, "length_bonus=nan"),
        ({"max_length_ratio": 0.0}, "max_length_ratio=0.0"),
        ({"stop_margin": -1.0}, "stop_margin=-1.0"),
    ],
)
def test_bad_arguments(arguments, message) -> None:
    with pytest.raises(SeqlabError, match=message):
        AttentionBeamDecoder(transformer(), spell, **arguments)


def test_heads_that_do_not_fit() -> None:
    for head in (CTCHead(6, 4), TransducerHead(6, 4)):
        with pytest.raises(SeqlabError, match=f"{type(head).__name__} is and holds no attention"):
            AttentionBeamDecoder(head, spell)
    with pytest.raises(SeqlabError, match="look for NaN"):
        AttentionBeamDecoder(transformer(), spell).decode(
            torch.full((1, 4, 6), torch.nan).double(), torch.tensor([4])
        )
    with pytest.raises(SeqlabError, match="must be at least 0"):
        ShallowFusion(Letters(4), -0.1, NAMES)
    with pytest.raises(SeqlabError, match="did you mean 'word'"):
        ShallowFusion(Letters(4), 0.1, NAMES, unit="words")
    with pytest.raises(SeqlabError, match="needs decode_tokens"):
        ShallowFusion(Letters(4), 0.1, NAMES, unit="word")
