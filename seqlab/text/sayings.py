"""Tables of what a synthesiser is to say so that a keyword model can learn from it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple, get_args

from seqlab.errors import DataError

Kind = Literal["phrase", "carrier", "part", "alike", "sound", "other", "sentence"]
KINDS: tuple[Kind, ...] = get_args(Kind)
NEAR: tuple[Kind, ...] = ("part", "alike", "sound", "other")
_COLUMNS = ("kind", "label", "text", "transcript")


class Saying(NamedTuple):
    """Something to say.

    Args:
        kind: ``phrase``; ``carrier``, a phrase among other words; near misses: ``part`` of a
            phrase, a word that is ``alike``, a ``sound`` that is another, an ``other`` word in
            the place of one; or ``sentence``, which has nothing to do with a phrase.
        label: the phrase that it is, holds, or nearly is; "" for a sentence.
        text: for espeak-ng, its names of phonemes in double square brackets.
        transcript: the words; "" where some of it is no word.
    """

    kind: Kind
    label: str
    text: str
    transcript: str


def write_sayings(sayings: Iterable[Saying]) -> str:
    r"""The table as text.

    >>> table = write_sayings([Saying("phrase", "go on", "go on", "go on")])
    >>> table
    'kind\tlabel\ttext\ttranscript\nphrase\tgo on\tgo on\tgo on\n'
    >>> read_sayings(table, "table")
    [Saying(kind='phrase', label='go on', text='go on', transcript='go on')]
    """
    return "".join("\t".join(row) + "\n" for row in [_COLUMNS, *sayings])


def read_sayings(text: str, where: str) -> list[Saying]:
    """The rows of a table that ``write_sayings`` wrote and a person may have changed.

    Args:
        text: of the file.
        where: its name, for messages.

    Raises:
        DataError: not such a table; the message names the line.
    """
    lines = text.splitlines()
    if not lines or tuple(lines[0].split("\t")) != _COLUMNS:
        raise DataError(
            f"{where}:1: the first line must name the columns {', '.join(_COLUMNS)}, parted by "
            "tabs; is it a table of sayings?"
        )
    found = []
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        cells = [cell.strip() for cell in line.split("\t")]
        if len(cells) != len(_COLUMNS):
            raise DataError(f"{where}:{number}: {len(cells)} columns, must be {len(_COLUMNS)}")
        found.append(_checked(cells, f"{where}:{number}"))
    phrases = {saying.label for saying in found if saying.kind == "phrase"}
    for saying in found:
        if saying.label and saying.label not in phrases:
            raise DataError(
                f"{where}: {saying.text!r} belongs to {saying.label!r}, which must be a phrase "
                "in it; add its line"
            )
    return found


def _checked(cells: list[str], where: str) -> Saying:
    kind = next((known for known in KINDS if known == cells[0]), None)
    if kind is None:
        raise DataError(f"{where}: kind {cells[0]!r} must be one of {', '.join(KINDS)}")
    saying = Saying(kind, *cells[1:])
    if not saying.text:
        raise DataError(f"{where}: the text is empty; fill it in or remove the line")
    if (kind == "sentence") != (not saying.label):
        rule = "must be empty for a sentence" if saying.label else "must name its phrase"
        raise DataError(f"{where}: label {saying.label!r} {rule}; correct it")
    return saying
