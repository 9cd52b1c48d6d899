"""From the tokens of an n-best list to words with times and confidences."""

from __future__ import annotations

import math
from collections.abc import Sequence

from seqlab.contracts import Hypothesis
from seqlab.decoding.kernels.layout import SEPARATOR, START
from seqlab.decoding.prefix_beam_units import TokenUnits
from seqlab.errors import SeqlabError
from seqlab.text.segments import TimedWord

_Span = tuple[str, int, int]  # text, first token, the one after the last


def timed_words(
    answers: Sequence[Hypothesis], units: TokenUnits, which: int = 0
) -> tuple[TimedWord, ...]:
    """The words of one answer of an n-best list.

    A word lasts from its first token's start to its last token's end. Its confidence is the share
    of the list's probability that falls on answers with the same word at an overlapping time; of a
    list of one, which knows no alternatives, the geometric mean of its tokens' confidences.

    Args:
        answers: as ``PrefixBeamDecoder`` gives them, for one utterance.
        units: tokens of the decoder.
        which: the answer whose words are wanted.

    Raises:
        SeqlabError: there is no such answer, or the tokens alone do not say where words begin.

    Example:
        >>> units = TokenUnits.characters(["-", " ", "a", "b"])
        >>> times = ((0.0, 0.1), (0.1, 0.2), (0.3, 0.4))
        >>> answer = Hypothesis((2, 1, 3), "a b", -1.0, times, (0.9, 1.0, 0.8))
        >>> [(word.text, word.start_s, word.confidence) for word in timed_words([answer], units)]
        [('a', 0.0, 0.9), ('b', 0.3, 0.8)]
    """
    if not 0 <= which < len(answers):
        raise SeqlabError(f"answer {which} must be one of the {len(answers)} of the n-best list")
    wanted = [_timed(span, answers[which]) for span in _spans(answers[which], units)]
    if len(answers) == 1:
        return tuple(wanted)
    best = max(answer.score for answer in answers)
    shares = [math.exp(answer.score - best) if math.isfinite(best) else 0.0 for answer in answers]
    others = [[_timed(span, answer) for span in _spans(answer, units)] for answer in answers]
    found = []
    for word in wanted:
        agreeing = sum(
            share
            for share, words in zip(shares, others, strict=True)
            if any(_agree(word, other) for other in words)
        )
        confidence = min(1.0, agreeing / sum(shares)) if sum(shares) > 0 else 0.0
        found.append(TimedWord(word.text, word.start_s, word.end_s, confidence))
    return tuple(found)


def _agree(word: TimedWord, other: TimedWord) -> bool:
    return word.text == other.text and word.start_s < other.end_s and other.start_s < word.end_s


def _timed(span: _Span, answer: Hypothesis) -> TimedWord:
    text, first, after = span
    logs = [math.log(max(c, 1e-300)) for c in answer.token_confidences[first:after]]
    confidence = math.exp(sum(logs) / len(logs))
    times = answer.token_times
    return TimedWord(text, times[first][0], times[after - 1][1], min(1.0, confidence))


def _spans(answer: Hypothesis, units: TokenUnits) -> list[_Span]:
    """Words and the tokens that stand for them."""
    if "words_at" in answer.details:
        return list(answer.details["words_at"])
    if not units.has_words:
        raise SeqlabError(
            "these tokens do not say where words begin; decode with a lexicon: a mapping from "
            "words to their spellings in tokens"
        )
    found: list[_Span] = []
    text, first = "", 0
    for index, token in enumerate(answer.tokens):
        kind = units.kinds[token]
        if kind in (SEPARATOR, START):
            if text:
                found.append((text, first, index))
            text, first = "", index + int(kind == SEPARATOR)
        if kind != SEPARATOR:
            text += units.tokens[token]
    if text:
        found.append((text, first, len(answer.tokens)))
    return found
