"""Rates against jiwer and a plain dynamic programme, intervals against closed forms."""

from __future__ import annotations

import math
import subprocess
import sys

import jiwer
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.errors import SeqlabError
from seqlab.metrics import (
    Alignment,
    accuracy,
    align,
    align_characters,
    align_words,
    bootstrap_interval,
    confusion_matrix,
    detection_curve,
    error_rate,
    wilson_interval,
)

tokens = st.lists(st.sampled_from(["a", "b", "c", "dd", "a b", ""]), max_size=9)
sentences = st.lists(st.sampled_from("abcde"), max_size=9).map(" ".join)


def edit_distance(reference: list[str], hypothesis: list[str]) -> int:
    """Levenshtein's recurrence as written in textbooks."""
    row = list(range(len(hypothesis) + 1))
    for i, said in enumerate(reference, 1):
        previous, row[0] = row[0], i
        for j, heard in enumerate(hypothesis, 1):
            best = min(row[j] + 1, row[j - 1] + 1, previous + (said != heard))
            previous, row[j] = row[j], best
    return row[-1]


class TestAlignment:
    @given(tokens, tokens)
    def test_is_optimal_and_rebuilds_both_sides(self, reference: list, hypothesis: list) -> None:
        alignment = align(reference, hypothesis)
        assert alignment.errors == edit_distance(reference, hypothesis)
        steps = alignment.steps
        assert [r for kind, r, _ in steps if kind != "insertion"] == reference
        assert [h for kind, _, h in steps if kind != "deletion"] == hypothesis
        assert all((r == h) == (kind == "hit") for kind, r, h in steps if kind[0] in "hs")
        assert alignment.reference_length == len(reference)

    @given(tokens, tokens, tokens)
    def test_is_a_metric(self, a: list, b: list, c: list) -> None:
        assert align(a, a).errors == 0
        assert (align(a, b).errors == 0) == (a == b)
        assert align(a, b).errors == align(b, a).errors
        assert align(a, c).errors <= align(a, b).errors + align(b, c).errors
        assert abs(len(a) - len(b)) <= align(a, b).errors <= max(len(a), len(b))

    def test_by_hand(self) -> None:
        alignment = align_words("the cat sat on the mat", "so the cat sit on mat")
        assert (alignment.hits, alignment.substitutions) == (4, 1)
        assert (alignment.deletions, alignment.insertions) == (1, 1)
        assert align_characters("  a  b ", "ab").steps == (
            ("hit", "a", "a"),
            ("deletion", " ", ""),
            ("hit", "b", "b"),
        )

    @given(sentences, sentences)
    def test_rows_are_columns(self, reference: str, hypothesis: str) -> None:
        alignment = align_words(reference, hypothesis)
        top, middle, signs = alignment.rows()
        assert [w for w in top.split() if w != "*"] == reference.split()
        assert [w for w in middle.split() if w != "*"] == hypothesis.split()
        assert len(signs.split()) == alignment.errors

    def test_nothing_at_all(self) -> None:
        assert align_words("", "") == Alignment(())
        assert Alignment(()).rows() == ("", "", "")


