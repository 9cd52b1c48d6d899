"""What an n-gram model says of words, sentences and texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from seqlab.errors import DataError, ModelError
from seqlab.lm.ngram.facts import Facts
from seqlab.lm.ngram.index import QueryIndex
from seqlab.lm.ngram.ngrams import BackoffTable
from seqlab.lm.ngram.perplexity import Perplexity, perplexity_of
from seqlab.lm.ngram.query import Scorer, State
from seqlab.lm.ngram.scratch import Scratch
from seqlab.lm.ngram.text import TextSource
from seqlab.lm.ngram.token_scores import TokenScores
from seqlab.lm.ngram.words import BEGIN, END, GAP, UNKNOWN, Words

__all__ = ["ScoringModel", "Sentence"]

Sentence = str | Sequence[str]


class ScoringModel:
    """The n-grams of a model in the form that a question needs, and the answers.

    ``NGramModel`` documents the arguments, and makes and stores such models.
    """

    def __init__(
        self,
        table: BackoffTable | None = None,
        index: QueryIndex | None = None,
        facts: Facts | None = None,
        scratch: Scratch | None = None,
    ) -> None:
        if table is None and index is None:
            raise ModelError("a model must have a table or an index; estimate or load one")
        self._table, self._index, self._scratch = table, index, scratch
        self.facts = facts or Facts()

    @property
    def table(self) -> BackoffTable:
        """The sorted n-grams with their values."""
        if self._table is None:
            self._table = self.index.to_table()
        return self._table

    @property
    def index(self) -> QueryIndex:
        """The hash tables that score."""
        if self._index is None:
            assert self._table is not None
            self._index = QueryIndex.build(self._table, scratch=self._scratch)
        return self._index

    @cached_property
    def scorer(self) -> Scorer:
        """Asks the index: streams of word numbers, texts in bytes, batches of states."""
        return Scorer(self.index)

    @cached_property
    def _number_of(self) -> dict[str, int]:
        """Numbers of the words, for one at a time, where a call of compiled code costs more."""
        return {word: number for number, word in enumerate(self.words)}

    @property
    def words(self) -> Words:
        """The vocabulary."""
        return self._table.ngrams.words if self._table is not None else self.index.words

    @property
    def order(self) -> int:
        """Length of the longest n-grams."""
        return len(self.sizes)

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many k-grams there are, for k = 1, 2, ..."""
        return self._table.ngrams.sizes if self._table is not None else self.index.counts

    def numbers(self, sentence: Sentence) -> NDArray[np.int32]:
        """Word numbers of one sentence, cut into words as the model's text was (N,).

        Raises:
            DataError: it is more than one line.
        """
        if isinstance(sentence, str) and self.facts.unit == "word":
            found = self.words.numbers(sentence)
            if GAP in found:
                raise DataError(f"{sentence[:40]!r} must be one line; score lines one by one")
            return found
        if isinstance(sentence, str):
            sentence = self.facts.parted(sentence)
        return np.fromiter((self._number_of.get(word, UNKNOWN) for word in sentence), np.int32)

    def log_prob(self, word: str, context: Sentence = ()) -> float:
        """Ln p of a word after the words of ``context``, which may begin with ``<s>``."""
        state = self.empty_state()
        before = context.split() if isinstance(context, str) else context
        for known in before:
            _, state = self.advance(state, known)
        return self.advance(state, word)[0]

    def initial_state(self) -> State:
        """The state at the beginning of a sentence."""
        return self.scorer.initial_state()

    def empty_state(self) -> State:
        """The state that knows of no words before."""
        return self.scorer.empty_state()

    def advance(self, state: State, token: str) -> tuple[float, State]:
        """Ln p of a word after a state, and the state that follows; states are tuples of int."""
        return self._advance(state, token)

    @cached_property
    def _advance(self) -> Callable[[State, str], tuple[float, State]]:
        return self.scorer.by_word(self._number_of)

    def score(self, sentence: Sentence, bos: bool = True, eos: bool = True) -> float:
        """Ln p of a sentence.

        Args:
            sentence: a line, or its words.
            bos: whether it begins with ``<s>``, else nothing is known of what came before.
            eos: whether ``</s>`` is predicted at its end.
        """
        ends = ([BEGIN] if bos else [], [END] if eos else [])
        stream = np.concatenate([ends[0], self.numbers(sentence), ends[1]]).astype(np.int32)
        return float(self.scorer.numbers(stream)[0].sum(dtype=np.float64))

    def score_batch(self, sentences: Iterable[Sentence]) -> NDArray[np.float64]:
        """Ln p of each sentence (S,), ``</s>`` included."""
        return self.token_scores(sentences, self.facts.marks).sentence_totals()

    def token_scores(
        self, source: TextSource | NDArray[np.uint8], marks: bool | None = None
    ) -> TokenScores:
        """Every token of a text as the model sees it: for tables and comparisons.

        Args:
            source: as for ``estimate``, or bytes of whole lines in an array.
            marks: whether lines begin and end a sentence; None does what the model's text did.
        """
        marks = self.facts.marks if marks is None else marks
        blocks = [source] if isinstance(source, np.ndarray) else self.facts.blocks(source)
        streams = [self.words.numbers(block, marks=marks) for block in blocks]
        if not marks:  # a gap between blocks as between lines
            streams = [np.append(stream, np.int32(GAP)) for stream in streams]
        stream = np.concatenate([np.empty(0, np.int32), *streams])
        log_prob, matched = self.scorer.numbers(stream)
        return TokenScores.of_stream(self.words, stream, log_prob, matched)

    def perplexity(self, source: TextSource) -> Perplexity:
        """How well the model predicts a text; ``</s>`` counts as a token.

        Args:
            source: as for ``estimate``: a file, or sentences.

        Raises:
            DataError: the text is empty.
        """
        return perplexity_of(self.token_scores(source), order=self.order)
