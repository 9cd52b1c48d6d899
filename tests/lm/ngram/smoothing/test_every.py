"""What holds of every smoothing: sums, names, options, and texts that are hardly any."""

from __future__ import annotations

import dataclasses
import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.errors import DataError, SeqlabError
from seqlab.lm.ngram.smoothing.base import Smoothing
from seqlab.lm.ngram.smoothing.registry import SMOOTHINGS, smoothing_named

from .oracle import Lookup, count

EVERY = [(name, {}) for name in SMOOTHINGS] + [
    ("lidstone", {"k": 0.01}),
    ("good_turing", {"k_max": 2}),
    ("good_turing", {"k_max": 9}),
    ("absolute_discounting", {"interpolated": False}),
    ("absolute_discounting", {"discount": 0.75}),
    ("jelinek_mercer", {"weights": 0.3}),
    ("jelinek_mercer", {"by_history_count": False}),
    ("jelinek_mercer", {"held_out": ["a b a", "c c </unk>", ""]}),
    ("jelinek_mercer", {"held_out": ["z"], "by_history_count": False}),
]
PROPER = [(name, options) for name, options in EVERY if name != "stupid_backoff"]
sentences = st.lists(st.lists(st.sampled_from("aabbcde"), max_size=7), min_size=1, max_size=12)


def quietly(smoothing: Smoothing, *args: object) -> Lookup:
    """The model, without the warnings that so small texts give."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return Lookup(smoothing.estimate(count(*args)))


@pytest.mark.parametrize(("name", "options"), PROPER)
@settings(max_examples=40, deadline=None)
@given(
    text=sentences,
    order=st.integers(1, 5),
    vocabulary=st.sampled_from([None, "abcdef", "ab"]),
    history=st.lists(st.sampled_from("abcdefg"), max_size=5),
)
def test_sums_to_one(name, options, text, order, vocabulary, history):
    model = quietly(smoothing_named(name, **options), text, order, vocabulary)
    seen = [gram for gram in model.log_prob if len(gram) < order and "</s>" not in gram]
    for h in [*seen, tuple(history), ("<s>", *history), ("</s>",)]:
        assert model.total(h) == pytest.approx(1, abs=2e-6), h


@pytest.mark.parametrize(("name", "options"), EVERY)
@pytest.mark.parametrize(
    "text", [[[]], [["a"]], [[], []], [["a", "b", "c"]], [["a"] * 9], [["a", "b"]] * 7]
)
@pytest.mark.parametrize("order", [1, 2, 7])
def test_hardly_any_text(name, options, text, order):
    model = quietly(smoothing_named(name, **options), text, order)
    assert np.isfinite(model("</s>", ["<s>", *text[0]]))


@pytest.mark.parametrize(("name", "options"), EVERY)
def test_no_text(name, options):
    with pytest.raises(DataError, match="holds no words to count; give at least one sentence"):
        quietly(smoothing_named(name, **options), [], 3, "ab")


@pytest.mark.parametrize(("name", "options"), PROPER[1:])  # all but maximum likelihood
def test_every_word_can_come_next(name, options):
    text = ["the cat sat on the mat", "the dog sat", "a cat"]
    model = quietly(smoothing_named(name, **options), [s.split() for s in text], 3)
    for history in ([], ["the"], ["the", "cat"], ["<s>", "a"], ["no", "such"]):
        assert all(np.isfinite(model(word, history)) for word in model.words)


@pytest.mark.parametrize("name", SMOOTHINGS)
def test_counts_stay_as_they_were(name):
    counts = count([list("abab"), list("ba")], 3)
    before = [array.copy() for array in (*counts.occurrences, *counts.left_types)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        first, second = (smoothing_named(name).estimate(counts) for _ in range(2))
    for was, array in zip(before, (*counts.occurrences, *counts.left_types), strict=True):
        assert np.array_equal(was, array)
    for one, two in zip(first.log_prob, second.log_prob, strict=True):
        assert np.array_equal(one, two)


@pytest.mark.parametrize("name", SMOOTHINGS)
def test_names(name):
    smoothing = smoothing_named(name)
    assert isinstance(smoothing, Smoothing) and dataclasses.is_dataclass(smoothing)
    assert type(smoothing) is type(smoothing_named(smoothing.name.upper().replace("_", "-")))
    assert smoothing == dataclasses.replace(smoothing)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("kneserney", {}, "smoothing='kneserney' is not known; did you mean 'kneser_ney'"),
        (None, {}, "smoothing=None is not known"),
        ("lidstone", {"K": 1}, "no option 'K'; did you mean 'k'|no option 'K'; known: k"),
        ("laplace", {"k": 2}, "no option 'k'; it has none"),
        ("laplace", {"name": "x"}, "no option 'name'; it has none"),
        ("lidstone", {"k": 0}, "k=0 must be above 0; maximum_likelihood adds nothing"),
        ("lidstone", {"k": -1}, "k=-1 must be a number within"),
        ("lidstone", {"k": float("nan")}, "k=nan must be a number within"),
        ("lidstone", {"k": "1"}, "k='1' must be a number within"),
        ("good_turing", {"k_max": 1}, "k_max=1 must be a whole number of at least 2"),
        ("stupid_backoff", {"alpha": 0}, "alpha=0 must be above 0"),
        ("stupid_backoff", {"alpha": 1.5}, r"alpha=1.5 must be a number within \[0, 1\]"),
        ("absolute_discounting", {"discount": 1.0}, "discount=1.0 must be .* below 1, or one for"),
        ("absolute_discounting", {"discount": "0.5"}, "discount='0.5' must be"),
        ("absolute_discounting", {"discount": (0.5, 0)}, "discount=.0.5, 0. must be"),
        ("absolute_discounting", {"discount": ()}, "discount=.* must be"),
        ("absolute_discounting", {"interpolated": 1}, "interpolated=1 must be one of True, False"),
        ("jelinek_mercer", {"weights": 1}, "weights=1 must be a number above 0 and below 1"),
        (
            "jelinek_mercer",
            {"by_history_count": 2},
            "by_history_count=2 must be one of True, False",
        ),
        ("jelinek_mercer", {"weights": 0.5, "held_out": ["a"]}, "weights=0.5 must stand alone"),
    ],
)
def test_bad_options(name, options, message):
    with pytest.raises(SeqlabError, match=message):
        smoothing_named(name, **options)


@pytest.mark.parametrize(
    ("name", "options"),
    [("absolute_discounting", {"discount": (0.5, 0.5)}), ("jelinek_mercer", {"weights": [0.5]})],
)
def test_as_many_numbers_as_orders(name, options):
    with pytest.raises(SeqlabError, match="one number, or as many as the model has orders, 3"):
        smoothing_named(name, **options).estimate(count([list("abc")], 3))


def test_long_histories_seen_or_not():
    """All histories of two words over a closed vocabulary, for every proper smoothing."""
    text = [list("abcab"), list("bca"), list("cc"), []]
    for (name, options), order in itertools.product(PROPER, (2, 3)):
        model = quietly(smoothing_named(name, **options), text, order, "abcd")
        for history in itertools.product(["<s>", *model.words], ["</s>", *"abcd"]):
            assert model.total(history) == pytest.approx(1, abs=2e-6), (name, order, history)