class TestErrorRate:
    @settings(max_examples=60)
    @given(st.lists(st.tuples(sentences.filter(bool), sentences), min_size=1, max_size=5))
    def test_equals_jiwer(self, pairs: list) -> None:
        references, hypotheses = ([pair[i] for pair in pairs] for i in (0, 1))
        ours = error_rate(references, hypotheses)
        theirs = jiwer.process_words(references, hypotheses)
        assert ours.rate == pytest.approx(theirs.wer, abs=1e-12)
        for name in ("hits", "substitutions", "deletions", "insertions"):
            assert getattr(ours, name) == getattr(theirs, name)
        characters = error_rate(references, hypotheses, unit="character")
        assert characters.rate == pytest.approx(jiwer.cer(references, hypotheses), abs=1e-12)

    def test_corpus_rate_is_a_ratio_of_sums(self) -> None:
        result = error_rate(["a b c d e f g h i", "a"], ["a b c d e f g h i", "b"])
        assert (result.errors, result.reference_length, result.rate) == (1, 10, 0.1)

    def test_empty_references(self) -> None:
        assert error_rate(["", "a b"], ["x", "a b"]).rate == 0.5
        assert error_rate([""], [" "]).rate == 0.0
        assert error_rate(["", ""], ["x y", ""]).rate == math.inf
        assert error_rate(["", ""], ["x y", ""]).insertions == 2

    def test_interval_holds_the_rate(self) -> None:
        references = [f"a b c {i}" for i in range(40)]
        hypotheses = [f"a b c {i + (i % 3 == 0)}" for i in range(40)]
        result = error_rate(references, hypotheses)
        low, high = result.interval()
        assert 0 < low < result.rate < high < 0.25
        speakers = [str(i % 5) for i in range(40)]
        assert result.interval(speakers) != (low, high)

    def test_bad_input(self) -> None:
        with pytest.raises(SeqlabError, match="2 references and 1 hypotheses"):
            error_rate(["a", "b"], ["a"])
        with pytest.raises(SeqlabError, match="at least 1"):
            error_rate([], [])
        with pytest.raises(SeqlabError, match="is one text"):
            error_rate("abc", "abd")
        with pytest.raises(SeqlabError, match="unit='phone'"):
            error_rate(["a"], ["a"], unit="phone")


class TestLabels:
    def test_accuracy(self) -> None:
        assert accuracy(["a", "b", "c", "d"], ["a", "b", "c", "a"]) == 0.75
        with pytest.raises(SeqlabError, match="at least 1"):
            accuracy([], [])

    @given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1))
    def test_confusion(self, pairs: list) -> None:
        references, hypotheses = zip(*pairs, strict=True)
        matrix = confusion_matrix(references, hypotheses, ["a", "b", "c"])
        for i, said in enumerate("abc"):
            for j, heard in enumerate("abc"):
                assert matrix[i, j] == pairs.count((said, heard))
        assert np.trace(matrix) / matrix.sum() == pytest.approx(accuracy(references, hypotheses))

    def test_unknown_label(self) -> None:
        with pytest.raises(SeqlabError, match="'c' is not among"):
            confusion_matrix(["a"], ["c"], ["a", "b"])


