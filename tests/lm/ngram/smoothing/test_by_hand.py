"""Probabilities worked by hand, one small text for most smoothings.

Text: ``a b a``, ``a b``, and the words a, b, </s>, <unk> (V = 4, for <s> is never predicted).

    c(a) = 3, c(b) = 2, c(</s>) = 2, c(<unk>) = 0, N = 7, three different words
    c(<s> a) = 2
    c(a b) = 2, c(a </s>) = 1: c(a) = 3, two different words follow
    c(b a) = 1, c(b </s>) = 1: c(b) = 2, two different words follow
"""

from __future__ import annotations

import math

import pytest

from seqlab.lm.ngram.smoothing.absolute import AbsoluteDiscounting
from seqlab.lm.ngram.smoothing.additive import Laplace, Lidstone, MaximumLikelihood
from seqlab.lm.ngram.smoothing.good_turing import GoodTuring
from seqlab.lm.ngram.smoothing.jelinek_mercer import JelinekMercer
from seqlab.lm.ngram.smoothing.stupid_backoff import StupidBackoff
from seqlab.lm.ngram.smoothing.witten_bell import WittenBell

from .oracle import Lookup, count

TEXT = [list("aba"), list("ab")]

CASES = [
    (MaximumLikelihood(), {"a": 3 / 7, "a b": 2 / 3, "a a": 0, "<s> a": 1, "<s> b": 0}),
    # after <unk>, a history that was never seen, unigrams decide
    (MaximumLikelihood(), {"<unk>": 0, "<unk> a": 3 / 7}),
    # (c + 1) / (c(h) + 4)
    (Laplace(), {"a b": 3 / 7, "a a": 1 / 7, "<s> a": 3 / 6, "<s> </s>": 1 / 6, "<unk> a": 1 / 4}),
    # (c + 0.5) / (c(h) + 2)
    (Lidstone(0.5), {"a b": 2.5 / 5, "b b": 0.5 / 4, "<s> a": 2.5 / 4, "</s> a": 1 / 4}),
    # unigrams: (c + 3 / 4) / (7 + 3); a: (c + 2 p(w)) / (3 + 2); <s>: (c + p(w)) / (2 + 1)
    (WittenBell(), {"a": 3.75 / 10, "b": 2.75 / 10, "<unk>": 0.075}),
    (WittenBell(), {"a b": (2 + 2 * 0.275) / 5, "a a": 2 * 0.375 / 5, "a <unk>": 0.03}),
    (WittenBell(), {"<s> a": (2 + 0.375) / 3, "<s> b": 0.275 / 3, "<unk> a": 0.375}),
    # D = 1/2. unigrams: (c - 1/2) / 7 + (3/2) / 7 / 4; a: (c - 1/2) / 3 + (1/2 * 2 / 3) p(w)
    (AbsoluteDiscounting(0.5), {"a": 2.875 / 7, "b": 1.875 / 7, "<unk>": 0.375 / 7}),
    (AbsoluteDiscounting(0.5), {"a b": 1.5 / 3 + 1.875 / 21, "a a": 2.875 / 21}),
    (AbsoluteDiscounting((0.5, 0.25)), {"a b": 1.75 / 3 + 0.5 / 3 * 1.875 / 7}),
    # D is estimated: unigrams n1 = 0, n2 = 2: 1/2 with a warning; bigrams n1 = 3, n2 = 2: 3/7
    (AbsoluteDiscounting(), {"a": 2.875 / 7, "a a": 3 / 7 * 2 / 3 * 2.875 / 7}),
    # backing off: <unk> takes all of (3/2) / 7; p(b), p(</s>) = 1.5/7; after a, (1/2 * 2) / 3 goes
    # to a and <unk> by p = 2.5/7 and 1.5/7, so alpha = (1/3) / (4/7) = 7/12
    (AbsoluteDiscounting(0.5, False), {"a": 2.5 / 7, "b": 1.5 / 7, "<unk>": 1.5 / 7}),
    (AbsoluteDiscounting(0.5, False), {"a b": 1.5 / 3, "a a": 2.5 / 12, "a <unk>": 1.5 / 12}),
    # unigrams: 3/4 c / 7 + 1/16; bigrams: 3/4 c / c(h) + 1/4 p(w)
    (JelinekMercer(weights=0.75), {"a": 2.25 / 7 + 1 / 16, "<unk>": 1 / 16}),
    (JelinekMercer(weights=0.75), {"a b": 0.5 + (1.5 / 7 + 1 / 16) / 4, "<unk> <unk>": 1 / 16}),
    (JelinekMercer(weights=(0.75, 0.5)), {"a b": 1 / 3 + (1.5 / 7 + 1 / 16) / 2}),
    (StupidBackoff(), {"a": 3 / 7, "<unk>": 0, "a b": 2 / 3, "a a": 0.4 * 3 / 7}),
    (StupidBackoff(0.1), {"<unk> a": 0.1 * 3 / 7, "</s> b": 0.1 * 2 / 7, "<s> b": 0.1 * 2 / 7}),
]


