"""Lexicon files, line by line: cmudict, Kaldi's lexicon.txt and lexiconp.txt, tables with tabs."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, get_args

from seqlab.checks import check_choice
from seqlab.errors import DataError

LexiconFormat = Literal["auto", "cmudict", "lexicon", "lexiconp", "tsv"]
Row = tuple[str, tuple[str, ...], float]

MAX_BYTES = 1 << 28  # of a lexicon, unpacked; the largest ones known have some 30 MB
_GZIP = b"\x1f\x8b"
_VARIANT = re.compile(r"(.+)\((\d+)\)")
_COMMENT = re.compile(r"(?:^|\s)#(?:\s|$).*")  # a word may begin with #, such as #hash-mark


def read_lines(path: Path, encoding: str = "utf-8") -> list[str]:
    """The lines of a text file, plain or packed by gzip.

    Raises:
        DataError: it is missing, too large, damaged, or no text of that encoding.
    """
    if not path.is_file():
        raise DataError(f"{path} is not a file; name a lexicon file")
    try:
        with path.open("rb") as file:
            packed = file.read(2) == _GZIP
        with gzip.open(path) if packed else path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}; copy it again") from None
    if len(content) > MAX_BYTES:
        raise DataError(f"{path} is larger than {MAX_BYTES} bytes; is it a lexicon?")
    if b"\0" in content:
        line = content.count(b"\n", 0, content.index(b"\0")) + 1
        raise DataError(f"{path}, line {line}: a zero byte; it is no text file, or UTF-16")
    try:
        return content.decode(encoding).removeprefix("\ufeff").split("\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}, line {line}: byte {content[error.start]:#04x} is not {encoding}; give the "
            "encoding, such as encoding='latin-1'"
        ) from None
    except LookupError:
        raise DataError(f"encoding={encoding!r} is unknown; utf-8 and latin-1 are usual") from None


def parse_lines(lines: list[str], format: LexiconFormat, name: str) -> Iterator[Row]:
    """Words, phones and probabilities of the lines of a lexicon.

    Args:
        lines: of the file.
        format: see ``Lexicon.read``.
        name: of the file, in messages.

    Raises:
        DataError: a line does not fit the format; the message names it.
    """
    check_choice("format", format, get_args(LexiconFormat))
    if format == "auto":
        format = guess_format(lines)
    parse = {"cmudict": _cmudict, "lexicon": _lexicon, "lexiconp": _lexiconp, "tsv": _tsv}[format]
    for number, line in enumerate(lines, 1):
        line = line.removesuffix("\r")
        try:
            row = parse(line, number)
        except DataError as error:
            raise DataError(f"{name}, line {number}: {error}") from None
        if row is not None:
            yield row


def guess_format(lines: list[str]) -> LexiconFormat:
    """The format that lines are written in, told by all of them.

    >>> guess_format(["a AH0", "a(2) EY1"]), guess_format(["a 0.5 AH", "b 1.0 B IY"])
    ('cmudict', 'lexiconp')
    """
    rows = [line for line in lines if line.strip() and not line.startswith(";;;")]
    tabs = bool(rows) and all(line.count("\t") in (1, 2) for line in rows)
    fields = [line.split() for line in rows]
    if rows and all(len(row) > 2 and _is_probability(row[1]) for row in fields):
        return "lexiconp"
    if len(rows) < len([line for line in lines if line.strip()]) or any(
        _VARIANT.fullmatch(row[0]) or "#" in row[1:] for row in fields
    ):
        return "cmudict"
    return "tsv" if tabs else "lexicon"


def written(rows: Iterable[Row], format: LexiconFormat) -> str:
    """The text of a lexicon file.

    Raises:
        DataError: a format that cannot be written, or a word that it cannot hold.
    """
    check_choice("format", format, get_args(LexiconFormat)[1:])
    lines, seen = [], dict[str, int]()
    for word, phones, probability in rows:
        seen[word] = seen.get(word, 0) + 1
        text = " ".join(phones)
        if format == "lexicon":
            lines.append(f"{word} {text}")
        elif format == "tsv":
            lines.append(f"{word}\t{probability!r}\t{text}")
        elif format == "lexiconp":
            lines.append(f"{word} {probability!r} {text}")
        else:
            if _VARIANT.fullmatch(word) or word.startswith(";;;") or "#" in (word, *phones):
                raise DataError(f"{word!r} cannot stand in cmudict's format; write lexiconp")
            lines.append(f"{word if seen[word] == 1 else f'{word}({seen[word]})'} {text}")
    return "".join(line + "\n" for line in lines)


def _cmudict(line: str, _number: int) -> Row | None:
    if line.startswith(";;;"):
        return None
    word, *phones = (_COMMENT.sub("", line) if "#" in line else line).split() or [""]
    if not word:
        return None
    variant = _VARIANT.fullmatch(word) if word[-1] == ")" else None
    return _row(variant[1] if variant else word, phones)


def _lexicon(line: str, _number: int) -> Row | None:
    word, *phones = line.split() or [""]
    return _row(word, phones) if word else None


def _lexiconp(line: str, _number: int) -> Row | None:
    fields = line.split()
    if not fields:
        return None
    if len(fields) < 3 or not _is_number(fields[1]):
        raise DataError(
            f"{line.strip()[:60]!r} must be a word, a probability and phones; is it a lexicon.txt?"
        )
    return _row(fields[0], fields[2:], fields[1])


def _tsv(line: str, number: int) -> Row | None:
    columns = [column.strip() for column in line.split("\t")]
    if not any(columns) or (number == 1 and columns[0] == "word"):  # a heading
        return None
    if len(columns) not in (2, 3):
        raise DataError(
            f"{len(columns)} columns must be 2 (word, phones) or 3 (word, probability, phones); "
            "part them by tabs"
        )
    if columns[0].split() != [columns[0]]:
        raise DataError(f"word {columns[0]!r} must be text without white space; correct it")
    probability = columns[1] if len(columns) == 3 else "1"
    if not _is_number(probability):
        raise DataError(f"probability {probability!r} must be a number; the order is word first")
    return _row(columns[0], columns[-1].split(), probability)


def _row(word: str, phones: list[str], probability: str = "1") -> Row:
    if not phones:
        raise DataError(f"word {word!r} has no phones; add them or remove the line")
    value = float(probability)
    if not 0 < value <= 1:
        raise DataError(
            f"word {word!r}: probability {probability} must be above 0 and at most 1; correct it"
        )
    return word, tuple(phones), value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_probability(text: str) -> bool:
    return _is_number(text) and 0 < float(text) <= 1