class TestIntervals:
    def test_bootstrap_of_a_share_is_near_the_binomial(self) -> None:
        errors = np.zeros(1000)
        errors[:200] = 1
        low, high = bootstrap_interval(errors, resamples=4000)
        spread = 1.96 * math.sqrt(0.2 * 0.8 / 1000)
        assert low == pytest.approx(0.2 - spread, abs=0.003)
        assert high == pytest.approx(0.2 + spread, abs=0.003)

    def test_speakers_that_differ_widen_the_interval(self) -> None:
        errors = np.repeat([0, 1], 500)  # speakers 0-4 make no errors, 5-9 only errors
        speakers = [str(i // 100) for i in range(1000)]
        low, high = bootstrap_interval(errors)
        wide_low, wide_high = bootstrap_interval(errors, groups=speakers)
        assert wide_high - wide_low > 5 * (high - low)

    def test_groups_of_one_utterance_change_nothing(self) -> None:
        rng = np.random.default_rng(1)
        errors, words = rng.integers(0, 4, 50), rng.integers(1, 12, 50)
        single = [f"{i:03d}" for i in range(50)]
        assert bootstrap_interval(errors, words, single) == bootstrap_interval(errors, words)

    def test_covers_the_truth_as_often_as_it_says(self) -> None:
        rng = np.random.default_rng(2)
        held = 0
        for _ in range(200):
            words = rng.integers(1, 20, 120)
            low, high = bootstrap_interval(rng.binomial(words, 0.1), words, resamples=300)
            held += low <= 0.1 <= high
        assert 0.89 <= held / 200 <= 0.99

    def test_repeatable_and_seeded(self) -> None:
        errors = np.random.default_rng(0).random(30)
        assert bootstrap_interval(errors, seed=3) == bootstrap_interval(errors, seed=3)
        assert bootstrap_interval(errors, seed=3) != bootstrap_interval(errors, seed=4)
        assert bootstrap_interval(np.zeros(10)) == (0.0, 0.0)
        assert bootstrap_interval([1, 0, 3], [4, 0, 9])[0] >= 0  # a draw of no words is left out

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (([1],), "2 or more"),
            (([1, 2], [0, 0]), "sum to 0"),
            (([1, 2], [1]), "alike"),
            (([1, math.nan],), "finite"),
            (([1, 2], [1, -1]), "not negative"),
            (([1, 2], None, ["a"]), "as many"),
            (([1, 2], None, ["a", "a"]), "2 or more"),
        ],
    )
    def test_bad_input(self, arguments: tuple, message: str) -> None:
        with pytest.raises(SeqlabError, match=message):
            bootstrap_interval(*arguments)
        with pytest.raises(SeqlabError, match="confidence=95"):
            bootstrap_interval([1, 2], confidence=95)
        with pytest.raises(SeqlabError, match="resamples=3"):
            bootstrap_interval([1, 2], resamples=3)

    def test_wilson(self) -> None:
        """Figures from Newcombe 1998, table I, method 3."""
        for right, total, expected in [
            (81, 263, (0.2553, 0.3662)),
            (15, 148, (0.0624, 0.1605)),
            (0, 20, (0.0, 0.1611)),
            (1, 29, (0.0061, 0.1718)),
        ]:
            assert wilson_interval(right, total) == pytest.approx(expected, abs=5e-5)
        for total in range(1, 200):  # the figure itself lies within, rounding or not
            assert wilson_interval(total, total)[1] == 1.0 and wilson_interval(0, total)[0] == 0.0
        for right, total in [(1, 0), (3, 2), (-1, 2)]:
            with pytest.raises(SeqlabError, match="0 <= right <= total"):
                wilson_interval(right, total)


class TestDetectionCurve:
    @given(
        st.lists(st.integers(0, 9), min_size=1, max_size=20),
        st.lists(st.integers(0, 9), max_size=20),
    )
    def test_equals_counting(self, keywords: list, alarms: list) -> None:
        curve = detection_curve(keywords, alarms, negative_hours=4.0)
        for threshold, missed, alarmed in zip(
            curve.thresholds,
            curve.false_rejection_rates,
            curve.false_alarms_per_hour,
            strict=True,
        ):
            assert missed == sum(k < threshold for k in keywords) / len(keywords)
            assert alarmed == sum(a >= threshold for a in alarms) / 4.0
        assert curve.false_alarms_per_hour[-1] == 0
        assert curve.resolution == 0.25

    def test_operating_points(self) -> None:
        curve = detection_curve([0.9, 0.8, 0.4, -math.inf], [0.85, 0.5, 0.45], negative_hours=2.0)
        assert curve.at(0.0) == (0.75, 0.9)
        assert curve.at(0.4) == (0.75, 0.9)
        assert curve.at(0.5) == curve.at(1.0) == (0.5, 0.8)
        assert curve.at(9.0) == (0.25, 0.4)

    def test_bad_input(self) -> None:
        for arguments, message in [
            (([], [1.0], 1.0), "at least one keyword"),
            (([math.nan], [], 1.0), "NaN"),
            (([1.0], [math.inf], 1.0), "below infinity"),
            (([1.0], [], 0.0), "negative_hours=0"),
            (([[1.0]], [], 1.0), "one-dimensional"),
        ]:
            with pytest.raises(SeqlabError, match=message):
                detection_curve(*arguments)
        with pytest.raises(SeqlabError, match="0 or more"):
            detection_curve([1.0], [], 1.0).at(-1.0)


def test_importing_metrics_needs_no_torch() -> None:
    program = "import sys, seqlab.metrics; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr
