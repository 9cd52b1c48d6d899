"""Second passes against scores worked out text by text, and inside a model."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from seqlab.contracts import Hypothesis
from seqlab.decoding.attention_beam import AttentionBeamDecoder
from seqlab.decoding.default import default_decoder
from seqlab.decoding.greedy import GreedyCTCDecoder
from seqlab.decoding.rescoring import TwoPassDecoder, rescore_by_head, rescore_by_language_model
from seqlab.errors import DataError, SeqlabError
from seqlab.heads.attention_decoder import TransformerDecoderHead
from seqlab.heads.classifier import ClassifierHead
from seqlab.heads.ctc import CTCHead
from seqlab.heads.event import EventHead
from seqlab.heads.joint import JointHead
from seqlab.heads.transducer import TransducerHead
from seqlab.text.tokenizers import CharacterTokenizer

from .exhaustive import Letters, scores

KINDS = {
    "attention": {
        "class_path": "seqlab.heads.attention_decoder.TransformerDecoderHead",
        "init_args": {"hidden_dim": 8, "num_layers": 1, "num_heads": 2},
    },
    "transducer": {
        "class_path": "seqlab.heads.transducer.TransducerHead",
        "init_args": {"hidden_dim": 8, "length_normalized": True},
    },
}


def joint(kind: str) -> JointHead:
    torch.manual_seed(0)
    heads = {"ctc": {"class_path": "seqlab.heads.ctc.CTCHead"}, kind: KINDS[kind]}
    return JointHead(6, 4, heads).double().eval()


def spell(tokens: Any) -> str:
    return " ".join(str(token) for token in tokens)


def lists(seed: int = 0) -> tuple[list[list[Hypothesis]], torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    encoded = torch.randn(3, 7, 6, generator=generator, dtype=torch.float64)
    encoded[1, 4:] = torch.nan
    texts = [[(1, 2, 3), (1,), ()], [(2, 2), (3, 1, 1, 2)], []]
    nbests = [
        [Hypothesis(t, spell(t), -1.0 - 0.1 * rank) for rank, t in enumerate(row)] for row in texts
    ]
    return nbests, encoded, torch.tensor([7, 4, 7])


class FixedDecoder:
    """Gives the same lists whatever it reads."""

    def __init__(self, nbests: list[list[Hypothesis]]) -> None:
        self.nbests = nbests

    def decode(self, log_probs: torch.Tensor, lengths: torch.Tensor) -> list[list[Hypothesis]]:
        assert log_probs.shape[-1] == 4
        return self.nbests


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weight", [0.0, 0.4])
def test_by_a_head(kind, weight, monkeypatch) -> None:
    head = joint(kind)
    nbests, encoded, lengths = lists()
    monkeypatch.setattr("seqlab.decoding.rescoring._AT_ONCE", 2)
    found = rescore_by_head(nbests, head, encoded, lengths, weight)
    for row, (nbest, again) in enumerate(zip(nbests, found, strict=True)):
        texts = [h.tokens for h in nbest]
        told = scores(head.heads[kind], encoded[row, : lengths[row]], texts)
        totals = {t: h.score + weight * s for t, h, s in zip(texts, nbest, told, strict=True)}
        assert [h.tokens for h in again] == sorted(totals, key=lambda text: -totals[text])
        for hypothesis in again:
            assert hypothesis.score == pytest.approx(totals[hypothesis.tokens], abs=1e-9)
            assert hypothesis.details["first"] in [h.score for h in nbest]


def test_by_a_language_model() -> None:
    nbests, _, _ = lists()
    found = rescore_by_language_model(nbests, Letters(4), 0.5, length_bonus=0.3)
    units = rescore_by_language_model(
        nbests, Letters(4), 0.5, 0.3, sentence=lambda h: [str(t) for t in h.tokens]
    )
    assert found == units
    for nbest, again in zip(nbests, found, strict=True):
        told = Letters(4).score_batch([h.text for h in nbest])
        totals = {
            h.tokens: h.score + 0.5 * s + 0.3 * len(h.tokens)
            for h, s in zip(nbest, told, strict=True)
        }
        assert [h.tokens for h in again] == sorted(totals, key=lambda text: -totals[text])
        assert [h.score for h in again] == pytest.approx(sorted(totals.values(), reverse=True))


def test_both_at_once() -> None:
    head = joint("attention")
    nbests, encoded, lengths = lists()
    decoder = TwoPassDecoder(head, FixedDecoder(nbests), 0.4, Letters(4), 0.5, 0.2)
    found = decoder.decode(encoded.nan_to_num(), lengths)
    again = rescore_by_head(nbests, head, encoded, lengths, 0.4)
    expected = rescore_by_language_model(again, Letters(4), 0.5, 0.2)
    assert found == expected
    best = found[0][0]
    assert set(best.details) == {"first", "head", "language"} and best.details["first"] > -1.4


def test_of_all_texts_the_best_is_what_the_search_finds() -> None:
    """The second pass over a complete list is the search itself."""
    head, encoded = joint("attention"), torch.randn(1, 3, 6).double()
    attention = head.heads["attention"]
    search = AttentionBeamDecoder(attention, spell, beam_size=40, n_best=40)
    (everything,) = search.decode(encoded, torch.tensor([3]))
    unsorted = [Hypothesis(h.tokens, h.text, 0.0) for h in reversed(everything)]
    (again,) = rescore_by_head([unsorted], attention, encoded, torch.tensor([3]), 1.0)
    assert [h.tokens for h in again] == [h.tokens for h in everything]
    assert [h.score for h in again] == pytest.approx([h.score for h in everything])


def test_refused() -> None:
    nbests, encoded, lengths = lists()
    greedy = GreedyCTCDecoder(spell, 0.04)
    with pytest.raises(SeqlabError, match="CTCHead is and holds no attention decoder or transdu"):
        rescore_by_head(nbests, CTCHead(6, 4), encoded, lengths, 1.0)
    with pytest.raises(SeqlabError, match="weight=nan"):
        rescore_by_head(nbests, joint("attention"), encoded, lengths, math.nan)
    with pytest.raises(SeqlabError, match="2 n-best lists for 3 utterances"):
        rescore_by_head(nbests[:2], joint("attention"), encoded, lengths, 1.0)
    with pytest.raises(DataError, match="weight=inf"):
        rescore_by_language_model(nbests, Letters(4), math.inf)
    with pytest.raises(SeqlabError, match="TransducerHead is and holds no CTC head"):
        TwoPassDecoder(TransducerHead(6, 4), greedy)
    with pytest.raises(SeqlabError, match="lm_weight=nan"):
        TwoPassDecoder(joint("attention"), greedy, lm_weight=math.nan)
    search = AttentionBeamDecoder(joint("attention"), spell)
    with pytest.raises(SeqlabError, match="first is AttentionBeamDecoder, must read log-prob"):
        TwoPassDecoder(joint("attention"), search)


def test_default_decoders() -> None:
    names = {
        CTCHead(6, 4): "GreedyCTCDecoder",
        joint("attention"): "GreedyCTCDecoder",
        TransducerHead(6, 4, hidden_dim=4): "TransducerBeamDecoder",
        TransformerDecoderHead(6, 4, hidden_dim=8, num_layers=1): "AttentionBeamDecoder",
        EventHead(6, 4): "EventDecoder",
    }
    tokenizer = CharacterTokenizer().fit(["abc"])
    for head, name in names.items():
        assert type(default_decoder(head, tokenizer, 0.04)).__name__ == name
    with pytest.raises(SeqlabError, match="gives labels"):
        default_decoder(ClassifierHead(6, 4), tokenizer, 0.04)
