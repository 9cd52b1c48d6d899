"""Words to phones through a pronunciation lexicon, and back."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self

from seqlab.errors import DataError, ModelError
from seqlab.text.base import Tokenizer, not_fitted, shorten, state_file
from seqlab.text.lexicon import Lexicon, Phones, Pronunciation
from seqlab.text.lexicon_files import parse_lines, written
from seqlab.text.normalize import Case, Digits, Punctuation, TextNormalizer, UnicodeForm
from seqlab.text.segmentation import Segmenter
from seqlab.text.vocabulary import BLANK, UNKNOWN, Vocabulary

LEXICON_NAME = "lexicon.tsv"
COUNTS_NAME = "word_counts.json"
ENGLISH = "english"

Fallback = Callable[[str], Sequence[str] | None]


class PhoneTokenizer(Tokenizer):
    """One token a phone; words become phones, and phones words again, through a lexicon.

    Use it where a lexicon knows how words are said and spelling does not say it well, such as
    English with little training speech. Words that sound alike are told apart by how often the
    training texts have them; a decoder that searches the lexicon with a language model does it
    better, see ``spellings``.

    Args:
        lexicon: a lexicon file (``Lexicon.read``), ``english`` (``Lexicon.english``), or word to
            pronunciations, phones parted by white space. It is read by ``fit`` only: a stored
            model brings its own. None waits for ``use``.
        stress: whether digits at the end of phones (``AH0``) are kept.
        boundary: token between words, such as ``|``; "" leaves words to be told apart by their
            phones alone.
        case: ``lower``, ``upper`` or ``keep``.
        unicode_form: ``NFC`` or ``NFKC``.
        punctuation: ``keep`` or ``remove``.
        digits: ``keep`` or ``separate``.

    Example:
        >>> lexicon = {"two": ["T UW"], "too": ["T UW"], "tea": ["T IY"]}
        >>> tokenizer = PhoneTokenizer(lexicon=lexicon).fit(["too", "two tea", "two"])
        >>> tokenizer.tokens, tokenizer.encode("Tea two")
        (['<blank>', '|', 'IY', 'T', 'UW'], [3, 2, 1, 3, 4])
        >>> tokenizer.decode([3, 2, 1, 3, 4, 1, 2])
        'tea two <unk>'
    """

    unit = "phone"

    def __init__(
        self,
        *,
        lexicon: str | Mapping[str, Sequence[str]] | None = None,
        stress: bool = False,
        boundary: str = "|",
        case: Case = "lower",
        unicode_form: UnicodeForm = "NFC",
        punctuation: Punctuation = "keep",
        digits: Digits = "keep",
    ) -> None:
        super().__init__(TextNormalizer(case, unicode_form, punctuation, digits=digits))
        if boundary and boundary.split() != [boundary]:
            raise DataError(f"boundary={boundary!r} must be text without white space; '|' is usual")
        self.source, self.stress, self.boundary = lexicon, stress, boundary
        self.fallback: Fallback | None = None
        self._given: Lexicon | None = None
        self._lexicon: Lexicon | None = None
        self._counts: dict[str, int] = {}
        self._segmenter: Segmenter | None = None

    @property
    def lexicon(self) -> Lexicon:
        """The words known, spelled as normalised text has them; DataError before ``fit``."""
        if self._lexicon is None:
            raise not_fitted(self)
        return self._lexicon

    def use(self, lexicon: Lexicon) -> Self:
        """Take a lexicon for the next ``fit`` in place of the constructor's; returns itself."""
        self._given = lexicon
        return self

    def fit(self, texts: Iterable[str]) -> Self:
        """Learn the phones of the lexicon and the frequencies of words from ``texts``.

        Words that the lexicon lacks are asked of ``fallback`` and enter the lexicon.

        Raises:
            DataError: no lexicon, no words, or words without a pronunciation; the message names
                the most frequent.
        """
        counts = Counter(word for text in texts for word in self.normalize(text).split())
        if not counts:
            raise DataError("the training texts hold no words; are there transcripts?")
        lexicon = self._normalized(self._read())
        self._prepare(lexicon)
        missing = [word for word, _ in counts.most_common() if word not in lexicon]
        found = {word: self._ask(word) for word in missing}
        unknown = [word for word in missing if found[word] is None]
        if unknown:
            raise DataError(
                f"{len(unknown)} of {len(counts)} words have no pronunciation, such as "
                f"{shorten(' '.join(unknown[:5]))}; add them to the lexicon, or set a fallback"
            )
        learned = Lexicon({word: [phones] for word, phones in found.items() if phones})
        self._take(lexicon.updated(learned), counts)
        return self

    def encode(self, text: str) -> list[int]:
        """Token indices (U,): the units of each word's likeliest pronunciation."""
        known = self.vocabulary
        indices: list[int] = []
        for word in self.normalize(text).split():
            if indices and self.boundary:
                indices.append(known.index(self.boundary))
            indices += self._spelling(text, word, self._best(text, word))
        return indices

    def decode(self, tokens: Sequence[int]) -> str:
        """The likeliest words for these units; units of no word become one ``<unk>``."""
        return " ".join(word for word, _, _ in self._found(tokens))

    def pieces(self, tokens: Sequence[int]) -> list[str]:
        """The words, each cut so that its first and its last unit have a part of it."""
        boundary = self.boundary or None
        found = [" " if unit == boundary else "" for unit in self._units_or_blanks(tokens)]
        for word, first, last in self._found(tokens):
            cut = len(word) - 1 if last > first and len(word) > 1 else len(word)
            found[first] = f" {word[:cut]}"
            found[last] += word[cut:]
        return found

    def spellings(self, word: str) -> list[tuple[int, ...]]:
        """Token indices of each pronunciation of a word, the lexicon's first one first.

        Raises:
            DataError: the word is several words, or has no pronunciation.
        """
        normalized = self._one_word(word)
        found: list[Phones] = [one.phones for one in self.lexicon.get(normalized)]
        every = found or [self._best(word, normalized)]
        return list(dict.fromkeys(tuple(self._spelling(word, normalized, p)) for p in every))

    def state(self) -> dict[str, bytes]:
        """The vocabulary, the lexicon and how often the training texts have its words."""
        rows = ((word, one.phones, one.probability) for word, one in self.lexicon.pairs())
        counts = json.dumps({"counts": dict(sorted(self._counts.items()))}, indent=0)
        return {
            **super().state(),
            LEXICON_NAME: written(rows, "tsv").encode("utf-8"),
            COUNTS_NAME: counts.encode("ascii") + b"\n",
        }

    def load_state(self, files: Mapping[str, bytes]) -> Self:
        """Take over what ``state`` gave; ModelError if it is missing, damaged or another kind's."""
        super().load_state(files)
        vocabulary = self.vocabulary
        content = state_file(files, LEXICON_NAME)
        try:
            rows = parse_lines(content.decode("utf-8").split("\n"), "tsv", LEXICON_NAME)
            lexicon = Lexicon.from_pairs((word, Pronunciation(found, p)) for word, found, p in rows)
        except (DataError, UnicodeDecodeError) as error:
            raise ModelError(f"{LEXICON_NAME} is damaged: {error}; save the model again") from None
        counts = _read_counts(state_file(files, COUNTS_NAME))
        self._load_cuts(files)
        units = {unit for _, one in lexicon.pairs() for unit in self._cut(one.phones)}
        if not units <= set(vocabulary) or (self.boundary and self.boundary not in vocabulary):
            raise ModelError(
                f"{LEXICON_NAME} is damaged or of another model: the vocabulary lacks some of its "
                "units; save the model again"
            )
        self._lexicon, self._counts, self._segmenter = lexicon, counts, None
        return self

    def _prepare(self, lexicon: Lexicon) -> None:
        """Learn from the whole lexicon, before ``fit`` uses it."""

    def _load_cuts(self, files: Mapping[str, bytes]) -> None:
        """Take over from a state what cuts phones into units."""

    def _cut(self, phones: Phones) -> tuple[str, ...]:
        """The units of a pronunciation; here each phone is one."""
        return phones

    def _ask(self, word: str) -> Phones | None:
        """The pronunciation of a word that the lexicon lacks."""
        phones = self.fallback(word) if self.fallback is not None else None
        return tuple(phones) if phones else None

    def _read(self) -> Lexicon:
        source = self._given if self._given is not None else self.source
        if source is None:
            raise DataError("lexicon=None must be a file or 'english'; give one, or call use")
        if isinstance(source, Lexicon):
            return source if self.stress else source.without_stress()
        if source == ENGLISH:
            return Lexicon.english(stress=self.stress)
        if isinstance(source, str):
            return Lexicon.read(source, stress=self.stress)
        lexicon = Lexicon(source)
        return lexicon if self.stress else lexicon.without_stress()

    def _normalized(self, lexicon: Lexicon) -> Lexicon:
        """The lexicon with words as normalised text has them; those it cannot have are left out."""
        pairs = ((self.normalize(word), one) for word, one in lexicon.pairs())
        kept = Lexicon.from_pairs((w, one) for w, one in pairs if w and " " not in w)
        if not kept:
            raise DataError("the lexicon holds no words once they are normalised; check its words")
        for phone in kept.phones:
            if phone in (BLANK, UNKNOWN) or (self.boundary and phone == self.boundary):
                raise DataError(f"phone {phone!r} is a token already; rename it or the boundary")
        return kept

    def _take(self, lexicon: Lexicon, counts: Mapping[str, int]) -> None:
        units = sorted({unit for _, one in lexicon.pairs() for unit in self._cut(one.phones)})
        self._vocabulary = Vocabulary([BLANK, *([self.boundary] if self.boundary else []), *units])
        self._lexicon, self._counts, self._segmenter = lexicon, dict(counts), None

    def _segments(self) -> Segmenter:
        """Pronunciations in units with the best word of each; a word never seen counts 1/2.

        Made when something is first decoded: loading a large lexicon is slow enough.
        """
        if self._segmenter is not None:
            return self._segmenter
        best: dict[tuple[str, ...], tuple[float, str]] = {}
        for word, one in self.lexicon.pairs():
            units = self._cut(one.phones)
            weight = one.probability * (self._counts.get(word, 0) + 0.5)
            if units not in best or weight > best[units][0]:  # of equals, the lexicon's first
                best[units] = weight, word
        self._segmenter = Segmenter(best)
        return self._segmenter

    def _best(self, text: str, word: str) -> Phones:
        if word in self.lexicon:
            return self.lexicon.best(word)
        phones = self._ask(word)
        if phones is None:
            try:
                self.lexicon[word]
            except DataError as error:
                raise DataError(f"text {shorten(text)}: word {error}") from None
        return phones or ()

    def _spelling(self, text: str, word: str, phones: Phones) -> list[int]:
        units = self._cut(phones)
        indices = [self.vocabulary.get(unit) for unit in units]
        if None in indices:
            unit = units[indices.index(None)]
            raise DataError(
                f"text {shorten(text)}: word {word!r} needs the {self.unit} {unit!r}, which is not "
                f"among the {len(self)} known tokens; train with it"
            )
        return [index for index in indices if index is not None]

    def _found(self, tokens: Sequence[int]) -> list[tuple[str, int, int]]:
        """The words of tokens, each with the places of its first and last token."""
        segmenter = self._segments()
        parts: list[list[tuple[int, str]]] = [[]]
        for place, unit in enumerate(self._units_or_blanks(tokens)):
            if unit and unit == self.boundary:
                parts.append([])
            elif unit:
                parts[-1].append((place, unit))
        return [
            (word, part[begin][0], part[end - 1][0])
            for part in parts
            for word, begin, end in segmenter([u for _, u in part], bool(self.boundary))
        ]


def _read_counts(content: bytes) -> dict[str, int]:
    try:
        counts: Any = json.loads(content)["counts"]
        if not isinstance(counts, dict):
            raise TypeError("counts must be a mapping")
        for count in counts.values():
            if isinstance(count, bool) or not isinstance(count, int) or not 0 < count < 1 << 53:
                raise TypeError("counts must be whole numbers above 0")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(
            f"{COUNTS_NAME} is damaged ({type(error).__name__}: {error}); save the model again"
        ) from None
    return counts
