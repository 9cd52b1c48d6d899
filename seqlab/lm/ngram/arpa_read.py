"""Reading ARPA files of n-gram models, whichever toolkit wrote them."""

from __future__ import annotations

import os
import re
from typing import IO

import numpy as np

from seqlab.lm.ngram.arpa_explain import explain
from seqlab.lm.ngram.arpa_sections import Section, joined, linked_table
from seqlab.lm.ngram.arpa_source import ArpaText, open_arpa
from seqlab.lm.ngram.arpa_words import ArpaWords
from seqlab.lm.ngram.kernels.arpa_parse import DAMAGED, NO_ROOM, SECTION
from seqlab.lm.ngram.ngrams import MAX_ORDER, BackoffTable

__all__ = ["read_arpa"]

_ROWS = 2**14  # n-grams read at a time
_COUNT = re.compile(rb"ngram\s+(\d{1,18})\s*=\s*(\d{1,18})")


def read_arpa(source: str | os.PathLike[str] | IO[bytes]) -> BackoffTable:
    r"""Read an n-gram model from an ARPA file, as KenLM, SRILM, IRSTLM and PocketSphinx write it.

    Suffixes and contexts that are missing, as after pruning, are added without changing any
    probability. -99 and -inf say never. ``<UNK>`` is taken for ``<unk>`` where that is missing;
    where both are, unknown words have no probability.

    Args:
        source: path, or a file open for reading bytes; gzip, xz and bzip2 are recognised.

    Returns:
        The model, in natural logarithms.

    Raises:
        ModelError: it is no ARPA file, or damaged; the message names the line and the likely
            cause.

    Warns:
        UserWarning: log-probabilities lie above 0 by rounding; they become 0.

    Source: the format of ``ngram-format(5)`` of SRILM (Stolcke 2002), after Doug Paul.

    Example:
        >>> import io
        >>> table = read_arpa(io.BytesIO(b'''
        ... \\data\\
        ... ngram 1=3
        ... ngram 2=1
        ...
        ... \\1-grams:
        ... -0.5 a -0.25
        ... -99 <s> -0.1
        ... -0.2 </s>
        ...
        ... \\2-grams:
        ... -0.1 <s> a
        ... \\end\\
        ... '''))
        >>> list(table.ngrams.words)
        ['<unk>', '<s>', '</s>', 'a']
        >>> [[f"{value:.2f}" for value in values] for values in table.log_prob]
        [['-inf', '-inf', '-0.46', '-1.15'], ['-0.23']]
    """
    with open_arpa(source) as text:
        return _Reader(text).table()


