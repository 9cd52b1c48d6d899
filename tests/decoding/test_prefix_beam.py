"""Prefix beam search, held against all alignments of small cases."""

from __future__ import annotations

import functools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.contracts import Decoder
from seqlab.decoding.greedy import GreedyCTCDecoder
from seqlab.decoding.prefix_beam import PrefixBeamDecoder
from seqlab.decoding.prefix_beam_units import TokenUnits
from seqlab.lm.ngram.model import NGramModel
from tests.decoding import prefix_beam_reference as reference

EXHAUSTIVE = {"beam": 4096, "beam_threshold": math.inf}
CHARACTERS = ["-", " ", "a", "b"]
PIECES = ["-", "\u2581a", "b", "\u2581"]
SPLIT_CHARACTERS = reference.split_text(CHARACTERS)
SPLIT_PIECES = reference.split_text(["", " a", "b", " "])
TEXTS = ["a b", "ab a", "b b ab", "a a b", "ab"]
UNITS = {"characters": TokenUnits.characters(CHARACTERS), "pieces": TokenUnits.subwords(PIECES)}

seeds, lengths = st.integers(0, 10**6), st.integers(0, 5)
weights = st.sampled_from([0.0, 0.3, 1.7])
bonuses = st.sampled_from([-1.0, 0.0, 2.5])
penalties = st.sampled_from([0.0, 4.0])
boosts = st.sampled_from([-1.5, 0.5, 3.0, 9.0])


@functools.cache
def word_model(order: int = 2) -> NGramModel:
    return NGramModel.estimate(TEXTS, order=order, smoothing="witten_bell")


def decode(decoder: PrefixBeamDecoder, rows: torch.Tensor, hotwords=None):
    return decoder.decode(rows[None], torch.tensor([len(rows)]), hotwords)[0]


