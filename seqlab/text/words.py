"""Words of a token sequence, with the times and confidences of their tokens."""

from __future__ import annotations

import re
from collections.abc import Sequence

from seqlab.errors import DataError
from seqlab.text.base import Tokenizer
from seqlab.text.segments import TimedWord

_SPACE = re.compile(r"\s")


def words_of_tokens(
    tokens: Sequence[int],
    times: Sequence[tuple[float, float]],
    confidences: Sequence[float],
    tokenizer: Tokenizer,
) -> tuple[TimedWord, ...]:
    """The words that ``tokens`` spell; use it on a hypothesis or an alignment.

    A word lasts from the start of its first token to the end of its last, and is as sure as its
    least sure token. Spaces and blanks belong to no word.

    Args:
        tokens: (U,) indices.
        times: (U,) start and end of each token, in seconds.
        confidences: (U,) of each token, in [0, 1].
        tokenizer: that the tokens are of.

    Raises:
        DataError: not as many times or confidences as tokens.

    Example:
        >>> from seqlab.text.tokenizers import CharacterTokenizer
        >>> tokenizer = CharacterTokenizer(characters=" ab")
        >>> times = [(0.0, 0.1), (0.2, 0.3), (0.4, 0.5), (0.6, 0.7)]
        >>> words = words_of_tokens([2, 3, 1, 2], times, [0.9, 0.8, 1.0, 0.7], tokenizer)
        >>> [(word.text, word.start_s, word.end_s, word.confidence) for word in words]
        [('ab', 0.0, 0.3, 0.8), ('a', 0.6, 0.7, 0.7)]
    """
    if not len(tokens) == len(times) == len(confidences):
        raise DataError(
            f"{len(tokens)} tokens with {len(times)} times and {len(confidences)} confidences, "
            "must be as many of each; does this decoder give times?"
        )
    return tuple(
        TimedWord(
            text,
            times[first][0],
            max(times[last - 1][1], times[first][0]),
            min(confidences[first:last]),
        )
        for text, first, last in word_spans(tokenizer.pieces(tokens))
    )


def word_spans(pieces: Sequence[str]) -> list[tuple[str, int, int]]:
    """The words of joined ``pieces``: text, index of the first piece, index after the last one.

    A piece with a space within belongs to both words.

    Example:
        >>> word_spans([" see", " the", "re", "", " "])
        [('see', 0, 1), ('there', 1, 3)]
    """
    spans: list[tuple[str, int, int]] = []
    text, first, last = "", 0, 0
    for index, piece in enumerate(pieces):
        for place, part in enumerate(_SPACE.split(piece)):
            if place and text:
                spans.append((text, first, last))
                text = ""
            if part:
                first, last = (first if text else index), index + 1
                text += part
    return [*spans, (text, first, last)] if text else spans
