from __future__ import annotations

import gzip
import math
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.errors import DataError, SeqlabError
from seqlab.lm.ngram.counting import Resources, count_numbers
from seqlab.lm.ngram.counts import NGramCounts
from seqlab.lm.ngram.cutoffs import kept_rows, select_rows
from seqlab.lm.ngram.ngrams import BackoffTable
from seqlab.lm.ngram.numbering import Numbering, number_text
from seqlab.lm.ngram.scratch import Scratch
from seqlab.lm.ngram.smoothing.kneser_ney import KneserNey, ModifiedKneserNey
from tests.lm.ngram import oracle

REFERENCE = Path(os.environ.get("SEQLAB_DATA", "/nowhere")).parent / "reference" / "ngram"
SENTENCES = st.lists(st.lists(st.sampled_from("abcd"), max_size=8), min_size=1, max_size=10)


def count(text: bytes, order: int) -> NGramCounts:
    scratch = Scratch()
    numbered = number_text([np.frombuffer(text, np.uint8)], Numbering(), scratch)
    return count_numbers(numbered, order, Resources(scratch))


def entries(table: BackoffTable) -> Iterator[tuple[tuple[str, ...], float, float]]:
    """Every n-gram with its log-probability and log back-off weight."""
    words = table.ngrams.words
    for k in range(1, table.order + 1):
        backoff = table.log_backoff[k - 1] if k < table.order else np.zeros(len(table.log_prob[-1]))
        rows = table.ngrams.word_numbers(k)
        for row, p, b in zip(rows, table.log_prob[k - 1], backoff, strict=True):
            yield tuple(words[int(n)] for n in row), float(p), float(b)


@settings(deadline=None, max_examples=60)
@given(SENTENCES, st.integers(1, 4))
def test_equals_the_definition(sentences: list[list[str]], order: int) -> None:
    discounts = (0.6, 1.1, 1.4)
    counts = count("".join(" ".join(s) + "\n" for s in sentences).encode(), order)
    table = ModifiedKneserNey(discounts=discounts).estimate(counts)
    expected = oracle.kneser_ney(
        oracle.count(sentences, order), oracle.left_types(sentences, order), order, discounts
    )
    got = {gram: math.exp(p) for gram, p, _ in entries(table)}
    for gram, p in expected.items():
        assert got[gram] == pytest.approx(p, rel=2e-6), gram


def test_a_case_worked_by_hand() -> None:
    """Text: "a b", "a c". Bigrams: <s>a 2, ab 1, ac 1, b</s> 1, c</s> 1; D = 0.5, 1, 1.5.

    Adjusted unigrams (words before): a 1 (<s>), b 1, c 1, </s> 2 (b, c); sum 5; V = 5 with <unk>.
    Taken from unigrams: 3 * 0.5 + 1 = 2.5, so gamma = 0.5 and p(a) = 0.5/5 + 0.5/5 = 0.2,
    p(</s>) = 1/5 + 0.1 = 0.3, p(<unk>) = 0.1.
    p(b|a) = 0.5/2 + (2 * 0.5)/2 * p(b) = 0.25 + 0.5 * 0.2 = 0.35; p(a|<s>) = 1/2 + 1/2 * 0.2.
    """
    table = ModifiedKneserNey(discounts=(0.5, 1.0, 1.5)).estimate(count(b"a b\na c\n", 2))
    got = {" ".join(gram): (math.exp(p), math.exp(b)) for gram, p, b in entries(table)}
    expected = {
        "a": (0.2, 0.5), "</s>": (0.3, 1.0), "<unk>": (0.1, 1.0), "<s>": (0.0, 0.5),
        "a b": (0.35, 1.0), "<s> a": (0.6, 1.0), "b </s>": (0.5 + 0.5 * 0.3, 1.0),
    }  # fmt: skip
    for gram, pair in expected.items():
        assert got[gram] == pytest.approx(pair, abs=1e-6), gram


MODELS = [
    ("kn2", 2, {}),
    ("kn3", 3, {}),
    ("kn5", 5, {}),
    ("kn3_prune001", 3, {"cutoffs": (0, 0, 1)}),
    ("kn3_prune011", 3, {"cutoffs": (0, 1, 1)}),
    ("kn3_no_unigram_interpolation", 3, {"interpolate_unigrams": False}),
    ("chars4", 4, {"like_lmplz": True}),
]


