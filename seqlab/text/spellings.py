"""Words as a decoder's lexicon wants them: the token sequences that spell each word."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from seqlab.checks import check_choice
from seqlab.errors import DataError
from seqlab.text.base import Tokenizer

Spelling = tuple[int, ...]


def spellings(
    tokenizer: Tokenizer,
    words: Iterable[str],
    unknown: Literal["refuse", "leave_out"] = "refuse",
) -> dict[str, list[Spelling]]:
    """Each word with the token sequences that a decoder may find it by.

    Characters, subwords and words give one spelling, phones and syllables one for each
    pronunciation. Words that are spelled alike (homophones) are all kept: a language model decides.

    Args:
        tokenizer: fitted, of texts, not labels.
        words: as they are to be written; each is normalised before it is spelled. Repeated ones
            count once.
        unknown: whether a word that the tokenizer cannot spell is refused or left out.

    Returns:
        Word to spellings, none of them empty, in the order of the words.

    Raises:
        DataError: a word that cannot be spelled, or that is several words.

    Example:
        >>> from seqlab.text.phones import PhoneTokenizer
        >>> lexicon = {"the": ["DH AH", "DH IY"], "thee": ["DH IY"]}
        >>> spellings(PhoneTokenizer(lexicon=lexicon).fit(["the"]), ["the", "thee"])
        {'the': [(3, 2), (3, 4)], 'thee': [(3, 4)]}
    """
    check_choice("unknown", unknown, ("refuse", "leave_out"))
    if tokenizer.blank is None:
        raise DataError(f"{type(tokenizer).__name__} spells no words; pass a tokenizer of texts")
    tokenizer.vocabulary  # noqa: B018  # not fitted: an error whatever is left out
    found: dict[str, list[Spelling]] = {}
    for word in dict.fromkeys(words):
        try:
            found[word] = tokenizer.spellings(word)
        except DataError:
            if unknown == "refuse":
                raise
    return found
