"""The smoothings that NLTK has too, compared with NLTK 3.9 and later.

Where NLTK differs, and what is done about it here:

- It pads a sentence with n - 1 <s> and counts the unigram <s> as a word that can be predicted.
  Here it is given n-grams that are cut at one <s>, and no unigram <s>.
- Its vocabulary, from which V is counted, is given without <s>. NLTK then takes <s> for <UNK>,
  which does no harm because nothing else here is: the history <s> is asked for as <UNK>.
- ``Vocabulary`` adds ``<UNK>`` by itself: it stands for ``<unk>``, so that both have the same V.
- Its interpolated models end at unigrams of relative frequency; here they go down to the uniform
  distribution. The two subclasses below override ``unigram_score`` alone.
- Its maximum likelihood is 0 after a history that was never seen; here a shorter one decides.
- It takes the discount of absolute discounting as given, the same for all orders.
"""

from __future__ import annotations

import itertools
import random

import pytest

from seqlab.lm.ngram.smoothing.registry import smoothing_named

from .oracle import Lookup, count

lm = pytest.importorskip("nltk.lm")
smoothing = pytest.importorskip("nltk.lm.smoothing")

DISCOUNT = 0.6


class WittenBell(smoothing.WittenBell):
    def unigram_score(self, word):
        unigrams = self.counts.unigrams
        return (unigrams[word] + len(unigrams) / len(self.vocab)) / (unigrams.N() + len(unigrams))


class AbsoluteDiscounting(smoothing.AbsoluteDiscounting):
    def unigram_score(self, word):
        unigrams = self.counts.unigrams
        left = self.discount * len(unigrams) / len(self.vocab)
        return (max(unigrams[word] - self.discount, 0) + left) / unigrams.N()


def nltk_model(name, order):
    if name == "witten_bell":
        model = lm.WittenBellInterpolated(order)
        model.estimator = WittenBell(model.vocab, model.counts)
    elif name == "absolute_discounting":
        model = lm.AbsoluteDiscountingInterpolated(order, discount=DISCOUNT)
        model.estimator = AbsoluteDiscounting(model.vocab, model.counts, discount=DISCOUNT)
    elif name == "lidstone":
        model = lm.Lidstone(0.3, order)
    else:
        model = {
            "laplace": lm.Laplace,
            "maximum_likelihood": lm.MLE,
            "stupid_backoff": lambda n: lm.StupidBackoff(0.4, n),
        }[name](order)
    return model


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("maximum_likelihood", {}),
        ("laplace", {}),
        ("lidstone", {"k": 0.3}),
        ("witten_bell", {}),
        ("absolute_discounting", {"discount": DISCOUNT}),
        ("stupid_backoff", {}),
    ],
)
def test_equals_nltk(name, options, order):
    generator = random.Random(order)
    text = [
        generator.choices("abcde", [8, 4, 2, 1, 1], k=generator.randrange(9)) for _ in range(20)
    ]
    ours = Lookup(smoothing_named(name, **options).estimate(count(text, order)))
    theirs = nltk_model(name, order)
    marked = [("<s>", *sentence, "</s>") for sentence in text]
    grams = [
        [s[i : i + k] for k in range(1, order + 1) for i in range(k == 1, len(s) - k + 1)]
        for s in marked
    ]
    theirs.fit(grams, [word for sentence in marked for word in sentence[1:]])
    assert len(theirs.vocab) == len(ours.words)

    begun = [("<s>", *h) for k in range(order - 1) for h in itertools.product("abcde", repeat=k)]
    compared = 0
    for history in [*itertools.product("abcdez", repeat=order - 1), *begun]:
        known = tuple(word.replace("<s>", "<UNK>") for word in history)
        if name == "maximum_likelihood" and history and not theirs.context_counts(known).N():
            continue
        for word in ours.words:
            expected = theirs.unmasked_score(word.replace("<unk>", "<UNK>"), known)
            assert ours.p(word, " ".join(history)) == pytest.approx(expected, rel=1e-5)
            compared += 1
    assert compared >= 7
