"""Pronunciations of words that no lexicon holds, from a joint model of letters and phones."""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqlab.checks import check_at_least
from seqlab.errors import ModelError
from seqlab.lm.ngram.model import NGramModel
from seqlab.lm.ngram.smoothing.base import Smoothing
from seqlab.lm.ngram.words import UNKNOWN
from seqlab.pronunciation.alignment import LONGEST, Graphone, align
from seqlab.pronunciation.kernels.search import search
from seqlab.text.lexicon import Lexicon, Pronunciation

GRAPHONES_NAME = "graphones.json"
NGRAMS_NAME = "graphones.ngram"


class JointSequenceModel:
    """An n-gram model of graphones: letters together with the phones that they stand for.

    A word's pronunciation is that of the likeliest sequences of graphones with its letters; the
    probabilities of sequences with the same phones are added up.

    Args:
        graphones: letters with their phones, all different.
        ngrams: model of their sequences; the word ``"3"`` is ``graphones[3]``.

    Raises:
        ModelError: no graphone is a word of the model.

    Source: Bisani and Ney 2008, "Joint-sequence models for grapheme-to-phoneme conversion". Here
    the words are aligned first (``align``), and the sequences found are modelled by interpolated
    modified Kneser-Ney, as in Galescu and Allen 2001 and Novak et al. 2012.

    Example:
        >>> from seqlab.text.lexicon import Lexicon
        >>> lexicon = Lexicon({
        ...     "bat": ["B AE T"], "cab": ["K AE B"], "tab": ["T AE B"], "back": ["B AE K"],
        ...     "tack": ["T AE K"], "bit": ["B IH T"], "tick": ["T IH K"], "kit": ["K IH T"],
        ... })
        >>> model = JointSequenceModel.train(lexicon, order=3)
        >>> model("kick"), model("kiwi")
        (('K', 'IH', 'K'), None)
    """

    def __init__(self, graphones: Sequence[Graphone], ngrams: NGramModel) -> None:
        self.graphones = tuple(graphones)
        self.ngrams = ngrams
        numbers = [ngrams.words.find(str(index)) for index in range(len(self.graphones))]
        by_letters: dict[str, list[int]] = {}
        for index, graphone in enumerate(self.graphones):
            if numbers[index] > UNKNOWN:
                by_letters.setdefault(graphone.letters, []).append(index)
        if not by_letters:
            raise ModelError("no graphone is a word of the n-gram model; are they of one model?")
        self._chunks = {letters: number for number, letters in enumerate(by_letters)}
        self._longest = max(map(len, by_letters))
        lengths = [len(found) for found in by_letters.values()]
        self._starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        self._order = [index for found in by_letters.values() for index in found]
        self._words = np.array([numbers[index] for index in self._order], np.int32)
        self._content: bytes | None = None

    @classmethod
    def train(
        cls,
        lexicon: Lexicon | Iterable[tuple[str, Sequence[str]]],
        order: int = 7,
        max_letters: int = 2,
        max_phones: int = 2,
        iterations: int = 10,
        smoothing: str | Smoothing = "modified_kneser_ney",
    ) -> JointSequenceModel:
        """Learn from a lexicon; the same one always gives the same model.

        Args:
            lexicon: a lexicon, or words with their phones. Each pronunciation counts the same.
            order: length of the longest n-grams of graphones, 1 to 9; more
                than 7 changes little for English.
            max_letters: see ``align``.
            max_phones: see ``align``.
            iterations: see ``align``.
            smoothing: of the n-grams; a name or an object as for ``NGramModel.estimate``.

        Raises:
            DataError: no word can be aligned.
            SeqlabError: an argument out of range.
        """
        if isinstance(lexicon, Lexicon):
            lexicon = ((word, one.phones) for word, one in lexicon.pairs())
        words = align(lexicon, max_letters, max_phones, iterations).words
        graphones = sorted({graphone for word in words for graphone in word})
        number = {graphone: str(index) for index, graphone in enumerate(graphones)}
        sequences = [[number[graphone] for graphone in word] for word in words]
        with warnings.catch_warnings():  # graphones are few, like characters: that is expected
            warnings.filterwarnings("ignore", message="the discounts of order")
            return cls(graphones, NGramModel.estimate(sequences, order, smoothing))

    def pronounce(self, word: str, count: int = 1, beam: int = 32) -> list[Pronunciation]:
        """The likeliest pronunciations of a word, best first; none if its letters are unknown.

        Args:
            word: spelled as the lexicon's words are.
            count: how many pronunciations are wanted at most, at least 1.
            beam: partial pronunciations kept at each letter, at least ``count``.

        Returns:
            Pronunciations with their probability given the spelling, among those in the beam.

        Raises:
            SeqlabError: ``count`` or ``beam`` is out of range.
        """
        check_at_least("count", count, 1)
        check_at_least("beam", beam, count, "it must hold the pronunciations wanted")
        chunks = self._chunk_numbers(word)
        if chunks is None:
            return []
        used = np.empty((beam, len(word)), np.int32)
        totals = np.empty(beam)
        start = np.array(self.ngrams.initial_state(), np.int64)
        tables = self.ngrams.index.tables
        found = search(tables, start, chunks, self._starts, self._words, beam, used, totals)
        weights: dict[tuple[str, ...], float] = {}
        for row, total in zip(used[:found].tolist(), totals[:found].tolist(), strict=True):
            phones = tuple(p for g in row if g >= 0 for p in self.graphones[self._order[g]].phones)
            if phones:
                weights[phones] = float(np.logaddexp(weights.get(phones, -np.inf), total))
        if not weights:
            return []
        whole = np.logaddexp.reduce(list(weights.values()))
        ranked = sorted(weights.items(), key=lambda item: (-item[1], item[0]))
        return [Pronunciation(p, max(float(np.exp(w - whole)), 1e-300)) for p, w in ranked[:count]]

    def __call__(self, word: str) -> tuple[str, ...] | None:
        """The likeliest pronunciation, or None: the fallback of a ``PhoneTokenizer``."""
        found = self.pronounce(word)
        return found[0].phones if found else None

    def _chunk_numbers(self, word: str) -> NDArray[np.int32] | None:
        """Numbers of the runs of letters at each letter (N, K); None if a letter is unknown."""
        if not 0 < len(word) <= LONGEST:
            return None
        rows = [
            [
                self._chunks.get(word[i : i + k], -1) if i + k <= len(word) else -1
                for k in range(1, self._longest + 1)
            ]
            for i in range(len(word))
        ]
        return np.array(rows, np.int32)

    def state(self) -> dict[str, bytes]:
        """The model by file name: JSON and a binary n-gram model; nothing in it is code."""
        if self._content is None:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / NGRAMS_NAME
                self.ngrams.save(path, quantise=True)
                self._content = path.read_bytes()
        rows = [[g.letters, list(g.phones)] for g in self.graphones]
        text = json.dumps({"graphones": rows}, separators=(",", ":"))
        return {GRAPHONES_NAME: text.encode("ascii") + b"\n", NGRAMS_NAME: self._content}

    @classmethod
    def from_state(cls, files: Mapping[str, bytes]) -> JointSequenceModel:
        """The model that ``state`` gave; ModelError if a file is missing or damaged."""
        for name in (GRAPHONES_NAME, NGRAMS_NAME):
            if name not in files:
                raise ModelError(f"{name} is missing, found {sorted(files)}; save the model again")
        graphones = _graphones(files[GRAPHONES_NAME])
        # where open files cannot be deleted, the folder is left to the system
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            path = Path(folder) / NGRAMS_NAME
            path.write_bytes(files[NGRAMS_NAME])
            try:
                model = cls(graphones, NGramModel.load(path))
            except ModelError as error:
                reason = str(error).replace(str(path), NGRAMS_NAME)
                raise ModelError(f"{NGRAMS_NAME} is damaged: {reason}") from None
        model._content = files[NGRAMS_NAME]
        return model

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the model's two files into a folder, which is made if need be.

        Raises:
            OSError: they cannot be written.
        """
        Path(folder).mkdir(parents=True, exist_ok=True)
        for name, content in self.state().items():
            (Path(folder) / name).write_bytes(content)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> JointSequenceModel:
        """The model of a folder that ``save`` wrote; ModelError if it is none or damaged."""
        paths = [Path(folder) / name for name in (GRAPHONES_NAME, NGRAMS_NAME)]
        return cls.from_state({path.name: path.read_bytes() for path in paths if path.is_file()})

    def __getstate__(self) -> dict[str, bytes]:
        return self.state()

    def __setstate__(self, files: dict[str, bytes]) -> None:
        self.__dict__.update(self.from_state(files).__dict__)


def _graphones(content: bytes) -> list[Graphone]:
    try:
        rows: Any = json.loads(content)["graphones"]
        graphones = [Graphone(letters, tuple(phones)) for letters, phones in rows]
        for letters, phones in graphones:
            if not isinstance(letters, str) or not letters:
                raise TypeError("letters must be text")
            if not all(isinstance(p, str) and p.split() == [p] for p in phones):
                raise TypeError("phones must be a list of texts without white space")
        if not graphones or len(set(graphones)) < len(graphones):
            raise ValueError("graphones must be at least 1, all different")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(
            f"{GRAPHONES_NAME} is damaged ({type(error).__name__}: {error}); save the model again"
        ) from None
    return graphones


__all__ = ["GRAPHONES_NAME", "NGRAMS_NAME", "JointSequenceModel"]