class _Reader:
    """Reads one file from front to back."""

    def __init__(self, text: ArpaText) -> None:
        self._text = text
        self._words = ArpaWords()
        self._counts: list[tuple[int, int]] = []  # how many k-grams there shall be; the line

    def table(self) -> BackoffTable:
        """The n-grams of the file, from the header to the last section.

        Raises:
            ModelError: the file is damaged, or no ARPA file; the message names the line.
        """
        self._read_header()
        sections = [self._read_section(k) for k in range(1, len(self._counts) + 1)]
        self._read_end()
        while (
            len(sections) > 1
            and not len(sections[-1].numbers)
            and not sections[-2].log_backoff.any()
        ):
            sections.pop()  # an order that the header names but the model does not have
        return linked_table(self._text, self._words, sections)

    def _read_header(self) -> None:
        """Lines up to the first section; counts of n-grams."""
        first = self._text.peek() or b""
        if not self._text.skip_past(b"\\data\\"):
            start = first[:60].decode("utf-8", "backslashreplace")
            raise self._text.error(
                f"the file ends without a line \\data\\ and begins with {start!r}; it is no "
                "ARPA file, or its beginning is missing"
            )
        while True:
            line = self._peeked_line("the counts of n-grams")
            if line.startswith(b"\\"):
                break
            self._text.next_line()
            self._add_count(line)
        if not self._counts:
            raise self._text.error("no lines 'ngram 1=...' stand below \\data\\")

    def _add_count(self, line: bytes) -> None:
        match, k = _COUNT.fullmatch(line), len(self._counts) + 1
        if match is None or int(match[1]) != k:
            shown = line[:60].decode("utf-8", "backslashreplace")
            raise self._text.error(
                f"{shown!r} must be 'ngram {k}=' and a count, or the line \\1-grams: below the "
                "counts; the header was damaged or written by hand"
            )
        if k > MAX_ORDER:
            raise self._text.error(
                f"n-grams of {k} words are too long, the order must be at most {MAX_ORDER}; "
                "estimate a model of lower order"
            )
        self._counts.append((int(match[2]), self._text.line))

    def _peeked_line(self, what: str) -> bytes:
        """The next line that is not blank, left to be read; ModelError at the end of the file."""
        line = self._text.peek()
        if line is None:
            raise self._text.error(f"the file ends where {what} should follow; it is cut short")
        return line

    def _read_section(self, k: int) -> Section:
        text, (count, where) = self._text, self._counts[k - 1]
        title = f"\\{k}-grams:"
        line = self._peeked_line(f"the line {title}")
        if line == title.encode():
            text.next_line()
            title_line = text.line
            section = self._read_ngrams(k)
        elif count == 0:
            section, title_line = joined(k, [], []), where
        else:
            shown = line[:60].decode("utf-8", "backslashreplace")
            raise text.error(
                f"{shown!r} must be {title}, as line {where} promises {count} {k}-grams; the "
                "section is missing or misspelt",
                text.line + 1,
            )
        found = len(section.numbers)
        if found != count:
            raise text.error(
                f"'ngram {k}={count}' does not agree with the {found} {k}-grams that stand above "
                f"line {text.line + 1}; lines are missing or were added, or the header is wrong",
                where,
            )
        missing = self._words.missing()
        if missing:
            raise text.error(
                f"the 1-grams must hold {' and '.join(missing)}, the begin and end of sentences; "
                "add '-99 <s>' or '-99 </s>' and count it above",
                title_line,
            )
        return section

    def _read_ngrams(self, k: int) -> Section:
        """The lines below a section's title."""
        text, highest = self._text, k == len(self._counts)
        numbers, lines = np.empty((_ROWS, k), np.int32), np.empty(_ROWS, np.int32)
        log_prob, log_backoff = np.empty(_ROWS, np.float32), np.empty(_ROWS, np.float32)
        blocks, parts, total, ended = [], [], 0, -1
        while ended != SECTION:
            if not text.more():
                raise text.error(
                    f"the file ends within the {k}-grams, without the line \\end\\; it is cut short"
                )
            data = np.frombuffer(text.data, np.uint8)
            ended, place, rows, passed = self._words.parse(
                data, text.begin, text.end, highest, numbers, log_prob, log_backoff, lines
            )
            if rows:
                gaps = lines[rows - 1] - lines[0] != rows - 1
                offsets = lines[:rows] - lines[0] if gaps else None
                parts.append((total, text.line + 1 + int(lines[0]), offsets))
                blocks.append(
                    (numbers[:rows].copy(), log_prob[:rows].copy(), log_backoff[:rows].copy())
                )
                total += rows
            text.used(place, passed)
            if ended == DAMAGED:
                line = text.next_line() or b""
                raise text.error(explain(line, k, highest, self._words.holds))
            if ended == NO_ROOM and rows < _ROWS:
                self._words.grow()
        return joined(k, blocks, parts)

    def _read_end(self) -> None:
        line = self._peeked_line("the line \\end\\")
        self._text.next_line()
        if line != b"\\end\\":
            shown = line[:60].decode("utf-8", "backslashreplace")
            raise self._text.error(
                f"{shown!r} must be \\end\\, as the header counts no more n-grams; the header "
                "lacks an order, or the line is damaged"
            )
        if self._text.peek() is not None:
            raise self._text.error(
                "only blank lines may follow \\end\\; two files were joined, or it is damaged",
                self._text.line + 1,
            )
