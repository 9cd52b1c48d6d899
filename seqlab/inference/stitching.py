"""What was heard in pieces of a recording that overlap, put together word by word."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from seqlab.text.segments import TimedSegment, TimedWord, words_in

__all__ = ["Heard", "splice", "stitched"]

_NEAR_S = 0.5  # the same word of two pieces starts within so much


@dataclass(frozen=True)
class Heard:
    """What a model said of one piece.

    Args:
        segment: Times count from the start of the recording; the text may be empty.
        continued: Whether the next piece begins within this one.
        timed: Whether the words have times of their own, rather than an equal share.
    """

    segment: TimedSegment
    continued: bool = False
    timed: bool = True


def stitched(pieces: Iterable[Heard], *, empty: bool = False) -> Iterator[TimedSegment]:
    """Segments without what was heard twice, each as soon as it is sure.

    Args:
        pieces: In order.
        empty: Whether to give segments without text, too.

    Example:
        >>> words = [TimedWord(text, at, at + 0.5) for at, text in enumerate("abcd")]
        >>> first = Heard(TimedSegment(0.0, 3.0, "a b c", tuple(words[:3])), continued=True)
        >>> second = Heard(TimedSegment(1.0, 4.0, "b c d", tuple(words[1:])))
        >>> [segment.text for segment in stitched([first, second])]
        ['a b', 'c d']
    """
    held: Heard | None = None
    for piece in pieces:
        if held is not None:
            before, after = splice(held, piece)
            piece = replace(piece, segment=after)
            if before.text or empty:
                yield before
        held = piece if piece.continued else None
        if held is None and (piece.segment.text or empty):
            yield piece.segment
    if held is not None and (held.segment.text or empty):
        yield held.segment


def splice(first: Heard, second: Heard) -> tuple[TimedSegment, TimedSegment]:
    """The two without what both heard, cut where they agree.

    The cut is in the middle of the longest run of words that both have at the same time; where
    they have none in common, in the middle of the overlap.

    Args:
        first: Ends within ``second``.
        second: The next piece.
    """
    before, after = words_in(first.segment), words_in(second.segment)
    low, high = second.segment.start_s, first.segment.end_s
    near = _NEAR_S if first.timed and second.timed else max(high - low, _NEAR_S)
    run = _common_run(before, after, low - near, high + near, near)
    if run is None:
        middle = (low + high) / 2
        kept = tuple(word for word in before if (word.start_s + word.end_s) / 2 < middle)
        rest = tuple(word for word in after if (word.start_s + word.end_s) / 2 >= middle)
    else:
        place, other, length = run
        kept, rest = before[: place + length // 2], after[other + length // 2 :]
    return _of_words(first.segment, kept, last=True), _of_words(second.segment, rest, last=False)


def _common_run(
    before: Sequence[TimedWord],
    after: Sequence[TimedWord],
    low: float,
    high: float,
    near: float,
) -> tuple[int, int, int] | None:
    """The longest run of equal words at about equal times: its two places and its length.

    Of equally long ones the last. Words outside of ``low`` to ``high`` are no part of it.
    """
    starts = [place for place, word in enumerate(before) if word.end_s >= low]
    ends = [place for place, word in enumerate(after) if word.start_s <= high]
    lengths: dict[tuple[int, int], int] = {}
    best = None
    for place in starts:
        for other in ends:
            one, two = before[place], after[other]
            if one.text == two.text and abs(one.start_s - two.start_s) <= near:
                length = lengths[place, other] = lengths.get((place - 1, other - 1), 0) + 1
                if best is None or length >= best[2]:
                    best = (place - length + 1, other - length + 1, length)
    return best


def _of_words(segment: TimedSegment, words: tuple[TimedWord, ...], *, last: bool) -> TimedSegment:
    """The segment with fewer words, its end (``last``) or its start moved to theirs."""
    if not words:
        return replace(segment, text="", words=())
    ends = max(word.end_s for word in words)
    return replace(
        segment,
        start_s=min(segment.start_s, words[0].start_s) if last else words[0].start_s,
        end_s=ends if last else max(segment.end_s, ends),
        text=" ".join(word.text for word in words),
        words=words,
    )