def agree(answers, scoring, rows, blank=0, count=None) -> None:
    """The answers are the best of all, with their scores."""
    expected: dict[object, float] = {}
    for score, _, words in scoring.n_best(rows, blank):
        expected.setdefault(words, score)
    best = sorted(expected.values(), reverse=True)[: count or len(answers)]
    assert [a.score for a in answers] == pytest.approx(best, rel=1e-6, abs=1e-5)
    for answer in answers:
        assert answer.score == pytest.approx(expected[tuple(answer.text.split())], abs=1e-5)
        parts = ("acoustic", "language_model", "words", "hotwords")
        assert sum(answer.details[p] for p in parts) == pytest.approx(answer.score, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(seed=seeds, frames=lengths, blank=st.integers(0, 3))
def test_exhaustive_search_equals_all_alignments(seed, frames, blank):
    rows = reference.log_probs(seed, frames, 4)
    units = TokenUnits.words(["w", "x", "y", "z"], blank=blank)
    answers = decode(PrefixBeamDecoder(units, 0.1, n_best=64, **EXHAUSTIVE), rows)
    expected = sorted(reference.all_texts(rows, blank).items(), key=lambda item: -item[1])
    assert [a.tokens for a in answers] == [tokens for tokens, _ in expected[:64]]
    assert [a.score for a in answers] == pytest.approx([s for _, s in expected[:64]], abs=1e-11)


@settings(max_examples=20, deadline=None)
@given(seed=seeds, frames=st.integers(1, 12))
def test_scores_equal_ctc_loss(seed, frames):
    rows = reference.log_probs(seed, frames, 5)
    units = TokenUnits.words(list("-abcd"))
    for answer in decode(PrefixBeamDecoder(units, 0.1, n_best=5, **EXHAUSTIVE), rows):
        loss = torch.nn.functional.ctc_loss(
            rows.double()[:, None], torch.tensor([answer.tokens], dtype=torch.int64),
            torch.tensor([frames]), torch.tensor([len(answer.tokens)]), reduction="sum",
        )  # fmt: skip
        assert answer.score == pytest.approx(-float(loss), abs=0.01 if frames > 5 else 1e-11)
        assert (
            answer.score <= -float(loss) + 1e-6
        )  # a beam of 4096 may lack alignments of 12 frames


@settings(max_examples=60, deadline=None)
@given(
    seed=seeds, frames=lengths, weight=weights, bonus=bonuses, penalty=penalties,
    kind=st.sampled_from(["characters", "pieces"]), lookahead=st.booleans(),
    order=st.integers(1, 3),
)  # fmt: skip
def test_word_model(seed, frames, weight, bonus, penalty, kind, lookahead, order):
    rows = reference.log_probs(seed, frames, 4)
    split = SPLIT_CHARACTERS if kind == "characters" else SPLIT_PIECES
    scoring = reference.Scoring(
        split, word_model(order), weight=weight, bonus=bonus, penalty=penalty
    )
    decoder = PrefixBeamDecoder(
        UNITS[kind], 0.1, language_model=word_model(order), lm_weight=weight, word_bonus=bonus,
        unknown_penalty=penalty, n_best=20, lookahead=lookahead, **EXHAUSTIVE,
    )  # fmt: skip
    agree(decode(decoder, rows), scoring, rows)


@settings(max_examples=40, deadline=None)
@given(seed=seeds, frames=lengths, weight=weights, bonus=bonuses, penalty=penalties)
def test_token_model(seed, frames, weight, bonus, penalty):
    model = NGramModel.estimate([list("-ab"), list("a-")], order=3, smoothing="witten_bell")
    rows = reference.log_probs(seed, frames, 4)
    names = ["_", "-", "a", "c"]
    scoring = reference.Scoring(
        lambda tokens: [tuple(names[t] for t in tokens)], model, names, weight, bonus, penalty
    )
    decoder = PrefixBeamDecoder(
        TokenUnits.words(names), 0.1, language_model=model, lm_unit="token", lm_weight=weight,
        word_bonus=bonus, unknown_penalty=penalty, n_best=20, **EXHAUSTIVE,
    )  # fmt: skip
    agree(decode(decoder, rows), scoring, rows)


@settings(max_examples=60, deadline=None)
@given(
    seed=seeds, frames=lengths, first=boosts, second=boosts, third=boosts, weight=weights,
    kind=st.sampled_from(["characters", "pieces"]),
)  # fmt: skip
def test_hotwords(seed, frames, first, second, third, weight, kind):
    rows = reference.log_probs(seed, frames, 4)
    split = SPLIT_CHARACTERS if kind == "characters" else SPLIT_PIECES
    hotwords = {"a": first, "a ab": second, "ab": third}
    scoring = reference.Scoring(split, word_model(), weight=weight, hotwords=hotwords)
    decoder = PrefixBeamDecoder(
        UNITS[kind], 0.1, language_model=word_model(), lm_weight=weight, n_best=20, **EXHAUSTIVE
    )
    agree(decode(decoder, rows, hotwords), scoring, rows)


@settings(max_examples=40, deadline=None)
@given(
    seed=seeds, frames=lengths, weight=weights, bonus=bonuses, lookahead=st.booleans(),
    words=st.sets(st.sampled_from(["a", "b", "ab", "ba", "aa", "bab"]), min_size=1),
    kind=st.sampled_from(["characters", "pieces"]),
)  # fmt: skip
def test_lexicon_of_words(seed, frames, weight, bonus, words, kind, lookahead):
    rows = reference.log_probs(seed, frames, 4)
    texts = CHARACTERS if kind == "characters" else ["", " a", "b", " "]
    words = words | {"ab"}  # one that the model knows
    scoring = reference.Scoring(
        reference.only_words(words, texts), word_model(), weight=weight, bonus=bonus, penalty=1.0
    )
    decoder = PrefixBeamDecoder(
        UNITS[kind], 0.1, lexicon=sorted(words), language_model=word_model(), lm_weight=weight,
        word_bonus=bonus, unknown_penalty=1.0, n_best=20, lookahead=lookahead, **EXHAUSTIVE,
    )  # fmt: skip
    answers = decode(decoder, rows)
    if answers[0].details["complete"]:
        agree(answers, scoring, rows)
    assert all(words.issuperset(answer.text.split()) for answer in answers)


@settings(max_examples=60, deadline=None)
@given(
    seed=seeds, frames=lengths, weight=weights, bonus=bonuses, boost=boosts, space=st.booleans(),
    lookahead=st.booleans(),
)  # fmt: skip
def test_lexicon_of_spellings(seed, frames, weight, bonus, boost, space, lookahead):
    rows = reference.log_probs(seed, frames, 4)
    if space:  # homophones, several spellings, a word within a word
        lexicon = {"a": [(2,)], "eh": [(2,), (3, 2)], "b": [(3, 2)], "ab": [(2, 3), (2, 2)]}
        units, names = TokenUnits.characters(CHARACTERS), CHARACTERS
    else:  # nothing parts the words
        lexicon = {"a": [(1,)], "eh": [(1,), (3, 2)], "b": [(3, 2)], "ab": [(1, 2), (2,)]}
        units, names = TokenUnits.sounds(["-", "x", "y", "z"]), ["-", "x", "y", "z"]
    scoring = reference.Scoring(
        reference.spelled(lexicon, 1 if space else None), word_model(), weight=weight, bonus=bonus,
        hotwords={"eh": boost, "a ab": 2.0},
    )  # fmt: skip
    spellings = {w: [" ".join(names[t] for t in s) for s in ss] for w, ss in lexicon.items()}
    decoder = PrefixBeamDecoder(
        units, 0.1, lexicon=spellings, language_model=word_model(), lm_weight=weight,
        word_bonus=bonus, n_best=20, lookahead=lookahead, **EXHAUSTIVE,
    )  # fmt: skip
    agree(decode(decoder, rows, {"eh": boost, "a ab": 2.0}), scoring, rows)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, frames=st.integers(1, 5))