@pytest.mark.filterwarnings("ignore:order 1. no discount can be estimated")
@pytest.mark.parametrize(("smoothing", "expected"), CASES)
def test_bigrams(smoothing, expected):
    model = Lookup(smoothing.estimate(count(TEXT, 2)))
    for gram, p in expected.items():
        history, _, word = gram.rpartition(" ")
        assert model.p(word, history) == pytest.approx(p, rel=1e-6), gram


def test_the_back_off_form_of_add_k():
    """Only whole histories are counted in: of n - 1 words, or since <s>."""
    model = Lookup(Lidstone(1).estimate(count(TEXT, 3)))
    assert model.p("b", "<s> a") == pytest.approx(3 / 6)
    assert model.p("a", "<s>") == pytest.approx(3 / 6)
    assert model.p("b", "<s>") == pytest.approx(1 / 6)
    assert model.p("b", "a") == pytest.approx(1 / 4)  # a history of one word that is no whole one
    assert model.p("a", "a b") == pytest.approx(2 / 6)
    assert model.p("b", "a b") == pytest.approx(1 / 6)
    assert model.p("b", "b b") == pytest.approx(1 / 4)


def test_good_turing_unigrams():
    """k_max = 2: n1 = 6, n2 = 2, n3 = 1, N = 13.

    m = 3 n3 / n1 = 1/2. 1* = 2 n2 / n1 = 2/3: d_1 = (2/3 - 1/2) / (1/2) = 1/3. 2* = 3 n3 / n2 =
    3/2: d_2 = (3/4 - 1/2) / (1/2) = 1/2. <unk> gets 1 - (3 + 2 * 2 * 1/2 + 6 * 1/3) / 13 = 6/13,
    which is n1 / N, Good's estimate of all that is new.
    """
    model = Lookup(GoodTuring(k_max=2).estimate(count([list("aaabbccdefgh")], 1)))
    assert model.p("a") == pytest.approx(3 / 13)
    assert model.p("b") == pytest.approx(1 / 13)
    assert model.p("d") == model.p("</s>") == pytest.approx(1 / 39)
    assert model.p("<unk>") == pytest.approx(6 / 13)


def test_good_turing_bigrams():
    """The sentences a, a, a, b, b, c, c, d to h, two words of each, k_max = 2.

    Each word x of ``x`` gives <s> x and x </s>. Bigrams n1 = 2 * 5, n2 = 2 * 2, n3 = 2 * 1: as in
    the unigram case with an n1 of 10: m = 3 * 2 / 10 = 3/5; 1* = 2 * 4 / 10 = 4/5: d_1 = (4/5 -
    3/5) / (2/5) = 1/2; 2* / 2 = 3 * 2 / (2 * 4) = 3/4: d_2 = (3/4 - 3/5) / (2/5) = 3/8.
    Unigrams: n1 = 5, n2 = 2, n3 = 1, c(</s>) = 12, N = 24; m = 3/5, d_1 = (4/5 - 3/5) / (2/5) =
    1/2, d_2 = 3/8 alike; p(d) = 1/48, p(b) = 3/96, <unk> the rest: 1 - (12 + 3 + 2 * 3/4 + 5/2)
    / 24 = 5/24.
    """
    model = Lookup(GoodTuring(k_max=2).estimate(count([[x] for x in "aaabbccdefgh"], 2)))
    assert model.p("a") == pytest.approx(3 / 24)
    assert model.p("b") == pytest.approx(3 / 96)
    assert model.p("d") == pytest.approx(1 / 48)
    assert model.p("<unk>") == pytest.approx(5 / 24)
    assert model.p("a", "<s>") == pytest.approx(3 / 12)
    assert model.p("b", "<s>") == pytest.approx(2 * 3 / 8 / 12)
    assert model.p("d", "<s>") == pytest.approx(1 / 24)
    assert model.p("</s>", "d") == pytest.approx(1 / 2)
    assert model.p("</s>", "b") == pytest.approx(3 / 8)
    # d leaves 1/2 for all words but </s>, which have 1 - 12/24 of the unigrams: alpha = 1
    assert model.p("a", "d") == pytest.approx(3 / 24)
    # b leaves 5/8: alpha = 5/4
    assert model.p("d", "b") == pytest.approx(5 / 4 / 48)
    # a is not discounted (3 > k_max), so its total grows to 4: 3/4, and alpha = (1/4) / (1/2)
    assert model.p("</s>", "a") == pytest.approx(3 / 4)
    assert model.p("b", "a") == pytest.approx(3 / 96 / 2)


