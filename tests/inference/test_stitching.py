"""What two pieces both heard is told once."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlab.inference.stitching import Heard, stitched
from seqlab.text.segments import TimedSegment, TimedWord

LETTERS = st.sampled_from(["a", "b", "go", "on"])


def words(texts: list[str], shift_s: float = 0.0) -> list[TimedWord]:
    return [
        TimedWord(text, at * 0.4 + shift_s + 0.1, at * 0.4 + shift_s + 0.4, 0.5)
        for at, text in enumerate(texts)
    ]


def windows(said: list[TimedWord], size: int, overlap: int, shift_s: float) -> list[Heard]:
    """Windows of ``size`` words that share ``overlap``; every other one is a little late."""
    found = []
    for number, first in enumerate(range(0, max(len(said) - overlap, 1), size - overlap)):
        late = shift_s if number % 2 else 0.0
        part = [
            replace(word, start_s=word.start_s + late, end_s=word.end_s + late)
            for word in said[first : first + size]
        ]
        text = " ".join(word.text for word in part)
        segment = TimedSegment(part[0].start_s, part[-1].end_s, text, tuple(part))
        found.append(Heard(segment, continued=first + size < len(said)))
    return found


@given(st.lists(LETTERS, min_size=1, max_size=40), st.floats(0, 0.15))
def test_windows_of_the_same_words_give_them_back(texts: list[str], shift_s: float) -> None:
    found = list(stitched(windows(words(texts), 9, 4, shift_s)))
    assert " ".join(segment.text for segment in found).split() == texts
    for before, after in itertools.pairwise(found):
        assert before.end_s <= after.start_s + 0.5


def test_words_cut_in_two_at_the_borders_do_not_count() -> None:
    first = [*words(["one", "two", "three", "four"]), TimedWord("fi", 1.7, 1.8)]
    second = [TimedWord("ree", 0.9, 1.2), *words(["", "", "", "four", "five", "six"])[3:]]
    found = stitched(
        [
            Heard(TimedSegment(0.0, 1.8, "one two three four fi", tuple(first)), continued=True),
            Heard(TimedSegment(0.9, 2.4, "ree four five six", tuple(second))),
        ]
    )
    assert " ".join(segment.text for segment in found) == "one two three four five six"


def test_without_common_words_the_middle_of_the_overlap_is_the_border() -> None:
    first, second = words(["a", "b", "c", "d"]), words(["", "", "x", "y", "z"])[2:]
    found = stitched(
        [
            Heard(TimedSegment(0.0, 1.6, "a b c d", tuple(first)), continued=True),
            Heard(TimedSegment(0.8, 2.0, "x y z", tuple(second))),
        ]
    )
    assert [segment.text for segment in found] == ["a b c", "y z"]


def test_without_times_the_words_alone_decide() -> None:
    first = Heard(TimedSegment(0.0, 8.0, "we go on and on home"), continued=True, timed=False)
    second = Heard(TimedSegment(4.0, 12.0, "and on home to sleep"), timed=False)
    found = stitched([first, second])
    assert " ".join(segment.text for segment in found) == "we go on and on home to sleep"


def test_segments_come_as_soon_as_they_are_sure() -> None:
    taken = []

    def pieces():
        for number in range(3):
            taken.append(number)
            yield Heard(TimedSegment(number, number + 1.0, f"w{number}"), continued=number == 1)

    found = stitched(pieces())
    assert next(found).text == "w0"
    assert taken == [0]
    assert next(found).text == "w1"
    assert taken == [0, 1, 2]


@pytest.mark.parametrize("empty", [False, True])
def test_segments_without_text(empty: bool) -> None:
    pieces = [Heard(TimedSegment(0.0, 1.0, "")), Heard(TimedSegment(1.0, 2.0, "go"))]
    assert [s.text for s in stitched(pieces, empty=empty)] == (["", "go"] if empty else ["go"])
