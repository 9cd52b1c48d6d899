"""The search through a transducer against all texts there are."""

from __future__ import annotations

import math

import pytest
import torch

from seqlab.decoding.shallow_fusion import ShallowFusion
from seqlab.decoding.transducer_beam import TransducerBeamDecoder
from seqlab.errors import SeqlabError
from seqlab.heads.ctc import CTCHead
from seqlab.heads.transducer import LSTMTransducerHead, Transducer, TransducerHead

from .exhaustive import Letters, all_texts, ranked, scores

NAMES = ["<blank>", "1", "2", "3"]


def spell(tokens) -> str:
    return " ".join(str(token) for token in tokens)


def transducer(
    kind: type[Transducer] = TransducerHead, seed: int = 0, blank: int = 0
) -> Transducer:
    torch.manual_seed(seed)
    head = kind(6, 4, hidden_dim=8, blank=blank).double().eval()
    head.linear.weight.data.mul_(4)
    return head


def noise(frames: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(frames, 6, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("kind", [TransducerHead, LSTMTransducerHead])
@pytest.mark.parametrize("length_bonus", [0.0, -0.3, 0.7])
@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_equals_exhaustive_search(kind, length_bonus, weight) -> None:
    """Scores are the sums over all alignments, for every text of up to three tokens."""
    head, encoded = transducer(kind), noise(3)
    texts = all_texts([1, 2, 3], 3)
    language = Letters(4).score_batch([[str(t) for t in text] for text in texts])
    totals = [
        a + weight * m + length_bonus * len(text)
        for text, a, m in zip(texts, scores(head, encoded, texts), language, strict=True)
    ]
    decoder = TransducerBeamDecoder(
        head,
        spell,
        0.04,
        beam_size=80,
        language_model=ShallowFusion(Letters(4), weight, NAMES) if weight else None,
        length_bonus=length_bonus,
        n_best=40,
        stop_margin=math.inf,
    )
    (found,) = decoder.decode(encoded[None], torch.tensor([3]))
    expected = ranked(texts, totals)
    assert [hypothesis.tokens for hypothesis in found] == [text for text, _ in expected]
    for hypothesis, (_, total) in zip(found, expected, strict=True):
        assert hypothesis.score == pytest.approx(total, abs=1e-9)
        assert len(hypothesis.token_times) == len(hypothesis.tokens)
    decoder.n_best = 1
    (one,) = decoder.decode(encoded[None], torch.tensor([3]))
    assert one[0].tokens == expected[0][0]


def test_without_merging_the_scores_would_be_lower() -> None:
    """A search of the single best ways, done by hand, gives less than the sum."""
    head, encoded = transducer(seed=4), noise(2)
    decoder = TransducerBeamDecoder(head, spell, 0.04, beam_size=20, n_best=20)
    (found,) = decoder.decode(encoded[None], torch.tensor([2]))
    one = next(hypothesis for hypothesis in found if hypothesis.tokens == (1,))
    ways = []
    for path in ((0, 1, 0), (0, 0, 1)):  # said in the first frame, or in the second
        state, total = head.initial_state(encoded[None], torch.tensor([2])), 0.0
        for fed, said in zip(path, (*path[1:], 0), strict=True):
            log_probs, state = head.advance(state, torch.tensor([fed]))
            total += float(log_probs.detach()[0, said])
        ways.append(total)
    both = math.log(sum(math.exp(way) for way in ways))
    assert one.score == pytest.approx(both) and max(ways) < both


@pytest.mark.parametrize("fused", [False, True])
def test_batches_change_nothing(fused) -> None:
    head = transducer(LSTMTransducerHead, seed=1)
    items = [noise(length, seed=length) for length in (7, 0, 3, 12)]
    encoded = torch.full((4, 12, 6), torch.nan).double()
    for row, item in enumerate(items):
        encoded[row, : len(item)] = item
    model = ShallowFusion(Letters(4), 0.3, NAMES) if fused else None
    decoder = TransducerBeamDecoder(head, spell, 0.04, language_model=model, n_best=3)
    together = decoder.decode(encoded, torch.tensor([7, 0, 3, 12]))
    assert [h.text for h in together[1]] == [""]
    for row, item in enumerate(items):
        (alone,) = decoder.decode(item[None], torch.tensor([len(item)]))
        assert [h.tokens for h in alone] == [h.tokens for h in together[row]]
        for one, other in zip(alone, together[row], strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-8)
            assert one.token_times == other.token_times


@pytest.mark.parametrize("blank", [0, 3])
def test_greedy_by_hand(blank) -> None:
    """At each node the best of a blank and a token, with the time at which it was said."""
    head, encoded = transducer(seed=3, blank=blank), noise(9)
    decoder = TransducerBeamDecoder(head, spell, 0.04, beam_size=1)
    ((found,),) = decoder.decode(encoded[None], torch.tensor([9]))
    state = head.initial_state(encoded[None], torch.tensor([9]))
    frame, token, total, tokens, frames = -1, blank, 0.0, [], []
    while True:
        frame += token == blank
        if frame == 9:
            break
        log_probs, state = head.advance(state, torch.tensor([token]))
        log_probs = log_probs.detach()[0]
        if len(tokens) == 9:
            log_probs[torch.arange(4) != blank] = -torch.inf
        total, token = total + float(log_probs.max()), int(log_probs.argmax())
        if token != blank:
            tokens.append(token)
            frames.append(frame)
    assert found.tokens == tuple(tokens) and tokens
    assert found.score == pytest.approx(total)
    expected = [(frame * 0.04, (frame + 1) * 0.04) for frame in frames]
    assert found.token_times == tuple(expected)


def test_longest_text() -> None:
    head = transducer()
    head.linear.bias.data[0] = -50  # it never wants to go on to the next frame
    decoder = TransducerBeamDecoder(head, spell, 0.04, beam_size=2, max_length_ratio=0.5)
    ((found,),) = decoder.decode(noise(7)[None], torch.tensor([7]))
    assert len(found.tokens) == 4


def test_nothing_to_decode() -> None:
    decoder = TransducerBeamDecoder(transducer(), spell, 0.04)
    assert decoder.decode(torch.zeros(0, 5, 6), torch.zeros(0, dtype=torch.int64)) == []
    (found,) = decoder.decode(torch.zeros(1, 0, 6).double(), torch.tensor([0]))
    assert found[0].tokens == () and found[0].score == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"beam_size": 0}, "beam_size=0"),
        ({"n_best": 9}, "n_best=9 must be at most beam_size=4"),
        ({"length_bonus": math.inf}, "length_bonus=inf"),
        ({"max_length_ratio": 0.0}, "max_length_ratio=0.0"),
        ({"stop_margin": -1.0}, "stop_margin=-1.0"),
        ({"frame_s": math.nan}, "frame_s=nan"),
    ],
)
def test_bad_arguments(arguments, message) -> None:
    with pytest.raises(SeqlabError, match=message):
        TransducerBeamDecoder(transducer(), spell, **{"frame_s": 0.04, **arguments})


def test_heads_that_do_not_fit() -> None:
    with pytest.raises(SeqlabError, match="CTCHead is and holds no transducer"):
        TransducerBeamDecoder(CTCHead(6, 4), spell, 0.04)
    with pytest.raises(SeqlabError, match="look for NaN"):
        TransducerBeamDecoder(transducer(), spell, 0.04).decode(
            torch.full((1, 4, 6), torch.nan).double(), torch.tensor([4])
        )