def test_good_turing_where_each_word_has_a_count():
    """No word is left to give anything to, so that unigrams keep their relative frequencies."""
    text = [["<unk>"], *([x] for x in "aaabbccdefgh")]
    model = Lookup(GoodTuring(k_max=2).estimate(count(text, 1)))
    assert model.p("<unk>") == model.p("d") == pytest.approx(1 / 26)
    assert model.p("a") == pytest.approx(3 / 26)


def test_good_turing_warns_of_what_it_cannot_discount():
    with pytest.warns(
        UserWarning, match=r"order 1: n-grams that occur 1, 2 times .* k_max"
    ) as all_:
        GoodTuring(k_max=2).estimate(count([list("aabbcc")], 1))  # n1 = 1 (</s>), n2 = 3, n3 = 0
    assert len(all_) == 1
    with pytest.warns(UserWarning, match="order 1: n-grams that occur 1, 2, 3 times"):
        # n3 = 0 after n2 = 2: k_max falls to 1, where the formula leaves nothing of d_1
        GoodTuring(k_max=3).estimate(count([list("aabbcdefgh")], 1))
    with pytest.warns(UserWarning, match="order 1: n-grams that occur 3, 4 times"):
        # n4 = n5 = 0: k_max falls to 2, as in the case worked above
        model = Lookup(GoodTuring(k_max=4).estimate(count([list("aaabbccdefgh")], 1)))
    assert model.p("d") == pytest.approx(1 / 39)


@pytest.mark.filterwarnings("error")
def test_no_warning_where_there_is_nothing_to_discount():
    """An order above all sentences has no n-grams, and says nothing."""
    GoodTuring(k_max=2).estimate(count([["<unk>", *"aaabbccdefgh"]], 1))
    AbsoluteDiscounting().estimate(count([list("aabbcdefgh"), []], 1))


def test_absolute_discounting_warns_of_its_fallback():
    counts = count([list("ab"), list("ab"), list("c")] * 2, 2)  # bigrams occur 2 or 4 times
    with (
        pytest.warns(UserWarning, match="order 1: no discount .* 0 n-grams seen once and 1 seen t"),
        pytest.warns(UserWarning, match="order 2: no discount .* 0 n-grams seen once and 2 seen t"),
    ):
        model = Lookup(AbsoluteDiscounting().estimate(counts))
    # order 1: D = 1/2 of 4 words and N = 16: p(b) = 3.5/16 + 2/16/5; order 2: (4 - 1/2)/4 + 1/2/4 p
    assert model.p("b", "a") == pytest.approx(3.5 / 4 + (3.5 + 0.4) / 16 / 8)


def test_where_every_word_was_seen_nothing_is_taken():
    """After a come a, b, </s> and <unk>: all four words, once each but a, twice."""
    text = [["a", "a", "a", "b"], ["a", "<unk>"], ["a"]]
    model = Lookup(AbsoluteDiscounting(0.5, False).estimate(count(text, 2)))
    assert model.p("a", "a") == pytest.approx(2 / 5)
    assert model.p("b", "a") == model.p("<unk>", "a") == pytest.approx(1 / 5)


def test_scores_of_stupid_back_off_do_not_sum_to_one():
    model = Lookup(StupidBackoff().estimate(count(TEXT, 2)))
    assert model.total(["a"]) == pytest.approx(1 + 0.4 * 3 / 7)
    assert model.table.unseen_backoff == pytest.approx(math.log(0.4))
