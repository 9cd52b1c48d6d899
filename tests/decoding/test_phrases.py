"""The search for phrases: against all alignments, worked by hand, and under any chunking."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.decoding.keyword import Detection, DetectorSettings
from seqlab.decoding.phrase_detector import PhraseDetector
from seqlab.decoding.phrases import PhraseFrames, PhraseSearch
from seqlab.errors import SeqlabError

BLANK, SPACE = 0, 1


def log_probs(frames: int, classes: int, seed: int, peaks: float = 2.0) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(size=(frames, classes)) * peaks
    return logits - np.log(np.exp(logits).sum(1, keepdims=True))


def written(path: tuple[int, ...]) -> tuple[int, ...]:
    """What CTC makes of a path: repeats merged, blanks dropped (Graves et al. 2006)."""
    return tuple(k for k, _ in itertools.groupby(path) if k != BLANK)


def longest_pause(path: tuple[int, ...]) -> int:
    runs = [len(list(run)) for k, run in itertools.groupby(path) if k == BLANK]
    return max(runs, default=0)


def exhaustive(values: np.ndarray, tokens: tuple[int, ...], end: int, pause: int) -> float:
    """Best sum over every path of ``tokens`` from any frame up to the last before ``end``."""
    best, classes = -math.inf, sorted({BLANK, *tokens})
    for begin in range(end):
        for path in itertools.product(classes, repeat=end - begin):
            inside = path[0] != BLANK != path[-1] and longest_pause(path) <= pause
            if inside and written(path) == tokens:
                best = max(best, sum(values[begin + i, k] for i, k in enumerate(path)))
    return best


def bounded(values: np.ndarray, tokens: tuple[int, ...], t: int, pause: int, quiet: int) -> float:
    """As ``exhaustive`` where words are whole, decided at frame ``t``."""

    def silent(first: int, end: int) -> float:
        return sum(values[i, BLANK] for i in range(max(first, 0), end))

    def before(begin: int) -> float:
        ways = [silent(begin - quiet, begin)]
        for back in range(1, quiet + 1):
            if begin - back >= 0:
                ways.append(values[begin - back, SPACE] + silent(begin - back + 1, begin))
        return max(ways)

    best = -math.inf
    for begin in range(len(values)):
        part = values[begin:]
        for end in range(begin + 1, t + 1):
            alone = -math.inf
            for path in itertools.product(sorted({BLANK, *tokens}), repeat=end - begin):
                inside = path[0] != BLANK != path[-1] and longest_pause(path) <= pause
                if inside and written(path) == tokens:
                    alone = max(alone, sum(part[i, k] for i, k in enumerate(path)))
            after = [values[t, SPACE] + silent(end, t)] if t - end < quiet else []
            after += [silent(end, t + 1)] if t - end + 1 == quiet else []
            if after:
                best = max(best, before(begin) + alone + max(after))
    return best


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(1, 2), min_size=1, max_size=3),
    st.integers(0, 10**6),
    st.integers(0, 3),
)
def test_scores_against_every_alignment(tokens: list[int], seed: int, pause: int) -> None:
    """Frames on which the last token goes on as the best class cost nothing."""
    values = log_probs(6, 3, seed)
    search = PhraseSearch([[tokens]], 3, pause=pause)
    found, _ = search.step(values, search.initial_state())
    last, before = tokens[-1], -math.inf
    for t in range(6):
        goes_on = t > 0 and (values[t - 1 : t + 1].argmax(1) == last).all()
        expected = exhaustive(values, tuple(tokens), t + 1, pause)
        before = max(expected, before + (0.0 if goes_on else values[t, last]))
        assert found.scores[t, 0] == pytest.approx(math.exp(before / len(tokens)), abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([(2,), (2, 3), (2, 2), (2, 1, 3)]),
    st.integers(0, 10**6),
    st.integers(0, 2),
    st.integers(1, 3),
)
def test_whole_words_against_every_alignment(
    tokens: tuple[int, ...], seed: int, pause: int, quiet: int
) -> None:
    values = log_probs(6, 4, seed)
    search = PhraseSearch([[tokens]], 4, edges=[SPACE], pause=pause, quiet=quiet)
    found, _ = search.step(values, search.initial_state())
    for t in range(6):
        expected = bounded(values, tokens, t, pause, quiet)
        assert found.scores[t, 0] == pytest.approx(math.exp(expected / len(tokens)), abs=1e-12)


def posteriors(text: str, sure: float = 0.9) -> np.ndarray:
    """A frame a sign, of the classes ``_ abc``; ``_`` is the blank."""
    probs = np.full((len(text), 5), (1 - sure) / 4)
    for t, sign in enumerate(text):
        probs[t, "_ abc".index(sign)] = sure
    return np.log(probs)


def detector(
    *phrases: tuple[int, ...], whole: bool = False, pause: int = 3, **given: object
) -> PhraseDetector:
    names = ["".join("_ abc"[k] for k in phrase) for phrase in phrases]
    search = PhraseSearch(
        [[p] for p in phrases], 5, edges=[SPACE] if whole else [], pause=pause, quiet=2
    )
    chosen = {"threshold": 0.5, "smoothing_s": 0, "refractory_s": 0.3, **given}
    return PhraseDetector(search, names, 0.1, DetectorSettings(**chosen))


def said(found: PhraseDetector, values: np.ndarray) -> list[tuple[str, float, float]]:
    some, state = found.step(values, found.initial_state())
    return [
        (d.label, round(d.start_s, 3), round(d.time_s, 3)) for d in some + found.finish(state)[0]
    ]


def test_times_by_hand() -> None:
    """Tokens at frames 2 to 3 and 5: 0.2 s to 0.6 s; a repeat belongs to its token."""
    assert said(detector((2, 3)), posteriors("__aa_b__c")) == [("ab", 0.2, 0.6)]
    assert said(detector((2, 3)), posteriors("__aa_bb_c")) == [("ab", 0.2, 0.7)]
    assert said(detector((2, 2)), posteriors("_aa_aa__")) == [("aa", 0.1, 0.6)]
    assert said(detector((2, 2)), posteriors("_aaaaa__")) == []  # a blank must be between


def test_scores_by_hand() -> None:
    """0.6 for the first token, 0.3 for the second: the root of 0.18."""
    rows = "90 2 2 3 3, 10 10 60 10 10, 5 3 60 30 2, 90 2 2 3 3"
    probs = np.array([row.split() for row in rows.split(", ")], float) / 100
    found = detector((2, 3), threshold=0.4)
    some, state = found.step(np.log(probs), found.initial_state())
    [one] = some + found.finish(state)[0]
    assert one.score == pytest.approx(math.sqrt(0.18))
    assert (one.start_s, one.time_s) == pytest.approx((0.1, 0.3))


def test_pauses_are_bounded() -> None:
    assert said(detector((2, 3)), posteriors("_a___b__")) == [("ab", 0.1, 0.6)]
    assert said(detector((2, 3)), posteriors("_a____b__")) == []


def test_the_last_beginning_is_taken() -> None:
    assert said(detector((2, 3)), posteriors("_a__a_b__")) == [("ab", 0.4, 0.7)]


def test_words_are_whole() -> None:
    ab = (2, 3)
    for text in ("ab", "c ab c", "_a_b__c", " ab ", "c__ab", "c_ _ab_ _c"):
        [(_, start, end)] = said(detector(ab, whole=True), posteriors(text))
        assert start == pytest.approx(0.1 * text.index("a"))
        assert end == pytest.approx(0.1 * (text.index("b") + 1))
    for text in ("abc", "cab", "c_ab", "ab_c", "c ab_c"):
        assert said(detector(ab, whole=True), posteriors(text)) == []
        assert len(said(detector(ab), posteriors(text))) == 1


def test_several_phrases_and_each_time() -> None:
    found = detector((2, 3), (4,), (2, 3, 1, 4), whole=True)
    assert said(found, posteriors("ab c____ab____")) == [
        ("ab", 0.0, 0.2), ("c", 0.3, 0.4), ("ab c", 0.0, 0.4), ("ab", 0.8, 1.0)
    ]  # fmt: skip
    found = detector((2, 3), (4,), thresholds={"c": 1.0}, threshold=0.6, whole=True)
    doubtful = posteriors("ab c", sure=0.9)
    doubtful[3] = np.log([0.55, 0.01, 0.01, 0.01, 0.42])
    assert said(found, doubtful) == [("ab", 0.0, 0.2)]


def test_the_best_of_overlapping_paths_is_the_detection() -> None:
    """The first way to say it is poor, the second, two frames later, is sure."""
    probs = np.exp(posteriors("_a_bb_____"))
    probs[3] = [0.55, 0.025, 0.025, 0.375, 0.025]
    found = detector((2, 3), threshold=0.5)
    some, state = found.step(np.log(probs), found.initial_state())
    some += found.finish(state)[0]
    assert [(round(d.time_s, 3), d.score) for d in some] == [
        (0.5, pytest.approx(math.sqrt(0.9**3 * 0.55)))
    ]


def test_spellings_count_as_one_phrase() -> None:
    search = PhraseSearch([[(2, 3), (4,)]], 5, pause=2)
    found = PhraseDetector(search, ["x"], 0.1)
    assert said(found, posteriors("ab____c____")) == [("x", 0.0, 0.2), ("x", 0.6, 0.7)]


def test_a_gap_is_not_spoken_over() -> None:
    found = detector((2, 3), pause=9)
    _, state = found.step(posteriors("__a"), found.initial_state())
    none, state = found.skip(4, state)
    some, state = found.step(posteriors("b__ab_"), state)
    assert none == [] and state.frame == 13
    assert [d.start_s for d in some + found.finish(state)[0]] == [pytest.approx(1.0)]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.integers(0, 80), max_size=6), st.booleans())
def test_any_chunking_gives_the_same_to_the_bit(seed: int, cuts: list[int], whole: bool) -> None:
    values = log_probs(80, 5, seed, peaks=4.0)
    found = detector((2,), (3, 4), (2, 3, 2), whole=whole, threshold=0.2)

    def heard(edges: list[int]) -> tuple[list[Detection], list[np.ndarray]]:
        state, every = found.initial_state(), list[Detection]()
        frames, search = list[PhraseFrames](), found.search.initial_state()
        for a, b in itertools.pairwise(edges):
            some, state = found.step(values[a:b], state)
            every += some
            part, search = found.search.step(values[a:b], search)
            frames.append(part)
        every += found.finish(state)[0]
        return every, [np.concatenate([getattr(f, n) for f in frames]) for n in
                       ("scores", "begins", "ends")]  # fmt: skip

    first, first_frames = heard([0, 80])
    second, second_frames = heard([0, *sorted(cuts), 80])
    assert first == second
    for a, b in zip(first_frames, second_frames, strict=True):
        np.testing.assert_array_equal(a, b)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_detections_of_a_phrase_never_overlap(seed: int) -> None:
    values = log_probs(200, 5, seed, peaks=4.0)
    found = detector((2, 3), threshold=0.1, refractory_s=0.0)
    some, state = found.step(values, found.initial_state())
    some += found.finish(state)[0]
    for a, b in itertools.pairwise(some):
        assert a.time_s <= b.start_s + 1e-9
    assert all(d.start_s < d.time_s and 0 <= d.score <= 1 for d in some)


def test_a_state_stays_as_it_is_and_does_not_grow() -> None:
    found = detector((2, 3), whole=True)
    state = found.initial_state()
    before = state.search.scores.copy()
    _, after = found.step(log_probs(500, 5, 1), state)
    np.testing.assert_array_equal(state.search.scores, before)
    assert after.search.scores.shape == before.shape and after.frame == 500


def test_bad_input() -> None:
    found = detector((2, 3))
    for values, message in [
        (np.zeros((3, 4)), r"log_probs of shape \(3, 4\) must be \(T', 5\)"),
        (np.full((3, 5), np.nan), "hold NaN"),
        (np.full((3, 5), 2.0), "must be at most 0"),
        (np.full((3, 5), -np.inf), "without any probability"),
    ]:
        with pytest.raises(SeqlabError, match=message):
            found.step(values, found.initial_state())
    for phrases, message in [
        ([], "there are no phrases"),
        ([[]], "phrase 0 has no tokens"),
        ([[(2,)], [()]], "phrase 1 has no tokens"),
        ([[(5,)]], "target 5 of phrase 0 must be a class"),
        ([[(0,)]], "not the blank 0"),
    ]:
        with pytest.raises(SeqlabError, match=message):
            PhraseSearch(phrases, 5)
    with pytest.raises(SeqlabError, match="quiet=0"):
        PhraseSearch([[(2,)]], 5, quiet=0)
    search = PhraseSearch([[(2,)], [(3,)]], 5)
    with pytest.raises(SeqlabError, match="give each one of its own"):
        PhraseDetector(search, ["a", "a"], 0.1)
    with pytest.raises(SeqlabError, match="'d', which is none of the phrases"):
        PhraseDetector(search, ["a", "b"], 0.1, DetectorSettings(0.5, {"d": 0.5}, 0.0))
    with pytest.raises(SeqlabError, match=r"smoothing_s=0\.1 must be 0 for phrases"):
        PhraseDetector(search, ["a", "b"], 0.1, DetectorSettings(smoothing_s=0.1))