def test_times_are_those_of_the_best_alignment(seed, frames):
    rows = reference.log_probs(seed, frames, 4)
    units = TokenUnits.words(list("-abc"))
    for answer in decode(PrefixBeamDecoder(units, 1.0, n_best=9, **EXHAUSTIVE), rows):
        path = [0] * frames
        for token, (start, end) in zip(answer.tokens, answer.token_times, strict=True):
            path[int(start) : int(end)] = [token] * int(end - start)
        score = sum(float(rows[t, token]) for t, token in enumerate(path))
        best = reference.best_alignment(rows, answer.tokens, 0)
        assert score == pytest.approx(best, abs=1e-5)
        for (start, end), confidence, token in zip(
            answer.token_times, answer.token_confidences, answer.tokens, strict=True
        ):
            mean = float(rows[int(start) : int(end), token].mean())
            assert confidence == pytest.approx(math.exp(mean), abs=1e-5)


def test_narrow_beams_are_not_worse_than_greedy():
    """In total: a beam of 1 may lose single utterances, for it decides before all frames are in."""
    units = TokenUnits.words(list("-abcde"))
    rows = torch.stack([reference.log_probs(seed, 30, 6, sharpness=4.0) for seed in range(60)])
    frames = torch.full((60,), 30)
    greedy = GreedyCTCDecoder(units.decode, 0.1).decode(rows, frames)
    paths = [answers[0].score for answers in greedy]
    totals = []
    for beam in (1, 2, 4, 16, 64):
        answers = PrefixBeamDecoder(units, 0.1, beam=beam).decode(rows, frames)
        totals.append(sum(found[0].score for found in answers))
    assert totals == sorted(totals) and totals[0] > sum(paths)
    assert all(found[0].score > path - 1e-5 for found, path in zip(answers, paths, strict=True))


def test_it_is_a_decoder():
    assert isinstance(PrefixBeamDecoder(UNITS["characters"], 0.1), Decoder)