@pytest.mark.data
@pytest.mark.skipif(not REFERENCE.is_dir(), reason="SEQLAB_DATA is unset or has no reference/ngram")
@pytest.mark.parametrize(("name", "order", "options"), MODELS)
def test_every_value_equals_lmplz(name: str, order: int, options: dict[str, object]) -> None:
    """Base 10 within 1e-6 of KenLM's lmplz (4cb443e), which prints eight digits."""
    expected = read_plainly(REFERENCE / f"{name}.arpa.gz")
    text = (REFERENCE / ("train.chars.txt" if name == "chars4" else "train.txt")).read_bytes()
    counts = count(text, order)
    table = ModifiedKneserNey(**options).estimate(counts)  # type: ignore[arg-type]
    table = select_rows(table, kept_rows(counts, options.get("cutoffs", ())))  # type: ignore[arg-type]
    seen = 0
    for gram, p, backoff in entries(table):
        seen += 1
        if gram != ("<s>",):  # given, never predicted; lmplz writes 0 for it
            assert p / math.log(10) == pytest.approx(expected[gram][0], abs=1e-6), gram
        assert backoff / math.log(10) == pytest.approx(expected[gram][1], abs=1e-6), gram
    assert seen == len(expected)


def read_plainly(path: Path) -> dict[tuple[str, ...], tuple[float, float]]:
    """The n-grams of an ARPA file of lmplz: base 10 probability and back-off weight."""
    result = {}
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            fields = line.rstrip("\n").split("\t")
            if len(fields) > 1:
                back = float(fields[2]) if len(fields) > 2 else 0.0
                result[tuple(fields[1].split(" "))] = (float(fields[0]), back)
    return result


@settings(deadline=None, max_examples=40)
@given(SENTENCES, st.integers(2, 4), st.sampled_from(["modified", "plain", "backing off"]))
def test_distributions_sum_to_one(sentences: list[list[str]], order: int, form: str) -> None:
    counts = count("".join(" ".join(s) + "\n" for s in sentences).encode(), order)
    method = {
        "modified": ModifiedKneserNey(),
        "plain": KneserNey(),
        "backing off": KneserNey(interpolated=False),
    }[form]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = method.estimate(counts)
    values = {gram: (p, b) for gram, p, b in entries(table)}
    vocabulary = [w for w in table.ngrams.words if w != "<s>"]

    def log_prob(gram: tuple[str, ...]) -> float:
        if gram in values:
            return values[gram][0]
        return values.get(gram[:-1], (0.0, 0.0))[1] + log_prob(gram[1:])

    for history in [(), *(gram for gram in values if len(gram) < order and gram[-1] != "</s>")]:
        total = sum(math.exp(log_prob((*history, word))) for word in vocabulary)
        assert total == pytest.approx(1.0, abs=2e-5), history


@pytest.mark.parametrize("cutoffs", [(0, 0, 1), (0, 1, 1), (0, 1, 2)])
def test_cut_off_models_sum_to_one(cutoffs: tuple[int, ...]) -> None:
    random = np.random.default_rng(3)
    text = "".join(
        " ".join("abcdef"[n] for n in random.zipf(1.6, random.integers(1, 9)) % 6) + "\n"
        for _ in range(400)
    )
    counts = count(text.encode(), 3)
    table = ModifiedKneserNey(cutoffs=cutoffs, discounts=(0.6, 1.1, 1.4)).estimate(counts)
    table = select_rows(table, kept_rows(counts, cutoffs))
    values = {gram: (p, b) for gram, p, b in entries(table)}

    def log_prob(gram: tuple[str, ...]) -> float:
        if gram in values:
            return values[gram][0]
        return values.get(gram[:-1], (0.0, 0.0))[1] + log_prob(gram[1:])

    histories = [gram for gram in values if len(gram) < 3 and gram[-1] != "</s>"]
    for history in histories:
        total = sum(math.exp(log_prob((*history, w))) for w in table.ngrams.words if w != "<s>")
        assert total == pytest.approx(1.0, abs=2e-5), history


def test_small_texts_fall_back_with_a_warning() -> None:
    counts = count(b"a b c\n", 2)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        ModifiedKneserNey().estimate(counts)
    assert [str(warning.message)[:44] for warning in told] == [
        f"the discounts of order {k} cannot be estimated"[:44] for k in (1, 2)
    ]
    with pytest.raises(DataError, match="give discounts or fallback"):
        ModifiedKneserNey(fallback=None).estimate(counts)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"discounts": (0.5, 1.0)}, "must be 3 number"),
        ({"discounts": (1.5, 1.0, 1.0)}, "within 0 and the count"),
        ({"fallback": (0.5, math.nan, 1.0)}, "within 0 and the count"),
        ({"cutoffs": (0, 2, 1)}, "never fall"),
        ({"cutoffs": (1,)}, "begin with 0"),
        ({"interpolated": False, "cutoffs": (0, 1)}, "no effect"),
    ],
)
def test_options_out_of_range(options: dict[str, object], message: str) -> None:
    with pytest.raises(SeqlabError, match=message):
        ModifiedKneserNey(**options)  # type: ignore[arg-type]
